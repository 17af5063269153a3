"""Layers that were made from a Points layer: found again, added, exchanged and placed.

Each has a mark in its metadata that names the Points layer it was made from, and itself: a
copy that the user makes of it is the user's. So the next fit of those points finds it, whatever it
is called by then, and updates it in place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import UUID

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Shapes

from napari_sparse_gmm.plugin.layers.covering import show_again
from napari_sparse_gmm.plugin.layers.levels import Levels
from napari_sparse_gmm.plugin.space.frame import shear_matrix

METADATA_KEY = "napari-sparse-gmm"

# Keywords of a Shapes layer that have a value for each shape.
_OF_EACH_SHAPE = (
    "shape_type",
    "edge_width",
    "edge_color",
    "face_color",
    "z_index",
    "properties",
    "features",
    "feature_defaults",
    "property_choices",
)

# What is not worth a comparison.
_LARGE = ("data", "vertex_colors")


def mark(made_from: UUID, role: str, layer: Layer | None = None) -> dict[str, Any]:
    """The metadata of a layer that was made from points, or from a file.

    It names the layer, too, where that is to be found again: a copy that the user makes of it is
    the user's.
    """
    own = None if layer is None else layer.unique_id
    return {METADATA_KEY: {"role": role, "made_from": made_from, "layer": own}}


def _is_made_from(layer: Layer, points: Points, role: str | None = None) -> bool:
    """Whether a layer is one that was made here, and no copy."""
    found = layer.metadata.get(METADATA_KEY, {})
    return (
        found.get("made_from") == points.unique_id
        and found.get("layer") == layer.unique_id
        and role in (None, found.get("role"))
    )


def shows_fit_of(layer: Layer, points: Points) -> bool:
    """Whether a layer, or what it is a copy of, was made from `points`."""
    return layer.metadata.get(METADATA_KEY, {}).get("made_from") == points.unique_id


def made_from(
    viewer: ViewerModel, points: Points, role: str, kind: type[Layer], n_axes: int
) -> Layer | None:
    """The layer that an earlier fit of `points` made, where it still fits.

    One with another number of axes is removed: napari keeps transforms and sliders of the
    old number in places.
    """
    for layer in list(viewer.layers):
        if isinstance(layer, kind) and _is_made_from(layer, points, role):
            if layer.ndim == n_axes:
                return layer
            viewer.layers.remove(layer)
    return None


def add(viewer: ViewerModel, points: Points, role: str, index: int, layer: Layer) -> None:
    """Add a layer that is made from `points`."""
    layer.metadata.update(mark(points.unique_id, role, layer))
    layer.metadata[METADATA_KEY]["points"] = points.name
    _insert(viewer, index, layer)


def _insert(viewer: ViewerModel, index: int, layer: Layer) -> None:
    """Add a layer without taking the selection away from what the user works on."""
    selected = set(viewer.layers.selection)
    viewer.layers.insert(index, layer)
    viewer.layers.selection = selected


def rename_made(viewer: ViewerModel) -> None:
    """Call layers as the points that they were made from are called by now; but those that the user
    has named stay.
    """
    for points in [layer for layer in viewer.layers if isinstance(layer, Points)]:
        for layer in viewer.layers:
            if _is_made_from(layer, points):
                made = layer.metadata[METADATA_KEY]
                before, made["points"] = made.get("points"), points.name
                if before != points.name and layer.name == f"{before} {made['role']}":
                    layer.name = f"{points.name} {made['role']}"


def components_layer(viewer: ViewerModel, points: Points) -> Shapes | None:
    """The ellipses that a fit of `points` made, where they are."""
    return next(
        (
            layer
            for layer in viewer.layers
            if isinstance(layer, Shapes) and _is_made_from(layer, points, "components")
        ),
        None,
    )


def has_made(viewer: ViewerModel, points: Points) -> bool:
    """Whether there are layers that were made from `points`."""
    return any(_is_made_from(layer, points) for layer in viewer.layers)


def remove_made(viewer: ViewerModel, points: Points) -> None:
    """Remove all layers made from `points`, and show these where they were hidden for that."""
    for layer in list(viewer.layers):
        if _is_made_from(layer, points):
            viewer.layers.remove(layer)
    show_again(points)


def keep_made(viewer: ViewerModel, points: Points) -> None:
    """Copy all layers that were made from `points`; the copies are hidden, and the user's."""
    # The number first: of a long name napari shows the ends.
    names = {layer.name for layer in viewer.layers}
    number = next(n for n in count(1) if f"Kept {n} {points.name} components" not in names)
    for layer in list(viewer.layers):
        if _is_made_from(layer, points):
            data, keywords, kind = layer.as_layer_data_tuple()
            role = layer.metadata[METADATA_KEY]["role"]
            keywords |= {
                "name": f"Kept {number} {points.name} {role}",
                "metadata": dict(layer.metadata),
                "visible": False,
            }
            copy = Layer.create(data, keywords, kind)
            _insert(viewer, viewer.layers.index(layer), copy)


def exchanged(viewer: ViewerModel, old: Layer, data: Any, **keywords: Any) -> Layer:
    """A layer of other data in the place of an old one, for what napari cannot change in that.

    How it is shown stays the user's, but for what `keywords` say.
    """
    _, kept, _ = old.as_layer_data_tuple()
    for name in ("multiscale", "rgb", *_OF_EACH_SHAPE):
        kept.pop(name, None)
    if isinstance(old, Image):
        kept["multiscale"] = isinstance(data, Levels)
    marked = old.metadata.get(METADATA_KEY)
    index, selected = viewer.layers.index(old), old in viewer.layers.selection
    viewer.layers.remove(old)
    kept |= {"affine": old.affine.affine_matrix, "metadata": dict(old.metadata)}
    new = type(old)(data, **{**kept, **keywords})
    if marked is not None:
        new.metadata[METADATA_KEY] = {**marked, "layer": new.unique_id}
    _insert(viewer, index, new)
    if selected:
        viewer.layers.selection.add(new)
    return new


def set_placement(layer: Layer, placement: dict[str, Any]) -> None:
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


@contextmanager
def keeping_place(viewer: ViewerModel) -> Iterator[None]:
    """Look at the same position while layers become larger or smaller.

    napari keeps the number of the slice, which is another position then.
    """
    point = viewer.dims.point
    yield
    if len(point) == viewer.dims.ndim and point != viewer.dims.point:
        viewer.dims.set_point(range(len(point)), point)


def index_of(viewer: ViewerModel, points: Points) -> int:
    """Where they are among the layers, or the lowest index if they were removed."""
    return viewer.layers.index(points) if points in viewer.layers else 0


def flat_in_space(viewer: ViewerModel, layer: Shapes) -> bool:
    """Whether napari shows a layer of two axes in 3D: it cannot change its shapes there."""
    return bool(viewer.dims.ndisplay == 3 and layer.ndim == 2)
