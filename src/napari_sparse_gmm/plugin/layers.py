"""The layers that show a mixture: heatmap under the points, ellipses and contours above.

What an earlier fit of the same points has made is updated in place: what is shown changes, how it
is shown stays the user's.
"""

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Shapes, Surface

from napari_sparse_gmm.plugin.drawing import (
    Drawing,
    components_keywords,
    ellipsoids_keywords,
    heatmap_keywords,
    image_placement,
)
from napari_sparse_gmm.plugin.frame import Frame
from napari_sparse_gmm.plugin.made_layers import add, exchanged, made_from, set_placement
from napari_sparse_gmm.plugin.picturing import CONTOURS
from napari_sparse_gmm.plugin.results import Heatmap

# In the metadata of an image: the limits that it was given, to know them from the user's own.
_LIMITS_KEY = "napari-sparse-gmm limits"

# Of lines that hold ever more of the clusters.
_LINE_COLOURS = ("#ffffff", "#a8d8ff", "#4a9eff")

# Limits of an image stay where those of the next one differ by less than this factor.
_ALIKE = 3.0


def show_heatmap(
    viewer: ViewerModel,
    points: Points,
    frame: Frame,
    heatmap: Heatmap,
) -> Image:
    """Show a heatmap as the Image layer of `points`, under them."""
    keywords = heatmap_keywords(points.name, frame, heatmap)
    data, limits = keywords["data"], keywords["contrast_limits"]
    layer = made_from(viewer, points, "density", Image, len(frame.scale))
    if layer is None:
        layer = Image(**keywords)
        add(viewer, points, "density", _index(viewer, points), layer)
    else:
        if keywords["multiscale"] and not layer.multiscale:
            layer = exchanged(viewer, layer, data)
        # An image of several levels may come down to one, for a while.
        layer.data = [data] if layer.multiscale and not keywords["multiscale"] else data
        set_placement(layer, image_placement(frame, heatmap))
    _limit(layer, heatmap, limits)
    return layer


def _index(viewer: ViewerModel, points: Points) -> int:
    """Where they are among the layers, or the lowest index if they were removed."""
    return viewer.layers.index(points) if points in viewer.layers else 0


def _limit(layer: Image, heatmap: Heatmap, limits: tuple[float, float]) -> None:
    """Set the contrast limits, unless they are the user's or do for this image as well."""
    values, pyramid, quantity = heatmap.values, heatmap.pyramid, heatmap.choice.quantity
    present = tuple(layer.contrast_limits)
    before, given = layer.metadata.get(_LIMITS_KEY, (quantity, present))
    keeps = quantity == before and (present != given or _alike(present, limits, quantity))
    if keeps:
        limits = present
    reach = limits[1] - limits[0]  # below the limits, for the user to move them
    lowest = max(float(values.min()), limits[0] - reach)
    highest = float(values.max()) if pyramid is None else pyramid.highest
    layer.contrast_limits_range = (min(lowest, limits[0]), max(highest, limits[1]))
    layer.contrast_limits = limits
    layer.metadata[_LIMITS_KEY] = (quantity, given if keeps else tuple(layer.contrast_limits))


def _alike(old: tuple[float, float], new: tuple[float, float], quantity: str) -> bool:
    """Whether old limits do for an image that has new ones, so that it need not flicker."""
    if quantity == "log_density":
        return bool(np.abs(np.subtract(old, new)).max() < np.log(_ALIKE))
    return 1 / _ALIKE < old[1] / new[1] < _ALIKE


def show_components(viewer: ViewerModel, points: Points, frame: Frame, shown: Drawing) -> Shapes:
    """Show ellipses as the Shapes layer of `points`, above everything, and ellipsoids below it."""
    layer = made_from(viewer, points, "components", Shapes, len(frame.scale))
    keywords = components_keywords(points.name, frame, shown)
    if layer is None:
        layer = Shapes(**keywords)
        add(viewer, points, "components", len(viewer.layers), layer)
    elif _flat_in_space(viewer, layer):
        data = keywords.pop("data")
        keywords.pop("name")
        layer = exchanged(viewer, layer, data, **keywords)
    else:
        # Its features follow at once: what listens to them need not hear of it twice.
        with layer.events.features.blocker():
            layer.data = [(box, "ellipse") for box in shown.corners]
        set_placement(layer, frame.shape_placement())
        layer.edge_width = list(shown.edge_width)
        layer.features = shown.features
    _show_surface(viewer, points, shown.surface, under=layer)
    return layer


def _flat_in_space(viewer: ViewerModel, layer: Shapes) -> bool:
    """Whether napari shows a layer of two axes in 3D: it cannot change its shapes there."""
    return bool(viewer.dims.ndisplay == 3 and layer.ndim == 2)


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
        add(viewer, points, "contours", _index(viewer, points) + 1, layer)
    elif _flat_in_space(viewer, layer):
        layer = exchanged(
            viewer, layer, data, shape_type="path", **shown, **frame.shape_placement()
        )
    else:
        # napari keeps no shape of the old ones when it is given all anew.
        layer.data = []
        set_placement(layer, frame.shape_placement())
        layer.add_paths(data, **shown)
    layer.features = {"holds [%]": held}


def _show_surface(
    viewer: ViewerModel, points: Points, surface: dict[str, Any] | None, under: Layer
) -> None:
    """Show the ellipsoids as one Surface layer of `points`, where there are some."""
    layer = made_from(viewer, points, "ellipsoids", Surface, under.ndim)
    if surface is None:
        if layer is not None:
            viewer.layers.remove(layer)
    elif layer is None:
        layer = Surface(**ellipsoids_keywords(points.name, surface))
        add(viewer, points, "ellipsoids", viewer.layers.index(under), layer)
    else:
        layer.vertex_colors = None  # they are of another number of vertices
        set_placement(layer, surface)
