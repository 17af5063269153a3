"""The arithmetic of a tile: some blocks of points with the same number K of components each.

b blocks, K components and B points in each: b x K x B numbers at a time. What is written once
here and not in memory that is used again and again would cost more time for the memory than for
the arithmetic; so it goes into buffers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from napari_sparse_gmm.engines.pairs import Form
from napari_sparse_gmm.factored import Factored

# Memory for an array of that shape and type; what the last call of that name got is overwritten.
Buffer = Callable[[str, tuple[int, ...], torch.dtype], Tensor]


@dataclass(frozen=True, eq=False)
class Tile(ABC):
    """Some blocks with their pairs.

    Parameters
    ----------
    rows : (b,) tensor
        Places in the list of blocks.
    pairs : (b, K) tensor
        Places in the list of pairs.
    spare : (b, K) tensor or None
        True where a block has fewer than K components.
    table : (b, K, F) tensor
        The rows of `Pairs.table`; spare ones have a constant of minus infinity.
    weight : (b, B) tensor
    """

    rows: Tensor
    pairs: Tensor
    spare: Tensor | None
    table: Tensor
    weight: Tensor

    @abstractmethod
    def log_joint(self) -> Tensor:
        """Log of weight times density of each component of a block at its points, (b, K, B)."""

    @abstractmethod
    def moments(self, shares: Tensor) -> Tensor:
        """`PairSums.moments` of each pair, (b, K, F), from omega r, (b, K, B)."""


@dataclass(frozen=True, eq=False)
class ExponentialTile(Tile):
    """Of points without noise: a Gaussian is an exponential family, and both ways between points
    and components are products of matrices, one for each block.

    Parameters
    ----------
    form : Form
        EXPANDED or WHITENED.
    statistics : (b, F, B) tensor
        Sufficient statistics (1, x, lower triangle of x x^T).
    buffer : callable
    """

    form: Form
    statistics: Tensor
    buffer: Buffer

    def log_joint(self) -> Tensor:
        b, k = self.pairs.shape
        n, table, statistics = self.weight.shape[1], self.table, self.statistics
        z = self.buffer("log joint", (b, k, n), table.dtype)
        if self.form is Form.EXPANDED:
            return torch.bmm(table, statistics, out=z)
        d = round((table.shape[2] - 1) ** 0.5 - 0.5)  # d (d + 1) = F - 1
        y = self.buffer("whitened", (b, k * d, n), table.dtype)
        affine = table[..., 1:].reshape(b, k * d, 1 + d)
        torch.bmm(affine, statistics[:, : 1 + d], out=y)
        y = y.view(b, k, d, n)
        torch.mul(y[:, :, 0], y[:, :, 0], out=z)
        for row in range(1, d):
            z.addcmul_(y[:, :, row], y[:, :, row])
        return torch.sub(table[..., :1], z, out=z)

    def moments(self, shares: Tensor) -> Tensor:
        return torch.bmm(shares, self.statistics.transpose(1, 2))


@dataclass(frozen=True, eq=False)
class NoisyTile(Tile):
    """Of points with noise: a covariance T = Sigma + S for every pair of a point and a component.

    Parameters
    ----------
    x, noise : (b, D, B) tensors
        Coordinates and variances of the noise.
    """

    x: Tensor
    noise: Tensor

    def log_joint(self) -> Tensor:
        form = self._seen.form(self._whitened).add_(self._seen.determinant.log())
        return self.table[..., :1] - form.mul_(0.5)

    def moments(self, shares: Tensor) -> Tensor:
        u = self._seen.backward(self._whitened)
        slopes = [shares * entry for entry in u]
        squares = [slopes[row] * u[k] for row in range(len(u)) for k in range(row + 1)]
        inverse = [shares * entry for entries in self._seen.inverse() for entry in entries]
        sums = [values.sum(2) for values in (shares, *slopes, *squares, *inverse)]
        return torch.stack(sums, dim=2)

    def slopes(self) -> Tensor:
        """The derivatives of log n N(x; mean, T) by log n, the mean and the lower triangle of
        Sigma, of each component at each point, (b, K, Q, B).
        """
        u, inverse = self._seen.backward(self._whitened), self._seen.inverse()
        of_covariance = [
            (0.5 if k == row else 1.0) * (u[row] * u[k] - inverse[row][k])
            for row in range(len(u))
            for k in range(row + 1)
        ]
        return torch.stack([torch.ones_like(u[0]), *u, *of_covariance], dim=2)

    def complete_information(self, shares: Tensor) -> Tensor:
        """What the points would tell of those parameters if it were known which are a component's
        own, (b, K, Q, Q), expected, from omega r, (b, K, B).
        """
        rows = self._seen.inverse()
        d = len(rows)
        inverse = torch.stack(
            [rows[max(i, j)][min(i, j)] for i in range(d) for j in range(d)], dim=2
        ).unflatten(2, (d, d))  # (b, K, D, D, B)
        i, j = torch.tril_indices(d, d, device=shares.device)
        times = torch.where(i == j, 1.0, 2.0)  # an entry beside the diagonal is there twice
        products = inverse[:, :, i[:, None], i] * inverse[:, :, j[:, None], j]
        products += inverse[:, :, i[:, None], j] * inverse[:, :, j[:, None], i]
        products *= (0.25 * times[:, None] * times)[:, :, None]
        q = 1 + d + len(i)
        out = shares.new_zeros(*shares.shape[:2], q, q)
        out[:, :, 0, 0] = shares.sum(2)
        out[:, :, 1 : 1 + d, 1 : 1 + d] = (inverse * shares[:, :, None, None]).sum(4)
        out[:, :, 1 + d :, 1 + d :] = (products * shares[:, :, None, None]).sum(4)
        return out

    @cached_property
    def _seen(self) -> Factored:
        """T, its entries (b, K, B) or (b, K, 1)."""
        entries = self.table[..., 1 + self.x.shape[1] :, None].unbind(2)
        return Factored.of_sum(entries, self.noise[:, None].unbind(2))

    @cached_property
    def _whitened(self) -> list[Tensor]:
        means = self.table[..., 1 : 1 + self.x.shape[1], None].unbind(2)
        return self._seen.forward(
            [x - m for x, m in zip(self.x[:, None].unbind(2), means, strict=True)]
        )
