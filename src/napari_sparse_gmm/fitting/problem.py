"""What is minimised: the cost of a mixture on a set of points.

    Cost = -(1/n) sum_i omega_i log p(x_i) + Penalty(W),   n = sum_i omega_i

in nats per point. Solvers see points only through the engine's sums.
"""

from dataclasses import dataclass

from napari_sparse_gmm.engines import Engine, Statistics
from napari_sparse_gmm.fitting.priors import Prior
from napari_sparse_gmm.mixture import GaussianMixture


@dataclass(frozen=True, eq=False)
class Problem:
    """Points, prior and constraint of a fit.

    Parameters
    ----------
    engine : Engine
        Holds the points.
    prior : Prior
    covariance_floor : float
        Smallest standard deviation along any axis of a component, in data units.
    """

    engine: Engine
    prior: Prior
    covariance_floor: float

    def evaluate(self, mixture: GaussianMixture, *, removal: bool = False) -> "Evaluated":
        """The mixture with its statistics and its cost: one pass over the points."""
        statistics = self.engine.expectation(mixture, removal=removal)
        cost = self.cost(mixture, statistics.log_likelihood)
        return Evaluated(mixture, cost, statistics)

    def pruned(self, state: "State") -> "State":
        """The state without components of less than a tenth of a point, where that costs less.

        Gradient descent only comes near to a weight of zero.
        """
        kept = state.mixture.weights * self.engine.total_weight >= 0.1
        if kept.all() or not kept.any():
            return state
        pruned = self.evaluate(state.mixture.subset(kept))
        return pruned if pruned.cost < state.cost else state

    def cost(self, mixture: GaussianMixture, log_likelihood: float) -> float:
        """Cost in nats per point, given sum_i omega_i log p(x_i)."""
        total = self.engine.total_weight
        return -log_likelihood / total + self.prior.penalty(mixture.weights, total)


@dataclass(frozen=True, eq=False)
class State:
    """What every solver yields: a mixture and its cost."""

    mixture: GaussianMixture
    cost: float


@dataclass(frozen=True, eq=False)
class Evaluated(State):
    """A state with its statistics on the points: what the next step is made from."""

    statistics: Statistics
