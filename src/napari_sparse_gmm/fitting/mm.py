"""Majorise-minimise: the default solver.

EM's bound for the likelihood and the tangent of a concave penalty together lie above the
cost and touch it at the present mixture; their minimum has a closed form. So a step never
raises the cost. With the expected count n_j, shift s_j and scatter S_j of component j
(`Statistics`):

    mu_j    <- mu_j + s_j / n_j
    Sigma_j <- S_j / n_j - (s_j / n_j)(s_j / n_j)^T,  eigenvalues raised to floor^2
    W       <- the prior's `update_weights`

Raising the eigenvalues is the exact minimum under the constraint Sigma >= floor^2 I.
The steps end in a local optimum; `moves` carry them on from there.
"""

from collections.abc import Iterator

import numpy as np

from napari_sparse_gmm.fitting.moves import improve
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

# A component of fewer expected points, of mean weight, is gone: what it adds to the likelihood
# is lost in the rounding of the sums.
_GONE = 1e-6

# An optimum that a move will leave need not be reached to the last digit: steps end here while
# moves still help.
_COARSE = 1e-4


def majorise_minimise(problem: Problem, start: GaussianMixture, tol: float) -> Iterator[Evaluated]:
    """States of falling cost: steps to a local optimum, moves, and again.

    Every state yielded has cost one pass over the points; while a move is on trial, the best
    state so far is yielded again. Ends where neither a step nor a move lowers the cost by
    more than `tol`.
    """
    state = problem.evaluate(start)
    yield state
    tolerance = max(tol, _COARSE)
    while True:
        for lower in descend(problem, state, tolerance):
            state = lower
            yield state
        better = yield from improve(problem, state, tol, descend)
        if better is not None:
            state = better
        elif tolerance > tol:
            tolerance = tol
        else:
            return


def descend(problem: Problem, state: Evaluated, tol: float) -> Iterator[Evaluated]:
    """Steps until one lowers the cost by less than `tol`."""
    while True:
        before = state.cost
        state = problem.evaluate(m_step(problem, state))
        yield state
        if before - state.cost < tol:
            return


def m_step(problem: Problem, state: Evaluated) -> GaussianMixture:
    """The minimum of the bound that touches the cost at `state`."""
    statistics, mixture = state.statistics, state.mixture
    weights, background_weight = problem.prior.update_weights(
        statistics.counts,
        statistics.background_count,
        mixture.weights,
        statistics.total_weight,
    )
    point = statistics.total_weight / problem.engine.n_points
    kept = (statistics.counts > _GONE * point) & (weights > 0)
    counts = statistics.counts[kept]
    shift = statistics.shifts[kept] / counts[:, None]
    covariances = statistics.scatters[kept] / counts[:, None, None]
    covariances -= shift[:, :, None] * shift[:, None, :]
    total = weights[kept].sum() + background_weight
    return GaussianMixture(
        weights[kept] / total,
        mixture.means[kept] + shift,
        raise_eigenvalues(covariances, problem.covariance_floor**2),
        background_weight / total,
        mixture.background_box,
    )


def raise_eigenvalues(covariances: FloatArray, least: float) -> FloatArray:
    """The nearest covariances (K, D, D) without an eigenvalue below `least`."""
    values, vectors = np.linalg.eigh(covariances)
    roots = vectors * np.sqrt(np.maximum(values, least))[:, None, :]
    raised = roots @ roots.swapaxes(1, 2)
    # Those that need no change keep all their digits.
    return np.where((values[:, :1] < least)[:, :, None], raised, covariances)
