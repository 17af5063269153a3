"""Polygons in the plane."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.regions.region import BoolArray, FloatArray, Region, frozen


class Polygon(Region):
    """What lies in any of some polygons in the plane.

    Parameters
    ----------
    *outlines : (V, 2) arrays
        The corners of each, in order. One that crosses itself is taken apart there.

    Raises
    ------
    InputError
        Where an outline has fewer than three finite corners, or they enclose no area.
    """

    kind: ClassVar[str] = "polygon"

    def __init__(self, *outlines: ArrayLike) -> None:
        from shapely import make_valid, prepare, union_all
        from shapely.geometry import Polygon as Ring

        self.outlines = tuple(frozen(outline, "outlines") for outline in outlines)
        if any(o.ndim != 2 or o.shape[1] != 2 or len(o) < 3 for o in self.outlines):
            raise InputError("A polygon needs a (V, 2) array of three corners or more.")
        self._shape = union_all([make_valid(Ring(outline)) for outline in self.outlines])
        if not self._shape.area > 0:
            raise InputError("The polygons of a region must enclose some area.")
        prepare(self._shape)

    @property
    def box(self) -> FloatArray:
        return np.reshape(self._shape.bounds, (2, 2))

    @property
    def volume(self) -> float:
        return float(self._shape.area)

    def contains(self, points: ArrayLike) -> BoolArray:
        from shapely import intersects_xy

        x = np.asarray(points, dtype=np.float64)
        return np.asarray(intersects_xy(self._shape, x[:, 0], x[:, 1]))

    def covers(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        from shapely import box, covers

        # A box without extent is none to shapely: a point or a line.
        width = np.maximum(upper - lower, 1e-9 * (self.box[1] - self.box[0]))
        return np.asarray(covers(self._shape, box(*lower.T, *(lower + width).T)))

    def transformed(self, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> "Polygon":
        s, o = np.asarray(scale, dtype=float), np.asarray(offset, dtype=float)
        return Polygon(*(s * outline + o for outline in self.outlines))

    def values(self) -> dict[str, Any]:
        return {"outlines": [outline.tolist() for outline in self.outlines]}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Polygon":
        return cls(*values["outlines"])

    def __reduce__(self) -> tuple[Any, ...]:
        return Polygon, self.outlines  # a prepared shape is not pickled
