"""From a Points layer to the coordinates of the model, and back to new layers.

napari takes a data point d to the world by

    world = affine( rotate shear (scale * d) + translate ).

The model lives in u = scale * d, on the axes that are modelled: the layer's own units, in
which a pixel is square and a length is a length. A new layer whose pixel i lies at
u = origin + spacing * i is then placed by scale = spacing and
translate + rotate shear origin; rotation, shear and affine stay as they are. All of
napari's conventions about positions are in this file.

Where the points are fitted in groups, the new layers have a slice for each: along an axis of the
layer that says which group a point is in, or along an axis of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.space.axes import Axes
from napari_sparse_gmm.plugin.space.slices import Layout
from napari_sparse_gmm.shapes.grid import Grid

# Shapes keeps its vertices in float32. Further than this many times the width of the points
# from the origin, its coordinates are counted from the corner of the points instead.
_FAR_FROM_ORIGIN = 1e3

# Pixels that the points take on a screen when all are seen, about.
SCREEN = 700.0


@dataclass(frozen=True, eq=False)
class Stack:
    """The axis along which groups of points follow each other.

    Parameters
    ----------
    name : str
    labels : (G,) array
        What distinguishes the groups, in ascending order.
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

    def same_as(self, other: "Stack") -> bool:
        """Whether all groups are the same, and in the same slices."""
        return all(
            np.array_equal(getattr(self, one.name), getattr(other, one.name))
            for one in fields(self)
        )


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

    @property
    def screen_pixel(self) -> float:
        """A pixel of the screen, about, where all points are seen, in the coordinates of shapes."""
        modelled = list(self.axes)
        steps = self._shape_coordinates()[1][modelled]
        return float(np.ptp(self.modelled_box, axis=0).max() / np.abs(steps).mean()) / SCREEN

    def same_as(self, other: "Frame") -> bool:
        """Whether layers of both lie at the same position, and their coordinates mean the same."""
        if self.stack is None or other.stack is None:
            same_groups = self.stack is other.stack
        else:
            same_groups = self.stack.same_as(other.stack)
        return (
            same_groups
            and self.alike(other)
            and all(
                np.array_equal(getattr(self, name), getattr(other, name))
                for name in ("box", "translate", "rotate", "shear", "affine")
            )
        )

    def alike(self, other: "Frame") -> bool:
        """Whether coordinates of the one are coordinates of the other."""
        return (self.axes, self.names, self.units) == (
            other.axes,
            other.names,
            other.units,
        ) and np.array_equal(self.scale, other.scale)

    def coordinates(self, world: FloatArray) -> FloatArray:
        """Where a position of the world (n,) lies in u, (n,)."""
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
        for column, axis in enumerate(self.axes):
            kinds[axis] = column + 1
        if self.stack is None:
            return Layout(tuple(kinds))
        kinds[self.stack.axis] = 0
        return Layout(tuple(kinds), tuple(self.stack.slices.tolist()))

    def shape_placement(self) -> dict[str, Any]:
        """Keywords that place a layer whose vertices come from `shape_data`."""
        return self._placed(*self._shape_coordinates())

    def shape_data(self, vertices: FloatArray, group: int | NDArray[np.intp] = 0) -> FloatArray:
        """Vertices (..., D) in u as vertices (..., n) of a layer.

        They are the Points layer's own data coordinates, unless those are too far from the
        origin for single precision. Along the axis of the groups they are slices.
        """
        origin, steps = self._shape_coordinates()
        modelled = list(self.axes)
        data = np.zeros((*vertices.shape[:-1], len(self.scale)))
        data[..., modelled] = (vertices - origin[modelled]) / steps[modelled]
        if self.stack is not None:
            data[..., self.stack.axis] = self.stack.slices[group]
        return data

    def _shape_coordinates(self) -> tuple[FloatArray, FloatArray]:
        modelled = list(self.axes)
        origin, steps = self._slab()
        low, high = self.modelled_box
        far = np.abs([low, high]).max() > _FAR_FROM_ORIGIN * (high - low).max()
        origin[modelled] = low if far else 0.0
        steps[modelled] = self.scale[modelled]
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


def shear_matrix(layer: Layer) -> FloatArray:
    """The layer's shear as a matrix; napari gives an upper triangular one as a vector."""
    shear = np.asarray(layer.shear, dtype=np.float64)
    if shear.ndim == 2:
        return shear
    matrix = np.eye(layer.ndim)
    matrix[np.triu_indices(layer.ndim, k=1)] = shear
    return matrix
