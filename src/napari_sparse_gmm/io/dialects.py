"""How a text table is written: what separates its cells, and where the decimals begin.

>>> sniff(Path("localizations.csv")).header
('id', 'frame', 'x [nm]', 'y [nm]')
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

_SEPARATORS = ",;\t"

# As much of a table as is looked at for its decimal sign; and of a line, which in a file that is
# no text may never end.
_SAMPLE_BYTES = 1 << 16
_LINE_BYTES = 1 << 20

# No text has them.
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")

# A header line that was taken for one cell and quoted as such, as in some tables of ThunderSTORM
# that have been through another program: "x [nm],""y [nm]"""
_QUOTED_ONCE = re.compile(r'"((?:[^"]|"")*)"')


@dataclass(frozen=True)
class Dialect:
    """Encoding, separator, decimal sign and column names of a text table."""

    encoding: str
    separator: str
    decimal: str
    header: tuple[str, ...]


def sniff(path: Path) -> Dialect:
    """The dialect of a table, from its first two lines.

    Raises
    ------
    ValueError
        Where there is no such file, it is empty or no text, or its first row does not fit
        its header.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    with path.open("rb") as file:
        lines = [file.readline(_LINE_BYTES), file.readline(_LINE_BYTES)]
        sample = lines[1] + file.read(_SAMPLE_BYTES)
    if _CONTROLS.search(b"".join(lines)):
        raise ValueError(
            f"{path.name} is not a text table of comma-separated values, nor HDF5 or Parquet."
        )
    # What is not UTF-8 is taken for Latin-1, where a µm of a Windows program stays a µm.
    try:
        encoding = "utf-8-sig"
        header, first_row = (line.decode(encoding) for line in lines)
    except UnicodeDecodeError:
        encoding = "latin-1"
        header, first_row = (line.decode(encoding) for line in lines)
    if not header.strip():
        raise ValueError(f"{path.name} is empty: it needs a header line and a row for each point.")
    if quoted := _QUOTED_ONCE.fullmatch(header.strip()):
        header = quoted[1].replace('""', '"')
    unquoted = re.sub(r'"[^"]*"', "", header)
    separator = max(_SEPARATORS, key=unquoted.count)
    try:
        names, cells = (
            next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
            for line in (header, first_row)
        )
    except csv.Error as error:
        raise ValueError(f"{path.name} cannot be read as a table: {error}.") from error
    if any(cell.strip() for cell in cells[len(names) :]) or 0 < len(cells) < len(names):
        raise ValueError(
            f"{path.name} has {len(names)} columns in its header and {len(cells)} in its first "
            "row; give each column a name."
        )
    decimal = _decimal_sign(sample.decode("latin-1"), separator)
    return Dialect(encoding, separator, decimal, tuple(name.strip() for name in names))


def _decimal_sign(rows: str, separator: str) -> str:
    """A comma where some cell is a number with one and none is a number with a point."""
    if separator == ",":
        return "."
    cells = [cell.strip(' "') for cell in re.split(rf"[{separator}\r\n]", rows)]
    found = {
        sign
        for sign in ",."
        if any(re.fullmatch(rf"[-+]?\d*[{sign}]\d+([eE][-+]?\d+)?", cell) for cell in cells)
    }
    return "," if found == {","} else "."
