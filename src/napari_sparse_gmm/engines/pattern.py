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

The bounds go down the tree of boxes: what is left out in a node is not looked at below.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_sparse_gmm.engines.blocks import Blocks, Boxes
from napari_sparse_gmm.factored import Factored
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

# Single precision moves a whitened coordinate y by 6e-8 of the distance to the farthest corner of
# the block, and |y|^2 by 2 |y| times that. So the product of the largest |y| that matters and of
# the farthest corner, in standard deviations times 0.5^0.5, may be so large: 1e-4 of |y|^2.
LARGEST_PRODUCT = 800.0
# And the farthest corner alone: moments are taken about the centre of the block, so that those of
# the points there are off by some 6e-8 of its square, or 1e-3.
WIDEST = 128.0
# Largest sum of the terms of an expanded quadratic form, each taken as positive: rounding moves
# the form by about 6e-8 of that sum, or 1e-16.
LARGEST_TERMS = {torch.float32: 256.0, torch.float64: 1e4}
# Larger coefficients are not for single precision.
_LARGEST_NUMBER = 1e30

_Number = TypeVar("_Number", bound=np.generic)

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

    def over_blocks(
        self, reduce: np.ufunc, values: NDArray[_Number], nothing: float
    ) -> NDArray[_Number]:
        """Values of pairs (P,) reduced over the pairs of each block, (n,); `nothing` for none."""
        out = np.full(len(self.counts), nothing, dtype=values.dtype)
        if len(values):
            occupied = self.counts > 0
            out[occupied] = reduce.reduceat(values, self.starts[:-1][occupied])
        return out

    def among(self, chosen: NDArray[np.bool_]) -> "Pattern":
        """The part on those of its blocks where `chosen` (n,) is true."""
        pairs = np.repeat(chosen, self.counts)
        return Pattern(self.rows[chosen], self.counts[chosen], self.components[pairs])


def find_pattern(
    blocks: Blocks,
    mixture: GaussianMixture,
    tolerance: float,
    rows: NDArray[np.intp] | None = None,
    *,
    negligible: float = -np.inf,
) -> Pattern:
    """The pairs of blocks and components that matter; see the module for the guarantee.

    With `rows`, rising, on these blocks only. With a `tolerance` of 0 all pairs. Densities whose
    log is below `negligible` need be no better than that one: `tolerance` is a share of it there.
    """
    shapes = _Shapes(mixture)
    candidates = np.flatnonzero(mixture.weights > 0)
    with np.errstate(divide="ignore"):
        margin = np.log(tolerance / max(1, len(candidates)))
    pattern = Pattern(np.zeros(1, dtype=np.intp), np.array([len(candidates)]), candidates)
    n_parents = 1
    for boxes in blocks.levels:
        n = len(boxes)
        if n * len(candidates) <= _FEW and n < len(blocks):
            continue
        wanted = None if rows is None else np.unique(rows // (len(blocks) // n))
        pattern = _of_children(pattern, n // n_parents, wanted)
        covered = boxes.covered_by(mixture.background_region)[pattern.rows]
        pattern = _refined(pattern, boxes[pattern.rows], covered, shapes, margin, negligible)
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
        self.constants = mixture.log_constants  # (K,)
        self.covariances = np.ascontiguousarray(mixture.covariances.transpose(1, 2, 0))  # (D, D, K)
        self.background = mixture.log_background_density

    def seen(self, j: NDArray[np.intp], variances: FloatArray) -> Factored:
        """Factors of the covariances of components j (P,) with noise of these variances (P, D)."""
        entries = self.covariances[np.tril_indices(len(self.means))]
        return Factored.of_sum((entry[j] for entry in entries), variances.T)


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


def _refined(
    pattern: Pattern,
    boxes: Boxes,
    covered: NDArray[np.bool_],
    shapes: _Shapes,
    margin: float,
    negligible: float,
) -> Pattern:
    """The pattern without the pairs that do not matter in these boxes.

    Those that are `covered` (n,) have background everywhere.
    """
    near, far = _bounds(pattern, boxes, shapes)
    floor = np.maximum(_floors(pattern, covered, shapes, far), negligible)
    kept = near >= np.repeat(floor + margin, pattern.counts)
    counts = pattern.over_blocks(np.add, kept.astype(np.intp), 0)
    return Pattern(pattern.rows, counts, pattern.components[kept])


def _bounds(pattern: Pattern, boxes: Boxes, shapes: _Shapes) -> tuple[FloatArray, FloatArray]:
    """The largest and the smallest log of a component's share in its box, at most, (P,) each."""
    j = pattern.components
    if boxes.noise is None:
        near, far = shapes.offset[j], shapes.offset[j]
        for y, reach in _whitened_boxes(pattern, boxes, shapes):
            far -= np.square(y + reach)
            near -= np.square(np.maximum(y - reach, 0.0))
        return near, far
    differences, sides = _offsets(pattern, boxes, shapes)
    narrow, wide = (
        shapes.seen(j, np.repeat(variances, pattern.counts, axis=0))
        for variances in (boxes.noise.lower, boxes.noise.upper)
    )
    near, far = (
        shapes.constants[j] - 0.5 * sum(np.log(pivot) for pivot in of.pivots)
        for of in (narrow, wide)
    )
    ys = np.abs(narrow.forward(differences)) + narrow.reach(sides)
    far -= 0.5 * narrow.form(list(ys))
    ys = np.maximum(np.abs(wide.forward(differences)) - np.array(wide.reach(sides)), 0.0)
    near -= 0.5 * wide.form(list(ys))
    return near, far


def _offsets(
    pattern: Pattern, boxes: Boxes, shapes: _Shapes
) -> tuple[list[FloatArray], list[FloatArray]]:
    """From each mean to the centre of its box, and half the sides of that, D arrays (P,) each."""
    j, centre, half = pattern.components, boxes.centre.T, boxes.half.T  # (D, n)
    differences = [
        np.repeat(centre[k], pattern.counts) - means[j] for k, means in enumerate(shapes.means)
    ]
    return differences, [np.repeat(values, pattern.counts) for values in half]


def _whitened_boxes(
    pattern: Pattern, boxes: Boxes, shapes: _Shapes
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Of each whitened coordinate of each pair: how far the centre of the box is from the mean,
    and how far the box reaches from there, (P,) and (P,).
    """
    differences, sides = _offsets(pattern, boxes, shapes)
    for k in range(len(sides)):
        y = np.abs(_whitened(shapes.factors, pattern.components, differences, k))
        yield y, _whitened(shapes.absolute, pattern.components, sides, k)


def _floors(
    pattern: Pattern, covered: NDArray[np.bool_], shapes: _Shapes, far: FloatArray
) -> FloatArray:
    """A lower bound of the log density in each box, (n,), from that of each pair."""
    floor = pattern.over_blocks(np.maximum, far, -np.inf)
    floor[covered] = np.maximum(floor[covered], shapes.background)
    return floor


def needs_double(pattern: Pattern, boxes: Boxes, mixture: GaussianMixture) -> NDArray[np.bool_]:
    """The blocks where single precision loses digits of the log density or of moments, (n,).

    Those with a corner further than WIDEST from the mean of one of their components, in its
    standard deviations times 0.5^0.5; nearer, too, where the density may be so far below the
    components' peaks that large |y|^2 matter.
    """
    covered = boxes.covered_by(mixture.background_region)[pattern.rows]
    shapes, boxes = _Shapes(mixture), boxes[pattern.rows]
    offset = shapes.offset[pattern.components]
    squares = np.zeros(len(pattern))
    for y, reach in _whitened_boxes(pattern, boxes, shapes):
        squares += np.square(y + reach)
    floor = _floors(pattern, covered, shapes, offset - squares)
    peak = pattern.over_blocks(np.maximum, offset, -np.inf)
    farthest = pattern.over_blocks(np.maximum, squares, 0.0)
    with np.errstate(invalid="ignore"):  # no component, or no density
        deep = (peak - floor) * farthest > LARGEST_PRODUCT**2
    return deep | (farthest > WIDEST**2)


def may_expand(
    pattern: Pattern, boxes: Boxes, mixture: GaussianMixture, dtype: torch.dtype, unit: float
) -> NDArray[np.bool_]:
    """The blocks where quadratic forms may be multiplied out, (n,), in lengths of `unit`.

    About the centre of the block, (x - m)^T A (x - m) = m^T A m - 2 (A m)^T x + x^T A x. The
    terms cancel each other where a block is wide, or far from a component: with the half sides
    h of the box they sum up to (|m| + h)^T |A| (|m| + h).
    """
    j, centre, half = pattern.components, boxes.centre[pattern.rows].T, boxes.half[pattern.rows].T
    forms = np.abs(mixture.halved_precisions)
    reach = [
        np.abs(mixture.means[j, k] - np.repeat(centre[k], pattern.counts))
        + np.repeat(half[k], pattern.counts)
        for k in range(mixture.n_dimensions)
    ]
    terms = np.where(forms.max((1, 2), initial=0.0) * unit**2 < _LARGEST_NUMBER, 0.0, np.inf)[j]
    for row, column in np.ndindex(forms.shape[1:]):
        terms += forms[:, row, column][j] * reach[row] * reach[column]
    return pattern.over_blocks(np.maximum, terms, 0.0) <= LARGEST_TERMS[dtype]
