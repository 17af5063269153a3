"""The layers that show a mixture: heatmap under the points, ellipses above, the points' colours.

A layer made here carries a mark in its metadata that names the Points layer it was made from.
The next fit of those points finds it by that mark, whatever it is called by then, and updates
it in place: what is shown changes, how it is shown stays the user's.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Shapes, Surface
from napari.utils.colormaps.standardize_color import transform_color
from numpy.typing import NDArray

from napari_sparse_gmm.plugin.drawing import (
    Drawing,
    component_colours,
    components_keywords,
    ellipsoids_keywords,
    heatmap_keywords,
    image_placement,
)
from napari_sparse_gmm.plugin.frame import Frame, shear_matrix
from napari_sparse_gmm.plugin.picturing import CONTOURS
from napari_sparse_gmm.plugin.results import Heatmap

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment

# What a fit tells of each point.
ASSIGNMENT_FEATURES = ("component", "probability", "log_density", "is_background")

# What is not worth a comparison.
_LARGE = ("data", "vertex_colors")

METADATA_KEY = "napari-sparse-gmm"

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
    values, pyramid = heatmap.values, heatmap.pyramid
    keywords = heatmap_keywords(points.name, frame, heatmap)
    layer = _made_from(viewer, points, "density", Image, len(frame.scale))
    limits = keywords["contrast_limits"]
    if layer is not None and _alike(tuple(layer.contrast_limits), limits):
        limits = tuple(layer.contrast_limits)
    if layer is not None and layer.multiscale != keywords["multiscale"]:
        layer = _exchanged(viewer, layer, keywords["data"])
    if layer is None:
        layer = Image(**keywords, metadata=mark(points, "density"))
        _insert(viewer, viewer.layers.index(points), layer)
    else:
        layer.data = keywords["data"]
        _place(layer, image_placement(frame, heatmap))
    reach = limits[1] - limits[0]  # below the limits, for the user to move them
    lowest = max(float(values.min()), limits[0] - reach)
    highest = float(values.max()) if pyramid is None else pyramid.highest
    layer.contrast_limits_range = (min(lowest, limits[0]), max(highest, limits[1]))
    layer.contrast_limits = limits
    return layer


def _alike(old: tuple[float, float], new: tuple[float, float]) -> bool:
    """Whether old limits do for an image that has new ones, so that it need not flicker."""
    if min(old[1], new[1]) > 0:
        return 1 / _ALIKE < old[1] / new[1] < _ALIKE
    return bool(np.abs(np.subtract(old, new)).max() < np.log(_ALIKE))


def _exchanged(viewer: ViewerModel, old: Image, data: Any) -> Image:
    """An image of other data in the place of an old one, for what napari fixes in the old one.

    How it is shown stays the user's.
    """
    _, keywords, _ = old.as_layer_data_tuple()
    for name in ("multiscale", "rgb", "affine", "metadata"):
        keywords.pop(name, None)
    place, selected = viewer.layers.index(old), old in viewer.layers.selection
    viewer.layers.remove(old)
    new = Image(
        data,
        multiscale=isinstance(data, list),
        affine=old.affine.affine_matrix,
        metadata=old.metadata,
        **keywords,
    )
    _insert(viewer, place, new)
    if selected:
        viewer.layers.selection.add(new)
    return new


def show_components(viewer: ViewerModel, points: Points, frame: Frame, shown: Drawing) -> Shapes:
    """Show ellipses as the Shapes layer of `points`, above everything, and ellipsoids below it."""
    layer = _made_from(viewer, points, "components", Shapes, len(frame.scale))
    if layer is None:
        keywords = components_keywords(points.name, frame, shown)
        layer = Shapes(**keywords, metadata=mark(points, "components"))
        _insert(viewer, len(viewer.layers), layer)
    else:
        layer.data = [(box, "ellipse") for box in shown.corners]
        _place(layer, frame.shape_placement())
        layer.edge_width = list(shown.edge_width)
        layer.features = shown.features
    _show_surface(viewer, points, shown.surface, under=layer)
    return layer


def show_contours(viewer: ViewerModel, points: Points, frame: Frame, heatmap: Heatmap) -> None:
    """Show lines of equal density as the Shapes layer of `points` below the ellipses, or none."""
    n_axes = len(frame.scale)
    layer = _made_from(viewer, points, "contours", Shapes, n_axes)
    lines = heatmap.contours
    if not lines:
        if layer is not None:
            viewer.layers.remove(layer)
        return
    if layer is None:
        layer = Shapes(
            ndim=n_axes,
            name=f"{points.name} contours",
            metadata=mark(points, "contours"),
            **frame.shape_placement(),
        )
        _insert(viewer, viewer.layers.index(points) + 1, layer)
    # napari keeps no shape of the old ones when it is given all anew.
    layer.data = []
    _place(layer, frame.shape_placement())
    held = np.array([percent for _, percent, _ in lines])
    colours = [_LINE_COLOURS[CONTOURS.index(percent)] for percent in held]
    layer.add_paths(
        [frame.shape_data(line, group) for group, _, line in lines],
        edge_width=0.0015
        * float(np.ptp(frame.modelled_box, axis=0).max())
        / np.abs(frame.scale[list(frame.axes)]).mean(),
        edge_color=colours,
    )
    layer.features = {"holds [%]": held}


def components_layer(viewer: ViewerModel, points: Points) -> Shapes | None:
    """The ellipses that a fit of `points` made, where they are."""
    wanted = mark(points, "components")[METADATA_KEY]
    return next(
        (
            layer
            for layer in viewer.layers
            if isinstance(layer, Shapes) and layer.metadata.get(METADATA_KEY) == wanted
        ),
        None,
    )


def remove_made(viewer: ViewerModel, points: Points) -> None:
    """Remove all layers that were made from `points`."""
    for layer in list(viewer.layers):
        mark = layer.metadata.get(METADATA_KEY, {})
        if mark.get("made_from") == points.unique_id:
            viewer.layers.remove(layer)


def _show_surface(
    viewer: ViewerModel, points: Points, surface: dict[str, Any] | None, under: Layer
) -> None:
    """Show the ellipsoids as one Surface layer of `points`, where there are some."""
    layer = _made_from(viewer, points, "ellipsoids", Surface, under.ndim)
    if surface is None:
        if layer is not None:
            viewer.layers.remove(layer)
    elif layer is None:
        keywords = ellipsoids_keywords(points.name, surface)
        layer = Surface(**keywords, metadata=mark(points, "ellipsoids"))
        _insert(viewer, viewer.layers.index(under), layer)
    else:
        layer.vertex_colors = None  # they are of another number of vertices
        _place(layer, surface)


def show_assignment(points: Points, shown: NDArray[np.bool_], assignment: "Assignment") -> None:
    """Give the points that are `shown` (N,) their component, as features and as a colour.

    Other features stay. A hidden point has no component, and keeps its colour.
    """

    def of_all(values: NDArray[Any], nothing: float) -> NDArray[Any]:
        out = np.full(len(shown), nothing, dtype=values.dtype)
        out[shown] = values
        return out

    component = assignment.component
    columns = (
        of_all(component, -1),
        of_all(assignment.probability, np.nan),
        of_all(assignment.log_density, np.nan),
        of_all(component < 0, False),
    )
    colours = np.array(points.face_color)  # (N, 4)
    if "probability" in points.features:  # those of an earlier fit
        colours[~np.isnan(points.features["probability"].to_numpy(dtype=float))] = transform_color(
            points.current_face_color
        )
    colours[shown] = component_colours(component)
    features = points.features.copy()
    for name, column in zip(ASSIGNMENT_FEATURES, columns, strict=True):
        features[name] = column
    points.features = features
    points.face_color = colours


def mark(points: Points | None, role: str) -> dict[str, Any]:
    """The metadata of a layer that was made from `points`, or from a file."""
    made_from = None if points is None else points.unique_id
    return {METADATA_KEY: {"role": role, "made_from": made_from}}


def _made_from(
    viewer: ViewerModel, points: Points, role: str, kind: type[Layer], n_axes: int
) -> Layer | None:
    """The layer that an earlier fit of `points` made, where it still fits.

    One with another number of axes is removed: napari keeps transforms and sliders of the
    old number in places.
    """
    wanted = mark(points, role)[METADATA_KEY]
    for layer in list(viewer.layers):
        if isinstance(layer, kind) and layer.metadata.get(METADATA_KEY) == wanted:
            if layer.ndim == n_axes:
                return layer
            viewer.layers.remove(layer)
    return None


def _insert(viewer: ViewerModel, index: int, layer: Layer) -> None:
    """Add a layer without taking the selection away from what the user works on."""
    selected = set(viewer.layers.selection)
    viewer.layers.insert(index, layer)
    viewer.layers.selection = selected


def _place(layer: Layer, placement: dict[str, Any]) -> None:
    """Set what differs: napari draws anew for each of them."""
    for name, value in placement.items():
        old = (
            shear_matrix(layer)
            if name == "shear"
            else layer.affine.affine_matrix
            if name == "affine"
            else getattr(layer, name)
        )
        if name in _LARGE or not np.array_equal(old, value):
            setattr(layer, name, value)
