"""The KeOps engine: symbolic log-sum-exp reductions, on the processor and on CUDA.

KeOps (Charlier, Feydy, Glaunès, Collin & Durif, JMLR 22, 2021) compiles a formula in
x_i and (offset_j, affine_j) into one loop that never stores the N x M matrix. Here i is a point
and j a *pair* of a block and a component, so that the block-sparse pattern is as simple as it
can be: the points of a block meet its own run of pairs, and each pair meets one block. Two
reductions make an expectation:

- log density:  logsumexp_j  z_ij,   z_ij = offset_j - |y_ij|^2
- moments:      sum_i  omega_i exp(z_ij - log p_i) (1, x_i, x_i x_i^T)

The quadratic form is written out coordinate by coordinate from the triangular factor:
half the operations of KeOps's general `WeightedSqDist`, and no cancellation. What needs double
precision is left to PyTorch tiles. Points with noise have a covariance of their own for every j:
it is factored in the formula, entry by entry, and never stored either; with u and T of `pairs`,

- moments:      sum_i  omega_i exp(z_ij - log p_i) (1, u_ij, u_ij u_ij^T, T_ij^-1)
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_sparse_gmm.engines.engine import LEAST_LOG_SHARE
from napari_sparse_gmm.engines.keops_build import first_use, load_pykeops
from napari_sparse_gmm.engines.pairs import Form, Pairs, PairSums, n_moments
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.engines.torch_tiles import TorchTiles
from napari_sparse_gmm.factored import Factored

Kernel = Callable[..., Tensor]

# Fewer pairs of blocks and components are not worth a thread.
_PAIRS_OF_A_THREAD = 512

# A formula for points with noise grows as fast as the inverse of a matrix, written out.
_MOST_DIMENSIONS = 3


class KeOps(TorchTiles):
    """KeOps reductions; see `Engine` for the parameters.

    Raises
    ------
    EngineUnavailable
        At the first use of a kernel, where it cannot be compiled or loaded.
    """

    name = "keops"
    small = 0
    # The exponentials take nearly all of its time.
    expands = False

    def _has_kernels_for(self, pairs: Pairs) -> bool:
        if pairs.form is Form.NOISY:
            return self.n_dimensions <= _MOST_DIMENSIONS
        return pairs.table.dtype == torch.float32

    @cached_property
    def _points_first(self) -> list[Tensor]:
        """Coordinates of all points, and the variances of their noise, (n_blocks, B, D) each."""
        values = [self._local_coordinates(None, self.dtype)]
        if self.noise is not None:
            values.append(self._local_noise)
        return [of_points.transpose(1, 2).contiguous() for of_points in values]

    def _pair_sums(self, pairs: Pairs, removal: bool) -> PairSums:
        if not self._has_kernels_for(pairs):
            return super()._pair_sums(pairs, removal)
        weight = self._weight[torch.from_numpy(pairs.pattern.rows).to(self.device)]  # (n, B)
        log_p = self._log_density(pairs)
        background = 0.0
        if pairs.background is not None:
            share = (pairs.background - log_p).exp_().masked_fill_(log_p == -torch.inf, 0.0)
            background = float((share * weight).sum(dtype=torch.float64))
        removals = None
        if removal:
            removals = self._reduce("removal", pairs, log_p, weight)[:, 0].double()
        return PairSums(
            # In the kernel a weight of zero becomes the least share that counts as nothing.
            self._reduce("moments", pairs, log_p - weight.log()).double(),
            background,
            (log_p * weight).masked_fill_(weight == 0, 0.0).sum(1, dtype=torch.float64),
            removals,
        )

    def _log_density(self, pairs: Pairs) -> Tensor:
        if not self._has_kernels_for(pairs):
            return super()._log_density(pairs)
        shape, background = (len(pairs.pattern.rows), self.blocks.size), pairs.background
        if not len(pairs.pattern):
            assert background is not None
            return background.expand(shape)
        log_p = self._reduce("log_density", pairs).view(shape)
        # KeOps may make NaN of the sum over no pair at all.
        occupied = torch.from_numpy(pairs.pattern.counts > 0).to(self.device)
        log_p = torch.where(occupied[:, None], log_p, -torch.inf)
        return log_p if background is None else torch.logaddexp(log_p, background)

    def _reduce(self, kind: str, pairs: Pairs, *per_point: Tensor) -> Tensor:
        """Run a kernel: (n B, 1) for the log density, (P, ...) for sums over points.

        On the processor KeOps opens a parallel region for each block, a few microseconds of
        work: so it gets one thread, and our threads take parts of the blocks.
        """
        d, pattern = self.n_dimensions, pairs.pattern
        if not len(pattern):
            return pairs.table.new_zeros(0, n_moments(pairs.form, d))
        kernel = _kernel(kind, pairs.form, d)
        points = self._points_first
        if len(pattern.rows) < len(self.blocks):
            rows = torch.from_numpy(pattern.rows).to(self.device)
            points = [of_points[rows] for of_points in points]
        starts = pattern.starts

        def part(first: int, last: int) -> Tensor:
            """The reduction over some blocks and their pairs."""
            some = pairs.table[starts[first] : starts[last]]
            with limited_threads(1):
                return kernel(
                    *(of_points[first:last].reshape(-1, d) for of_points in points),
                    *(values.contiguous() for values in (some[:, 1:], some[:, :1])),
                    *(values[first:last].reshape(-1, 1) for values in per_point),
                    ranges=_ranges(pattern.counts[first:last], self.blocks.size, self.device),
                )

        # The first time on a few blocks: the file lock should not be held for long.
        occupied = int(np.flatnonzero(pattern.counts)[0])
        first_use(
            (kind, pairs.form, d, self.dtype, self.device), lambda: part(occupied, occupied + 1)
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
def _kernel(kind: str, form: Form, d: int) -> Kernel:
    """The compiled reduction `kind` in D dimensions; KeOps finds the type and device itself."""
    load_pykeops()
    from pykeops.torch import Genred

    (z, terms), aliases = _FORMULAS[form](d)
    if kind == "log_density":
        return Genred(f"{z}", aliases, reduction_op="LogSumExp", axis=1)
    r = f"Exp(ClampInt({z} - log_share, {LEAST_LOG_SHARE}, {-LEAST_LOG_SHARE}))"
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


Formulas = tuple[tuple[_Formula, list[_Formula]], list[str]]


def _whitened_formulas(d: int) -> Formulas:
    """Log joint density z, the terms of the moments, and the variables, for points without noise.

    `affine` holds the rows of y = f (x - mean), each as its value at 0 and its slopes.
    """
    x = _elements("x", 0, d)
    z = _Formula("offset")
    for row in range(d):
        y, *slopes = _elements("affine", row * (1 + d), 2 + row)
        for slope, entry in zip(slopes, x, strict=False):
            y = y + slope * entry
        z = z - f"Square({y})"
    products = [x[row] * x[column] for row in range(d) for column in range(row + 1)]
    aliases = [f"x=Vi({d})", f"affine=Vj({d * (1 + d)})", "offset=Vj(1)"]
    return (z, [_Formula("IntCst(1)"), *x, *products]), aliases


def _noisy_formulas(d: int) -> Formulas:
    """The same for points with noise: `shape` holds mean and covariance, `noise` the variances."""
    x, noise = _elements("x", 0, d), _elements("noise", 0, d)
    means, entries = _elements("shape", 0, d), _elements("shape", d, d * (d + 1) // 2)
    seen = Factored.of_sum(entries, noise)
    whitened = seen.forward([entry - mean for entry, mean in zip(x, means, strict=True)])
    z = _Formula("offset") - f"IntInv(2) * ({seen.form(whitened)} + Log({seen.determinant}))"
    u = seen.backward(whitened)
    squares = [u[row] * u[k] for row in range(d) for k in range(row + 1)]
    inverse = [entry for entries in seen.inverse() for entry in entries]
    aliases = [
        f"x=Vi({d})",
        f"noise=Vi({d})",
        f"shape=Vj({d + d * (d + 1) // 2})",
        "offset=Vj(1)",
    ]
    return (z, [_Formula("IntCst(1)"), *u, *squares, *inverse]), aliases


_FORMULAS = {Form.WHITENED: _whitened_formulas, Form.NOISY: _noisy_formulas}


def _concatenated(terms: Sequence[str]) -> str:
    out = terms[-1]
    for term in reversed(terms[:-1]):
        out = f"Concat({term}, {out})"
    return out
