"""Moves that carry a solver out of a poor local optimum.

A move proposes another mixture. It is given a few steps, and kept as soon as its cost
falls below that of the mixture it came from; where its steps shorten so fast that it will
not get there, it is dropped. The cost alone decides, so moves serve every prior.
"""

from collections.abc import Callable, Generator, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

Descent = Callable[[Problem, Evaluated, float], Iterator[Evaluated]]

# Steps on trial, and how many of the most promising moves of a kind are tried from one optimum.
_TRIAL_STEPS = 20
_TRIALS = 8

# Components that may be one with another: its nearest, up to a squared Mahalanobis distance.
_NEIGHBOURS = 5
_NEAR = 16.0


def improve(
    problem: Problem, state: Evaluated, tol: float, descend: Descent
) -> Generator[Evaluated, None, Evaluated | None]:
    """Try moves, the most promising first; return the first state that is better by `tol`.

    Yields `state` once for each pass over the points. Returns None where no move helps.
    """
    state = problem.evaluate(state.mixture, removal=True)
    yield state
    for proposal in chain(deletions(problem, state), merges(state.mixture)):
        better = yield from _trial(problem, state, proposal, tol, descend)
        if better is not None:
            return better
    return None


def deletions(problem: Problem, state: Evaluated) -> Iterator[GaussianMixture]:
    """Mixtures without some components, or one; first those that cost least at once.

    Where many could go, the better half of them goes together, or a quarter, or ...: hundreds
    of superfluous components are not taken out one by one.
    """
    mixture = state.mixture
    if mixture.n_components + (mixture.background_weight > 0) < 2:
        return
    costs = deletion_costs(problem, state)
    order = np.argsort(costs)
    some = int((costs < state.cost).sum()) // 2
    while some > 1:
        yield mixture.subset(~np.isin(np.arange(len(order)), order[:some]))
        some //= 2
    for j in order[:_TRIALS]:
        yield mixture.subset(np.arange(len(order)) != j)


def merges(mixture: GaussianMixture) -> Iterator[GaussianMixture]:
    """Mixtures with two near components as one of the same moments; the nearest first."""
    if mixture.n_components < 2:
        return
    j, k = _neighbours(mixture.means)
    pooled = 0.5 * (mixture.covariances[j] + mixture.covariances[k])
    difference = mixture.means[k] - mixture.means[j]
    distance = (difference * np.linalg.solve(pooled, difference[:, :, None])[:, :, 0]).sum(1)
    for pair in np.argsort(distance)[:_TRIALS]:
        if distance[pair] < _NEAR:
            yield _merged(mixture, j[pair], k[pair])


def _neighbours(means: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs j < k of which one is among the nearest of the other: at most 5 K, not K^2 / 2."""
    n = min(_NEIGHBOURS + 1, len(means))
    nearest = cKDTree(means).query(means, n)[1]  # (K, n), each with itself among them
    pairs = np.stack([np.repeat(np.arange(len(means)), n), nearest.ravel()], axis=1)
    j, k = np.unique(np.sort(pairs, axis=1), axis=0).T
    return j[j < k], k[j < k]


def _merged(mixture: GaussianMixture, j: int, k: int) -> GaussianMixture:
    pair = np.array([j, k])
    weight = mixture.weights[pair].sum()
    share = mixture.weights[pair] / weight
    mean = share @ mixture.means[pair]
    d = mixture.means[pair] - mean
    scatter = mixture.covariances[pair] + d[:, :, None] * d[:, None, :]
    weights, means, covariances = (
        np.delete(values, k, axis=0)
        for values in (mixture.weights, mixture.means, mixture.covariances)
    )
    weights[j], means[j], covariances[j] = weight, mean, np.tensordot(share, scatter, 1)
    return GaussianMixture(
        weights, means, covariances, mixture.background_weight, mixture.background_box
    )


def deletion_costs(problem: Problem, state: Evaluated) -> FloatArray:
    """The cost after each component alone is deleted and nothing else is changed, (K,)."""
    mixture, statistics = state.mixture, state.statistics
    total = statistics.total_weight
    assert statistics.removal is not None
    rest = 1.0 - mixture.weights
    with np.errstate(divide="ignore"):
        log_likelihoods = statistics.log_likelihood + statistics.removal - total * np.log(rest)
    penalties = [
        problem.prior.penalty(np.delete(mixture.weights, j) / max(rest[j], 1e-300), total)
        for j in range(mixture.n_components)
    ]
    return np.asarray(penalties) - log_likelihoods / total


def _trial(
    problem: Problem, state: Evaluated, proposal: GaussianMixture, tol: float, descend: Descent
) -> Generator[Evaluated, None, Evaluated | None]:
    candidate = problem.evaluate(proposal)
    yield state
    last_gain = np.inf
    for step, after in enumerate(descend(problem, candidate, tol)):
        gain, candidate = candidate.cost - after.cost, after
        if candidate.cost < state.cost - tol:
            return candidate
        yield state
        # Gains that shrink by a factor q sum to gain q / (1 - q) (Aitken); twice that to be fair.
        q = min(gain / last_gain, 0.99) if last_gain > 0 else 0.0
        if step >= 2 and candidate.cost - 2 * gain * q / (1 - q) > state.cost:
            return None
        if step >= _TRIAL_STEPS:
            return None
        last_gain = gain
    return None
