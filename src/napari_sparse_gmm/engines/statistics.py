"""What an engine answers. A fit asks for sums over points, additive over any partition of them.

In memory, in blocks from disk or on the machines of a cluster it is the same sum::

    total = left.expectation(mixture) + right.expectation(mixture)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray


@dataclass(frozen=True, eq=False)
class Statistics:
    """Expected sufficient statistics of a mixture on weighted points.

    With omega_i the weight of point i, z_i its place and r_ij its responsibility for component j.

    Parameters
    ----------
    counts : (K,) array
        sum_i omega_i r_ij, the expected number of points of each component.
    shifts : (K, D) array
        sum_i omega_i r_ij (z_i - mu_j), about the *current* mean: near it, so that no
        digits cancel.
    scatters : (K, D, D) array
        sum_i omega_i r_ij (z_i - mu_j)(z_i - mu_j)^T.
    background_count : float
        Expected number of background points.
    block_log_likelihoods : (n,) array
        sum_i omega_i log p(x_i) over each block of points; 0 for one that was not looked at.
    total_weight : float
        sum_i omega_i over all points of the engine, looked at or not.
    removal : (K,) array, optional
        sum_i omega_i log(1 - r_ij): what the log-likelihood would lose without component j,
        the other weights left as they are. Only where it was asked for.
    informations : (K, D, D) array, optional
        sum_i omega_i r_ij (Sigma_j + S_i)^-1, Fisher's information on each mean, of points with
        noise. Without noise it is counts Sigma_j^-1.

    Of a point with noise the place z_i is the true one, and the sums are expected ones.
    """

    counts: FloatArray
    shifts: FloatArray
    scatters: FloatArray
    background_count: float
    block_log_likelihoods: FloatArray
    total_weight: float
    removal: FloatArray | None = None
    informations: FloatArray | None = None

    @property
    def log_likelihood(self) -> float:
        """sum_i omega_i log p(x_i) over the points that were looked at."""
        return float(self.block_log_likelihoods.sum())

    def __add__(self, other: "Statistics") -> "Statistics":
        return Statistics(
            self.counts + other.counts,
            self.shifts + other.shifts,
            self.scatters + other.scatters,
            self.background_count + other.background_count,
            np.concatenate([self.block_log_likelihoods, other.block_log_likelihoods]),
            self.total_weight + other.total_weight,
            _sum(self.removal, other.removal),
            _sum(self.informations, other.informations),
        )


def _sum(left: FloatArray | None, right: FloatArray | None) -> FloatArray | None:
    """What only one of them has is not known of both."""
    return None if left is None or right is None else left + right


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which component each point belongs to.

    Parameters
    ----------
    component : (N,) array of int
        The most probable component; -1 is the background.
    probability : (N,) array
        That the point belongs there, its responsibility.
    log_density : (N,) array
        Natural log of the density of the mixture, per data unit^D.
    """

    component: NDArray[np.intp]
    probability: FloatArray
    log_density: FloatArray
