"""Arrays as they come from outside, where they enter.

>>> float_array([[0, 1]], "points")
array([[0., 1.]])
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError

# Of coordinates, lengths and weights; and the smallest of a length above 0. What is made of them,
# such as a volume in ten dimensions, is then a number that a float64 holds.
LARGEST, SMALLEST = 1e30, 1e-30

# A point that is so many times as far out as all others are wide is alone.
_FAR = 100.0


def float_array(values: Any, name: str, *, finite: bool = False) -> NDArray[np.float64]:
    """Values as an array of float64; `finite` where NaN and infinities are none.

    Raises
    ------
    InputError
        That says `name`, where some are no numbers, or are masked.
    """
    refuse_masked(values, name)
    try:
        array = np.asarray(values)
        real = None if np.iscomplexobj(array) else np.asarray(array, dtype=np.float64)
    # OverflowError: a whole number of 400 digits. RuntimeError: a torch tensor with a gradient.
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(f"{name} must be an array of numbers: {error}.") from error
    if real is None or (finite and not np.isfinite(real).all()):
        raise InputError(f"{name} must be {'real' if real is None else 'finite'} numbers.")
    return real


def bounds(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower and upper corner of points (N, D), (2, D).

    Column by column: along the first axis NumPy takes ten times as long for it.
    """
    columns = points.T
    return np.array([[c.min() for c in columns], [c.max() for c in columns]])


def stray(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of points (N, D) lie so far from all others that no picture has room for both, (N,).

    A few at most, a thousandth of them or three: along some axis they are a hundred times as far
    out as all the others are wide.
    """
    n = len(points)
    few = max(3, n // 1000)
    found = np.zeros(n, dtype=bool)
    if n < 10 * few:
        return found
    for column in points.T:
        low, high = np.partition(column, (few, n - 1 - few))[[few, n - 1 - few]]
        width = high - low
        if 0 < _FAR * width < column.max() - column.min():
            found |= (column < low - _FAR * width) | (column > high + _FAR * width)
    return found


def refuse_masked(values: Any, name: str) -> None:
    """An InputError where values of a masked array are masked: NumPy would take them as they are.

    Those under a mask are often anything, and to leave rows out is for the caller, who has
    the others of the same points, too.
    """
    masked = np.count_nonzero(np.ma.getmaskarray(values)) if np.ma.isMaskedArray(values) else 0
    if masked:
        raise InputError(
            f"{name} is a masked array, and {masked} of its values are masked: leave these points "
            f"out, {name}[~np.ma.getmaskarray({name})] where it has one axis, or "
            f"np.ma.compress_rows({name}) where it has two."
        )


@contextmanager
def input_errors() -> Iterator[None]:
    """What a library says about arrays from outside, as an InputError."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, OverflowError, RuntimeError) as error:
        raise InputError(str(error)) from error
