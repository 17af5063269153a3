"""A table in a file: what its columns are called is known before its rows are read.

>>> from napari_sparse_gmm.io.parquet import open_parquet
>>> table = open_parquet(Path("localizations.parquet"))
>>> table.columns, table.n_rows
(('id', 'frame', 'x [nm]', 'y [nm]', 'uncertainty [nm]'), 600)
>>> table.read([2, 3]).shape
(600, 2)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from napari_sparse_gmm.errors import InputError

# More than that would fill the memory of most machines, with the copies that are made of it.
MAX_BYTES = 4e9

# napari takes 0.15 ms for each feature, and a list of more is no list to choose from.
MOST_COLUMNS = 1000

# As many names are listed in a message; a file that is no table may seem to have thousands.
_LISTED = 20
_SHOWN = 40


@dataclass(frozen=True, eq=False)
class Table:
    """A table that has been opened, but not read.

    Attributes
    ----------
    name : str
        Name of its file.
    columns : tuple of str
        With the unit in brackets where the file has it.
    n_rows : int
        An estimate where the file does not say.
    widths : sequence of float
        Bytes that a cell of each column takes in memory.
    load : callable
        Makes a frame of the columns at these positions, which are what its columns are called.
    about : mapping
        Other metadata of the file, for those of a layer.
    positions : mapping
        The column of each axis, where it is known from the program that wrote the file.
    parts : callable, optional
        What parts of about so many rows are called by `open_table`, where it can be read so.
    is_part : bool
        Whether it is part of a table, and may have no rows.
    notes : tuple of str
        Sentences about what of the file is in no row, or is taken for something else than it may
        seem.
    """

    name: str
    columns: tuple[str, ...]
    n_rows: int
    widths: Sequence[float]
    load: Callable[[Sequence[int]], pd.DataFrame]
    about: Mapping[str, Any]
    positions: Mapping[str, str] = field(default_factory=dict)
    parts: Callable[[int], list[tuple[int, ...]]] | None = None
    is_part: bool = False
    notes: tuple[str, ...] = ()

    def read(self, positions: Sequence[int]) -> pd.DataFrame:
        """The columns at these positions, which are what the columns of the frame are called.

        Raises
        ------
        InputError
            Where there are no rows, or too many, or the file is damaged.
        """
        size = self.n_rows * sum(max(8, self.widths[at]) for at in positions)
        if size > MAX_BYTES:
            raise InputError(
                f"{self.name} has about {self.n_rows:,} rows, {size / 1e9:,.1f} GB in memory with "
                f"the {len(positions)} columns that are asked for; at most {MAX_BYTES / 1e9:g} GB "
                "can be read: divide it into smaller files, or leave out columns."
            )
        frame = self.load(positions)
        if frame.empty and not self.is_part:
            raise InputError(f"{self.name} has no rows.")
        return frame


def listing(names: Sequence[str]) -> str:
    """Names of columns for a message."""
    shown = [repr(shortened(name)) for name in names[:_LISTED]]
    return ", ".join(shown + ["…"] * (len(names) > _LISTED))


def shortened(text: str) -> str:
    """The beginning of a text, for a message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def refuse_nested(
    file_name: str, columns: Sequence[str], what: str = "lists or records in place of single values"
) -> None:
    """An InputError where there are any: these columns hold more than one value in a row."""
    if columns:
        raise InputError(
            f"{file_name} has {what} in {listing(columns)}; write it without these columns."
        )
