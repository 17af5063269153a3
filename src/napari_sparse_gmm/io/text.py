"""Text tables, as ThunderSTORM and many others write them.

>>> open_text(Path("localizations.csv")).columns
('id', 'frame', 'x [nm]', 'y [nm]', 'uncertainty [nm]')
"""

import codecs
import csv
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from itertools import pairwise, takewhile
from mmap import ACCESS_READ, mmap
from operator import methodcaller
from pathlib import Path
from typing import BinaryIO, TextIO

import pandas as pd

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.dialects import SPACES, Dialect, cells, sniff
from napari_sparse_gmm.io.files import damage, is_compressed, one_line, opened
from napari_sparse_gmm.io.table import MAX_BYTES, Table, listing

# The number of lines is estimated from the length of these first ones.
_SAMPLE_BYTES = 1 << 18
# As much of the end is looked at for what are no rows.
_BELOW_BYTES = 1 << 16
# No line above the rows is longer; the header is among the last ones, with names and units below.
_LONGEST, _HEADERS = 1 << 20, 5


def open_text(path: Path, lines: tuple[int, ...] | None = None) -> Table:
    """A text table with a header line, in any dialect that `io.dialects` knows; or the lines of it
    between two bytes.

    Raises
    ------
    InputError
        Where the file is missing, empty or no text, or has a single column.
    """
    dialect = sniff(path)
    # What is compressed is decompressed once, and not for each look at it.
    plain = _decompressed(path) if is_compressed(path) else path
    n_columns = len(dialect.header)
    if len(dialect.header) == 1:
        raise InputError(
            f"{path.name} has a single column, {listing(dialect.header)}: a table of points has "
            "more, with commas, semicolons, tabs or spaces between them."
        )

    def load(positions: Sequence[int]) -> pd.DataFrame:
        try:
            with _rows(plain, dialect, lines, again) as file:
                frame = pd.read_csv(
                    file,
                    sep=dialect.separator,
                    decimal=dialect.decimal,
                    thousands=dialect.thousands,
                    low_memory=False,
                    header=None,
                    usecols=sorted(positions),
                    # The first row of a part may be a short one.
                    **({} if lines is None else {"names": range(n_columns), "index_col": False}),
                )
            long = _long_row(plain, dialect, lines, again)
            if lines is None or lines[1] == size:
                frame = frame.iloc[: len(frame) - _n_below(plain, dialect)]
        except pd.errors.EmptyDataError:
            if lines is not None:
                return pd.DataFrame(columns=sorted(positions))
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

    again = _again(plain, dialect, lines)
    # Words take what they take in the file, and a reference.
    n_rows = _count_rows(plain)
    size = plain.stat().st_size
    width = 8 + size / max(1, n_rows * n_columns)
    each = size / max(1, n_rows)
    if lines is not None:
        n_rows = round((lines[1] - lines[0]) / each)

    def parts(n: int) -> list[tuple[int, ...]]:
        return list(pairwise(_line_ends(path, dialect, max(1, round(n * each)))))

    if plain is not path:
        weakref.finalize(load, plain.unlink, missing_ok=True)
    return Table(
        path.name,
        dialect.header,
        n_rows,
        [width] * n_columns,
        load,
        {"format": "text table"},
        # Of what is compressed no part can be read without all that comes before.
        parts=None if plain is not path else parts,
        is_part=lines is not None,
        notes=(
            f"Lines of {path.name} that repeat those above its rows, as where tables are joined, "
            f"are left out: {len(again):,}.",
        )
        * bool(again),
    )


def _line_ends(path: Path, dialect: Dialect, size: int) -> list[int]:
    """Where the rows begin, where lines end about so many bytes apart, and where the file ends."""
    end = path.stat().st_size
    with path.open("rb") as file:
        for _ in range(dialect.n_above):
            file.readline()
        if dialect.encoding == "utf-16" or file.tell() == end:  # whose lines end otherwise
            return [0, end]
        found = [file.tell()]
        n_quotes = 0
        while more := file.read(size):
            n_quotes += more.count(b'"')
            # A line goes on where a quote has not ended.
            while line := file.readline():
                n_quotes += line.count(b'"')
                if n_quotes % 2 == 0:
                    break
            found.append(file.tell())
    return found


def _again(
    path: Path, dialect: Dialect, lines: tuple[int, ...] | None
) -> tuple[tuple[int, int], ...]:
    """From where to where the lines are, less their ends, that repeat one of those above the rows,
    in the whole table or in some `lines` of it: it was joined from several, header and all.
    """
    if dialect.encoding == "utf-16":  # whose lines end otherwise
        return ()
    with path.open("rb") as file:
        above = [_bare(file.readline(_LONGEST)) for _ in range(dialect.n_above)]
        place, end = (file.tell(), path.stat().st_size) if lines is None else lines[:2]
        place = max(place, file.tell())
        headers, known = set(above[-_HEADERS:]) - {b""}, set(above) - {b""}
        with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            # Most tables are not, which takes no time to be found.
            if all(content.find(header, place, end) < 0 for header in headers):
                return ()
            found, most = [], max(map(len, known)) + len(codecs.BOM_UTF8) + 1
            while place < end:
                last = content.find(b"\n", place, end)
                last = end if last < 0 else last
                if last - place <= most and _bare(content[place:last]) in known:
                    found.append((place, last))
                place = last + 1
    return tuple(found)


def _bare(line: bytes) -> bytes:
    """A line less what may stand before the first one of a file, and less its end."""
    return line.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n")


@contextmanager
def _rows(
    path: Path,
    dialect: Dialect,
    lines: tuple[int, ...] | None,
    again: tuple[tuple[int, int], ...],
) -> Iterator[TextIO]:
    """The file at its first row, or lines of it; what is there `again` is left out, so that its
    lines are empty.
    """
    if lines is not None and lines[0] > 0:
        with path.open("rb") as binary:
            yield TextIOWrapper(
                BytesIO(_between(binary, lines[0], lines[1], again)),
                dialect.encoding,
                errors="replace",
                newline="",
            )
        return
    with path.open("rb") as binary:
        whole = BytesIO(_between(binary, 0, path.stat().st_size, again)) if again else binary
        file = TextIOWrapper(whole, dialect.encoding, errors="replace", newline="")
        for _ in range(dialect.n_above):
            file.readline()
        yield file


def _between(file: BinaryIO, start: int, end: int, left_out: tuple[tuple[int, int], ...]) -> bytes:
    """The bytes from one place to another, less what is left out."""
    ends = [start, *(place for pair in left_out for place in pair), end]
    pieces = []
    for first, last in zip(ends[::2], ends[1::2], strict=True):
        file.seek(first)
        pieces.append(file.read(last - first))
    return b"".join(pieces)


def _long_row(
    path: Path,
    dialect: Dialect,
    lines: tuple[int, ...] | None,
    again: tuple[tuple[int, int], ...],
) -> tuple[int, int] | None:
    """The line and the length of the first row with more cells than the header, if there is one;
    of the `lines` that are looked at.

    pandas cuts such rows. Empty cells do not count: some programs end each row with a separator.
    """
    n_columns = len(dialect.header)
    # Most tables have no separator too many, which is soon found; only the others are read with
    # an eye to quotes.
    if dialect.encoding != "utf-16" and _most_cells(path, dialect, lines) <= n_columns:
        return None
    with _rows(path, dialect, lines, again) as file:
        for number, row in _numbered(file, dialect.separator):
            if any(cell.strip() for cell in row[n_columns:]):
                return dialect.n_above + number, len(row)
    return None


def _most_cells(path: Path, dialect: Dialect, lines: tuple[int, ...] | None) -> int:
    """How many cells a line has at most, where each separator is one; in bytes, for it takes half
    of the time.
    """
    with path.open("rb") as file:
        if lines is not None and lines[0] > 0:
            rows: BinaryIO = BytesIO(_between(file, lines[0], lines[1], ()))
        else:
            rows = file
            for _ in range(dialect.n_above):
                rows.readline()
        if dialect.separator == SPACES:
            return max(map(len, map(bytes.split, rows)), default=0)
        separator = methodcaller("count", dialect.separator.encode())
        return 1 + max(map(separator, rows), default=0)


def _numbered(file: TextIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, and the number of the line that it ends with."""
    if separator == SPACES:
        for number, line in enumerate(file, start=1):
            yield number, cells(line, separator)
    else:
        reader = csv.reader(file, delimiter=separator)
        for row in reader:
            yield reader.line_num, row


def _n_below(path: Path, dialect: Dialect) -> int:
    """How many lines with a single cell stand below the rows, as Zeiss writes how it measured."""
    if dialect.separator == SPACES or dialect.encoding == "utf-16":
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _BELOW_BYTES))
        end = file.read().splitlines()[1:]
    sign = dialect.separator.encode()
    # A line in quotes may be part of a row.
    below = takewhile(lambda line: sign not in line and b'"' not in line, reversed(end))
    return sum(1 for line in below if line.strip())


def _count_rows(path: Path) -> int:
    """About how many rows there are; exact where the file is small."""
    with path.open("rb") as file:
        sample = file.read(_SAMPLE_BYTES)
    lines = max(map(sample.count, (b"\n", b"\r")))
    return round(path.stat().st_size / max(1, len(sample)) * lines)


def _decompressed(path: Path) -> Path:
    """A temporary file of what is in a compressed one.

    Raises
    ------
    InputError
        Where it is damaged, or a few bytes stand for more than can be read.
    """
    with tempfile.NamedTemporaryFile(suffix=".csv", delete=False) as plain:
        try:
            with damage(path.name, "a compressed"), opened(path) as file:
                size = 0
                while more := file.read(_SAMPLE_BYTES):
                    size += plain.write(more)
                    if size > MAX_BYTES:
                        raise InputError(
                            f"{path.name} has more than {MAX_BYTES / 1e9:g} GB when it is "
                            "decompressed: decompress it, and open what comes of that."
                        )
        except BaseException:
            plain.close()
            Path(plain.name).unlink()
            raise
    return Path(plain.name)
