"""A heatmap that sharpens where one looks closer: images of which only what is shown is computed.

Each level has pixels half as large as the next one, down to what shows the narrowest component.
The coarsest level is an image like any other; the finer ones are lazy arrays: slicing them costs
nothing, and what becomes an array is computed then, in tiles that are kept for a while.

    >>> narrow = GaussianMixture([1.0], [[500.0, 500.0]], [np.eye(2)])
    >>> base = Grid.covering([0.0, 0.0], [1000.0, 1000.0], pixel_size=10.0)
    >>> finest = heatmap_pyramid([narrow], base).levels[0]
    >>> finest.shape, np.asarray(finest[1500:1700, 1500:1600]).shape
    ((3328, 3328), (200, 100))

All levels have the same outer edges, not the same first pixel centre. napari draws them so: it
puts pixel i of a level whose pixels are s times as large over the finest pixels s i to s (i + 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.parameters import DEVICE, QUANTITY
from napari_sparse_gmm.shapes.antialiasing import NARROWEST, narrowest
from napari_sparse_gmm.shapes.grid import Grid
from napari_sparse_gmm.shapes.lazy_heatmap import LazyHeatmap
from napari_sparse_gmm.shapes.level import Level
from napari_sparse_gmm.shapes.tile_cache import TileCache

# Pixels in a standard deviation, at least, for an image to show all that there is: a line between
# two neighbouring centres is then within 1/8 (1/2)^2, or 3%, of the peak.
RESOLVED = 2.0
# A component with less than this share of the mean weight need not be resolved.
NOTICEABLE = 0.01
# Pixels along the longest side of the finest level. Graphics cards place images in single
# precision: so many pixels still to a 64th of one.
LONGEST_LEVEL = 2**17

# Of all levels together: some ten full windows.
CACHE_BYTES = 2**28


@dataclass(frozen=True, eq=False)
class HeatmapPyramid:
    """The levels that are finer than an image.

    Parameters
    ----------
    grid : Grid
        Of the finest level.
    levels : tuple of LazyHeatmap
        The finest first; the image itself comes behind the last.
    highest : float
        The largest value at the centre of a component, on the finest level: of the image, whose
        pixels are wider than some, the largest may be far below.
    typical : float
        The one that half of the points of components do not reach.
    """

    grid: Grid
    levels: tuple[LazyHeatmap, ...]
    highest: float
    typical: float


def heatmap_pyramid(
    mixtures: Sequence[GaussianMixture | None],
    base: Grid,
    quantity: str = QUANTITY.default,
    *,
    n_points: Sequence[float] | None = None,
    axes: Sequence[int | None] = (1, 2),
    device: str = DEVICE.default,
) -> HeatmapPyramid | None:
    """The levels that a heatmap lacks; None where it shows all that there is, and for volumes.

    PyTorch computes them, whatever computed the image: a window's request cannot wait until
    KeOps has compiled its kernels.

    Parameters
    ----------
    mixtures : sequence of G (GaussianMixture of 2 dimensions, or None)
        One for each slice; None is an empty one.
    base : Grid
        Of the image.
    quantity : str
        As in `heatmap`.
    n_points : sequence of G float, optional
        How many points each mixture stands for; 1 where it is not given.
    axes : sequence of (int or None)
        What each axis of a level is: 0 the slices, 1 and 2 the axes of the mixtures, None a
        single pixel. The slices may be left out where there is one.
    device : str
        Where PyTorch computes.
    """
    counts = [1.0] * len(mixtures) if n_points is None else list(n_points)
    if len(counts) != len(mixtures):
        raise InputError(
            f"n_points must have a number for each of the {len(mixtures)} mixtures, "
            f"not {len(counts)}."
        )
    expected = [0, 1, 2] if 0 in axes or len(mixtures) != 1 else [1, 2]
    if sorted(axis for axis in axes if axis is not None) != expected:
        raise InputError(
            f"axes must have each of {expected} once, for {len(mixtures)} mixtures, not {axes}."
        )
    if base.n_dimensions != 2:
        return None
    halvings = _halvings(mixtures, base)
    if halvings == 0:
        return None
    tiles = TileCache(CACHE_BYTES)
    kinds = tuple(axes)
    levels = []
    for k in range(halvings, 0, -1):
        level = Level(tuple(mixtures), tuple(counts), _halved(base, k), quantity, device, tiles)
        counts_along = (len(mixtures), *level.grid.shape)
        kept = tuple(range(1 if kind is None else counts_along[kind]) for kind in kinds)
        levels.append(LazyHeatmap(level, kinds, kept))
    finest = levels[0].level
    peaks, points = finest.peaks()
    rising = np.argsort(peaks)
    below = np.cumsum(points[rising])
    middle = rising[np.searchsorted(below, 0.5 * below[-1])]
    return HeatmapPyramid(finest.grid, tuple(levels), float(peaks.max()), float(peaks[middle]))


def _halvings(mixtures: Sequence[GaussianMixture | None], base: Grid) -> int:
    """How often pixels are to be halved; 0 where they blur nothing that is noticeable.

    An image alone is simpler to use, and its pixels may be larger than is beautiful.
    """
    least = np.inf
    for mixture in mixtures:
        if mixture is not None and mixture.n_components:
            noticeable = mixture.weights >= NOTICEABLE * mixture.weights.mean()
            least = min(least, narrowest(mixture, base.spacing)[noticeable].min())
    wanted = np.ceil(np.log2(RESOLVED / least)) if least < NARROWEST else 0
    most = np.floor(np.log2(LONGEST_LEVEL / max(base.shape)))
    return int(max(0, min(wanted, most)))


def _halved(grid: Grid, times: int) -> Grid:
    """The grid with the same edges whose pixels are halved so many times."""
    factor = 2**times
    spacing = grid.spacing / factor
    return Grid(grid.edges[0] + 0.5 * spacing, spacing, tuple(n * factor for n in grid.shape))
