"""Text tables, as ThunderSTORM and many others write them.

>>> table = open_text(Path("localizations.csv"))
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from napari_sparse_gmm.io.dialects import sniff
from napari_sparse_gmm.io.table import Table, one_line

# The length of these first lines tells how many there are.
_SAMPLE_BYTES = 1 << 18


def open_text(path: Path) -> Table:
    """A text table with a header line, in any dialect that `io.dialects` knows.

    Raises
    ------
    ValueError
        Where the file is missing, empty or no text.
    """
    dialect = sniff(path)

    def load(positions: Sequence[int]) -> pd.DataFrame:
        try:
            return pd.read_csv(
                path,
                sep=dialect.separator,
                decimal=dialect.decimal,
                encoding=dialect.encoding,
                encoding_errors="replace",
                low_memory=False,
                header=None,
                skiprows=1,
                usecols=sorted(positions),
            )
        except pd.errors.EmptyDataError:
            raise ValueError(f"{path.name} has a header but no rows.") from None
        except pd.errors.ParserError as error:
            raise ValueError(f"{path.name} is not a regular table: {one_line(error)}.") from None

    return Table(path.name, dialect.header, _count_rows(path), load, {"format": "text table"})


def _count_rows(path: Path) -> int:
    """About how many rows there are; exact where the file is small."""
    with path.open("rb") as file:
        sample = file.read(_SAMPLE_BYTES)
    return round(path.stat().st_size / len(sample) * sample.count(b"\n"))
