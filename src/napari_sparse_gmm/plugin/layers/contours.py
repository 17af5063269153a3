"""The Shapes layer with lines of equal density."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Points, Shapes
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.layers.edges import edge_width, thin_edges
from napari_sparse_gmm.plugin.layers.following import follow
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

# How far from each other labels are, as a share of the field.
_APART = 0.1

_LINE = 1.2  # pixels of the screen that one is wide


def show_contours(viewer: ViewerModel, points: Points, frame: Frame, heatmap: Heatmap) -> None:
    """Show lines of equal density as the Shapes layer of `points` below the ellipses, or none."""
    layer = made_from(viewer, points, "contours", Shapes, len(frame.scale))
    lines = heatmap.contours
    if not lines:
        if layer is not None:
            viewer.layers.remove(layer)
        return
    held = np.array([percent for _, percent, _ in lines])
    follow(viewer)
    data = [frame.shape_data(line, group) for group, _, line in lines]
    colours = {
        "edge_color": [_LINE_COLOURS[CONTOURS.index(percent)] for percent in held],
    }
    if layer is None:
        layer = Shapes(
            data,
            shape_type="path",
            ndim=len(frame.scale),
            name=f"{points.name} contours",
            **colours,
            **thin_edges(frame, _LINE),
            **frame.shape_placement(),
        )
        add(viewer, points, "contours", index_of(viewer, points) + 1, layer)
    elif flat_in_space(viewer, layer):
        layer = exchanged(
            viewer,
            layer,
            data,
            shape_type="path",
            edge_width=edge_width(layer),
            **colours,
            **frame.shape_placement(),
        )
    else:
        # napari keeps no shape of the old ones when it is given all anew.
        width = edge_width(layer)
        layer.data = []
        set_placement(layer, frame.shape_placement())
        layer.add_paths(data, edge_width=width, **colours)
    layer.features = {"holds [%]": held}
    layer.text = _legend([line for _, _, line in lines], held)


def _legend(lines: Sequence[FloatArray], held: NDArray[np.float64]) -> dict[str, Any]:
    """What the lines hold, beside a long one of each kind, in its colour; where there are several
    places, not two at the same.
    """
    lengths = np.array([np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in lines])
    corners = np.array([line.max(0) for line in lines])
    reach = _APART * np.ptp(corners, axis=0).max()
    labels, taken = [""] * len(lines), np.empty((0, corners.shape[1]))
    for percent in np.unique(held):
        away = np.abs(corners[:, None] - taken).max(2).min(1, initial=np.inf) > reach
        # Those at a place of their own first, of them the longest.
        rank = np.where(held == percent, lengths + away * lengths.sum(), -1.0)
        chosen = int(np.argmax(rank))
        labels[chosen] = f"{percent:g}%"
        taken = np.append(taken, corners[[chosen]], axis=0)
    return {
        "string": labels,
        "color": [_LINE_COLOURS[CONTOURS.index(percent)] for percent in held],
        "size": 9,
        # Of the box around a line, where the boxes of all lines around a place differ.
        "anchor": "upper_right",
    }
