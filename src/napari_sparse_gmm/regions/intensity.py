"""Regions that a background does not fill evenly: as dense as an image says."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from napari_sparse_gmm.arrays import float_array
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.regions.mask import Mask
from napari_sparse_gmm.regions.pixels import ROUNDING, Lattice, packed, unpacked
from napari_sparse_gmm.regions.region import BoolArray, FloatArray, Region, region_from_dict


@dataclass(frozen=True, eq=False)
class Intensity(Region):
    """A region in which points are as dense as an image is bright: another channel, the thickness
    of a cell, or a fitted background.

    Parameters
    ----------
    image : array of D axes
        Not negative, of any unit: only ratios matter. No point can lie where it is 0.
    spacing, origin : array
        Where its pixels are; see `Mask`.
    region : Region, optional
        Where points can lie; by default all over the image.

    Raises
    ------
    InputError
        Where a value is negative or not finite, none in the region is above 0, the region reaches
        beyond the image, or pixels have no volume.
    """

    kind: ClassVar[str] = "intensity"

    image: FloatArray
    lattice: Lattice
    region: Region
    _fills_region: bool  # as the region is where the image is above 0

    def __init__(
        self,
        image: ArrayLike,
        spacing: ArrayLike = 1.0,
        origin: ArrayLike = 0.0,
        region: Region | None = None,
    ) -> None:
        lattice = Lattice.of(np.shape(image), spacing, origin)
        values = float_array(image, "image", finite=True)
        if values.min(initial=0.0) < 0:
            raise InputError("An image that says how dense a background is may not be negative.")
        if not values.any():
            raise InputError("The image is 0 everywhere.")
        values = values / values.max()
        values.flags.writeable = False
        object.__setattr__(self, "_fills_region", region is None)
        if region is None:
            region = Mask(values > 0, lattice.spacing, lattice.origin)
        elif region.n_dimensions != values.ndim:
            raise InputError(
                f"The image has {values.ndim} axes, the region {region.n_dimensions} dimensions."
            )
        object.__setattr__(self, "image", values)
        object.__setattr__(self, "lattice", lattice)
        object.__setattr__(self, "region", region)
        around = lattice.box(np.zeros(values.ndim), lattice.shape)
        over = np.stack([around[0] - region.box[0], region.box[1] - around[1]])
        if (over > ROUNDING * (around[1] - around[0])).any():
            raise InputError("The region reaches beyond the image.")
        if not self._shares.any():
            raise InputError("The image is 0 all over the region.")

    @property
    def is_even(self) -> bool:
        return False

    @property
    def n_points(self) -> float | None:
        return self.region.n_points

    @cached_property
    def _shares_of_region(self) -> FloatArray:
        return self.lattice.shares(self.region)

    @property
    def _shares(self) -> FloatArray:
        """How much of each pixel can have points."""
        return self._shares_of_region * (self.image > 0)

    @cached_property
    def _log_values(self) -> FloatArray:
        """Of each pixel the log of its value over the mean."""
        shares = self._shares
        with np.errstate(divide="ignore"):
            return np.log(self.image * (shares.sum() / (self.image * shares).sum()))

    @cached_property
    def _positive(self) -> Region | None:
        """Where the image is above 0, unless that is everywhere in the region."""
        if self.image.all() or self._fills_region:
            return None
        return Mask(self.image > 0, self.lattice.spacing, self.lattice.origin)

    @property
    def box(self) -> FloatArray:
        return self.region.box

    @cached_property
    def volume(self) -> float:
        # Not from pixels, where some of them lie in the region with a part.
        return self.region.volume * float(self._shares.sum() / self._shares_of_region.sum())

    def contains(self, points: ArrayLike) -> BoolArray:
        return self.log_intensity(points) > -np.inf

    def covers(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        covered = self.region.covers(lower, upper)
        return covered if self._positive is None else covered & self._positive.covers(lower, upper)

    def log_intensity(self, points: ArrayLike) -> FloatArray:
        x = np.asarray(points, dtype=np.float64)
        pixels, _ = self.lattice.pixels(x)
        return np.where(self.region.contains(x), self._log_values[tuple(pixels.T)], -np.inf)

    @cached_property
    def least_log_intensity(self) -> float:
        return float(self._log_values[self.image > 0].min())

    def quantiles(self, shares: Sequence[float]) -> FloatArray:
        """Of how many times denser it is than on average, over its volume."""
        order = np.argsort(self.image, axis=None)
        before = np.cumsum(self._shares.ravel()[order])
        rows = np.searchsorted(before, np.asarray(shares) * before[-1])
        return np.exp(self._log_values.ravel()[order[np.minimum(rows, len(order) - 1)]])

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        # Of pixels that lie in the region with a part only that part is kept.
        masses = self.image * (self._shares > 0)
        drawn = self.lattice.sample(masses, n, rng)
        outside = np.flatnonzero(~self.contains(drawn))
        while len(outside):
            drawn[outside] = self.lattice.sample(masses, len(outside), rng)
            outside = outside[~self.contains(drawn[outside])]
        return drawn

    def transformed(self, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> "Intensity":
        moved = self.lattice.transformed(scale, offset)
        region = self.region.transformed(scale, offset)
        return Intensity(self.image, moved.spacing, moved.origin, region)

    def values(self) -> dict[str, Any]:
        return {
            **self.lattice.values(),
            "packed_image": packed(self.image),
            "region": self.region.to_dict(),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return Intensity, (self.image, self.lattice.spacing, self.lattice.origin, self.region)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Intensity":
        lattice = Lattice.from_values(values)
        size = int(np.prod(lattice.shape))
        image = unpacked(values["packed_image"], np.float64, size).reshape(lattice.shape)
        region = region_from_dict(values["region"])
        return cls(image, lattice.spacing, lattice.origin, region)
