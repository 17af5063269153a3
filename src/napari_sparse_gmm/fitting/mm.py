"""Majorise-minimise: the default solver.

EM's bound for the likelihood and the tangent of a concave penalty together lie above the
cost and touch it at the present mixture; their minimum has a closed form. So a step never
raises the cost. With the expected count n_j, shift s_j and scatter S_j of component j
(`Statistics`):

    mu_j    <- mu_j + s_j / n_j
    Sigma_j <- S_j / n_j - (s_j / n_j)(s_j / n_j)^T,  eigenvalues raised to floor^2
    W       <- the prior's `update_weights`

Raising the eigenvalues is the exact minimum under the constraint Sigma >= floor^2 I.
Each step goes on beyond that minimum, the further the longer the cost has been falling
(Salakhutdinov & Roweis, Adaptive overrelaxed bound optimization methods, ICML 2003).
The steps end in a local optimum; `moves` carry them on from there.
"""

from collections.abc import Iterator

import numpy as np

from napari_sparse_gmm.fitting.moves import Tried, improve, kinds_of_moves
from napari_sparse_gmm.fitting.problem import Evaluated, Problem, raise_eigenvalues
from napari_sparse_gmm.mixture import GaussianMixture

# By how much each step goes further than the last one, in terms of the distance to the minimum
# of its bound; and how far at most.
_GROWTH = 1.2
_FURTHEST = 8.0
# Variances do not change by more in a step; of very thin components rounding may leave nothing.
_LEAST_RATIO = 1e-4

# An optimum that a move will leave need not be reached to the last digit: steps end here while
# moves still help.
_COARSE = 1e-4
# So small a part of what moves have gained is not waited for before the next ones.
_PART = 0.05

# Moves that gain less than so many times the tolerance are taken, but not a reason for more.
_WORTHWHILE = 10.0


def majorise_minimise(problem: Problem, start: GaussianMixture, tol: float) -> Iterator[Evaluated]:
    """States of falling cost: steps to a local optimum, moves, and again.

    Every state yielded has cost a pass over the points, or over some of them; while moves are on
    trial, the best state so far is yielded again. Ends where no step lowers the cost by more
    than `tol`, and no kind of move by more than ten times that.
    """
    state = problem.evaluate(start)
    yield state
    tried, moves = Tried(), kinds_of_moves()
    for tolerance in sorted({tol, max(tol, _COARSE)}, reverse=True):
        for lower in descend(problem, state, tolerance):
            state = lower
            yield state
        kind = idle = 0
        while idle < len(moves):
            better = yield from improve(problem, state, tol, moves[kind], tried)
            gain = 0.0
            if better is not None:
                gain, state = state.cost - better.cost, better
                for lower in descend(problem, state, max(tolerance, _PART * gain)):
                    state = lower
                    yield state
            if gain > 0 and gain >= _WORTHWHILE * tol:
                idle = 0
            else:
                kind, idle = (kind + 1) % len(moves), idle + 1


def descend(problem: Problem, state: Evaluated, tol: float) -> Iterator[Evaluated]:
    """Steps until one lowers the cost by less than `tol`."""
    factor = 1.0
    while True:
        before, step = state, m_step(problem, state)
        state = problem.evaluate(relaxed(problem, before.mixture, step, factor))
        if state.cost > before.cost and factor > 1.0:
            yield before
            state, factor = problem.evaluate(step), 1.0
        if state.cost > before.cost:  # by rounding, or at a kink of the penalty
            yield before
            return
        factor = min(_GROWTH * factor, _FURTHEST)
        yield state
        if before.cost - state.cost < tol:
            return


def relaxed(
    problem: Problem, old: GaussianMixture, new: GaussianMixture, factor: float
) -> GaussianMixture:
    """The mixture that is `factor` times as far from `old` as `new` is.

    On straight lines of the means and of the logarithms of the weights; on the geodesic of the
    covariances, L V e^factor V^T L^T with old = L L^T and new = L V e V^T L^T, which stays
    positive definite. `new` itself where a component is gone.
    """
    if factor == 1.0 or new.n_components < old.n_components:
        return new
    weights = new.weights * (new.weights / old.weights) ** (factor - 1.0)
    background = new.background_weight
    if background > 0:
        background *= (background / old.background_weight) ** (factor - 1.0)
    whitening = old.precision_factors.swapaxes(1, 2)
    ratios, vectors = np.linalg.eigh(whitening @ new.covariances @ old.precision_factors)
    ratios = np.clip(ratios, _LEAST_RATIO, 1.0 / _LEAST_RATIO)
    roots = old.covariance_factors @ vectors * (ratios ** (0.5 * factor))[:, None, :]
    total = weights.sum() + background
    return GaussianMixture(
        weights / total,
        old.means + factor * (new.means - old.means),
        raise_eigenvalues(roots @ roots.swapaxes(1, 2), problem.covariance_floor**2),
        background / total,
        new.background_box,
    )


def m_step(problem: Problem, state: Evaluated) -> GaussianMixture:
    """The minimum of the bound that touches the cost at `state`."""
    statistics, mixture = state.statistics, state.mixture
    weights, background_weight = problem.prior.update_weights(
        statistics.counts,
        statistics.background_count,
        mixture.weights,
        statistics.total_weight,
    )
    kept = (statistics.counts > problem.gone) & (weights > 0)
    means, covariances = problem.updated_shapes(mixture, statistics, kept)
    total = weights[kept].sum() + background_weight
    return GaussianMixture(
        weights[kept] / total,
        means,
        covariances,
        background_weight / total,
        mixture.background_box,
    )
