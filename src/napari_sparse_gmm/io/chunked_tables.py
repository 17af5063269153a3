"""Tables that are read part by part: a folder of files, or one that does not fit in memory.

>>> table = open_chunked("localizations.parquet")
>>> table.axis_labels, table.unit, table.n_rows
(('y', 'x'), 'nm', 600)
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparse_gmm.chunked import Chunked, Noted
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.columns import common_unit
from napari_sparse_gmm.io.formats import is_folder_of_tables, open_table
from napari_sparse_gmm.io.names import known_precision
from napari_sparse_gmm.io.table import Table
from napari_sparse_gmm.io.tables import AUTO, ColumnNames, PointTable, columns_of_axes, points_of
from napari_sparse_gmm.observations import FloatArray, Observations
from napari_sparse_gmm.ranges import Range

# A part of a table, as `open_table` takes it: its file, and which one of `Table.parts`; None is all
# of it.
Part = tuple[str, tuple[int, ...] | None]

# Rows of a part, about.
_ROWS = 1 << 20
# What tables in a folder are called.
_ENDINGS = (".parquet", ".csv", ".txt", ".tsv", ".hdf5", ".h5")


@dataclass(frozen=True, eq=False)
class ChunkedTable:
    """Points in a table that is read part by part.

    Parameters
    ----------
    chunked : Chunked
        In image axis order.
    axis_labels, columns, precision : tuple of str
    unit : str or None
        As those of a `PointTable`.
    n_rows : int
        How many rows there are; of text tables, about.
    parts : tuple of Part
        What is read, chunk by chunk.
    name : str
        Of the file or the folder.
    ranges : tuple of Range
        As those of a `PointTable`.
    """

    chunked: Chunked
    axis_labels: tuple[str, ...]
    columns: tuple[str, ...]
    unit: str | None
    precision: tuple[str, ...]
    n_rows: int
    parts: tuple[Part, ...]
    name: str
    ranges: tuple[Range, ...] = ()

    def seen(self) -> Iterator[tuple[Observations, FloatArray | None]]:
        """The points of each chunk, and in which frame each was seen, where the table says that."""
        for chunk in self.chunked.chunks:
            assert isinstance(chunk, _Points)
            table = chunk.table(frame=AUTO)
            yield table.observations, table.frames

    @property
    def files(self) -> tuple[Path, ...]:
        """What is read."""
        return tuple(map(Path, dict.fromkeys(path for path, _ in self.parts)))


def open_chunked(path: str | Path, names: ColumnNames | None = None) -> ChunkedTable:
    """A table of any format, or a folder of tables with the same columns.

    What columns mean is read off the first part. Rows without a position are left out, and those
    without a precision, where there is one.

    Parameters
    ----------
    path : path of a file or a folder
    names : ColumnNames, optional
        As `read_points` takes them; groups and frames are not read.

    Raises
    ------
    InputError
        Where there is no such table, no such column, or no row.
    """
    names = ColumnNames(precision=AUTO) if names is None else names
    files = _files(Path(path))
    tables = [open_table(file) for file in files]
    parts = [
        (str(file), part)
        for file, table in zip(files, tables, strict=True)
        for part in _parts(table)
    ]
    found = columns_of_axes(tables[0], names)
    precision, precision_z = names.precision, names.precision_z
    if precision == AUTO:
        unit = common_unit(list(found.values()), tables[0].name)
        precision = known_precision(tables[0].columns, unit)
        if precision is not None and precision_z is None and "z" in found:
            precision_z = known_precision(tables[0].columns, unit, axial=True)
    known = ColumnNames(
        found["x"],
        found["y"],
        found.get("z"),
        names.weight,
        precision,
        precision_z,
        ranges=names.ranges,
        unit=names.unit,
    )
    if precision is not None and names.precision == AUTO and not _has_precision(parts, known):
        known = replace(known, precision=None, precision_z=None)
    if names.names_no_axis and "z" in found and _is_flat(parts, known):
        del found["z"]
        known = replace(known, z=None, precision_z=None)
    first = points_of(open_table(*parts[0]), known)
    return ChunkedTable(
        Chunked([_Points(*part, known) for part in parts], len(found)),
        tuple(found),
        tuple(found.values()),
        first.unit,
        first.precision,
        sum(table.n_rows for table in tables),
        tuple(parts),
        Path(path).name,
        names.ranges,
    )


def _some(parts: list[Part]) -> list[Part]:
    """The first, one in the middle, and the last."""
    return [parts[k] for k in sorted({0, len(parts) // 2, len(parts) - 1})]


def _is_flat(parts: list[Part], names: ColumnNames) -> bool:
    """Whether z is the same in parts from all over the table."""
    z = [points_of(open_table(*part), names).points[:, 0] for part in _some(parts)]
    return bool(np.ptp(np.concatenate(z)) == 0) if any(map(len, z)) else False


def _has_precision(parts: list[Part], names: ColumnNames) -> bool:
    """Whether some points of such parts have a precision."""
    return any(len(points_of(open_table(*part), names).points) for part in _some(parts))


@dataclass(frozen=True)
class _Points:
    """The points of a part of a table."""

    path: str
    part: tuple[int, ...] | None
    names: ColumnNames

    def table(self, frame: str | None = None) -> PointTable:
        """These, with the frames that are in a column."""
        return points_of(open_table(self.path, self.part), replace(self.names, frame=frame))

    def load(self) -> Observations:
        table = self.table()
        seen = table.observations
        return Noted(seen.points, seen.weights, seen.noise, table.notes)

    @property
    def delayed(self) -> Any:
        from dask.delayed import delayed

        return delayed(self.load, pure=False)()


def tables_in(folder: Path) -> list[Path]:
    """What a folder has that is a table by its name, in the order of the names."""
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in _ENDINGS and not file.name.startswith((".", "_"))
    )


def _files(path: Path) -> list[Path]:
    """The tables that are meant by a path."""
    if not is_folder_of_tables(path):
        return [path]
    found = tables_in(path)
    if not found:
        raise InputError(f"There is no table in the folder {path}: none of {', '.join(_ENDINGS)}.")
    return found


def _parts(table: Table) -> list[tuple[int, ...] | None]:
    if table.parts is None or table.n_rows <= _ROWS:
        return [None]
    return [*table.parts(_ROWS)]
