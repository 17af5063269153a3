"""Minimum message length: how many components, without a knob.

The message that tells the points and the mixture costs, beside the negative
log-likelihood, for each component of T = D + D (D + 1) / 2 free parameters

    T/2 log(n W_j) + 1/2 log(n)    nats:

its parameters to the precision that its own n W_j points allow, and its weight. A
component that does not pay for its description goes. The steps are those of Figueiredo
& Jain (IEEE TPAMI 24(3), 2002, eq. 17), the constants of the earlier criterion of
Figueiredo, Leitao & Jain (EMMCVPR 1999), which do without the later paper's
log(n W_j / 12): by 12, a needle through a dozen scattered points pays for itself, and
in localizations with a background there are many.

Under 12 points, where the later formula would have a negative length, no component is
described: none weighs less. That one is better away altogether is for the moves to find
out, by the cost.
"""

from dataclasses import dataclass

import numpy as np

from napari_sparse_gmm.fitting.priors.prior import Prior
from napari_sparse_gmm.mixture import FloatArray

# The smallest weight of a component, in points.
_LEAST = 12.0


@dataclass(frozen=True)
class MessageLengthPrior(Prior):
    """Minimum message length; see the module.

    Parameters
    ----------
    n_dimensions : int
        D, the dimensions of the points.
    n_start : int
        The number of components that the fit starts from. Where the points are too few for
        12 each, the least weight is half an equal share.
    """

    n_dimensions: int
    n_start: int

    @property
    def n_parameters(self) -> int:
        """T, the free parameters of a component."""
        d = self.n_dimensions
        return d + d * (d + 1) // 2

    def penalties(self, weights: FloatArray, total: float) -> FloatArray:
        points = total * np.maximum(weights, self.least_weight(total))
        return (0.5 * self.n_parameters * np.log(points) + 0.5 * np.log(total)) / total

    def gradient(self, weights: FloatArray, total: float) -> FloatArray:
        above = weights > self.least_weight(total)
        return above * 0.5 * self.n_parameters / (total * np.maximum(weights, 1e-300))

    def update_weights(
        self,
        counts: FloatArray,
        background_count: float,
        weights: FloatArray,
        total: float,
    ) -> tuple[FloatArray, float]:
        """Weights proportional to max(0, n_j - T/2) (eq. 17), none below the least.

        The exact minimum of EM's bound among such weights; for the arguments see
        `Prior.update_weights`.
        """
        wanted = np.append(np.maximum(counts - 0.5 * self.n_parameters, 0.0), background_count)
        floors = np.append(np.full(len(weights), self.least_weight(total)), 0.0)
        updated = floors.copy()
        held = np.zeros(len(wanted), dtype=bool)
        # Hold those below their floor and share the rest out among the others, until none falls.
        while True:
            room = wanted[~held].sum()
            updated[~held] = wanted[~held] * (1.0 - floors[held].sum()) / max(room, 1e-300)
            falling = ~held & (updated < floors)
            if not falling.any():
                break
            held |= falling
            updated[held] = floors[held]
        updated /= updated.sum()
        return updated[:-1], float(updated[-1])

    def proportions(
        self, shares: FloatArray, weights: FloatArray, multiplier: float, total: float
    ) -> FloatArray:
        return np.maximum(shares - 0.5 * self.n_parameters / total, self.least_weight(total))

    def least_weight(self, total: float) -> float:
        return min(_LEAST / total, 0.5 / self.n_start)
