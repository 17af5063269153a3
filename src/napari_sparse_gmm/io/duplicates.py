"""Rows that are in a table twice, as where it was exported twice or joined with itself.

>>> from napari_sparse_gmm.io.formats import open_table
>>> table = open_table("localizations.csv")
>>> rows, notes = without_duplicates(table, table.read([2, 3]), [2, 3])
>>> len(rows), notes
(600, ())
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.columns import as_floats
from napari_sparse_gmm.io.table import MOST_COLUMNS, Table

# Odd, and of no pattern in their bits: Knuth, The Art of Computer Programming, volume 3, 6.4.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def without_duplicates(
    table: Table, rows: pd.DataFrame, positions: Sequence[int]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows less those of which an earlier one has the same in each column, and a sentence about
    them. Points at the same place that differ in anything, as in their frame, are none.

    All columns are compared, whichever of them were read: of those that are at the same place only.
    Rows of a part of a table are all kept: its other parts are not known here, and which points
    there are must not depend on how large parts are.

    Parameters
    ----------
    table : Table
    rows : DataFrame
        Some of its rows and columns, as `Table.read` gives them.
    positions : sequence of int
        The columns of the coordinates, which are no NaN.
    """
    if table.is_part:
        return rows, ()
    together = _at_the_same_place(rows[list(positions)])
    if not together.any():
        return rows, ()
    places = rows.index[together]
    columns = range(min(len(table.columns), MOST_COLUMNS))
    try:
        whole = rows if set(columns) <= set(rows.columns) else table.read(columns)
    except InputError:  # as for lists in a column that nobody has asked for
        return rows, (
            f"{len(places):,} of {len(rows):,} rows of {table.name} are at the same place as "
            "others. Whether they are the same ones cannot be told, and they are kept.",
        )
    repeated = whole.loc[places].duplicated()
    n = int(repeated.sum())
    if n == 0:
        return rows, ()
    note = (
        f"{n:,} of {len(rows):,} rows of {table.name} repeat an earlier row in each column and are "
        "left out. If they are points of their own, give each row a number in a column."
    )
    return rows.drop(index=places[repeated.to_numpy()]), (note,)


def _at_the_same_place(coordinates: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows may have the coordinates of another one, (N,); of others that differ hardly any.

    The bits of a row are mixed into one number: a tenth of the time that the rows themselves take.
    """
    mixed = np.zeros(len(coordinates), dtype=np.uint64)
    for at in coordinates:
        mixed ^= (as_floats(coordinates[at]) + 0.0).view(
            np.uint64
        )  # which makes -0.0 the same as 0.0
        mixed *= _FACTOR
        mixed ^= mixed >> np.uint64(32)
    return np.asarray(pd.Series(mixed).duplicated(keep=False))
