"""Clusters that are cut by the edge of the field: truncated Gaussians.

Points are seen in a window only: in the region of the background, or, of a bounding box, as far as
that reaches. What lies beyond it of a cluster is missing, not absent. With Z_j the share of
component j in the window, its points have the density N_j / Z_j there, and n_j (1 - Z_j) / Z_j
more are expected beyond, with the moments of the Gaussian there: EM for truncated Gaussians (Lee &
Scott, EM algorithms for multivariate Gaussian mixture models with truncated and censored data,
Computational Statistics & Data Analysis 56, 2012).

Shares and moments come from fixed nodes of a standard normal distribution, which serve regions of
any shape.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.stats import qmc

from napari_sparse_gmm.engines import Statistics
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.regions import Box, Hull, Intensity, Region

# Half of the nodes, the others being opposite to them; within so many standard deviations.
_LOG_NODES, _REACH = 10, 4.0
# Of a component whose share in the window is smaller, no more is made up than of one with this.
_LEAST_SHARE = 0.2
# Points of a face of the bounding box where its density is looked at.
_ON_FACE = 256
# A gap of so much of a side says that the points do not end there.
_NO_EDGE = 0.25
# Of fewer standard deviations of a typical component a side is thin.
_ROOM = 6.0


@dataclass(frozen=True, eq=False)
class Unseen:
    """What of K components lies beyond a window.

    Parameters
    ----------
    shares : (K,) array
        Z, how much of each lies in the window.
    means : (K, D) array
        The mean of the rest, from that of the component.
    scatters : (K, D, D) array
        Its second moments, about that of the component.
    """

    shares: FloatArray
    means: FloatArray
    scatters: FloatArray

    @property
    def times(self) -> FloatArray:
        """How many points are missing for each that is seen, (K,)."""
        return (1.0 - self.shares) / self.shares


def unseen(window: Region, means: FloatArray, covariances: FloatArray) -> Unseen:
    """What of Gaussians (K, D), (K, D, D) lies beyond a window."""
    k, d = means.shape
    found = Unseen(np.ones(k), np.zeros((k, d)), np.zeros((k, d, d)))
    reach = _REACH * np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    near = np.flatnonzero(~window.covers(means - reach, means + reach))
    nodes = _nodes(d)
    for j in near:
        beyond = nodes @ np.linalg.cholesky(covariances[j]).T
        beyond = beyond[~window.contains(means[j] + beyond)]
        if len(beyond):
            found.shares[j] = max(1.0 - len(beyond) / len(nodes), _LEAST_SHARE)
            found.means[j] = beyond.mean(0)
            found.scatters[j] = beyond.T @ beyond / len(beyond)
    return found


def completed(
    statistics: Statistics, mixture: GaussianMixture, noise: FloatArray | None, rest: Unseen
) -> Statistics:
    """Those of the points that are seen and, as they are expected, of the others."""
    sigma = mixture.covariances
    # Of points with noise a share M of what is observed is their own position.
    own = np.tile(np.eye(mixture.n_dimensions), (len(sigma), 1, 1))
    if noise is not None:
        own = sigma @ np.linalg.inv(sigma + np.diag(noise))
    turned = own.swapaxes(1, 2)
    missing = statistics.counts * rest.times
    shifts = np.einsum("kij,kj->ki", own, rest.means)
    scatters = own @ rest.scatters @ turned + sigma - own @ sigma
    informations = statistics.informations
    if informations is not None:
        informations = informations * (1.0 + rest.times)[:, None, None]
    return replace(
        statistics,
        counts=statistics.counts + missing,
        shifts=statistics.shifts + missing[:, None] * shifts,
        scatters=statistics.scatters + missing[:, None, None] * scatters,
        informations=informations,
    )


@cache
def _nodes(d: int) -> FloatArray:
    """Points of a standard normal distribution, (n, D), with its mean and covariance."""
    half = qmc.MultivariateNormalQMC(np.zeros(d), rng=0).random(1 << _LOG_NODES)
    nodes = np.concatenate([half, -half])
    whitening = np.linalg.inv(np.linalg.cholesky(nodes.T @ nodes / len(nodes)))
    nodes = nodes @ whitening.T
    nodes.flags.writeable = False
    return np.asarray(nodes)


def window_of(mixture: GaussianMixture, total_weight: float) -> Region | None:
    """Where such points can be seen; None where nothing says so.

    A bounding box ends about as far beyond the last scattered point as two of them are apart; where
    none are scattered, the points end for another reason, and so they do at their convex hull. Nor
    can components be completed along an axis on which they are as wide as the field.
    """
    region = mixture.background_region
    within = region.region if isinstance(region, Intensity) else region
    if region is None or isinstance(within, Hull) or not mixture.n_components:
        return None
    lower, upper = region.box
    sides = upper - lower
    typical = np.sqrt(np.median(np.diagonal(mixture.covariances, axis1=1, axis2=2), axis=0))
    thin = sides < _ROOM * typical
    if region.n_points is None:
        return None if thin.any() else region
    n_scattered = mixture.background_weight * total_weight
    gaps = np.full((2, len(sides)), np.inf)
    for axis, side in enumerate(sides):
        for end, place in enumerate((lower, upper)):
            density = n_scattered * _mean_on_face(region, axis, float(place[axis]))
            if density > 0:
                gaps[end, axis] = side / density
    gaps = np.where((gaps < _NO_EDGE * sides) & ~thin, gaps, 1e3 * np.maximum(sides, typical))
    return Box(np.stack([lower - gaps[0], upper + gaps[1]]))


def _mean_on_face(region: Region, axis: int, place: float) -> float:
    """How dense a background is beside a face of its bounding box, over its mean in the box."""
    lower, upper = region.box
    points = lower + _places(len(lower)) * (upper - lower)
    points[:, axis] = place + 1e-3 * (0.5 * (lower[axis] + upper[axis]) - place)
    filled = region.volume / float(np.prod(upper - lower))
    return float(np.exp(region.log_intensity(points)).mean() / filled)


@cache
def _places(d: int) -> FloatArray:
    """Points spread evenly over the unit cube, (n, D)."""
    return np.asarray(qmc.Sobol(d, rng=0).random(_ON_FACE))


def reweighted(mixture: GaussianMixture, factors: FloatArray) -> tuple[GaussianMixture, float]:
    """With weights in proportion to `factors` (K,) times these, 1 for the background; their sum.

    Shares of all points, seen or not, times the shares of components that are seen are shares of
    the points that are seen; divided by them, the other way round.
    """
    weights, background_weight = mixture.weights * factors, mixture.background_weight
    sum_ = float(weights.sum() + background_weight)
    found = GaussianMixture.unchecked(
        weights / sum_,
        mixture.means,
        mixture.covariances,
        background_weight / sum_,
        mixture.background_region,
    )
    return found, sum_
