"""Which points of a layer are fitted: all, the selected ones, or those in the view."""

from enum import Enum

import numpy as np
from napari.components import ViewerModel
from napari.layers import Points
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin.space.transforms import to_world


class Use(Enum):
    """Which of the points that the layer shows are fitted."""

    ALL = "all points"
    SELECTED = "selected points"
    VIEW = "points in the view"


def used(use: Use, layer: Points, viewer: ViewerModel) -> NDArray[np.bool_]:
    """Which points of a layer (N,) are meant now.

    Raises
    ------
    InputError
        Where there is none.
    """
    chosen = np.ones(len(layer.data), dtype=bool)
    if use is Use.SELECTED:
        chosen[:] = False
        chosen[list(layer.selected_data)] = True
        if not chosen.any():
            raise InputError(
                f"No point of layer {layer.name!r} is selected: select some with napari's "
                "selection tool (key 3, then drag a rectangle), or choose another Use."
            )
    elif use is Use.VIEW:
        chosen = in_view(layer, viewer)
        if not chosen.any():
            raise InputError(
                f"No point of layer {layer.name!r} is in the view: move the view, or choose "
                "another Use."
            )
    return chosen


def in_view(layer: Points, viewer: ViewerModel) -> NDArray[np.bool_]:
    """Which points of a layer (N,) lie within the canvas; at any position of the sliders."""
    world = to_world(layer, viewer, np.asarray(layer.data, dtype=np.float64))
    # napari aligns the last axes of layers.
    displayed = [axis - viewer.dims.ndim + layer.ndim for axis in viewer.dims.displayed]
    camera = viewer.scene.camera
    centre = np.asarray(camera.center)[-len(displayed) :]
    height, width = viewer.canvas.size
    offset = np.zeros((len(world), len(displayed)))
    for column, axis in enumerate(displayed):
        if axis >= 0:  # the layer reaches through the others
            offset[:, column] = world[:, axis] - centre[column]
    if len(displayed) == 3:
        up = np.asarray(camera.up_direction)
        offset = offset @ np.stack([up, np.cross(up, camera.view_direction)], axis=1)
    half = 0.5 * np.array([height, width]) / camera.zoom
    return (np.abs(offset) <= half).all(axis=1)
