"""How a text table is written: what separates its cells, and where the decimals begin.

>>> sniff(Path("localizations.csv")).header
('id', 'frame', 'x [nm]', 'y [nm]', 'uncertainty [nm]')
"""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.files import readable_file

# White space, where there is none of the others; as regular expressions and pandas write it.
SPACES = r"\s+"
_SEPARATORS = ",;\t"

# As much of a table as is looked at, for a file that is no text may be one endless line; and as
# many characters of it for the decimal sign.
_HEAD_BYTES = 1 << 20
_SAMPLE = 1 << 16

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# Above the header: an empty line, or a comment.
_PASSED_OVER = re.compile(r"\s*(#|$)")

# No text has them.
_CONTROLS = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f]")

# A header line that was taken for one cell and quoted as such, as in some tables of ThunderSTORM
# that have been through another program: "x [nm],""y [nm]"""
_QUOTED_ONCE = re.compile(r'"((?:[^"]|"")*)"')

# A cell between spaces: in quotes, or with its unit behind it, as in: x [nm] y [nm]
_WORD = re.compile(r'"([^"]*)"|(\S++(?:\s++[\[(][^\])]{0,40}[\])])?)')

_NUMBER = re.compile(r"[-+]?((\d++(?:[.,]\d*+)?|[.,]\d++)(e[-+]?\d++)?|nan|inf)", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """Encoding, separator, decimal sign and column names of a text table.

    `n_above` lines stand above its rows: the header, and what comes before that.
    """

    encoding: str
    separator: str
    decimal: str
    header: tuple[str, ...]
    n_above: int


def sniff(path: Path) -> Dialect:
    """The dialect of a table, from its first lines.

    Empty lines above the header, and those that begin with #, are passed over; but the header may
    be one of the latter.

    Raises
    ------
    InputError
        Where there is no such file, it is empty or no text, it has no header, or its first row
        does not fit that.
    """
    encoding, lines = _head(readable_file(path))
    try:
        header, n_above = _header(lines, path.name)
        row = next((line for line in lines[n_above:] if line.strip()), "")
        separator = _separator(header, not row or _is_point(cells(row, SPACES)))
        names, found = cells(header, separator), cells(row, separator)
    except csv.Error as error:
        raise InputError(f"{path.name} cannot be read as a table: {error}.") from error
    if any(cell.strip() for cell in found[len(names) :]) or 0 < len(found) < len(names):
        raise InputError(
            f"{path.name} has {len(names)} column{'s' * (len(names) != 1)} in its header and "
            f"{len(found)} in its first row; give each column a name"
            f"{' without spaces' if separator == SPACES else ''}, and each row a cell for it."
        )
    decimal = _decimal_sign("".join(lines[n_above:])[:_SAMPLE], separator)
    return Dialect(encoding, separator, decimal, tuple(name.strip() for name in names), n_above)


def cells(line: str, separator: str) -> list[str]:
    """The cells of a line.

    Raises
    ------
    csv.Error
        Where it is none of a table.
    """
    if separator == SPACES:
        return [quoted or plain for quoted, plain in _WORD.findall(line)]
    return next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])


def _head(path: Path) -> tuple[str, list[str]]:
    """The encoding of a file, and its first lines."""
    with path.open("rb") as file:
        start = file.read(_HEAD_BYTES)
    encoding = "utf-16" if start.startswith(_UTF_16) else "utf-8-sig"
    # What is not UTF-8 is taken for Latin-1, where a µm of a Windows program stays a µm.
    try:
        # A decoder in steps does not mind that the last character may be cut.
        text = codecs.getincrementaldecoder(encoding)().decode(start)
    except UnicodeDecodeError:
        encoding = "latin-1"
        text = start.decode(encoding)
    lines = list(io.StringIO(text, newline=""))
    if len(start) == _HEAD_BYTES:  # what is cut off may be missed in the last one
        lines.pop()
        if not lines:
            raise InputError(
                f"{path.name} begins with a line of more than {_HEAD_BYTES:,} characters, and so "
                "can be no table: choose another file, or write it with fewer columns."
            )
    return encoding, lines


def _header(lines: Sequence[str], file_name: str) -> tuple[str, int]:
    """The line with the names of the columns, and how many lines stand above the rows."""
    needs = "it needs a header line and a row for each point"
    if not lines:
        raise InputError(f"{file_name} is empty: {needs}.")
    first = next((at for at, line in enumerate(lines) if not _PASSED_OVER.match(line)), None)
    if first is None:
        raise InputError(f"{file_name} has only empty lines and comments: {needs}.")
    if _CONTROLS.search("".join(lines[: first + 2])):
        raise InputError(
            f"{file_name} is not a text table of comma-separated values, nor HDF5 or Parquet. If "
            "it is text, save it as UTF-8."
        )
    commented = _commented_header(lines[:first], lines[first])
    if commented is not None:
        return commented, first
    header = lines[first]
    if all(map(_NUMBER.fullmatch, re.findall(r'[^\s,;"]+', header) or [header])):
        separator = next((sign for sign in ";\t," if sign in header), " ")
        raise InputError(
            f"{file_name} has no header line: its first line is numbers. Add one such as "
            f"x{separator}y."
        )
    if quoted := _QUOTED_ONCE.fullmatch(header.strip()):
        header = quoted[1].replace('""', '"')
    return header, first + 1


def _commented_header(comments: Sequence[str], row: str) -> str | None:
    """The last of the lines that begin with # that names each cell of a row, where there is one."""
    cells_of_row, spaced = cache(partial(cells, row)), _is_point(cells(row, SPACES))
    for line in reversed(comments):
        header = line.lstrip("# ")
        separator = _separator(header, spaced)
        names, found = cells(header, separator), cells_of_row(separator)
        if len(names) == len(found) and _is_point(found) and not any(map(_is_number, names)):
            return header
    return None


def _separator(header: str, spaced: bool) -> str:
    """What separates the cells; `spaced` where spaces may, as a row says."""
    unquoted = re.sub(r'"[^"]*"', "", header)
    separator = max(_SEPARATORS, key=unquoted.count)
    return SPACES if spaced and separator not in unquoted else separator


def _is_point(row: Sequence[str]) -> bool:
    """Whether the cells of a row may hold coordinates: at least two numbers."""
    return sum(map(_is_number, row)) >= 2


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None


def _decimal_sign(rows: str, separator: str) -> str:
    """A comma where some cell is a number with one and none is a number with a point."""
    if separator == ",":
        return "."
    values = [cell.strip(' "') for cell in re.split(rf"{separator}|[\r\n]", rows)]
    found = {
        sign
        for sign in ",."
        if any(re.fullmatch(rf"[-+]?\d*[{sign}]\d+([eE][-+]?\d+)?", value) for value in values)
    }
    return "," if found == {","} else "."
