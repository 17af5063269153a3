"""Polygons in the plane."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.regions.region import BoolArray, FloatArray, Region, frozen, of_simplices

_MOST_CORNERS = 100_000

# Where an outline crosses itself the time that it takes to take it apart is quadratic in how often:
# 0.3 s for a thousand. To join outlines takes less.
_MOST_OF_ONE = 2_000
_MOST_OF_ALL = 50_000

# Of so many segments the crossings are counted at a time.
_AT_ONCE = 100


class Polygon(Region):
    """What lies in any of some polygons in the plane.

    Parameters
    ----------
    *outlines : (V, 2) arrays
        The corners of each, in order. One that crosses itself is taken apart there.

    Raises
    ------
    InputError
        Where an outline has fewer than three finite corners, they enclose no area, or cross too
        often.
    """

    kind: ClassVar[str] = "polygon"

    def __init__(self, *outlines: ArrayLike) -> None:
        from shapely import make_valid, prepare, union_all
        from shapely.geometry import Polygon as Ring

        self.outlines = tuple(frozen(outline, "outlines") for outline in outlines)
        if any(o.ndim != 2 or o.shape[1] != 2 or len(o) < 3 for o in self.outlines):
            raise InputError("A polygon needs a (V, 2) array of three corners or more.")
        if sum(map(len, self.outlines)) > _MOST_CORNERS:
            raise InputError(
                f"The polygons of a region may have {_MOST_CORNERS:,} corners at most."
            )
        rings = [Ring(outline) for outline in self.outlines]
        for ring, outline in zip(rings, self.outlines, strict=True):
            if not ring.is_valid:
                _check_crossings("An outline crosses itself", [outline], _MOST_OF_ONE)
        if len(rings) > 1:
            _check_crossings("The outlines cross each other", self.outlines, _MOST_OF_ALL)
        self._shape = union_all([make_valid(ring) for ring in rings])
        if not self._shape.area > 0:
            raise InputError("The polygons of a region must enclose some area.")
        prepare(self._shape)

    @classmethod
    def joining(cls, polygons: "Iterable[Polygon]") -> "Polygon":
        """What lies in any of several."""
        return cls(*(outline for polygon in polygons for outline in polygon.outlines))

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

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        from shapely import constrained_delaunay_triangles, get_coordinates, get_parts

        triangles = get_parts(constrained_delaunay_triangles(self._shape))
        # The first corner of a ring is its last one, too.
        return of_simplices(get_coordinates(triangles).reshape(-1, 4, 2)[:, :3], n, rng)

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


def _check_crossings(what: str, outlines: Sequence[FloatArray], most: int) -> None:
    from shapely import STRtree, linestrings

    segments = np.concatenate(
        [linestrings(np.stack([one, np.roll(one, -1, axis=0)], axis=1)) for one in outlines]
    )
    tree = STRtree(segments)
    # Each touches itself, and the ones before and behind.
    n = -3 * len(segments)
    for first in range(0, len(segments), _AT_ONCE):
        n += tree.query(segments[first : first + _AT_ONCE], predicate="intersects").shape[1]
        if n > 2 * most:
            raise InputError(
                f"{what} more than {most:,} times: draw the region with fewer corners."
            )
