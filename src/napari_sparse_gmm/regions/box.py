"""Boxes with sides along the axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.regions.region import BoolArray, FloatArray, Region, frozen


@dataclass(frozen=True, eq=False)
class Box(Region):
    """A box with sides along the axes.

    Parameters
    ----------
    corners : (2, D) array
        Lower and upper corner.

    Raises
    ------
    InputError
        Where they are not finite, or the lower one is not below the upper one on every axis.
    """

    kind: ClassVar[str] = "box"

    corners: FloatArray

    def __post_init__(self) -> None:
        corners = frozen(self.corners, "corners")
        if corners.ndim != 2 or len(corners) != 2 or not (corners[1] > corners[0]).all():
            raise InputError(
                "A box needs a (2, D) array, the lower corner below the upper one on every axis."
            )
        object.__setattr__(self, "corners", corners)

    @property
    def box(self) -> FloatArray:
        return self.corners

    @property
    def volume(self) -> float:
        return float(np.prod(self.corners[1] - self.corners[0]))

    def contains(self, points: ArrayLike) -> BoolArray:
        x = np.asarray(points, dtype=np.float64)
        return self.covers(x, x)

    def covers(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        return np.asarray(((lower >= self.corners[0]) & (upper <= self.corners[1])).all(1))

    def contains_grid(self, axes: Sequence[FloatArray]) -> BoolArray:
        inside = [
            (axis >= low) & (axis <= high)
            for axis, low, high in zip(axes, *self.corners, strict=True)
        ]
        return np.asarray(reduce(np.logical_and.outer, inside))

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        lower, upper = self.corners
        return np.asarray(rng.uniform(lower, upper, (n, len(lower))))

    def transformed(self, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> "Box":
        return Box(self.corners * np.asarray(scale, dtype=float) + np.asarray(offset, dtype=float))

    def values(self) -> dict[str, Any]:
        return {"corners": self.corners.tolist()}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Box":
        return cls(np.asarray(values["corners"]))
