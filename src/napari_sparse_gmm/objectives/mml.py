"""Minimum message length: how many components, without a knob.

The message that encodes the points and the mixture costs, beside the negative
log-likelihood, for each component of T = D + D (D + 1) / 2 free parameters

    T/2 log(n W_j) + 1/2 log(n)    nats:

its parameters to the precision that its own n W_j points allow, and its weight. A
component that does not pay for its description goes. The steps are those of Figueiredo
& Jain (IEEE TPAMI 24(3), 2002, eq. 17), the constants of the earlier criterion of
Figueiredo, Leitao & Jain (EMMCVPR 1999), which do without the later paper's
log(n W_j / 12): by 12, a needle through a dozen scattered points pays for itself, and
in localizations with a background there are many.

That formula is negative for the smallest components, and its slope has no bound: taken at
its word it kills all components at once where each starts with fewer than T/2 points. Below
40 points the penalty goes on as its own tangent there. So it stays concave, and what is left
of the penalty when a component vanishes is positive: one that a few points pay for shrinks
slowly, and one too many is worth deleting.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.objectives.declaration import Declaration
from napari_sparse_gmm.objectives.penalised import PenalisedLikelihood
from napari_sparse_gmm.objectives.weight_penalty import WeightPenalty

# Points below which the penalty is a straight line. Of sixty components that start in 30 clusters
# five to eight stay as needles through scattered points with 12, up to five with 20, one or two
# with 40; 60 is no better.
_FEW = 40.0


@dataclass(frozen=True)
class MessageLength(WeightPenalty):
    """Minimum message length; see the module.

    Parameters
    ----------
    n_dimensions : int
        D, the dimensions of the points.
    """

    counts = True

    n_dimensions: int

    @property
    def n_parameters(self) -> int:
        """T, the free parameters of a component."""
        d = self.n_dimensions
        return d + d * (d + 1) // 2

    def penalties(self, weights: FloatArray, total: float) -> FloatArray:
        points = total * weights
        lengths = np.log(np.maximum(points, _FEW)) + np.minimum(points / _FEW - 1.0, 0.0)
        return (0.5 * self.n_parameters * lengths + 0.5 * np.log(total)) / total

    def gradient(self, weights: FloatArray, total: float) -> FloatArray:
        return 0.5 * self.n_parameters / np.maximum(total * weights, _FEW)

    def update_weights(
        self,
        counts: FloatArray,
        background_count: float,
        weights: FloatArray,
        total: float,
    ) -> tuple[FloatArray, float]:
        """The exact minimum of EM's bound: from 40 points on proportional to n_j - T/2 (eq. 17).

        For the arguments see `Objective.update_weights`.
        """

        def points(multiplier: float) -> FloatArray:
            return np.append(self._points(counts, multiplier), background_count / multiplier)

        # All would be as below 40 points, or as far above.
        sum_ = float(counts.sum()) + background_count
        low, high = sum_ / total - 0.5 * self.n_parameters / _FEW, sum_ / total
        low = max(low, 1e-3 * high)
        while points(low).sum() < total:
            low *= 0.5
        updated = points(
            scipy.optimize.brentq(
                lambda value: float(points(value).sum()) - total,
                low * (1 - 1e-9),
                high * (1 + 1e-9),
                xtol=1e-300,
                rtol=1e-14,
            )
        )
        updated /= updated.sum()
        return updated[:-1], float(updated[-1])

    def proportions(
        self, shares: FloatArray, weights: FloatArray, multiplier: float, total: float
    ) -> FloatArray:
        return self._points(shares * total, max(multiplier, 1e-3)) / total

    def _points(self, counts: FloatArray, multiplier: float) -> FloatArray:
        """Of each component, where lambda is `multiplier`: lambda m + m dPenalty/dm = n_j."""
        t = 0.5 * self.n_parameters
        many = counts >= multiplier * _FEW + t
        return np.where(many, (counts - t) / multiplier, counts / (multiplier + t / _FEW))


DECLARATION = Declaration(
    name="mml",
    label="Message length (automatic)",
    help="What describes the points in the fewest words, without a knob; for clusters of tens of "
    "points and more. Started by k-means++ it may end without a background.",
    make=lambda context: PenalisedLikelihood(MessageLength(context.region.n_dimensions)),
    init="density",
    components=None,
    counts=MessageLength.counts,
)
