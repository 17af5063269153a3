"""What every region can do, and regions from dictionaries."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.arrays import float_array

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_KINDS: dict[str, type["Region"]] = {}


class Region(ABC):
    """A bounded subset of R^D, of positive volume, and how a background fills it: evenly, but
    for an `Intensity`.
    """

    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        _KINDS[cls.kind] = cls

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
    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Points drawn from it as a background fills it, (n, D)."""

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
    def n_points(self) -> float | None:
        """Of how many points it is the bounding box, where that is all that is known of it."""
        return None

    @property
    def is_even(self) -> bool:
        """Whether a background fills it evenly."""
        return True

    def log_intensity(self, points: ArrayLike) -> FloatArray:
        """The log of how many times denser a background is at points (N, D) than on average in the
        region, (N,); minus infinity outside.
        """
        return np.where(self.contains(points), 0.0, -np.inf)

    def log_intensity_grid(self, axes: Sequence[FloatArray]) -> FloatArray:
        """`log_intensity` at the points of a grid whose coordinates along each axis are `axes`."""
        if self.is_even:
            return np.where(self.contains_grid(axes), 0.0, -np.inf)
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return self.log_intensity(points.reshape(-1, len(axes))).reshape(points.shape[:-1])

    @property
    def least_log_intensity(self) -> float:
        """The least that is not minus infinity."""
        return 0.0

    @property
    def n_dimensions(self) -> int:
        """Number of dimensions, D."""
        return self.box.shape[1]

    def contains_grid(self, axes: Sequence[FloatArray]) -> BoolArray:
        """Which points of a grid lie in it, whose coordinates along each axis are `axes`."""
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return self.contains(points.reshape(-1, len(axes))).reshape(points.shape[:-1])

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; `region_from_dict` is the inverse."""
        return {"kind": self.kind, **self.values()}


def region_from_dict(values: dict[str, Any]) -> Region:
    """The inverse of `Region.to_dict`."""
    return _KINDS[values["kind"]].from_values(values)


def inside_each(points: FloatArray, regions: Sequence[Region]) -> Iterator[NDArray[np.intp]]:
    """For each of some regions the rows of the points (N, D) that lie in it; in several, of each.

    Only points in the box of a region are looked at: of n small regions that is about as quick as
    of one large one.
    """
    order = np.argsort(points[:, -1], kind="stable")
    along = points[order, -1]
    for region in regions:
        lower, upper = region.box
        first = np.searchsorted(along, lower[-1], "left")
        end = np.searchsorted(along, upper[-1], "right")
        rows = order[first:end]
        near = points[rows]
        rows = rows[((near >= lower) & (near <= upper)).all(1)]
        yield np.sort(rows[region.contains(points[rows])])


def region_labels(points: FloatArray, regions: Mapping[str, Region]) -> NDArray[np.str_]:
    """The name of the first of some regions that each of the points (N, D) lies in, "" in none."""
    labels = np.full(len(points), "", dtype=object)
    for name, rows in zip(regions, inside_each(points, list(regions.values())), strict=True):
        labels[rows[labels[rows] == ""]] = name
    return labels.astype(np.str_)


def of_simplices(simplices: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    """Points drawn uniformly from simplices by their corners, (T, D + 1, D). Returns (n, D)."""
    sides = simplices[:, 1:] - simplices[:, :1]
    volumes = np.abs(np.linalg.det(sides / np.abs(sides).max((0, 1))))  # in proportion
    drawn = rng.choice(len(simplices), n, p=volumes / volumes.sum())
    # Barycentric coordinates that are uniform: Devroye, Non-Uniform Random Variate Generation
    # (1986), chapter XI, theorem 4.1.
    shares = rng.dirichlet(np.ones(simplices.shape[1]), n)
    return np.asarray(np.einsum("nc,ncd->nd", shares, simplices[drawn]))


def frozen(values: ArrayLike, name: str) -> FloatArray:
    """A copy that cannot be changed; an InputError that says `name` where it is not finite."""
    array = float_array(values, name, finite=True).copy()
    array.flags.writeable = False
    return array
