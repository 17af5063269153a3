"""Which components matter in which blocks of points: a sparse pattern with a guarantee.

In whitened coordinates y = f (x - mu), with f the triangular factor of half the precision
matrix, the log of a component's share of the density is offset - |y|^2. Over a box of
centre c and half sides h, each |y_k| lies within |f (c - mu)|_k -+ (|f| h)_k. So every
pair of a box and a component has an upper and a lower bound. Where the upper bound is
below the largest lower bound in that box (or the background) by log(M / tolerance), the
component is left out: all that is left out is less than `tolerance` of the density at
every point of the box, so the log density is that near to the dense sum.

The bounds go down the tree of boxes: what is left out in a node is not looked at below.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.engines.blocks import Blocks, Boxes
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

# Largest half diagonal of a block in standard deviations of a component, in single precision:
# rounding then moves a point by 4e-6 of them, and a log density by some 2e-5.
WIDEST = 64.0
# Largest |y|^2 from its centre: a log density of that size is rounded by as much again.
FARTHEST = 600.0

# So few pairs of boxes and components are looked at together, not level by level.
_FEW = 4096


@dataclass(frozen=True, eq=False)
class Pattern:
    """The components of each block, as a list of P pairs in the order of the blocks.

    Parameters
    ----------
    rows : (n,) array of int
        The blocks, rising.
    counts : (n,) array of int
        How many components each of them has.
    components : (P,) array of int
        The component of each pair.
    """

    rows: NDArray[np.intp]
    counts: NDArray[np.intp]
    components: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.components)

    @property
    def starts(self) -> NDArray[np.intp]:
        """Where the pairs of each block start, and P, (n + 1,)."""
        return np.append(0, np.cumsum(self.counts)).astype(np.intp)

    @property
    def blocks(self) -> NDArray[np.intp]:
        """The block of each pair, (P,)."""
        return np.repeat(self.rows, self.counts)

    def among(self, chosen: NDArray[np.bool_]) -> "Pattern":
        """The part on those of its blocks where `chosen` (n,) is true."""
        pairs = np.repeat(chosen, self.counts)
        return Pattern(self.rows[chosen], self.counts[chosen], self.components[pairs])


def find_pattern(
    blocks: Blocks,
    mixture: GaussianMixture,
    tolerance: float,
    rows: NDArray[np.intp] | None = None,
) -> Pattern:
    """The pairs of blocks and components that matter; see the module for the guarantee.

    With `rows`, rising, on these blocks only. With a `tolerance` of 0 all pairs.
    """
    shapes = _Shapes(mixture)
    candidates = np.flatnonzero(mixture.weights > 0)
    with np.errstate(divide="ignore"):
        margin = np.log(tolerance / max(1, len(candidates)))
    pattern = Pattern(np.zeros(1, dtype=np.intp), np.array([len(candidates)]), candidates)
    n_parents = 1
    for boxes in blocks.levels:
        n = len(boxes.lower)
        if n * len(candidates) <= _FEW and n < len(blocks):
            continue
        wanted = None if rows is None else np.unique(rows // (len(blocks) // n))
        pattern = _of_children(pattern, n // n_parents, wanted)
        pattern = _refined(pattern, boxes[pattern.rows], shapes, margin)
        n_parents = n
    return pattern


class _Shapes:
    """What the bounds need of each component: contiguous columns, one coordinate each."""

    def __init__(self, mixture: GaussianMixture) -> None:
        self.offset = mixture.log_amplitudes  # (K,)
        self.means = np.ascontiguousarray(mixture.means.T)  # (D, K)
        factors = mixture.precision_factors.transpose(2, 1, 0) * 0.5**0.5
        self.factors = np.ascontiguousarray(factors)  # (D, D, K), lower triangular
        self.absolute = np.abs(self.factors)
        self.background = mixture.log_background_density
        self.box = mixture.background_box


def _whitened(factors: FloatArray, j: NDArray[np.intp], x: list[FloatArray], k: int) -> FloatArray:
    """Coordinate k of factor_j x for each pair, (P,); x is a list of D coordinates."""
    y = factors[k, 0][j] * x[0]
    for column in range(1, k + 1):
        y += factors[k, column][j] * x[column]
    return y


def _of_children(pattern: Pattern, n_each: int, wanted: NDArray[np.intp] | None) -> Pattern:
    """Each node's candidates, once for each of its children, or for those that are wanted."""
    parents = np.repeat(np.arange(len(pattern.rows)), n_each)
    children = (pattern.rows[:, None] * n_each + np.arange(n_each)).ravel()
    if wanted is not None:
        kept = np.isin(children, wanted, assume_unique=True)
        parents, children = parents[kept], children[kept]
    counts = pattern.counts[parents]
    rows = ragged(pattern.starts[parents], counts)
    return Pattern(children, counts, pattern.components[rows])


def ragged(starts: NDArray[np.intp], counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """starts[0], starts[0] + 1, ... counts[0] of them; then the same for the next."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - ends + counts, counts)


def _refined(pattern: Pattern, boxes: Boxes, shapes: _Shapes, margin: float) -> Pattern:
    """The pattern without the pairs that do not matter in these boxes."""
    j = pattern.components
    centre, half = boxes.centre.T, boxes.half.T  # (D, n)
    near = shapes.offset[j]
    far = near.copy()
    differences = [
        np.repeat(centre[k], pattern.counts) - means[j] for k, means in enumerate(shapes.means)
    ]
    sides = [np.repeat(values, pattern.counts) for values in half]
    for k in range(len(sides)):
        y = np.abs(_whitened(shapes.factors, j, differences, k))
        reach = _whitened(shapes.absolute, j, sides, k)
        far -= np.square(y + reach)
        near -= np.square(np.maximum(y - reach, 0.0))
    floor = np.full(len(pattern.counts), -np.inf)
    if np.isfinite(shapes.background) and shapes.box is not None:
        floor[boxes.within(shapes.box)] = shapes.background
    occupied = pattern.counts > 0
    if len(j):
        best = np.maximum.reduceat(far, pattern.starts[:-1][occupied])
        floor[occupied] = np.maximum(floor[occupied], best)
    kept = near >= np.repeat(floor + margin, pattern.counts)
    counts = np.zeros(len(pattern.counts), dtype=np.intp)
    if len(j):
        counts[occupied] = np.add.reduceat(kept, pattern.starts[:-1][occupied], dtype=np.intp)
    return Pattern(pattern.rows, counts, j[kept])


def needs_double(pattern: Pattern, boxes: Boxes, mixture: GaussianMixture) -> NDArray[np.bool_]:
    """The blocks where single precision loses digits, (n,).

    Those far wider than one of their components, and those that lie far from one (and then,
    since it matters there, from all of them).
    """
    out = np.zeros(len(pattern.rows), dtype=bool)
    if not len(pattern):
        return out
    shapes = _Shapes(mixture)
    j, centre = pattern.components, boxes.centre[pattern.rows].T  # (D, n)
    squares = np.zeros(len(j))
    differences = [
        np.repeat(centre[k], pattern.counts) - means[j] for k, means in enumerate(shapes.means)
    ]
    for k in range(len(differences)):
        squares += np.square(_whitened(shapes.factors, j, differences, k))
    occupied = pattern.counts > 0
    starts = pattern.starts[:-1][occupied]
    diagonals = np.sqrt(np.square(boxes.half[pattern.rows]).sum(1))[occupied]
    least = np.sqrt(np.linalg.eigvalsh(mixture.covariances)[:, 0])  # (K,)
    wide = diagonals > WIDEST * np.minimum.reduceat(least[j], starts)
    out[occupied] = wide | (np.maximum.reduceat(squares, starts) > FARTHEST)
    return out
