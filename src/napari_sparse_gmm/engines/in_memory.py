"""Points in the memory of this machine, in blocks of neighbours: what all engines here share.

The cells are the blocks (`blocks`), and each meets only the components that matter there
(`pattern`). The kernels are single precision, without its pitfalls: in a field 10^4 times wider
than a component a float32 coordinate is good to 1e-3 standard deviations only. So coordinates are
relative to the centre of their block, and so are the means, once for each pair of a block and a
component: both differences are taken in double precision. The few blocks that are far wider than
one of their components, or far from it (outliers, borders), are computed in double precision.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.spatial import cKDTree

from napari_sparse_gmm.engines.blocks import Blocks, fill_blocks, ordered
from napari_sparse_gmm.engines.engine import Cells, Engine, Summary
from napari_sparse_gmm.engines.information import Information, information
from napari_sparse_gmm.engines.overdensity import Overdensities, Search
from napari_sparse_gmm.engines.pattern import Pattern, find_pattern
from napari_sparse_gmm.engines.statistics import Assignment, Scores, Statistics, Sums
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Region, inside_each
from napari_sparse_gmm.regions.pixels import Lattice

_Number = TypeVar("_Number", bound=np.generic)

# Smaller shares of a density, relative to its largest, are taken for exp(-70) = 4e-31: nothing
# beside 1, but far from the denormal numbers with which a processor computes far more slowly.
LEAST_LOG_SHARE = -70.0

# What may be left out of the density at a point, as a share of it.
TOLERANCES = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-12}

BLOCK_SIZE = 128
_LARGEST_BLOCK = 512


def block_size(n_points: int, n_components: int) -> int:
    """How many points a block should have: several blocks for each component, where that is so.

    Below 128 the pairs cost more than what they save, above 512 nothing more is gained.
    """
    return int(np.clip(n_points // (8 * max(1, n_components)), BLOCK_SIZE, _LARGEST_BLOCK))


class InMemory(Engine):
    """Some observations, N >= 1, ordered in space.

    Parameters
    ----------
    observations : Observations
        Finite points, in any units, of non-negative weight.
    device : str
        "cpu" or a CUDA device.
    dtype : dtype
        Precision of the kernels where it is enough; sums over blocks are double precision.
    block_size : int
        Points in a block, about: few where there are many components.
    tolerance : float, optional
        The most that may be left out of the density at a point, as a share of it: the log
        density is within `tolerance` of the dense sum. 1e-5; in double precision 1e-12.
    blocks : Blocks, optional
        Of these points, where they are known: `block_size` is then not looked at.
    read : callable, optional
        Gives the same observations again, where they can be forgotten meanwhile.
    """

    # Points x components up to which double precision costs no time.
    small: ClassVar[int] = 0

    def __init__(
        self,
        observations: Observations,
        *,
        device: str = "cpu",
        dtype: DTypeLike = np.float32,
        block_size: int = BLOCK_SIZE,
        tolerance: float | None = None,
        blocks: Blocks | None = None,
        read: Callable[[], Observations] | None = None,
    ) -> None:
        self.observations, self._read = observations, read
        self.noisy = observations.noise is not None
        self.n_points, self.n_dimensions = observations.points.shape
        self.device, self.dtype = device, np.dtype(dtype)
        self.tolerance = TOLERANCES[self.dtype] if tolerance is None else tolerance
        if blocks is None:
            blocks, self.placed = ordered(observations.points, block_size, observations.noise)
        self.blocks = blocks
        self.total_weight = observations.total_weight
        self.centres = blocks.boxes.centre  # (n_blocks, D)
        sizes = np.sqrt(np.square(blocks.boxes.half).sum(1))
        self.unit = _power_of_two(np.median(sizes[sizes > 0])) if sizes.any() else 1.0
        # Weights of any size, too, are numbers around 1 for the kernels.
        self.weight_unit = _power_of_two(self.total_weight / self.n_points)
        self._log_intensities: WeakKeyDictionary[Region, NDArray[Any]] = WeakKeyDictionary()
        self.prepared: dict[Any, Any] = {}  # what searches for overdensities keep here

    def forget(self) -> None:
        """Keep no more than the kernels need; the points are read again for other questions."""
        assert self._read is not None
        self.prepared.clear()
        for name in ("observations", "placed", "placed_noise"):
            self.__dict__.pop(name, None)

    @property
    def n_bytes(self) -> int:
        """What the kernels need."""
        each = 1 + (2 if self.noisy else 1) * self.n_dimensions
        return self.dtype.itemsize * each * len(self.blocks) * self.blocks.size

    @cached_property
    def observations(self) -> Observations:
        """The points, in the order that they were given in."""
        assert self._read is not None
        return self._read()

    @cached_property
    def placed(self) -> FloatArray:
        """The points in the order of the blocks, (N, D)."""
        return self.blocks.in_order(self.observations.points)

    @cached_property
    def summary(self) -> Summary:
        return Summary.of(self.observations)

    @cached_property
    def typical_noise(self) -> FloatArray | None:
        noise = self.observations.noise
        return None if noise is None else np.median(noise, axis=0)

    @cached_property
    def cell_weights(self) -> FloatArray:
        return self.weight.sum(1, dtype=np.float64) * self.weight_unit

    @cached_property
    def digest(self) -> bytes:
        return self.observations.digest

    def sample(self, n: int, rng: np.random.Generator) -> Observations:
        if n >= self.n_points:
            return self.observations
        return self.observations.subset(rng.choice(self.n_points, n, replace=False))

    def n_outside(self, region: Region) -> int:
        return int(np.count_nonzero(~region.contains(self.observations.points)))

    def expectation(
        self,
        mixture: GaussianMixture,
        *,
        removal: bool = False,
        cells: NDArray[np.intp] | None = None,
    ) -> Statistics:
        with limited_threads():
            pattern = find_pattern(self.blocks, mixture, self.tolerance, cells)
            parts = self._by_precision(pattern)
            sums = Sums.joining(
                [self._sums(mixture, part, dtype, removal) for part, dtype in parts]
            )
        log_likelihoods = np.zeros(len(self.blocks))
        log_likelihoods[np.concatenate([part.rows for part, _ in parts])] = sums.log_likelihoods
        return Statistics.of(
            sums,
            mixture,
            noise=self.noisy,
            unit=self.unit,
            weight_unit=self.weight_unit,
            cell_log_likelihoods=log_likelihoods,
            total_weight=self.total_weight,
        )

    def background_counts(self, mixture: GaussianMixture, lattice: Lattice) -> FloatArray:
        weights, shares = self.observations.weights, self._background_shares(mixture)
        weighted = shares if weights is None else weights * shares
        return lattice.summed(self.observations.points, weighted)

    def region_weights(self, mixture: GaussianMixture, regions: Sequence[Region]) -> FloatArray:
        points, weights = self.observations.points, self.observations.weights
        values = np.zeros((len(points), 2))
        values[:, 0] = 1.0 if weights is None else weights
        if mixture.background_weight > 0:
            values[:, 1] = values[:, 0] * self._background_shares(mixture)
        return np.array([values[rows].sum(0) for rows in inside_each(points, regions)])

    def touched(self, mixture: GaussianMixture) -> Pattern:
        return find_pattern(self.blocks, mixture, self.tolerance)

    def near(self, positions: FloatArray, radii: FloatArray) -> Cells:
        return Cells.near(self._centre_tree, positions, radii)

    def overdensities(
        self, mixture: GaussianMixture, search: Search, whole: Summary | None = None
    ) -> Overdensities:
        return search.found(self, mixture, self.summary if whole is None else whole)

    def information(self, mixture: GaussianMixture, pairs: NDArray[np.intp]) -> Information:
        return information(self, mixture, pairs)

    def log_density(self, mixture: GaussianMixture, pattern: Pattern | None = None) -> FloatArray:
        return self.in_given_order(self.block_log_density(mixture, pattern))

    def placed_log_density(self, mixture: GaussianMixture) -> FloatArray:
        """`log_density` in the order of the blocks, (N,)."""
        return self.block_log_density(mixture)[self._real]

    def block_log_density(
        self, mixture: GaussianMixture, pattern: Pattern | None = None
    ) -> FloatArray:
        """`log_density` of the points of all blocks, (n_blocks, B).

        Of the `pattern` of all blocks, where it is known.
        """
        out = np.empty((len(self.blocks), self.blocks.size))
        with limited_threads():
            if pattern is None:
                pattern = find_pattern(self.blocks, mixture, self.tolerance)
            for part, dtype in self._by_precision(pattern):
                out[part.rows] = self._log_density(mixture, part, dtype)
        return out

    def assign(self, mixture: GaussianMixture) -> Assignment:
        shape = (len(self.blocks), self.blocks.size)
        component = np.empty(shape, dtype=np.intp)
        probability, log_density = np.empty(shape), np.empty(shape)
        with limited_threads():
            pattern = find_pattern(self.blocks, mixture, self.tolerance)
            for part, dtype in self._by_precision(pattern):
                best, share, log_p = self._best(mixture, part, dtype)
                component[part.rows] = np.append(part.components, -1)[best]
                probability[part.rows], log_density[part.rows] = share, log_p
        return Assignment(
            self.in_given_order(component),
            self.in_given_order(probability),
            self.in_given_order(log_density),
        )

    def scores(self, mixture: GaussianMixture) -> Scores:
        return self.assign(mixture).scores(self.observations.weights)

    def without_noise(self) -> "InMemory":
        return type(self)(
            Observations(self.observations.points, self.observations.weights),
            device=self.device,
            dtype=self.dtype,
            tolerance=self.tolerance,
            blocks=self.blocks.with_noise(None),
        )

    def _background_shares(self, mixture: GaussianMixture) -> FloatArray:
        """How probably each point is of the background, (N,)."""
        region = mixture.background_region
        assert region is not None
        behind = mixture.log_background_density + region.log_intensity(self.observations.points)
        return np.asarray(np.exp(behind - self.log_density(mixture)))

    @abstractmethod
    def _sums(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any], removal: bool
    ) -> Sums:
        """The sums over the points of some blocks, in lengths of `unit`."""

    @abstractmethod
    def _log_density(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any]
    ) -> NDArray[Any]:
        """Log density at the points of some blocks, (n, B)."""

    @abstractmethod
    def _best(
        self, mixture: GaussianMixture, pattern: Pattern, dtype: np.dtype[Any]
    ) -> tuple[NDArray[np.intp], NDArray[Any], NDArray[Any]]:
        """Of the points of some blocks, (n, B) each: the pair of the most probable component, -1
        for the background; how probable it is; and the log density.
        """

    def _by_precision(self, pattern: Pattern) -> list[tuple[Pattern, np.dtype[Any]]]:
        """The parts of a pattern that need double precision and that do not."""
        double, single = np.dtype(np.float64), self.dtype
        if single == double or pattern.double.all():
            return [(pattern, double)]
        if not pattern.double.any():
            return [(pattern, single)]
        return [(pattern.among(~pattern.double), single), (pattern.among(pattern.double), double)]

    @cached_property
    def _centre_tree(self) -> cKDTree:
        return cKDTree(self.centres)

    @cached_property
    def weight(self) -> NDArray[Any]:
        """Weights of the points of all blocks, (n_blocks, B), in units; 0 for padding."""
        weight = np.zeros((len(self.blocks), self.blocks.size), dtype=self.dtype)
        own = self.observations.weights
        in_order = 1.0 if own is None else self.blocks.in_order(own) / self.weight_unit
        weight[self._real] = in_order
        return weight

    @cached_property
    def local(self) -> NDArray[Any]:
        """Coordinates of all points relative to the centre of their block, in units,
        (n_blocks, D, B).
        """
        return self.local_coordinates(None, self.dtype)

    @cached_property
    def local_noise(self) -> NDArray[Any]:
        """Variances of the noise of all points, in squared units, (n_blocks, D, B)."""
        return self.local_variances(None, self.dtype)

    def local_coordinates(self, rows: NDArray[np.intp] | None, dtype: DTypeLike) -> NDArray[Any]:
        """`local` of some blocks, (n, D, B); the last point of a short one is repeated."""
        rows = np.arange(len(self.blocks)) if rows is None else rows
        return fill_blocks(self.placed, self.blocks, rows, self.centres, self.unit, dtype)

    def local_variances(self, rows: NDArray[np.intp] | None, dtype: DTypeLike) -> NDArray[Any]:
        """`local_noise` of some blocks."""
        rows = np.arange(len(self.blocks)) if rows is None else rows
        zero = np.zeros_like(self.centres)
        return fill_blocks(self.placed_noise, self.blocks, rows, zero, self.unit**2, dtype)

    @cached_property
    def placed_noise(self) -> FloatArray:
        """Variances of the noise of the points in the order of the blocks, (N, D)."""
        assert self.observations.noise is not None
        return self.blocks.in_order(self.observations.noise)

    def log_intensities(self, region: Region | None) -> NDArray[Any]:
        """`Region.log_intensity` at the points of all blocks, (n_blocks, B); (0, B) where all of
        them are 0. Remembered: all mixtures of a fit have the same region, or one of a few.
        """
        if region is None:
            return np.empty((0, self.blocks.size), dtype=self.dtype)
        if region not in self._log_intensities:
            whole = self.blocks.boxes.joined(1)
            values = np.zeros(self.n_points)
            if not (region.is_even and region.covers(whole.lower, whole.upper).all()):
                values = region.log_intensity(self.placed)
            found = np.zeros((len(self.blocks) if values.any() else 0, self.blocks.size))
            if len(found):
                found[self._real] = values
            self._log_intensities[region] = found.astype(self.dtype)
        return self._log_intensities[region]

    @property
    def _real(self) -> NDArray[np.bool_]:
        """Which slots of all blocks have a point, and no padding, (n_blocks, B)."""
        return np.arange(self.blocks.size) < np.diff(self.blocks.starts)[:, None]

    def in_given_order(self, padded: NDArray[_Number]) -> NDArray[_Number]:
        """Values of the points of all blocks (n_blocks, B) in the order of the points, (N,)."""
        placed = padded[self._real]
        if self.blocks.order is None:
            return placed
        out = np.empty_like(placed)
        out[self.blocks.order] = placed
        return out


def component_table(mixture: GaussianMixture, unit: float, *, noise: bool) -> FloatArray:
    """What kernels need of each component, (K, 1 + D + D (D + 1) / 2): offset, mean in data units,
    and a lower triangle row by row, in lengths of `unit`.

    Without noise: the log of its peak density, and the whitening factor times 0.5^0.5. With: the
    log of its weight less D/2 log 2 pi, for densities per data unit^D, and the covariance.
    """
    d = mixture.n_dimensions
    if noise:
        offset = mixture.log_constants - d * np.log(unit)
        triangles = mixture.packed_covariances / unit**2
    else:
        offset = mixture.log_amplitudes
        triangles = mixture.packed_whitening * unit
    return np.ascontiguousarray(np.column_stack([offset, mixture.means, triangles]))


def n_moments(n_dimensions: int, *, noise: bool) -> int:
    """How many moments of a component there are in `Sums`."""
    triangle = n_dimensions * (n_dimensions + 1) // 2
    return 1 + n_dimensions + (2 * triangle if noise else triangle)


def _power_of_two(value: float) -> float:
    return float(2.0 ** np.round(np.log2(value))) if value > 0 else 1.0
