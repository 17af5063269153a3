"""The fields of the dock widget, and what they say together.

Knows layers and parameters, but no fit: `DensityForm` gives the choices of the user, and
says what is missing before they can be run.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import Container, PushButton, Widget
from napari.components import LayerList
from napari.layers import Points
from qtpy.QtWidgets import QWidget

from napari_sparse_gmm import parameters
from napari_sparse_gmm.objectives import PRIORS
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.form.fields import field, show_value, value_of
from napari_sparse_gmm.plugin.form.fit_fields import FitFields
from napari_sparse_gmm.plugin.form.points_fields import PointsFields
from napari_sparse_gmm.plugin.form.task_form import TaskPanel
from napari_sparse_gmm.plugin.form.view_fields import ViewFields
from napari_sparse_gmm.plugin.points.source import Source
from napari_sparse_gmm.plugin.preferences import Preferences
from napari_sparse_gmm.plugin.qt.cubic_slider import CubicSlider
from napari_sparse_gmm.plugin.qt.folding import folding_button
from napari_sparse_gmm.plugin.qt.label_column import LabelColumn
from napari_sparse_gmm.plugin.qt.scrolling import DOCK_HEIGHT, StatusScroll, VerticalScroll
from napari_sparse_gmm.plugin.qt.status_line import status_line
from napari_sparse_gmm.plugin.space.axes import Axes
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice
from napari_sparse_gmm.plugin.views.convergence import ConvergenceView
from napari_sparse_gmm.plugin.views.filters import FilterView
from napari_sparse_gmm.plugin.views.histogram import HistogramView
from napari_sparse_gmm.plugin.views.path import PathView
from napari_sparse_gmm.plugin.views.plots import Plots

_SPACING = 4  # pixels between the parts of the form

# In the metadata of a Points layer: what was last set for it.
SETTINGS_KEY = "napari-sparse-gmm settings"


class DensityForm:
    """All fields, buttons and lines of the widget, as public attributes.

    From top to bottom: the points and what to find in them, Run, and what came of it; plots of
    that, how it is shown, and what rarely needs a change. Where there is little room these scroll
    first, and nothing moves when a fit runs; where there is less, all does.

    Parameters
    ----------
    layers : callable
        The layers of the viewer, called again whenever they may have changed.
    theme : callable
        The name of the viewer's theme.
    preferred : Preferences
        Where some fields start.
    panel : TaskPanel
        Progress, status and Cancel, which find their places here.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init__(
        self,
        layers: Callable[[], LayerList],
        theme: Callable[[], str],
        preferred: Preferences,
        panel: TaskPanel,
    ) -> None:
        self._panel = panel
        self._changed: Callable[[], object] = lambda: None
        self._points_fields = source = PointsFields(layers, preferred.scheduler)
        self._fit_fields = fit = FitFields(preferred)
        self._view_fields = picture = ViewFields(preferred.longest_side)
        self.advanced_button = fit.advanced_button
        self.view_button = folding_button(
            "view_button", "View", messages.VIEW, True, self._show_view
        )
        self.run_button = PushButton(name="run_button", text="Run", tooltip=messages.RUN)
        self.path_button = PushButton(
            name="path_button",
            text="Path",
            tooltip=messages.PATH,
        )
        self.cancel_button, self.progress = panel.cancel_button, panel.progress
        self.status = panel.status
        self.cancel_button.tooltip = messages.CANCEL
        self.live = field(parameters.LIVE)
        self.table_button = PushButton(name="table_button", text="Table", tooltip=messages.TABLE)
        self.centre_button = PushButton(
            name="centre_button", text="Centre", tooltip=messages.CENTRE
        )
        self.python_button = PushButton(
            name="python_button", text="Copy as Python", tooltip=messages.PYTHON
        )
        self.export_button = PushButton(
            name="export_button", text="Export…", tooltip=messages.EXPORT
        )
        self.methods_button = PushButton(
            name="methods_button", text="Copy methods", tooltip=messages.METHODS
        )
        self.keep_button = PushButton(
            name="keep_button", text="Keep", enabled=False, tooltip=messages.KEEP
        )
        self.undo_button = PushButton(
            name="undo_button", text="Undo", enabled=False, tooltip=messages.UNDO
        )
        self.settings_button = PushButton(
            name="settings_button", text="Settings of the model", tooltip=messages.SETTINGS
        )
        self.reset_button = PushButton(
            name="reset_button", text="Reset to defaults", tooltip=messages.RESET
        )
        self.heatmap_unit = status_line("heatmap_unit", "Its values")
        self.histogram = HistogramView(theme)
        self.filter_view = FilterView(theme)
        self.convergence_view = ConvergenceView(theme)
        self.path_view = PathView(theme)
        self.plots = Plots()
        self.plots.addTab(self.histogram.native, "Histogram")
        self.plots.addTab(self.filter_view.native, "Filter")
        self.plots.addTab(self.convergence_view, "Convergence")
        self.plots.addTab(self.path_view.native, "Path")
        self.plots_button = self.plots.button
        self.summary = status_line("summary")
        self.summary.tooltip = messages.STATISTICS

        # What is to be shown of a fit, and what asks for another one.
        self.of_picture = picture.all
        self.of_fit = (*source.of_fit, *fit.of_fit, self.live)
        self._remembered: dict[str, Widget] = {
            widget.name: widget
            for widget in (*source.advanced, *source.of_fit, *fit.fields.values(), *picture.all)
            if widget not in (source.region, source.axes)  # a layer, and kept elsewhere
        }
        self._settings_of: Any = None  # the Points layer whose fields these are

        self._asked = Container(name="fields", widgets=[*source.basic, *fit.basic])
        sparsity = fit.fields[parameters.SPARSITY.name].native
        sparsity.parentWidget().layout().insertWidget(1, CubicSlider(sparsity))
        out = _row(self.export_button, self.methods_button)
        out.name, out.label = "out", "Results"
        self._rest = Container(
            name="more",
            widgets=[
                out,
                self.plots_button,
                self.view_button,
                *picture.all,
                self.heatmap_unit,
                self.advanced_button,
                *source.advanced,
                *fit.advanced,
                self.settings_button,
                self.reset_button,
            ],
        )
        work = _row(self.run_button, self.path_button, self.cancel_button, self.live)
        found = _row(
            self.table_button,
            self.centre_button,
            self.keep_button,
            self.undo_button,
            self.python_button,
        )
        LabelColumn(self._asked, self._rest)
        self._asked.margins = self._rest.margins = (0, 0, 0, 0)
        self._found = found
        self._body = Container(
            name="body", widgets=[work, self.progress, found], labels=False, layout="vertical"
        )
        self._body.margins = (0, 0, 0, 0)
        every: list[Widget] = [*self._asked, *self._rest]
        for widget in every:
            setattr(self, widget.name, widget)
        self._in_order = [
            *self._asked,
            *work,
            *found,
            self.plots_button,
            self.path_view.slider,
            *[widget for widget in self._rest if widget is not self.plots_button],
        ]
        for widget in (self.prior, self.each):
            widget.changed.connect(self._update_path_button)
        for widget in self._remembered.values():
            widget.changed.connect(self._remember_settings)
        self.advanced_button.changed.connect(self._show_advanced)
        self.reset_button.clicked.connect(self.reset)

    @property
    def public(self) -> dict[str, Any]:
        """All fields, buttons and views, by the names that they have as attributes."""
        return {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_") and isinstance(value, Widget | QWidget)
        }

    def lay_out(self, native: QWidget) -> None:
        """Give the parts their places in the widget that they are in."""
        layout = self._body.native.layout()
        layout.setSpacing(_SPACING)
        layout.insertWidget(0, VerticalScroll(self._asked.native, least=None))
        for line, least in ((self.summary, 1), (self.status, 2)):
            at = layout.indexOf(self._found.native)
            layout.insertWidget(at, StatusScroll(line.native, least))
        rest = self._rest.native.layout()
        rest.insertWidget(rest.indexOf(self.plots_button.native) + 1, self.plots)
        rest.addStretch(1)
        scroll = VerticalScroll(self._rest.native, takes_what_is_left=True)
        layout.addWidget(scroll, 1)
        whole = VerticalScroll(self._body.native, least=DOCK_HEIGHT)
        native.layout().addWidget(whole)

        def make_room(for_plots: bool) -> None:
            needed = self.plots_button.native.sizeHint().height() + self.plots.sizeHint().height()
            scroll.show_at_least(needed + _SPACING if for_plots else None)

        self.plots_button.changed.connect(make_room)
        for button in (self.plots_button, self.view_button, self.advanced_button):
            # First in the one, and then in what that is in.
            for area in (scroll, whole):
                button.changed.connect(partial(area.go_to, button.native))

        def keep_plots_in_sight(*_: object) -> None:
            for area in (scroll, whole):
                area.go_to(self.plots_button.native, self.plots_button.value)

        self.plots.tabBarClicked.connect(keep_plots_in_sight)
        # The table leaves less room: what is above the plots is what it is about.
        self.table_button.clicked.connect(lambda: whole.go_to(self._asked.native))
        for first, second in pairwise(widget.native for widget in self._in_order):
            QWidget.setTabOrder(first, second)

        policy = self.progress.native.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # so that nothing jumps
        self.progress.native.setSizePolicy(policy)
        self._fit_fields.show_what_counts()
        self._show_advanced(False)
        self._update_path_button()

    def follow(self, changed: Callable[[], object]) -> None:
        """From now on call `changed` when another layer, or other axes, are to be modelled."""
        self._changed = changed
        self._points_fields.follow(self._on_source_changed, self._panel.say)

    def show_busy(self, busy: bool, *, fitted: bool = False, again: bool = False) -> None:
        """What can be pressed while there is work, and while there is none: of a layer that is
        `fitted`, or was fitted `again`.
        """
        self._panel.show_busy(busy)
        self.keep_button.enabled = fitted and not busy
        self.undo_button.enabled = again and not busy
        self.run_button.enabled = not busy and not self.obstacle()
        self._update_path_button()

    def show_found(self, summary: str = "", computed: str = "", unit: str = "") -> None:
        """Show what a fit has found, how it was computed, and what the heatmap's values are."""
        self.summary.value = summary
        self.engine_used.value = computed
        self.heatmap_unit.value = unit
        self._fit_fields.show_what_counts()
        self._show_view(self.view_button.value)

    def show_settings(
        self, parameters: Mapping[str, Any], view: Mapping[str, Any], source: Source | None = None
    ) -> None:
        """Set what a fit was asked for, as far as there are fields; of a layer that is there also
        the `source`.
        """
        if source is not None:
            self._points_fields.show(source)
            self.filter_view.show_ranges(source.ranges)
        self._fit_fields.set_keywords(parameters)
        self._view_fields.set_view(view)

    def reset(self) -> None:
        """Set everything but the points back to what a first fit has."""
        self._fit_fields.reset()
        self._view_fields.reset()
        self._points_fields.reset()
        self.filter_view.show_ranges(())

    def reset_choices(self, *_: Any) -> None:
        """Follow the layers that there are; the chosen one stays chosen under a new name."""
        self._points_fields.reset_choices()

    def source(self) -> Source:
        """What is to be modelled, where there is no `obstacle`."""
        return replace(self._points_fields.source(), ranges=self.filter_view.ranges)

    def obstacle(self) -> str:
        """Why a fit cannot run yet, for the user; "" where it can."""
        return self._points_fields.obstacle()

    def path_obstacle(self) -> str:
        """Why there is no sparsity path of what is chosen; "" where there is one."""
        if parameters.SPARSITY.name not in PRIORS[self.prior.value].uses:
            return messages.PATH_NEEDS_SQRT
        return "" if self.each.value is None else messages.PATH_OF_ALL

    def estimator_parameters(self) -> dict[str, Any]:
        """Keywords of `SparseGaussianMixture`."""
        return self._fit_fields.keywords()

    def heatmap_choice(self) -> HeatmapChoice:
        """What the user wants to see of the heatmap."""
        return self._view_fields.heatmap_choice(
            engine=self.engine.value,
            device=self.device.value,
            n_threads=value_of(parameters.N_THREADS, self.n_threads),
        )

    def _on_source_changed(self) -> None:
        layer, axes = self.points.value, self._points_fields.chosen_axes
        self.filter_view.show_layer(layer)
        if layer is not None and axes is not None:
            self._suit(layer, axes)
            if layer is not self._settings_of:
                self._restore_settings(layer)
            else:
                self._remember_settings()  # lengths may be in another unit
        self._changed()

    def _suit(self, layer: Points, axes: Axes) -> None:
        """Let the fields follow the unit, the width and the dimensions of what is modelled."""
        data = np.asarray(layer.data)[:, list(axes)]
        widths = np.ptp(data, axis=0) * np.abs(layer.scale[list(axes)]) if len(data) else 0.0
        for fields in (self._fit_fields, self._view_fields):
            fields.suit(layer.units[axes[-1]], float(np.max(widths)), len(axes))
        self._show_view(self.view_button.value)

    def _restore_settings(self, layer: Points) -> None:
        """Set what was last set for a layer; for one that is new only what its features say."""
        stored = layer.metadata.get(SETTINGS_KEY)
        if stored is None:
            self._points_fields.reset()
            self.annotate.value = False  # its points have no colours of components
        else:
            for name, value in stored.items():
                if name in self._remembered:
                    show_value(self._remembered[name], value)
        self._settings_of = layer

    def _remember_settings(self, _: Any = None) -> None:
        layer = self.points.value
        if layer is not None and layer is self._settings_of:
            layer.metadata[SETTINGS_KEY] = {
                name: widget.value for name, widget in self._remembered.items()
            }

    def _show_view(self, shown: bool) -> None:
        self._view_fields.show_what_counts(shown)
        self.heatmap_unit.visible = shown and bool(self.heatmap_unit.value)

    def _show_advanced(self, shown: bool) -> None:
        self._points_fields.show_what_counts(shown)
        self.reset_button.visible = self.settings_button.visible = shown

    def _update_path_button(self, _: Any = None) -> None:
        obstacle = self.path_obstacle()
        self.path_button.enabled = self.run_button.enabled and not obstacle
        self.path_button.visible = not obstacle
        self.path_button.tooltip = obstacle or messages.PATH


def _row(*widgets: Widget) -> Container:
    row = Container(widgets=list(widgets), layout="horizontal", labels=False)
    row.margins = (0, 0, 0, 0)
    return row
