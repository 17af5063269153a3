"""All that a table of points holds: their coordinates, and a feature for each other column.

>>> found = read_localizations("localizations.csv")
>>> found.points.shape, found.axis_labels, found.unit
((600, 2), ('y', 'x'), 'nm')
>>> list(found.features)
['id', 'frame', 'uncertainty [nm]']
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_sparse_gmm.arrays import bounds
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.chunked_tables import ChunkedTable
from napari_sparse_gmm.io.columns import (
    as_floats,
    common_unit,
    to_numbers,
    unit_or,
    with_position,
    without_flat_z,
)
from napari_sparse_gmm.io.duplicates import without_duplicates
from napari_sparse_gmm.io.formats import open_table
from napari_sparse_gmm.io.names import known_precision
from napari_sparse_gmm.io.table import MOST_COLUMNS, Table
from napari_sparse_gmm.io.tables import ColumnNames, columns_of_axes
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.observations import usable_precision


@dataclass(frozen=True, eq=False)
class Localizations:
    """Points with features.

    Attributes
    ----------
    points : (N, D) array
        In image axis order: (y, x), or (z, y, x).
    axis_labels : tuple of D str
    unit : str or None
        Of the points, as their columns name it.
    features : DataFrame of N rows
        The other columns as they are, by name.
    about : mapping
        Other metadata of the file.
    notes : tuple of str
        Sentences about what was left out.
    precision : str or None
        The feature with the precision of x and y, where its name does not say it.
    """

    points: FloatArray
    axis_labels: tuple[str, ...]
    unit: str | None
    features: pd.DataFrame
    about: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    precision: str | None = None

    @property
    def typical_precision(self) -> float | None:
        """Median precision of x and y, in the unit of the points, where a feature has it."""
        column = self.precision or known_precision(list(self.features), self.unit)
        if column is None:
            return None
        values = as_floats(self.features[column])
        values = values[usable_precision(values)]
        return float(np.median(values)) or None if len(values) else None


def read_localizations(path: str | Path, names: ColumnNames | None = None) -> Localizations:
    """Read a table as `read_points` does, and with all of its columns, up to a thousand.

    Parameters
    ----------
    path : path of the table
    names : ColumnNames, optional
        Those of the coordinates, where they are not to be found by their names.

    Raises
    ------
    NoCoordinates
        Where x or y is not found.
    InputError
        In one sentence: no such file, no rows, no column x or y, a coordinate that is not a
        number, or more rows than fit into memory.
    """
    return localizations_of(open_table(path), names)


def localizations_of(table: Table, names: ColumnNames | None = None) -> Localizations:
    """The same of a table that has been opened."""
    names = names or ColumnNames()
    axes = columns_of_axes(table, names)
    rows, notes = _rows(table, axes)
    coordinates = without_flat_z(_coordinates(table, axes, rows))
    n_columns, n_kept = len(table.columns), rows.shape[1]
    if n_kept < n_columns:
        notes += (f"Of {n_columns:,} columns of {table.name} the first {n_kept:,} are read.",)
    return Localizations(
        points=np.stack(list(coordinates.values()), axis=1),
        axis_labels=tuple(coordinates),
        unit=unit_or(
            common_unit([axes[axis] for axis in coordinates], table.name), names.unit, table.name
        ),
        features=_features(table, [axes[axis] for axis in coordinates], rows),
        about=table.about,
        notes=notes,
    )


@dataclass(frozen=True, eq=False)
class Sample:
    """Some rows of a table, and what is known of all.

    Attributes
    ----------
    localizations : Localizations
    n_points : int
        How many rows have a position.
    box : (2, D) array
        Their lower and upper corner.
    """

    localizations: Localizations
    n_points: int
    box: FloatArray


def sample_localizations(table: ChunkedTable, n: int, seed: int = 0) -> Sample:
    """About `n` rows of a table that is read part by part, each row as likely as any other, or all
    where there are no more; as `read_localizations` reads them.

    Raises
    ------
    InputError
        As that does.
    """
    rng, rate = np.random.default_rng(seed), min(1.0, n / max(1, table.n_rows))
    axes = dict(zip(table.axis_labels, table.columns, strict=True))
    n_points, boxes, points, features = 0, [], [], []
    notes: list[str] = []
    about: Mapping[str, Any] = {}
    for path, part in table.parts:
        opened = open_table(path, part)
        rows, told = _rows(opened, axes, needed=False)
        notes += told
        coordinates = np.stack(list(_coordinates(opened, axes, rows).values()), axis=1)
        if not len(rows):
            continue
        about = about or opened.about
        n_points += len(rows)
        boxes.append(bounds(coordinates))
        chosen = np.sort(rng.choice(len(rows), rng.binomial(len(rows), rate), replace=False))
        points.append(coordinates[chosen])
        features.append(_features(opened, list(axes.values()), rows.iloc[chosen]))
    if not n_points:
        raise InputError(f"{table.name} has no row with a position.")
    found = Localizations(
        points=np.concatenate(points),
        axis_labels=table.axis_labels,
        unit=table.unit,
        features=pd.concat(features, ignore_index=True),
        about=about,
        notes=tuple(dict.fromkeys(notes)),  # a program's are those of each part
    )
    corners = np.array(boxes)
    return Sample(found, n_points, np.stack([corners[:, 0].min(0), corners[:, 1].max(0)]))


def _rows(
    table: Table, axes: Mapping[str, str], *, needed: bool = True
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows that have a position, each once, and sentences about others; the columns are called
    by their places in the table.
    """
    positions = [table.columns.index(column) for column in axes.values()]
    kept = sorted({*range(min(len(table.columns), MOST_COLUMNS)), *positions})
    rows, notes = with_position(table.read(kept), positions, table.name, needed=needed)
    rows, repeated = without_duplicates(table, rows, positions)
    return rows, table.notes + notes + repeated


def _coordinates(
    table: Table, axes: Mapping[str, str], rows: pd.DataFrame
) -> dict[str, FloatArray]:
    return {
        axis: to_numbers(rows[table.columns.index(column)], column, table.name)
        for axis, column in axes.items()
    }


def _features(table: Table, coordinates: Sequence[str], rows: pd.DataFrame) -> pd.DataFrame:
    """All columns but those, by their names."""
    others = rows.drop(columns=[table.columns.index(column) for column in coordinates])
    numbers = Counter(table.columns)
    names = [_feature_name(table.columns[at], at, numbers) for at in others]
    return others.set_axis(names, axis=1).reset_index(drop=True)


def _feature_name(name: str, position: int, numbers: Mapping[str, int]) -> str:
    """What a column is called, with its number where that is nothing or not it alone."""
    return name if name and numbers[name] == 1 else f"{name or 'column'} {position + 1}"
