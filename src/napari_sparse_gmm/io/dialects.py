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
from itertools import pairwise
from pathlib import Path

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.files import damage, opened, readable_file
from napari_sparse_gmm.io.units import symbol_of

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

# What Excel writes above a table, to know it again.
_SEPARATOR_HINT = re.compile(r'"?sep=([^"])"?\s*')

# A field of the header of rapidSTORM, with its name and its unit.
_FIELD = re.compile(r"<field\s[^<>]{0,2000}>")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]{0,200})"')

# A unit in a line of its own, below the header.
_UNIT_CELL = re.compile(r"[\[(]([^\])]{0,80})[\])]")

# Lines above a header that are titles, and below it that are names or units, at most.
_MOST_TITLES, _MOST_BELOW = 30, 4

# 1.234,5: a point between thousands, and a decimal comma; and 1,234.5.
_THOUSANDS = {",": r"[-+]?\d{1,3}(?:\.\d{3})+,\d+", ".": r"[-+]?\d{1,3}(?:,\d{3})+\.\d+"}

_NUMBER = re.compile(r"[-+]?((\d++(?:[.,]\d*+)?|[.,]\d++)(e[-+]?\d++)?|nan|inf)", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """Encoding, separator, decimal sign and column names of a text table.

    `n_above` lines stand above its rows: the header, what comes before that, and lines of units.
    `thousands` is what stands between them, where something does.
    """

    encoding: str
    separator: str
    decimal: str
    header: tuple[str, ...]
    n_above: int
    thousands: str | None = None


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
        header, n_above, separator = _header(lines, path.name)
        row = next((line for line in lines[n_above:] if line.strip()), "")
        if separator is None:
            separator = _separator(header, not row or _is_point(cells(row, SPACES)))
        names = [name.strip() for name in cells(header, separator)]
        names, n_below = _with_units_below(names, lines[n_above:], separator)
        n_above += n_below
        if n_below:
            row = lines[n_above]
        found = cells(row, separator)
    except csv.Error as error:
        raise InputError(f"{path.name} cannot be read as a table: {error}.") from error
    if any(cell.strip() for cell in found[len(names) :]) or 0 < len(found) < len(names):
        raise InputError(
            f"{path.name} has {len(names)} column{'s' * (len(names) != 1)} in its header and "
            f"{len(found)} in its first row; give each column a name"
            f"{' without spaces' if separator == SPACES else ''}, and each row a cell for it."
        )
    decimal, thousands = _signs("".join(lines[n_above:])[:_SAMPLE], separator, path.name)
    return Dialect(encoding, separator, decimal, tuple(names), n_above, thousands)


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
    with damage(path.name, "a compressed"), opened(path) as file:
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


def _header(lines: Sequence[str], file_name: str) -> tuple[str, int, str | None]:
    """The line with the names of the columns, how many lines stand above the rows, and what
    separates the cells, where that is known.
    """
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
    if (fields := _rapidstorm(lines[0])) is not None:
        return fields, first, SPACES
    commented = _commented_header(lines[:first], lines[first])
    if commented is not None:
        return commented, first, None
    if hint := _SEPARATOR_HINT.fullmatch(lines[first]):
        if first + 1 == len(lines):
            raise InputError(f"{file_name} has nothing below its first line: {needs}.")
        return lines[first + 1], first + 2, hint[1]
    first += _n_titles(lines[first : first + _MOST_TITLES])
    header = lines[first]
    if all(map(_NUMBER.fullmatch, re.findall(r'[^\s,;"]+', header) or [header])):
        separator = next((sign for sign in ";\t," if sign in header), " ")
        raise InputError(
            f"{file_name} has no header line: its first line is numbers. Add one such as "
            f"x{separator}y."
        )
    if quoted := _QUOTED_ONCE.fullmatch(header.strip()):
        header = quoted[1].replace('""', '"')
    return header, first + 1, None


def _n_titles(lines: Sequence[str]) -> int:
    """How many lines stand above a header that begin no table, as Imaris writes them."""
    if any(sign in lines[0].rstrip(" ,;\t\r\n") for sign in _SEPARATORS):
        return 0
    for at, (line, row) in enumerate(pairwise(lines)):
        sign = max(_SEPARATORS, key=line.count)
        names = cells(line, sign)
        if len(names) > 1 and len(names) == len(values := cells(row, sign)):
            return at if _is_point(values) and not any(map(_is_number, names)) else 0
    return 0


def _rapidstorm(line: str) -> str | None:
    """The columns that an XML header in a comment tells, each in quotes; None where it is none."""
    if not line.startswith("# <localizations"):
        return None
    names = []
    for field in _FIELD.findall(line):
        told = dict(_ATTRIBUTE.findall(field))
        unit = symbol_of(told.get("unit"))
        names.append(f'"{told.get("identifier", "")}{f" [{unit}]" if unit else ""}"')
    return " ".join(names) or None


def _with_units_below(
    names: Sequence[str], lines: Sequence[str], separator: str
) -> tuple[list[str], int]:
    """The names of columns with their units, and in how many lines below the header these stand,
    as in tables of TrackMate: lines without a number, of which one has units in brackets.
    """
    units = [""] * len(names)
    for n, line in enumerate(lines[: _MOST_BELOW + 1]):
        row = [cell.strip() for cell in cells(line, separator)] if line.strip() else []
        if len(row) != len(names) or n == _MOST_BELOW or any(map(_is_number, row)):
            told = [symbol_of(unit) or "" for unit in units]
            if not (any(told) and _is_point(row)):
                break
            return [
                f"{name} [{unit}]" if unit else name for name, unit in zip(names, told, strict=True)
            ], n
        found = [_UNIT_CELL.fullmatch(cell) for cell in row]
        if any(found):
            units = [match[1] if match else "" for match in found]
    return list(names), 0


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


def _signs(rows: str, separator: str, file_name: str) -> tuple[str, str | None]:
    """The decimal sign, and what stands between thousands: a decimal comma where some cell is a
    number with one, and none is a number with a point.

    Raises
    ------
    InputError
        Where a sign stands between thousands in some cells, and before decimals in others.
    """
    cells = [cell.strip(' "') for cell in re.split(rf"{separator}|[\r\n]", rows)]
    if separator == ",":
        cells = re.findall(r'"([^"\r\n]{1,40})"', rows)  # where else a comma is none of the table's
    for decimal, grouped in _THOUSANDS.items():
        example = next((cell for cell in cells if re.fullmatch(grouped, cell)), None)
        if example is None:
            continue
        thousands = {",": ".", ".": ","}[decimal]
        for cell in cells:
            if re.fullmatch(
                rf"[-+]?(\d*[{thousands}](\d{{1,2}}|\d{{4,}})|0[{thousands}]\d+)", cell
            ):
                raise InputError(
                    f"{file_name} has {example!r} and {cell!r}, and what {thousands!r} means in "
                    "both cannot be known: write its numbers without a sign between thousands."
                )
        return decimal, thousands
    if separator == ",":
        return ".", None
    found = {
        sign
        for sign in ",."
        if any(re.fullmatch(rf"[-+]?\d*[{sign}]\d+([eE][-+]?\d+)?", cell) for cell in cells)
    }
    return ("," if found == {","} else "."), None
