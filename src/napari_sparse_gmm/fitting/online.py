"""Fits of points that come in batches, one step for each.

Of a stream that is seen once the statistics are averages that forget (stepwise EM: Cappé &
Moulines, JRSS B 71, 2009): with those of batch t, per point, s_t,

    S <- (1 - gamma_t) S + gamma_t s_t,      gamma_t = t^-0.6.

Of batches that come again those of each are kept, and replaced when it comes (incremental EM: Neal
& Hinton, 1998; memoized for variational Bayes: Hughes & Sudderth, NeurIPS 2013). Their sum is that
over all points, so where steps end those of a fit of all points do. After each batch comes the step
that any fit makes of its statistics, under the same prior, with as many points as were seen.

Statistics are about the means that there were. Where these move by delta,

    shift  <- shift - n delta,
    scatter  <- scatter - delta shift^T - shift delta^T + n delta delta^T.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.engines import Engine, Statistics
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.fitting.births import Births
from napari_sparse_gmm.fitting.claims import candidates_of, conflict_free
from napari_sparse_gmm.fitting.initial import bounding_box
from napari_sparse_gmm.fitting.mm import m_step, updated_weights
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.fitting.proposals import Proposals, squared_distances
from napari_sparse_gmm.fitting.trial import try_out
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import Objective
from napari_sparse_gmm.regions import Box, Region

# How fast what was seen is forgotten; between 0.5 and 1.
_FORGETTING = 0.6
# Where one is nearer than so much, as a squared Mahalanobis distance, none is born: it has been
# born a batch ago from a few of its points, and still comes to its weight and size.
_ALIKE = 9.0


@dataclass
class Online:
    """A mixture that learns from one batch after the other.

    Parameters
    ----------
    mixture : GaussianMixture
    objective : Objective
        With what it has learnt.
    covariance_floor : (D,) array
    most : int
        The most components that there may be.
    noisy : bool
        Whether points have noise.
    """

    mixture: GaussianMixture
    objective: Objective
    covariance_floor: FloatArray
    most: int
    noisy: bool
    n_batches: int = 0
    total_weight: float = 0.0
    _average: Statistics | None = None
    _known: dict[Hashable, Statistics] = field(default_factory=dict)

    def learn(self, engine: Engine, batch: Hashable | None = None) -> None:
        """A step with the points of an engine; `batch` says which they are, where they come again.

        Raises
        ------
        InputError
            Where some batches have a name and others have none, some have noise, or points lie
            outside of a region that was given.
        """
        if (engine.typical_noise is not None) != self.noisy:
            raise InputError("Give noise_std for all batches, or for none.")
        region = self.mixture.background_region
        if region is not None and not _grows(region) and (outside := engine.n_outside(region)):
            raise InputError(
                f"{outside} of the {engine.summary.n_points} points of a batch lie outside of the "
                "region of the background: leave them out, or give a larger one."
            )
        if self.n_batches and (batch is None) != (self._average is not None):
            raise InputError("Give all batches a name, or none.")
        self._reach(engine)
        # A component is born where this batch alone says so.
        problem = Problem(engine, self.objective, self.covariance_floor, self.most)
        own = problem.total_weight
        if batch is None:
            self.total_weight += own
        else:
            self._known.pop(batch, None)
            self.total_weight = own + sum(known.total_weight for known in self._known.values())
        self.n_batches += 1
        self._bear(problem)
        found = problem.expectation(self.mixture, self.objective, scale=self.total_weight / own)
        # What cells there are differs from batch to batch.
        found = replace(found, cell_log_likelihoods=np.array([found.log_likelihood]))
        if batch is None:
            self._average = found = self._averaged(found)
        else:
            self._known[batch] = found
            found = Statistics.joining(list(self._known.values()))
        found = replace(found, total_weight=self.total_weight)
        self._step(problem, found)

    @property
    def cost(self) -> float:
        """Nats per point: what the points that were seen cost when they were, and the prior."""
        seen = self._average or Statistics.joining(list(self._known.values()))
        mixture, total = self.mixture, self.total_weight
        costs = self.objective.costs(mixture.weights, mixture.covariances, total).sum()
        constant = self.objective.constant(total)
        return float(costs + constant - seen.log_likelihood / seen.total_weight)

    def _reach(self, engine: Engine) -> None:
        """Let a background on the bounding box of the points reach as far as these."""
        region = self.mixture.background_region
        if region is None or not _grows(region):
            return
        box = engine.summary.box
        box = np.stack([np.minimum(box[0], region.box[0]), np.maximum(box[1], region.box[1])])
        wider = bounding_box(
            box, self.covariance_floor, self.total_weight + engine.summary.total_weight
        )
        self.mixture = replace(self.mixture, background_region=wider)

    def _bear(self, problem: Problem) -> None:
        """Put in what a trial on the points of the batch accepts."""
        state = problem.evaluate(self.mixture, self.objective)
        proposals = Births()(problem, state).of_type(self.objective.covariance_type)
        proposals = proposals.subset(self._new(proposals))
        if not len(proposals):
            return
        touched = problem.engine.touched(self.mixture)
        candidates = candidates_of(problem, self.mixture, touched, proposals)
        chosen = candidates.subset(conflict_free(problem, state, candidates))
        trial = try_out(problem, state, chosen, touched, 1.0 / problem.total_weight)
        while True:
            try:
                next(trial)
            except StopIteration as stop:
                accepted = stop.value.accepted
                break
        for row in np.flatnonzero(accepted).tolist():  # the most evidence first
            born = chosen.proposals.subset(slice(row, row + 1))
            if self._new(born).all():
                self._add(born.weights[:, 0], born.means[:, 0], born.covariances[:, 0])

    def _new(self, proposals: Proposals) -> NDArray[np.bool_]:
        """Which of them are near no component that is there."""
        means, covariances = self.mixture.means, self.mixture.covariances
        apart = means - proposals.means[:, :1]  # (P, K, D)
        pooled = covariances + proposals.covariances[:, :1]
        return np.asarray((squared_distances(apart, pooled) > _ALIKE).all(1))

    def _add(self, weights: FloatArray, means: FloatArray, covariances: FloatArray) -> None:
        """More components, of which nothing was seen before."""
        old = self.mixture
        total = 1.0 + weights.sum()
        self.mixture = GaussianMixture(
            np.concatenate([old.weights, weights]) / total,
            np.concatenate([old.means, means]),
            np.concatenate([old.covariances, covariances]),
            old.background_weight / total,
            old.background_region,
        )
        rows = np.arange(old.n_components)
        self._on_all(lambda statistics: statistics.spread(rows, self.mixture.n_components))

    def _averaged(self, found: Statistics) -> Statistics:
        """Averages with those of before, as sums over all points so far."""
        rate = float(self.n_batches**-_FORGETTING)  # 1 of the first one
        new = scaled(found, rate * self.total_weight / found.total_weight)
        if self._average is None:
            return new
        before = scaled(
            self._average, (1.0 - rate) * self.total_weight / self._average.total_weight
        )
        joined = Statistics.joining([before, new])
        return replace(
            joined,
            cell_log_likelihoods=np.array([joined.log_likelihood]),
            total_weight=self.total_weight,
        )

    def _step(self, problem: Problem, found: Statistics) -> None:
        """The step that these statistics make, and what is kept of them about the new means."""
        old = self.mixture
        state = Evaluated(old, np.nan, self.objective, found)
        kept = np.flatnonzero(updated_weights(problem, state)[2])
        self.mixture, self.objective = m_step(problem, state)
        moved = self.mixture.means - old.means[kept]
        self._on_all(lambda statistics: about(statistics.subset(kept), moved))

    def _on_all(self, change: Callable[[Statistics], Statistics]) -> None:
        """Change all statistics that are kept."""
        if self._average is not None:
            self._average = change(self._average)
        self._known = {batch: change(known) for batch, known in self._known.items()}


def _grows(region: Region) -> bool:
    """Whether it is no more than the bounding box of the points."""
    return isinstance(region, Box) and region.n_points is not None


def about(statistics: Statistics, moved: FloatArray) -> Statistics:
    """Statistics about means that have moved by (K, D)."""
    counts, shifts = statistics.counts, statistics.shifts
    products = moved[:, :, None] * shifts[:, None, :]
    squares = counts[:, None, None] * moved[:, :, None] * moved[:, None, :]
    return replace(
        statistics,
        shifts=shifts - counts[:, None] * moved,
        scatters=statistics.scatters - products - products.swapaxes(1, 2) + squares,
    )


def scaled(statistics: Statistics, factor: float) -> Statistics:
    """Statistics of points that weigh `factor` times as much."""
    informations = statistics.informations
    return Statistics(
        factor * statistics.counts,
        factor * statistics.shifts,
        factor * statistics.scatters,
        factor * statistics.background_count,
        factor * statistics.cell_log_likelihoods,
        factor * statistics.total_weight,
        None,
        None if informations is None else factor * informations,
    )
