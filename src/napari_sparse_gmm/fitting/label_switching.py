"""Components that could change places.

The bound on the evidence is that of K components to be told apart, each with a place of its own:
one mode of the posterior, of the K! there are. Components in one place and of one size are not told
apart, and m of them are counted m! times (label switching: Jasra, Holmes & Stephens, Statistical
Science 20, 2005). For clusters that is nothing; but where a background is wrong, wide components
pile up, and hundreds of them would look likely.
"""

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import GaussianMixture

# Components are in one place whose means are within so many standard deviations, and of one size
# whose standard deviations differ by no more than this factor.
_NEAR = 1.0
_ALIKE = 2.0


def log_labellings(mixture: GaussianMixture) -> float:
    """The sum of log m! over the groups of m components that could change places."""
    sizes = np.bincount(exchangeable(mixture))
    return float(scipy.special.gammaln(sizes + 1.0).sum())


def exchangeable(mixture: GaussianMixture) -> NDArray[np.intp]:
    """The group of each component, from 0 on, (K,): those that could change places with another of
    it.
    """
    k, d = mixture.means.shape
    if k < 2:
        return np.zeros(k, dtype=np.intp)
    radii = _NEAR * np.sqrt(np.linalg.eigvalsh(mixture.covariances)[:, -1])
    tree = scipy.spatial.cKDTree(mixture.means)
    # Within the larger of two radii is within one of them.
    near = tree.query_ball_point(mixture.means, radii)
    first = np.repeat(np.arange(k), [len(rows) for rows in near])
    second = np.concatenate(near).astype(np.intp)
    apart = mixture.means[first] - mixture.means[second]
    pooled = 0.5 * (mixture.covariances[first] + mixture.covariances[second])
    squares = np.einsum("pi,pi->p", apart, np.linalg.solve(pooled, apart[:, :, None])[:, :, 0])
    log_sizes = np.linalg.slogdet(mixture.covariances)[1] / (2 * d)
    alike = np.abs(log_sizes[first] - log_sizes[second]) <= np.log(_ALIKE)
    same = (squares <= _NEAR**2) & alike
    graph = scipy.sparse.coo_array((same[same], (first[same], second[same])), shape=(k, k))
    return np.asarray(scipy.sparse.csgraph.connected_components(graph, directed=False)[1])
