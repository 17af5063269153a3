"""The components as a table in the window, which selects their ellipses and is selected by them;
and the regions, a row each, which select those of their components.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari.layers import Layer, Points, Shapes
from napari.utils.notifications import show_error
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_sparse_gmm.components import COLUMNS, about_column
from napari_sparse_gmm.numbers import REGION_COLUMNS, region_table
from napari_sparse_gmm.plugin.layers.model_metadata import MODEL_KEY, is_components_layer
from napari_sparse_gmm.plugin.layers.owned import components_layer
from napari_sparse_gmm.plugin.qt.saving import asked_csv
from napari_sparse_gmm.plugin.qt.sheet import Sheet
from napari_sparse_gmm.plugin.views.centre import go_to
from napari_sparse_gmm.wording import count

_NAME = "Sparse GMM components"

_HEIGHT = 200  # pixels of the dock, for some rows

# What the table is sorted by at first, of components and of regions.
_FIRST, _FIRST_OF_REGIONS = "expected_points", "clusters"

OF_GROUP = "The group of points that it was fitted to."

NOTHING = "No components: press Run, or select the components of a model."


COMPONENTS, REGIONS = "Components", "Regions"


class ComponentTable(QWidget):
    """A table of the features of ellipses, or of the regions that they were fitted in.

    It shows the components layer that was selected last, or that of the Points layer that was; it
    stays what it is while other layers are selected.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Shapes | None = None  # what it shows
        self.title = QLabel(NOTHING)
        # A long name of a layer makes no window wider.
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.rows = QComboBox()
        self.rows.addItems([COMPONENTS, REGIONS])
        self.rows.setToolTip(
            "Whether a row is a component, or one of the shapes or labels of Region."
        )
        self.save_button = QPushButton("Save as CSV…")
        self.sheet = Sheet()
        line = QHBoxLayout()
        line.addWidget(self.title, 1)
        line.addWidget(self.rows)
        line.addWidget(self.save_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(2)
        layout.addLayout(line)
        layout.addWidget(self.sheet)
        self.rows.currentTextChanged.connect(self._update)
        self.save_button.clicked.connect(self._ask_and_save)
        self.sheet.chosen.connect(self._select)
        self.sheet.opened.connect(self._go_to)
        # Layers that are added have the selection for a moment.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._follow_active)
        viewer.layers.selection.events.active.connect(self._on_active)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)

    def show_layer(self, layer: Shapes | None) -> None:
        """Show the features of a layer of ellipses, or nothing."""
        before = self._layer
        if before is not None:
            before.events.features.disconnect(self._update)
            before.selected_data.events.items_changed.disconnect(self._follow_selection)
        self._layer = layer
        if layer is not None:
            layer.events.features.connect(self._update)
            layer.selected_data.events.items_changed.connect(self._follow_selection)
        self._update()

    def save(self, path: Path) -> None:
        """Write what the table shows, in its order and with all digits, as a CSV file."""
        from napari_sparse_gmm.io.tables import write_table

        write_table(path, self.sheet.columns)

    @property
    def _of_regions(self) -> bool:
        return not self.rows.isHidden() and self.rows.currentText() == REGIONS

    def _update(self, _: Any = None) -> None:
        regions = {} if self._layer is None else regions_of(self._layer)
        self.rows.setVisible(bool(regions))
        columns = {} if self._layer is None else columns_of(self._layer)
        shown = regions if self._of_regions else columns
        first = _FIRST_OF_REGIONS if self._of_regions else _FIRST
        self.sheet.show_columns(shown, errors_of(shown), first, self._about)
        self.save_button.setEnabled(self._layer is not None)
        self.title.setText(NOTHING)
        if self._layer is not None:
            n_rows = count(len(self._layer.features), "component")
            if self._of_regions:
                n_rows = count(len(regions["region"]), "region")
            self.title.setText(f"{self._layer.name}: {n_rows}")
            self._follow_selection()

    def _about(self, name: str) -> str:
        """What a column is."""
        model = None if self._layer is None else self._layer.metadata.get(MODEL_KEY)
        if model is not None and model.groups is not None and name == model.groups.name:
            return OF_GROUP
        return about_column(name, REGION_COLUMNS if self._of_regions else COLUMNS)

    def _follow_selection(self, _: Any = None) -> None:
        assert self._layer is not None
        if not self._of_regions:
            self.sheet.choose(set(self._layer.selected_data))

    def _select(self, rows: set[int]) -> None:
        if self._layer is not None:
            self._layer.selected_data = self._components_of(rows)

    def _go_to(self, row: int) -> None:
        components = self._components_of({row})
        if self._layer is not None and components:
            go_to(self._viewer, self._layer, min(components))
            self._layer.selected_data = components

    def _components_of(self, rows: set[int]) -> set[int]:
        """The components that rows of the table are about."""
        if self._layer is None or not self._of_regions:
            return rows
        regions, features = regions_of(self._layer), self._layer.features
        # The region, and the group where there are some.
        keys = [name for name in regions if name in features][: 1 + list(regions).index("region")]
        wanted = {tuple(regions[key][row] for key in keys) for row in rows}
        found = zip(*(features[key] for key in keys), strict=True)
        return {row for row, own in enumerate(found) if own in wanted}

    def _on_active(self, _: Any) -> None:
        self._soon.start(0)

    def _follow_active(self) -> None:
        layer = self._viewer.layers.selection.active
        if isinstance(layer, Points):
            layer = components_layer(self._viewer, layer)
        if layer is not None and layer != self._layer and is_components_layer(layer):
            self.show_layer(layer)

    def _on_inserted(self, event: Any) -> None:
        # Where one could not be changed in its place, it went before this one came.
        if self._layer is None and is_components_layer(event.value):
            self.show_layer(event.value)

    def _on_removed(self, event: Any) -> None:
        if event.value == self._layer:
            self.show_layer(None)

    def _ask_and_save(self) -> None:
        assert self._layer is not None
        path = asked_csv(self, "Save components", self._layer.name)
        if path is None:
            return
        try:
            self.save(path)
        except OSError as error:
            show_error(f"{path} cannot be written ({error.strerror}): choose another.")


def show_table(viewer: Viewer, layer: Shapes) -> ComponentTable:
    """Open the table, or bring it to the front, with this layer in it."""
    docks = viewer.window.dock_widgets
    table = docks.get(_NAME)
    if table is None:
        table = ComponentTable(viewer)
        viewer.window.add_dock_widget(table, name=_NAME, area="bottom")
        dock = table.parentWidget()  # what napari gives a plugin is a proxy of it
        dock.parentWidget().resizeDocks([dock], [_HEIGHT], Qt.Orientation.Vertical)
    dock = table.parentWidget()
    dock.show()
    dock.raise_()
    table.show_layer(layer)
    viewer.layers.selection = {layer}
    return table


def regions_of(layer: Layer) -> dict[str, NDArray[Any]]:
    """The regions of the model of a layer as columns; none where it has none, or no model yet."""
    model = layer.metadata.get(MODEL_KEY)
    return {} if model is None else region_table(model)


def columns_of(layer: Layer) -> dict[str, NDArray[Any]]:
    """The features of a layer as columns."""
    return {str(name): column.to_numpy() for name, column in layer.features.items()}


def errors_of(columns: Mapping[str, Any]) -> dict[str, str]:
    """Which column has the errors of which, as `component_table` calls them."""
    errors = {}
    for name in columns:
        plain, bracket, unit = name.partition(" [")
        if f"{plain}_error{bracket}{unit}" in columns:
            errors[name] = f"{plain}_error{bracket}{unit}"
    return errors
