"""The Shapes layer with lines of equal density."""

import numpy as np
from napari.components import ViewerModel
from napari.layers import Points, Shapes

from napari_sparse_gmm.plugin.layers.owned import (
    add,
    exchanged,
    flat_in_space,
    index_of,
    made_from,
    set_placement,
)
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.tasks.render import CONTOURS
from napari_sparse_gmm.plugin.tasks.values import Heatmap

# Of lines that hold ever more of the clusters.
_LINE_COLOURS = ("#ffffff", "#a8d8ff", "#4a9eff")


def show_contours(viewer: ViewerModel, points: Points, frame: Frame, heatmap: Heatmap) -> None:
    """Show lines of equal density as the Shapes layer of `points` below the ellipses, or none."""
    layer = made_from(viewer, points, "contours", Shapes, len(frame.scale))
    lines = heatmap.contours
    if not lines:
        if layer is not None:
            viewer.layers.remove(layer)
        return
    held = np.array([percent for _, percent, _ in lines])
    data = [frame.shape_data(line, group) for group, _, line in lines]
    shown = {
        "edge_width": 0.0015
        * float(np.ptp(frame.modelled_box, axis=0).max())
        / np.abs(frame.scale[list(frame.axes)]).mean(),
        "edge_color": [_LINE_COLOURS[CONTOURS.index(percent)] for percent in held],
    }
    if layer is None:
        layer = Shapes(
            data,
            shape_type="path",
            ndim=len(frame.scale),
            name=f"{points.name} contours",
            **shown,
            **frame.shape_placement(),
        )
        add(viewer, points, "contours", index_of(viewer, points) + 1, layer)
    elif flat_in_space(viewer, layer):
        layer = exchanged(
            viewer, layer, data, shape_type="path", **shown, **frame.shape_placement()
        )
    else:
        # napari keeps no shape of the old ones when it is given all anew.
        layer.data = []
        set_placement(layer, frame.shape_placement())
        layer.add_paths(data, **shown)
    layer.features = {"holds [%]": held}
