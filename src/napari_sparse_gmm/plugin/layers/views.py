"""Layers that are for 2D alone, or for 3D alone: in the other view they are hidden."""

from typing import Any

from napari.layers import Layer

# In the metadata of a layer: the number of axes that are displayed in its view; and in the other
# one, whether it was visible there.
_VIEW_KEY, _WAS_KEY = "napari-sparse-gmm view", "napari-sparse-gmm visible"


def in_view(n_displayed: int) -> dict[str, Any]:
    """The metadata of a layer that is for this view."""
    return {_VIEW_KEY: n_displayed}


def show_in_its_view(layer: Layer, n_displayed: int) -> None:
    """Hide it where the view changes to the other one; then show it where it was visible."""
    own = layer.metadata.get(_VIEW_KEY)
    if own is None:
        return
    hidden = _WAS_KEY in layer.metadata
    if own != n_displayed and not hidden:
        layer.metadata[_WAS_KEY] = layer.visible
        layer.visible = False
    elif own == n_displayed and hidden:
        layer.visible = layer.metadata.pop(_WAS_KEY)
