"""Moves on trial: many at a time, each on its own points.

Around each proposal lies a neighbourhood: the new components and those that overlap with the
ones that they replace. Neighbourhoods share no component, so they are stepped together, all
others held. The cost falls apart into those of the cells of points and of the weights: with
the Lagrange multiplier lambda (`Objective.multiplier`) in place of the constraint that weights sum
to 1,

    change = -(1/n) change of log-likelihood + change of costs + lambda change of weight,

summed over the cells and the components of a neighbourhood, says what its move is worth.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.engines import Statistics
from napari_sparse_gmm.engines.pattern import Pattern
from napari_sparse_gmm.fitting.claims import Candidates
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import Objective

_STEPS = 20

# New components that have lost so much of their weight are vanishing.
_VANISHING = 0.5


@dataclass(frozen=True, eq=False)
class Components:
    """Components, each in the neighbourhood of its owner; -1 for those in none.

    `new` are those that proposals put in. Weights need not sum to 1.
    """

    owner: NDArray[np.intp]
    new: NDArray[np.bool_]
    weights: FloatArray
    means: FloatArray
    covariances: FloatArray

    def mixture(
        self, old: GaussianMixture, chosen: NDArray[np.bool_] | None = None
    ) -> tuple[GaussianMixture, float]:
        """Those chosen, or all, with the background of `old`; and the sum of all weights."""
        rows = slice(None) if chosen is None else chosen
        weights = self.weights[rows]
        total = weights.sum() + old.background_weight
        mixture = GaussianMixture.unchecked(
            weights / total,
            self.means[rows],
            self.covariances[rows],
            old.background_weight / total,
            old.background_region,
        )
        return mixture, float(total)


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """n of them: where they are, and what their points and components cost before any move.

    Parameters
    ----------
    before : Components
        Of the mixture as it was.
    removed : (K,) array of bool
        Which of those proposals take out.
    touched : (T, 2) array of int
        Cells, and the neighbourhoods that touch them.
    cell_owner : (C,) array of int
        Which neighbourhood each cell counts for; -1 for none.
    costs, weights : (n,) arrays
        Of their components before.
    scale : (n,) array
        Weight for each share of the points, as it was.
    """

    before: Components
    removed: NDArray[np.bool_]
    touched: NDArray[np.intp]
    cell_owner: NDArray[np.intp]
    costs: FloatArray
    weights: FloatArray
    scale: FloatArray

    def __len__(self) -> int:
        return len(self.costs)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of proposals on trial.

    Parameters
    ----------
    neighbourhoods : Neighbourhoods
    components : Components
        After the last step.
    change : (n,) array
        Of the cost, by each neighbourhood.
    accepted : (n,) array of bool
    """

    neighbourhoods: Neighbourhoods
    components: Components
    change: FloatArray
    accepted: NDArray[np.bool_]

    def mixture(self, old: GaussianMixture) -> GaussianMixture:
        """The mixture with the accepted moves, the others taken back."""
        before, after = self.neighbourhoods.before, self.components
        kept = (before.owner < 0) | ~self.accepted[before.owner]
        moved = (after.owner >= 0) & self.accepted[after.owner] & (after.weights > 0)
        return _together(before, kept, after, moved).mixture(old)[0]

    def better_half(self) -> "Outcome":
        """With half of the accepted moves taken back, or the last one."""
        rows = np.flatnonzero(self.accepted)
        order = rows[np.argsort(self.change[rows])]
        accepted = self.accepted.copy()
        accepted[order[len(order) // 2 :]] = False
        return replace(self, accepted=accepted)


def _together(
    one: Components, of_one: NDArray[np.bool_], other: Components, of_other: NDArray[np.bool_]
) -> Components:
    return Components(
        *(
            np.concatenate([getattr(one, name)[of_one], getattr(other, name)[of_other]])
            for name in ("owner", "new", "weights", "means", "covariances")
        )
    )


def try_out(
    problem: Problem,
    state: Evaluated,
    batch: Candidates,
    touched: Pattern,
    tol: float,
) -> Generator[float, None, Outcome]:
    """Step all neighbourhoods until each is accepted or pruned.

    Yields the share of the points that each step has looked at. `touched` is of the mixture of
    `state`.
    """
    objective, total = state.objective, state.statistics.total_weight
    multiplier = objective.multiplier(state.mixture.weights, total)
    components, removed = _with_proposals(state.mixture, batch)
    of = _neighbourhoods(problem, state, batch, touched, components, removed)
    before, n = state.statistics.cell_log_likelihoods, len(of)
    open_, accepted = np.ones(n, dtype=bool), np.zeros(n, dtype=bool)
    changes, last_gain = np.full(n, np.inf), np.full(n, np.inf)
    new_weight = _weight_of_new(components, n)
    for step in range(_STEPS + 1):
        cells = np.unique(of.touched[open_[of.touched[:, 1]], 0])
        mixture, scale = components.mixture(state.mixture)
        statistics = problem.expectation(mixture, objective, scale=scale, cells=cells)
        yield len(cells) / len(before)
        after = statistics.cell_log_likelihoods
        gained = _sums(of.cell_owner[cells], after[cells] - before[cells], n)
        costs = objective.costs(components.weights, components.covariances, total)
        costs = np.where(components.weights > 0, costs, 0.0)  # removed ones cost nothing
        change = _sums(components.owner, costs, n) - of.costs - gained / total
        change += multiplier * (_sums(components.owner, components.weights, n) - of.weights)
        gain = changes - change
        changes[open_] = change[open_]
        accepted |= open_ & (change < -tol)
        # Pruned early are moves that will not lower the cost: gains that shrink by a factor q sum
        # to gain q / (1 - q) (Aitken); twice that to be fair.
        with np.errstate(invalid="ignore", divide="ignore"):
            q = np.where(last_gain > 0, np.minimum(gain / last_gain, 0.99), 0.0)
            pruned = ~(change - 2 * gain * q / (1 - q) < 0)
        # Components that vanish come back to where they started from, and no lower.
        pruned |= _weight_of_new(components, n) < _VANISHING * new_weight
        open_ &= ~accepted & ~(pruned & (step >= 3))
        last_gain = gain
        if not open_.any() or step == _STEPS:
            break
        free = (components.owner >= 0) & open_[components.owner]
        components = _stepped(
            problem, objective, components, mixture, statistics, free, of.scale, multiplier
        )
    return Outcome(of, components, changes, accepted)


def _with_proposals(
    old: GaussianMixture, batch: Candidates
) -> tuple[Components, NDArray[np.bool_]]:
    """The components that are kept and those to put in; and which of the old ones are removed."""
    proposals, k = batch.proposals, old.n_components
    removed = np.zeros(k, dtype=bool)
    removed[proposals.removed[proposals.removed >= 0]] = True
    added = proposals.added
    rows = np.nonzero(added)[0]
    put_in = Components(
        rows,
        np.ones(len(rows), dtype=bool),
        proposals.weights[added],
        proposals.means[added],
        proposals.covariances[added],
    )
    kept = _of(old, _owners(k, batch))
    return _together(kept, ~removed, put_in, np.ones(len(rows), dtype=bool)), removed


def _owners(k: int, batch: Candidates) -> NDArray[np.intp]:
    """Which neighbourhood each of k components is in: that of the first that it overlaps with,
    and always of the one that removes it.
    """
    owner = np.full(k, -1)
    for own in (batch.overlapping, batch.proposals.removed):
        rows, slots = np.nonzero(own >= 0)
        owner[own[rows, slots][::-1]] = rows[::-1]
    return owner


def _of(mixture: GaussianMixture, owner: NDArray[np.intp]) -> Components:
    new = np.zeros(len(owner), dtype=bool)
    return Components(owner, new, mixture.weights, mixture.means, mixture.covariances)


def _neighbourhoods(
    problem: Problem,
    state: Evaluated,
    batch: Candidates,
    touched: Pattern,
    components: Components,
    removed: NDArray[np.bool_],
) -> Neighbourhoods:
    engine, n, old = problem.engine, len(batch), state.mixture
    before = _of(old, _owners(old.n_components, batch))
    total = state.statistics.total_weight
    after = engine.touched(components.mixture(old)[0])
    # The last one owns a cell: what changes most comes last, then the cells of the batch.
    parts = []
    for pattern, owner, chosen in (
        (touched, before.owner, before.owner >= 0),
        (after, components.owner, components.owner >= 0),
        (after, components.owner, components.new),
        (touched, before.owner, removed),
    ):
        pairs = chosen[pattern.components]
        parts.append(np.stack([pattern.blocks, owner[pattern.components]], axis=1)[pairs])
    parts.append(np.stack([batch.cells, batch.owners], axis=1))
    touching = np.concatenate(parts)
    cell_owner = np.full(len(engine.cell_weights), -1)
    cell_owner[touching[:, 0]] = touching[:, 1]
    # Weight is kept in proportion to points, as it was in each neighbourhood.
    shares = _sums(before.owner, state.statistics.counts / total, n)
    held = _sums(before.owner, old.weights, n)
    scale = np.ones(n)
    np.divide(held, shares, out=scale, where=shares * engine.summary.n_points > 1)
    costs = state.objective.costs(old.weights, old.covariances, total)
    return Neighbourhoods(
        before, removed, touching, cell_owner, _sums(before.owner, costs, n), held, scale
    )


def _stepped(
    problem: Problem,
    objective: Objective,
    components: Components,
    mixture: GaussianMixture,
    statistics: Statistics,
    free: NDArray[np.bool_],
    scale: FloatArray,
    multiplier: float,
) -> Components:
    """A step of the free components, all others held; `mixture` is that of all."""
    n, total = len(scale), statistics.total_weight
    alive = free & (statistics.counts > problem.negligible)
    step = problem.step(objective, mixture, statistics, alive)
    weights, means = components.weights.copy(), components.means.copy()
    covariances = components.covariances.copy()
    means[alive] = step.means(fast=True)
    covariances[alive] = step.covariances(objective, fast=True)
    shares = statistics.counts / total
    proportions = objective.proportions(shares, components.weights, multiplier, total)
    owner = np.where(alive, components.owner, -1)
    sums, wanted = _sums(owner, proportions, n), scale * _sums(owner, shares, n)
    factor = np.divide(wanted, sums, out=np.zeros(n), where=sums > 0)
    weights[alive] = proportions[alive] * factor[components.owner[alive]]
    weights[free & ~alive] = 0.0
    return replace(components, weights=weights, means=means, covariances=covariances)


def _weight_of_new(components: Components, n: int) -> FloatArray:
    return _sums(components.owner[components.new], components.weights[components.new], n)


def _sums(owner: NDArray[np.intp], values: FloatArray, n: int) -> FloatArray:
    """The sum of the values of each owner, (n,); those of -1 are left out."""
    owned = owner >= 0
    return np.bincount(owner[owned], values[owned], minlength=n).astype(np.float64)
