"""The fields of the dock widget, and what they say together.

Knows layers and parameters, but no fit: `DensityForm` gives the choices of the user, and
says what is missing before they can be run. It is no widget: one has its parts.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from magicgui.widgets import Container, PushButton, Widget
from napari.components import LayerList
from napari.layers import Points
from qtpy.QtWidgets import QWidget

from napari_sparse_gmm import parameters
from napari_sparse_gmm.objectives import PRIORS
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.form.fields import field, value_of
from napari_sparse_gmm.plugin.form.fit_fields import FitFields
from napari_sparse_gmm.plugin.form.points_fields import SourceFields
from napari_sparse_gmm.plugin.form.task_form import TaskPanel
from napari_sparse_gmm.plugin.form.view_fields import PictureFields
from napari_sparse_gmm.plugin.points.source import Source
from napari_sparse_gmm.plugin.preferences import Preferences
from napari_sparse_gmm.plugin.qt.label_column import LabelColumn
from napari_sparse_gmm.plugin.qt.scrolling import StatusScroll, VerticalScroll
from napari_sparse_gmm.plugin.space.axes import Axes
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice
from napari_sparse_gmm.plugin.views.convergence import ConvergenceView
from napari_sparse_gmm.plugin.views.path import PathView
from napari_sparse_gmm.plugin.views.plots import Plots

_SPACING = 4  # pixels between the parts of the form


class DensityForm:
    """All fields, buttons and lines of the widget.

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

    def __init__(
        self,
        layers: Callable[[], LayerList],
        theme: Callable[[], str],
        preferred: Preferences,
        panel: TaskPanel,
    ) -> None:
        self._panel = panel
        self._source_fields = source = SourceFields(layers)
        self._fit_fields = fit = FitFields(preferred)
        self._picture_fields = picture = PictureFields(preferred.longest_side)

        self.run_button = PushButton(name="run_button", text="Run", tooltip=messages.RUN)
        self.path_button = PushButton(
            name="path_button",
            text="Path",
            tooltip=messages.PATH,
        )
        self.cancel_button = panel.cancel_button
        self.cancel_button.tooltip = messages.CANCEL
        self.live = field(parameters.LIVE)
        self.table_button = PushButton(name="table_button", text="Table", tooltip=messages.TABLE)
        self.centre_button = PushButton(
            name="centre_button", text="Centre", tooltip=messages.CENTRE
        )
        self.python_button = PushButton(
            name="python_button", text="Copy as Python", tooltip=messages.PYTHON
        )
        self.convergence_view = ConvergenceView(theme)
        self.path_view = PathView(theme)
        self.plots = Plots()
        self.plots.addTab(self.convergence_view, "Convergence")
        self.plots.addTab(self.path_view.native, "Path")
        self.plots_button = self.plots.button
        self.progress, self.status = panel.progress, panel.status

        # What is to be shown of a fit, and what asks for another one.
        self.of_picture = picture.all
        basic = (fit.n_components, fit.prior, fit.sparsity, fit.background)
        self.of_fit = (
            *source.of_points[2:],
            source.region,
            *basic,
            *(widget for widget in fit.advanced if widget not in fit.computing),
            self.live,
        )
        rows = Container(name="fields")
        rows.extend([*source.of_points, *basic, source.region])
        rows.extend([fit.advanced_button, *fit.advanced, *picture.all])
        work = _row(self.run_button, self.path_button, self.cancel_button, self.live)
        found = _row(self.table_button, self.centre_button, self.python_button)
        LabelColumn(rows)
        rows.margins = (0, 0, 0, 0)
        self.parts = [work, self.progress, found, self.plots_button, self.status]
        self._in_order = [*rows, *work, *found, self.plots_button, self.path_view.slider]
        self._rows = rows
        for widget in (fit.prior, source.each):
            widget.changed.connect(self._update_path_button)

    @property
    def public(self) -> dict[str, Any]:
        """All fields, buttons and views, by the names that they have as attributes."""
        groups = (self._source_fields, self._fit_fields, self._picture_fields, self)
        return {
            name: value
            for group in groups
            for name, value in vars(group).items()
            if not name.startswith("_") and isinstance(value, Widget | QWidget)
        }

    def lay_out(self, native: QWidget) -> None:
        """Give the parts their places in the widget that they are in."""
        layout = native.layout()
        layout.setSpacing(_SPACING)
        layout.insertWidget(0, VerticalScroll(self._rows.native), 1)
        layout.insertWidget(layout.indexOf(self.plots_button.native) + 1, self.plots)
        layout.addWidget(StatusScroll(self.status.native))
        for first, second in pairwise(widget.native for widget in self._in_order):
            QWidget.setTabOrder(first, second)

        policy = self.progress.native.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # so that nothing jumps
        self.progress.native.setSizePolicy(policy)
        self._fit_fields.fold()

    def follow(self, changed: Callable[[], object]) -> None:
        """From now on call `changed` when another layer, or other axes, are to be modelled."""
        self._changed = changed
        self._source_fields.follow(self._on_source_changed, self._panel.say)

    def show_busy(self, busy: bool) -> None:
        """What can be pressed while there is work, and while there is none."""
        self._panel.show_busy(busy)
        self.run_button.enabled = not busy and not self.obstacle()
        self._update_path_button()

    def reset_choices(self, *_: Any) -> None:
        """Follow the layers that there are; the chosen one stays chosen under a new name."""
        self._source_fields.reset_choices()

    def source(self) -> Source:
        """What is to be modelled, where there is no `obstacle`."""
        return self._source_fields.source()

    def obstacle(self) -> str:
        """Why a fit cannot run yet, for the user; "" where it can."""
        return self._source_fields.obstacle()

    def path_obstacle(self) -> str:
        """Why there is no sparsity path of what is chosen; "" where there is one."""
        if parameters.SPARSITY.name not in PRIORS[self._fit_fields.prior.value].uses:
            return messages.PATH_NEEDS_SQRT
        return "" if self._source_fields.each.value is None else messages.PATH_OF_ALL

    def estimator_parameters(self) -> dict[str, Any]:
        """Keywords of `SparseGaussianMixture`."""
        return self._fit_fields.keywords()

    def heatmap_choice(self) -> HeatmapChoice:
        """What the user wants to see of the heatmap."""
        fit = self._fit_fields
        return self._picture_fields.heatmap_choice(
            engine=fit.engine.value,
            device=fit.device.value,
            n_threads=value_of(parameters.N_THREADS, fit.n_threads),
        )

    def _on_source_changed(self) -> None:
        layer, axes = self._source_fields.points.value, self._source_fields.chosen_axes
        if layer is not None and axes is not None:
            self._suit(layer, axes)
        self._changed()

    def _suit(self, layer: Points, axes: Axes) -> None:
        """Let the fields follow the unit, the width and the dimensions of what is modelled."""
        data = np.asarray(layer.data)[:, list(axes)]
        widths = np.ptp(data, axis=0) * np.abs(layer.scale[list(axes)]) if len(data) else 0.0
        for fields in (self._fit_fields, self._picture_fields):
            fields.suit(layer.units[axes[-1]], float(np.max(widths)), len(axes))

    def _update_path_button(self, _: Any = None) -> None:
        obstacle = self.path_obstacle()
        self.path_button.enabled = self.run_button.enabled and not obstacle
        self.path_button.tooltip = obstacle or messages.PATH


def _row(*widgets: Widget) -> Container:
    row = Container(widgets=list(widgets), layout="horizontal", labels=False)
    row.margins = (0, 0, 0, 0)
    return row
