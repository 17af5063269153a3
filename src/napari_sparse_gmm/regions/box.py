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
    n_points : float, optional
        Of how many points, or of what weight, it is the bounding box, where that is all that is
        known of it: how far it really reaches is uncertain then.

    Raises
    ------
    InputError
        Where they are not finite, or the lower one is not below the upper one on every axis.
    """

    kind: ClassVar[str] = "box"

    corners: FloatArray
    n_points: float | None = None

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
        corners = self.corners * np.asarray(scale, dtype=float) + np.asarray(offset, dtype=float)
        return Box(corners, self.n_points)

    def values(self) -> dict[str, Any]:
        known = {} if self.n_points is None else {"n_points": self.n_points}
        return {"corners": self.corners.tolist(), **known}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Box":
        n_points = values.get("n_points")
        return cls(np.asarray(values["corners"]), None if n_points is None else float(n_points))
