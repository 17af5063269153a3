"""Moves that carry a solver out of a poor local optimum: one mechanism for all of them.

A move replaces some components by others (`proposals`). Those that touch different points are
tried together, each with a few steps of its own neighbourhood, on the touched points only; each
is kept where the cost of its own points falls (`trial`). The cost alone decides, so moves serve
every objective, and thousands of them take little more time than one.
"""

from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from napari_sparse_gmm.fitting.births import BallBirths, Births
from napari_sparse_gmm.fitting.claims import candidates_of, conflict_free
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.fitting.proposals import Index, Proposals, Propose, reductions, splits
from napari_sparse_gmm.fitting.trial import Outcome, try_out
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

# How many times proposals that could not be tried together with better ones get another turn
# while none succeeds.
_TURNS = 4

# A proposal is the same as one that failed where centre and size differ by less, relative to size.
_SAME = 0.1

# From so many balls, and twice as many as boxes, small clusters are learnt well enough. Of
# a million scattered points tens of thousands are denser than the others by chance.
_AT_ONCE = 2000

# The background keeps so much of the weight, whatever is born at once.
_LEFT = 0.1


def kinds_of_moves(problem: Problem) -> tuple[tuple[Propose, ...], tuple[Propose, ...]]:
    """The kinds of moves of one fit, in the order in which they are tried: those that are worth it
    far from an optimum, and those that are besides near one.
    """
    small = (BallBirths(),) if "balls" in problem.births else ()
    return (Births(), reductions, splits, Births(faint=True)), small


def born_at_once(
    problem: Problem, start: GaussianMixture, births: Sequence[str]
) -> GaussianMixture:
    """The mixture with every birth from "boxes", then from "balls", chance or not.

    For an objective that learns its hyperparameters from all components, and has none yet: from a
    first few, tried alone, it would learn that clusters are as those are.
    """
    for kind in births:
        propose: Propose = {"boxes": Births, "balls": BallBirths}[kind]()
        born = propose(problem, problem.start(start))
        if kind == "balls":
            born = born.subset(slice(_AT_ONCE + 2 * start.n_components))
        if not len(born):
            continue
        weights, old = born.weights[born.added], start
        left = max(old.background_weight - weights.sum(), _LEFT * old.background_weight)
        total = old.weights.sum() + weights.sum() + left
        start = GaussianMixture(
            np.concatenate([old.weights, weights]) / total,
            np.concatenate([old.means, born.means[born.added]]),
            np.concatenate([old.covariances, born.covariances[born.added]]),
            left / total,
            old.background_region,
        )
    return start


class Tried:
    """The proposals that failed: not tried again while their surroundings look the same."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.failed: dict[tuple[int, int], list[FloatArray]] = {}

    def add(self, mixture: GaussianMixture, proposals: Proposals) -> None:
        """Remember these."""
        for kind, rows in _kinds(proposals).items():
            marks = _marks(self.problem, mixture, proposals.subset(rows))
            self.failed.setdefault(kind, []).append(marks)

    def fresh(self, mixture: GaussianMixture, proposals: Proposals) -> Proposals:
        """Those that did not fail where they are now."""
        known = np.zeros(len(proposals), dtype=bool)
        for kind, rows in _kinds(proposals).items():
            if kind not in self.failed:
                continue
            before = np.concatenate(self.failed[kind])
            marks = _marks(self.problem, mixture, proposals.subset(rows))
            centre, size = marks[:, :-1], marks[:, -1]
            distance, nearest = cKDTree(before[:, :-1]).query(centre)
            same = distance < _SAME * size
            same &= np.abs(before[nearest, -1] / size - 1) < _SAME
            known[rows[same]] = True
        return proposals.subset(~known)


def _kinds(proposals: Proposals) -> dict[tuple[int, int], Index]:
    """The rows of the proposals that take out and put in as many components."""
    keys = np.stack([proposals.n_removed, proposals.added.sum(1)], axis=1)
    return {
        (removed, added): np.flatnonzero((keys == (removed, added)).all(1))
        for removed, added in np.unique(keys, axis=0).tolist()
    }


def _marks(problem: Problem, mixture: GaussianMixture, proposals: Proposals) -> FloatArray:
    """Mean centre and size of what proposals of one kind take out or else put in, (P, D + 1)."""
    if len(proposals) and proposals.n_removed[0]:
        removed = proposals.removed[:, : proposals.n_removed[0]]  # (P, r)
        means, covariances = mixture.means[removed], mixture.covariances[removed]
    else:
        n = int(proposals.added[0].sum())
        means, covariances = proposals.means[:, :n], proposals.covariances[:, :n]
    traces = np.trace(problem.convolved(covariances), axis1=2, axis2=3)
    return np.column_stack([means.mean(1), np.sqrt(traces.mean(1))])


def improve(
    problem: Problem, state: Evaluated, tol: float, propose: Propose, tried: Tried
) -> Generator[Evaluated, None, Evaluated | None]:
    """Try the proposals of one kind; return a state that is better by `tol`, or None.

    Yields `state` after each pass over points, all or some.
    """
    objective = state.objective
    proposals = propose(problem, state).of_type(objective.covariance_type)
    waiting = tried.fresh(state.mixture, proposals)
    if state.mixture.n_components == 0 and len(waiting):  # nothing else to learn from
        added = waiting.added
        objective = problem.learnt(waiting.weights[added], waiting.covariances[added])
    yield state  # to find proposals has cost about a pass
    if not len(waiting):
        return None
    touched = problem.engine.touched(state.mixture)
    candidates = candidates_of(problem, state.mixture, touched, waiting)
    for _ in range(_TURNS):
        now = conflict_free(problem, state, candidates)
        if not now.any():
            return None
        chosen, candidates = candidates.subset(now), candidates.subset(~now)
        outcome = yield from _as_states(
            try_out(problem, replace(state, objective=objective), chosen, touched, tol), state
        )
        tried.add(state.mixture, chosen.proposals.subset(~outcome.accepted))
        while outcome.accepted.any():
            better = problem.evaluate(outcome.mixture(state.mixture), objective)
            yield state
            if better.cost < state.cost - tol:
                return better
            # Neighbourhoods were not as separate as they seemed: fewer at a time.
            outcome = outcome.better_half()
    return None


def _as_states(
    steps: Generator[float, None, Outcome], state: Evaluated
) -> Generator[Evaluated, None, Outcome]:
    """`steps`, each as the state with the work that it has cost."""
    while True:
        try:
            work = next(steps)
        except StopIteration as stop:
            return stop.value
        yield replace(state, work=work)
