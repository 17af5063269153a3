"""Majorise-minimise: the default solver.

EM's bound for the likelihood and the tangent of a concave penalty together lie above the
cost and touch it at the present mixture; their minimum has a closed form. So a step never
raises the cost. With the expected count n_j, shift s_j and scatter S_j of component j
(`Statistics`):

    mu_j    <- mu_j + s_j / n_j
    Sigma_j <- S_j / n_j - (s_j / n_j)(s_j / n_j)^T,  eigenvalues raised to floor^2
    W       <- the objective's `update_weights`

Raising the eigenvalues is the exact minimum under the constraint Sigma >= floor^2 I. Of points
with noise s_j and S_j are the expected ones of their true positions: these are the steps of extreme
deconvolution (Bovy, Hogg & Roweis, Annals of Applied Statistics 5, 2011). Where there is more
noise than component they are short, so bolder ones are tried first (`step`).

Steps go on beyond that minimum, the further the longer the cost has been falling (Salakhutdinov &
Roweis, Adaptive overrelaxed bound optimization methods, ICML 2003); one that would raise the cost
is taken back, and made to the minimum. They end in a local optimum; `moves` carry on from there.
"""

from collections.abc import Iterator
from itertools import count

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.fitting.moves import Tried, improve, kinds_of_moves
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.fitting.step import raise_eigenvalues
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import Objective

# By how much each step goes further than the last one, in terms of the distance to the minimum
# of its bound; and how far at most.
_GROWTH = 1.2
_FURTHEST = 8.0
# Variances and weights change by no more than this beyond the minimum of the bound.
_LARGEST_RATIO = 10.0

# An optimum that a move will leave need not be reached to the last digit: steps end here while
# moves still help, and after so many.
COARSE, _COARSE_STEPS = 1e-4, 20
# So small a part of what moves have gained is not waited for before the next ones.
_PART = 0.05

# Moves that gain less than so many times the tolerance are taken, but not a reason for more.
_WORTHWHILE = 10.0
# Nats that a move has to gain at most: of very many points a tolerance for each of them is more
# than what a component costs.
_LEAST_GAIN = 1.0


def majorise_minimise(problem: Problem, start: GaussianMixture, tol: float) -> Iterator[Evaluated]:
    """States of falling cost: steps to a local optimum, moves, and again.

    Every state yielded has cost a pass over the points, or over some of them; while moves are on
    trial, the best state so far is yielded again. Ends where no step lowers the cost by more
    than `tol`, and no kind of move by more than ten times that.
    """
    state = problem.start(start)
    yield state
    tried, (moves, fine_moves) = Tried(problem), kinds_of_moves(problem)
    least_gain = min(tol, _LEAST_GAIN / problem.total_weight)
    for tolerance in sorted({tol, max(tol, COARSE)}, reverse=True):
        if tolerance == tol:
            moves = (*moves, *fine_moves)
        for lower in descend(problem, state, tolerance, coarse=tolerance > tol):
            state = lower
            yield state
        kind = idle = 0
        while idle < len(moves):
            better = yield from improve(problem, state, least_gain, moves[kind], tried)
            gain = 0.0
            if better is not None:
                gain, state = state.cost - better.cost, better
                enough = max(tolerance, _PART * gain)
                for lower in descend(problem, state, enough, coarse=enough > tol):
                    state = lower
                    yield state
            if gain > 0 and gain >= max(_WORTHWHILE * tol, tolerance):
                idle = 0
            else:
                kind, idle = (kind + 1) % len(moves), idle + 1


def descend(
    problem: Problem, state: Evaluated, tol: float, *, coarse: bool = False
) -> Iterator[Evaluated]:
    """Steps until one lowers the cost by less than `tol`.

    One to the minimum of its bound; or, where `coarse`, any: one that went too far, to the other
    side of a valley, gains little though more may be to gain. Those end after a number of steps.
    """
    factor = 1.0
    for step in count(1):
        before = state
        for length, mixture, objective in _steps(problem, before, factor):
            state = problem.evaluate(mixture, objective)
            if state.cost <= before.cost:
                factor = length
                break
            yield before
        else:  # by rounding, or at a kink of the penalty
            return
        yield state
        if coarse and step == _COARSE_STEPS:
            return
        if before.cost - state.cost >= tol:
            factor = min(_GROWTH * factor, _FURTHEST)
        elif factor > 1.0 and not coarse:
            factor = 1.0
        else:
            return


def _steps(
    problem: Problem, state: Evaluated, factor: float
) -> Iterator[tuple[float, GaussianMixture, Objective]]:
    """What to try from a state, the boldest first: how far each goes, and where it ends."""
    step, objective = m_step(problem, state)
    if factor > 1.0:
        further = objective.relaxed(state.objective, factor)
        yield factor, relaxed(problem, state.mixture, step, factor), further
    yield 1.0, step, objective
    if state.statistics.informations is not None:
        yield 1.0, *m_step(problem, state, bold=False)


def relaxed(
    problem: Problem,
    old: GaussianMixture,
    new: GaussianMixture,
    factor: float,
) -> GaussianMixture:
    """The mixture that is `factor` times as far from `old` as `new` is.

    On straight lines of the means and of the logarithms of the weights; on the geodesic of the
    covariances, L V e^factor V^T L^T with old = L L^T and new = L V e V^T L^T, which stays
    positive definite. `new` itself where a component was removed.
    """
    if factor == 1.0 or new.n_components < old.n_components:
        return new
    weights = _relaxed_weights(old, new, factor)
    whitening = old.precision_factors.swapaxes(1, 2)
    ratios, vectors = np.linalg.eigh(whitening @ new.covariances @ old.precision_factors)
    ratios = np.maximum(ratios, np.finfo(float).tiny)
    ratios *= np.clip(ratios ** (factor - 1.0), 1.0 / _LARGEST_RATIO, _LARGEST_RATIO)
    roots = old.covariance_factors @ vectors * np.sqrt(ratios)[:, None, :]
    covariances = raise_eigenvalues(roots @ roots.swapaxes(1, 2), problem.covariance_floor**2)
    return GaussianMixture.unchecked(
        weights[:-1],
        old.means + factor * (new.means - old.means),
        problem.objective.covariance_type.nearest(covariances),
        weights[-1],
        new.background_region,
    )


def _relaxed_weights(old: GaussianMixture, new: GaussianMixture, factor: float) -> FloatArray:
    """The weights of `relaxed`, the background's last, (K + 1,)."""
    before = np.append(old.weights, old.background_weight)
    weights = np.append(new.weights, new.background_weight)
    ratios = np.divide(weights, before, out=np.ones_like(weights), where=before > 0)
    weights *= np.clip(ratios ** (factor - 1.0), 1.0 / _LARGEST_RATIO, _LARGEST_RATIO)
    weights /= weights.sum()
    return weights


def m_step(
    problem: Problem, state: Evaluated, *, bold: bool = True
) -> tuple[GaussianMixture, Objective]:
    """The minimum of the bound that touches the cost at `state`, and the objective learnt there.

    Of points with noise a `bold` step may miss it: means and covariances come from bounds of
    their own. One that is not is EM's, and the objective is that of `state`.
    """
    statistics, mixture = state.statistics, state.mixture
    weights, background_weight, kept = updated_weights(problem, state)
    step = problem.step(state.objective, mixture, statistics, kept)
    covariances = step.covariances(state.objective, fast=bold)
    counts = statistics.counts[kept]
    objective = state.objective.learnt(counts, covariances) if bold else state.objective
    if objective is not state.objective:
        covariances = step.covariances(objective, fast=bold)
    total = weights[kept].sum() + background_weight
    updated = GaussianMixture.unchecked(
        weights[kept] / total,
        step.means(fast=bold),
        covariances,
        background_weight / total,
        mixture.background_region,
    )
    return updated, objective


def updated_weights(
    problem: Problem, state: Evaluated
) -> tuple[FloatArray, float, NDArray[np.bool_]]:
    """Weights at that minimum, (K,), the background's, and which components are left, (K,)."""
    statistics = state.statistics
    weights, background_weight = state.objective.update_weights(
        statistics.counts,
        statistics.background_count,
        state.mixture.weights,
        statistics.total_weight,
    )
    return weights, background_weight, (statistics.counts > problem.negligible) & (weights > 0)
