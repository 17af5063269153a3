"""Fisher's observed information of points on the parameters of a mixture.

Of component j the parameters are log n_j, with n_j its number of points, mu_j, and the lower
triangle of Sigma_j, row by row: Q = 1 + D + D (D + 1) / 2. With g_ij the derivatives of the log
density of point i by those (Louis, JRSS B 44, 1982),

    I_jj = complete_j - sum_i omega_i r_ij (1 - r_ij) g_ij g_ij^T,
    I_jk = sum_i omega_i r_ij r_ik g_ij g_ik^T,

where `complete_j` is what the points would tell if it were known which are j's own, expected, and
the rest is missing because it is not. The background has log n_0 alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_sparse_gmm.engines.pairs import Form, n_moments
from napari_sparse_gmm.engines.precision import exact_products
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.engines.torch_tiles import TorchTiles
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture


@dataclass(frozen=True, eq=False)
class Information:
    """Information on components, in data units.

    Parameters
    ----------
    own : (K, Q, Q) array
        Of each on itself.
    common : (P, Q, Q) array
        Of some pairs, of the first on the second.
    with_background : (K, Q) array
        Of each on the background.
    background : float
        Of the background on itself.
    """

    own: FloatArray
    common: FloatArray
    with_background: FloatArray
    background: float


def information(
    engine: TorchTiles, mixture: GaussianMixture, pairs: NDArray[np.intp]
) -> Information:
    """The information of the points of an engine, which have noise, be it 0.

    `pairs` (P, 2), j < k, in lexical order, are those components whose common information is
    wanted.
    """
    k, d = mixture.means.shape
    q = n_moments(Form.EXPANDED, d)
    own, common = np.zeros((k, q, q)), np.zeros((len(pairs), q, q))
    with_background, background = np.zeros((k, q)), 0.0
    keys = pairs[:, 0] * k + pairs[:, 1]
    with torch.no_grad(), limited_threads(), exact_products():
        for tile, components, r, r_background in engine.noisy_tiles(mixture):
            slopes = tile.slopes()
            omega_r = tile.weight[:, None] * r
            missing = (omega_r * (1.0 - r))[:, :, None] * slopes
            of_pairs = tile.complete_information(omega_r) - missing @ slopes.mT
            real = components >= 0
            np.add.at(own, components[real], of_pairs.cpu().numpy()[real])
            beside = ((omega_r * r_background[:, None])[:, :, None] * slopes).sum(3)
            np.add.at(with_background, components[real], beside.cpu().numpy()[real])
            background += float((tile.weight * r_background**2).sum())
            row, a, b, pair = _slots(components, k, keys)
            left = omega_r[row, a][:, None] * slopes[row, a]
            right = r[row, b][:, None] * slopes[row, b]
            np.add.at(common, pair, (left @ right.mT).cpu().numpy())
    units = np.repeat([1.0, engine.unit, engine.unit**2], [1, d, q - 1 - d])
    scale = engine.weight_unit / (units[:, None] * units)
    return Information(
        own * scale,
        common * scale,
        with_background * engine.weight_unit / units,
        background * engine.weight_unit,
    )


def _slots(
    components: NDArray[np.intp], k: int, keys: NDArray[np.intp]
) -> tuple[NDArray[np.intp], ...]:
    """Where pairs of components meet: block, the places of both in it, and which pair it is.

    `components` (b, K) are those of each block; `keys`, rising, are j K + k of each pair.
    """
    first, second = components[:, :, None], components[:, None, :]
    row, a, b = np.nonzero((first >= 0) & (first < second))
    pair, found = look_up(keys, components[row, a] * k + components[row, b])
    return row[found], a[found], b[found], pair[found]


def look_up(
    keys: NDArray[np.intp], wanted: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where in `keys`, rising, those that are wanted would be, and which of them are there."""
    places = np.searchsorted(keys, wanted)
    found = places < len(keys)
    found[found] = keys[places[found]] == wanted[found]
    return places, found
