"""The engine of processors: one compiled pass over the blocks of points (`kernels`).

Threads take ranges of blocks and never wait for each other, and what they find is added up in the
order of the blocks: results do not depend on the number of threads.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.engines import kernels
from napari_sparse_gmm.engines.in_memory import (
    LEAST_LOG_SHARE,
    InMemory,
    component_table,
    n_moments,
)
from napari_sparse_gmm.engines.pattern import Pattern
from napari_sparse_gmm.engines.statistics import Sums
from napari_sparse_gmm.engines.threads import in_threads, worth_threads
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

# Nanoseconds for a pair of a point and a component, and for a point; ranges of blocks at most.
_OF_PAIR, _OF_POINT, _RANGES = 0.7, 1.0, 32
# Pairs of blocks and components whose sums are kept before they are added up: 16 MB.
_PAIRS = 1 << 18


class Fused(InMemory):
    """Compiled kernels on the processor; see `InMemory` for the parameters."""

    name = "fused"
    small = 1 << 17

    def _sums(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any], removal: bool
    ) -> Sums:
        n, n_each = len(pattern.rows), n_moments(self.n_dimensions, noise=self.noisy)
        moments = np.zeros((mixture.n_components, n_each))
        removals = np.zeros((mixture.n_components, 1))
        log_likelihoods, background = np.empty(n), np.empty(n)
        starts = pattern.starts
        first = 0
        while first < n:
            last = int(np.searchsorted(starts, starts[first] + _PAIRS, side="right")) - 1
            last = min(max(last, first + 1), n)
            some = slice(starts[first], starts[last])
            n_pairs = int(starts[last] - starts[first])
            of_pairs, lost = np.empty((n_pairs, n_each)), np.empty(n_pairs if removal else 0)
            part = pattern.between(first, last)
            answer = of_pairs, lost, log_likelihoods[first:last], background[first:last]
            self._run(kernels.MOMENTS, mixture, part, dtype, sums=answer)
            kernels.add_up(pattern.components[some], of_pairs, moments)
            if removal:
                kernels.add_up(pattern.components[some], lost[:, None], removals)
            first = last
        return Sums(
            moments, float(background.sum()), log_likelihoods, removals[:, 0] if removal else None
        )

    def _log_density(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any]
    ) -> NDArray[Any]:
        out = np.empty((len(pattern.rows), self.blocks.size), dtype)
        self._run(kernels.LOG_DENSITY, mixture, pattern, dtype, log_densities=out)
        return out

    def _best(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any]
    ) -> tuple[NDArray[np.intp], NDArray[Any], NDArray[Any]]:
        shape = len(pattern.rows), self.blocks.size
        log_densities, probabilities = np.empty(shape, dtype), np.empty(shape, dtype)
        best = np.empty(shape, dtype=np.intp)
        self._run(
            kernels.ASSIGNMENT,
            mixture,
            pattern,
            dtype,
            log_densities=log_densities,
            assigned=(best, probabilities),
        )
        return best, probabilities, log_densities

    def _run(
        self,
        question: int,
        mixture: GaussianMixture,
        pattern: Pattern,
        dtype: np.dtype[Any],
        *,
        sums: tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None = None,
        log_densities: NDArray[Any] | None = None,
        assigned: tuple[NDArray[np.intp], NDArray[Any]] | None = None,
    ) -> None:
        """Run the kernel on all rows of a pattern; answers go into the arrays that are given."""
        rows, size = pattern.rows, self.blocks.size
        behind = self.log_intensities(mixture.background_region)
        if dtype == self.dtype:
            blocks, x, weight, centres = rows, self.local, self.weight, self.centres
            noise = self.local_noise if self.noisy else None
        else:  # of so few blocks that they are made at each pass
            blocks, x = np.arange(len(rows)), self.local_coordinates(rows, dtype)
            weight, centres = self.weight[rows].astype(dtype), self.centres[rows]
            behind = behind[rows] if len(behind) else behind
            noise = self.local_variances(rows, dtype) if self.noisy else None
        if noise is None:
            noise = np.empty((0, self.n_dimensions, size), dtype)
        if sums is None:
            sums = np.empty((0, 0)), np.empty(0), np.empty(0), np.empty(0)
        nothing = np.empty((0, size), dtype)
        best, probabilities = assigned or (np.empty((0, size), dtype=np.intp), nothing)
        arguments = (
            blocks,
            pattern.starts,
            pattern.components,
            x,
            noise,
            weight,
            behind.astype(dtype, copy=False),
            centres,
            self.unit,
            component_table(mixture, self.unit, noise=self.noisy),
            mixture.log_background_density,
            LEAST_LOG_SHARE,
            *sums,
            nothing if log_densities is None else log_densities,
            best,
            probabilities,
        )
        # Ranges of blocks with as much work each.
        work = size * (_OF_PAIR * pattern.starts + _OF_POINT * np.arange(len(rows) + 1))
        n_ranges = min(_RANGES, len(rows)) if worth_threads(float(work[-1])) else 1
        edges = np.searchsorted(work, np.linspace(0, work[-1], n_ranges + 1))
        edges[0], edges[-1] = 0, len(rows)
        in_threads(
            lambda k: kernels.run(question, edges[k], edges[k + 1], *arguments),
            n_ranges,
            work=float(work[-1]),
        )
