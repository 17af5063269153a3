"""The names of columns: what they are of, and their unit.

>>> unit_of("X [nm]"), matching(["id", "X [nm]"], "x")
('nm', ['X [nm]'])
>>> known_precision(["photons", "uncertainty [nm]"], "nm")
'uncertainty [nm]'
"""

import re
from collections.abc import Sequence

# "x [nm]", "X (nm)", "x_um", "X µm", "x_px", "xnm"; no unit is longer than that, and a name may be
_UNIT = re.compile(
    r"[\[(](?P<bracketed>[^\])]{0,80})[\])]$|(?P<appended>(?<=[_ ])(?:[uµ\u03bc]m|px)|nm)$"
)
_LONGEST_END = 82

# "Position X [nm]", as Zeiss writes it
_POSITION = re.compile(r"^position[ _]")

# What programs call the precision of x and y, and that of z: ThunderSTORM in 2D and in 3D, Zeiss,
# Picasso, SMAP, DECODE, Vutara, Nikon, ONI, rapidSTORM.
_PRECISION = (
    *("uncertainty", "uncertainty_xy", "precision", "lpx", "locprec", "x_sig", "precisionx"),
    *("lateral localization accuracy", "x precision", "position-0-0-uncertainty"),
)
_AXIAL_PRECISION = (
    *("uncertainty_z", "precision_z", "lpz", "locprecz", "locprecznm", "z_sig", "precisionz"),
    "position-2-0-uncertainty",
)

# An x that is a word of a name, or its last letter; and what rapidSTORM has in its place.
_X = re.compile(r"^[xX](?=[_ ])|[xX]$|(?<=^Position-)0(?=-0-uncertainty$)")
_NEXT = {"x": {"y": "y", "z": "z"}, "X": {"y": "Y", "z": "Z"}, "0": {"y": "1", "z": "2"}}


def unit_of(column: str) -> str | None:
    """The unit that the name of a column ends with."""
    return split(column)[1]


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


def split(column: str) -> tuple[str, str | None]:
    """The name of a column without its unit, and that."""
    name = column.rstrip()
    found = _UNIT.search(name, max(0, len(name) - _LONGEST_END))
    if found is None:
        return column, None
    unit = (found["bracketed"] or found["appended"] or "").strip()
    return name[: found.start()].rstrip(), unit or None


# ThunderSTORM, Picasso, SMAP; DECODE; Zeiss.
_FRAMES = ("frame", "frames", "frame_ix", "first frame")


def bare(column: str) -> str:
    """A lower-case name without its unit, and without the word "position" before it."""
    return _POSITION.sub("", split(column)[0].casefold().rstrip("_"))


def known_frame(header: Sequence[str]) -> str | None:
    """The column of the frame that each row was seen in, by a name that programs give to it."""
    return next((column for column in header if bare(column) in _FRAMES), None)


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

    Picasso writes lpx and lpy, DECODE x_sig and y_sig, ONI "X precision (nm)" and rapidSTORM
    Position-0-0-uncertainty; to others one is both.
    """
    name, _ = split(column)
    other = _X.sub(lambda found: _NEXT[found[0]].get(axis, found[0]), name, count=1)
    other += column[len(name) :]
    return other if other in header else column
