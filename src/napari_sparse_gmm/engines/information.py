"""Fisher's observed information of points on the parameters of a mixture.

Of component j the parameters are log n_j, with n_j its number of points, mu_j, and the lower
triangle of Sigma_j, row by row: Q = 1 + D + D (D + 1) / 2. With g_ij the derivatives of the log
density of point i by those (Louis, JRSS B 44, 1982),

    I_jj = complete_j - sum_i omega_i r_ij (1 - r_ij) g_ij g_ij^T,
    I_jk = sum_i omega_i r_ij r_ik g_ij g_ik^T,

where `complete_j` is the expected information if it were known which points are j's own, and the
rest is missing because it is not. The background has log n_0 alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.engines.pattern import find_pattern
from napari_sparse_gmm.engines.statistics import spread
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations

if TYPE_CHECKING:
    from torch import Tensor

    from napari_sparse_gmm.engines.in_memory import InMemory
    from napari_sparse_gmm.engines.torch_tiles import Tile


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

    def by(self, slopes: FloatArray) -> "Information":
        """That on other parameters (P of each component), of which these are linear functions with
        `slopes` (Q, P).
        """
        return Information(
            slopes.T @ self.own @ slopes,
            slopes.T @ self.common @ slopes,
            self.with_background @ slopes,
            self.background,
        )

    def spread(
        self,
        components: NDArray[np.intp],
        n: int,
        pairs: NDArray[np.intp],
        n_pairs: int,
    ) -> "Information":
        """That of n components and of pairs of them, of which these are `components` (K,) and
        `pairs` (P,), and there is none on the others.
        """
        return replace(
            self,
            own=spread(self.own, components, n),
            common=spread(self.common, pairs, n_pairs),
            with_background=spread(self.with_background, components, n),
        )

    @classmethod
    def joining(cls, parts: Sequence["Information"]) -> "Information":
        """That of all points of several sets."""
        return cls(
            np.sum([part.own for part in parts], axis=0),
            np.sum([part.common for part in parts], axis=0),
            np.sum([part.with_background for part in parts], axis=0),
            sum(part.background for part in parts),
        )


def information(
    engine: "InMemory", mixture: GaussianMixture, pairs: NDArray[np.intp]
) -> Information:
    """The information of the points of an engine, by PyTorch in double precision.

    `pairs` (P, 2), j < k, in lexical order, are those components whose common information is
    wanted.
    """
    import torch

    from napari_sparse_gmm.engines.torch_tiles import TorchTiles

    observations, double = engine.observations, np.dtype(np.float64)
    noise = observations.noise
    noise = np.zeros(observations.points.shape) if noise is None else noise
    tiles = TorchTiles(
        Observations(observations.points, observations.weights, noise),
        device=engine.device,
        dtype=double,
        tolerance=engine.tolerance,
        blocks=engine.blocks.with_noise(noise),
    )
    k, d = mixture.means.shape
    q = 1 + d + d * (d + 1) // 2
    own, common = np.zeros((k + 1, q, q)), np.zeros((len(pairs), q, q))
    with_background, background = np.zeros((k + 1, q)), 0.0  # the last is of padding
    keys = pairs[:, 0] * k + pairs[:, 1]
    with torch.no_grad(), limited_threads():
        pattern = find_pattern(tiles.blocks, mixture, tiles.tolerance)
        for tile in tiles.tiles(mixture, pattern, double):
            slopes, j = _slopes(tile), tile.components
            omega_r = tile.weight[:, None] * tile.r
            missing = (omega_r * (1.0 - tile.r))[:, :, None] * slopes
            of_pairs = _complete(tile, omega_r) - missing @ slopes.mT
            np.add.at(own, j, of_pairs.cpu().numpy())
            beside = ((omega_r * tile.r_background[:, None])[:, :, None] * slopes).sum(3)
            np.add.at(with_background, j, beside.cpu().numpy())
            background += float((tile.weight * tile.r_background**2).sum())
            row, a, b, pair = _slots(j, k, keys)
            left = omega_r[row, a][:, None] * slopes[row, a]
            right = tile.r[row, b][:, None] * slopes[row, b]
            np.add.at(common, pair, (left @ right.mT).cpu().numpy())
    units = np.repeat([1.0, tiles.unit, tiles.unit**2], [1, d, q - 1 - d])
    scale = tiles.weight_unit / (units[:, None] * units)
    return Information(
        own[:k] * scale,
        common * scale,
        with_background[:k] * tiles.weight_unit / units,
        background * tiles.weight_unit,
    )


def _slopes(tile: "Tile") -> "Tensor":
    """The derivatives of log n N(x; mean, T) by log n, the mean and the lower triangle of
    Sigma, of each component at each point, (b, K, Q, B).
    """
    import torch

    assert tile.convolved is not None
    u = tile.convolved.backward(tile.convolved.forward(tile.differences))
    inverse = tile.convolved.inverse()
    of_covariance = [
        (0.5 if k == row else 1.0) * (u[row] * u[k] - inverse[row][k])
        for row in range(len(u))
        for k in range(row + 1)
    ]
    return torch.stack([torch.ones_like(u[0]), *u, *of_covariance], dim=2)


def _complete(tile: "Tile", shares: "Tensor") -> "Tensor":
    """The expected information on those parameters if it were known which points are a component's
    own, (b, K, Q, Q), from omega r, (b, K, B).
    """
    assert tile.convolved is not None
    rows = tile.convolved.inverse()
    d = len(rows)
    inverse = [[rows[max(i, j)][min(i, j)] for j in range(d)] for i in range(d)]
    entries = [(i, j) for i in range(d) for j in range(i + 1)]
    q = 1 + d + len(entries)
    out = shares.new_zeros(*shares.shape[:2], q, q)
    out[:, :, 0, 0] = shares.sum(2)
    for i, j in entries:
        out[:, :, 1 + i, 1 + j] = out[:, :, 1 + j, 1 + i] = (inverse[i][j] * shares).sum(2)
    for a, (i, j) in enumerate(entries):
        for b, (k, m) in enumerate(entries[: a + 1]):
            # An entry beside the diagonal is there twice.
            times = 0.25 * (1 + (i != j)) * (1 + (k != m))
            product = inverse[i][k] * inverse[j][m] + inverse[i][m] * inverse[j][k]
            row, column = 1 + d + a, 1 + d + b
            out[:, :, row, column] = out[:, :, column, row] = (times * product * shares).sum(2)
    return out


def _slots(
    components: NDArray[np.intp], k: int, keys: NDArray[np.intp]
) -> tuple[NDArray[np.intp], ...]:
    """Where pairs of components meet: block, the slots of both in it, and which pair it is.

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
    positions = np.searchsorted(keys, wanted)
    found = positions < len(keys)
    found[found] = keys[positions[found]] == wanted[found]
    return positions, found
