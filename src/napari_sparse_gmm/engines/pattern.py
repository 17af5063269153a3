"""Which components matter in which blocks of points: a sparse pattern with a guarantee.

In whitened coordinates y = f (x - mu), with f the triangular factor of half the precision
matrix, the log of a component's share of the density is offset - |y|^2. Over a box of
centre c and half sides h, each |y_k| lies within |f (c - mu)|_k -+ (|f| h)_k. So every
pair of a box and a component has an upper and a lower bound. Where the upper bound is
below the largest lower bound in that box (or the background) by log(M / tolerance), the
component is left out: all that is left out is less than `tolerance` of the density at
every point of the box, so the log density is that near to the dense sum. Where points have
noise, a box has bounds of its variances, too: of a Gaussian with covariance Sigma + S, |y|^2 is
smallest where S is largest, and the determinant where S is smallest.

The bounds go down the tree of boxes: what is left out in a node is not looked at below
(`tree.touching`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.engines.blocks import Blocks
from napari_sparse_gmm.engines.threads import in_threads, worth_threads
from napari_sparse_gmm.engines.tree import touching
from napari_sparse_gmm.mixture import GaussianMixture

# Single precision moves a whitened coordinate y by 6e-8 of the distance to the farthest corner of
# the block, and |y|^2 by 2 |y| times that. So the product of the largest |y| that matters and of
# the farthest corner, in standard deviations times 0.5^0.5, may be so large: 1e-4 of |y|^2.
LARGEST_PRODUCT = 800.0
# And the farthest corner alone: means are off by 6e-8 of it.
WIDEST = 1024.0
# With noise, the most for the condition of Sigma + S, as the sum of trace / pivot, times the
# largest |y|^2 that matters: a pivot is what is left of differences of numbers like the trace.
LARGEST_CONDITION = 2048.0

# So few pairs of boxes and components are looked at together, not level by level.
_FEW = 4096
# Parts for threads to share, at most, and nanoseconds for a pair of a node and a component, with
# all below.
_PARTS, _WORK = 16, 60


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
    double : (n,) array of bool
        Where single precision would lose digits of the log density or of moments.
    """

    rows: NDArray[np.intp]
    counts: NDArray[np.intp]
    components: NDArray[np.intp]
    double: NDArray[np.bool_]

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

    def between(self, first: int, last: int) -> "Pattern":
        """The part on the blocks rows[first], ... rows[last - 1]."""
        if (first, last) == (0, len(self.rows)):
            return self
        pairs = slice(*self.starts[[first, last]])
        rows = slice(first, last)
        return Pattern(
            self.rows[rows], self.counts[rows], self.components[pairs], self.double[rows]
        )

    def among(self, chosen: NDArray[np.bool_]) -> "Pattern":
        """The part on those of its blocks where `chosen` (n,) is true."""
        pairs = np.repeat(chosen, self.counts)
        return Pattern(
            self.rows[chosen], self.counts[chosen], self.components[pairs], self.double[chosen]
        )


def find_pattern(
    blocks: Blocks,
    mixture: GaussianMixture,
    tolerance: float,
    rows: NDArray[np.intp] | None = None,
    *,
    negligible: float = -np.inf,
    in_parts: bool = True,
) -> Pattern:
    """The pairs of blocks and components that matter; see the module for the guarantee.

    With `rows`, rising, on these blocks only. With a `tolerance` of 0 all pairs. Densities whose
    log is below `negligible` need be no better than that one: `tolerance` is a share of it there.
    Not `in_parts`, it may be called from `in_threads`.
    """
    ends, boxes = blocks.tree
    d, n = mixture.n_dimensions, len(blocks)
    candidates = np.flatnonzero(mixture.weights > 0)
    with np.errstate(divide="ignore"):
        margin = float(np.log(tolerance / max(1, len(candidates))))
    wanted_before = np.arange(n + 1)
    if rows is not None:
        wanted = np.zeros(n, dtype=np.intp)
        wanted[rows] = 1
        wanted_before[1:] = np.cumsum(wanted)
    sizes = np.diff(ends)
    few = sizes * len(candidates) <= _FEW
    level = int(np.argmin(few)) if not few.all() else len(sizes) - 1
    noise, region = boxes.noise, mixture.background_region
    nothing = np.empty((0, d))
    least = 0.0 if region is None else region.least_log_intensity
    arguments = (
        ends,
        boxes.lower,
        boxes.upper,
        nothing if noise is None else noise.lower,
        nothing if noise is None else noise.upper,
        boxes.covered_by(region),
        wanted_before,
        candidates,
        mixture.log_amplitudes if noise is None else mixture.log_constants,
        mixture.log_amplitudes,
        mixture.means,
        mixture.packed_whitening,
        mixture.packed_covariances,
        mixture.log_background_density + least,
        margin,
        float(negligible),
        LARGEST_PRODUCT,
        WIDEST,
        LARGEST_CONDITION,
    )
    work = float(len(candidates) * sizes[level] * _WORK)
    n_parts = min(int(sizes[level]), _PARTS) if in_parts and worth_threads(work) else 1
    edges = np.linspace(0, sizes[level], n_parts + 1).astype(np.intp)
    parts = in_threads(
        lambda k: touching(level, edges[k], edges[k + 1], *arguments), n_parts, work=work
    )
    if len(parts) == 1:
        return Pattern(*parts[0])
    return Pattern(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def ragged(starts: NDArray[np.intp], counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """starts[0], starts[0] + 1, ... counts[0] of them; then the same for the next."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - ends + counts, counts)
