"""The names of columns: what they are of, and their unit.

>>> unit_of("X [nm]"), matching(["id", "X [nm]"], "x")
('nm', ['X [nm]'])
>>> known_precision(["photons", "uncertainty [nm]"], "nm")
'uncertainty [nm]'
"""

import re
from collections.abc import Sequence

# "x [nm]", "X (nm)", "x_um", "xnm"
_UNIT = re.compile(r"\s*[\[(](?P<bracketed>[^\])]*)[\])]\s*$|(?P<appended>(?<=_)[uµ]m|nm)$")

# "Position X [nm]", as Zeiss writes it
_POSITION = re.compile(r"^position[ _]")

# What programs call the precision of x and y, and that of z: ThunderSTORM in 2D and in 3D, Zeiss,
# Picasso, SMAP.
_PRECISION = ("uncertainty", "uncertainty_xy", "precision", "lpx", "locprec")
_AXIAL_PRECISION = ("uncertainty_z", "precision_z", "lpz", "locprecz", "locprecznm")


def unit_of(column: str) -> str | None:
    """The unit that the name of a column ends with."""
    found = _UNIT.search(column)
    if found is None:
        return None
    return (found["bracketed"] or found["appended"] or "").strip() or None


def matching(header: Sequence[str], name: str) -> list[str]:
    """Exactly that name; else the same but for case; else the same but for case and unit."""
    wanted = name.strip().casefold()
    for spelling in (
        lambda column: column == name,
        lambda column: column.casefold() == wanted,
        lambda column: bare(column) == wanted,
    ):
        if found := [column for column in header if spelling(column)]:
            return found
    return []


def bare(column: str) -> str:
    """A lower-case name without its unit, and without the word "position" before it."""
    return _POSITION.sub("", _UNIT.sub("", column).casefold().rstrip("_"))


def known_precision(header: Sequence[str], unit: str | None, *, axial: bool = False) -> str | None:
    """The column with the precision of positions in a unit, where it has a name that programs give
    to one; of x and y, or of z.
    """
    for name in _AXIAL_PRECISION if axial else _PRECISION:
        for column in matching(header, name):
            if unit_of(column) in (None, unit):
                return column
    return None


def precision_along(header: Sequence[str], column: str, axis: str) -> str:
    """The column with the precision along an axis, where that of x is `column`.

    Picasso writes lpx and lpy; to others one is both.
    """
    bare = _UNIT.sub("", column)
    if bare.endswith("x") and f"{bare[:-1]}{axis}{column[len(bare) :]}" in header:
        return f"{bare[:-1]}{axis}{column[len(bare) :]}"
    return column
