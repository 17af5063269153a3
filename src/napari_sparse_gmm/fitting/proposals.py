"""What moves propose: some components replaced by others.

Deletions and merges lead to fewer components, splits and births (`births`) to more. Proposals
are cheap and many, each about one spot; `trial` finds out which are worth it. They come in the
order in which they should be tried.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_sparse_gmm.factored import log_determinants
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import CovarianceType

Index = NDArray[np.intp]

# Components that may be one with another: its nearest, up to a squared Mahalanobis distance.
_NEIGHBOURS = 5
_NEAR = 16.0

# How far from its mean the halves of a component start, in standard deviations along its axis.
_APART = 0.7

# The most components that a proposal takes out or puts in.
MOST = 2


@dataclass(frozen=True, eq=False)
class Proposals:
    """P of them: components to take out and to put in, two of each at most.

    Parameters
    ----------
    removed : (P, 2) array of int
        -1 where there is none.
    weights : (P, 2) array
        Of those to put in; 0 where there is none.
    means, covariances : (P, 2, D) and (P, 2, D, D) arrays
    """

    removed: Index
    weights: FloatArray
    means: FloatArray
    covariances: FloatArray

    @classmethod
    def of(
        cls,
        removed: Index,
        weights: FloatArray,
        means: FloatArray,
        covariances: FloatArray,
    ) -> "Proposals":
        """From as many of each as there are: (P, r), (P, a), (P, a, D) and (P, a, D, D)."""
        p, a, d = means.shape
        padded = cls(
            np.full((p, MOST), -1, dtype=np.intp),
            np.zeros((p, MOST)),
            np.zeros((p, MOST, d)),
            np.tile(np.eye(d), (p, MOST, 1, 1)),
        )
        padded.removed[:, : removed.shape[1]] = removed
        padded.weights[:, :a] = weights
        padded.means[:, :a], padded.covariances[:, :a] = means, covariances
        return padded

    @classmethod
    def deletions(cls, components: Index, d: int) -> "Proposals":
        """To take out each of some components of D dimensions."""
        p = len(components)
        nothing = np.empty((p, 0)), np.empty((p, 0, d)), np.empty((p, 0, d, d))
        return cls.of(components[:, None], *nothing)

    @classmethod
    def joining(cls, parts: "Sequence[Proposals]") -> "Proposals":
        """One after the other."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.removed)

    def subset(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "Proposals":
        """Some of them."""
        return Proposals(*(getattr(self, field.name)[rows] for field in fields(self)))

    def of_type(self, covariance_type: CovarianceType) -> "Proposals":
        """With the nearest covariances that components may have."""
        return replace(self, covariances=covariance_type.nearest(self.covariances))

    @cached_property
    def n_removed(self) -> Index:
        """How many components each takes out, (P,)."""
        return (self.removed >= 0).sum(1)

    @cached_property
    def added(self) -> NDArray[np.bool_]:
        """Which of the two to put in there are, (P, 2)."""
        return self.weights > 0

    @property
    def growth(self) -> Index:
        """By how many components the mixture would grow, (P,)."""
        return self.added.sum(1) - self.n_removed


Propose = Callable[[Problem, Evaluated], Proposals]


def reductions(problem: Problem, state: Evaluated) -> Proposals:
    """Deletions and merges, those that are expected to cost least first."""
    mixture = state.mixture
    if state.statistics.removal is None:
        state = problem.evaluate(mixture, state.objective, removal=True)
    k = mixture.n_components
    single = np.arange(k if k + (mixture.background_weight > 0) > 1 else 0)
    pairs, merging = merge_costs(problem, state)
    proposals = Proposals.joining(
        [Proposals.deletions(single, mixture.n_dimensions), _merges(mixture, pairs)]
    )
    costs = np.concatenate([deletion_costs(state)[single], merging])
    return proposals.subset(np.argsort(costs, kind="stable"))


def splits(problem: Problem, state: Evaluated) -> Proposals:
    """Each component as two halves along its longest axis; the heaviest first."""
    mixture = state.mixture
    values, vectors = np.linalg.eigh(mixture.covariances)
    v = _APART * np.sqrt(values[:, -1:]) * vectors[:, :, -1]  # (K, D)
    covariances = mixture.covariances - v[:, :, None] * v[:, None, :]
    # A half would be narrower than the floor, or hold less than a point.
    wide = (1 - _APART**2) * values[:, -1] >= problem.least_floor**2
    heavy = mixture.weights * problem.engine.summary.n_points >= 4
    heaviest_first = np.argsort(-mixture.weights, kind="stable")
    j = heaviest_first[(wide & heavy)[heaviest_first]]
    return Proposals.of(
        j[:, None],
        np.repeat(0.5 * mixture.weights[j, None], 2, axis=1),
        mixture.means[j, None] + np.stack([-v[j], v[j]], axis=1),
        np.repeat(covariances[j, None], 2, axis=1),
    )


def deletion_costs(state: Evaluated) -> FloatArray:
    """The change of the cost when each component alone is deleted, nothing else changed, (K,)."""
    mixture, statistics = state.mixture, state.statistics
    total = statistics.total_weight
    assert statistics.removal is not None
    multiplier = state.objective.multiplier(mixture.weights, total)
    costs = state.objective.costs(mixture.weights, mixture.covariances, total)
    return -statistics.removal / total - costs - multiplier * mixture.weights


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
    merged = state.objective.covariance_type.nearest(merged)
    log_volumes = log_determinants(problem.convolved(mixture.covariances))[pairs]
    log_volume = log_determinants(problem.convolved(merged))
    cost = 0.5 * (together * log_volume - (w * log_volumes).sum(1))
    cost += state.objective.costs(together, merged, total)
    cost -= (
        state.objective.costs(w.ravel(), mixture.covariances[pairs.ravel()], total)
        .reshape(-1, 2)
        .sum(1)
    )
    return pairs, cost


def near_pairs(problem: Problem, mixture: GaussianMixture) -> Index:
    """Pairs j < k of neighbours that are not far apart in standard deviations, (P, 2)."""
    k = mixture.n_components
    if k < 2:
        return np.empty((0, 2), dtype=np.intp)
    n = min(_NEIGHBOURS + 1, k)
    nearest = cKDTree(mixture.means).query(mixture.means, n)[1]  # (K, n), each with itself
    pairs = np.sort(np.stack([np.repeat(np.arange(k), n), nearest.ravel()], axis=1), axis=1)
    keys = np.unique(pairs[:, 0] * k + pairs[:, 1])
    pairs = np.stack([keys // k, keys % k], axis=1)
    first, second = pairs[pairs[:, 0] < pairs[:, 1]].T
    pooled = problem.convolved(0.5 * (mixture.covariances[first] + mixture.covariances[second]))
    difference = mixture.means[second] - mixture.means[first]
    near = squared_distances(difference, pooled) < _NEAR
    return np.stack([first[near], second[near]], axis=1)


def squared_distances(differences: FloatArray, covariances: FloatArray) -> FloatArray:
    """Squared Mahalanobis lengths of differences (..., D) for covariances (..., D, D)."""
    solved = np.linalg.solve(covariances, differences[..., None])[..., 0]
    return np.asarray((differences * solved).sum(-1), dtype=np.float64)


def _merges(mixture: GaussianMixture, pairs: Index) -> Proposals:
    """Pairs of components (P, 2), each as one of the same moments."""
    weights = mixture.weights[pairs].sum(1, keepdims=True)  # (P, 1)
    share = mixture.weights[pairs] / weights
    means = np.einsum("pk,pki->pi", share, mixture.means[pairs])
    d = mixture.means[pairs] - means[:, None]
    scatter = mixture.covariances[pairs] + d[..., :, None] * d[..., None, :]
    covariances = np.einsum("pk,pkij->pij", share, scatter)
    return Proposals.of(pairs, weights, means[:, None], covariances[:, None])
