"""What is minimised: the cost of a mixture on a set of points.

    Cost = -(1/n) sum_i omega_i log p(x_i) + Penalty(W),   n = sum_i omega_i

in nats per point. Solvers see points only through the engine's sums.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.engines import Engine, Statistics
from napari_sparse_gmm.fitting.priors import Prior
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

# A component of fewer expected points, of mean weight, is gone: what it adds to the likelihood
# is lost in the rounding of the sums.
_GONE = 1e-6


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
    most : int
        The most components that moves may lead to.
    """

    engine: Engine
    prior: Prior
    covariance_floor: float
    most: int

    @property
    def gone(self) -> float:
        """A component of fewer expected points is taken out."""
        return _GONE * self.engine.total_weight / self.engine.n_points

    def evaluate(self, mixture: GaussianMixture, *, removal: bool = False) -> "Evaluated":
        """The mixture with its statistics and its cost: one pass over the points."""
        statistics = self.engine.expectation(mixture, removal=removal)
        cost = self.cost(mixture, statistics.log_likelihood)
        return Evaluated(mixture, cost, statistics)

    def updated_shapes(
        self, mixture: GaussianMixture, statistics: Statistics, chosen: NDArray[np.bool_]
    ) -> tuple[FloatArray, FloatArray]:
        """Means and covariances of the `chosen` components after a step, (k, D) and (k, D, D)."""
        counts = statistics.counts[chosen]
        shift = statistics.shifts[chosen] / counts[:, None]
        covariances = statistics.scatters[chosen] / counts[:, None, None]
        covariances -= shift[:, :, None] * shift[:, None, :]
        raised = raise_eigenvalues(covariances, self.covariance_floor**2)
        return mixture.means[chosen] + shift, raised

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
    """What every solver yields: a mixture and its cost.

    `work` is what was looked at since the last one, in passes over all points.
    """

    mixture: GaussianMixture
    cost: float
    work: float = field(default=1.0, kw_only=True)


@dataclass(frozen=True, eq=False)
class Evaluated(State):
    """A state with its statistics on the points: what the next step is made from."""

    statistics: Statistics


def raise_eigenvalues(covariances: FloatArray, least: float) -> FloatArray:
    """The nearest covariances (K, D, D) without an eigenvalue below `least`."""
    values, vectors = np.linalg.eigh(covariances)
    roots = vectors * np.sqrt(np.maximum(values, least))[:, None, :]
    raised = roots @ roots.swapaxes(1, 2)
    # Those that need no change keep all their digits.
    return np.where((values[:, :1] < least)[:, :, None], raised, covariances)
