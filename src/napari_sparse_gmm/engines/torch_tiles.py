"""The reference engine, and that of graphics cards where KeOps cannot run: plain PyTorch.

A tile is some blocks with about the same number of components, padded to the largest: b blocks,
K components and B points in each, b x K x B numbers at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_sparse_gmm.engines.in_memory import (
    LEAST_LOG_SHARE,
    InMemory,
    component_table,
    n_moments,
)
from napari_sparse_gmm.engines.pattern import Pattern
from napari_sparse_gmm.engines.statistics import Sums
from napari_sparse_gmm.factored import Factored, lower_triangle
from napari_sparse_gmm.mixture import GaussianMixture

# Elements (points x components) of a tile.
TILE_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 24}

# A responsibility in single precision is 1 from here on; its logarithm of the remainder is
# then a lower bound, which is all that the ranking of removals needs.
_CERTAIN = 1.0 - 1e-7


@dataclass(frozen=True, eq=False)
class Tile:
    """Some blocks with their pairs, and the densities of all at the points.

    Parameters
    ----------
    rows : (b,) array of int
        Rows of the pattern.
    slots : (b, K) array of int
        Pairs of the pattern; the number of all pairs for padding.
    components : (b, K) array of int
        Of each pair; -1 for padding.
    weight : (b, B) tensor
    differences : list of D tensors (b, K, B)
        From each mean to each point, in units.
    convolved : Factored or None
        Sigma + S of each pair at each point, entries (b, K, B), of points with noise.
    log_density : (b, B) tensor
    r : (b, K, B) tensor
        Responsibilities of the components.
    r_background : (b, B) tensor
    """

    rows: NDArray[np.intp]
    slots: NDArray[np.intp]
    components: NDArray[np.intp]
    weight: Tensor
    differences: list[Tensor]
    convolved: Factored | None
    log_density: Tensor
    r: Tensor
    r_background: Tensor

    def moments(self) -> Tensor:
        """The moments of `Sums` of each pair, (b, K, F), in double precision."""
        shares = self.r * self.weight[:, None]
        if self.convolved is None:
            first, inverse = self.differences, []
        else:
            first = self.convolved.backward(self.convolved.forward(self.differences))
            inverse = [shares * entry for entries in self.convolved.inverse() for entry in entries]
        slopes = [shares * entry for entry in first]
        squares = [slopes[row] * first[k] for row in range(len(first)) for k in range(row + 1)]
        sums = [values.sum(2, dtype=torch.float64) for values in (*slopes, *squares, *inverse)]
        return torch.stack([shares.sum(2, dtype=torch.float64), *sums], dim=2)


class TorchTiles(InMemory):
    """PyTorch on the processor or a graphics card; see `InMemory` for the parameters."""

    name = "torch"
    small = 1 << 19

    def tiles(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any]
    ) -> Iterator[Tile]:
        """The tiles of a pattern, in the precision of `dtype`."""
        d, size, starts = self.n_dimensions, self.blocks.size, pattern.starts[:-1]
        table = component_table(mixture, self.unit, noise=self.noisy)
        # The last is padding: no weight, and a covariance that does no harm.
        diagonal = [row == column for row, column in zip(*lower_triangle(d), strict=True)]
        table = np.vstack([table, [-np.inf, *np.zeros(d), *diagonal]])
        most = TILE_ELEMENTS[torch.device(self.device).type]
        for alike, k in _of_like_counts(pattern.counts, most // size):
            step = max(1, most // (size * max(1, k)))
            for first in range(0, len(alike), step):
                rows = alike[first : first + step]
                padding = np.arange(k) >= pattern.counts[rows, None]
                slots = np.where(padding, len(pattern), starts[rows, None] + np.arange(k))
                components = np.append(pattern.components, -1)[slots]
                yield self._tile(
                    mixture, pattern.rows[rows], rows, slots, components, table[components], dtype
                )

    def _tile(
        self,
        mixture: GaussianMixture,
        blocks: NDArray[np.intp],
        rows: NDArray[np.intp],
        slots: NDArray[np.intp],
        components: NDArray[np.intp],
        table: NDArray[np.float64],
        dtype: np.dtype[Any],
    ) -> Tile:
        d = self.n_dimensions
        table[..., 1 : 1 + d] -= self.centres[blocks, None]
        table[..., 1 : 1 + d] /= self.unit
        offset, *means_and_triangle = self._tensor(table, dtype)[..., None].unbind(2)  # (b, K, 1)
        means, triangle = means_and_triangle[:d], means_and_triangle[d:]
        x = self._tensor(self.local_coordinates(blocks, dtype))[:, :, None].unbind(1)  # (b, 1, B)
        differences = [entry - mean for entry, mean in zip(x, means, strict=True)]  # (b, K, B)
        convolved = None
        if self.noisy:
            noise = self._tensor(self.local_variances(blocks, dtype))[:, :, None].unbind(1)
            convolved = Factored.of_sum(triangle, noise)
            form = convolved.form(convolved.forward(differences))
            z = offset - 0.5 * (form + convolved.determinant.log())
        else:
            entries, z = iter(triangle), offset
            for row in range(d):
                z = z - sum(next(entries) * differences[k] for k in range(row + 1)) ** 2
        behind = self._background(mixture, blocks, dtype)  # (b, B)
        peak = torch.cat([z.expand(*slots.shape, self.blocks.size), behind[:, None]], 1).amax(1)
        peak = peak.clamp(min=-1e30)
        shares = (z - peak[:, None]).clamp(min=LEAST_LOG_SHARE).exp()
        shares = torch.where(offset == -torch.inf, 0.0, shares)
        of_background = (behind - peak).exp()
        total = shares.sum(1) + of_background
        # Outside of the region of the background, without any component, there is no density.
        scale = torch.where(total > 0, total, torch.inf).reciprocal()
        return Tile(
            rows,
            slots,
            components,
            self._tensor(self.weight[blocks], dtype),
            differences,
            convolved,
            torch.where(total > 0, peak + total.log(), -torch.inf),
            shares * scale[:, None],
            of_background * scale,
        )

    def _sums(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any], removal: bool
    ) -> Sums:
        # One more component takes what padding sums up.
        k, n = mixture.n_components + 1, n_moments(self.n_dimensions, noise=self.noisy)
        double = {"dtype": torch.float64, "device": self.device}
        moments, removals = torch.zeros(k, n, **double), torch.zeros(k, **double)
        log_likelihoods = np.empty(len(pattern.rows))
        background = 0.0
        with torch.no_grad():
            for tile in self.tiles(mixture, pattern, dtype):
                own = self._tensor(tile.components).ravel()
                own = torch.where(own < 0, k - 1, own)
                moments.index_add_(0, own, tile.moments().flatten(0, 1))
                if removal:
                    lost = (-tile.r.clamp(max=_CERTAIN)).log1p() * tile.weight[:, None]
                    removals.index_add_(0, own, lost.sum(2, dtype=torch.float64).ravel())
                background += float((tile.r_background * tile.weight).sum(dtype=torch.float64))
                # Of a point that weighs nothing it is no matter.
                likelihoods = torch.where(tile.weight > 0, tile.log_density * tile.weight, 0.0)
                log_likelihoods[tile.rows] = likelihoods.sum(1, dtype=torch.float64).cpu()
        return Sums(
            moments[:-1].cpu().numpy(),
            background,
            log_likelihoods,
            removals[:-1].cpu().numpy() if removal else None,
        )

    def _log_density(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any]
    ) -> NDArray[Any]:
        out = np.empty((len(pattern.rows), self.blocks.size), dtype)
        with torch.no_grad():
            for tile in self.tiles(mixture, pattern, dtype):
                out[tile.rows] = tile.log_density.cpu().numpy()
        return out

    def _best(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any]
    ) -> tuple[NDArray[np.intp], NDArray[Any], NDArray[Any]]:
        shape = len(pattern.rows), self.blocks.size
        best = np.full(shape, -1, dtype=np.intp)
        probability, log_density = np.empty(shape, dtype), np.empty(shape, dtype)
        with torch.no_grad():
            for tile in self.tiles(mixture, pattern, dtype):
                log_density[tile.rows] = tile.log_density.cpu().numpy()
                # The background comes first: it has what is as probable.
                share, column = torch.cat([tile.r_background[:, None], tile.r], 1).max(1)
                probability[tile.rows] = share.cpu().numpy()
                pairs = np.concatenate([np.full((len(tile.rows), 1), -1), tile.slots], axis=1)
                best[tile.rows] = np.take_along_axis(pairs, column.cpu().numpy(), 1)
        return best, probability, log_density

    def _background(
        self, mixture: GaussianMixture, blocks: NDArray[np.intp], dtype: np.dtype[Any]
    ) -> Tensor:
        """Log density of the background at the points of some blocks, (b, B)."""
        out = np.full((len(blocks), self.blocks.size), mixture.log_background_density)
        log_intensities = self.log_intensities(mixture.background_region)
        if len(log_intensities):
            out += log_intensities[blocks]
        return self._tensor(out, dtype)

    def _tensor(self, values: NDArray[Any], dtype: np.dtype[Any] | None = None) -> Tensor:
        values = values if dtype is None else values.astype(dtype)
        return torch.from_numpy(values).to(self.device)


def _of_like_counts(counts: NDArray[np.intp], most: int) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Indices of blocks that share tiles, and the largest of their counts.

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
