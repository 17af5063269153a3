"""The engine that runs everywhere: plain PyTorch, in tiles that fit the cache.

A tile is a block of points times all components, laid out (K, n) so that points are
contiguous. Each coordinate of the differences is a matrix of its own: nothing of the
size of points x components x dimensions is ever made.
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

    def expectation(self, mixture: GaussianMixture, *, removal: bool = False) -> Statistics:
        k, d = mixture.n_components, self.n_dimensions
        components = Components.from_mixture(mixture, self.centre, self.device, self.dtype)
        background = self._log_background(mixture)
        moments = torch.zeros(k, 1 + d + d * (d + 1) // 2, dtype=torch.float64, device=self.device)
        removals = torch.zeros(k, dtype=torch.float64, device=self.device)
        background_count = log_likelihood = 0.0
        with torch.no_grad():
            for rows in self._tiles(k):
                y = _whitened(components, self.high[rows], self.low[rows])
                r, log_p = _responsibilities(components.offset, y, background[rows])
                if removal:
                    log_remainder = torch.log1p(-r.clamp(max=_CERTAIN))
                    if self.weight is not None:
                        log_remainder *= self.weight[rows]
                    removals += log_remainder.sum(1)
                if self.weight is not None:
                    r *= self.weight[rows]
                moments += _moments(r, y)
                background_count += self._weighted_sum((background[rows] - log_p).exp(), rows)
                log_likelihood += self._weighted_sum(log_p, rows)
        return self._statistics(
            mixture, moments, background_count, log_likelihood, removals if removal else None
        )

    def components_log_density(self, components: Components) -> Tensor:
        def tile(rows: slice, *tensors: Tensor) -> Tensor:
            parts = Components(*tensors)
            y = _whitened(parts, self.high[rows], self.low[rows])
            z = _logits(parts.offset, y)
            peak = z.detach().amax(0)  # torch.logsumexp takes three times as long
            return peak + (z - peak).clamp(min=LEAST_LOG_SHARE).exp().sum(0).log()

        tensors = (
            components.offset,
            components.mean_high,
            components.mean_low,
            components.factor,
        )
        tiles = self._tiles(len(components.offset))
        if any(t.requires_grad for t in tensors):
            # Each tile is computed again for its gradient, so that memory stays that of a tile.
            values = [checkpoint(tile, rows, *tensors, use_reentrant=False) for rows in tiles]
        else:
            values = [tile(rows, *tensors) for rows in tiles]
        return torch.cat(values)

    def _tiles(self, n_components: int) -> Iterator[slice]:
        elements = TILE_ELEMENTS[torch.device(self.device).type]
        step = max(1, elements // max(1, n_components))
        return (slice(start, start + step) for start in range(0, self.n_points, step))


def _whitened(components: Components, high: Tensor, low: Tensor) -> list[Tensor]:
    """y = factor (x - mean), one (K, n) matrix for each of the D coordinates."""
    mean_high, mean_low = components.mean_high.T[:, :, None], components.mean_low.T[:, :, None]
    d = [
        (high[:, k] - mean_high[k]) + (low[:, k] - mean_low[k])  # (K, n)
        for k in range(high.shape[1])
    ]
    return [
        sum(
            (components.factor[:, row, column, None] * d[column] for column in range(row)),
            start=components.factor[:, row, row, None] * d[row],
        )
        for row in range(len(d))
    ]


def _logits(offset: Tensor, y: list[Tensor]) -> Tensor:
    """Log of each component's share of the density, (K, n)."""
    z = offset[:, None] - y[0].square()
    for y_k in y[1:]:
        z = torch.addcmul(z, y_k, y_k, value=-1)
    return z


def _responsibilities(offset: Tensor, y: list[Tensor], background: Tensor) -> tuple[Tensor, Tensor]:
    """Responsibilities (K, n) and log density (n,)."""
    z = _logits(offset, y)
    peak = background if len(z) == 0 else torch.maximum(z.amax(0), background)
    r = z.sub_(peak).clamp_(min=LEAST_LOG_SHARE).exp_()
    total = r.sum(0).add_((background - peak).exp_())
    return r.mul_(total.reciprocal()), peak + total.log_()


def _moments(r: Tensor, y: list[Tensor]) -> Tensor:
    """Sums over points of r (1, y, lower triangle of y y^T), (K, 1 + D + D (D + 1) / 2)."""
    r_y = [r * y_k for y_k in y]
    sums = [r.sum(1), *(r_y_k.sum(1) for r_y_k in r_y)]
    sums += [
        torch.linalg.vecdot(r_y[row], y[column])
        for row in range(len(y))
        for column in range(row + 1)
    ]
    return torch.stack(sums, dim=1).double()
