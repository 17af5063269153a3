"""A penalty on the weights.

To add one, write a class with `penalties` and `gradient` in a new file and pass an
instance of it as `prior`; the solvers need nothing else where each is a concave function of
its weight. With a `Declaration` in that file, and a line in `objectives`, it can be chosen by name.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import scipy

from napari_sparse_gmm.mixture import FloatArray


class WeightPenalty(ABC):
    """A penalty on the weights of a mixture, (K,); the background's is not penalised.

    `counts` says whether it matters how many points there are, not only their shares.
    """

    counts: ClassVar[bool] = False

    @abstractmethod
    def penalties(self, weights: FloatArray, total: float) -> FloatArray:
        """The penalty on each weight, (K,), in nats per point of `total` weight.

        A component whose weight goes to 0 is taken out; that must not raise the sum.
        """

    @abstractmethod
    def gradient(self, weights: FloatArray, total: float) -> FloatArray:
        """dPenalty / dW_j, (K,)."""

    def penalty(self, weights: FloatArray, total: float) -> float:
        """Penalty(W), the sum of `penalties`, in nats per point."""
        return float(self.penalties(weights, total).sum())

    def proportions(
        self, shares: FloatArray, weights: FloatArray, multiplier: float, total: float
    ) -> FloatArray:
        """See `Objective.proportions`."""
        slopes = self.gradient(weights, total)
        # Away from the optimum the held lambda may be too low; the order of weights is kept.
        return shares / np.maximum(multiplier + slopes, np.maximum(0.1 * slopes, 1e-3))

    def update_weights(
        self, counts: FloatArray, background_count: float, weights: FloatArray, total: float
    ) -> tuple[FloatArray, float]:
        """The weights that minimise the bound on the cost: the weight part of an M-step.

        EM bounds the negative log-likelihood by -sum_j r_j log W_j, r_j = counts_j / total,
        background included. A concave penalty lies below its tangent, of slope c_j at the
        present weights (cf. Huang, Peng & Zhang, Statistica Sinica 27, 2017). The bound's
        minimum on the simplex is W_j = r_j / (lambda + c_j), where lambda > -min c_j is the
        unique root of sum_j W_j = 1. For the arguments see `Objective.update_weights`.
        """
        shares = np.append(counts, background_count) / total
        slopes = np.append(self.gradient(weights, total), 0.0)
        updated = np.zeros_like(shares)
        positive = shares > 0
        updated[positive] = minimise_on_simplex(shares[positive], slopes[positive])
        return updated[:-1], float(updated[-1])


def minimise_on_simplex(shares: FloatArray, slopes: FloatArray) -> FloatArray:
    """argmin over W, sum W = 1, of sum_j (-shares_j log W_j + slopes_j W_j); all shares > 0."""
    lowest = slopes.min()
    relative = slopes - lowest

    def excess(shift: float) -> float:
        return float((shares / (shift + relative)).sum()) - 1.0

    # With lambda = shift - lowest, the terms of lowest slope alone sum to 1 at `low`, so all
    # of them to more; at `high`, where all slopes are taken for the lowest, to less.
    low, high = shares[relative == 0].sum(), shares.sum()
    shift = scipy.optimize.brentq(
        excess, low * (1 - 1e-9), high * (1 + 1e-9), xtol=1e-300, rtol=1e-15, maxiter=2000
    )
    updated = shares / (shift + relative)
    return updated / updated.sum()
