"""Regions from files.

>>> read_region("cell.csv").volume  # of a Shapes layer that napari has saved
6.0
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.files import readable_file
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.regions import Polygon, Region

# The columns of napari's file; those of the coordinates come behind.
_COLUMNS = ("index", "shape-type", "vertex-index")

# Shapes with an inside; and the corners of the polygon that stands for an ellipse: its area is
# right to 2e-4.
_AREAS = ("ellipse", "polygon", "rectangle")
_CORNERS = 180
_OF_ELLIPSE = 4

# A region may have fewer corners.
_MOST_BYTES, _MOST_ROWS = 2**26, 200_000


def read_region(path: str | Path) -> Region:
    """What the shapes of a Shapes layer enclose that napari has saved as a CSV file.

    Along the last two of its axes; in the units of the file.

    Raises
    ------
    InputError
        Where the file is missing, is something else, or encloses nothing.
    """
    import pandas as pd  # the dock widget, which needs `enclosed`, is to open at once

    path = readable_file(path, _MOST_BYTES)
    try:
        with path.open(encoding="utf-8-sig") as file:  # never unpacked, whatever its name
            table = pd.read_csv(file, nrows=_MOST_ROWS)
        axes = [name for name in table if str(name).startswith("axis-")][-2:]
        corners = table[axes].to_numpy(dtype=np.float64)
        kinds = table["shape-type"].astype(str).to_numpy()
        shapes = [
            (corners[rows], kinds[rows[0]]) for rows in table.groupby("index").indices.values()
        ]
        if any(kind == "ellipse" and len(corners) != _OF_ELLIPSE for corners, kind in shapes):
            raise IndexError
    except (KeyError, IndexError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path.name} is no Shapes layer that napari has saved: it needs the columns "
            f"{', '.join(_COLUMNS)}, axis-0 and axis-1, and four corners around an ellipse."
        ) from error
    outlines = enclosed(*zip(*shapes, strict=True)) if shapes else []
    if not outlines:
        raise InputError(f"{path.name} has no polygon, rectangle or ellipse.")
    return Polygon(*outlines)


def enclosed(shapes: Sequence[FloatArray], kinds: Sequence[str]) -> list[FloatArray]:
    """The outlines (V, n) of those shapes that have an inside, by napari's names of their kinds.

    An ellipse has the corners (4, n) of the rectangle around it.
    """
    return [
        _around(corners) if kind == "ellipse" else corners
        for corners, kind in zip(shapes, kinds, strict=True)
        if has_inside(kind)
    ]


def has_inside(kind: str) -> bool:
    """Whether shapes of this kind of napari's enclose something: no line and no path does."""
    return kind in _AREAS


def _around(corners: FloatArray) -> FloatArray:
    """Points on the ellipse in a rectangle (4, n)."""
    centre, first, second = corners.mean(0), corners[1] - corners[0], corners[3] - corners[0]
    turn = np.linspace(0.0, 2.0 * np.pi, _CORNERS, endpoint=False)[:, None]
    return np.asarray(centre + 0.5 * (np.cos(turn) * first + np.sin(turn) * second))
