"""What a Poisson process has, whatever is known of its clusters beforehand."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives.objective import Objective

# A cluster of so few expected points goes: of a single one there is no size to speak of.
LEAST = 1.5


class PoissonProcess(Objective):
    """No cluster takes weight from another, and its points see the exponential of the expected
    log intensity of a cluster.
    """

    # The posterior of a cluster is approximated by a single mode, which makes it look less likely
    # than it is: without a bias, true ones of 5 points go.
    keeping: ClassVar[float | None] = 1.0

    @abstractmethod
    def log_masses(self, counts: FloatArray, covariances: FloatArray) -> FloatArray:
        """The expected log intensity of clusters of so many expected points, over their density at
        the posterior's parameters, (K,).
        """

    def multiplier(self, weights: FloatArray, total: float) -> float:
        """1: a Poisson process pays a nat for every point that it expects."""
        return 1.0

    def update_weights(
        self,
        counts: FloatArray,
        background_count: float,
        weights: FloatArray,
        total: float,
    ) -> tuple[FloatArray, float]:
        """Each component's points; see `Objective.update_weights`."""
        kept = counts > LEAST
        if not kept.any() and background_count == 0:
            kept = counts == counts.max()
        # A background without a point could not come back.
        background = max(background_count, 1.0) if background_count > 0 else 0.0
        updated = np.where(kept, counts, 0.0)
        sum_ = updated.sum() + background
        return updated / sum_, background / sum_

    def proportions(
        self, shares: FloatArray, weights: FloatArray, multiplier: float, total: float
    ) -> FloatArray:
        return shares

    def expected(self, mixture: GaussianMixture, mass: float) -> tuple[GaussianMixture, float]:
        counts = np.maximum(mixture.weights * mass, 1e-9)
        masses = np.exp(self.log_masses(counts, mixture.covariances))
        background = mixture.background_weight * mass
        sum_ = float(masses.sum() + background)
        expected = GaussianMixture.unchecked(
            masses / sum_,
            mixture.means,
            mixture.covariances,
            background / sum_,
            mixture.background_region,
        )
        return expected, sum_
