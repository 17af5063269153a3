"""Edges of shapes that are as wide on the screen at every zoom; napari's are as wide in the data.

A layer takes part through its metadata, so that a copy does, too, and one that a file gave::

    layer = Shapes(..., **thin_edges(frame, pixels=2.0))
    follow_zoom(viewer)  # once, before or after
"""

from functools import partial
from typing import Any
from weakref import ReferenceType, WeakSet, ref

import numpy as np
from napari.components import LayerList, ViewerModel
from napari.layers import Layer, Shapes

from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.space.transforms import affine_from

# In the metadata of a layer: (how wide its edges are on the screen, which width they were given).
_EDGES_KEY = "napari-sparse-gmm edges"

# Edges stay as they are while they are off by less than this factor: to set 2000 takes 30 ms.
_ALIKE = 1.2

_following: WeakSet[Layer] = WeakSet()


def thin_edges(frame: Frame, pixels: float) -> dict[str, Any]:
    """Keywords of a Shapes layer whose edges are to be so many pixels of the screen wide.

    Until it is on a screen they are as if all points were seen there.
    """
    width = pixels * frame.screen_pixel
    return {"edge_width": width, "metadata": {_EDGES_KEY: (pixels, width)}}


def follow_zoom(viewer: ViewerModel) -> None:
    """From now on, the edges in a viewer follow its zoom."""
    # The same function each time, which napari connects once.
    viewer.layers.events.inserted.connect(_on_inserted)


def edge_width(layer: Shapes) -> float:
    """How wide the edges of other shapes should be in the place of its own, in its coordinates."""
    _, given = layer.metadata[_EDGES_KEY]
    own = layer.edge_width
    return given if not own or given in own else own[0]  # which the user has chosen for all


def _on_inserted(event: Any) -> None:
    layer = event.value
    if isinstance(layer, Shapes) and _EDGES_KEY in layer.metadata and layer not in _following:
        _following.add(layer)
        layer.events.scale_factor.connect(partial(_on_zoom, ref(event.source)))


def _on_zoom(layers: "ReferenceType[LayerList]", event: Any) -> None:
    """Give the edges their width on the screen, but for those that are the user's own by now."""
    layer, among = event.source, layers()
    if among is None or _EDGES_KEY not in layer.metadata:
        return
    pixels, given = layer.metadata[_EDGES_KEY]
    units = among.extent.units
    of_world = layer.units if units is None else units[-layer.ndim :]
    matrix, _ = affine_from(layer, of_world, lambda world: world, units is not None)
    length = np.linalg.norm(matrix[:, -2:], axis=0).mean()  # of a step along its last axes
    width = float(pixels * layer.scale_factor / length)
    if 1 / _ALIKE < width / given < _ALIKE:
        return
    layer.edge_width = [width if own == given else own for own in layer.edge_width]
    layer.metadata[_EDGES_KEY] = (pixels, width)
    layer.events.edge_width()
