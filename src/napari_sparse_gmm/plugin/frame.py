"""From a Points layer to the coordinates of the model, and back to new layers.

napari takes a data point d to the world by

    world = affine( rotate shear (scale * d) + translate ).

The model lives in u = scale * d, on the axes that are modelled: the layer's own units, in
which a pixel is square and a length is a length. A new layer whose pixel i lies at
u = origin + spacing * i is then placed by scale = spacing and
translate + rotate shear origin; rotation, shear and affine stay as they are. All of
napari's conventions about places are in this file.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.axes import Axes, axis_names
from napari_sparse_gmm.shapes.grid import Grid

# Shapes keeps its vertices in float32. Further than this many times the width of the points
# from the origin, its coordinates are counted from the corner of the points instead.
_FAR_FROM_ORIGIN = 1e3


@dataclass(frozen=True, eq=False)
class Frame:
    """Where the modelled points lie, with everything that places layers under them.

    The new layers keep the axes from the first modelled one to the last of the layer, n of
    them: napari repeats a layer along the axes that it lacks at the front. A kept axis that
    is not modelled becomes one pixel as wide as the points.
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

    @property
    def unit(self) -> str:
        """Unit of the modelled coordinates, abbreviated; "" where they differ."""
        units = {f"{self.units[axis]:~P}" for axis in self.axes}
        return units.pop() if len(units) == 1 else ""

    @property
    def modelled_box(self) -> FloatArray:
        """Lower and upper corner of the modelled points in u, (2, D)."""
        return self.box[:, list(self.axes)]

    def image_placement(self, grid: Grid) -> dict[str, Any]:
        """Keywords that place an image of `grid`, with its axes as `image_data` orders them."""
        origin, spacing = self._slab()
        origin[list(self.axes)] = grid.origin
        spacing[list(self.axes)] = grid.spacing
        return self._placed(origin, spacing)

    def image_data(self, values: NDArray[Any]) -> NDArray[Any]:
        """An array over the modelled axes, with one pixel along each other kept axis."""
        others = [axis for axis in range(len(self.scale)) if axis not in self.axes]
        return np.expand_dims(values, others)

    def shape_placement(self) -> dict[str, Any]:
        """Keywords that place shapes whose vertices come from `shape_data`."""
        return self._placed(*self._shape_coordinates())

    def shape_data(self, vertices: FloatArray) -> FloatArray:
        """Vertices (..., D) in u as vertices (..., n) of the shapes layer.

        They are the Points layer's own data coordinates, unless those are too far from the
        origin for single precision.
        """
        origin, spacing = self._shape_coordinates()
        modelled = list(self.axes)
        data = np.zeros((*vertices.shape[:-1], len(self.scale)))
        data[..., modelled] = (vertices - origin[modelled]) / spacing[modelled]
        return data

    def _shape_coordinates(self) -> tuple[FloatArray, FloatArray]:
        modelled = list(self.axes)
        origin, spacing = self._slab()
        spacing[modelled] = self.scale[modelled]
        low, high = self.modelled_box
        distance = np.abs([low, high]).max()
        far = distance > _FAR_FROM_ORIGIN * (high - low).max()
        origin[modelled] = low if far else 0.0
        return origin, spacing

    def _slab(self) -> tuple[FloatArray, FloatArray]:
        """Origin and spacing of a single pixel as wide as the points, (n,) each."""
        low, high = self.box
        # A little wider, so that the points at both ends are well inside.
        width = 1.001 * (high - low)
        return 0.5 * (low + high), np.where(width > 0, width, np.abs(self.scale))

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


def modelled_points(layer: Points, axes: Axes) -> tuple[FloatArray, Frame]:
    """The points of a layer in model coordinates u, (N, D) float64, and their frame.

    Points that the layer does not show (`layer.shown`) are left out. Along axes that are not
    in `axes` all points are taken together.

    Raises
    ------
    ValueError
        Where no point is left, a coordinate is not finite, or the layer is turned from a
        modelled axis into an earlier one that is not.
    """
    data = np.asarray(layer.data, dtype=np.float64)[np.asarray(layer.shown, dtype=bool)]
    if len(data) == 0:
        raise ValueError(f"Layer {layer.name!r} shows no points: choose a layer that has some.")
    kept = np.arange(axes[0], layer.ndim)
    points = data[:, kept] * layer.scale[kept]  # (N, n)
    bad = int((~np.isfinite(points)).any(axis=1).sum())
    if bad:
        raise ValueError(
            f"{bad} of the {len(points)} points of layer {layer.name!r} have a coordinate that "
            "is NaN or infinite: remove or hide them, then run again."
        )
    frame = _frame(layer, axes, box=np.stack([points.min(axis=0), points.max(axis=0)]))
    return points[:, list(frame.axes)], frame


def _frame(layer: Points, axes: Axes, box: FloatArray) -> Frame:
    kept = np.arange(axes[0], layer.ndim)
    shear, affine = _shear_matrix(layer), np.asarray(layer.affine.affine_matrix)
    for matrix in (layer.rotate, shear, affine[:-1, :-1]):
        mixed = [*matrix[: axes[0], kept].flat, *matrix[kept, : axes[0]].flat]
        if not np.allclose(mixed, 0.0):
            raise ValueError(
                f"Layer {layer.name!r} is rotated or sheared between the chosen axes and those "
                "before them: choose all of the axes that its transform mixes."
            )
    block = np.ix_(kept, kept)
    affine_rows = np.append(kept, layer.ndim)
    names = axis_names(layer)
    return Frame(
        axes=tuple(axis - axes[0] for axis in axes),
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


def _shear_matrix(layer: Points) -> FloatArray:
    """The layer's shear as a matrix; napari gives an upper triangular one as a vector."""
    shear = np.asarray(layer.shear, dtype=np.float64)
    if shear.ndim == 2:
        return shear
    matrix = np.eye(layer.ndim)
    matrix[np.triu_indices(layer.ndim, k=1)] = shear
    return matrix
