"""In which clusters points lie, for the many points of many shifts.

The box is a grid of cells, each with a list of the clusters that reach into it: a point asks those
of its cell alone. What is left out are clusters that have less than a ten-thousandth of the
density of the background there::

    lookup = ClusterLookup.of(mixture, 95.0, region.box)
    component, probability = lookup.at(points)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.engines.compiled import compiled
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.regions import Region

_NEGLIGIBLE = 1e-4

# Cells at most, and entries in all of their lists.
_MOST_CELLS, _MOST_ENTRIES = 1 << 18, 1 << 22

# Log of a ratio of densities: beyond there is no doubt, and its exponential stays finite.
_LARGEST_LOG = 500.0


@dataclass(frozen=True, eq=False)
class ClusterLookup:
    """The clusters of a mixture, found by cells; see `of`."""

    means: FloatArray  # (K, D)
    whitening: FloatArray  # (K, D, D)
    log_ratios: FloatArray  # peak density over that of the background, (K,)
    outline: float  # squared radius
    reach: FloatArray  # squared radii, (K,)
    lower: FloatArray  # (D,)
    step: FloatArray  # sides of a cell, (D,)
    shape: NDArray[np.intp]  # cells along each axis, (D,)
    starts: NDArray[np.intp]  # of the list of each cell, (cells + 1,)
    entries: NDArray[np.intp]
    background: Region | None  # where it is not even

    @classmethod
    def of(cls, mixture: GaussianMixture, coverage: float, box: FloatArray) -> "ClusterLookup":
        """The clusters of a mixture, whose outlines hold so many percent, for points in a box."""
        d = mixture.n_dimensions
        region = mixture.background_region
        uneven = None if region is None or region.is_even else region
        # Without a background only the order of densities matters.
        has_background = mixture.background_weight > 0
        unit = mixture.log_background_density if has_background else mixture.log_amplitudes.max()
        log_ratios = np.minimum(mixture.log_amplitudes - unit, _LARGEST_LOG)
        outline = coverage_to_radius(coverage, d) ** 2
        least = 0.0 if uneven is None else min(uneven.least_log_intensity, 0.0)
        reach = np.full(mixture.n_components, outline)
        if has_background:
            reach = np.maximum(outline, 2.0 * (log_ratios - least - np.log(_NEGLIGIBLE)))
        lower, upper = box
        half = np.sqrt(reach[:, None] * np.diagonal(mixture.covariances, axis1=1, axis2=2))
        low, high = mixture.means - half, mixture.means + half
        near = np.flatnonzero(((high >= lower) & (low <= upper)).all(1))
        side = int(_MOST_CELLS ** (1.0 / d))
        while True:
            step = (upper - lower) / side
            first, last = (
                np.clip((corner[near] - lower) // step, 0, side - 1).astype(np.intp)
                for corner in (low, high)
            )
            if side == 1 or np.prod(last - first + 1.0, axis=1).sum() <= _MOST_ENTRIES:
                break
            side //= 2
        shape = np.full(d, side)
        starts, entries = _lists(first, last, near, shape)
        return cls(
            mixture.means,
            np.ascontiguousarray(mixture.precision_factors.swapaxes(1, 2)),
            log_ratios,
            outline,
            reach,
            lower,
            step,
            shape,
            starts,
            entries,
            uneven,
        )

    def at(self, points: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
        """Of points (N, D) in the box the densest cluster whose outline they lie in, -1 for none,
        and the probability that they belong to any cluster and not to the background; (N,) each.

        Outside of its region the background is as dense as where it is thinnest.
        """
        around = np.ones(1)
        if self.background is not None:
            least = self.background.least_log_intensity
            around = np.exp(np.maximum(self.background.log_intensity(points), least))
        component = np.empty(len(points), dtype=np.intp)
        probability = np.empty(len(points))
        _look(
            np.ascontiguousarray(points),
            around,
            self.lower,
            self.step,
            self.shape,
            self.starts,
            self.entries,
            self.means,
            self.whitening,
            self.log_ratios,
            self.outline,
            self.reach,
            component,
            probability,
        )
        return component, probability


def _lists(
    first: NDArray[np.intp], last: NDArray[np.intp], near: NDArray[np.intp], shape: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The list of each cell, from where the clusters `near` (m,) begin and end, (m, D)."""
    cells, clusters = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
    for low, high, cluster in zip(first, last, near, strict=True):
        ranges = np.ix_(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)))
        cells.append(np.ravel_multi_index(np.broadcast_arrays(*ranges), tuple(shape)).ravel())
        clusters.append(np.full(len(cells[-1]), cluster))
    all_cells = np.concatenate(cells)
    order = np.argsort(all_cells, kind="stable")
    numbers = np.bincount(all_cells, minlength=int(np.prod(shape)))
    return np.append(0, np.cumsum(numbers)), np.concatenate(clusters)[order]


@compiled
def _look(
    points,
    around,
    lower,
    step,
    shape,
    starts,
    entries,
    means,
    whitening,
    log_ratios,
    outline,
    reach,
    component,
    probability,
):
    n, d = points.shape
    for i in range(n):
        cell = 0
        for axis in range(d):
            index = int((points[i, axis] - lower[axis]) / step[axis])
            cell = cell * shape[axis] + min(max(index, 0), shape[axis] - 1)
        total, densest, found = 0.0, -1.0, -1
        for entry in range(starts[cell], starts[cell + 1]):
            k = entries[entry]
            square = 0.0
            for row in range(d):
                z = 0.0
                for column in range(row + 1):
                    z += whitening[k, row, column] * (points[i, column] - means[k, column])
                square += z * z
            if square <= reach[k]:
                density = np.exp(log_ratios[k] - 0.5 * square)
                total += density
                if square <= outline and density > densest:
                    densest, found = density, k
        component[i] = found
        probability[i] = total / (total + around[i if len(around) > 1 else 0])
