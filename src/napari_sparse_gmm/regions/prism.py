"""Regions of the last axes, taken along the axes before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from napari_sparse_gmm.arrays import bounds
from napari_sparse_gmm.regions.box import Box
from napari_sparse_gmm.regions.region import BoolArray, FloatArray, Region, region_from_dict


@dataclass(frozen=True, eq=False)
class Prism(Region):
    """A region along the last axes, between two values along each of those before.

    Parameters
    ----------
    sides : Box
        The axes before: for a z-stack over a region of the plane, from the lowest to the highest z.
    base : Region
    """

    kind: ClassVar[str] = "prism"

    sides: Box
    base: Region

    @property
    def box(self) -> FloatArray:
        return np.hstack([self.sides.box, self.base.box])

    @property
    def volume(self) -> float:
        return self.sides.volume * self.base.volume

    def contains(self, points: ArrayLike) -> BoolArray:
        first, last = self._split(np.asarray(points, dtype=np.float64))
        return self.sides.contains(first) & self.base.contains(last)

    def covers(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        (low, lower), (high, upper) = self._split(lower), self._split(upper)
        return self.sides.covers(low, high) & self.base.covers(lower, upper)

    def contains_grid(self, axes: Sequence[FloatArray]) -> BoolArray:
        d = self.sides.n_dimensions
        return np.asarray(
            np.multiply.outer(self.sides.contains_grid(axes[:d]), self.base.contains_grid(axes[d:]))
        )

    @property
    def is_even(self) -> bool:
        return self.base.is_even

    def log_intensity(self, points: ArrayLike) -> FloatArray:
        first, last = self._split(np.asarray(points, dtype=np.float64))
        return np.where(self.sides.contains(first), self.base.log_intensity(last), -np.inf)

    @property
    def least_log_intensity(self) -> float:
        return self.base.least_log_intensity

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        return np.hstack([self.sides.sample(n, rng), self.base.sample(n, rng)])

    def transformed(self, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> "Prism":
        (s, scales), (o, offsets) = (
            self._split(np.broadcast_to(np.asarray(value, dtype=float), self.n_dimensions))
            for value in (scale, offset)
        )
        return Prism(self.sides.transformed(s, o), self.base.transformed(scales, offsets))

    def values(self) -> dict[str, Any]:
        return {"sides": self.sides.values(), "base": self.base.to_dict()}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Prism":
        return cls(Box.from_values(values["sides"]), region_from_dict(values["base"]))

    def _split(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Coordinates (..., D) along the axes of the sides, and along those of the base."""
        d = self.sides.n_dimensions
        return values[..., :d], values[..., d:]


def over(
    base: Region, points: FloatArray, box: FloatArray | None = None
) -> tuple[Region, BoolArray]:
    """A region of the last axes as one of all axes of points (N, D), and which of them lie in it.

    Along the axes before, it reaches as far as those points do, or as a box (2, D) if given.
    """
    n_free = points.shape[1] - base.n_dimensions
    inside = base.contains(points[:, n_free:])
    if not n_free or not inside.any():
        return base, inside
    sides = bounds(points[inside, :n_free]) if box is None else box[:, :n_free].copy()
    sides[:, sides[0] == sides[1]] += np.array([[-0.5], [0.5]])
    return Prism(Box(sides), base), inside


def over_each(regions: Mapping[str, Region], whole: Region) -> dict[str, Region]:
    """Regions of the last axes as `over` has made one of all of them together."""
    if not isinstance(whole, Prism):
        return dict(regions)
    return {
        name: Prism(whole.sides, base) if base.n_dimensions < whole.n_dimensions else base
        for name, base in regions.items()
    }
