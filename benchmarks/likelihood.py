"""The likelihood of points under a mixture, exact to rounding and apart from the engines.

In double precision, with a kd-tree of the points: each component meets the points within 12 of
its longest standard deviations. What is left out is less than exp(-72) of its peak.

>>> mean_log_likelihood(simulated.truth, simulated.points)
"""

import numpy as np
from scipy.spatial import cKDTree

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.mixture import FloatArray

REACH = 12.0


def mean_log_likelihood(mixture: GaussianMixture, points: FloatArray) -> float:
    """Mean natural log of the density at the points (N, D), in nats per point."""
    density = np.zeros(len(points))
    if mixture.background_weight > 0:
        lower, upper = mixture.background_region.box
        inside = ((points >= lower) & (points <= upper)).all(1)
        density[inside] = np.exp(mixture.log_background_density)
    tree = cKDTree(points)
    radii = REACH * np.sqrt(np.linalg.eigvalsh(mixture.covariances)[:, -1])  # (K,)
    for j in range(mixture.n_components):
        rows = np.asarray(tree.query_ball_point(mixture.means[j], radii[j]), dtype=np.intp)
        whitened = (points[rows] - mixture.means[j]) @ mixture.precision_factors[j]  # (n, D)
        distances = np.square(whitened).sum(1)
        density[rows] += np.exp(mixture.log_amplitudes[j] - 0.5 * distances)
    far = density == 0
    logarithms = np.log(density[~far])
    return float((logarithms.sum() + mixture.log_density(points[far]).sum()) / len(points))
