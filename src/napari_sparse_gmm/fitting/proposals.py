"""What moves propose: some components replaced by others.

Deletions and merges lead to fewer components, splits and births (`births`) to more. Proposals
are cheap and many, each about one place; `trial` finds out which are worth it. They come in the
order in which they should be tried.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

Index = NDArray[np.intp]

# Components that may be one with another: its nearest, up to a squared Mahalanobis distance.
_NEIGHBOURS = 5
_NEAR = 16.0

# How far from its mean the halves of a component start, in standard deviations along its axis.
_APART = 0.7


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
    if state.statistics.removal is None:
        state = problem.evaluate(mixture, state.prior, removal=True)
    nothing = _none_of(mixture)
    proposals, costs = [], []
    if mixture.n_components + (mixture.background_weight > 0) > 1:
        for j, cost in enumerate(deletion_costs(state)):
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
    # A half would be narrower than the floor, or hold less than a point.
    wide = (1 - _APART**2) * values[:, -1] >= problem.covariance_floor**2
    heavy = mixture.weights * problem.engine.summary.n_points >= 4
    heaviest_first = np.argsort(-mixture.weights, kind="stable")
    weights = np.repeat(0.5 * mixture.weights[:, None], 2, axis=1)  # (K, 2)
    means = mixture.means[:, None] + np.stack([-v, v], axis=1)  # (K, 2, D)
    halves = np.repeat(covariances[:, None], 2, axis=1)  # (K, 2, D, D)
    return [
        Proposal(np.array([j]), weights[j], means[j], halves[j])
        for j in heaviest_first[(wide & heavy)[heaviest_first]]
    ]


def deletion_costs(state: Evaluated) -> FloatArray:
    """The change of the cost when each component alone is deleted, nothing else changed, (K,)."""
    mixture, statistics = state.mixture, state.statistics
    total = statistics.total_weight
    assert statistics.removal is not None
    price = state.prior.multiplier(mixture.weights, total)
    costs = state.prior.costs(mixture.weights, mixture.covariances, total)
    return -statistics.removal / total - costs - price * mixture.weights


def merge_costs(problem: Problem, state: Evaluated) -> tuple[Index, FloatArray]:
    """Pairs of near components (P, 2), and about what it costs to have each as one, (P,).

    As if every point kept to its own of the two: an upper bound where they overlap.
    """
    mixture, total = state.mixture, state.statistics.total_weight
    pairs = near_pairs(problem, mixture)
    if not len(pairs):
        return pairs, np.empty(0)
    w = mixture.weights[pairs]  # (P, 2)
    together = w.sum(1)
    share = w / together[:, None]
    difference = mixture.means[pairs[:, 1]] - mixture.means[pairs[:, 0]]
    merged = np.einsum("pk,pkij->pij", share, mixture.covariances[pairs])
    merged += (share.prod(1)[:, None, None]) * difference[:, :, None] * difference[:, None, :]
    log_volumes = np.linalg.slogdet(problem.as_seen(mixture.covariances))[1][pairs]
    log_volume = np.linalg.slogdet(problem.as_seen(merged))[1]
    cost = 0.5 * (together * log_volume - (w * log_volumes).sum(1))
    cost += state.prior.costs(together, merged, total)
    cost -= (
        state.prior.costs(w.ravel(), mixture.covariances[pairs.ravel()], total)
        .reshape(-1, 2)
        .sum(1)
    )
    return pairs, cost


def near_pairs(problem: Problem, mixture: GaussianMixture) -> Index:
    """Pairs j < k of neighbours that are not far apart in standard deviations, (P, 2)."""
    if mixture.n_components < 2:
        return np.empty((0, 2), dtype=np.intp)
    n = min(_NEIGHBOURS + 1, mixture.n_components)
    nearest = cKDTree(mixture.means).query(mixture.means, n)[1]  # (K, n), each with itself
    pairs = np.stack([np.repeat(np.arange(len(nearest)), n), nearest.ravel()], axis=1)
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    j, k = pairs.T
    pooled = problem.as_seen(0.5 * (mixture.covariances[j] + mixture.covariances[k]))
    difference = mixture.means[k] - mixture.means[j]
    return pairs[squared_distances(difference, pooled) < _NEAR]


def squared_distances(differences: FloatArray, covariances: FloatArray) -> FloatArray:
    """Squared Mahalanobis lengths of differences (..., D) for covariances (..., D, D)."""
    solved = np.linalg.solve(covariances, differences[..., None])[..., 0]
    return np.asarray((differences * solved).sum(-1), dtype=np.float64)


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
