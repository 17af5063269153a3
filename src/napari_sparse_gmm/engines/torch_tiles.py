"""The engine that runs everywhere: plain PyTorch, in tiles that fit the cache.

A tile is a block of points times all components, laid out (K, n) so that points are
contiguous. Each coordinate of the differences is a matrix of its own: nothing of the
size of points x components x dimensions is ever made. All tiles are computed in the same
memory: fresh memory for each would cost more time than the arithmetic.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from napari_sparse_gmm.engines.engine import LEAST_LOG_SHARE, Components, Engine
from napari_sparse_gmm.engines.statistics import Statistics
from napari_sparse_gmm.mixture import GaussianMixture

# Elements (points x components) of a tile: a few buffers of 512 kB stay in the cache, and the
# time to launch an operation stays small beside the time that it takes.
TILE_ELEMENTS = {"cpu": 1 << 17, "cuda": 1 << 24}

# A responsibility in single precision is 1 from here on; its logarithm of the remainder is
# then a lower bound, which is all that the ranking of removals needs.
_CERTAIN = 1.0 - 1e-7


class TorchTiles(Engine):
    """PyTorch on the processor or a graphics card; see `Engine` for the parameters."""

    name = "torch"
    small = 1 << 17

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        # Each coordinate contiguous in memory: (N, D) by shape, (D, N) by storage.
        self.high = self.high.T.contiguous().T
        self.low = self.low.T.contiguous().T
        self._memory = torch.empty(0, dtype=self.dtype, device=self.device)

    def _expectation(
        self, mixture: GaussianMixture, components: Components, background: Tensor, removal: bool
    ) -> Statistics:
        def tile(rows: slice) -> tuple[Tensor, float, float, Tensor]:
            y, z, spare = self._whiten(components, rows)
            r, log_p = _responsibilities(components.offset, y, z, background[rows])
            if removal:
                removals = _removals(r, self.weight, rows, spare)
            else:
                removals = torch.zeros(len(r), dtype=torch.float64, device=self.device)
            if self.weight is not None:
                r *= self.weight[rows]
            return (
                _moments(r, y, spare),
                self._weighted_sum((background[rows] - log_p).exp(), rows),
                self._weighted_sum(log_p, rows),
                removals,
            )

        moments, background_counts, log_likelihoods, removals = zip(
            *(tile(rows) for rows in self._tiles(mixture.n_components)), strict=True
        )
        return self._statistics(
            mixture,
            torch.stack(moments).sum(0),
            sum(background_counts),
            sum(log_likelihoods),
            torch.stack(removals).sum(0) if removal else None,
        )

    def components_log_density(self, components: Components) -> Tensor:
        tiles = self._tiles(len(components.offset))
        if components.offset.requires_grad:
            return torch.cat([self._differentiable(components, rows) for rows in tiles])

        nothing = torch.full_like(self.high[:, 0], -torch.inf)

        def tile(rows: slice) -> Tensor:
            y, z, _ = self._whiten(components, rows)
            return _responsibilities(components.offset, y, z, nothing[rows])[1]

        return torch.cat([tile(rows) for rows in tiles])

    def _differentiable(self, components: Components, rows: slice) -> Tensor:
        """The log density of a tile, recorded for its gradient.

        The tile is computed again when the gradient is: memory stays that of a tile.
        """

        def tile(offset: Tensor, mean_high: Tensor, mean_low: Tensor, factor: Tensor) -> Tensor:
            z = offset[:, None]
            d: list[Tensor] = []  # (K, n) each
            for row in range(self.n_dimensions):
                high = self.high[rows, row] - mean_high[:, row, None]
                d.append(high + (self.low[rows, row] - mean_low[:, row, None]))
                y = factor[:, row, 0, None] * d[0]
                for column in range(1, row + 1):
                    y = torch.addcmul(y, factor[:, row, column, None], d[column])
                z = torch.addcmul(z, y, y, value=-1)
            peak = z.detach().amax(0)
            return peak + (z - peak).clamp(min=LEAST_LOG_SHARE).exp().sum(0).log()

        return checkpoint(
            tile,
            components.offset,
            components.mean_high,
            components.mean_low,
            components.factor,
            use_reentrant=False,
        )

    def _whiten(self, components: Components, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """y = factor (x - mean) as (D, K, n), and memory for two matrices (K, n)."""
        high, low = self.high[rows].T, self.low[rows].T  # (D, n)
        (d, n), k = high.shape, len(components.offset)
        size = (d + 2) * k * n
        if len(self._memory) < size:
            self._memory = torch.empty(size, dtype=self.dtype, device=self.device)
        memory = self._memory[:size].view(d + 2, k, n)
        y, z, spare = memory[:d], memory[d], memory[d + 1]
        mean_high = components.mean_high.T[:, :, None]  # (D, K, 1)
        mean_low = components.mean_low.T[:, :, None]
        factor = components.factor.permute(1, 2, 0)[..., None]  # (D, D, K, 1)
        torch.sub(high[:, None], mean_high, out=y).add_(low[:, None]).sub_(mean_low)
        # From the last row up: each needs the differences of the rows above.
        for row in reversed(range(d)):
            y[row] *= factor[row, row]
            for column in range(row):
                y[row].addcmul_(y[column], factor[row, column])
        return y, z, spare

    def _tiles(self, n_components: int) -> Iterator[slice]:
        elements = TILE_ELEMENTS[torch.device(self.device).type]
        step = max(1, elements // max(1, n_components))
        return (slice(start, start + step) for start in range(0, self.n_points, step))


def _responsibilities(
    offset: Tensor, y: Tensor, z: Tensor, background: Tensor
) -> tuple[Tensor, Tensor]:
    """Responsibilities (K, n), in the memory of z, and log density (n,)."""
    torch.mul(y[0], y[0], out=z)
    for y_k in y[1:]:
        z.addcmul_(y_k, y_k)
    torch.sub(offset[:, None], z, out=z)
    peak = background if len(z) == 0 else torch.maximum(z.amax(0), background)
    r = z.sub_(peak).clamp_(min=LEAST_LOG_SHARE).exp_()
    total = r.sum(0).add_((background - peak).exp_())
    log_p = peak + total.log()
    return r.mul_(total.reciprocal_()), log_p


def _removals(r: Tensor, weight: Tensor | None, rows: slice, spare: Tensor) -> Tensor:
    """sum_i omega_i log(1 - r_ij), (K,) float64."""
    torch.clamp(r, max=_CERTAIN, out=spare)
    log_remainder = spare.neg_().log1p_()
    if weight is not None:
        log_remainder *= weight[rows]
    return log_remainder.sum(1).double()


def _moments(r: Tensor, y: Tensor, spare: Tensor) -> Tensor:
    """Sums over points of r (1, y, lower triangle of y y^T), (K, 1 + D + D (D + 1) / 2)."""
    first, second = [], []
    for row in range(len(y)):
        torch.mul(r, y[row], out=spare)
        first.append(spare.sum(1))
        second += [torch.linalg.vecdot(spare, y[column]) for column in range(row + 1)]
    return torch.stack([r.sum(1), *first, *second], dim=1).double()
