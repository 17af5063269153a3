"""From a Points layer to the coordinates of the model, and back to new layers.

napari takes a data point d to the world by

    world = affine( rotate shear (scale * d) + translate ).

The model lives in u = scale * d, on the axes that are modelled: the layer's own units, in
which a pixel is square and a length is a length. A new layer whose pixel i lies at
u = origin + spacing * i is then placed by scale = spacing and
translate + rotate shear origin; rotation, shear and affine stay as they are. All of
napari's conventions about places are in this file.

Where the points are fitted in groups, the new layers have a slice for each: along an axis of the
layer that says which group a point is in, or along an axis of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.layers import Layer, Points
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.axes import Axes, axis_names
from napari_sparse_gmm.plugin.layout import Layout
from napari_sparse_gmm.shapes.grid import Grid

# Shapes keeps its vertices in float32. Further than this many times the width of the points
# from the origin, its coordinates are counted from the corner of the points instead.
_FAR_FROM_ORIGIN = 1e3

# More groups than anybody looks at one by one; values that differ from point to point have more.
_MOST_GROUPS = 1000
# How far a value may be from its slice, in steps.
_UNEVEN = 0.05


@dataclass(frozen=True, eq=False)
class Stack:
    """The axis along which groups of points follow each other.

    Parameters
    ----------
    name : str
    labels : (G,) array
        What tells the groups apart, in ascending order.
    slices : (G,) array of int
        Which slice each is, from 0 on; there may be gaps.
    origin, spacing : float
        Where the first slice lies in u, and how far it is to the next.
    axis : int
        Which of the kept axes it is.
    own : bool
        Whether the layer has no such axis.
    """

    name: str
    labels: NDArray[Any]
    slices: NDArray[np.intp]
    origin: float = 0.0
    spacing: float = 1.0
    axis: int = 0
    own: bool = False


@dataclass(frozen=True, eq=False)
class Frame:
    """Where the modelled points lie, with everything that places layers under them.

    The new layers keep the axes from the first modelled one to the last of the layer, n of
    them, and the axis of the groups: napari repeats a layer along the axes that it lacks at the
    front. A kept axis that is neither becomes one pixel as wide as the points.
    """

    axes: Axes  # modelled, counted among the kept ones, (D,)
    names: tuple[str, ...]  # of the modelled axes, (D,)
    pooled: tuple[str, ...]  # names of all other axes: points are taken together along them
    box: FloatArray  # lower and upper corner of the points in u, (2, n)
    scale: FloatArray  # (n,)
    translate: FloatArray  # (n,)
    rotate: FloatArray  # (n, n)
    shear: FloatArray  # (n, n)
    affine: FloatArray  # (n + 1, n + 1)
    units: tuple[Any, ...]  # pint units, (n,)
    axis_labels: tuple[str, ...]  # (n,)
    stack: Stack | None = None

    def beside(self, units: Sequence[Any] | None) -> "Frame":
        """The frame with an axis of its own in the unit that other layers have there.

        `units` are those of the viewer, None where they do not go together. A unit of another
        kind would keep napari from showing any layer in its unit.
        """
        n = len(self.scale)
        if self.stack is None or not self.stack.own or units is None or len(units) < n:
            return self
        return replace(self, units=(units[-n], *self.units[1:]))

    @property
    def unit(self) -> str:
        """Unit of the modelled coordinates, abbreviated; "" where they differ."""
        units = {f"{self.units[axis]:~P}" for axis in self.axes}
        return units.pop() if len(units) == 1 else ""

    @property
    def modelled_box(self) -> FloatArray:
        """Lower and upper corner of the modelled points in u, (2, D)."""
        return self.box[:, list(self.axes)]

    def same_as(self, other: "Frame") -> bool:
        """Whether layers of both lie in the same place, and their coordinates mean the same."""
        return self.alike(other) and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("box", "translate", "rotate", "shear", "affine")
        )

    def alike(self, other: "Frame") -> bool:
        """Whether coordinates of the one are coordinates of the other."""
        return (self.axes, self.names, self.units) == (
            other.axes,
            other.names,
            other.units,
        ) and np.array_equal(self.scale, other.scale)

    def coordinates(self, world: FloatArray) -> FloatArray:
        """Where a place of the world (n,) lies in u, (n,)."""
        turned = np.linalg.solve(self.affine[:-1, :-1], world - self.affine[:-1, -1])
        return np.asarray(np.linalg.solve(self.rotate @ self.shear, turned - self.translate))

    def image_placement(self, grid: Grid) -> dict[str, Any]:
        """Keywords that place an image of `grid`, with its axes as its `layout` orders them."""
        origin, spacing = self._slab()
        origin[list(self.axes)] = grid.origin
        spacing[list(self.axes)] = grid.spacing
        return self._placed(origin, spacing)

    @property
    def layout(self) -> Layout:
        """How images of all groups are one array over the kept axes."""
        kinds: list[int | None] = [None] * len(self.scale)
        for place, axis in enumerate(self.axes):
            kinds[axis] = place + 1
        if self.stack is None:
            return Layout(tuple(kinds))
        kinds[self.stack.axis] = 0
        return Layout(tuple(kinds), tuple(self.stack.slices.tolist()))

    def shape_placement(self, spacing: float | None = None) -> dict[str, Any]:
        """Keywords that place a layer whose vertices come from `shape_data`."""
        return self._placed(*self._shape_coordinates(spacing))

    def shape_data(
        self, vertices: FloatArray, group: int | NDArray[np.intp] = 0, spacing: float | None = None
    ) -> FloatArray:
        """Vertices (..., D) in u as vertices (..., n) of a layer.

        They are the Points layer's own data coordinates, unless those are too far from the
        origin for single precision; with `spacing`, they are in steps of that along each axis.
        Along the axis of the groups they are slices.
        """
        origin, steps = self._shape_coordinates(spacing)
        modelled = list(self.axes)
        data = np.zeros((*vertices.shape[:-1], len(self.scale)))
        data[..., modelled] = (vertices - origin[modelled]) / steps[modelled]
        if self.stack is not None:
            data[..., self.stack.axis] = self.stack.slices[group]
        return data

    def _shape_coordinates(self, spacing: float | None) -> tuple[FloatArray, FloatArray]:
        modelled = list(self.axes)
        origin, steps = self._slab()
        low, high = self.modelled_box
        far = np.abs([low, high]).max() > _FAR_FROM_ORIGIN * (high - low).max()
        origin[modelled] = low if far or spacing else 0.0
        steps[modelled] = spacing or self.scale[modelled]
        return origin, steps

    def _slab(self) -> tuple[FloatArray, FloatArray]:
        """Origin and spacing of a single pixel as wide as the points, (n,) each, or of a group."""
        low, high = self.box
        # A little wider, so that the points at both ends are well inside.
        width = 1.001 * (high - low)
        origin, spacing = 0.5 * (low + high), np.where(width > 0, width, np.abs(self.scale))
        if self.stack is not None:
            origin[self.stack.axis] = self.stack.origin
            spacing[self.stack.axis] = self.stack.spacing
        return origin, spacing

    def _placed(self, origin: FloatArray, spacing: FloatArray) -> dict[str, Any]:
        return {
            "scale": spacing,
            "translate": self.translate + self.rotate @ self.shear @ origin,
            "rotate": self.rotate,
            "shear": self.shear,
            "affine": self.affine,
            "units": self.units,
            "axis_labels": self.axis_labels,
        }


def modelled_points(
    layer: Points, axes: Axes, each: int | str | None = None, used: NDArray[np.bool_] | None = None
) -> tuple[FloatArray, Frame, NDArray[np.intp]]:
    """The points of a layer in model coordinates u, (N, D) float64, and their frame.

    Of all points those that are `used`; by default those that the layer shows (`layer.shown`).
    Along axes that are not in `axes` they are taken together, but for those that `each`, an axis
    or a feature, keeps apart: the group of each point comes third, (N,), 0 for all without it.

    Raises
    ------
    ValueError
        Where no point is left, a coordinate is not finite, the layer is turned from a modelled
        axis into an earlier one that is not, or groups are too many or in uneven steps.
    """
    shown = np.asarray(layer.shown if used is None else used, dtype=bool)
    data = np.asarray(layer.data, dtype=np.float64)[shown]
    if len(data) == 0:
        raise ValueError(f"Layer {layer.name!r} shows no points: choose a layer that has some.")
    # An axis of their own comes before all others of the layer.
    first = 0 if isinstance(each, str) else min([axes[0]] if each is None else [axes[0], each])
    kept = np.arange(first, layer.ndim)
    points = data[:, kept] * layer.scale[kept]  # (N, n)
    bad = int((~np.isfinite(points)).any(axis=1).sum())
    if bad:
        raise ValueError(
            f"{bad} of the {len(points)} points of layer {layer.name!r} have a coordinate that "
            "is NaN or infinite: remove or hide them, then run again."
        )
    frame = _frame(layer, axes, kept, box=np.stack([points.min(axis=0), points.max(axis=0)]))
    modelled = points[:, list(frame.axes)]
    if each is None:
        return modelled, frame, np.zeros(len(points), dtype=np.intp)
    if isinstance(each, int):
        labels, groups = np.unique(data[:, each], return_inverse=True)
        name, axis, scale = axis_names(layer)[each], each - first, float(layer.scale[each])
        stack = _stack(name, labels, scale, axis)
        pooled = tuple(other for other in frame.pooled if other != name)
        frame = replace(frame, stack=stack, pooled=pooled)
    else:
        if each not in layer.features:
            raise ValueError(f"Layer {layer.name!r} has no feature {each!r} any more.")
        # Not at the top: with pyarrow pandas takes longer to import than the widget to open.
        from pandas import factorize

        groups, labels = factorize(layer.features[each][shown], sort=True)
        _check_number_of_groups(each, len(labels))
        if (groups < 0).any():
            raise ValueError(
                f"Feature {each!r} is missing for {int((groups < 0).sum())} points of layer "
                f"{layer.name!r}: mend it, or choose another one."
            )
        stack = Stack(each, np.asarray(labels), np.arange(len(labels)), own=True)
        frame = _with_axis_in_front(frame, stack)
    return modelled, frame, groups.reshape(-1)


def _stack(name: str, labels: FloatArray, scale: float, axis: int) -> Stack:
    """Groups at values of an axis, in slices as far apart as the nearest two of them."""
    _check_number_of_groups(name, len(labels))
    steps = np.diff(labels)
    step = 1.0
    if len(steps):
        # All differences together tell the step better than the smallest one.
        step = float(steps.sum() / np.rint(steps / steps.min()).sum())
    places = (labels - labels[0]) / step
    slices = np.rint(places).astype(np.intp)
    if np.abs(places - slices).max() > _UNEVEN:
        raise ValueError(
            f"The values of {name!r} are in uneven steps, so they cannot be slices of an image: "
            "round them, or fit all points together."
        )
    if slices[-1] >= _MOST_GROUPS:
        raise ValueError(
            f"The {len(labels):,} values of {name!r} would be {slices[-1] + 1:,} slices of an "
            f"image, from the first to the last, and there can be {_MOST_GROUPS:,}: hide some of "
            "the points, or fit all together."
        )
    return Stack(name, labels, slices, float(labels[0]) * scale, step * scale, axis)


def _check_number_of_groups(name: str, n: int) -> None:
    if n > _MOST_GROUPS:
        raise ValueError(
            f"{name!r} has {n:,} different values, and at most {_MOST_GROUPS:,} can be fitted "
            "each by itself: choose another one."
        )


def _frame(layer: Points, axes: Axes, kept: NDArray[np.intp], box: FloatArray) -> Frame:
    shear, affine = shear_matrix(layer), np.asarray(layer.affine.affine_matrix)
    for matrix in (layer.rotate, shear, affine[:-1, :-1]):
        mixed = [*matrix[: kept[0], kept].flat, *matrix[kept, : kept[0]].flat]
        if not np.allclose(mixed, 0.0):
            raise ValueError(
                f"Layer {layer.name!r} is rotated or sheared between the chosen axes and those "
                "before them: choose all of the axes that its transform mixes."
            )
    block = np.ix_(kept, kept)
    affine_rows = np.append(kept, layer.ndim)
    names = axis_names(layer)
    return Frame(
        axes=tuple(int(axis - kept[0]) for axis in axes),
        names=tuple(names[axis] for axis in axes),
        pooled=tuple(name for axis, name in enumerate(names) if axis not in axes),
        box=box,
        scale=np.array(layer.scale, dtype=np.float64)[kept],
        translate=np.array(layer.translate, dtype=np.float64)[kept],
        rotate=np.asarray(layer.rotate)[block],
        shear=shear[block],
        affine=affine[np.ix_(affine_rows, affine_rows)],
        units=tuple(layer.units[axis] for axis in kept),
        axis_labels=tuple(layer.axis_labels[axis] for axis in kept),
    )


def _with_axis_in_front(frame: Frame, stack: Stack) -> Frame:
    """The frame with one more axis, for groups that are not along one of the layer's."""
    return replace(
        frame,
        axes=tuple(axis + 1 for axis in frame.axes),
        box=np.hstack([np.zeros((2, 1)), frame.box]),
        scale=np.append(1.0, frame.scale),
        translate=np.append(0.0, frame.translate),
        rotate=_extended(frame.rotate),
        shear=_extended(frame.shear),
        affine=_extended(frame.affine),
        units=("pixel", *frame.units),
        axis_labels=(stack.name, *frame.axis_labels),
        stack=stack,
    )


def _extended(matrix: FloatArray) -> FloatArray:
    """A square matrix that does nothing along one more axis in front."""
    extended = np.eye(len(matrix) + 1)
    extended[1:, 1:] = matrix
    return extended


def shear_matrix(layer: Layer) -> FloatArray:
    """The layer's shear as a matrix; napari gives an upper triangular one as a vector."""
    shear = np.asarray(layer.shear, dtype=np.float64)
    if shear.ndim == 2:
        return shear
    matrix = np.eye(layer.ndim)
    matrix[np.triu_indices(layer.ndim, k=1)] = shear
    return matrix
