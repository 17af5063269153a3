"""How well the points determine each component: standard errors.

>>> errors = standard_errors(mixture, estimator.open(points))
>>> errors.means.shape == mixture.means.shape  # (K, D)
True
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_sparse_gmm.engines import Engine
from napari_sparse_gmm.engines.information import Information, look_up
from napari_sparse_gmm.factored import lower_triangle
from napari_sparse_gmm.fitting.proposals import squared_distances
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import FULL, CovarianceType

# Components that are looked at together with one: its nearest, up to a Mahalanobis distance.
_NEIGHBOURS = 8
_OVERLAP = 6.0

# Numbers in the matrices that are inverted at a time.
_AT_ONCE = 1 << 24

# From this sum of inverse eigenvalues on, a matrix with 1 on its diagonal has no inverse.
_SINGULAR = 1e13


@dataclass(frozen=True, eq=False)
class StandardErrors:
    """Standard errors of the components of a mixture.

    Parameters
    ----------
    weights : (K,) array
    means : (K, D) array
        In the units of the points.
    stds : (K, D) array
        Of the standard deviations along the axes of each component, the longest first.
    """

    weights: FloatArray
    means: FloatArray
    stds: FloatArray


def standard_errors(
    mixture: GaussianMixture,
    engine: Engine,
    *,
    pseudo_points: FloatArray | None = None,
    covariance_type: CovarianceType = FULL,
) -> StandardErrors:
    """Standard errors from the information of the points; see `engines.information`.

    Of each component together with the few that overlap with it, and the background; that those
    further off are not known either is left out. They hold at an optimum of the likelihood, and
    for many points; infinite where the points carry no information.

    What the prior says about covariances does not count, though the covariances have been drawn to
    it: were it right, the errors would be smaller, and where it is wrong intervals would miss
    (Armstrong, Kolesár & Plagborg-Møller, Robust empirical Bayes confidence intervals, Econometrica
    90, 2022). It does where the points alone say nothing.

    Parameters
    ----------
    mixture : GaussianMixture
    engine : Engine
        Holds the points.
    pseudo_points : (K,) array, optional
        How many more points the prior is worth for each covariance (`Objective`), where it counts.
    covariance_type : CovarianceType
        What covariances may be like: the size of a round one is known better than the axes of one
        that may be of any shape.
    """
    k, d = mixture.means.shape
    noise = engine.typical_noise
    near = _neighbours(mixture, np.zeros(d) if noise is None else noise)
    pairs = np.stack([np.repeat(np.arange(k), near.shape[1]), near.ravel()], axis=1)
    pairs = np.unique(np.sort(pairs[pairs[:, 1] >= 0], axis=1), axis=0)
    # The parameters by those that are free.
    slopes = scipy.linalg.block_diag(np.eye(1 + d), covariance_type.slopes(d))

    def of_components(information: Information, components: NDArray[np.intp]) -> FloatArray:
        free = information.by(slopes)
        size = (near.shape[1] + 1) * free.own.shape[1] + 1
        n_blocks = max(1, -(-len(components) * size**2 // _AT_ONCE))
        blocks = np.array_split(components, n_blocks)
        return np.concatenate([_covariances(free, near, pairs, block) for block in blocks])

    information = engine.information(mixture, pairs)
    covariances = of_components(information, np.arange(k))
    unknown = np.flatnonzero(np.isinf(covariances).any((1, 2)))
    if pseudo_points is not None and len(unknown):
        known = pseudo_points[:, None, None] * _of_covariances(mixture)
        information.own[:, 1 + d :, 1 + d :] += known
        covariances[unknown] = of_components(information, unknown)
    with np.errstate(invalid="ignore"):  # of infinite ones
        covariances = slopes @ covariances @ slopes.T
    covariances = np.where(np.isnan(covariances), np.inf, covariances)
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    return StandardErrors(
        weights=_of_weights(mixture, variances[:, 0]),
        means=np.sqrt(variances[:, 1 : 1 + d]),
        stds=_of_axes(mixture, covariances[:, 1 + d :, 1 + d :]),
    )


def _neighbours(mixture: GaussianMixture, noise: FloatArray) -> NDArray[np.intp]:
    """The components that overlap with each when convolved with the noise (D,), (K, n); -1 where
    there are fewer.
    """
    k = mixture.n_components
    n = min(_NEIGHBOURS + 1, k)
    if n < 2:
        return np.empty((k, 0), dtype=np.intp)
    nearest = cKDTree(mixture.means).query(mixture.means, n)[1]  # each with itself
    convolved = mixture.covariances + np.diag(noise)
    difference = mixture.means[nearest] - mixture.means[:, None]
    squares = squared_distances(difference, convolved[:, None] + convolved[nearest])
    far = (squares > _OVERLAP**2) | (nearest == np.arange(k)[:, None])
    return np.where(far, -1, nearest)


def _covariances(
    of_points: Information,
    near: NDArray[np.intp],
    pairs: NDArray[np.intp],
    components: NDArray[np.intp],
) -> FloatArray:
    """Covariances of the parameters of some components (C,), (C, Q, Q): the first block of the
    inverse of the information on each, its neighbours and the background; or, where that has none,
    of the information on it alone.
    """
    k, q = of_points.with_background.shape
    keys = pairs[:, 0] * k + pairs[:, 1]
    members = np.column_stack([components, near[components]])  # (C, 1 + n)
    n = members.shape[1]
    whole = np.tile(np.eye(n * q + 1), (len(members), 1, 1))  # 1 where one is missing
    for a in range(n):
        rows = slice(a * q, (a + 1) * q)
        there = members[:, a] >= 0
        whole[there, rows, rows] = of_points.own[members[there, a]]
        if of_points.background > 0:
            beside = of_points.with_background[members[there, a]]
            whole[there, rows, -1] = whole[there, -1, rows] = beside
        for b in range(a):
            both = there & (members[:, b] >= 0)
            first, second = np.sort(members[both][:, [a, b]], axis=1).T
            pair, known = look_up(keys, first * k + second)
            block = np.zeros((len(pair), q, q))
            block[known] = of_points.common[pair[known]]
            turned = (members[both, a] != first)[:, None, None]
            block = np.where(turned, block.swapaxes(1, 2), block)
            columns = slice(b * q, (b + 1) * q)
            whole[both, rows, columns] = block
            whole[both, columns, rows] = block.swapaxes(1, 2)
    if of_points.background > 0:
        whole[:, -1, -1] = of_points.background
    covariances = _inverses(whole, q)
    # Of a few points, or away from an optimum, the whole may have no inverse.
    alone = np.isinf(covariances).any((1, 2))
    covariances[alone] = _inverses(of_points.own[components[alone]], q)
    return covariances


def _of_weights(mixture: GaussianMixture, variances: FloatArray) -> FloatArray:
    """Errors of the weights, (K,), from the variances of their logs."""
    shares = mixture.weights
    if mixture.n_components == 1 and mixture.background_weight == 0:
        return np.zeros(1)  # it is 1, whatever the points
    with np.errstate(invalid="ignore"):  # of 0, infinitely uncertain
        errors = shares * np.sqrt(variances * np.maximum(1.0 - shares, 0.0))
    return np.where(np.isnan(errors), np.inf, errors)


def _of_axes(mixture: GaussianMixture, covariances: FloatArray) -> FloatArray:
    """Errors of the standard deviations along the axes, (K, D), from those of covariances.

    With v along an axis, its variance v^T Sigma v changes by v^T dSigma v, and its root by that
    over twice the root.
    """
    std, directions = mixture.principal_axes
    rows, columns = lower_triangle(mixture.n_dimensions)
    # The slope of v^T Sigma v by each entry of the lower triangle, (K, D, Q).
    slopes = np.einsum("kqa,kqa->kaq", directions[:, rows], directions[:, columns])
    slopes *= np.where(rows == columns, 1.0, 2.0)
    with np.errstate(invalid="ignore"):
        variances = np.einsum("kaq,kqp,kap->ka", slopes, covariances, slopes)
    return np.asarray(np.sqrt(np.where(variances >= 0, variances, np.inf)) / (2.0 * std))


def _of_covariances(mixture: GaussianMixture) -> FloatArray:
    """The information of a point without noise on the covariance of its component, (K, Q, Q)."""
    inverse = 2.0 * mixture.halved_precisions
    rows, columns = lower_triangle(mixture.n_dimensions)
    times = np.where(rows == columns, 1.0, 2.0)
    products = inverse[:, rows[:, None], rows] * inverse[:, columns[:, None], columns]
    products += inverse[:, rows[:, None], columns] * inverse[:, columns[:, None], rows]
    return np.asarray(0.25 * times[:, None] * times * products)


def _inverses(matrices: FloatArray, n: int) -> FloatArray:
    """The first n rows and columns of inverses, (K, n, n); infinite where a matrix has none, or is
    not positive definite.

    By Cholesky's factor: (L L^T)^-1 = L^-T L^-1. The libraries behind NumPy share eigenvalues of
    matrices as small as these by threads, which wait for each other.
    """
    import torch

    inverses = np.full((len(matrices), n, n), np.inf)
    with np.errstate(all="ignore"):  # what is not finite in the end has no inverse
        scales = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
        units = scales[:, :, None] * scales[:, None, :]
        scaled = matrices / units
        finite = np.flatnonzero(np.isfinite(scaled).all((1, 2)))
        factors, failed = torch.linalg.cholesky_ex(torch.from_numpy(scaled[finite]))
        identity = torch.eye(scaled.shape[1], dtype=factors.dtype).expand_as(factors)
        roots = torch.linalg.solve_triangular(factors, identity, upper=False)
        # The sum of its squares is that of the inverse eigenvalues.
        good = ((failed == 0) & (roots.square().sum((1, 2)) < _SINGULAR)).numpy()
        finite, first = finite[good], roots.numpy()[good, :, :n]
        found = first.swapaxes(1, 2) @ first / units[finite, :n, :n]
    inverses[finite] = np.where(np.isfinite(found).all((1, 2), keepdims=True), found, np.inf)
    return inverses
