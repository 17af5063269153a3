"""The engine that runs everywhere: plain PyTorch, in tiles that fit the cache.

A tile is some blocks with the same number K of components: K x b x B numbers, the points of a
block contiguous in memory. Each coordinate of the differences is a matrix of its own: nothing
of the size of points x components x dimensions is ever made. All tiles are computed in the
same memory: fresh memory for each would cost more time than the arithmetic. Moments are taken
about the centres of the blocks, where they are one matrix product for all components.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_sparse_gmm.engines.engine import LEAST_LOG_SHARE, Engine, Pairs, PairSums

# Elements (points x components) of a tile: a few buffers of 1 MB stay in the cache, and the time
# to launch an operation stays small beside the time that it takes. And points: where each meets
# one component or two, what is computed for each point counts most.
TILE_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 24}
TILE_POINTS = {"cpu": 1 << 17, "cuda": 1 << 24}

# A responsibility in single precision is 1 from here on; its logarithm of the remainder is
# then a lower bound, which is all that the ranking of removals needs.
_CERTAIN = 1.0 - 1e-7


class _Tile(NamedTuple):
    rows: Tensor  # (b,), places in the list of blocks
    pairs: Tensor  # (K, b), places in the list of pairs
    spare: Tensor | None  # (K, b), true where a block has fewer than K components


class TorchTiles(Engine):
    """PyTorch on the processor or a graphics card; see `Engine` for the parameters."""

    name = "torch"
    small = 1 << 17

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._memory: dict[torch.dtype, Tensor] = {}

    def _pair_sums(self, pairs: Pairs, removal: bool) -> PairSums:
        pattern, double = pairs.pattern, torch.float64
        n, p, d = len(pattern.rows), len(pattern), self.n_dimensions
        # One more place takes what the spare components of tiles sum up.
        moments = torch.zeros(p + 1, 1 + d + d * (d + 1) // 2, dtype=double, device=self.device)
        removals = torch.zeros(p + 1, dtype=double, device=self.device)
        log_likelihoods = torch.zeros(n, dtype=double, device=self.device)
        background = torch.zeros(n, dtype=double, device=self.device)
        for tile, x, weight in self._tiles(pairs):
            shares, log_p, scale = self._shares(pairs, tile, x)
            places = tile.pairs if tile.spare is None else tile.pairs.masked_fill(tile.spare, p)
            if removal:
                removals[places] = _removals(shares, scale, weight).double()
            log_background = pairs.background[tile.rows]
            share = (log_background - log_p).exp()
            if len(shares) == 0:  # outside the box of a background that is alone there is nothing
                share = share.nan_to_num(0.0)
            background[tile.rows] = (share * weight).sum(1).double()
            log_likelihoods[tile.rows] = (log_p * weight).sum(1, dtype=double)
            basis = self._basis(x, scale.mul_(weight))
            sums = torch.bmm(shares.transpose(0, 1), basis.transpose(1, 2))  # (b, K, F)
            moments[places.T] = sums.double()
        return PairSums(
            moments[:p], float(background.sum()), log_likelihoods, removals[:p] if removal else None
        )

    def _log_density(self, pairs: Pairs) -> Tensor:
        out = torch.empty(
            len(pairs.pattern.rows), self.blocks.size, dtype=pairs.table.dtype, device=self.device
        )
        for tile, x, _ in self._tiles(pairs):
            out[tile.rows] = self._shares(pairs, tile, x)[1]
        return out

    def _tiles(self, pairs: Pairs) -> Iterator[tuple[_Tile, Tensor, Tensor]]:
        """Tiles, each with its coordinates (D, b, B) and weights (b, B)."""
        pattern, dtype = pairs.pattern, pairs.table.dtype
        device = torch.device(self.device).type
        elements, most = TILE_ELEMENTS[device], TILE_POINTS[device]
        starts = pattern.starts[:-1]
        for rows, k in _of_like_counts(pattern.counts, elements // self.blocks.size):
            step = max(1, min(elements // max(1, k), most) // self.blocks.size)
            for start in range(0, len(rows), step):
                some = rows[start : start + step]
                slots = np.arange(k)[:, None]
                spare = slots >= pattern.counts[some]
                places = starts[some] + np.where(spare, 0, slots)
                # A block without any component, at the end, has no pair to stand in.
                places = torch.from_numpy(np.minimum(places, max(0, len(pattern) - 1)))
                tile = _Tile(
                    torch.from_numpy(some).to(self.device),
                    places.to(self.device),
                    torch.from_numpy(spare).to(self.device) if spare.any() else None,
                )
                blocks = torch.from_numpy(pattern.rows[some]).to(self.device)
                if dtype == self.dtype:
                    x = self._local.index_select(1, blocks)
                else:
                    x = self._local_coordinates(pattern.rows[some], dtype)
                yield tile, x, self._weight.index_select(0, blocks).to(dtype)

    def _shares(self, pairs: Pairs, tile: _Tile, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shares of the density (K, b, B), log density (b, B), and the scale that makes the
        shares responsibilities (b, B).
        """
        background = pairs.background[tile.rows]  # (b, 1) or (b, B)
        (k, b), n = tile.pairs.shape, x.shape[2]
        if k == 0:
            log_p = background.expand(b, n).contiguous()
            return x.new_empty(0, b, n), log_p, torch.ones_like(log_p)
        y = self._buffers(len(x) + 1, (k, b, n), x.dtype)
        *y, z = y
        d = self.n_dimensions
        offset, mean, factor = pairs.table[:, tile.pairs, None].split(
            [1, d, d * (d + 1) // 2]
        )  # (1, K, b, 1), (D, K, b, 1), (D (D + 1) / 2, K, b, 1)
        for row, y_k in enumerate(y):
            torch.sub(x[row], mean[row], out=y_k)
        # From the last row up: each needs the differences of the rows above.
        for row in reversed(range(len(y))):
            first = row * (row + 1) // 2
            y[row] *= factor[first + row]
            for column in range(row):
                y[row].addcmul_(y[column], factor[first + column])
        torch.mul(y[0], y[0], out=z)
        for y_k in y[1:]:
            z.addcmul_(y_k, y_k)
        torch.sub(offset[0], z, out=z)
        if tile.spare is not None:
            z.masked_fill_(tile.spare[..., None], -torch.inf)
        peak = torch.maximum(z[0] if k == 1 else z.amax(0), background)
        z.sub_(peak).clamp_(min=LEAST_LOG_SHARE).exp_()
        total = z.sum(0).add_((background - peak).exp_())
        return z, peak.add_(total.log()), total.reciprocal_()

    def _basis(self, x: Tensor, scale: Tensor) -> Tensor:
        """scale (1, x, lower triangle of x x^T) as a matrix for each block, (b, F, B)."""
        d, b, n = x.shape
        out = torch.empty(b, 1 + d + d * (d + 1) // 2, n, dtype=x.dtype, device=x.device)
        out[:, 0] = scale
        place = 1 + d
        for row in range(d):
            torch.mul(scale, x[row], out=out[:, 1 + row])
            for column in range(row + 1):
                torch.mul(out[:, 1 + row], x[column], out=out[:, place])
                place += 1
        return out

    def _buffers(self, count: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Memory for `count` arrays; what the last call got is overwritten."""
        size = count * int(np.prod(shape))
        memory = self._memory.get(dtype)
        if memory is None or len(memory) < size:
            memory = self._memory[dtype] = torch.empty(size, dtype=dtype, device=self.device)
        return memory[:size].view(count, *shape)


def _of_like_counts(counts: NDArray[np.intp], most: int) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Places of blocks that share tiles, and the largest of their counts.

    Counts are equal or within a fifth; or, where all of a few blocks fit in one tile of `most`
    pairs, as they are: padding costs less than another tile.
    """
    order = np.argsort(counts, kind="stable")
    ordered = counts[order]
    start = 0
    while start < len(order):
        least = int(ordered[start])
        end = int(np.searchsorted(ordered, least + least // 5, side="right"))
        padded = ordered[start:] * np.arange(1, len(order) - start + 1)
        end = max(end, start + int(np.searchsorted(padded, most, side="right")))
        yield order[start:end], int(ordered[end - 1])
        start = end


def _removals(shares: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    """sum_i omega_i log(1 - r_ij) over the points of a block, (K, b)."""
    r = (shares * scale).clamp_(max=_CERTAIN)
    return r.neg_().log1p_().mul_(weight).sum(2)
