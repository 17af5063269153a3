"""The components in napari's own table of features, and how to get to one of them."""

from typing import Any

import numpy as np
from napari.layers import Shapes
from napari.viewer import Viewer
from qtpy.compat import isalive
from qtpy.QtCore import QAbstractProxyModel, QModelIndex, Qt
from qtpy.QtWidgets import QTableView

from napari_sparse_gmm.plugin.layers.model_metadata import is_components_layer
from napari_sparse_gmm.plugin.layers.sections import sections_of
from napari_sparse_gmm.plugin.space.transforms import to_world

# A component that one goes to takes this share of the view.
_SHARE = 0.25

_HEIGHT = 230  # pixels of the table, for some rows


class ComponentTable:
    """Shows the features of ellipses in napari's table, and centres the view on one of them.

    napari's table is of the layer that is selected. It selects its shapes and is selected by
    them, sorts, copies, and saves as CSV.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._view: Any = None  # the table whose double clicks are listened to
        self._layer: Shapes | None = None  # what it shows
        self._last: int | None = None  # the component that was centred on
        self._selected: set[int] = set()

    def show(self, layer: Shapes) -> None:
        """Open the table, or bring it to the front, with this layer in it."""
        dock, table = self._viewer.window.add_plugin_dock_widget("napari", "Features table widget")
        view = table.findChild(QTableView)
        if view is not self._view:
            # A row of numbers is wide.
            main = dock.parentWidget()
            main.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
            main.resizeDocks([dock], [_HEIGHT], Qt.Orientation.Vertical)
            view.doubleClicked.connect(self._go_to_row)
            self._view = view
        dock.show()
        dock.raise_()
        if layer is not self._layer:
            if self._layer is not None:
                self._layer.selected_data.events.items_changed.disconnect(self._show_row)
            self._layer = layer
            layer.selected_data.events.items_changed.connect(self._show_row)
        self._viewer.layers.selection = {layer}

    def go_on(self, layer: Shapes) -> None:
        """Go to the selected ellipse; if the view went there last, to the one of fewer points."""
        if not layer.nshapes:
            return
        by_points = np.argsort(-layer.features["expected_points"].to_numpy(), kind="stable")
        index = min(layer.selected_data, default=int(by_points[0]))
        if index == self._last and index in layer.selected_data:
            rank = int(np.flatnonzero(by_points == index)[0])
            index = int(by_points[(rank + 1) % len(by_points)])
        self.go_to(layer, index)

    def go_to(self, layer: Shapes, index: int) -> None:
        """Select an ellipse, and centre the view on it."""
        self._last = index
        layer.selected_data = {index}
        corners = to_world(layer, self._viewer, np.asarray(layer.data[index], dtype=np.float64))
        dims, camera = self._viewer.dims, self._viewer.scene.camera
        first = dims.ndim - layer.ndim  # napari aligns the last axes of layers
        centre = np.zeros(dims.ndim)
        sections = sections_of(layer)
        centre[first:] = (
            corners.mean(axis=0)
            if sections is None
            else to_world(layer, self._viewer, sections.centre(index))
        )
        for axis in set(range(first, dims.ndim)) - set(dims.displayed):
            dims.set_point(axis, float(centre[axis]))
        shown = list(dims.displayed)
        camera.center = tuple(centre[shown])
        extent = np.ptp(corners, axis=0)
        width = float(np.linalg.norm(extent[[axis - first for axis in shown if axis >= first]]))
        if width > 0:
            camera.zoom = _SHARE * min(self._viewer.canvas.size) / width

    def _show_row(self, _: Any = None) -> None:
        """Show the row of an ellipse that was selected, if the table is still open."""
        assert self._layer is not None
        before, self._selected = self._selected, set(self._layer.selected_data)
        if not self._selected or self._selected == before or not self._shows(self._layer):
            return
        row, model = min(self._selected), self._view.model()
        self._view.scrollTo(model.mapFromSource(model.sourceModel().index(row, 0)))

    def _go_to_row(self, index: QModelIndex) -> None:
        """Napari's table has a proxy that sorts its rows."""
        model = index.model()
        if isinstance(model, QAbstractProxyModel):
            index = model.mapToSource(index)
        layer = self._viewer.layers.selection.active
        # The table may show other layers by now.
        if layer is not None and is_components_layer(layer) and self._shows(layer):
            self.go_to(layer, index.row())

    def _shows(self, layer: Shapes) -> bool:
        """Whether the table is there, and of this layer: it may show others by now."""
        there = self._view is not None and isalive(self._view)
        return there and self._viewer.layers.selection == {layer} and layer in self._viewer.layers
