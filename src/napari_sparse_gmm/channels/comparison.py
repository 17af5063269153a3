"""A second channel compared with the clusters of a first, as seen and under random shifts.

>>> comparison = compare_channels(mixture, points, second=mixture, n_shifts=99, random_state=0)
>>> list(comparison.statistics)
['inside', 'probability', 'point_distance', 'second_distance', 'first_distance']
>>> float(comparison.nearest_of_first.max())  # from each cluster to itself
0.0
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.arrays import bounds, stray
from napari_sparse_gmm.channels.chance import AgainstChance
from napari_sparse_gmm.channels.shifts import Shifts, as_of_all
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.parameters import COVERAGE, N_SHIFTS, SEED
from napari_sparse_gmm.regions import Box, Region

if TYPE_CHECKING:
    from napari_sparse_gmm.channels.lookup import ClusterLookup

# Distances of so many points, drawn at random, tell their median.
_MOST_DISTANCES = 5_000


@dataclass(frozen=True, eq=False)
class ChannelComparison:
    """How a second channel lies to the clusters of a first.

    Parameters
    ----------
    statistics : mapping of str to AgainstChance
        ``inside``, the share of the points of the second channel that lie in the outline of a
        cluster of the first; ``probability``, on average, that they belong to one and not to the
        background (where the first has a background); ``point_distance``, the median of their
        distances from the nearest centre of the first; with the clusters of the second,
        ``second_distance`` and ``first_distance``, the medians of the distances of the centres of
        the one from the nearest of the other.
    component : (N,) array of int
        The cluster of the first in whose outline each point lies, the densest of them there; -1
        for none, and for points outside of the region.
    in_region : (N,) array of bool
        Which points were counted.
    nearest_of_second : (K,) array or None
        From each centre of the first to the nearest of the second.
    nearest_of_first : (K2,) array or None
        From each of the second to the nearest of the first.
    region : Region
        In which both could be seen.
    coverage : float
        Percent of a component that its outline holds.
    """

    statistics: Mapping[str, AgainstChance]
    component: NDArray[np.intp]
    in_region: NDArray[np.bool_]
    nearest_of_second: FloatArray | None
    nearest_of_first: FloatArray | None
    n_clusters: int
    region: Region
    coverage: float

    @property
    def inside(self) -> AgainstChance:
        """The share of the points in the outlines: what the test is of."""
        return self.statistics["inside"]

    @property
    def n_points(self) -> int:
        """How many points lie in the region."""
        return int(np.count_nonzero(self.in_region))

    @property
    def points_inside(self) -> NDArray[np.intp]:
        """How many points of the second channel lie in each cluster of the first, (K,)."""
        return np.bincount(self.component[self.component >= 0], minlength=self.n_clusters)


def compare_channels(
    first: GaussianMixture,
    points: ArrayLike | Observations,
    *,
    second: GaussianMixture | None = None,
    region: Region | None = None,
    coverage: float = COVERAGE.default,
    n_shifts: int = N_SHIFTS.default,
    random_state: int | np.random.Generator | None = SEED,
) -> ChannelComparison:
    """Compare the points of a second channel with the clusters of a first, against chance.

    Parameters
    ----------
    first : GaussianMixture
        Of the first channel, K components.
    points : (N, D) array or Observations
        Of the second, in the same units; their weights count, their noise does not.
    second : GaussianMixture, optional
        Of the second channel, for distances between clusters.
    region : Region, optional
        In which both could be seen; by default `common_region`.
    coverage : float
        Percent of a component that its outline holds.
    n_shifts : int
        Number of random shifts of the second channel; see `shifts`.
    random_state : int or Generator, optional

    Raises
    ------
    InputError
        Where dimensions disagree, there is no cluster, fewer than two points lie in the region, or
        a parameter is out of its range.
    """
    steps = iter_comparison(
        first,
        points,
        second=second,
        region=region,
        coverage=coverage,
        n_shifts=n_shifts,
        random_state=random_state,
    )
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def iter_comparison(
    first: GaussianMixture,
    points: ArrayLike | Observations,
    *,
    second: GaussianMixture | None = None,
    region: Region | None = None,
    coverage: float = COVERAGE.default,
    n_shifts: int = N_SHIFTS.default,
    random_state: int | np.random.Generator | None = SEED,
) -> Generator[int, None, ChannelComparison]:
    """As `compare_channels`, step by step: yields how many shifts are done."""
    observations = Observations.of(points)
    region = common_region(first, observations.points) if region is None else region
    _check(first, observations, second, region, coverage, n_shifts)
    in_region = region.contains(observations.points)
    n_points = int(np.count_nonzero(in_region))
    if n_points < 2:
        raise InputError(
            f"{n_points} of {len(observations):,} points of the second channel lie in the region: "
            "are both channels in the same unit, and at the same place?"
        )

    from napari_sparse_gmm.channels.lookup import ClusterLookup

    rng = np.random.default_rng(random_state)
    lookup = ClusterLookup.of(first, coverage, region.box)
    counted = observations.subset(in_region)
    measures: list[_Measure] = [_Shares(counted, lookup, first.background_weight > 0)]
    chosen = np.sort(rng.permutation(n_points)[:_MOST_DISTANCES])
    measures.append(_Distance(counted.subset(chosen), "point_distance", first.means))
    if second is not None:
        for name, own, other in (
            ("second_distance", second, first),
            ("first_distance", first, second),
        ):
            centres = own.means[region.contains(own.means)]
            if len(centres):
                measures.append(_Distance(Observations(centres), name, other.means))
    shifts = Shifts(region)
    observed = [measure.values(measure.moved.points, measure.weights) for measure in measures]
    found: list[list[tuple[float, ...]]] = [[] for _ in measures]
    for done, vector in enumerate(shifts.vectors(counted.points, n_shifts, rng)):
        yield done
        for measure, values in zip(measures, found, strict=True):
            moved = shifts.moved(measure.moved.points, vector)
            weights = measure.weights[moved.rows]
            total = float(weights.sum())
            if total > 0:
                values.append((total, *measure.values(moved.points, weights)))
    statistics = {}
    for measure, seen, simulated in zip(measures, observed, found, strict=True):
        numbers, *columns = np.array(simulated).T
        total = float(measure.weights.sum())
        for name, value, column in zip(measure.names, seen, columns, strict=True):
            comparable = as_of_all(value, total, column, numbers)
            statistics[name] = AgainstChance(value, comparable, isinstance(measure, _Distance))
    component = np.full(len(observations), -1)
    component[in_region] = lookup.at(counted.points)[0]
    return ChannelComparison(
        statistics=statistics,
        component=component,
        in_region=in_region,
        nearest_of_second=None if second is None else _nearest(first.means, second.means),
        nearest_of_first=None if second is None else _nearest(second.means, first.means),
        n_clusters=first.n_components,
        region=region,
        coverage=coverage,
    )


def common_region(
    first: GaussianMixture, points: FloatArray, box: FloatArray | None = None
) -> Region:
    """Where both channels could be seen, where nobody says it.

    That is where the background of the first is, if it was told; else the bounding box of both:
    of the points (N, D) of the second but for stray ones, and of those of the first, as its
    background or `box` (2, D) says, or of its centres.
    """
    region = first.background_region
    if region is not None and region.n_points is None:
        return region
    if region is not None:
        box = region.box
    of_first = first.means if box is None else box
    corners = bounds(np.concatenate([of_first, points[~stray(points)]]))
    corners[:, corners[0] == corners[1]] += np.array([[-0.5], [0.5]])
    return Box(corners)


def field_of(first: GaussianMixture, box: FloatArray | None = None) -> Region:
    """Where the first channel was seen, as far as that is known: its background, or a box (2, D),
    or where its clusters are.
    """
    if first.background_region is not None:
        return first.background_region
    if box is None:
        # Three standard deviations around the centres hold all but the odd point.
        reach = 3.0 * np.sqrt(np.diagonal(first.covariances, axis1=1, axis2=2))
        box = bounds(np.concatenate([first.means - reach, first.means + reach]))
    return Box(box)


class _Measure(ABC):
    """What is computed of some points that are moved; their weights are never all 0."""

    names: tuple[str, ...]

    def __init__(self, moved: Observations) -> None:
        self.moved = moved
        self.weights = np.ones(len(moved)) if moved.weights is None else moved.weights

    @abstractmethod
    def values(self, points: FloatArray, weights: FloatArray) -> tuple[float, ...]:
        """One number for each of `names`."""


class _Shares(_Measure):
    """Of the points of the second channel, in the clusters of the first."""

    def __init__(self, moved: Observations, lookup: "ClusterLookup", has_background: bool) -> None:
        super().__init__(moved)
        self.names = ("inside", "probability") if has_background else ("inside",)
        self._lookup = lookup

    def values(self, points: FloatArray, weights: FloatArray) -> tuple[float, ...]:
        component, probability = self._lookup.at(points)
        # No matrix products: their threads wait for each other where others compute, too.
        shares = np.stack([component >= 0, probability]) * weights  # (2, N)
        return tuple((shares.sum(axis=1) / weights.sum()).tolist()[: len(self.names)])


class _Distance(_Measure):
    """The median of distances from the nearest of some targets, (M, D)."""

    def __init__(self, moved: Observations, name: str, targets: FloatArray) -> None:
        from scipy.spatial import KDTree

        super().__init__(moved)
        self.names = (name,)
        self._tree = KDTree(targets)

    def values(self, points: FloatArray, weights: FloatArray) -> tuple[float, ...]:
        distances = self._tree.query(points)[0]
        if self.moved.weights is None:
            return (float(np.median(distances)),)
        order = np.argsort(distances)
        below = np.cumsum(weights[order])
        return (float(distances[order][np.searchsorted(below, 0.5 * below[-1])]),)


def _nearest(points: FloatArray, targets: FloatArray) -> FloatArray:
    """The distance from each of some points (N, D) to the nearest target, (N,)."""
    from scipy.spatial import KDTree

    if not len(targets):
        return np.full(len(points), np.nan)
    return np.asarray(KDTree(targets).query(points)[0])


def _check(
    first: GaussianMixture,
    observations: Observations,
    second: GaussianMixture | None,
    region: Region,
    coverage: float,
    n_shifts: int,
) -> None:
    d = first.n_dimensions
    if not first.n_components:
        raise InputError(
            "The model of the first channel has no clusters: there is nothing to compare with."
        )
    others = {"points": observations.n_dimensions, "region": region.n_dimensions}
    if second is not None:
        others["mixture"] = second.n_dimensions
    for name, n in others.items():
        if n != d:
            raise InputError(
                f"The first channel has {d} dimensions, and the {name} of the second {n}: both "
                "need the same."
            )
    COVERAGE.check(coverage)
    if coverage >= 100:
        raise InputError(f"coverage must be below 100 percent, not {coverage!r:.40}.")
    N_SHIFTS.check(n_shifts)
