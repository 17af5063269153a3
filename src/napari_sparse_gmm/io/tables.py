"""Tables of points in, tables of components out.

>>> table = read_points("localizations.csv")  # columns "x [nm]", "y [nm]", ...
>>> table.points.shape, table.axis_labels, table.unit
((40000, 2), ('y', 'x'), 'nm')
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.io.dialects import Dialect, sniff
from napari_sparse_gmm.mixture import FloatArray

_UNIT = re.compile(r"\s*[\[(](?P<unit>[^\])]*)[\])]\s*$")


@dataclass(frozen=True, eq=False)
class PointTable:
    """Points as they stood in a table.

    Attributes
    ----------
    points : (N, D) array
        In image axis order: (y, x), or (z, y, x).
    axis_labels : tuple of D str
    columns : tuple of D str
        Header of the column of each axis.
    unit : str or None
        Unit of the coordinates where the header names it, as in "x [nm]".
    weights : (N,) array or None
    noise_std : (N, D) array or None
        Standard deviation of each coordinate.
    groups : (N,) array or None
        Numbers or words; points of different ones are to be fitted apart.
    """

    points: FloatArray
    axis_labels: tuple[str, ...]
    columns: tuple[str, ...]
    unit: str | None = None
    weights: FloatArray | None = None
    noise_std: FloatArray | None = None
    groups: NDArray[Any] | None = None

    def subset(self, chosen: NDArray[np.bool_]) -> "PointTable":
        """The rows where `chosen` (N,) is true."""
        weights, noise_std, groups = (
            None if values is None else values[chosen]
            for values in (self.weights, self.noise_std, self.groups)
        )
        points = self.points[chosen]
        return replace(self, points=points, weights=weights, noise_std=noise_std, groups=groups)


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
) -> PointTable:
    """Read points from a text table with a header line.

    Columns are separated by commas, semicolons or tabs; with the latter two, numbers may be
    written with a decimal comma. A column is found by its name, with or without a unit in
    brackets and in either case: "x" finds "X [nm]".

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
        Column of the localization precision, the standard deviation of the coordinates.
    precision_z : str, optional
        That of z alone, where it is another one.
    group : str, optional
        Column whose values, numbers or words, tell groups of points apart.

    Raises
    ------
    ValueError
        In one sentence: no such file, no rows, no such column, a cell that is not a number,
        or axes or their precision in different units.
    """
    if precision_z is not None and precision is None:
        raise ValueError("A precision of z needs one of x and y, too.")
    path = Path(path)
    dialect = sniff(path)
    guess_z = x is None and y is None and z is None and bool(_matches(dialect.header, "z"))
    names = {
        "z": "z" if guess_z else z,
        "y": y or "y",
        "x": x or "x",
        "weight": weight,
        "precision": precision,
        "precision of z": precision_z,
        "group": group,
    }
    columns = {
        role: _find_column(dialect.header, name, f"for {role} in {path.name}")
        for role, name in names.items()
        if name is not None
    }
    numbers = _read_columns(path, dialect, columns)
    if guess_z and np.ptp(numbers["z"]) == 0:
        del numbers["z"]
    weights, groups = numbers.pop("weight", None), numbers.pop("group", None)
    error, error_z = (numbers.pop(role, None) for role in ("precision", "precision of z"))
    lengths = [column for role, column in columns.items() if role not in ("weight", "group")]
    if guess_z and "z" not in numbers:
        lengths.remove(columns["z"])
    return PointTable(
        points=np.stack(list(numbers.values()), axis=1),
        axis_labels=tuple(numbers),
        columns=tuple(columns[axis] for axis in numbers),
        unit=_common_unit(lengths, path.name),
        weights=weights,
        noise_std=None if error is None else _of_axes(numbers, error, error_z),
        groups=groups,
    )


def write_components(path: str | Path, table: Mapping[str, ArrayLike]) -> None:
    """Write the columns of `shapes.ellipses.component_table` as comma-separated values."""
    pd.DataFrame(dict(table)).to_csv(path, index=False)


def _of_axes(
    axes: Mapping[str, FloatArray], error: FloatArray, error_z: FloatArray | None
) -> FloatArray:
    """The precision of each coordinate, (N, D)."""
    if error_z is None:
        error_z = error
    return np.stack([error_z if axis == "z" else error for axis in axes], axis=1)


def _find_column(header: Sequence[str], name: str, purpose: str) -> str:
    """The header that is meant by `name`."""
    found = _matches(header, name)
    if len(found) == 1:
        return found[0]
    problem = f"Several columns match {name!r}" if found else f"There is no column {name!r}"
    listing = ", ".join(repr(column) for column in (found or header))
    raise ValueError(f"{problem} {purpose}; choose one of {listing}.")


def _matches(header: Sequence[str], name: str) -> list[str]:
    """Exactly that name; else the same but for case; else the same but for case and unit."""
    wanted = name.strip().casefold()
    for spelling in (
        lambda column: column == name,
        lambda column: column.casefold() == wanted,
        lambda column: _UNIT.sub("", column).casefold() == wanted,
    ):
        if found := [column for column in header if spelling(column)]:
            return found
    return []


def _read_columns(
    path: Path, dialect: Dialect, columns: Mapping[str, str]
) -> dict[str, NDArray[Any]]:
    positions = {role: dialect.header.index(column) for role, column in columns.items()}
    try:
        frame = pd.read_csv(
            path,
            sep=dialect.separator,
            decimal=dialect.decimal,
            encoding=dialect.encoding,
            encoding_errors="replace",
            low_memory=False,
            header=None,
            skiprows=1,
            usecols=sorted(set(positions.values())),
        )
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path.name} has a header but no rows.") from None
    except pd.errors.ParserError as error:
        raise ValueError(f"{path.name} is not a regular table: {error}.") from None
    return {
        role: (_to_labels if role == "group" else _to_numbers)(
            frame[position], columns[role], path.name
        )
        for role, position in positions.items()
    }


def _to_labels(cells: pd.Series, column: str, file_name: str) -> NDArray[Any]:
    missing = int(cells.isna().sum())
    if missing:
        raise ValueError(
            f"Column {column!r} of {file_name} must say for each point which group it is in, but "
            f"{missing} of {len(cells)} rows have an empty cell."
        )
    numbers = pd.to_numeric(cells, errors="coerce")
    return np.asarray(cells.astype(str) if numbers.isna().any() else numbers)


def _to_numbers(cells: pd.Series, column: str, file_name: str) -> FloatArray:
    numbers: FloatArray = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        cell = cells.iloc[bad[0]]
        came = "an empty cell" if pd.isna(cell) else repr(str(cell))
        raise ValueError(
            f"Column {column!r} of {file_name} must hold finite numbers, but row {bad[0] + 1} "
            f"has {came}; {len(bad)} of {len(numbers)} rows are like that."
        )
    return numbers


def _common_unit(columns: Sequence[str], file_name: str) -> str | None:
    matches = [_UNIT.search(column) for column in columns]
    units = list(dict.fromkeys(match["unit"].strip() for match in matches if match))
    if len(units) > 1:
        raise ValueError(
            f"The lengths of {file_name} are in different units ({', '.join(units)}); "
            "bring them to the same one."
        )
    return units[0] if units else None
