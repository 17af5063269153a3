"""Tables that are read part by part: a folder of files, or one that does not fit in memory.

>>> table = open_chunked("localizations.parquet")
>>> table.axis_labels, table.unit, table.n_rows
(('y', 'x'), 'nm', 600)
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_sparse_gmm.chunked import Chunked
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.formats import open_table
from napari_sparse_gmm.io.names import known_precision
from napari_sparse_gmm.io.table import Table
from napari_sparse_gmm.io.tables import AUTO, ColumnNames, points_of
from napari_sparse_gmm.observations import Observations

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
    """

    chunked: Chunked
    axis_labels: tuple[str, ...]
    columns: tuple[str, ...]
    unit: str | None
    precision: tuple[str, ...]
    n_rows: int


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
    tables = [table for file in files for table in _parts(file)]
    parts = [_Part(str(file), k, names) for file in files for k in range(len(_parts(file)))]
    first = points_of(tables[0], names)
    found = dict(zip(first.axis_labels, first.columns, strict=True))
    # A z that is the same in the first part and in the last one is no axis.
    if "z" not in found and len(tables) > 1 and names.x is None:
        last = points_of(tables[-1], names)
        found = dict(zip(last.axis_labels, last.columns, strict=True))
    precision, precision_z = names.precision, names.precision_z
    if precision == AUTO:
        precision = first.precision[0] if first.precision else None
        if precision is not None and precision_z is None and "z" in found:
            precision_z = known_precision(tables[0].columns, first.unit, axial=True)
    known = ColumnNames(
        found["x"], found["y"], found.get("z"), names.weight, precision, precision_z
    )
    return ChunkedTable(
        Chunked([replace(part, names=known) for part in parts], len(found)),
        tuple(found),
        tuple(found.values()),
        first.unit,
        first.precision,
        sum(table.n_rows for table in tables),
    )


@dataclass(frozen=True)
class _Part:
    """Part `k` of the table in a file."""

    path: str
    k: int
    names: ColumnNames

    def load(self) -> Observations:
        table = _parts(Path(self.path))[self.k]
        return points_of(table, self.names).observations

    @property
    def delayed(self) -> Any:
        from dask.delayed import delayed

        return delayed(self.load, pure=False)()


def _files(path: Path) -> list[Path]:
    """The tables that are meant by a path."""
    if not path.is_dir():
        return [path]
    found = sorted(
        file
        for file in path.iterdir()
        if file.suffix.lower() in _ENDINGS and not file.name.startswith((".", "_"))
    )
    if not found:
        raise InputError(f"There is no table in the folder {path}: none of {', '.join(_ENDINGS)}.")
    return found


def _parts(path: Path) -> list[Table]:
    table = open_table(path)
    if table.parts is None or table.n_rows <= _ROWS:
        return [table]
    return table.parts(_ROWS)
