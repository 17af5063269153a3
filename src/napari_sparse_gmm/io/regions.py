"""Regions from files.

>>> region = read_region("cell.csv")  # a Shapes layer that napari has saved
"""

from pathlib import Path

import numpy as np
import pandas as pd

from napari_sparse_gmm.regions import Polygon, Region, enclosed

# The columns of napari's file; those of the coordinates come behind.
_COLUMNS = ("index", "shape-type", "vertex-index")


def read_region(path: str | Path) -> Region:
    """What the shapes of a Shapes layer enclose that napari has saved as a CSV file.

    Along the last two of its axes; in the units of the file.

    Raises
    ------
    ValueError
        Where the file is missing, is something else, or encloses nothing.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    try:
        table = pd.read_csv(path)
        axes = [name for name in table if str(name).startswith("axis-")][-2:]
        corners = table[axes].to_numpy(dtype=np.float64)
        shapes = [
            (corners[rows], str(table["shape-type"].iloc[rows[0]]))
            for rows in table.groupby("index").indices.values()
        ]
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"{path.name} is no Shapes layer that napari has saved: it needs the columns "
            f"{', '.join(_COLUMNS)}, axis-0 and axis-1."
        ) from error
    outlines = enclosed(*zip(*shapes, strict=True)) if shapes else []
    if not outlines:
        raise ValueError(f"{path.name} has no polygon, rectangle or ellipse.")
    return Polygon(*outlines)
