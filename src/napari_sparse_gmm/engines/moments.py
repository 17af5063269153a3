"""From what the kernels sum over pairs of a block and a component to the moments of components.

Moments are the sums over all points of omega r, omega r (z - mu) and omega r (z - mu)(z - mu)^T:
counts (K,), shifts (K, D) and scatters (K, D, D), as `Statistics` has them. z is the point, or the
true place of one that is seen with noise, of which only the expectation is known.
"""

from collections.abc import Sequence

import numpy as np

from napari_sparse_gmm.engines.pairs import PairSums
from napari_sparse_gmm.engines.pattern import Pattern
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

Parts = Sequence[tuple[Pattern, PairSums]]
Moments = dict[str, FloatArray]


def about_means(
    mixture: GaussianMixture, parts: Parts, centres: FloatArray, unit: float
) -> Moments:
    """Moments from those about the `centres` of blocks (n_blocks, D), in lengths of `unit`."""
    k, d = mixture.means.shape
    counts, shifts, scatters = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    for pattern, sums in parts:
        j = pattern.components
        moments = sums.moments.T.cpu().numpy()
        mean = (mixture.means[j] - centres[pattern.blocks]).T  # (D, P)
        n, first, second = moments[0], moments[1 : 1 + d] * unit, moments[1 + d :] * unit**2
        shift = first - n * mean
        counts += np.bincount(j, n, minlength=k)
        for row in range(d):
            shifts[:, row] += np.bincount(j, shift[row], minlength=k)
            for column in range(row + 1):
                # (x - m)(x' - m') = x x' - x m' - m (x' - m')
                product = second[row * (row + 1) // 2 + column] - first[row] * mean[column]
                product -= mean[row] * shift[column]
                scatters[:, row, column] += np.bincount(j, product, minlength=k)
    return {"counts": counts, "shifts": shifts, "scatters": _whole(scatters)}


def of_true_places(mixture: GaussianMixture, parts: Parts, unit: float) -> Moments:
    """Moments of the true places of points with noise, and informations, in lengths of `unit`.

    A point of component j that is seen at x has, in truth, the mean mu + Sigma u and the
    covariance Sigma - Sigma T^-1 Sigma (Bovy, Hogg & Roweis, 2011, eq. 16); u and T as in `pairs`.
    """
    k, d = mixture.means.shape
    sums = np.zeros((1 + d + d * (d + 1), k))
    for pattern, of_pairs in parts:
        for total, values in zip(sums, of_pairs.moments.T.cpu().numpy(), strict=True):
            total += np.bincount(pattern.components, values, minlength=k)
    counts, slopes = sums[0], sums[1 : 1 + d].T / unit
    squares, informations = np.zeros((2, k, d, d))
    for matrices, entries in zip((squares, informations), np.split(sums[1 + d :], 2), strict=True):
        matrices[:, *np.tril_indices(d)] = entries.T / unit**2
    informations = _whole(informations)
    sigma = mixture.covariances
    return {
        "counts": counts,
        "shifts": np.einsum("jkl,jl->jk", sigma, slopes),
        "scatters": counts[:, None, None] * sigma
        + sigma @ (_whole(squares) - informations) @ sigma,
        "informations": informations,
    }


def _whole(lower: FloatArray) -> FloatArray:
    """Symmetric matrices (K, D, D), from their lower triangles; above them there are zeros."""
    return lower + np.tril(lower, -1).swapaxes(1, 2)
