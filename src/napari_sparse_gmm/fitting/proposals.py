"""What moves propose: some components replaced by others.

Deletions and merges lead to fewer components, splits and births to more. Proposals are cheap
and many, each about one place; `trial` finds out which are worth it. They come in the order in
which they should be tried.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_sparse_gmm.engines.blocks import halves
from napari_sparse_gmm.fitting.problem import Evaluated, Problem, raise_eigenvalues
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

Index = NDArray[np.intp]

# Components that may be one with another: its nearest, up to a squared Mahalanobis distance.
_NEIGHBOURS = 5
_NEAR = 16.0

# How far from its mean the halves of a component start, in standard deviations along its axis.
_APART = 0.7

# Nats by which more points in a box than the mixture expects there must be worth a component.
_EVIDENCE = 15.0
_FAINT = 5.0
# And how many times denser they must be: in a large box, a hundredth more is evidence enough,
# but not of a cluster.
_DENSER = 2.0
# Points in the smallest boxes that are looked at.
_FEWEST = 8
# A box is taken only where it has so much of the evidence of what is taken within its halves. The
# halves of a Gaussian cluster have about as much together as the whole, two clusters more.
_HALVES = 0.7
# And where its thinner half has so much of its density: no cluster in a corner of the box.
_EVEN = 0.5
# A box silences the others whose centres are nearer than so many of its half diagonals.
_SILENCE = 1.5


@dataclass(frozen=True, eq=False)
class Proposal:
    """Components to take out and to put in."""

    removed: Index  # (r,)
    weights: FloatArray  # (a,)
    means: FloatArray  # (a, D)
    covariances: FloatArray  # (a, D, D)

    @property
    def growth(self) -> int:
        """By how many components the mixture would grow."""
        return len(self.weights) - len(self.removed)


Propose = Callable[[Problem, Evaluated], list[Proposal]]


def reductions(problem: Problem, state: Evaluated) -> list[Proposal]:
    """Deletions and merges, those that are expected to cost least first."""
    mixture = state.mixture
    nothing = _none_of(mixture)
    proposals, costs = [], []
    if mixture.n_components + (mixture.background_weight > 0) > 1:
        for j, cost in enumerate(deletion_costs(problem, state)):
            proposals.append(Proposal(np.array([j]), *nothing))
            costs.append(cost)
    for (j, k), cost in zip(*merge_costs(problem, state), strict=True):
        proposals.append(_merged(mixture, j, k))
        costs.append(cost)
    return [proposals[place] for place in np.argsort(costs, kind="stable")]


def splits(problem: Problem, state: Evaluated) -> list[Proposal]:
    """Each component as two halves along its longest axis; the heaviest first."""
    mixture = state.mixture
    values, vectors = np.linalg.eigh(mixture.covariances)
    v = _APART * np.sqrt(values[:, -1:]) * vectors[:, :, -1]  # (K, D)
    covariances = mixture.covariances - v[:, :, None] * v[:, None, :]
    proposals = []
    for j in np.argsort(-mixture.weights, kind="stable"):
        # A half would be narrower than the floor, or hold less than a point.
        if (1 - _APART**2) * values[j, -1] < problem.covariance_floor**2:
            continue
        if mixture.weights[j] * problem.engine.n_points < 4:
            continue
        proposals.append(
            Proposal(
                np.array([j]),
                np.full(2, 0.5 * mixture.weights[j]),
                mixture.means[j] + np.stack([-v[j], v[j]]),
                np.stack([covariances[j]] * 2),
            )
        )
    return proposals


def births(problem: Problem, state: Evaluated) -> list[Proposal]:
    """A component wherever there are significantly more points than the mixture expects.

    The boxes of the points' tree, of all sizes, are tested. If the points come from the
    mixture, 1 / p(x) summed over those in a box is n times its volume; if it is rho times
    that, the n_b points in the box are rho times as many as expected. The evidence is the
    log of the ratio of Poisson likelihoods, n_b log rho - (n_b - n_b / rho). A box is taken
    where its halves are about as dense and have not much more evidence, so the points
    themselves choose the scale; and where none with more evidence is near.
    """
    return _births(problem, state, _EVIDENCE)


def faint_births(problem: Problem, state: Evaluated) -> list[Proposal]:
    """`births` where the evidence alone would not be enough: many are chance, the cost decides."""
    return _births(problem, state, _FAINT)


def _births(problem: Problem, state: Evaluated, least: float) -> list[Proposal]:
    engine, mixture = problem.engine, state.mixture
    order = engine.blocks.order
    points = engine.points[order]
    weight = np.ones(len(points))
    if engine.sample_weight is not None:  # as many as there are points: evidence is theirs
        weight = engine.sample_weight[order] * (engine.n_points / engine.total_weight)
    inverse = weight * np.exp(-engine.log_density(mixture)[order])
    boxes = _dense_boxes(points, weight, inverse, problem.covariance_floor, least)
    boxes = boxes[: max(0, problem.most - mixture.n_components)]
    means, covariances = [], []
    for first, last, _ in boxes:
        inside, w = points[first:last], weight[first:last] / weight[first:last].sum()
        means.append(w @ inside)
        difference = inside - means[-1]
        covariances.append((difference.T * w) @ difference)
    if not boxes:
        return []
    raised = raise_eigenvalues(np.array(covariances), problem.covariance_floor**2)
    weights = np.array([excess for _, _, excess in boxes]) / weight.sum()
    return [
        Proposal(np.empty(0, dtype=np.intp), weights[[i]], means[i][None], raised[[i]])
        for i in range(len(boxes))
    ]


def _dense_boxes(
    points: FloatArray, weight: FloatArray, inverse: FloatArray, floor: float, least: float
) -> list[tuple[int, int, float]]:
    """First and last point of boxes with too many points, and by how many; most evidence first.

    All arrays are in the order of the tree; `inverse` is weight / p(x). `least` is the evidence
    that a box must have.
    """
    n, total = len(points), weight.sum()
    depth = max(0, int(np.log2(max(1, n // _FEWEST))))
    starts = halves(n, depth)[:-1]
    lower = np.minimum.reduceat(points, starts, axis=0)
    upper = np.maximum.reduceat(points, starts, axis=0)
    sums = np.add.reduceat(np.stack([weight, inverse], axis=1), starts, axis=0)
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


def deletion_costs(problem: Problem, state: Evaluated) -> FloatArray:
    """The change of the cost when each component alone is deleted, nothing else changed, (K,)."""
    mixture, statistics = state.mixture, state.statistics
    total = statistics.total_weight
    assert statistics.removal is not None
    price = problem.prior.multiplier(mixture.weights, total)
    penalties = problem.prior.penalties(mixture.weights, total)
    return -statistics.removal / total - penalties - price * mixture.weights


def merge_costs(problem: Problem, state: Evaluated) -> tuple[Index, FloatArray]:
    """Pairs of near components (P, 2), and about what it costs to have each as one, (P,).

    As if every point kept to its own of the two: an upper bound where they overlap.
    """
    mixture, total = state.mixture, state.statistics.total_weight
    pairs = near_pairs(mixture)
    if not len(pairs):
        return pairs, np.empty(0)
    w = mixture.weights[pairs]  # (P, 2)
    together = w.sum(1)
    share = w / together[:, None]
    difference = mixture.means[pairs[:, 1]] - mixture.means[pairs[:, 0]]
    merged = np.einsum("pk,pkij->pij", share, mixture.covariances[pairs])
    merged += (share.prod(1)[:, None, None]) * difference[:, :, None] * difference[:, None, :]
    log_volumes = np.linalg.slogdet(mixture.covariances)[1][pairs]
    cost = 0.5 * (together * np.linalg.slogdet(merged)[1] - (w * log_volumes).sum(1))
    penalties = problem.prior.penalties
    cost += penalties(together, total)
    cost -= penalties(w[:, 0], total) + penalties(w[:, 1], total)
    return pairs, cost


def near_pairs(mixture: GaussianMixture) -> Index:
    """Pairs j < k of neighbours that are not far apart in standard deviations, (P, 2)."""
    if mixture.n_components < 2:
        return np.empty((0, 2), dtype=np.intp)
    n = min(_NEIGHBOURS + 1, mixture.n_components)
    nearest = cKDTree(mixture.means).query(mixture.means, n)[1]  # (K, n), each with itself
    pairs = np.stack([np.repeat(np.arange(len(nearest)), n), nearest.ravel()], axis=1)
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    j, k = pairs.T
    pooled = 0.5 * (mixture.covariances[j] + mixture.covariances[k])
    difference = mixture.means[k] - mixture.means[j]
    distance = (difference * np.linalg.solve(pooled, difference[:, :, None])[:, :, 0]).sum(1)
    return pairs[distance < _NEAR]


def _merged(mixture: GaussianMixture, j: int, k: int) -> Proposal:
    """Two components as one of the same moments."""
    pair = np.array([j, k])
    weight = mixture.weights[pair].sum()
    share = mixture.weights[pair] / weight
    mean = share @ mixture.means[pair]
    d = mixture.means[pair] - mean
    scatter = mixture.covariances[pair] + d[:, :, None] * d[:, None, :]
    return Proposal(pair, np.array([weight]), mean[None], np.tensordot(share, scatter, 1)[None])


def _none_of(mixture: GaussianMixture) -> tuple[FloatArray, FloatArray, FloatArray]:
    d = mixture.n_dimensions
    return np.empty(0), np.empty((0, d)), np.empty((0, d, d))
