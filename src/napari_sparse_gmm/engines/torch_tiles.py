"""The engine that runs everywhere: plain PyTorch, in tiles that fit the cache.

A tile is some blocks with the same number of components. Its arithmetic is in `tiles`; here is
what becomes of the log joint densities, whatever the form of the pairs.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_sparse_gmm.engines.engine import LEAST_LOG_SHARE, Engine
from napari_sparse_gmm.engines.pairs import Form, Pairs, PairSums, n_moments
from napari_sparse_gmm.engines.pattern import find_pattern
from napari_sparse_gmm.engines.tiles import ExponentialTile, NoisyTile, Tile
from napari_sparse_gmm.mixture import GaussianMixture

# Elements (points x components) of a tile: a few buffers of 1 MB stay in the cache, and the time
# to launch an operation stays small beside the time that it takes. And points: where each meets
# one component or two, what is computed for each point counts most.
TILE_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 24}
TILE_POINTS = {"cpu": 1 << 17, "cuda": 1 << 24}
# A tile of points with noise has so many more arrays, in double precision.
NOISY_BUFFERS = 4

# A responsibility in single precision is 1 from here on; its logarithm of the remainder is
# then a lower bound, which is all that the ranking of removals needs.
_CERTAIN = 1.0 - 1e-7


class TorchTiles(Engine):
    """PyTorch on the processor or a graphics card; see `Engine` for the parameters."""

    name = "torch"
    small = 1 << 19

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._memory: dict[tuple[str, torch.dtype], Tensor] = {}

    def _pair_sums(self, pairs: Pairs, removal: bool) -> PairSums:
        pattern, double = pairs.pattern, torch.float64
        n, p = len(pattern.rows), len(pattern)
        # One more place takes what the spare components of tiles sum up.
        n_of_pair = n_moments(pairs.form, self.n_dimensions)
        moments = torch.zeros(p + 1, n_of_pair, dtype=double, device=self.device)
        removals = torch.zeros(p + 1, dtype=double, device=self.device)
        log_likelihoods = torch.zeros(n, dtype=double, device=self.device)
        background = torch.zeros((), dtype=double, device=self.device)
        for tile in self._tiles(pairs):
            shares, log_p, scale = self._shares(pairs, tile)
            places = tile.pairs if tile.spare is None else tile.pairs.masked_fill(tile.spare, p)
            if removal:
                removals[places] = _removals(shares, scale, tile.weight).double()
            # Without any component there may be no density at all, outside the background's box.
            nowhere = shares.shape[1] == 0
            if pairs.background is not None:
                share = (pairs.background[tile.rows] - log_p).exp_()
                if nowhere:
                    share.nan_to_num_(0.0)
                background += (share * tile.weight).sum(dtype=double)
            likelihoods = log_p * tile.weight
            if nowhere:  # of a point that weighs nothing it is no matter
                likelihoods.masked_fill_(tile.weight == 0, 0.0)
            log_likelihoods[tile.rows] = likelihoods.sum(1, dtype=double)
            shares *= scale.mul_(tile.weight)[:, None]
            moments[places] = tile.moments(shares).double()
        return PairSums(
            moments[:p], float(background), log_likelihoods, removals[:p] if removal else None
        )

    def noisy_tiles(
        self, mixture: GaussianMixture
    ) -> Iterator[tuple[NoisyTile, NDArray[np.intp], Tensor, Tensor]]:
        """The tiles of points with noise, be it 0: with the component of each pair (b, K), -1 for
        a spare one, its responsibilities (b, K, B) and those of the background (b, B).
        """
        pattern = find_pattern(self.blocks, mixture, self.tolerance)
        for pairs in self._by_arithmetic(pattern, mixture):
            for tile in self._tiles(pairs):
                assert isinstance(tile, NoisyTile)
                shares, log_p, scale = self._shares(pairs, tile)
                components = pairs.pattern.components[tile.pairs.cpu().numpy()]
                if tile.spare is not None:
                    components[tile.spare.cpu().numpy()] = -1
                background = torch.zeros_like(log_p)
                if pairs.background is not None:
                    background = (pairs.background[tile.rows] - log_p).exp_()
                yield tile, components, shares * scale[:, None], background

    def _log_density(self, pairs: Pairs) -> Tensor:
        out = torch.empty(
            len(pairs.pattern.rows), self.blocks.size, dtype=pairs.table.dtype, device=self.device
        )
        for tile in self._tiles(pairs):
            out[tile.rows] = self._shares(pairs, tile)[1]
        return out

    def _best(self, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
        shape, dtype = (len(pairs.pattern.rows), self.blocks.size), pairs.table.dtype
        best = torch.full(shape, len(pairs.pattern), dtype=torch.int64, device=self.device)
        probability, log_density = (
            torch.zeros(shape, dtype=dtype, device=self.device) for _ in range(2)
        )
        for tile in self._tiles(pairs):
            shares, log_p, scale = self._shares(pairs, tile)
            log_density[tile.rows] = log_p
            if pairs.background is not None:
                share = (pairs.background[tile.rows] - log_p).exp_()
                probability[tile.rows] = share.masked_fill_(log_p == -torch.inf, 0.0)
            if shares.shape[1] == 0:
                continue
            share, place = shares.max(1)
            share *= scale
            before = probability[tile.rows]
            probability[tile.rows] = torch.maximum(share, before)
            most = tile.pairs.gather(1, place)
            best[tile.rows] = torch.where(share > before, most, best[tile.rows])
        return best, probability, log_density

    def _tiles(self, pairs: Pairs) -> Iterator[Tile]:
        pattern = pairs.pattern
        device = torch.device(self.device).type
        elements, most = TILE_ELEMENTS[device], TILE_POINTS[device]
        if pairs.form is Form.NOISY:
            elements //= NOISY_BUFFERS
        starts = pattern.starts[:-1]
        for rows, k in _of_like_counts(pattern.counts, elements // self.blocks.size):
            step = max(1, min(elements // max(1, k), most) // self.blocks.size)
            for start in range(0, len(rows), step):
                some = rows[start : start + step]
                slots = np.arange(k)
                spare = slots >= pattern.counts[some, None]
                places = starts[some, None] + np.where(spare, 0, slots)
                # A block without any component, at the end, has no pair to stand in.
                places = np.minimum(places, max(0, len(pattern) - 1))
                yield self._tile(pairs, some, places, spare if spare.any() else None)

    def _tile(
        self,
        pairs: Pairs,
        rows: NDArray[np.intp],
        places: NDArray[np.intp],
        spare: NDArray[np.bool_] | None,
    ) -> Tile:
        """The tile of some rows of the pattern and the places of their pairs."""
        blocks, dtype = pairs.pattern.rows[rows], pairs.table.dtype
        of_rows, of_pairs, which = (
            torch.from_numpy(index).to(self.device) for index in (rows, places, blocks)
        )
        of_spare = None if spare is None else torch.from_numpy(spare).to(self.device)
        table = pairs.table[of_pairs]  # (b, K, ...)
        if of_spare is not None:
            table[..., 0].masked_fill_(of_spare, -torch.inf)
        weight = self._weight.index_select(0, which).to(dtype)
        if dtype == self.dtype:
            x = self._local.index_select(0, which)
        else:
            x = self._local_coordinates(blocks, dtype)
        common = of_rows, of_pairs, of_spare, table, weight
        if pairs.form is Form.NOISY:
            return NoisyTile(*common, x, self._local_noise.index_select(0, which))
        return ExponentialTile(*common, pairs.form, self._sufficient(x), self._buffer)

    @cached_property
    def _local(self) -> Tensor:
        """Coordinates of all points, (n_blocks, D, B)."""
        return self._local_coordinates(None, self.dtype)

    def _sufficient(self, x: Tensor) -> Tensor:
        """(1, x, lower triangle of x x^T) of coordinates (b, D, B), as (b, F, B)."""
        b, d, n = x.shape
        out = self._buffer("sufficient", (b, 1 + d + d * (d + 1) // 2, n), x.dtype)
        out[:, 0] = 1.0
        out[:, 1 : 1 + d] = x
        first = 1 + d
        for row in range(d):
            torch.mul(x[:, : row + 1], x[:, row : row + 1], out=out[:, first : first + row + 1])
            first += row + 1
        return out

    def _shares(self, pairs: Pairs, tile: Tile) -> tuple[Tensor, Tensor, Tensor]:
        """Shares of the density (b, K, B), log density (b, B), and the scale that makes the
        shares responsibilities (b, B).
        """
        background = None if pairs.background is None else pairs.background[tile.rows]
        if tile.pairs.shape[1] == 0:
            assert background is not None
            log_p = background.expand_as(tile.weight).contiguous()
            return log_p.new_empty(len(log_p), 0, log_p.shape[1]), log_p, torch.ones_like(log_p)
        z = tile.log_joint()
        peak = z[:, 0].clone() if z.shape[1] == 1 else z.amax(1)
        if background is not None:
            peak = torch.maximum(peak, background)
        z.sub_(peak[:, None]).clamp_(min=LEAST_LOG_SHARE).exp_()
        total = z.sum(1)
        if background is not None:
            total += (background - peak).exp_()
        return z, peak.add_(total.log()), total.reciprocal_()

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Memory for an array; what the last call of that name got is overwritten."""
        size = int(np.prod(shape))
        memory = self._memory.get((name, dtype))
        if memory is None or len(memory) < size:
            memory = torch.empty(size, dtype=dtype, device=self.device)
            self._memory[name, dtype] = memory
        return memory[:size].view(shape)


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
    """sum_i omega_i log(1 - r_ij) over the points of a block, (b, K)."""
    r = (shares * scale[:, None]).clamp_(max=_CERTAIN)
    return r.neg_().log1p_().mul_(weight[:, None]).sum(2)
