"""Tables of points in, tables of components out.

>>> table = read_points("localizations.csv")  # columns "x [nm]", "y [nm]", ...
>>> table.points.shape, table.axis_labels, table.unit
((600, 2), ('y', 'x'), 'nm')
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.columns import (
    as_floats,
    common_unit,
    find_column,
    find_coordinates,
    left_out,
    to_labels,
    to_numbers,
    unit_or,
    with_position,
    without_flat_z,
)
from napari_sparse_gmm.io.duplicates import without_duplicates
from napari_sparse_gmm.io.formats import open_table
from napari_sparse_gmm.io.names import known_frame, known_precision, precision_along
from napari_sparse_gmm.io.table import Table
from napari_sparse_gmm.observations import FloatArray, Observations, usable_precision
from napari_sparse_gmm.ranges import Range
from napari_sparse_gmm.writing import whole_file

# Where a formula may begin, with what it begins with: at the beginning of a cell, or behind what
# separates cells or rows where a comma does not. The signs of full width are those of others, too.
_FORMULA = re.compile(r"(^|[;\t\r\n])(\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")

# A precision that is taken where a column has a known name.
AUTO = "auto"


@dataclass(frozen=True, eq=False)
class PointTable:
    """Points as they stood in a table.

    Attributes
    ----------
    observations : Observations
        N points in image axis order: (y, x), or (z, y, x).
    axis_labels : tuple of D str
    columns : tuple of D str
        Header of the column of each axis.
    unit : str or None
        Unit of the coordinates where the header names it, as in "x [nm]".
    groups : (N,) array or None
        Numbers or words; points of different ones are to be fitted apart.
    frames : (N,) array or None
        When each was seen.
    precision : tuple of str
        Headers of the columns of the precision.
    notes : tuple of str
        Sentences about rows that were left out.
    ranges : tuple of Range
        Of which the rows are.
    """

    observations: Observations
    axis_labels: tuple[str, ...]
    columns: tuple[str, ...]
    unit: str | None = None
    groups: NDArray[Any] | None = None
    frames: FloatArray | None = None
    precision: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ranges: tuple[Range, ...] = ()

    @property
    def points(self) -> FloatArray:
        """Coordinates, (N, D)."""
        return self.observations.points

    def subset(self, chosen: NDArray[np.bool_]) -> "PointTable":
        """The rows where `chosen` (N,) is true."""
        groups, frames = (
            None if each is None else each[chosen] for each in (self.groups, self.frames)
        )
        observations = self.observations.subset(chosen)
        return replace(self, observations=observations, groups=groups, frames=frames)


def read_points(
    path: str | Path,
    *,
    x: str | None = None,
    y: str | None = None,
    z: str | None = None,
    weight: str | None = None,
    precision: str | None = None,
    precision_z: str | None = None,
    group: str | None = None,
    frame: str | None = None,
    ranges: tuple[Range, ...] = (),
    unit: str | None = None,
) -> PointTable:
    """Read points from a table: text with a header line, Picasso's HDF5, or Parquet.

    In a text table, columns are separated by commas, semicolons, tabs or spaces; with all but the
    first, numbers may be written with a decimal comma. A column is found by its name, with or
    without a unit behind it and in either case: "x" finds "X [nm]".

    Rows without a position are left out; so are those that repeat an earlier row in each column,
    and those without a precision, where one is asked for: NaN, infinite, negative, or 0 where
    others are not. `PointTable.notes` has how many.

    Parameters
    ----------
    path : path of the table
    x, y, z : str, optional
        Columns of the coordinates. Without any of them the columns "x", "y" and, where there
        is one that is not constant, "z" are taken; a table of 2D points may have a z of 0.
        With any of them, there are as many axes as named, "x" and "y" at least.
    weight : str, optional
        Column that says how many points each row counts for.
    precision : str, optional
        Column of the localization precision, the standard deviation of the coordinates. "auto": the
        one that has a name which localization programs give it, where there is one.
    precision_z : str, optional
        That of z alone, where it is another one.
    group : str, optional
        Column whose values, numbers or words, distinguish groups of points.
    frame : str, optional
        Column of the frame that each was seen in. "auto": one that programs call so, where there is
        one.
    ranges : tuple of Range, optional
        Rows of which a value lies outside of one of these are left out.
    unit : str, optional
        That of the coordinates, where the header does not say it.

    Raises
    ------
    InputError
        In one sentence: no such file, no rows, no such column, a cell that is not a number,
        or axes or their precision in different units.
    """
    names = ColumnNames(x, y, z, weight, precision, precision_z, group, frame, ranges, unit)
    return points_of(open_table(path), names)


@dataclass(frozen=True)
class ColumnNames:
    """What the columns of a table are for; see `read_points`."""

    x: str | None = None
    y: str | None = None
    z: str | None = None
    weight: str | None = None
    precision: str | None = None
    precision_z: str | None = None
    group: str | None = None
    frame: str | None = None
    ranges: tuple[Range, ...] = ()
    unit: str | None = None

    @property
    def names_no_axis(self) -> bool:
        """Whether the axes are to be found."""
        return self.x is None and self.y is None and self.z is None


def columns_of_axes(table: Table, names: ColumnNames) -> dict[str, str]:
    """The columns of the coordinates, in image order; z may be flat."""
    if names.names_no_axis:
        return dict(table.positions) or find_coordinates(table.columns, table.name)
    return _find(table, {"z": names.z, "y": names.y or "y", "x": names.x or "x"})


def points_of(table: Table, names: ColumnNames) -> PointTable:
    """The points of a table that has been opened; see `read_points`."""
    precision, precision_z = names.precision, names.precision_z
    if precision_z is not None and precision is None:
        raise InputError("A precision of z needs one of x and y, too.")
    guess, axes = names.names_no_axis, columns_of_axes(table, names)
    automatic = precision == AUTO
    if automatic:
        unit = common_unit(list(axes.values()), table.name)
        precision = known_precision(table.columns, unit)
        if precision is not None and precision_z is None and "z" in axes:
            precision_z = known_precision(table.columns, unit, axial=True)
    errors = _find(table, {"precision": precision, "precision of z": precision_z})
    if "precision" in errors:
        along_y = precision_along(table.columns, errors["precision"], "y")
        if along_y != errors["precision"]:
            errors["precision of y"] = along_y
    frame = known_frame(table.columns) if names.frame == AUTO else names.frame
    others = _find(table, {"weight": names.weight, "group": names.group, "frame": frame})
    limited = {
        each: find_column(table.columns, each.name, f"of a range in {table.name}")
        for each in names.ranges
    }
    columns = axes | errors | others
    positions = {role: table.columns.index(column) for role, column in columns.items()}
    of_ranges = {each: table.columns.index(column) for each, column in limited.items()}
    rows = table.read(sorted({*positions.values(), *of_ranges.values()}))
    places = [positions[axis] for axis in axes]
    rows, notes = with_position(rows, places, table.name, needed=not table.is_part)
    rows, repeated = without_duplicates(table, rows, places)
    notes = table.notes + notes + repeated
    for each, position in of_ranges.items():
        found = each.holds(as_floats(rows[position]))
        if not found.any() and len(found) and not table.is_part:
            raise InputError(f"No row of {table.name} has {each}: choose another range.")
        if not found.all():
            n = int(np.count_nonzero(~found))
            notes += (
                f"{n:,} of {len(found):,} rows of {table.name} are outside of {each} and left out.",
            )
        rows = rows[found]
    usable = {
        role: usable_precision(as_floats(rows[positions[role]]), table.is_part) for role in errors
    }
    if automatic and not all(found.any() for found in usable.values()):
        errors, usable = {}, {}
    for role, found in usable.items():
        if not found.any() and not table.is_part:
            raise InputError(
                f"Column {columns[role]!r} of {table.name} is no precision: none of its cells is a "
                "number above 0."
            )
        if not found.all():
            notes += (left_out(found, table.name, f"precision in {columns[role]!r}"),)
    rows = rows[np.logical_and.reduce([*usable.values(), np.ones(len(rows), dtype=bool)])]
    # What is only for the table of clusters is nothing to refuse points for.
    automatic_frame = names.frame == AUTO and "frame" in others
    if automatic_frame and not np.isfinite(as_floats(rows[positions["frame"]])).all():
        del others["frame"]
    values = {
        role: (to_labels if role == "group" else to_numbers)(
            rows[position], columns[role], table.name
        )
        for role, position in positions.items()
        if role in axes or role in errors or role in others
    }
    coordinates = {axis: values[axis] for axis in axes}
    if guess:
        coordinates = without_flat_z(coordinates)
    return PointTable(
        Observations.of(
            np.stack(list(coordinates.values()), axis=1),
            values.get("weight"),
            _of_axes(coordinates, values),
        ),
        axis_labels=tuple(coordinates),
        columns=tuple(axes[axis] for axis in coordinates),
        unit=unit_or(
            common_unit([axes[axis] for axis in coordinates] + list(errors.values()), table.name),
            names.unit,
            table.name,
        ),
        groups=values.get("group"),
        frames=values.get("frame"),
        precision=tuple(errors.values()),
        notes=notes,
        ranges=names.ranges,
    )


def write_table(path: str | Path, table: Mapping[str, ArrayLike], missing: str = "") -> None:
    """Write columns, such as `components.component_table` has, as comma-separated values.

    A word that a spreadsheet would run, as "=1+1" in the name of a group, gets a ' before it. A
    cell without a value is as `missing` says.
    """
    frame = pd.DataFrame(dict(table)).rename(columns=_harmless)
    for name, column in frame.items():
        if not pd.api.types.is_numeric_dtype(column.dtype):
            frame[name] = column.map(_harmless)
    with whole_file(path) as whole_path:
        frame.to_csv(whole_path, index=False, na_rep=missing, errors="backslashreplace")


def _harmless(word: Any) -> Any:
    """https://owasp.org/www-community/attacks/CSV_Injection"""
    if not isinstance(word, str):
        return word
    try:
        float(word)
    except ValueError:
        return _FORMULA.sub(r"\1'\2", word)
    return word


def _find(table: Table, names: Mapping[str, str | None]) -> dict[str, str]:
    """The column that each name means, by what it is for."""
    return {
        role: find_column(table.columns, name, f"for {role} in {table.name}")
        for role, name in names.items()
        if name is not None
    }


def _of_axes(axes: Iterable[str], values: Mapping[str, FloatArray]) -> FloatArray | None:
    """The precision of each coordinate, (N, D), where there is one."""
    if "precision" not in values:
        return None
    return np.stack(
        [values.get(f"precision of {axis}", values["precision"]) for axis in axes], axis=1
    )
