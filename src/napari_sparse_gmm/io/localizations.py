"""All that a table of points holds: their coordinates, and a feature for each other column.

>>> found = read_localizations("localizations.csv")
>>> found.points.shape, found.axis_labels, found.unit
((600, 2), ('y', 'x'), 'nm')
>>> list(found.features)
['id', 'frame', 'uncertainty [nm]']
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.columns import (
    as_floats,
    common_unit,
    find_coordinates,
    to_numbers,
    with_position,
    without_flat_z,
)
from napari_sparse_gmm.io.formats import open_table
from napari_sparse_gmm.io.names import known_precision, matching
from napari_sparse_gmm.io.table import listing
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.observations import usable_precision

# napari takes 0.15 ms for each feature, and a list of more is no list to choose from.
_MOST_COLUMNS = 1000


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
    """

    points: FloatArray
    axis_labels: tuple[str, ...]
    unit: str | None
    features: pd.DataFrame
    about: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def typical_precision(self) -> float | None:
        """Median precision of x and y, in the unit of the points, where a feature has it."""
        column = known_precision(list(self.features), self.unit)
        if column is None:
            return None
        values = as_floats(self.features[column])
        values = values[usable_precision(values)]
        return float(np.median(values)) or None if len(values) else None


def read_localizations(path: str | Path) -> Localizations:
    """Read a table as `read_points` does, and with all of its columns, up to a thousand.

    Raises
    ------
    InputError
        In one sentence: no such file, no rows, no column x or y, a coordinate that is not a
        number, or more rows than fit into memory.
    """
    table = open_table(path)
    missing = [axis for axis in "xy" if not matching(table.columns, axis)]
    if missing and not table.positions:
        raise InputError(
            f"{table.name} has no column {' and no column '.join(map(repr, missing))}, so it is no "
            f"table of points; its columns are {listing(table.columns)}."
        )
    axes = table.positions or find_coordinates(table.columns, table.name)
    positions = {axis: table.columns.index(column) for axis, column in axes.items()}
    n_columns = len(table.columns)
    kept = sorted({*range(min(n_columns, _MOST_COLUMNS)), *positions.values()})
    frame, notes = with_position(table.read(kept), positions.values(), table.name)
    if len(kept) < n_columns:
        notes += (f"Of {n_columns:,} columns of {table.name} the first {len(kept):,} are read.",)
    coordinates = without_flat_z(
        {
            axis: to_numbers(frame[position], axes[axis], table.name)
            for axis, position in positions.items()
        }
    )
    features = frame.drop(columns=[positions[axis] for axis in coordinates])
    numbers = Counter(table.columns)
    names = [_feature_name(table.columns[at], at, numbers) for at in features]
    return Localizations(
        points=np.stack(list(coordinates.values()), axis=1),
        axis_labels=tuple(coordinates),
        unit=common_unit([axes[axis] for axis in coordinates], table.name),
        features=features.set_axis(names, axis=1).reset_index(drop=True),
        about=table.about,
        notes=notes,
    )


def _feature_name(name: str, position: int, numbers: Mapping[str, int]) -> str:
    """What a column is called, with its number where that is nothing or not it alone."""
    return name if name and numbers[name] == 1 else f"{name or 'column'} {position + 1}"
