"""A prior on the covariances beside a penalty on the weights.

The inverse Wishart distribution is conjugate to a covariance: what it says is worth m more points
in each component, with a standard deviation s along every axis, and in the cost

    m / (2 n) sum_j [ log det (Sigma_j / s^2) + s^2 tr Sigma_j^-1 - D ],

which is 0 where Sigma_j = s^2 1 and positive elsewhere. So it regularises a mixture (cf. Fraley &
Raftery, J. Classification 24, 2007, whose s is the default here). With m = 5, a component of 20
points gets a fifth of its covariance from the prior; one of 500, 1%.
"""

from dataclasses import dataclass

import numpy as np

from napari_sparse_gmm.factored import log_determinants, traces_of_inverses
from napari_sparse_gmm.mixture import FloatArray


@dataclass(frozen=True)
class InverseWishart:
    """See the module.

    Parameters
    ----------
    points : float
        m, what it is worth in points.
    size : float
        s, the standard deviation that it expects, in data units.
    """

    points: float
    size: float

    @property
    def scatter(self) -> float:
        """m s^2, what it adds to the scatter of the points along every axis."""
        return self.points * self.size**2

    def costs(self, covariances: FloatArray, total: float) -> FloatArray:
        """What each of K covariances costs, (K,), in nats per point of `total` weight."""
        relative = covariances / self.size**2
        strain = log_determinants(relative) + traces_of_inverses(relative)
        return 0.5 * self.points / total * (strain - covariances.shape[1])


def default_size(covariance: FloatArray, n_components: int) -> float:
    """The size of n equal balls that together have the volume of the points (Fraley & Raftery).

    The root of the mean variance of the points along the axes, over n^(1/D); `covariance` (D, D) is
    theirs.
    """
    variance = float(np.diagonal(covariance).mean())
    return float(np.sqrt(variance)) / n_components ** (1.0 / len(covariance))
