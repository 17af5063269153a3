"""How to get to a component: its ellipse is selected, in the middle of the view, and to be seen."""

import numpy as np
from napari.layers import Shapes
from napari.viewer import Viewer

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.layers.sections import sections_of
from napari_sparse_gmm.plugin.space.transforms import to_world

# Pixels of the screen, and share of the view, between which a component is seen as it is; else it
# gets that share.
_LEAST_PIXELS, _MOST, _SHARE = 24.0, 0.9, 0.25

# A slider is at a place that is nearer than this, in its steps.
_NEAR = 0.51


def go_on(viewer: Viewer, layer: Shapes) -> None:
    """Go to the selected ellipse; where the view is there, to the next one by falling points."""
    if not layer.nshapes:
        return
    by_points = np.argsort(-layer.features["expected_points"].to_numpy(), kind="stable")
    index = min(layer.selected_data, default=int(by_points[0]))
    if index in layer.selected_data and _is_at(viewer, _centre(viewer, layer, index)):
        rank = int(np.flatnonzero(by_points == index)[0])
        index = int(by_points[(rank + 1) % len(by_points)])
    go_to(viewer, layer, index)


def go_to(viewer: Viewer, layer: Shapes, index: int) -> None:
    """Select an ellipse, and bring it to the middle of the view.

    Sliders go to the slices of its centre. The zoom changes where it would be too small to be seen,
    or larger than the view.
    """
    layer.selected_data = {index}
    dims, camera = viewer.dims, viewer.scene.camera
    centre = _centre(viewer, layer, index)
    for axis in set(range(dims.ndim - layer.ndim, dims.ndim)) - set(dims.displayed):
        dims.set_point(axis, float(centre[axis]))
    camera.center = tuple(centre[list(dims.displayed)])
    # After that: a slice through the middle of an ellipsoid is its widest.
    width, view = _width(viewer, layer, index), float(min(viewer.canvas.size))
    if width > 0 and not _LEAST_PIXELS <= width * camera.zoom <= _MOST * view:
        camera.zoom = _SHARE * view / width


def _centre(viewer: Viewer, layer: Shapes, index: int) -> FloatArray:
    """Where a component lies in the viewer's world (n,); 0 along axes that the layer lacks."""
    sections = sections_of(layer)
    if sections is None:
        data = np.asarray(layer.data[index], dtype=np.float64).mean(axis=0)
    else:
        data = sections.centre(index)
    centre = np.zeros(viewer.dims.ndim)
    centre[viewer.dims.ndim - layer.ndim :] = to_world(layer, viewer, data)
    return centre


def _width(viewer: Viewer, layer: Shapes, index: int) -> float:
    """How wide a component is in the view, in the viewer's world, about."""
    sections = sections_of(layer)
    if sections is None or viewer.dims.ndisplay == 2:
        outline = np.asarray(layer.data[index], dtype=np.float64)
    else:
        outline = sections.ends(index)
    first = viewer.dims.ndim - layer.ndim  # napari aligns the last axes of layers
    extent = np.ptp(to_world(layer, viewer, outline), axis=0)
    return float(np.linalg.norm([extent[a - first] for a in viewer.dims.displayed if a >= first]))


def _is_at(viewer: Viewer, centre: FloatArray) -> bool:
    """Whether a place (n,) is in the middle of the view, to a pixel."""
    dims, camera = viewer.dims, viewer.scene.camera
    shown = list(dims.displayed)
    off = np.abs(np.array(camera.center)[-len(shown) :] - centre[shown])
    sliders = [axis for axis in range(dims.ndim) if axis not in shown]
    return bool((off * camera.zoom < 1.0).all()) and all(
        abs(dims.point[axis] - centre[axis]) <= _NEAR * dims.range[axis].step for axis in sliders
    )
