"""Columns by their names, and the units in these.

>>> find_column(["id", "X [nm]", "Y [nm]"], "x", "for x in localizations.csv")
'X [nm]'
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.names import bare, matching, unit_of
from napari_sparse_gmm.io.table import listing, shortened
from napari_sparse_gmm.io.units import length_in, same_unit, symbol_of, unit_named
from napari_sparse_gmm.mixture import FloatArray

# What coordinates are called: by their axes alone, or as those of objects; the best first.
_COORDINATES = ("{}", "centroid_{}", "{}_centroid")

# Units that are no length.
_PIXELS = ("px", "pix", "pixel", "pixels")


class NoCoordinates(InputError):
    """A table without columns that are known to be coordinates."""


def find_column(header: Sequence[str], name: str, purpose: str) -> str:
    """The column that is meant by `name`.

    Raises
    ------
    InputError
        Where there is none, or several.
    """
    found = matching(header, name)
    if len(found) == 1:
        return found[0]
    if len(set(found)) == 1:
        raise InputError(f"Several columns are called {found[0]!r} {purpose}; rename all but one.")
    problem = f"Several columns match {name!r}" if found else f"There is no column {name!r}"
    raise InputError(f"{problem} {purpose}; choose one of {listing(found or header)}.")


def find_coordinates(header: Sequence[str], file_name: str) -> dict[str, str]:
    """The columns of the axes, in image order: [z,] y and x.

    Where positions are written twice, in nm and in pixels, those in the unit that most axes are
    found in; of such units a length goes before none, and both before pixels.

    Raises
    ------
    NoCoordinates
        Where y or x is missing.
    InputError
        Where several columns could be meant.
    """
    missing = [axis for axis in "xy" if not matching(header, axis)]
    naming = next(
        (
            naming
            for naming in _COORDINATES
            if all(matching(header, naming.format(axis)) for axis in "xy")
        ),
        None,
    )
    if naming is None:
        raise NoCoordinates(
            f"{file_name} has no column {' and no column '.join(map(repr, missing))}, so it is no "
            f"table of points; its columns are {listing(header)}."
        )
    names = {axis: naming.format(axis) for axis in "zyx"}
    meant = {axis: [column for column in header if bare(column) == names[axis]] for axis in "zyx"}
    if not meant["z"]:
        del meant["z"]
    by_unit: dict[str | None, dict[str, list[str]]] = {}
    for axis, columns in meant.items():
        for column in columns:
            by_unit.setdefault(unit_of(column), {}).setdefault(axis, []).append(column)
    usable = {unit: axes for unit, axes in by_unit.items() if "x" in axes and "y" in axes}
    if usable:
        meant |= usable[max(usable, key=lambda unit: (len(usable[unit]), _rank(unit)))]
    return {
        axis: find_column(columns or header, names[axis], f"for {axis} in {file_name}")
        for axis, columns in meant.items()
    }


def _rank(unit: str | None) -> int:
    """Of units that positions are written in, how good one is for distances."""
    if unit is None:
        return 1
    return 0 if unit.casefold() in _PIXELS else 2


def with_position(
    frame: pd.DataFrame, positions: Iterable[int], file_name: str, *, needed: bool = True
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows of which no coordinate is empty, and a sentence about the others.

    Raises
    ------
    InputError
        Where there are none, and some are `needed`.
    """
    found = frame[list(positions)].notna().all(axis=1).to_numpy()
    if needed and not found.any():
        raise InputError(f"{file_name} has no row with a position: its coordinates are empty.")
    if found.all():
        return frame, ()
    return frame[found], (left_out(found, file_name, "position"),)


def left_out(found: NDArray[np.bool_], file_name: str, what: str) -> str:
    """A sentence about the rows that were not found to have something."""
    n = int(np.count_nonzero(~found))
    return f"{n:,} of {len(found):,} rows of {file_name} have no {what} and are left out."


def without_flat_z(coordinates: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Coordinates by axis, less a z that is constant: a table of 2D points may have a z of 0."""
    return {
        axis: values for axis, values in coordinates.items() if axis != "z" or np.ptp(values) > 0
    }


def common_unit(columns: Sequence[str], file_name: str) -> str | None:
    """The unit of columns that are lengths, where their names have it.

    Raises
    ------
    InputError
        Where they have different ones.
    """
    spelt = [unit for unit in map(unit_of, columns) if unit is not None]
    units = list({unit_named(unit) or unit: unit for unit in reversed(spelt)}.values())[::-1]
    if len(units) > 1:
        shown = ", ".join(" ".join(unit.split()) for unit in units)
        raise InputError(
            f"The lengths of {file_name} are in different units ({shown}); "
            "bring them to the same one."
        )
    return units[0] if units else None


def unit_or(found: str | None, told: str | None, file_name: str) -> str | None:
    """The unit that the header of a file says, or else the one that was told.

    Raises
    ------
    InputError
        Where both are there and differ, or what was told is no unit of a length.
    """
    if told is None:
        return found
    if unit_named(told) != "pixel" and length_in(told, "m") is None:
        raise InputError(f"{told!r} is no unit of coordinates: write it as nm, µm, mm or pixel.")
    if found is not None and not same_unit(found, told):
        raise InputError(
            f"The header of {file_name} says that its coordinates are in {found}, not in {told}: "
            "leave the unit out."
        )
    return found or symbol_of(told)


def to_numbers(cells: pd.Series, column: str, file_name: str) -> FloatArray:
    """The cells of a column as finite numbers, (N,).

    Raises
    ------
    InputError
        That names the first that is none.
    """
    if pd.api.types.is_bool_dtype(cells.dtype):
        raise InputError(f"Column {column!r} of {file_name} must hold numbers, not true and false.")
    numbers = as_floats(cells)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        cell, row = cells.iloc[bad[0]], cells.index[bad[0]] + 1
        came = "an empty cell or NaN" if pd.isna(cell) else repr(shortened(str(cell)))
        raise InputError(
            f"Column {column!r} of {file_name} must hold finite numbers, but row {row} "
            f"has {came}; {len(bad)} of {len(numbers)} rows are like that: remove them, or fill in "
            "numbers."
        )
    return numbers


def as_floats(cells: pd.Series) -> FloatArray:
    """The cells of a column as numbers, NaN where one is none, (N,)."""
    return np.asarray(_numeric(cells).to_numpy(dtype=np.float64, na_value=np.nan))


def _numeric(cells: pd.Series) -> pd.Series:
    try:
        return pd.to_numeric(cells, errors="coerce")
    except OverflowError:  # a whole number of some hundred digits, which a string may have
        return pd.to_numeric(cells.astype(str), errors="coerce")


def to_labels(cells: pd.Series, column: str, file_name: str) -> NDArray[Any]:
    """The cells of a column as numbers or, where one is none, as words, (N,).

    Raises
    ------
    InputError
        Where a cell is empty.
    """
    missing = int(cells.isna().sum())
    if missing:
        raise InputError(
            f"Column {column!r} of {file_name} must say for each point which group it is in, but "
            f"{missing} of {len(cells)} rows have an empty cell; fill these in, or remove the rows."
        )
    numbers = _numeric(cells)
    return np.asarray(cells.astype(str) if numbers.isna().any() else numbers)
