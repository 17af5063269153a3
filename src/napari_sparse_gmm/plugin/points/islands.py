"""Points that lie in several places apart, as in the picks of a user or in cells.

>>> discs = np.concatenate([points, points + [0.0, 10_000.0]])
>>> n_islands(points), n_islands(discs)
(1, 2)
"""

import numpy as np

from napari_sparse_gmm.arrays import bounds
from napari_sparse_gmm.mixture import FloatArray

# Points for each cell of a grid over all of them, about; and how many cells there are.
_IN_CELL, _LEAST_CELLS, _MOST_CELLS = 8, 9, 4096

# An island has this share of the points at least; all of them together have nearly all points.
_LEAST_SHARE, _NEARLY_ALL = 0.05, 0.95


def n_islands(points: FloatArray) -> int:
    """In how many places apart points (N, D) lie: with a gap between them that is empty.

    1 where they are too few to tell, or where many of them lie in between.
    """
    from scipy.ndimage import generate_binary_structure, label

    n, d = points.shape
    n_cells = min(n // _IN_CELL, _MOST_CELLS)
    lower, upper = bounds(points)
    if n_cells < _LEAST_CELLS or not (upper > lower).all():
        return 1
    side = np.exp(np.mean(np.log(upper - lower))) / n_cells ** (1.0 / d)  # of cubes
    bins = np.ceil((upper - lower) / side)
    if bins.prod() > 10 * _MOST_CELLS:  # all on a line, nearly
        return 1
    counts, _ = np.histogramdd(
        points, bins.astype(int).tolist(), list(zip(lower, upper, strict=True))
    )
    islands, n_found = label(counts > 0, generate_binary_structure(d, d))
    shares = np.bincount(islands.ravel(), weights=counts.ravel(), minlength=n_found + 1)[1:] / n
    large = shares[shares >= _LEAST_SHARE]
    return max(1, len(large)) if large.sum() >= _NEARLY_ALL else 1
