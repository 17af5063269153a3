"""Minimum message length (Figueiredo & Jain, IEEE TPAMI 24(3), 2002, eq. 15).

The message that tells the points and the mixture costs, beside the negative
log-likelihood and for each component of T = D + D (D + 1) / 2 free parameters,

    T/2 log(n W_j / 12) + 1/2 log(n / 12) + (T + 1) / 2    nats.

No knob: components that do not pay for their description go. The criterion holds for
components that exist, n W_j of a few points at least; as W_j goes to 0 it would fall
without end. So the weights stay at or above T / 2 points, half of what describes a
component; that one is better away altogether is for the moves to find out, by the cost.
"""

from dataclasses import dataclass

import numpy as np

from napari_sparse_gmm.fitting.priors.prior import Prior
from napari_sparse_gmm.mixture import FloatArray


@dataclass(frozen=True)
class MessageLengthPrior(Prior):
    """Minimum message length; see the module.

    Parameters
    ----------
    n_dimensions : int
        D, the dimensions of the points.
    """

    n_dimensions: int

    @property
    def n_parameters(self) -> int:
        """T, the free parameters of a component."""
        d = self.n_dimensions
        return d + d * (d + 1) // 2

    def penalty(self, weights: FloatArray, total: float) -> float:
        t = self.n_parameters
        points = total * np.maximum(weights, self._least_weight(len(weights), total))
        each = 0.5 * t * np.log(points / 12) + 0.5 * np.log(total / 12) + 0.5 * (t + 1)
        return float(each.sum() / total)

    def gradient(self, weights: FloatArray, total: float) -> FloatArray:
        above = weights > self._least_weight(len(weights), total)
        return above * 0.5 * self.n_parameters / (total * np.maximum(weights, 1e-300))

    def update_weights(
        self,
        counts: FloatArray,
        background_count: float,
        weights: FloatArray,
        total: float,
    ) -> tuple[FloatArray, float]:
        """Weights proportional to max(0, n_j - T/2) (eq. 17), none below the least.

        The exact minimum of EM's bound where n W_j >= T/2; see `Prior.update_weights`.
        """
        least = self._least_weight(len(weights), total)
        wanted = np.append(np.maximum(counts - 0.5 * self.n_parameters, 0.0), background_count)
        floors = np.append(np.full(len(weights), least), 0.0)
        held = np.zeros(len(wanted), dtype=bool)
        updated = floors.copy()
        # Hold those below their floor and share the rest out among the others, until none falls.
        while True:
            free = 1.0 - floors[held].sum()
            room = wanted[~held].sum()
            updated[~held] = wanted[~held] * (free / room) if room > 0 else 0.0
            falling = ~held & (updated < floors)
            if not falling.any():
                break
            held |= falling
            updated[held] = floors[held]
        updated /= updated.sum()
        return updated[:-1], float(updated[-1])

    def _least_weight(self, n_components: int, total: float) -> float:
        # Where points are too few for that many components, half of an equal share.
        return min(0.5 * self.n_parameters / total, 0.5 / max(n_components, 1))
