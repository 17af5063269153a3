"""Where points are denser than a mixture predicts: what births of components are made from.

If the points come from the mixture, 1 / p(x) summed over those in some volume is n times that
volume; if it is rho times that, the n_b points there are rho times as many as expected. The
evidence is the log of the ratio of Poisson likelihoods, n_b log rho - (n_b - n_b / rho).

Two searches look for such volumes: `Boxes` tests the boxes of the points' tree, of all sizes;
`Balls` the balls around each point, for clusters too small for boxes. Nothing is assumed of the
share of the background or the size of clusters.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import gammaln

from napari_sparse_gmm.engines.blocks import FEWEST, halves, kd_order
from napari_sparse_gmm.engines.tree import (
    LARGEST_EXPONENT,
    apart,
    dense_balls,
    dense_nodes,
    extremes,
    moments_of_neighbours,
    moments_of_runs,
    sums_of_inverse,
)
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

if TYPE_CHECKING:
    from napari_sparse_gmm.engines.engine import Summary
    from napari_sparse_gmm.engines.in_memory import InMemory

# How many times denser a box must be: in a large one, a hundredth more is evidence enough,
# but not of a cluster.
_DENSER = 2.0
# A box is taken only where it has so much of the evidence of what is taken within its halves. The
# halves of a Gaussian cluster have about as much together as the whole, two clusters more.
_HALVES = 0.7
# And where its thinner half has so much of its density: no cluster in a corner of the box.
_EVEN = 0.5
# One suppresses the others whose centres are nearer than so many of its radii.
_SUPPRESSION = 1.5

# Neighbours of a position, at most and at least, and of all together: larger clusters fill boxes.
_MOST, _LEAST, _ALL = 64, 16, 4_000_000
# A ball has its centre and so many other positions.
_FEWEST = 2
# The evidence, in nats, that a ball must have: so much less than the log of the number of
# positions, among which many have some by chance; and at least.
_CHANCE, _EVIDENCE = 3.4, 1.0


@dataclass(frozen=True, eq=False)
class Overdensities:
    """Some of them, the most evidence first.

    Parameters
    ----------
    evidence : (E,) array
        In nats.
    excess : (E,) array
        Weight of the points there, less what is expected.
    counts : (E,) array
        Weight of the points there.
    means, covariances : (E, D) and (E, D, D) arrays
        Of the points there. What their noise is expected to have added is taken off; that may
        leave a covariance without a root.
    radii : (E,) array
        Others are suppressed that are nearer than 1.5 of them.
    """

    evidence: FloatArray
    excess: FloatArray
    counts: FloatArray
    means: FloatArray
    covariances: FloatArray
    radii: FloatArray

    def __len__(self) -> int:
        return len(self.evidence)

    @classmethod
    def none(cls, d: int) -> Self:
        """None, in D dimensions."""
        nothing = np.empty(0)
        return cls(nothing, nothing, nothing, np.empty((0, d)), np.empty((0, d, d)), nothing)

    def subset(self, rows: NDArray[np.intp]) -> "Overdensities":
        """Some of them."""
        return Overdensities(
            self.evidence[rows],
            self.excess[rows],
            self.counts[rows],
            self.means[rows],
            self.covariances[rows],
            self.radii[rows],
        )

    @classmethod
    def together(cls, parts: Sequence["Overdensities"]) -> "Overdensities":
        """Those of several sets of points, one set after the other."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("evidence", "excess", "counts", "means", "covariances", "radii")
            )
        )

    @property
    def unsuppressed(self) -> "Overdensities":
        """Those that no other one suppresses, the most evidence first."""
        return self.subset(unsuppressed(self.evidence, self.means, _SUPPRESSION * self.radii))


def unsuppressed(evidence: FloatArray, centres: FloatArray, radii: FloatArray) -> NDArray[np.intp]:
    """The rows, most evidence first, that lie within the radius of no other that is kept."""
    order = np.argsort(-evidence, kind="stable")
    if not len(order):
        return order
    near = cKDTree(centres).query_ball_point(centres, radii)
    suppressed = np.zeros(len(order), dtype=bool)
    kept = []
    for row in order:
        if not suppressed[row]:
            suppressed[near[row]] = True
            kept.append(row)
    return np.array(kept, dtype=np.intp)


class Search(ABC):
    """A way to look for overdensities."""

    @abstractmethod
    def found(
        self, engine: "InMemory", mixture: GaussianMixture, whole: "Summary"
    ) -> Overdensities:
        """Those among the points of an engine, which may be a part of the `whole`."""


@dataclass(frozen=True)
class Boxes(Search):
    """Boxes of a balanced tree of the points.

    One is taken where its halves are about as dense and have not much more evidence, so the points
    themselves choose the scale; and where none with more evidence is near.

    Parameters
    ----------
    evidence : float
        The evidence that a box must have, in nats.
    narrowest : float
        No side counts as shorter.
    turn : int
        Boxes that cut through a small cluster miss it; the tree of each turn but 0 has axes of
        another direction.
    """

    evidence: float
    narrowest: float
    turn: int = 0

    def found(
        self, engine: "InMemory", mixture: GaussianMixture, whole: "Summary"
    ) -> Overdensities:
        tree = self._tree(engine)
        # As many as there are points: evidence is theirs.
        unit = whole.total_weight / whole.n_points
        log_density = engine.placed_log_density(mixture)
        inverse = tree.sums_of_inverse(log_density)
        rows, evidence, excess = dense_nodes(
            tree.volumes,
            tree.weights / unit,
            inverse / (unit * whole.n_points),
            self.evidence,
            _DENSER,
            _HALVES,
            _EVEN,
        )
        kept = unsuppressed(evidence, tree.centres[rows], _SUPPRESSION * tree.radii[rows])
        rows = rows[kept]
        means, covariances = tree.moments(rows)
        return Overdensities(
            evidence[kept],
            excess[kept] * unit,
            tree.weights[rows],
            means,
            covariances,
            tree.radii[rows],
        )

    def _tree(self, engine: "InMemory") -> "_Tree":
        """The engine keeps that of the blocks, and the last one of another direction."""
        key = type(self), self.turn > 0
        turn, tree = engine.prepared.get(key, (-1, None))
        if tree is None or (turn, tree.narrowest) != (self.turn, self.narrowest):
            tree = _Tree.of(engine, self.turn, self.narrowest)
            engine.prepared[key] = self.turn, tree
        return tree


@dataclass(frozen=True, eq=False)
class _Tree:
    """A balanced tree of the points of an engine, down to boxes of a few; T = 2^(depth + 1) - 1
    boxes in all, level by level from the root.

    Parameters
    ----------
    points : (N, D) array
        In the order of the tree, along its axes.
    axes : (D, D) array
        Its axes, as columns.
    rank : (N,) array of int or None
        Where in the order of the blocks each of them is; None where the orders are the same.
    weight, noise : (N,) array, (N, D, D) array, or None
        Of these points.
    first, last : (T,) arrays of int
        The points of each box.
    volumes, weights, radii : (T,) arrays
    centres : (T, D) array
        Along the axes.
    narrowest : float
    """

    points: FloatArray
    axes: FloatArray
    rank: NDArray[np.intp] | None
    weight: FloatArray
    noise: FloatArray | None
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    volumes: FloatArray
    weights: FloatArray
    radii: FloatArray
    centres: FloatArray
    narrowest: float

    @classmethod
    def of(cls, engine: "InMemory", turn: int, narrowest: float) -> "_Tree":
        d, observations = engine.n_dimensions, engine.observations
        axes, rank, points = np.eye(d), None, engine.placed
        if turn:
            axes = np.linalg.qr(np.random.default_rng(turn).standard_normal((d, d)))[0]
            rank, points = kd_order(engine.placed @ axes)
        weight, noise = observations.weights, observations.noise
        weight = np.ones(len(points)) if weight is None else engine.blocks.in_order(weight)
        if noise is not None:
            noise = engine.blocks.in_order(noise)
        if rank is not None:
            weight, noise = weight[rank], None if noise is None else noise[rank]
        n = len(points)
        depth = max(0, int(np.log2(max(1, n // FEWEST))))
        edges = [halves(n, level) for level in range(depth + 1)]
        starts = edges[-1][:-1]
        lower, upper = [extremes(points, edges[-1], True)], [extremes(points, edges[-1], False)]
        weights = [np.add.reduceat(weight, starts)]
        for _ in range(depth):
            lower.append(np.minimum(lower[-1][::2], lower[-1][1::2]))
            upper.append(np.maximum(upper[-1][::2], upper[-1][1::2]))
            weights.append(weights[-1][::2] + weights[-1][1::2])
        first = np.concatenate([level[:-1] for level in edges])
        last = np.concatenate([level[1:] for level in edges])
        low, high = np.concatenate(lower[::-1]), np.concatenate(upper[::-1])
        # Points span (n - 1) / (n + 1) of each side of the box that they fill evenly.
        counts = last - first
        sides = (high - low) * ((counts + 1) / np.maximum(counts - 1, 1))[:, None]
        sides = np.maximum(sides, narrowest)
        return cls(
            points,
            axes,
            rank,
            weight,
            noise,
            first,
            last,
            sides.prod(1),
            np.concatenate(weights[::-1]),
            0.5 * np.sqrt(np.square(sides).sum(1)),
            0.5 * (low + high),
            narrowest,
        )

    def sums_of_inverse(self, log_density: FloatArray) -> FloatArray:
        """weight / p(x), summed over the points of each box of the last level.

        `log_density` (N,) is in the order of the blocks.
        """
        values = log_density if self.rank is None else log_density[self.rank]
        n_boxes = (len(self.first) + 1) // 2
        starts = np.append(self.first[-n_boxes:], self.last[-1])
        return sums_of_inverse(values, self.weight, starts)

    def moments(self, rows: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
        """Means (E, D) and covariances (E, D, D) of the points in some boxes."""
        means, covariances = moments_of_runs(
            self.points, self.weight, self.first[rows], self.last[rows]
        )
        means, covariances = means @ self.axes.T, self.axes @ covariances @ self.axes.T
        if self.noise is not None:
            for k, (first, last) in enumerate(zip(self.first[rows], self.last[rows], strict=True)):
                inside = slice(first, last)
                noise = np.average(self.noise[inside], axis=0, weights=self.weight[inside])
                covariances[k] -= np.diag(noise)
        return means, covariances


@dataclass(frozen=True)
class Balls(Search):
    """Balls around each position that has a point, up to its nearest neighbours.

    The position itself, about which the ball was drawn, does not count: nor do the points that
    repeat it, of which rounded coordinates have many.

    Parameters
    ----------
    narrowest : float
        No radius counts as shorter.
    """

    narrowest: float

    def found(
        self, engine: "InMemory", mixture: GaussianMixture, whole: "Summary"
    ) -> Overdensities:
        if type(self) not in engine.prepared:
            engine.prepared[type(self)] = _Positions.of(engine)
        positions: _Positions = engine.prepared[type(self)]
        if positions.nearest.shape[1] <= _FEWEST:
            return Overdensities.none(engine.n_dimensions)
        unit = whole.total_weight / whole.n_points
        weights, log_density = engine.observations.weights, engine.log_density(mixture)
        # Of a point far from everything it is no matter how far.
        inverse = np.exp(np.minimum(-log_density, LARGEST_EXPONENT))
        inverse = positions.sums(inverse if weights is None else inverse * weights / unit)
        d, n = engine.n_dimensions, len(positions.points)
        last, evidence, excess = dense_balls(
            positions.nearest,
            positions.distances,
            positions.weight,
            inverse / whole.n_points,
            float(np.exp(0.5 * d * np.log(np.pi) - gammaln(0.5 * d + 1))),
            d,
            self.narrowest,
            _FEWEST,
        )
        enough = max(np.log(n) - _CHANCE, _EVIDENCE)
        rows = apart(
            np.argsort(-evidence, kind="stable"), evidence, enough, positions.nearest, last
        )
        means, covariances = moments_of_neighbours(
            positions.points,
            positions.weight,
            positions.noise_or_none,
            positions.nearest,
            rows,
            last,
        )
        return Overdensities(
            evidence[rows],
            excess[rows],
            np.array([positions.weight[positions.nearest[r, : last[r] + 1]].sum() for r in rows]),
            means,
            covariances,
            np.zeros(len(rows)),  # those that share no point are kept, however near
        )


@dataclass(frozen=True, eq=False)
class _Positions:
    """Where there are points.

    Parameters
    ----------
    points : (P, D) array
    index : (N,) array of int
        The position of each point.
    weight : (P,) array
        Of all points there.
    noise : (P, D) array or None
        Mean variances of the noise of the points there.
    distances : (P, k) array
        Of the nearest positions, the position itself first.
    nearest : (P, k) array of int
        Which they are.
    """

    points: FloatArray
    index: NDArray[np.intp]
    weight: FloatArray
    noise: FloatArray | None
    distances: FloatArray
    nearest: NDArray[np.intp]

    @classmethod
    def of(cls, engine: "InMemory") -> Self:
        observations = engine.observations
        points, index = np.unique(observations.points, axis=0, return_inverse=True)
        index = index.reshape(-1)
        k = min(int(np.clip(_ALL // len(points), _LEAST, _MOST)), len(points))
        distances, nearest = cKDTree(points).query(points, np.arange(1, k + 1))
        own = np.ones(len(index)) if observations.weights is None else observations.weights
        weight = np.bincount(index, own).astype(np.float64)
        noise = None
        if observations.noise is not None:
            sums = [np.bincount(index, own * variances) for variances in observations.noise.T]
            noise = np.stack(sums, axis=1) / weight[:, None]
        return cls(points, index, weight, noise, distances, nearest)

    @property
    def noise_or_none(self) -> FloatArray:
        """`noise`, or (0, D) without."""
        return np.empty((0, self.points.shape[1])) if self.noise is None else self.noise

    def sums(self, values: FloatArray) -> FloatArray:
        """Values of points (N,) summed in each position, (P,)."""
        return np.bincount(self.index, values).astype(np.float64)
