"""The KeOps engine: symbolic log-sum-exp reductions, on the processor and on CUDA.

KeOps (Charlier, Feydy, Glaunès, Collin & Durif, JMLR 22, 2021) compiles a formula in
x_i and (offset_j, mean_j, triangle_j) into one loop that never stores the N x M matrix. Here i is
a point and j a *pair* of a block and a component, so that the block-sparse pattern is as simple
as it can be: the points of a block meet its own run of pairs, and each pair meets one block. Two
reductions make an expectation:

- log density:  logsumexp_j  z_ij,   z_ij = offset_j - |y_ij|^2
- moments:      sum_i  omega_i exp(z_ij - log p_i) (1, d_ij, d_ij d_ij^T),   d_ij = x_i - mean_j

The quadratic form is written out coordinate by coordinate from the triangular factor:
half the operations of KeOps's general `WeightedSqDist`, and no cancellation. What needs double
precision is left to PyTorch tiles. Points with noise have a covariance of their own for every j:
it is factored in the formula, entry by entry, and never stored either; with u and T as in
`kernels`,

- moments:      sum_i  omega_i exp(z_ij - log p_i) (1, u_ij, u_ij u_ij^T, T_ij^-1)
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property, reduce
from itertools import pairwise
from operator import add
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
from napari_sparse_gmm.engines.keops_build import first_use, load_pykeops
from napari_sparse_gmm.engines.pattern import Pattern
from napari_sparse_gmm.engines.statistics import Sums
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.engines.torch_tiles import TorchTiles
from napari_sparse_gmm.factored import Factored
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

Kernel = Callable[..., Tensor]

# Fewer pairs of blocks and components are not worth a thread.
_PAIRS_OF_A_THREAD = 512

# A formula for points with noise grows as fast as the inverse of a matrix, written out.
_MOST_DIMENSIONS = 3


class KeOps(InMemory):
    """KeOps reductions; see `InMemory` for the parameters.

    Raises
    ------
    EngineUnavailable
        At the first use of a kernel, where it cannot be compiled or loaded.
    """

    name = "keops"

    @cached_property
    def _fallback(self) -> TorchTiles:
        """What computes in double precision, or many dimensions: PyTorch, on the same blocks."""
        return TorchTiles(
            self.observations,
            device=self.device,
            dtype=self.dtype,
            tolerance=self.tolerance,
            blocks=self.blocks,
        )

    def _has_kernels_for(self, dtype: np.dtype[Any]) -> bool:
        if self.noisy:
            return self.n_dimensions <= _MOST_DIMENSIONS
        return dtype == np.float32

    def _sums(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any], removal: bool
    ) -> Sums:
        if not self._has_kernels_for(dtype):
            return self._fallback._sums(mixture, pattern, dtype, removal)
        pairs = _Pairs(self, mixture, pattern, dtype)
        weight = self._tensor(self.weight[pattern.rows], dtype)  # (n, B)
        log_p, behind = self._log_densities(pairs)
        share = (behind - log_p).exp().masked_fill_(log_p == -torch.inf, 0.0)
        k = mixture.n_components
        # In the kernel a weight of zero becomes the least share that counts as nothing.
        moments = pairs.of_components(self._reduce("moments", pairs, log_p - weight.log()), k)
        removals = None
        if removal:
            removals = pairs.of_components(self._reduce("removal", pairs, log_p, weight), k)[:, 0]
        likelihoods = (log_p * weight).masked_fill_(weight == 0, 0.0)
        return Sums(
            moments,
            float((share * weight).sum(dtype=torch.float64)),
            likelihoods.sum(1, dtype=torch.float64).cpu().numpy(),
            removals,
        )

    def _log_density(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any]
    ) -> NDArray[Any]:
        if not self._has_kernels_for(dtype):
            return self._fallback._log_density(mixture, pattern, dtype)
        return self._log_densities(_Pairs(self, mixture, pattern, dtype))[0].cpu().numpy()

    def _best(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any]
    ) -> tuple[NDArray[np.intp], NDArray[Any], NDArray[Any]]:
        return self._fallback._best(mixture, pattern, dtype)

    def _log_densities(self, pairs: "_Pairs") -> tuple[Tensor, Tensor]:
        """Log density of the mixture and of its background at the points of blocks, (n, B)."""
        rows = pairs.pattern.rows
        behind = self._fallback._background(pairs.mixture, rows, pairs.dtype)
        if not len(pairs.pattern):
            return behind, behind
        log_p = self._reduce("log_density", pairs).view(behind.shape)
        # KeOps may make NaN of the sum over no pair at all.
        occupied = self._tensor(pairs.pattern.counts > 0)
        return torch.logaddexp(torch.where(occupied[:, None], log_p, -torch.inf), behind), behind

    def _tensor(self, values: NDArray[Any], dtype: np.dtype[Any] | None = None) -> Tensor:
        return self._fallback._tensor(values, dtype)

    @cached_property
    def _centres(self) -> Tensor:
        return self._tensor(self.centres)

    @cached_property
    def _points_first(self) -> list[Tensor]:
        """Coordinates of all points, and the variances of their noise, (n_blocks, B, D) each."""
        values = [self.local, self.local_noise] if self.noisy else [self.local]
        return [self._tensor(np.ascontiguousarray(value.swapaxes(1, 2))) for value in values]

    def _reduce(self, kind: str, pairs: "_Pairs", *per_point: Tensor) -> Tensor:
        """Run a kernel: (n B, 1) for the log density, (P, ...) for sums over points.

        On the processor KeOps opens a parallel region for each block, a few microseconds of
        work: so it gets one thread, and our threads take parts of the blocks.
        """
        d, pattern, noisy = self.n_dimensions, pairs.pattern, self.noisy
        if not len(pattern):
            return torch.zeros(0, n_moments(d, noise=noisy), device=self.device)
        kernel = _kernel(kind, noisy, d)
        points = self._points_first
        if len(pattern.rows) < len(self.blocks):
            rows = self._tensor(pattern.rows)
            points = [of_points[rows] for of_points in points]
        points = [of_points.to(getattr(torch, pairs.dtype.name)) for of_points in points]
        starts = pattern.starts

        def part(first: int, last: int) -> Tensor:
            """The reduction over some blocks and their pairs."""
            some = slice(starts[first], starts[last])
            with limited_threads(1):
                return kernel(
                    *(of_points[first:last].reshape(-1, d) for of_points in points),
                    *(values[some] for values in pairs.of_pairs),
                    *(values[first:last].reshape(-1, 1) for values in per_point),
                    ranges=_ranges(pattern.counts[first:last], self.blocks.size, self.device),
                )

        # The first time on a few blocks: the file lock should not be held for long.
        occupied = int(np.flatnonzero(pattern.counts)[0])
        first_use(
            (kind, noisy, d, pairs.dtype.name, self.device), lambda: part(occupied, occupied + 1)
        )
        n_parts = 1
        if torch.device(self.device).type == "cpu":
            n_parts = max(1, min(torch.get_num_threads(), len(pattern) // _PAIRS_OF_A_THREAD))
        edges = np.searchsorted(starts, np.linspace(0, len(pattern), n_parts + 1))
        edges[0], edges[-1] = 0, len(pattern.rows)
        parts: list[tuple[int, int]] = []
        for first, last in pairwise(np.unique(edges).tolist()):
            if parts and starts[first] == starts[last]:  # no part without a pair
                first = parts.pop()[0]
            parts.append((first, last))
        if len(parts) == 1:
            return part(0, len(pattern.rows))
        with ThreadPoolExecutor(len(parts)) as threads:
            return torch.cat(list(threads.map(part, *zip(*parts, strict=True))))


class _Pairs:
    """Pairs of blocks and components as the kernels read them.

    Attributes
    ----------
    of_pairs : list of 3 tensors
        Mean relative to the centre of the block (P, D), triangle (P, D (D + 1) / 2) and offset
        (P, 1) of each; see `component_table`.
    """

    def __init__(
        self, engine: KeOps, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any]
    ) -> None:
        self.mixture, self.pattern, self.dtype = mixture, pattern, dtype
        d = engine.n_dimensions
        # Differences in double precision, on the device: there are many more pairs than components.
        self._components = engine._tensor(pattern.components)
        table = engine._tensor(component_table(mixture, engine.unit, noise=engine.noisy))
        offset, means, triangle = table[self._components].split([1, d, table.shape[1] - 1 - d], 1)
        means = (means - engine._centres[engine._tensor(pattern.blocks)]) / engine.unit
        single = getattr(torch, dtype.name)
        self.of_pairs = [values.to(single).contiguous() for values in (means, triangle, offset)]

    def of_components(self, of_pairs: Tensor, k: int) -> FloatArray:
        """Values of pairs (P, F) summed up for each of k components, (k, F)."""
        sums = torch.zeros(k, of_pairs.shape[1], dtype=torch.float64, device=of_pairs.device)
        return sums.index_add_(0, self._components, of_pairs.double()).cpu().numpy()


def _ranges(counts: NDArray[np.intp], block_size: int, device: str) -> tuple[Tensor, ...]:
    """Which points meet which pairs, as KeOps wants it: each block its own run of pairs."""
    occupied = np.flatnonzero(counts)
    ends = np.cumsum(counts)[occupied]
    points = occupied[:, None] * block_size + np.array([0, block_size])
    runs = np.stack([ends - counts[occupied], ends], axis=1)
    slices = np.arange(1, len(occupied) + 1)
    of_points, of_pairs, slices_ = (
        torch.from_numpy(values.astype(np.int32)).to(device) for values in (points, runs, slices)
    )
    return of_points, slices_, of_pairs, of_pairs, slices_, of_points


@cache
def _kernel(kind: str, noisy: bool, d: int) -> Kernel:
    """The compiled reduction `kind` in D dimensions; KeOps finds the type and device itself."""
    load_pykeops()
    from pykeops.torch import Genred

    z, terms = _noisy_formulas(d) if noisy else _whitened_formulas(d)
    aliases = [f"x=Vi({d})", *([f"noise=Vi({d})"] if noisy else [])]
    aliases += [f"mean=Vj({d})", f"triangle=Vj({d * (d + 1) // 2})", "offset=Vj(1)"]
    if kind == "log_density":
        return Genred(f"{z}", aliases, reduction_op="LogSumExp", axis=1)
    r = f"Exp(ClampInt({z} - log_share, {LEAST_LOG_SHARE:.0f}, {-LEAST_LOG_SHARE:.0f}))"
    aliases = [*aliases, "log_share=Vi(1)"]
    if kind == "moments":
        return Genred(f"({r} * {_concatenated(terms)})", aliases, reduction_op="Sum", axis=0)
    assert kind == "removal"
    # Rounding may bring r to 1 or above it; the logarithm then stops at that of 1e-7.
    aliases.append("weight=Vi(1)")
    remainder = f"(ReLU(1 - {r}) + IntInv(10000000))"
    return Genred(f"(weight * Log({remainder}))", aliases, reduction_op="Sum", axis=0)


class _Formula(str):
    """A formula of KeOps, put together by arithmetic."""

    def __add__(self, other: object) -> "_Formula":
        return _Formula(f"({self:s} + {other})")

    def __sub__(self, other: object) -> "_Formula":
        return _Formula(f"({self:s} - {other})")

    def __mul__(self, other: object) -> "_Formula":
        return _Formula(f"({self:s} * {other})")

    def __truediv__(self, other: object) -> "_Formula":
        return _Formula(f"({self:s} / {other})")

    def __rtruediv__(self, other: object) -> "_Formula":
        assert other == 1.0
        return _Formula(f"Inv({self:s})")

    def __neg__(self) -> "_Formula":
        return _Formula(f"Minus({self:s})")


def _elements(name: str, first: int, n: int) -> list[_Formula]:
    """`n` entries of a variable, from the `first` on."""
    return [_Formula(f"Elem({name},{first + k})") for k in range(n)]


Formulas = tuple[_Formula, list[_Formula]]


def _whitened_formulas(d: int) -> Formulas:
    """Log joint density z and the terms of the moments, for points without noise."""
    x, mean = _elements("x", 0, d), _elements("mean", 0, d)
    factor = iter(_elements("triangle", 0, d * (d + 1) // 2))
    differences = [entry - of_mean for entry, of_mean in zip(x, mean, strict=True)]
    z = _Formula("offset")
    for row in range(d):
        y = reduce(add, [next(factor) * differences[k] for k in range(row + 1)])
        z = z - f"Square({y})"
    products = [differences[row] * differences[k] for row in range(d) for k in range(row + 1)]
    return z, [_Formula("IntCst(1)"), *differences, *products]


def _noisy_formulas(d: int) -> Formulas:
    """The same for points with noise."""
    x, noise, mean = (_elements(name, 0, d) for name in ("x", "noise", "mean"))
    convolved = Factored.of_sum(_elements("triangle", 0, d * (d + 1) // 2), noise)
    whitened = convolved.forward([entry - of_mean for entry, of_mean in zip(x, mean, strict=True)])
    form, determinant = convolved.form(whitened), convolved.determinant
    z = _Formula("offset") - f"IntInv(2) * ({form} + Log({determinant}))"
    u = convolved.backward(whitened)
    squares = [u[row] * u[k] for row in range(d) for k in range(row + 1)]
    inverse = [entry for entries in convolved.inverse() for entry in entries]
    return z, [_Formula("IntCst(1)"), *u, *squares, *inverse]


def _concatenated(terms: Sequence[str]) -> str:
    out = terms[-1]
    for term in reversed(terms[:-1]):
        out = f"Concat({term}, {out})"
    return out
