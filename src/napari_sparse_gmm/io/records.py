"""Values of a record in a JSON file, each of the kind that it must be.

>>> number({"cost": "inf"}, "cost")
inf
"""

import math
import reprlib
from types import NoneType
from typing import Any

import numpy as np

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray

# Numbers that JSON does not have.
NOT_FINITE = ("inf", "-inf", "nan")

_KINDS = {bool: "true or false", dict: "a record", list: "a list", str: "a word", NoneType: "null"}

# As much of a value is shown in a message.
_SHOWN = 40


def entry(record: Any, name: str, *kinds: type) -> Any:
    """What stands under a name, of one of these kinds, or of any.

    Raises
    ------
    InputError
        In words that follow on "The file is damaged:", where it is missing or of another kind.
    """
    if not isinstance(record, dict):
        raise InputError(f"it has {_shown(record)} in place of a record with {name!r}")
    if name not in record:
        raise InputError(f"it lacks {name!r}")
    found = record[name]
    if kinds and type(found) not in kinds:
        expected = " or ".join(_KINDS[kind] for kind in kinds)
        raise InputError(f"its {name!r} must be {expected}, not {_shown(found)}")
    return found


def number(record: Any, name: str) -> float:
    """A number, which may be written as one of the words of `NOT_FINITE`.

    Raises
    ------
    InputError
        As `entry` does.
    """
    found = entry(record, name)
    try:
        if type(found) in (int, float) or found in NOT_FINITE:
            return float(found)
    except OverflowError:
        pass
    raise InputError(f"its {name!r} must be a number, not {_shown(found)}")


def whole(record: Any, name: str) -> int:
    """A finite number, rounded.

    Raises
    ------
    InputError
        As `entry` does.
    """
    found = number(record, name)
    if not math.isfinite(found):
        raise InputError(f"its {name!r} must be a finite number, not {found}")
    return round(found)


def numbers(record: Any, name: str, shape: tuple[int, ...]) -> FloatArray:
    """Lists of numbers as an array of a shape, in which one length may be -1, for any.

    Raises
    ------
    InputError
        As `entry` does.
    """
    found = entry(record, name, list)
    try:
        return np.array(found, dtype=np.float64).reshape(shape)
    except (TypeError, ValueError, OverflowError):
        expected = str(shape).replace("-1", "any")
        raise InputError(
            f"its {name!r} must be numbers of shape {expected}, not {_shown(found)}"
        ) from None


def _shown(found: Any) -> str:
    text = reprlib.repr(found)  # which does not mind how deep and how long it is
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
