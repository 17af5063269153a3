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
from napari_sparse_gmm.io.table import Table, one_line, refuse_nested


def open_parquet(path: Path) -> Table:
    """A Parquet file.

    Raises
    ------
    InputError
        Where the file is damaged or has no columns.
    """
    with _opened(path) as file:
        schema, n_rows = file.schema_arrow, file.metadata.num_rows
    names = tuple(schema.names)
    if not names:
        raise InputError(f"{path.name} has no columns: a table of points needs at least x and y.")

    def load(positions: Sequence[int]) -> pd.DataFrame:
        refuse_nested(
            path.name, [names[at] for at in positions if pa.types.is_nested(schema.types[at])]
        )
        wanted = [names[at] for at in positions]
        with _opened(path) as file:
            # pyarrow reads columns by their names, and all of those that share one.
            if len(set(names)) == len(names):
                rows = file.read(wanted).select(wanted)
            else:
                rows = file.read().select(list(positions))
            # An index of pandas is a column like any other.
            frame = rows.to_pandas(ignore_metadata=True)
        return frame.set_axis(list(positions), axis=1)

    return Table(path.name, names, n_rows, load, {"format": "Parquet"})


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path.name} is a Parquet file that cannot be read: {one_line(error)}."
        ) from error
