"""Convex hulls of points."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.regions.region import BoolArray, FloatArray, Region, frozen, of_simplices

# Sides for each corner of the hull of many points on a sphere, by the number of dimensions.
_SIDES = {1: 1, 2: 1, 3: 2, 4: 7, 5: 32, 6: 187}
_MOST_SIDES = 1_000_000


class Hull(Region):
    """The convex hull of points.

    Parameters
    ----------
    points : (N, D) array, D from 2 to 6

    Raises
    ------
    InputError
        Where they enclose no volume, or have too many sides.
    """

    kind: ClassVar[str] = "hull"

    def __init__(self, points: ArrayLike) -> None:
        from scipy.spatial import ConvexHull, QhullError

        x = frozen(points, "points")
        if x.ndim == 2 and x.shape[1] > max(_SIDES):
            raise InputError(
                f"A convex hull in {x.shape[1]} dimensions has too many sides, and the most are "
                f"{max(_SIDES)}: give a Box."
            )
        try:
            hull = ConvexHull(x)
        except (QhullError, ValueError) as error:
            raise InputError(
                "A convex hull needs points that do not all lie in a line or plane."
            ) from error
        self._sides = x[hull.simplices]  # (T, D, D)
        self.corners = x[hull.vertices]
        self._volume = float(hull.volume)
        # The half spaces a x <= b that it is the intersection of; its corners are in all of them,
        # whatever the rounding.
        self._normals = hull.equations[:, :-1]
        self._limits = (self.corners @ self._normals.T).max(0)
        # A ball that it holds settles most points.
        self._centre = self.corners.mean(0)
        self._radius = float((self._limits - self._normals @ self._centre).min())
        self._slack = 1e-12 * np.abs(self.corners).max()

    @property
    def box(self) -> FloatArray:
        return np.stack([self.corners.min(0), self.corners.max(0)])

    @property
    def volume(self) -> float:
        return self._volume

    def contains(self, points: ArrayLike) -> BoolArray:
        x = np.asarray(points, dtype=np.float64)
        inside = np.square(x - self._centre).sum(1) < self._radius**2
        # One half space after the other, for the points that no other one has excluded.
        left = np.flatnonzero(~inside)
        for normal, limit in zip(self._normals, self._limits, strict=True):
            left = left[x[left] @ normal <= limit + self._slack]
        inside[left] = True
        return inside

    def covers(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        farthest = 0.5 * (lower + upper) @ self._normals.T
        farthest += 0.5 * (upper - lower) @ np.abs(self._normals).T
        return np.asarray((farthest <= self._limits).all(1))

    def contains_grid(self, axes: Sequence[FloatArray]) -> BoolArray:
        # On a line along the last axis a convex set is an interval.
        *others, last = axes
        lines = np.stack(np.meshgrid(*others, indexing="ij"), axis=-1)
        low, high = np.full(lines.shape[:-1], -np.inf), np.full(lines.shape[:-1], np.inf)
        for normal, limit in zip(self._normals, self._limits + self._slack, strict=True):
            left, slope = limit - lines @ normal[:-1], normal[-1]
            if slope > 0:
                np.minimum(high, left / slope, out=high)
            elif slope < 0:
                np.maximum(low, left / slope, out=low)
            else:
                high[left < 0] = -np.inf
        return np.asarray((last >= low[..., None]) & (last <= high[..., None]))

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        # The centre sees all of each side.
        centre = np.broadcast_to(self._centre, (len(self._sides), 1, self.n_dimensions))
        return of_simplices(np.concatenate([centre, self._sides], axis=1), n, rng)

    def transformed(self, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> "Hull":
        s, o = np.asarray(scale, dtype=float), np.asarray(offset, dtype=float)
        return Hull(s * self.corners + o)

    def values(self) -> dict[str, Any]:
        return {"corners": self.corners.tolist()}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Hull":
        corners = np.asarray(values["corners"], dtype=np.float64)
        if len(corners) * _SIDES.get(corners.shape[1], 1) > _MOST_SIDES:
            raise InputError(f"A convex hull of {len(corners):,} corners has too many sides.")
        return cls(corners)
