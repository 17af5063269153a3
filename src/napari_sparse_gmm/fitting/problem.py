"""What is minimised: the cost of a mixture on a set of points.

    Cost = -(1/n) sum_i omega_i log p(x_i) + what the objective costs,   n = sum_i omega_i

in nats per point. Solvers see points only through the engine's sums.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.engines import Engine, Statistics
from napari_sparse_gmm.fitting.step import Step
from napari_sparse_gmm.fitting.window import Unseen, completed, reweighted, unseen
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import Objective
from napari_sparse_gmm.regions import Region

# A component of fewer expected points, of mean weight, is negligible: what it adds to the
# likelihood is lost in the rounding of the sums.
_NEGLIGIBLE = 1e-6


@dataclass(frozen=True, eq=False)
class Problem:
    """Points, objective and constraint of a fit.

    Parameters
    ----------
    engine : Engine
        Holds the points.
    objective : Objective
        What the fit starts from; a state has its own, with what it has learnt.
    covariance_floor : (D,) array, or float
        Smallest standard deviation of a component along each axis, in data units.
    most : int
        The most components that moves may lead to.
    births : tuple of str
        Where moves look for new components; see `Declaration`.
    window : Region, optional
        Where points can be seen, if components are cut by its edge; weights are then shares of
        those that are seen.
    """

    engine: Engine
    objective: Objective
    covariance_floor: FloatArray | float
    most: int
    births: tuple[str, ...] = ("boxes",)
    window: Region | None = None

    @property
    def least_floor(self) -> float:
        """The smallest of them."""
        return float(np.min(self.covariance_floor))

    @property
    def total_weight(self) -> float:
        """That of all points: their number where each counts once."""
        return self.engine.summary.total_weight

    @property
    def negligible(self) -> float:
        """A component of fewer expected points is removed."""
        summary = self.engine.summary
        return _NEGLIGIBLE * summary.total_weight / summary.n_points

    def evaluate(
        self,
        mixture: GaussianMixture,
        objective: Objective | None = None,
        *,
        removal: bool = False,
    ) -> "Evaluated":
        """The mixture with its statistics and its cost: one pass over the points.

        Under `objective`, or the one that the fit starts from.
        """
        objective = self.objective if objective is None else objective
        statistics = self.expectation(mixture, objective, removal=removal)
        total = self.total_weight
        cost = objective.costs(mixture.weights, mixture.covariances, total).sum()
        cost += objective.constant(total) - statistics.log_likelihood / total
        return Evaluated(mixture, float(cost), objective, statistics)

    def start(self, mixture: GaussianMixture) -> "Evaluated":
        """A mixture to start from, evaluated under an objective learnt from its components."""
        nearest = self.objective.covariance_type.nearest(mixture.covariances)
        if nearest is not mixture.covariances:
            mixture = replace(mixture, covariances=nearest)
        return self.evaluate(mixture, self.learnt(mixture.weights, mixture.covariances))

    def alone(self, region: Region) -> "Evaluated":
        """A background without a component, evaluated."""
        d = region.n_dimensions
        nothing = np.empty(0), np.empty((0, d)), np.empty((0, d, d))
        return self.start(GaussianMixture(*nothing, 1.0, region))

    def learnt(self, weights: FloatArray, covariances: FloatArray) -> Objective:
        """The objective with hyperparameters learnt from such components."""
        return self.objective.learnt(weights * self.total_weight, covariances)

    def expectation(
        self,
        mixture: GaussianMixture,
        objective: Objective,
        *,
        scale: float = 1.0,
        removal: bool = False,
        cells: NDArray[np.intp] | None = None,
    ) -> Statistics:
        """The statistics of `scale` times the mixture; see `Engine.expectation`."""
        total = self.total_weight
        expected, mass = objective.expected(mixture, scale * total)
        if self.window is not None:
            expected, more = reweighted(expected, 1.0 / self.unseen(mixture).shares)
            mass *= more
        statistics = self.engine.expectation(expected, removal=removal, cells=cells)
        looked_at = slice(None) if cells is None else cells
        log_likelihoods = statistics.cell_log_likelihoods.copy()
        log_likelihoods[looked_at] += np.log(mass / total) * self.engine.cell_weights[looked_at]
        return replace(statistics, cell_log_likelihoods=log_likelihoods)

    def convolved(self, covariances: FloatArray) -> FloatArray:
        """Covariances (..., D, D) convolved with the typical noise of the points."""
        noise = self.engine.typical_noise
        return covariances if noise is None else np.asarray(covariances + np.diag(noise))

    def unseen(self, mixture: GaussianMixture) -> Unseen:
        """What of the components lies beyond the window."""
        assert self.window is not None
        return unseen(self.window, mixture.means, self.convolved(mixture.covariances))

    def step(
        self,
        objective: Objective,
        mixture: GaussianMixture,
        statistics: Statistics,
        chosen: NDArray[np.bool_],
    ) -> Step:
        """What a step can make of the `chosen` components of a mixture with these statistics."""
        if self.window is not None:
            noise = self.engine.typical_noise
            statistics = completed(statistics, mixture, noise, self.unseen(mixture))
        counts = statistics.counts[chosen]
        shifts = statistics.shifts[chosen] / counts[:, None]
        scatters = statistics.scatters[chosen].copy()
        scatters -= counts[:, None, None] * shifts[:, :, None] * shifts[:, None, :]
        informations = statistics.informations
        return Step(
            mixture.means[chosen],
            mixture.covariances[chosen],
            counts,
            shifts,
            scatters,
            objective.surplus(counts, mixture.covariances[chosen]),
            None if informations is None else informations[chosen],
            self.covariance_floor,
        )

    def pruned(self, state: "State") -> "State":
        """The state without components of less than a tenth of a point, where that costs less.

        Gradient descent only comes near to a weight of zero.
        """
        kept = state.mixture.weights * self.total_weight >= 0.1
        if kept.all() or not kept.any():
            return state
        pruned = self.evaluate(state.mixture.subset(kept), state.objective)
        return pruned if pruned.cost < state.cost else state


@dataclass(frozen=True, eq=False)
class State:
    """What every solver yields: a mixture and its cost, under an objective.

    `work` is what was looked at since the last one, in passes over all points.
    """

    mixture: GaussianMixture
    cost: float
    objective: Objective
    work: float = field(default=1.0, kw_only=True)


@dataclass(frozen=True, eq=False)
class Evaluated(State):
    """A state with its statistics on the points: what the next step is made from."""

    statistics: Statistics
