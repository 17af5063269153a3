"""Text tables, as ThunderSTORM and many others write them.

>>> open_text(Path("localizations.csv")).columns
('id', 'frame', 'x [nm]', 'y [nm]', 'uncertainty [nm]')
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from itertools import pairwise
from operator import methodcaller
from pathlib import Path
from typing import TextIO

import pandas as pd

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.dialects import SPACES, Dialect, cells, sniff
from napari_sparse_gmm.io.files import one_line
from napari_sparse_gmm.io.table import Table, listing

# The number of lines is estimated from the length of these first ones.
_SAMPLE_BYTES = 1 << 18


def open_text(path: Path, lines: tuple[int, int] | None = None) -> Table:
    """A text table with a header line, in any dialect that `io.dialects` knows; or the lines of it
    between two bytes.

    Raises
    ------
    InputError
        Where the file is missing, empty or no text, or has a single column.
    """
    dialect = sniff(path)
    if len(dialect.header) == 1:
        raise InputError(
            f"{path.name} has a single column, {listing(dialect.header)}: a table of points has "
            "more, with commas, semicolons, tabs or spaces between them."
        )

    def load(positions: Sequence[int]) -> pd.DataFrame:
        try:
            with _rows(path, dialect, lines) as file:
                frame = pd.read_csv(
                    file,
                    sep=dialect.separator,
                    decimal=dialect.decimal,
                    low_memory=False,
                    header=None,
                    usecols=sorted(positions),
                )
            long = _long_row(path, dialect, lines)
        except pd.errors.EmptyDataError:
            raise InputError(f"{path.name} has a header but no rows.") from None
        except (ValueError, csv.Error) as error:
            raise InputError(f"{path.name} is not a regular table: {one_line(error)}.") from None
        if long is not None:
            line, n_cells = long
            raise InputError(
                f"Line {line} of {path.name} has {n_cells} cells, and the header "
                f"{len(dialect.header)}; give each column a name, or remove what is too much in "
                "that line."
            )
        return frame

    # Words take what they take in the file, and a reference.
    n_rows, n_columns = _count_rows(path), len(dialect.header)
    size = path.stat().st_size
    width = 8 + size / max(1, n_rows * n_columns)
    each = size / max(1, n_rows)
    if lines is not None:
        n_rows = round((lines[1] - lines[0]) / each)

    def parts(n: int) -> list[Table]:
        return [
            open_text(path, own) for own in pairwise(_line_ends(path, dialect, round(n * each)))
        ]

    about, widths = {"format": "text table"}, [width] * n_columns
    return Table(path.name, dialect.header, n_rows, widths, load, about, parts=parts)


def _line_ends(path: Path, dialect: Dialect, size: int) -> list[int]:
    """Where the rows begin, where lines end about so many bytes apart, and where the file ends."""
    end = path.stat().st_size
    with path.open("rb") as file:
        if dialect.encoding == "utf-16":  # whose lines end otherwise
            return [0, end]
        for _ in range(dialect.n_above):
            file.readline()
        found = [file.tell()]
        while found[-1] + size < end:
            file.seek(found[-1] + size)
            file.readline()
            found.append(file.tell())
    return found if found[-1] == end else [*found, end]


@contextmanager
def _rows(path: Path, dialect: Dialect, lines: tuple[int, int] | None = None) -> Iterator[TextIO]:
    """The file at its first row, or lines of it."""
    if lines is not None and lines[0] > 0:
        with path.open("rb") as binary:
            binary.seek(lines[0])
            own = binary.read(lines[1] - lines[0])
        yield TextIOWrapper(BytesIO(own), dialect.encoding, errors="replace", newline="")
        return
    with path.open(encoding=dialect.encoding, errors="replace", newline="") as file:
        for _ in range(dialect.n_above):
            file.readline()
        yield file


def _long_row(
    path: Path, dialect: Dialect, lines: tuple[int, int] | None
) -> tuple[int, int] | None:
    """The line and the length of the first row with more cells than the header, if there is one;
    of the `lines` that are looked at.

    pandas cuts such rows. Empty cells do not count: some programs end each row with a separator.
    """
    n_columns = len(dialect.header)
    # Most tables have no separator too many, which is soon found; only the others are read with
    # an eye to quotes.
    split = methodcaller("split", None if dialect.separator == SPACES else dialect.separator)
    with _rows(path, dialect, lines) as file:
        if max(map(len, map(split, file)), default=0) <= n_columns:
            return None
    with _rows(path, dialect, lines) as file:
        for number, row in _numbered(file, dialect.separator):
            if any(cell.strip() for cell in row[n_columns:]):
                return dialect.n_above + number, len(row)
    return None


def _numbered(file: TextIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, and the number of the line that it ends with."""
    if separator == SPACES:
        for number, line in enumerate(file, start=1):
            yield number, cells(line, separator)
    else:
        reader = csv.reader(file, delimiter=separator)
        for row in reader:
            yield reader.line_num, row


def _count_rows(path: Path) -> int:
    """About how many rows there are; exact where the file is small."""
    with path.open("rb") as file:
        sample = file.read(_SAMPLE_BYTES)
    return round(path.stat().st_size / len(sample) * max(map(sample.count, (b"\n", b"\r"))))
