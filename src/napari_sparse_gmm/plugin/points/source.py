"""What the user wants to be modelled: a Points layer, some of its axes, some of its features.

>>> source = Source(layer, axes=(0, 1), precision="precision")
>>> cloud = source.read()
>>> cloud.points.shape, cloud.observations.noise.shape
((600, 2), (600, 2))
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from napari.layers import Image, Labels, Points, Shapes
from numpy.typing import NDArray

from napari_sparse_gmm.arrays import bounds, stray
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.names import precision_along
from napari_sparse_gmm.observations import FloatArray, Observations
from napari_sparse_gmm.plugin.points.coordinates import by_region, modelled_points
from napari_sparse_gmm.plugin.points.features import (
    feature_values,
    in_range,
    known_frames,
    precise_points,
)
from napari_sparse_gmm.plugin.points.region import outlined, outlined_each
from napari_sparse_gmm.plugin.points.sampled import (
    AllPoints,
    SampledTable,
    same_region,
    sampled_table,
)
from napari_sparse_gmm.plugin.space.axes import Axes, axis_names, time_axes
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.ranges import Range
from napari_sparse_gmm.regions import Hull, Region, over, over_each, region_labels


class Around(Enum):
    """What around the points themselves may be where they could have been."""

    BOX = "bounding box"
    HULL = "convex hull"


class Apart(Enum):
    """What of the region itself may keep points apart."""

    REGION = "region"


@dataclass(frozen=True, eq=False)
class Cloud:
    """The points that are to be modelled, in model coordinates, with what is known about each.

    Parameters
    ----------
    observations : Observations
        N points in model coordinates, with weights and precision.
    frame : Frame
    shown : (all points of the layer,) array of bool
        Which of them these are.
    groups : (N,) array of int
        Which of the groups that are fitted apart each is in.
    region : Region or None
        Where they could have been, if it is not their bounding box.
    ranges : tuple of Range
        Of features, which all of these points are in.
    regions : mapping
        The shapes or labels that it is made of, by their names; where each is fitted by itself,
        those of the groups.
    n_hidden, n_unused, n_outside, n_imprecise, n_filtered : int
        Points of the layer that it does not show; that it shows, but are not to be used; that lie
        outside of the region; that have no precision where others have one; and that lie outside
        of a range.
    all_points : AllPoints or None
        What is to be fitted, where these points are only a sample of them.
    frames : (N,) array or None
        In which each was seen, if that is known of all.
    by_region : bool
        Whether the groups are those regions.
    """

    observations: Observations
    frame: Frame
    shown: NDArray[np.bool_]
    groups: NDArray[np.intp]
    region: Region | None
    n_hidden: int
    n_unused: int
    n_outside: int
    n_imprecise: int = 0
    all_points: AllPoints | None = None
    regions: Mapping[str, Region] = field(default_factory=dict)
    n_filtered: int = 0
    ranges: tuple[Range, ...] = ()
    frames: FloatArray | None = None
    by_region: bool = False

    @property
    def left_out(self) -> dict[str, int]:
        """How many other points the layer has, by why; of a sample that is not known."""
        if self.all_points is not None:
            return {}
        return {
            "hidden": self.n_hidden,
            "unused": self.n_unused,
            "outside": self.n_outside,
            "imprecise": self.n_imprecise,
            "filtered": self.n_filtered,
        }

    @property
    def own_regions(self) -> Mapping[int, Region] | None:
        """The region of each group, where each of them is one."""
        return dict(enumerate(self.regions.values())) if self.by_region else None

    @property
    def n_stray(self) -> int:
        """How many points lie so far from all others that the picture leaves them out."""
        return int(np.count_nonzero(stray(self.points)))

    @property
    def points(self) -> FloatArray:
        """Model coordinates, (N, D)."""
        return self.observations.points

    def same_as(self, other: "Cloud") -> bool:
        """Whether a fit of the one is a fit of the other, at the same position."""
        if self is other:
            return True
        return (
            _same_points(self.all_points, other.all_points)
            and self.frame.same_as(other.frame)
            and np.array_equal(self.groups, other.groups)
            and self.observations.same_as(other.observations)
            and same_region(self.region, other.region)
        )


def _same_points(one: AllPoints | None, other: AllPoints | None) -> bool:
    return one is other if one is None else one.same_as(other)


@dataclass(frozen=True)
class Source:
    """A Points layer, the axes to model, and the names of the features that matter.

    Two are equal where they mean the same.

    Parameters
    ----------
    layer : Points
    axes : tuple of int
    weights : str, optional
        How often each point counts.
    precision : str, optional
        Standard deviation of the position of each point, in the unit of the layer. Where it is
        called lpx and there is one called lpy, that is the one along y.
    axial_precision : str, optional
        The same along the first of three axes, where it is another one.
    each : int, str or Apart, optional
        An axis or a feature: points of different values are fitted apart; or those of each shape or
        label of the region.
    region : Around, Shapes, Labels or Image
        Where points could have been; those outside, or where an image is 0, are left out.
    in_units : bool
        Whether the viewer shows layers in their units.
    ranges : tuple of Range
        Points with a feature outside of one of these are left out.
    """

    layer: Points
    axes: Axes
    weights: str | None = None
    precision: str | None = None
    axial_precision: str | None = None
    each: int | str | Apart | None = None
    region: Around | Shapes | Labels | Image = Around.BOX
    in_units: bool = True
    ranges: tuple[Range, ...] = ()

    def read(self, used: NDArray[np.bool_] | None = None) -> Cloud:
        """What the layer shows now; of its points those that are `used`, (all,), or all.

        Raises
        ------
        InputError
            Where no point is left, or a coordinate, a feature or a region is invalid; or what is
            asked for needs all points, and the layer shows a sample.
        """
        table = sampled_table(self.layer)
        shown = np.array(self.layer.shown, dtype=bool)
        n_hidden = int(np.count_nonzero(~shown))
        if used is not None:
            shown &= used
        if table is not None:
            self._check_sample(shown)
        n_imprecise, n_filtered = 0, int(np.count_nonzero(shown))
        for each in self.ranges:
            shown &= in_range(self.layer, each)
            if not shown.any():
                raise InputError(
                    f"No point of layer {self.layer.name!r} is left in {each}: choose a wider "
                    "range under Filter."
                )
        n_filtered -= int(np.count_nonzero(shown))
        if self.precision is not None:
            precise = precise_points(self.layer, shown, *self.precisions)
            n_imprecise = int(np.count_nonzero(shown & ~precise))
            shown &= precise
        apart = None if isinstance(self.each, Apart) else self.each
        points, frame, groups = modelled_points(self.layer, self.axes, apart, shown)
        weights = (
            None
            if self.weights is None
            else feature_values(self.layer, self.weights, shown, "weight")
        )
        noise_std = self._noise_std(shown)
        if len(points) == 1:
            raise InputError(
                f"Only one point of layer {self.layer.name!r} is left, and a mixture needs two or "
                "more: show or choose others."
            )
        n_unused = len(shown) - n_hidden - n_imprecise - n_filtered - len(points)
        observations = Observations.of(points, weights, noise_std)
        region, inside = self._region(points, None if table is None else self._scaled(table.box))
        if not inside.any():
            raise InputError(
                f"No point of layer {self.layer.name!r} lies in the region: choose another one."
            )
        regions, names = self._each_region(region), None
        if self.each is Apart.REGION:
            names = self._names_of_regions(points, regions)
            inside &= names != ""
        if not inside.all():
            shown[shown] = inside
            observations, groups = observations.subset(inside), groups[inside]
            # What lies outside does not count for the picture either.
            box = frame.box.copy()
            box[:, list(frame.axes)] = bounds(observations.points[~stray(observations.points)])
            frame = replace(frame, box=box)
        if names is not None:
            labels, groups = np.unique(names[inside], return_inverse=True)
            frame = by_region(frame, labels.tolist())
            regions = {str(name): regions[name] for name in labels}
        if weights is not None and np.count_nonzero(weights[inside]) < 2:
            raise InputError(
                f"Feature {self.weights!r} leaves fewer than two points of layer "
                f"{self.layer.name!r} with a weight: choose another one."
            )
        return Cloud(
            observations,
            frame,
            shown,
            groups,
            region,
            n_hidden,
            n_unused,
            int(np.count_nonzero(~inside)),
            n_imprecise,
            None if table is None else self._all(table, region),
            regions,
            n_filtered,
            self.ranges,
            self._frames(shown),
            names is not None,
        )

    def _check_sample(self, used: NDArray[np.bool_]) -> None:
        """Refuse what can only be done with points that are all here."""
        shows = f"Layer {self.layer.name!r} shows a sample of a table, and all points are fitted"
        if not used.all():
            raise InputError(
                f"{shows}: show all of it, and use all points. To fit those of some place only, "
                "draw a shape around it and choose that as Region."
            )
        if self.each is not None:
            raise InputError(f"{shows} together: choose that under Fit each.")
        if self.region is Around.HULL:
            raise InputError(f"{shows}, but their convex hull is not known: choose another Region.")

    def _scaled(self, box: FloatArray) -> FloatArray:
        """A box in the unit of the file as one in model coordinates."""
        axes = list(self.axes)
        return np.sort(box[:, axes] * np.asarray(self.layer.scale)[axes], axis=0)

    def _all(self, table: SampledTable, region: Region | None) -> AllPoints:
        scale = tuple(float(self.layer.scale[axis]) for axis in self.axes)
        errors = self.precision, self.axial_precision
        return AllPoints(table, self.axes, scale, self.weights, *errors, region, self.ranges)

    def _region(
        self, points: FloatArray, box: FloatArray | None
    ) -> tuple[Region | None, NDArray[np.bool_]]:
        """The region, and which points lie in it; `box` is that of all, where these are some."""
        if isinstance(self.region, Around):
            hull = Hull(points) if self.region is Around.HULL else None
            return hull, np.ones(len(points), dtype=bool)
        base = outlined(self.region, self.layer, self.axes, in_units=self.in_units)
        return over(base, points, box)

    def _each_region(self, whole: Region | None) -> dict[str, Region]:
        if isinstance(self.region, Around) or whole is None:
            return {}
        each = outlined_each(self.region, self.layer, self.axes, in_units=self.in_units)
        return over_each(each, whole)

    def _names_of_regions(
        self, points: FloatArray, regions: Mapping[str, Region]
    ) -> NDArray[np.str_]:
        """In which of the regions each point lies, (N,): the first of those, "" in none."""
        if not regions:
            raise InputError(
                "Each region can be fitted by itself where a Shapes or Labels layer is the Region: "
                "choose one, or all together under Fit each."
            )
        return region_labels(points, regions)

    def _frames(self, shown: NDArray[np.bool_]) -> FloatArray | None:
        """In which each point was seen: as a feature says, or an axis."""
        axes = [axis for axis in time_axes(self.layer) if axis not in self.axes]
        if (name := known_frames(self.layer)) is not None:
            frames = np.asarray(self.layer.features[name], dtype=np.float64)[shown]
        elif axes:
            frames = np.asarray(self.layer.data[:, axes[0]], dtype=np.float64)[shown]
        else:
            return None
        return frames if np.isfinite(frames).all() else None

    @property
    def precisions(self) -> tuple[str, ...]:
        """The feature with the precision along each axis; none where it is not considered."""
        if self.precision is None:
            return ()
        names, features = axis_names(self.layer), [str(name) for name in self.layer.features]
        columns = [precision_along(features, self.precision, names[axis]) for axis in self.axes]
        if self.axial_precision is not None and len(columns) == 3:
            columns[0] = self.axial_precision
        return tuple(columns)

    def _noise_std(self, shown: NDArray[np.bool_]) -> FloatArray | None:
        columns = [feature_values(self.layer, name, shown, "precision") for name in self.precisions]
        return np.stack(columns, axis=1) if columns else None
