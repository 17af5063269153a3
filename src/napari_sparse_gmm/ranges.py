"""Ranges of what is known of points: which of them a fit is of.

>>> bright = Range.parse("photons=500:")
>>> str(bright), bright.holds([400.0, 500.0, float("nan")]).tolist()
('photons from 500', [False, True, False])
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.errors import InputError


@dataclass(frozen=True)
class Range:
    """Values of a column, or a feature, of at least `low` and at most `high`; NaN is not.

    Parameters
    ----------
    name : str
        Of the column.
    low, high : float
        Infinite where there is no such limit.

    Raises
    ------
    InputError
        Where a limit is NaN, or the lower one is above the other.
    """

    name: str
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise InputError(
                f"The range of {self.name!r} must go from a number to one that is no lower, not "
                f"from {self.low:g} to {self.high:g}."
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``name=low:high``, of which either limit may be missing."""
        name, is_range, limits = text.rpartition("=")
        low, _, high = limits.partition(":")
        try:
            if not name or not is_range or ":" not in limits:
                raise ValueError
            return cls(name, float(low or -math.inf), float(high or math.inf))
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{text!r} is no range: write it as photons=500:2000, photons=500: or "
                "photons=:2000."
            ) from error

    @property
    def text(self) -> str:
        """What `parse` reads."""
        low, high = ("" if math.isinf(limit) else repr(limit) for limit in (self.low, self.high))
        return f"{self.name}={low}:{high}"

    def holds(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Which values lie in it."""
        numbers = np.asarray(values, dtype=np.float64)
        return np.asarray((numbers >= self.low) & (numbers <= self.high))

    def __str__(self) -> str:
        low, high = (f"{limit:.10g}" for limit in (self.low, self.high))
        if math.isinf(self.high):
            return f"{self.name} from {low}"
        return (
            f"{self.name} up to {high}" if math.isinf(self.low) else f"{self.name} {low} to {high}"
        )


def from_records(records: Any) -> tuple[Range, ...]:
    """What `as_records` has written.

    Raises
    ------
    InputError
        Where they are no limits.
    """
    try:
        return tuple(Range(name, float(low), float(high)) for name, (low, high) in records.items())
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError("The ranges that the model was filtered by are damaged.") from error


def as_records(ranges: tuple[Range, ...]) -> dict[str, list[Any]]:
    """The limits by the names, as the provenance of a model has them."""
    return {each.name: [each.low, each.high] for each in ranges}
