"""Parquet files.

>>> open_parquet(Path("localizations.parquet")).n_rows
600
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.files import damage
from napari_sparse_gmm.io.table import MAX_BYTES, Table, refuse_nested

# Rows that are read at a time.
_AT_ONCE = 4096


def open_parquet(path: Path, groups: Sequence[int] | None = None) -> Table:
    """A Parquet file, or some of its groups of rows.

    Raises
    ------
    InputError
        Where the file is damaged or has no columns.
    """
    with _opened(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
    sizes = [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]
    n_rows = metadata.num_rows if groups is None else sum(sizes[k] for k in groups)
    names, types = tuple(schema.names), schema.types
    if not names:
        raise InputError(f"{path.name} has no columns: a table of points needs at least x and y.")

    def load(positions: Sequence[int]) -> pd.DataFrame:
        refuse_nested(path.name, [names[at] for at in positions if pa.types.is_nested(types[at])])
        wanted = [names[at] for at in positions]
        with _opened(path) as file:
            # pyarrow reads columns by their names, and all of those that share one.
            alone = len(set(names)) == len(names)
            rows = _rows(file, path.name, wanted if alone else None, groups)
            rows = rows.select(wanted if alone else list(positions))
            # An index of pandas is a column like any other.
            frame = rows.to_pandas(ignore_metadata=True)
        return frame.set_axis(list(positions), axis=1)

    def parts(size: int) -> list[tuple[int, ...]]:
        """Groups of rows next to each other, until they have as many."""
        found: list[list[int]] = []
        n = 0
        for k, own in enumerate(sizes):
            if not found or n + own > size:
                found.append([])
                n = 0
            found[-1].append(k)
            n += own
        return list(map(tuple, found))

    widths = list(map(_width, types))
    about, is_part = {"format": "Parquet"}, groups is not None
    return Table(path.name, names, n_rows, widths, load, about, parts=parts, is_part=is_part)


def _width(column: pa.DataType) -> float:
    """Bytes of a cell; 8 of one whose length differs from row to row."""
    try:
        return column.bit_width / 8
    except ValueError:
        return 8


def _rows(
    file: pq.ParquetFile, name: str, columns: list[str] | None, groups: Sequence[int] | None
) -> pa.Table:
    """The rows, some at a time: a few bytes may stand for many words."""
    batches, size = [], 0
    for batch in file.iter_batches(_AT_ONCE, columns=columns, row_groups=groups):
        batches.append(batch)
        size += batch.nbytes
        if size > MAX_BYTES:
            raise InputError(
                f"{name} has more than {MAX_BYTES / 1e9:g} GB of words: leave these columns out."
            )
    return pa.Table.from_batches(batches) if batches else file.schema_arrow.empty_table()


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    with damage(path.name, "a Parquet"), pq.ParquetFile(path) as file:
        yield file
