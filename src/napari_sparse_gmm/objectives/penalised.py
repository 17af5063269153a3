"""The penalised likelihood: minus the mean log-likelihood, and what weights and sizes cost.

    Cost = -(1/n) sum_i omega_i log p(x_i) + Penalty(W) + what the prior on covariances costs

The penalty is a `WeightPenalty`, the prior on covariances an `InverseWishart`, or none.
"""

from dataclasses import dataclass, replace

import numpy as np

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.objectives.covariance_type import FULL, CovarianceType
from napari_sparse_gmm.objectives.inverse_wishart import InverseWishart
from napari_sparse_gmm.objectives.objective import Objective
from napari_sparse_gmm.objectives.weight_penalty import WeightPenalty


@dataclass(frozen=True)
class PenalisedLikelihood(Objective):
    """A penalty on the weights and a prior on the covariances."""

    penalty: WeightPenalty
    covariance_prior: InverseWishart | None = None
    covariance_type: CovarianceType = FULL

    def of_type(self, covariance_type: CovarianceType) -> "PenalisedLikelihood":
        return replace(self, covariance_type=covariance_type)

    def costs(self, weights: FloatArray, covariances: FloatArray, total: float) -> FloatArray:
        costs = self.penalty.penalties(weights, total)
        if self.covariance_prior is not None:
            costs = costs + self.covariance_prior.costs(covariances, total)
        return costs

    def gradient(self, weights: FloatArray, total: float) -> FloatArray:
        """dPenalty / dW_j, (K,)."""
        return self.penalty.gradient(weights, total)

    def multiplier(self, weights: FloatArray, total: float) -> float:
        """From W_j (lambda + c_j) = r_j, summed over all components and the background."""
        return 1.0 - float((self.penalty.gradient(weights, total) * weights).sum())

    def update_weights(
        self, counts: FloatArray, background_count: float, weights: FloatArray, total: float
    ) -> tuple[FloatArray, float]:
        return self.penalty.update_weights(counts, background_count, weights, total)

    def proportions(
        self, shares: FloatArray, weights: FloatArray, multiplier: float, total: float
    ) -> FloatArray:
        return self.penalty.proportions(shares, weights, multiplier, total)

    def pseudo_points(
        self, counts: FloatArray, covariances: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        prior = self.covariance_prior
        if prior is None:
            return super().pseudo_points(counts, covariances)
        return np.full(len(counts), prior.points), np.full(len(counts), prior.scatter)

    def surplus(self, counts: FloatArray, covariances: FloatArray) -> FloatArray:
        # Means and covariances are taken as known.
        return np.zeros_like(covariances)
