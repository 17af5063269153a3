"""Minimum message length (Figueiredo & Jain, IEEE TPAMI 24(3), 2002, eq. 15).

The message that tells the points and the mixture costs, beside the negative
log-likelihood and for each component of T = D + D (D + 1) / 2 free parameters,

    T/2 log(n W_j / 12) + 1/2 log(n / 12) + (T + 1) / 2    nats.

No knob: components that do not pay for their description go. The first term is the
length of the parameters, told to the precision that n W_j points allow. The formula is
made for many points: under 12 a length would be negative, and without end as W_j goes
to 0. So a component has the weight of 12 points at least, and that one is better away
altogether is for the moves to find out, by the cost.
"""

from dataclasses import dataclass

import numpy as np

from napari_sparse_gmm.fitting.priors.prior import Prior
from napari_sparse_gmm.mixture import FloatArray

# Points at which the length of a parameter is 0.
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

    def penalty(self, weights: FloatArray, total: float) -> float:
        t = self.n_parameters
        points = total * np.maximum(weights, self._least(total))
        each = 0.5 * t * np.log(points / 12) + 0.5 * np.log(total / 12) + 0.5 * (t + 1)
        return float(each.sum() / total)

    def gradient(self, weights: FloatArray, total: float) -> FloatArray:
        above = weights > self._least(total)
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
        floors = np.append(np.full(len(weights), self._least(total)), 0.0)
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

    def _least(self, total: float) -> float:
        return min(_LEAST / total, 0.5 / self.n_start)
