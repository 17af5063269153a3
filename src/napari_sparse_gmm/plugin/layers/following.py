"""What keeps layers as the view needs them: it follows the zoom, the slice, and 2D or 3D.

A layer takes part through its metadata, so that a copy does, too, and one that a file gave.
"""

from typing import Any
from weakref import WeakSet

from napari.components import ViewerModel
from napari.layers import Layer, Shapes

from napari_sparse_gmm.plugin.layers.edges import has_thin_edges, set_width
from napari_sparse_gmm.plugin.layers.hover import tell_of_components
from napari_sparse_gmm.plugin.layers.owned import METADATA_KEY
from napari_sparse_gmm.plugin.layers.sections import cut
from napari_sparse_gmm.plugin.layers.views import show_in_its_view


def follow(viewer: ViewerModel) -> None:
    """From now on, layers that are in a viewer, or will be, follow its view."""
    callbacks = viewer.layers.events.inserted.callbacks
    if not any(isinstance(one, _Follower) for one in callbacks):
        viewer.layers.events.inserted.connect(_Follower(viewer))


class _Follower:
    """Follows the view of one viewer, which alone keeps it."""

    def __init__(self, viewer: ViewerModel) -> None:
        # Of the viewer itself there may be a proxy only, which does not last.
        self._layers, self._dims = viewer.layers, viewer.dims
        self._known: WeakSet[Layer] = WeakSet()
        for events in (self._dims.events.point, self._dims.events.order):
            events.connect(self._on_slice)
        self._dims.events.ndisplay.connect(self._on_display)

    def __call__(self, event: Any) -> None:
        """A layer was added."""
        layer = event.value
        if layer not in self._known and isinstance(layer, Shapes):
            self._known.add(layer)
            if has_thin_edges(layer):
                layer.events.scale_factor.connect(self._on_zoom)
            if layer.metadata.get(METADATA_KEY, {}).get("role") == "components":
                tell_of_components(layer)
        show_in_its_view(layer, self._dims.ndisplay)
        cut(layer, self._layers, self._dims)

    def _on_zoom(self, event: Any) -> None:
        set_width(event.source, self._layers)

    def _on_slice(self) -> None:
        for layer in self._layers:
            cut(layer, self._layers, self._dims)

    def _on_display(self) -> None:
        for layer in self._layers:
            show_in_its_view(layer, self._dims.ndisplay)
        self._on_slice()
