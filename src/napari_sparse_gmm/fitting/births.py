"""Births: a component wherever the points are denser than the mixture expects.

The boxes of the points' tree, of all sizes, are tested. If the points come from the mixture,
1 / p(x) summed over those in a box is n times its volume; if it is rho times that, the n_b points
in the box are rho times as many as expected. The evidence is the log of the ratio of Poisson
likelihoods, n_b log rho - (n_b - n_b / rho). A box is taken where its halves are about as dense
and have not much more evidence, so the points themselves choose the scale; and where none with
more evidence is near. Nothing is assumed of the share of the background or the size of clusters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_sparse_gmm.engines import Engine
from napari_sparse_gmm.engines.blocks import FEWEST, halves, kd_order
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.fitting.proposals import Proposal
from napari_sparse_gmm.fitting.step import raise_eigenvalues
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

# Nats by which more points in a box than the mixture expects there must be worth a component.
_EVIDENCE = 15.0
_FAINT = 5.0
# And how many times denser they must be: in a large box, a hundredth more is evidence enough,
# but not of a cluster.
_DENSER = 2.0
# A box is taken only where it has so much of the evidence of what is taken within its halves. The
# halves of a Gaussian cluster have about as much together as the whole, two clusters more.
_HALVES = 0.7
# And where its thinner half has so much of its density: no cluster in a corner of the box.
_EVEN = 0.5
# A box silences the others whose centres are nearer than so many of its half diagonals.
_SILENCE = 1.5


class Births:
    """Proposals of births, the most evidence first.

    Boxes that cut through a small cluster miss it. So where the evidence alone would not be
    enough, the tree is turned to another direction whenever there are more components than the
    last time: births may have succeeded then, and others be still to find.

    Parameters
    ----------
    faint : bool
        Also where the evidence alone would not be enough: many are chance, the cost decides.
    """

    def __init__(self, *, faint: bool = False) -> None:
        self.faint = faint
        self._tree: _Tree | None = None
        self._turns = self._n_components = 0

    def __call__(self, problem: Problem, state: Evaluated) -> list[Proposal]:
        engine, mixture = problem.engine, state.mixture
        if self._tree is None:
            self._tree = _Tree(engine.blocks.order, np.eye(engine.n_dimensions))
        elif self.faint and mixture.n_components > self._n_components:
            self._turns += 1
            self._tree = _Tree.turned(engine.points, self._turns)
        self._n_components = mixture.n_components
        room = problem.most - mixture.n_components
        if room <= 0:
            return []
        return _births(problem, mixture, self._tree, _FAINT if self.faint else _EVIDENCE)[:room]


@dataclass(frozen=True, eq=False)
class _Tree:
    """A balanced tree of points: their order (N,) in it, and its axes, the columns of (D, D)."""

    order: NDArray[np.intp]
    axes: FloatArray

    @classmethod
    def turned(cls, points: FloatArray, seed: int) -> "_Tree":
        """With axes of some other direction."""
        d = points.shape[1]
        axes = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
        return cls(kd_order(points @ axes), axes)


def _births(
    problem: Problem, mixture: GaussianMixture, tree: _Tree, least: float
) -> list[Proposal]:
    """Births with evidence of `least`."""
    engine, order = problem.engine, tree.order
    points = engine.points.take(order, axis=0)
    noise = None if engine.noise is None else engine.noise.take(order, axis=0)
    weight, inverse = (values[order] for values in inverse_density(engine, mixture))
    boxes = _dense_boxes(points @ tree.axes, weight, inverse, problem.covariance_floor, least)
    means, covariances = [], []
    for first, last, _ in boxes:
        inside = slice(first, last)
        mean, covariance = moments(
            points[inside], weight[inside], None if noise is None else noise[inside]
        )
        means.append(mean)
        covariances.append(covariance)
    if not boxes:
        return []
    raised = raise_eigenvalues(np.array(covariances), problem.covariance_floor**2)
    weights = np.array([excess for _, _, excess in boxes]) / weight.sum()
    return [
        Proposal(np.empty(0, dtype=np.intp), weights[[i]], means[i][None], raised[[i]])
        for i in range(len(boxes))
    ]


def moments(
    points: FloatArray, weight: FloatArray, noise: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Mean (D,) and covariance (D, D) of the true places of weighted points (N, D).

    What their noise, variances (N, D), is expected to have added is taken off; that may leave
    the covariance without a root.
    """
    share = weight / weight.sum()
    mean = share @ points
    difference = points - mean
    covariance = (difference.T * share) @ difference
    if noise is not None:
        covariance -= np.diag(share @ noise)
    return mean, covariance


def inverse_density(engine: Engine, mixture: GaussianMixture) -> tuple[FloatArray, FloatArray]:
    """Weight of each point, 1 on average, and weight / p(x), (N,) each."""
    weight = np.ones(engine.n_points)
    if engine.sample_weight is not None:  # as many as there are points: evidence is theirs
        weight = engine.sample_weight * (engine.n_points / engine.total_weight)
    # Of a point far from everything it is no matter how far: 600 is next to what a float64 holds.
    return weight, weight * np.exp(np.minimum(-engine.log_density(mixture), 600.0))


def _dense_boxes(
    points: FloatArray, weight: FloatArray, inverse: FloatArray, floor: float, least: float
) -> list[tuple[int, int, float]]:
    """First and last point of boxes with too many points, and by how many; most evidence first.

    All arrays are in the order of the tree; `inverse` is weight / p(x). `least` is the evidence
    that a box must have.
    """
    n, total = len(points), weight.sum()
    depth = max(0, int(np.log2(max(1, n // FEWEST))))
    starts = halves(n, depth)[:-1]
    lower = np.minimum.reduceat(points, starts, axis=0)
    upper = np.maximum.reduceat(points, starts, axis=0)
    sums = np.stack([np.add.reduceat(column, starts) for column in (weight, inverse)], axis=1)
    counts = np.diff(np.append(starts, n))
    best, thinner = np.zeros(len(starts)), np.full(len(starts), np.inf)
    tests = []  # from the smallest boxes up
    for level in range(depth, -1, -1):
        # Points span (n - 1) / (n + 1) of each side of the box that they fill evenly.
        sides = np.maximum((upper - lower) * ((counts + 1) / (counts - 1))[:, None], floor)
        rho = np.maximum(sums[:, 1] / (total * sides.prod(1)), 1.0)
        evidence = sums[:, 0] * (np.log(rho) - 1 + 1 / rho)
        taken = (evidence > least) & (evidence >= _HALVES * best)
        taken &= (rho > _DENSER) & (_EVEN * rho <= thinner)
        best = np.where(taken, evidence, best)
        excess = sums[:, 0] * (1 - 1 / rho)
        tests.append((level, taken, evidence, excess, 0.5 * (lower + upper), sides))
        if level > 0:
            lower = np.minimum(lower[::2], lower[1::2])
            upper = np.maximum(upper[::2], upper[1::2])
            sums, counts = sums[::2] + sums[1::2], counts[::2] + counts[1::2]
            best = best[::2] + best[1::2]
            thinner = np.minimum(rho[::2], rho[1::2])
    found = []  # from the largest down: a box that is taken hides those inside
    hidden = np.zeros(1, dtype=bool)
    for level, taken, evidence, excess, centre, sides in reversed(tests):
        free = np.flatnonzero(taken & ~hidden)
        edges = halves(n, level)
        radius = 0.5 * np.sqrt(np.square(sides[free]).sum(1))
        found.append(
            (evidence[free], edges[free], edges[free + 1], excess[free], radius, centre[free])
        )
        hidden = np.repeat(hidden | taken, 2)
    evidence, first, last, excess, radius, centre = (
        np.concatenate(column) for column in zip(*found, strict=True)
    )
    if not len(evidence):
        return []
    tree = cKDTree(centre)
    silent = np.zeros(len(evidence), dtype=bool)
    boxes = []
    for row in np.argsort(-evidence, kind="stable"):
        if not silent[row]:
            silent[tree.query_ball_point(centre[row], _SILENCE * radius[row])] = True
            boxes.append((int(first[row]), int(last[row]), float(excess[row])))
    return boxes
