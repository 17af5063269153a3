"""Where points can lie at all: the region that a uniform background fills.

>>> cell = Polygon([[0.0, 0.0], [0.0, 4.0], [3.0, 0.0]])  # a triangle
>>> cell.volume, cell.contains([[1.0, 1.0], [3.0, 4.0]])
(6.0, array([ True, False]))

A `Box` by its corners, a `Polygon` (several are joined), the convex `Hull` of points, a `Mask` of
pixels, and a `Prism` over any of them, for a third axis. Regions are values; their border belongs
to them.
"""

from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import product
from typing import Any, ClassVar
from zlib import compress, decompress

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Points drawn at a time, at most.
_DRAWN = 1 << 20


class Region(ABC):
    """A bounded set of places in R^D, of positive volume."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def box(self) -> FloatArray:
        """Lower and upper corner of a box around it, (2, D)."""

    @property
    @abstractmethod
    def volume(self) -> float:
        """Length, area or volume, in unit^D."""

    @abstractmethod
    def contains(self, points: ArrayLike) -> BoolArray:
        """Which points (N, D) lie in it, (N,)."""

    @abstractmethod
    def covers(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        """Which of n boxes, by their corners (n, D), it surely covers, (n,).

        A box that it covers may be missed.
        """

    @abstractmethod
    def transformed(self, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> "Region":
        """The region of y = scale * x + offset, `scale` positive, each a number or (D,)."""

    @abstractmethod
    def values(self) -> dict[str, Any]:
        """What defines it, as numbers, strings and lists."""

    @classmethod
    @abstractmethod
    def from_values(cls, values: dict[str, Any]) -> "Region":
        """The inverse of `values`."""

    @property
    def n_dimensions(self) -> int:
        """Number of dimensions, D."""
        return self.box.shape[1]

    def contains_grid(self, axes: Sequence[FloatArray]) -> BoolArray:
        """Which points of a grid lie in it, whose coordinates along each axis are `axes`."""
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return self.contains(points.reshape(-1, len(axes))).reshape(points.shape[:-1])

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Places drawn uniformly from it, (n, D)."""
        lower, upper = self.box
        share = self.volume / float(np.prod(upper - lower))
        parts: list[FloatArray] = [np.empty((0, len(lower)))]
        missing = n
        while missing > 0:
            drawn = min(int(1.1 * missing / share) + 10, _DRAWN) if share < 1 else missing
            points = lower + (upper - lower) * rng.random((drawn, len(lower)))
            parts.append(points[self.contains(points)][:missing])
            missing -= len(parts[-1])
        return np.concatenate(parts)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; `region_from_dict` is the inverse."""
        return {"kind": self.kind, **self.values()}


@dataclass(frozen=True, eq=False)
class Box(Region):
    """A box with sides along the axes.

    Parameters
    ----------
    corners : (2, D) array
        Lower and upper corner.

    Raises
    ------
    ValueError
        Where they are not finite, or the lower one is not below the upper one on every axis.
    """

    kind: ClassVar[str] = "box"

    corners: FloatArray

    def __post_init__(self) -> None:
        corners = frozen(self.corners, "corners")
        if corners.ndim != 2 or len(corners) != 2 or not (corners[1] > corners[0]).all():
            raise ValueError(
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

    def transformed(self, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> "Box":
        return Box(self.corners * np.asarray(scale, dtype=float) + np.asarray(offset, dtype=float))

    def values(self) -> dict[str, Any]:
        return {"corners": self.corners.tolist()}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Box":
        return cls(np.asarray(values["corners"]))


class Hull(Region):
    """The convex hull of points.

    Parameters
    ----------
    points : (N, D) array, D >= 2

    Raises
    ------
    ValueError
        Where they enclose no volume.
    """

    kind: ClassVar[str] = "hull"

    def __init__(self, points: ArrayLike) -> None:
        from scipy.spatial import ConvexHull, QhullError

        x = frozen(points, "points")
        try:
            hull = ConvexHull(x)
        except (QhullError, ValueError) as error:
            raise ValueError(
                "A convex hull needs points that do not all lie in a line or plane."
            ) from error
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

    def transformed(self, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> "Hull":
        s, o = np.asarray(scale, dtype=float), np.asarray(offset, dtype=float)
        return Hull(s * self.corners + o)

    def values(self) -> dict[str, Any]:
        return {"corners": self.corners.tolist()}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Hull":
        return cls(values["corners"])


class Polygon(Region):
    """What lies in any of some polygons in the plane.

    Parameters
    ----------
    *outlines : (V, 2) arrays
        The corners of each, in order. One that crosses itself is taken apart there.

    Raises
    ------
    ValueError
        Where an outline has fewer than three finite corners, or they enclose no area.
    """

    kind: ClassVar[str] = "polygon"

    def __init__(self, *outlines: ArrayLike) -> None:
        from shapely import make_valid, prepare, union_all
        from shapely.geometry import Polygon as Ring

        self.outlines = tuple(frozen(outline, "outlines") for outline in outlines)
        if any(o.ndim != 2 or o.shape[1] != 2 or len(o) < 3 for o in self.outlines):
            raise ValueError("A polygon needs a (V, 2) array of three corners or more.")
        self._shape = union_all([make_valid(Ring(outline)) for outline in self.outlines])
        if not self._shape.area > 0:
            raise ValueError("The polygons of a region must enclose some area.")
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


@dataclass(frozen=True, eq=False)
class Mask(Region):
    """The pixels of an image that are true.

    Parameters
    ----------
    mask : array of D axes
    spacing : float, (D,) or (D, D) array
        The size of a pixel; or, for an image that is rotated or sheared, the step from a pixel to
        the next along each of its axes, one in a column.
    origin : float or (D,) array
        The centre of the first pixel.

    Raises
    ------
    ValueError
        Where no pixel is true, or pixels have no volume.
    """

    kind: ClassVar[str] = "mask"

    mask: BoolArray
    spacing: FloatArray
    origin: FloatArray

    def __init__(self, mask: ArrayLike, spacing: ArrayLike = 1.0, origin: ArrayLike = 0.0) -> None:
        pixels = np.array(mask, dtype=bool)
        pixels.flags.writeable = False
        steps = np.asarray(spacing, dtype=np.float64)
        if steps.ndim < 2:
            steps = np.diag(np.broadcast_to(steps, pixels.ndim))
        start = np.broadcast_to(np.asarray(origin, dtype=np.float64), pixels.ndim)
        object.__setattr__(self, "mask", pixels)
        object.__setattr__(self, "spacing", frozen(steps, "spacing"))
        object.__setattr__(self, "origin", frozen(start, "origin"))
        if self.spacing.shape != (pixels.ndim, pixels.ndim) or not self._pixel_volume > 0:
            raise ValueError(f"The pixels of a mask of {pixels.ndim} axes need some volume.")
        if not pixels.any():
            raise ValueError("A mask needs some pixels that are true.")

    @cached_property
    def _pixel_volume(self) -> float:
        return float(abs(np.linalg.det(self.spacing)))

    @cached_property
    def _ends(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The first indices of true pixels along each axis, and those behind the last, (D,)."""
        d = self.mask.ndim
        along = [
            np.flatnonzero(self.mask.any(axis=tuple(a for a in range(d) if a != axis)))
            for axis in range(d)
        ]
        return np.array([i[0] for i in along]), np.array([i[-1] + 1 for i in along])

    @cached_property
    def _sums(self) -> NDArray[np.integer[Any]]:
        """How many true pixels come before each on all axes, from the first of `_ends` on: a
        summed area table.
        """
        box = tuple(slice(a, b) for a, b in zip(*self._ends, strict=True))
        shape = [b - a + 1 for a, b in zip(*self._ends, strict=True)]
        small = self.mask.size < 2**31
        sums: NDArray[np.integer[Any]] = np.zeros(shape, np.int32 if small else np.int64)
        inner = sums[(slice(1, None),) * sums.ndim]
        inner[...] = self.mask[box]
        for axis in range(sums.ndim):
            np.cumsum(inner, axis=axis, out=inner)
        return sums

    @cached_property
    def box(self) -> FloatArray:
        first, end = self._ends
        corners = np.array(list(product(*zip(first - 0.5, end - 0.5, strict=True))))
        places = self.origin + corners @ self.spacing.T
        return np.stack([places.min(0), places.max(0)])

    @property
    def volume(self) -> float:
        return self._pixel_volume * float(np.count_nonzero(self.mask))

    def _indices(self, points: FloatArray) -> FloatArray:
        """Of places (..., D), in pixels."""
        return np.asarray((points - self.origin) @ np.linalg.inv(self.spacing).T)

    def contains(self, points: ArrayLike) -> BoolArray:
        indices = np.floor(self._indices(np.asarray(points, dtype=np.float64)) + 0.5)
        inside = ((indices >= 0) & (indices < self.mask.shape)).all(1)
        found = np.zeros(len(indices), dtype=bool)
        found[inside] = self.mask[tuple(indices[inside].astype(np.intp).T)]
        return found

    def covers(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        centre = self._indices(0.5 * (lower + upper))
        half = 0.5 * (upper - lower) @ np.abs(np.linalg.inv(self.spacing)).T
        half += 1e-9 * (1.0 + np.abs(centre))  # rounding must not hide a pixel that is touched
        first, end = np.floor(centre - half + 0.5), np.floor(centre + half + 0.5) + 1
        covered = ((first >= self._ends[0]) & (end <= self._ends[1])).all(1)
        low, high = ((places[covered].astype(np.intp) - self._ends[0]).T for places in (first, end))
        counts = np.zeros(low.shape[1], dtype=np.int64)
        # Inclusion and exclusion of the corners.
        for corner in product((0, 1), repeat=self.mask.ndim):
            places = np.where(np.array(corner)[:, None], high, low)
            counts += (-1) ** (self.mask.ndim - sum(corner)) * self._sums[tuple(places)]
        covered[covered] = counts == (high - low).prod(0)
        return np.asarray(covered)

    def transformed(self, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> "Mask":
        s = np.broadcast_to(np.asarray(scale, dtype=float), self.mask.ndim)
        start = s * self.origin + np.asarray(offset, dtype=float)
        return Mask(self.mask, s[:, None] * self.spacing, start)

    def values(self) -> dict[str, Any]:
        packed = b64encode(compress(np.packbits(self.mask).tobytes())).decode("ascii")
        return {
            "shape": list(self.mask.shape),
            "packed_bits": packed,
            "spacing": self.spacing.tolist(),
            "origin": self.origin.tolist(),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return Mask, (self.mask, self.spacing, self.origin)  # without what is worked out from them

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Mask":
        bits = np.frombuffer(decompress(b64decode(values["packed_bits"])), dtype=np.uint8)
        count = int(np.prod(values["shape"]))
        mask = np.unpackbits(bits, count=count).reshape(values["shape"])
        return cls(mask, values["spacing"], values["origin"])


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


_KINDS: dict[str, type[Region]] = {kind.kind: kind for kind in (Box, Hull, Polygon, Mask, Prism)}


def over(base: Region, points: FloatArray) -> tuple[Region, BoolArray]:
    """A region of the last axes as one of all axes of points (N, D), and which of them lie in it.

    Along the axes before, it reaches as far as those points do.
    """
    n_free = points.shape[1] - base.n_dimensions
    inside = base.contains(points[:, n_free:])
    if not n_free or not inside.any():
        return base, inside
    sides = np.stack([points[inside, :n_free].min(0), points[inside, :n_free].max(0)])
    sides[:, sides[0] == sides[1]] += np.array([[-0.5], [0.5]])
    return Prism(Box(sides), base), inside


def as_background(value: Any) -> bool | Region:
    """Whether there is a background, or where; corners (2, D) as a box.

    A ValueError that names `background` where it says neither.
    """
    if isinstance(value, Region):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, np.ndarray | list | tuple):
        return Box(np.asarray(value, dtype=np.float64))
    raise ValueError(
        "background must be True, False or a region (Box, Hull, Polygon, Mask, Prism), not "
        f"{value!r}."
    )


def region_from_dict(values: dict[str, Any]) -> Region:
    """The inverse of `Region.to_dict`."""
    return _KINDS[values["kind"]].from_values(values)


def frozen(values: ArrayLike, name: str) -> FloatArray:
    """A copy that cannot be changed; a ValueError that says `name` where it is not finite."""
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers.")
    array.flags.writeable = False
    return array
