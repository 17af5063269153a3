"""Moves on trial: many at a time, each on its own points.

Around each proposal lies a neighbourhood: the new components and those that overlap with the
ones that they replace. Neighbourhoods share no component, so they are stepped together, all
others held. The cost falls apart into those of the blocks of points and of the weights: with
the price of weight, lambda (`Prior.multiplier`), in place of the constraint that they sum to 1,

    change = -(1/n) change of log-likelihood + change of costs + lambda change of weight,

summed over the blocks and the components of a neighbourhood, says what its move is worth.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.engines import Statistics
from napari_sparse_gmm.fitting.claims import Claim, overlaps
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

_STEPS = 20

# New components that have lost so much of their weight are dying.
_DYING = 0.5


class Trial:
    """Disjoint proposals, stepped together; `accepted` says which have paid."""

    def __init__(
        self,
        problem: Problem,
        state: Evaluated,
        claims: Sequence[Claim],
        tol: float,
    ) -> None:
        self.problem, self.state, self.tol = problem, state, tol
        self.prior = prior = state.prior
        proposals = [claim.proposal for claim in claims]
        old, n = state.mixture, len(proposals)
        self.total = state.statistics.total_weight
        self.price = prior.multiplier(old.weights, self.total)
        # Which neighbourhood each old component is in, -1 for none; those removed go.
        self.old_owner = np.full(old.n_components, -1)
        for place, around in reversed(list(enumerate(overlaps(problem, old, proposals)))):
            self.old_owner[around] = place  # the first has the first choice
        removed = np.zeros(old.n_components, dtype=bool)
        for place, proposal in enumerate(proposals):
            self.old_owner[proposal.removed] = place
            removed[proposal.removed] = True
        added = [np.full(len(p.weights), place) for place, p in enumerate(proposals)]
        self.owner = np.concatenate([self.old_owner[~removed], *added])
        self.weights = np.concatenate([old.weights[~removed], *(p.weights for p in proposals)])
        self.means = np.concatenate([old.means[~removed], *(p.means for p in proposals)])
        self.covariances = np.concatenate(
            [old.covariances[~removed], *(p.covariances for p in proposals)]
        )
        self.new = np.concatenate([np.zeros((~removed).sum(), bool), *(a >= 0 for a in added)])
        # Weight is kept in proportion to points, as it was in each neighbourhood.
        self.scale = np.ones(n)
        shares = _sums(self.old_owner, state.statistics.counts / self.total, n)
        held = _sums(self.old_owner, old.weights, n)
        np.divide(held, shares, out=self.scale, where=shares * problem.engine.summary.n_points > 1)
        costs = prior.costs(old.weights, old.covariances, self.total)
        self.old_costs = _sums(self.old_owner, costs, n)
        self.old_weights = held
        self._find_blocks(removed, claims)
        self.change = np.full(n, np.inf)  # of the cost, by each neighbourhood
        self.accepted = np.zeros(n, dtype=bool)

    def _find_blocks(self, removed: NDArray[np.bool_], claims: Sequence[Claim]) -> None:
        """Which blocks each neighbourhood touches, and which one each block counts for."""
        engine = self.problem.engine
        before = engine.touched(self.state.mixture)
        after = engine.touched(self._normalised()[0])
        self.block_owner = np.full(len(engine.cell_weights), -1)
        touched = [np.empty((0, 2), dtype=np.intp)]
        # The last to take a block has it: what changes most comes last, then what is claimed.
        for pattern, owner, chosen in (
            (before, self.old_owner, self.old_owner >= 0),
            (after, self.owner, self.owner >= 0),
            (after, self.owner, self.new),
            (before, self.old_owner, removed),
        ):
            pairs = chosen[pattern.components]
            touched.append(np.stack([pattern.blocks, owner[pattern.components]], axis=1)[pairs])
        for place, claim in enumerate(claims):
            owners = np.full(len(claim.blocks), place)
            touched.append(np.stack([claim.blocks, owners], axis=1))
        self.touched = np.concatenate(touched)  # (T, 2), block and neighbourhood
        self.block_owner[self.touched[:, 0]] = self.touched[:, 1]

    def steps(self) -> Iterator[float]:
        """Step until every neighbourhood is decided; yields the share of the points after each."""
        problem, n = self.problem, len(self.accepted)
        before = self.state.statistics.cell_log_likelihoods
        open_ = np.ones(n, dtype=bool)
        last_gain, new_weight = np.full(n, np.inf), self._weight_of_new()
        for step in range(_STEPS + 1):
            rows = np.unique(self.touched[open_[self.touched[:, 1]], 0])
            mixture, scale = self._normalised()
            statistics = problem.expectation(mixture, self.prior, scale=scale, cells=rows)
            yield len(rows) / len(problem.engine.cell_weights)
            after = statistics.cell_log_likelihoods
            gained = _sums(self.block_owner[rows], after[rows] - before[rows], n)
            costs = self.prior.costs(self.weights, self.covariances, self.total)
            costs = np.where(self.weights > 0, costs, 0.0)  # those that are gone cost nothing
            change = _sums(self.owner, costs, n) - self.old_costs - gained / self.total
            change += self.price * (_sums(self.owner, self.weights, n) - self.old_weights)
            gain = self.change - change
            self.change[open_] = change[open_]
            self.accepted |= open_ & (change < -self.tol)
            # Gains that shrink by a factor q sum to gain q / (1 - q) (Aitken); twice that to be
            # fair.
            with np.errstate(invalid="ignore", divide="ignore"):
                q = np.where(last_gain > 0, np.minimum(gain / last_gain, 0.99), 0.0)
                hopeless = ~(change - 2 * gain * q / (1 - q) < 0)
            # Components that die away come back to where they started from, and no lower.
            hopeless |= self._weight_of_new() < _DYING * new_weight
            open_ &= ~self.accepted & ~(hopeless & (step >= 3))
            last_gain = gain
            if not open_.any() or step == _STEPS:
                return
            self._step(mixture, statistics, (self.owner >= 0) & open_[self.owner])

    def mixture(self) -> GaussianMixture:
        """The mixture with the accepted moves, the others taken back."""
        old = self.state.mixture
        kept = (self.old_owner < 0) | ~self.accepted[self.old_owner]
        new = (self.owner >= 0) & self.accepted[self.owner] & (self.weights > 0)
        return _normalised(
            np.concatenate([old.weights[kept], self.weights[new]]),
            np.concatenate([old.means[kept], self.means[new]]),
            np.concatenate([old.covariances[kept], self.covariances[new]]),
            old,
        )[0]

    def keep_the_better_half(self) -> None:
        """Take back half of the accepted moves, or the last one."""
        places = np.flatnonzero(self.accepted)
        order = places[np.argsort(self.change[places])]
        self.accepted[order[len(order) // 2 :]] = False

    def _normalised(self) -> tuple[GaussianMixture, float]:
        return _normalised(self.weights, self.means, self.covariances, self.state.mixture)

    def _weight_of_new(self) -> FloatArray:
        return _sums(self.owner[self.new], self.weights[self.new], len(self.accepted))

    def _step(
        self, mixture: GaussianMixture, statistics: Statistics, free: NDArray[np.bool_]
    ) -> None:
        """A step of the free components, all others held."""
        prior, n = self.prior, len(self.accepted)
        alive = free & (statistics.counts > self.problem.gone)
        step = self.problem.step(prior, mixture, statistics, alive)
        self.means[alive] = step.means(fast=True)
        self.covariances[alive] = step.covariances(prior, fast=True)
        shares = statistics.counts / self.total
        weights = prior.proportions(shares, self.weights, self.price, self.total)
        sums = _sums(np.where(alive, self.owner, -1), weights, n)
        wanted = self.scale * _sums(np.where(alive, self.owner, -1), shares, n)
        factor = np.divide(wanted, sums, out=np.zeros(n), where=sums > 0)
        self.weights[alive] = weights[alive] * factor[self.owner[alive]]
        self.weights[free & ~alive] = 0.0


def _normalised(
    weights: FloatArray, means: FloatArray, covariances: FloatArray, old: GaussianMixture
) -> tuple[GaussianMixture, float]:
    """The mixture with the background of `old`, and the sum of all weights."""
    total = weights.sum() + old.background_weight
    mixture = GaussianMixture(
        weights / total, means, covariances, old.background_weight / total, old.background_region
    )
    return mixture, float(total)


def _sums(owner: NDArray[np.intp], values: FloatArray, n: int) -> FloatArray:
    """The sum of the values of each owner, (n,); those of -1 are left out."""
    owned = owner >= 0
    return np.bincount(owner[owned], values[owned], minlength=n).astype(np.float64)
