"""The KeOps engine: symbolic log-sum-exp reductions, on the processor and on CUDA.

KeOps (Charlier, Feydy, Glaunès, Collin & Durif, JMLR 22, 2021) compiles a formula in
x_i and (mu_j, A_j) into one loop that never stores the N x M matrix. Two reductions make
an expectation:

- log density:  logsumexp_j  z_ij,   z_ij = offset_j - |y_ij|^2
- moments:      sum_i  exp(z_ij - log p_i) (1, y_ij, y_ij y_ij^T)

The quadratic form is written out coordinate by coordinate from the triangular factor:
half the operations of KeOps's general `WeightedSqDist`, and no cancellation.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial

import torch
from torch import Tensor

from napari_sparse_gmm.engines.engine import LEAST_LOG_SHARE, Components, Engine
from napari_sparse_gmm.engines.keops_build import first_use, load_pykeops
from napari_sparse_gmm.engines.statistics import Statistics
from napari_sparse_gmm.mixture import GaussianMixture

# Points x components of one call. Sums of a call are float32; calls add up in float64.
_CALL_PAIRS = {"cpu": 1 << 24, "cuda": 1 << 34}
# About 10 ms, for a pykeops whose wrapper could not be changed to release Python's lock.
_CALL_PAIRS_LOCKED = 1 << 20

Kernel = Callable[..., Tensor]


class KeOps(Engine):
    """KeOps reductions; see `Engine` for the parameters.

    Raises
    ------
    EngineUnavailable
        At the first use of a kernel, where it cannot be compiled or loaded.
    """

    name = "keops"

    def _expectation(
        self, mixture: GaussianMixture, components: Components, background: Tensor, removal: bool
    ) -> Statistics:
        k, d = mixture.n_components, self.n_dimensions
        moments = torch.zeros(k, 1 + d + d * (d + 1) // 2, dtype=torch.float64, device=self.device)
        removals = torch.zeros(k, dtype=torch.float64, device=self.device)
        background_count = log_likelihood = 0.0
        for rows in self._calls(k):
            log_p = background[rows]
            if k > 0:
                log_p = torch.logaddexp(self._reduce("log_density", components, rows), log_p)
                # In the kernel a weight of zero becomes the least share that counts as nothing.
                log_weight = 0.0 if self.weight is None else self.weight[rows].log()
                moments += self._reduce("moments", components, rows, log_p - log_weight)
            if removal and k > 0:
                weight = torch.ones_like(log_p) if self.weight is None else self.weight[rows]
                removals += self._reduce("removal", components, rows, log_p, weight)[:, 0]
            background_count += self._weighted_sum((background[rows] - log_p).exp(), rows)
            log_likelihood += self._weighted_sum(log_p, rows)
        return self._statistics(
            mixture, moments, background_count, log_likelihood, removals if removal else None
        )

    def components_log_density(self, components: Components) -> Tensor:
        if components.offset.requires_grad:
            key = ("gradient", self.n_dimensions, self.dtype, self.device)
            first_use(key, partial(self._compile_gradient, components))
        return torch.cat(
            [
                self._reduce("log_density", components, rows)
                for rows in self._calls(len(components.offset))
            ]
        )

    def _compile_gradient(self, components: Components) -> None:
        names = ("offset", "mean_high", "mean_low", "factor")
        tensors = [getattr(components, name).detach() for name in names]
        for tensor in (tensors[0], tensors[1], tensors[3]):
            tensor.requires_grad_()
        self._reduce("log_density", Components(*tensors), slice(0, 1)).sum().backward()

    def _reduce(self, kind: str, components: Components, rows: slice, *per_point: Tensor) -> Tensor:
        """Run a kernel: (n,) for the log density, (K, ...) for sums over points."""
        d = self.n_dimensions
        rows_of_factor, columns = torch.tril_indices(d, d, device=self.device)
        kernel = _kernel(kind, d)
        of_points = [self.high[rows], self.low[rows]]
        of_components = [
            components.mean_high.contiguous(),
            components.mean_low.contiguous(),
            components.factor[:, rows_of_factor, columns].contiguous(),
            components.offset[:, None].contiguous(),
        ]
        more = [values[:, None].contiguous() for values in per_point]

        def call(some: slice) -> Tensor:
            return kernel(*(x[some] for x in of_points), *of_components, *(x[some] for x in more))

        first_use((kind, d, self.dtype, self.device), partial(call, slice(0, 1)))
        out = call(slice(None))
        return out[:, 0] if kind == "log_density" else out

    def _calls(self, n_components: int) -> Iterator[slice]:
        device = torch.device(self.device).type
        whole = device != "cpu" or load_pykeops().releases_lock
        pairs = _CALL_PAIRS[device] if whole else _CALL_PAIRS_LOCKED
        step = max(1, pairs // max(1, n_components))
        return (slice(start, start + step) for start in range(0, self.n_points, step))


@cache
def _kernel(kind: str, d: int) -> Kernel:
    """The compiled reduction `kind` in D dimensions; KeOps finds the type and device itself."""
    load_pykeops()
    from pykeops.torch import Genred

    aliases = [
        f"high=Vi({d})",
        f"low=Vi({d})",
        f"mean_high=Vj({d})",
        f"mean_low=Vj({d})",
        f"factor=Vj({d * (d + 1) // 2})",
        "offset=Vj(1)",
    ]
    y = _whitened_formula(d)
    z = f"(offset - {_sum(f'Square({y_k})' for y_k in y)})"
    if kind == "log_density":
        return Genred(z, aliases, reduction_op="LogSumExp", axis=1)
    r = f"Exp(ClampInt({z} - log_share, {LEAST_LOG_SHARE}, {-LEAST_LOG_SHARE}))"
    aliases.append("log_share=Vi(1)")
    if kind == "moments":
        products = [f"({y[row]} * {y[column]})" for row in range(d) for column in range(row + 1)]
        terms = _concatenated(["IntCst(1)", *y, *products])
        return Genred(f"({r} * {terms})", aliases, reduction_op="Sum", axis=0)
    assert kind == "removal"
    # Rounding may bring r to 1 or above it; the logarithm then stops at that of 1e-7.
    aliases.append("weight=Vi(1)")
    remainder = f"(ReLU(1 - {r}) + IntInv(10000000))"
    return Genred(f"(weight * Log({remainder}))", aliases, reduction_op="Sum", axis=0)


def _whitened_formula(d: int) -> list[str]:
    """y = factor ((high - mean_high) + (low - mean_low)), one formula a coordinate."""
    difference = [
        f"((Elem(high,{k}) - Elem(mean_high,{k})) + (Elem(low,{k}) - Elem(mean_low,{k})))"
        for k in range(d)
    ]
    return [
        _sum(
            f"(Elem(factor,{row * (row + 1) // 2 + column}) * {difference[column]})"
            for column in range(row + 1)
        )
        for row in range(d)
    ]


def _sum(terms: Iterable[str]) -> str:
    return "(" + " + ".join(terms) + ")"


def _concatenated(terms: list[str]) -> str:
    out = terms[-1]
    for term in reversed(terms[:-1]):
        out = f"Concat({term}, {out})"
    return out
