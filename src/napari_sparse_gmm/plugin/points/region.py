"""Where points could have been, as another layer of the viewer says it.

>>> cell = Shapes([[0.0, 0.0], [0.0, 2000.0], [1500.0, 0.0]], shape_type="polygon", units="nm")
>>> outlined(cell, layer, (0, 1)).volume
1500000.0
"""

import numpy as np
from napari.layers import Labels, Layer, Points, Shapes

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.regions import enclosed, has_inside
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.space.axes import Axes
from napari_sparse_gmm.plugin.space.transforms import affine_from
from napari_sparse_gmm.regions import Mask, Polygon, Region


def outlines_regions(layer: Layer) -> bool:
    """Whether a layer can say where points could have been: labels, or shapes with an inside; those
    may also be drawn yet.
    """
    if isinstance(layer, Shapes):
        return not layer.nshapes or any(has_inside(kind) for kind in layer.shape_type)
    return isinstance(layer, Labels)


def outlined(
    layer: Shapes | Labels, points: Points, axes: Axes, *, in_units: bool = True
) -> Region:
    """What the shapes, or all labels, of a layer cover, in the model's coordinates.

    Of the last axes of the model, those that the layer constrains.

    Parameters
    ----------
    layer : Shapes or Labels
        With as many axes as the points, or fewer.
    points : Points
        Whose coordinates are modelled.
    axes : tuple of D int
        Those that are.
    in_units : bool
        Whether the viewer shows layers in their units, which it does where those of all of them go
        together.

    Raises
    ------
    InputError
        Where the layer outlines nothing.
    """

    def modelled(world: FloatArray) -> FloatArray:
        u = np.asarray(points.world_to_data(world)) * points.scale
        return np.asarray(u[list(axes)])

    matrix, offset = affine_from(layer, points.units, modelled, in_units)
    outline = _mask if isinstance(layer, Labels) else _polygon
    return outline(layer, matrix, offset)


def _polygon(layer: Shapes, matrix: FloatArray, offset: FloatArray) -> Region:
    """What the shapes of a layer enclose, along the last two axes that are modelled."""
    outlines = enclosed(layer.data, layer.shape_type)
    if not outlines:
        raise InputError(
            f"Layer {layer.name!r} has no polygon, rectangle or ellipse: draw one around the "
            "region, or choose another region."
        )
    return Polygon(*((corners @ matrix.T + offset)[:, -2:] for corners in outlines))


def _mask(layer: Labels, matrix: FloatArray, offset: FloatArray) -> Region:
    """All labels of a layer, over those of its axes that are modelled."""
    # Of several scales the first is the one that the layer's transform is of.
    labelled = np.asarray(layer.data[0] if layer.multiscale else layer.data) > 0
    if not labelled.any():
        raise InputError(
            f"Layer {layer.name!r} has no label: paint the region, or choose another region."
        )
    modelled = np.abs(matrix).max(0) > 1e-12 * np.abs(matrix).max()
    labelled = np.asarray(labelled.any(axis=tuple(np.flatnonzero(~modelled))))
    rows = slice(len(matrix) - labelled.ndim, None)
    return Mask(labelled, matrix[rows][:, modelled], offset[rows])
