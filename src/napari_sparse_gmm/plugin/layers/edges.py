"""Edges of shapes that are as wide on the screen at every zoom; napari's are as wide in the data.

The view is followed in `following`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from napari.components import LayerList
from napari.layers import Layer, Shapes

from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.space.transforms import to_world_affine

# In the metadata of a layer: (how wide its edges are on the screen, which width they were given).
_EDGES_KEY = "napari-sparse-gmm edges"

# Edges stay as they are while they are off by less than this factor: to set 2000 takes 30 ms.
_ALIKE = 1.2


def thin_edges(
    frame: Frame, pixels: float, metadata: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Keywords of a Shapes layer whose edges are to be so many pixels of the screen wide.

    Until it is on a screen they are as if all points were seen there. `metadata` may have more.
    """
    width = pixels * frame.screen_pixel
    return {"edge_width": width, "metadata": {_EDGES_KEY: (pixels, width), **metadata}}


def edge_width(layer: Shapes) -> float:
    """How wide the edges of other shapes should be in the place of its own, in its coordinates."""
    _, given = layer.metadata[_EDGES_KEY]
    own = layer.edge_width
    return given if not own or given in own else own[0]  # which the user has chosen for all


def has_thin_edges(layer: Layer) -> bool:
    """Whether it was made with these."""
    return _EDGES_KEY in layer.metadata


def set_width(layer: Shapes, layers: LayerList) -> None:
    """Give the edges their width on the screen, but for those that are the user's own by now."""
    if not has_thin_edges(layer):
        return
    pixels, given = layer.metadata[_EDGES_KEY]
    matrix, _ = to_world_affine(layer, layers)
    length = np.linalg.norm(matrix[:, -2:], axis=0).mean()  # of a step along its last axes
    width = float(pixels * layer.scale_factor / length)
    if 1 / _ALIKE < width / given < _ALIKE:
        return
    layer.edge_width = [width if own == given else own for own in layer.edge_width]
    layer.metadata[_EDGES_KEY] = (pixels, width)
    layer.events.edge_width()
