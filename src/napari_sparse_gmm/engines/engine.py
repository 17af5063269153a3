"""What an engine is: the heavy sums of one set of points, for any mixture.

An engine holds the points where it computes (memory of the processor or of a graphics
card) and answers three questions: `expectation`, `log_density` and `assign`. All that a solver,
a move, a heatmap or a label needs of the data goes through them::

    engine = TorchTiles(points)
    statistics = engine.expectation(mixture)

Points are kept in blocks of neighbours (`blocks`), and each block meets only the components
that matter there (`pattern`). The kernels are single precision, without its pitfalls: in a
field 10^4 times wider than a component a float32 coordinate is good to 1e-3 standard
deviations only. So coordinates are relative to the centre of their block, and so are the
means, once for each pair of a block and a component: both differences are taken in double
precision. The few blocks that are far wider than one of their components, or far from it
(outliers, borders), are computed in double precision altogether; and so are points with noise.

What is asked of points with noise is asked of their true places, which nobody knows: statistics
are the expected ones, given where the points are seen.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import ClassVar, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_sparse_gmm.engines.blocks import Blocks
from napari_sparse_gmm.engines.moments import about_means, of_true_places
from napari_sparse_gmm.engines.pairs import TABLES, Form, Pairs, PairSums
from napari_sparse_gmm.engines.pattern import Pattern, find_pattern, may_expand, needs_double
from napari_sparse_gmm.engines.precision import exact_products
from napari_sparse_gmm.engines.statistics import Assignment, Statistics
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.regions import Region

_Number = TypeVar("_Number", bound=np.generic)

# Smaller shares of a density, relative to its largest, are taken for exp(-70) = 4e-31: nothing
# beside 1, but far from the denormal numbers with which a processor computes far more slowly.
LEAST_LOG_SHARE = -70

# What may be left out of the density at a point, as a share of it.
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}

BLOCK_SIZE = 128
_LARGEST_BLOCK = 512


def block_size(n_points: int, n_components: int) -> int:
    """How many points a block should have: several blocks for each component, where that is so.

    Below 128 the pairs cost more than what they save, above 512 nothing more is gained.
    """
    return int(np.clip(n_points // (8 * max(1, n_components)), BLOCK_SIZE, _LARGEST_BLOCK))


class EngineUnavailable(Exception):
    """An engine that cannot run here. The message is a sentence that says why."""


class Engine(ABC):
    """The sums over one set of points.

    Parameters
    ----------
    points : (N, D) array
        Finite coordinates, in any units.
    sample_weight : (N,) array, optional
        Non-negative weight of each point; 1 where it is not given.
    noise : (N, D) array, optional
        Variances of the noise of each point along each axis.
    device : str
        "cpu" or a CUDA device.
    dtype : torch.dtype
        Precision of the kernels; float64 in any case for points with noise, and for sums over
        blocks of points.
    block_size : int
        Points in a block, about: few where there are many components.
    tolerance : float, optional
        The most that may be left out of the density at a point, as a share of it: the log
        density is within `tolerance` of the dense sum. 1e-5; in double precision 1e-12.
    blocks : Blocks, optional
        Of these points, where they are known: `block_size` is then not looked at.
    """

    name: ClassVar[str]
    # Whether its kernels are faster in the expanded form.
    expands: ClassVar[bool] = True
    # Points x components up to which double precision costs no time.
    small: ClassVar[int] = 0

    def __init__(
        self,
        points: FloatArray,
        sample_weight: FloatArray | None = None,
        *,
        noise: FloatArray | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        block_size: int = BLOCK_SIZE,
        tolerance: float | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        self.n_points, self.n_dimensions = points.shape
        self.device = device
        self.dtype = dtype if noise is None else torch.float64
        self.tolerance = TOLERANCES[dtype] if tolerance is None else tolerance
        self.total_weight = float(len(points) if sample_weight is None else sample_weight.sum())
        self.points, self.sample_weight, self.noise = points, sample_weight, noise
        self.blocks = Blocks.of(points, block_size, noise) if blocks is None else blocks
        # What a typical point has, (D,): enough to tell which components look alike.
        self.typical_noise = np.zeros(self.n_dimensions)
        if noise is not None:
            self.typical_noise = np.median(noise, axis=0)
        self.box = np.stack([self.blocks.boxes.lower.min(0), self.blocks.boxes.upper.max(0)])
        self._centres = self.blocks.boxes.centre  # (n_blocks, D)
        sizes = np.sqrt(np.square(self.blocks.boxes.half).sum(1))
        self.unit = _power_of_two(np.median(sizes[sizes > 0])) if sizes.any() else 1.0
        self._outsides: WeakKeyDictionary[Region, NDArray[np.bool_] | None] = WeakKeyDictionary()
        # Weights of any size, too, are numbers around 1 for the kernels.
        self.weight_unit = _power_of_two(self.total_weight / self.n_points)
        self._weight = self._padded_weight(sample_weight)  # (n_blocks, B)
        sums = self._weight.sum(1, dtype=torch.float64).cpu().numpy()
        self.block_weights = sums * self.weight_unit  # (n_blocks,)

    def expectation(
        self,
        mixture: GaussianMixture,
        *,
        removal: bool = False,
        rows: NDArray[np.intp] | None = None,
    ) -> Statistics:
        """The statistics of `mixture`; with `removal` if asked; on some blocks, `rows`, or all."""
        with torch.no_grad(), limited_threads(), exact_products():
            pattern = find_pattern(self.blocks, mixture, self.tolerance, rows)
            parts = [
                (pairs.pattern, self._pair_sums(pairs, removal))
                for pairs in self._by_arithmetic(pattern, mixture)
            ]
            return self._statistics(mixture, parts, removal)

    def log_density(self, mixture: GaussianMixture, pattern: Pattern | None = None) -> FloatArray:
        """Natural log of the density of `mixture` at the points, (N,).

        `pattern` is that of all blocks and this mixture, where it is known.
        """
        with torch.no_grad(), limited_threads(), exact_products():
            if pattern is None:
                pattern = find_pattern(self.blocks, mixture, self.tolerance)
            padded = np.empty((len(self.blocks), self.blocks.size))
            for pairs in self._by_arithmetic(pattern, mixture):
                padded[pairs.pattern.rows] = self._log_density(pairs).double().cpu().numpy()
        return self._in_given_order(padded)

    def assign(self, mixture: GaussianMixture) -> Assignment:
        """The most probable component of each point."""
        shape = (len(self.blocks), self.blocks.size)
        component = np.empty(shape, dtype=np.intp)
        probability, log_density = np.empty(shape), np.empty(shape)
        with torch.no_grad(), limited_threads(), exact_products():
            pattern = find_pattern(self.blocks, mixture, self.tolerance)
            for pairs in self._by_arithmetic(pattern, mixture):
                rows = pairs.pattern.rows
                # One place behind the last pair stands for the background.
                components = np.append(pairs.pattern.components, -1)
                best, share, log_p = (values.cpu().numpy() for values in self._best(pairs))
                component[rows] = components[best]
                probability[rows], log_density[rows] = share, log_p
        return Assignment(
            self._in_given_order(component),
            self._in_given_order(probability),
            self._in_given_order(log_density),
        )

    def _in_given_order(self, padded: NDArray[_Number]) -> NDArray[_Number]:
        """Values of the points of all blocks (n_blocks, B) in the order of the points, (N,)."""
        out = np.empty(self.n_points, dtype=padded.dtype)
        sizes = np.diff(self.blocks.starts)
        out[self.blocks.order] = padded[np.arange(self.blocks.size) < sizes[:, None]]
        return out

    @abstractmethod
    def _pair_sums(self, pairs: Pairs, removal: bool) -> PairSums:
        """The sums over the points of each block, without gradients."""

    @abstractmethod
    def _log_density(self, pairs: Pairs) -> Tensor:
        """Log density at the points of each block, (n, B)."""

    @abstractmethod
    def _best(self, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
        """Of the points of each block, (n, B) each: the pair of the most probable component, P
        for the background; how probable it is; and the log density.
        """

    def _by_arithmetic(self, pattern: Pattern, mixture: GaussianMixture) -> list[Pairs]:
        """The pairs of the pattern, apart by the precision and the form that their blocks need."""
        if self.noise is not None:
            return [self._pairs(pattern, mixture, self.dtype, Form.NOISY)]
        boxes = self.blocks.boxes
        double = np.full(len(pattern.rows), self.dtype == torch.float64)
        if self.dtype != torch.float64:
            double = needs_double(pattern, boxes, mixture)
        parts = []
        for dtype, of_type in ((torch.float32, ~double), (torch.float64, double)):
            if not of_type.any():
                continue
            some = pattern.among(of_type)
            expanded = np.zeros(len(some.rows), dtype=bool)
            if self.expands or dtype == torch.float64:
                expanded = may_expand(some, boxes, mixture, dtype, self.unit)
            parts += [
                self._pairs(some.among(chosen), mixture, dtype, form)
                for form, chosen in ((Form.EXPANDED, expanded), (Form.WHITENED, ~expanded))
                if chosen.any()
            ]
        return parts

    def _pairs(
        self, pattern: Pattern, mixture: GaussianMixture, dtype: torch.dtype, form: Form
    ) -> Pairs:
        j = pattern.components
        means = ((mixture.means[j] - self._centres[pattern.blocks]) / self.unit).T  # (D, P)
        table = TABLES[form](mixture, j, means, self.unit)
        return Pairs(
            pattern,
            form,
            torch.from_numpy(table).to(self.device, dtype),
            self._background(pattern.rows, mixture, dtype),
        )

    def _background(
        self, rows: NDArray[np.intp], mixture: GaussianMixture, dtype: torch.dtype
    ) -> Tensor | None:
        """Log of the background's density at each point of some blocks, (n, 1) or (n, B)."""
        value, region = mixture.log_background_density, mixture.background_region
        if region is None or not np.isfinite(value):
            return None
        outside = self._outside(region)
        if outside is None or not (outside := outside[rows]).any():
            out = np.full((len(rows), 1), value)
        else:
            out = np.where(outside, -np.inf, value)
        return torch.from_numpy(out).to(self.device, dtype)

    def _outside(self, region: Region) -> NDArray[np.bool_] | None:
        """Which points of each block lie outside of a region, (n_blocks, B); None where none does.

        Remembered: all mixtures of a fit have the same region.
        """
        if region not in self._outsides:
            found = ~region.contains(self.points)
            self._outsides[region] = found[self._places(None)] if found.any() else None
        return self._outsides[region]

    def _places(self, rows: NDArray[np.intp] | None) -> NDArray[np.intp]:
        """Which point is where in the blocks `rows`, or all, (n, B); short ones repeat their last.

        The repeated points weigh nothing.
        """
        starts, ends = self.blocks.starts[:-1], self.blocks.starts[1:]
        if rows is not None:
            starts, ends = starts[rows], ends[rows]
        places = starts[:, None] + np.arange(self.blocks.size)
        return self.blocks.order[np.minimum(places, ends[:, None] - 1)]

    def _local_coordinates(self, rows: NDArray[np.intp] | None, dtype: torch.dtype) -> Tensor:
        """Coordinates relative to the centre of the block, in units, (n, D, B)."""
        centres = self._centres if rows is None else self._centres[rows]
        return self._of_axes(self.points, rows, dtype, centres, self.unit)

    @cached_property
    def _local_noise(self) -> Tensor:
        """Variances of the noise of all points, in squared units, (n_blocks, D, B)."""
        assert self.noise is not None
        return self._of_axes(self.noise, None, self.dtype, None, self.unit**2)

    def _of_axes(
        self,
        values: FloatArray,
        rows: NDArray[np.intp] | None,
        dtype: torch.dtype,
        origins: FloatArray | None,
        unit: float,
    ) -> Tensor:
        """Values of points (N, D) as those of the points of blocks, (n, D, B)."""
        places = self._places(rows)
        out = torch.empty((len(places), self.n_dimensions, self.blocks.size), dtype=dtype)
        for k in range(self.n_dimensions):
            local = values[:, k][places]
            if origins is not None:
                local -= origins[:, k, None]
            out[:, k] = torch.from_numpy(local / unit)
        return out.to(self.device)

    def _padded_weight(self, sample_weight: FloatArray | None) -> Tensor:
        places = np.arange(self.blocks.size)
        real = places < np.diff(self.blocks.starts)[:, None]
        weight = real.astype(np.float64)
        if sample_weight is not None:
            weight *= sample_weight[self._places(None)] / self.weight_unit
        return torch.from_numpy(weight).to(self.device, self.dtype)

    def _statistics(
        self,
        mixture: GaussianMixture,
        parts: list[tuple[Pattern, PairSums]],
        removal: bool,
    ) -> Statistics:
        """The sums of all pairs as statistics of the components."""
        k = mixture.n_components
        if self.noise is None:
            moments = about_means(mixture, parts, self._centres, self.unit)
        else:
            moments = of_true_places(mixture, parts, self.unit)
        removals = np.zeros(k)
        log_likelihoods = np.zeros(len(self.blocks))
        for pattern, sums in parts:
            log_likelihoods[pattern.rows] = sums.log_likelihoods.cpu().numpy() * self.weight_unit
            if sums.removal is not None:
                removals += np.bincount(
                    pattern.components, sums.removal.cpu().numpy() * self.weight_unit, minlength=k
                )
        return Statistics(
            **{name: self.weight_unit * sums for name, sums in moments.items()},
            background_count=self.weight_unit * sum(sums.background_count for _, sums in parts),
            block_log_likelihoods=log_likelihoods,
            total_weight=self.total_weight,
            removal=removals if removal else None,
        )


def _power_of_two(value: float) -> float:
    return float(2.0 ** np.round(np.log2(value))) if value > 0 else 1.0
