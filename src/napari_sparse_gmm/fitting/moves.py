"""Moves that carry a solver out of a poor local optimum: one mechanism for all of them.

A move replaces some components by others (`proposals`). Those that touch different points are
tried together, each with a few steps of its own neighbourhood, on the touched points only; each
is kept where the cost of its own points falls (`trial`). The cost alone decides, so moves serve
every prior, and thousands of them take little more time than one.
"""

from collections.abc import Generator, Sequence
from dataclasses import replace
from itertools import compress

import numpy as np
from scipy.spatial import cKDTree

from napari_sparse_gmm.fitting.births import BallBirths, Births
from napari_sparse_gmm.fitting.claims import disjoint
from napari_sparse_gmm.fitting.priors import ComponentPrior
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.fitting.proposals import Proposal, Propose, reductions, splits
from napari_sparse_gmm.fitting.trial import Trial
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

# How many times proposals that could not be tried together with better ones get another turn
# while none succeeds.
_TURNS = 4

# A proposal is the same as one that failed where place and size differ by less, relative to size.
_SAME = 0.1

# The background keeps so much of the weight, whatever is born at once.
_LEFT = 0.1


def kinds_of_moves(prior: ComponentPrior) -> tuple[Propose, ...]:
    """The kinds of moves of one fit, in the order in which they are tried."""
    small = (BallBirths(),) if prior.finds_small_clusters else ()
    return Births(), reductions, splits, Births(faint=True), *small


def born_at_once(
    problem: Problem, start: GaussianMixture, kinds: Sequence[Propose]
) -> GaussianMixture:
    """The mixture with every birth that one kind after the other proposes, chance or not.

    For a prior that learns from all components what a cluster is, and has none to learn from: a
    first few, tried alone, would teach it that clusters are as those are.
    """
    for propose in kinds:
        state = problem.start(start)
        proposals = propose(problem, state)
        if not proposals:
            continue
        old = state.mixture
        born = np.concatenate([p.weights for p in proposals])
        left = max(old.background_weight - born.sum(), _LEFT * old.background_weight)
        weights = np.concatenate([old.weights, born])
        total = weights.sum() + left
        start = GaussianMixture(
            weights / total,
            np.concatenate([old.means, *(p.means for p in proposals)]),
            np.concatenate([old.covariances, *(p.covariances for p in proposals)]),
            left / total,
            old.background_region,
        )
    return start


class Tried:
    """The proposals that failed: not tried again while their place looks the same."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.places: dict[tuple[int, int], list[FloatArray]] = {}

    def add(self, mixture: GaussianMixture, proposals: Sequence[Proposal]) -> None:
        """Remember these."""
        for kind, places in _places(self.problem, mixture, proposals).items():
            self.places.setdefault(kind, []).append(places[:, :-1])

    def fresh(self, mixture: GaussianMixture, proposals: list[Proposal]) -> list[Proposal]:
        """Those that did not fail where they are now."""
        known = np.zeros(len(proposals), dtype=bool)
        for kind, places in _places(self.problem, mixture, proposals).items():
            if kind not in self.places:
                continue
            before = np.concatenate(self.places[kind])
            place, size, row = places[:, :-2], places[:, -2], places[:, -1].astype(int)
            distance, nearest = cKDTree(before[:, :-1]).query(place)
            same = distance < _SAME * size
            same &= np.abs(before[nearest, -1] / size - 1) < _SAME
            known[row[same]] = True
        return [p for p, k in zip(proposals, known, strict=True) if not k]


def _places(
    problem: Problem, mixture: GaussianMixture, proposals: Sequence[Proposal]
) -> dict[tuple[int, int], FloatArray]:
    """Where the proposals of each kind are: mean, size and place in the list, (R, D + 2)."""
    rows: dict[tuple[int, int], list[int]] = {}
    for row, p in enumerate(proposals):
        rows.setdefault((len(p.removed), len(p.weights)), []).append(row)
    out = {}
    for kind, some in rows.items():
        if kind[0]:
            removed = np.array([proposals[row].removed for row in some])  # (R, r)
            means, covariances = mixture.means[removed], mixture.covariances[removed]
        else:
            means = np.array([proposals[row].means for row in some])  # (R, a, D)
            covariances = np.array([proposals[row].covariances for row in some])
        sizes = np.sqrt(np.trace(problem.as_seen(covariances), axis1=2, axis2=3).mean(1))
        out[kind] = np.column_stack([means.mean(1), sizes, some])
    return out


def improve(
    problem: Problem, state: Evaluated, tol: float, propose: Propose, tried: Tried
) -> Generator[Evaluated, None, Evaluated | None]:
    """Try the proposals of one kind; return a state that is better by `tol`, or None.

    Yields `state` after each pass over points, all or some.
    """
    waiting = tried.fresh(state.mixture, propose(problem, state))
    prior = state.prior
    if state.mixture.n_components == 0 and waiting:  # nothing else to learn from
        prior = problem.learnt(
            np.concatenate([p.weights for p in waiting]),
            np.concatenate([p.covariances for p in waiting]),
        )
    yield state  # to find proposals has cost about a pass
    for _ in range(_TURNS):
        chosen, waiting = disjoint(problem, state, waiting)
        if not chosen:
            return None
        trial = Trial(problem, replace(state, prior=prior), chosen, tol)
        for share in trial.steps():
            yield replace(state, work=share)
        failed = compress(chosen, ~trial.accepted)
        tried.add(state.mixture, [claim.proposal for claim in failed])
        while trial.accepted.any():
            better = problem.evaluate(trial.mixture(), prior)
            yield state
            if better.cost < state.cost - tol:
                return better
            # Neighbourhoods were not as separate as they seemed: fewer at a time.
            trial.keep_the_better_half()
    return None
