"""A colour for each component: vivid on black, no grey, and not that of a neighbour."""

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray

# In an order in which those that follow each other differ much.
_PALETTE = """
    ff4d4d 3ddc5c 5c8cff ffe119 f032e6 42d4f4
    ff8c1a b97aff c6f23c ff7fb2 1fbf9c cf9050
"""
_COLOURS = np.array([[*bytes.fromhex(colour), 255] for colour in _PALETTE.split()]) / 255.0

# So many of the nearest components have other colours.
_N_NEIGHBOURS = 6


def component_colours(means: FloatArray) -> NDArray[np.float32]:
    """An RGBA colour (K, 4) for each component with its centre at one of `means` (K, D).

    The same means have the same colours. One after the other takes a colour that none of its
    neighbours has yet.
    """
    from scipy.spatial import cKDTree

    n = len(means)
    if not n:
        return np.empty((0, 4), dtype=np.float32)
    colour = np.full(n, -1)
    _, near = cKDTree(means).query(means, k=range(1, 2 + min(_N_NEIGHBOURS, n - 1)))  # (K, k)
    neighbours: list[set[int]] = [set() for _ in range(n)]
    for k, others in enumerate(near.tolist()):
        for other in others:
            neighbours[k].add(other)
            neighbours[other].add(k)  # who may have nearer ones
    for k in range(n):
        # From its own on, the first that the fewest neighbours have.
        taken = np.bincount(
            [colour[other] for other in neighbours[k] if colour[other] >= 0],
            minlength=len(_COLOURS),
        )
        colour[k] = (k + np.argmin(np.roll(taken, -(k % len(_COLOURS))))) % len(_COLOURS)
    return _COLOURS[colour].astype(np.float32)
