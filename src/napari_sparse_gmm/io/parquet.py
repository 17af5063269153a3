"""Parquet files.

>>> table = open_parquet(Path("localizations.parquet"))
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from napari_sparse_gmm.io.table import Table, listing, one_line


def open_parquet(path: Path) -> Table:
    """A Parquet file.

    Raises
    ------
    ValueError
        Where the file is damaged.
    """
    with _opened(path) as file:
        schema, n_rows = file.schema_arrow, file.metadata.num_rows

    def load(positions: Sequence[int]) -> pd.DataFrame:
        nested = [schema.names[at] for at in positions if pa.types.is_nested(schema.types[at])]
        if nested:
            raise ValueError(
                f"{path.name} has lists or records in place of single values in {listing(nested)}; "
                "write it without these columns."
            )
        with _opened(path) as file:
            rows = file.read([schema.names[at] for at in positions])
        # An index of pandas is a column like any other.
        frame = rows.to_pandas(ignore_metadata=True)
        return frame[[schema.names[at] for at in positions]].set_axis(list(positions), axis=1)

    return Table(path.name, tuple(schema.names), n_rows, load, {"format": "Parquet"})


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{path.name} is a Parquet file that cannot be read: {one_line(error)}."
        ) from error
