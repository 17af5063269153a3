"""The fields of the dock widget, and what they say together.

Knows layers and parameters, but no fit: `DensityForm` gives the choices of the user, and
says what is missing before they can be run.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from magicgui.widgets import Container, ProgressBar, PushButton, Widget
from napari.components import LayerList
from napari.layers import Points
from qtpy.QtWidgets import QTabWidget, QWidget

from napari_sparse_gmm import parameters
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.axes import Axes
from napari_sparse_gmm.plugin.convergence_view import ConvergenceView
from napari_sparse_gmm.plugin.fields import (
    LabelColumn,
    VerticalScroll,
    field,
    set_length_unit,
    status_line,
    value_of,
)
from napari_sparse_gmm.plugin.path_view import PathView
from napari_sparse_gmm.plugin.preferences import Preferences
from napari_sparse_gmm.plugin.results import HeatmapChoice
from napari_sparse_gmm.plugin.source import Source
from napari_sparse_gmm.plugin.source_fields import SourceFields
from napari_sparse_gmm.plugin.work_form import WorkForm
from napari_sparse_gmm.shapes.grid import LONGEST_SIDE_3D

_ESTIMATOR_PARAMETERS = (
    parameters.N_COMPONENTS,
    parameters.PRIOR,
    parameters.SPARSITY,
    parameters.BACKGROUND,
    parameters.INIT,
    parameters.SOLVER,
    parameters.COVARIANCE_FLOOR,
    parameters.COVARIANCE_PRIOR,
    parameters.TYPICAL_SIZE,
    parameters.MAX_ITER,
    parameters.RANDOM_STATE,
    parameters.ENGINE,
    parameters.DEVICE,
    parameters.N_THREADS,
)

_PLOT_HEIGHT = 230  # pixels, at most

# A length field has digits down to this share of the width of the points.
_FINEST = 1e-5


class DensityForm(WorkForm):
    """All fields, buttons and lines of the widget, as public attributes.

    Parameters
    ----------
    layers : callable
        The layers of the viewer, asked anew whenever they may have changed.
    theme : callable
        The name of the viewer's theme.
    preferred : Preferences
        Where some fields start.
    """

    def __init__(
        self,
        layers: Callable[[], LayerList],
        theme: Callable[[], str],
        preferred: Preferences,
    ) -> None:
        self._source_fields = fields = SourceFields(layers)
        self.points, self.use = fields.points, fields.use
        self.axes, self.each = fields.axes, fields.each
        self.weights, self.region = fields.weights, fields.region
        self.precision, self.axial_precision = fields.precision, fields.axial_precision
        self.n_components = field(parameters.N_COMPONENTS)
        self.prior = field(parameters.PRIOR)
        self.sparsity = field(parameters.SPARSITY, slider=True)
        self.background = field(parameters.BACKGROUND)

        self.advanced_button = PushButton(name="advanced_button", text="Advanced")
        self.init = field(parameters.INIT)
        self.solver = field(parameters.SOLVER)
        self.covariance_floor = field(parameters.COVARIANCE_FLOOR)
        self.covariance_prior = field(parameters.COVARIANCE_PRIOR)
        self.typical_size = field(parameters.TYPICAL_SIZE)
        self.max_iter = field(parameters.MAX_ITER)
        self.random_state = field(parameters.RANDOM_STATE, none_text="new each time")
        self.engine = field(parameters.ENGINE)
        self.device = field(parameters.DEVICE)
        self.n_threads = field(parameters.N_THREADS, none_text="all cores but one")

        self.quantity = field(parameters.QUANTITY)
        self.longest_side = field(parameters.LONGEST_SIDE)
        self.pixel_size = field(parameters.PIXEL_SIZE)
        self.sharpen = field(parameters.SHARPEN)
        self.coverage = field(parameters.COVERAGE)
        self.contours = field(parameters.CONTOURS)
        self.annotate = field(parameters.ANNOTATE)

        self.run_button = PushButton(name="run_button", text="Run", tooltip=messages.RUN)
        self.path_button = PushButton(
            name="path_button",
            text="Path",
            tooltip=messages.PATH,
        )
        self.cancel_button = PushButton(
            name="cancel_button", text="Cancel", enabled=False, tooltip=messages.CANCEL
        )
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
        self.progress = ProgressBar(name="progress", visible=False)
        self.status = status_line()

        self._advanced = [
            self.init,
            self.solver,
            self.covariance_floor,
            self.covariance_prior,
            self.typical_size,
            self.max_iter,
            self.random_state,
            self.engine,
            self.device,
            self.n_threads,
        ]
        # What is to be shown of a fit, and what asks for another one.
        self.of_picture = (
            self.quantity,
            self.longest_side,
            self.pixel_size,
            self.sharpen,
            self.coverage,
            self.contours,
            self.annotate,
        )
        self.of_fit = (
            *fields.of_points[2:],
            self.region,
            self.n_components,
            self.prior,
            self.sparsity,
            self.background,
            *self._advanced[:-3],
            self.live,
        )
        rows = Container(name="fields")
        rows.extend([*fields.of_points, self.n_components, self.prior, self.sparsity])
        rows.extend([self.background, self.region, self.advanced_button, *self._advanced])
        rows.extend([self.quantity, self.longest_side, self.pixel_size, self.sharpen])
        rows.extend([self.coverage, self.contours, self.annotate])
        work = _row(self.run_button, self.path_button, self.cancel_button, self.live)
        found = _row(self.table_button, self.centre_button, self.python_button)
        LabelColumn(rows)
        rows.margins = (0, 0, 0, 0)
        super().__init__(widgets=[work, self.progress, found, self.status], labels=False)

        self.plots = QTabWidget()
        self.plots.addTab(self.convergence_view, "Convergence")
        self.plots.addTab(self.path_view.native, "Path")
        self.plots.setMaximumHeight(_PLOT_HEIGHT)
        self.plots.hide()
        layout = self.native.layout()
        layout.insertWidget(0, VerticalScroll(rows.native), 1)
        layout.insertWidget(layout.indexOf(self.status.native), self.plots)
        in_order = [*rows, *work, *found, self.path_view.slider]
        for first, second in pairwise(widget.native for widget in in_order):
            QWidget.setTabOrder(first, second)

        self.advanced_button.native.setCheckable(True)
        self.advanced_button.native.setStyleSheet("text-align: left; padding-left: 4px;")
        policy = self.progress.native.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # so that nothing jumps
        self.progress.native.setSizePolicy(policy)
        self.advanced_button.changed.connect(self._show_advanced)
        self.prior.changed.connect(self._follow_prior)
        self.engine.value, self.device.value = preferred.engine, preferred.device
        if preferred.n_threads is not None:
            self.n_threads.value = preferred.n_threads
        self.longest_side.value = preferred.longest_side
        for widget in (self.prior, self.each):
            widget.changed.connect(self._follow_path)
        self._show_advanced(False)
        fields.follow(self._follow_source, self._say)

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
        if self.prior.value != "sqrt":
            return messages.PATH_NEEDS_SQRT
        return "" if self.each.value is None else messages.PATH_OF_ALL

    def estimator_parameters(self) -> dict[str, Any]:
        """Keywords of `SparseGaussianMixture`."""
        values = {p.name: value_of(p, getattr(self, p.name)) for p in _ESTIMATOR_PARAMETERS}
        if self.prior.value == "bayes":  # what is not enabled does not count
            values[parameters.COVARIANCE_PRIOR.name] = parameters.COVARIANCE_PRIOR.default
        return values

    def heatmap_choice(self) -> HeatmapChoice:
        """What the user wants to see of the heatmap."""
        return HeatmapChoice(
            quantity=self.quantity.value,
            longest_side=self.longest_side.value,
            pixel_size=value_of(parameters.PIXEL_SIZE, self.pixel_size),
            contours=self.contours.value,
            sharpen=self.sharpen.value,
            engine=self.engine.value,
            device=self.device.value,
            n_threads=value_of(parameters.N_THREADS, self.n_threads),
        )

    def _follow_source(self) -> None:
        layer, axes = self.points.value, self._source_fields.chosen_axes
        if layer is not None and axes is not None:
            self._suit(layer, axes)
        self._follow_choice()

    def _follow_choice(self) -> None:
        """What to do when another layer, or other axes, are to be modelled; here nothing."""

    def _suit(self, layer: Points, axes: Axes) -> None:
        """Show the unit of the layer, and as many pixels as suit an image or a volume."""
        wrong, right = parameters.LONGEST_SIDE.default, LONGEST_SIDE_3D
        if len(axes) == 2:
            wrong, right = right, wrong
        if self.longest_side.value == wrong:
            self.longest_side.value = right
        data = np.asarray(layer.data)[:, list(axes)]
        width = np.ptp(data, axis=0) if len(data) else np.ones(len(axes))
        finest = _FINEST * float((width * np.abs(layer.scale[list(axes)])).max())
        if not (np.isfinite(finest) and finest > 0):  # of use for no length; Run will say why
            finest = 1.0
        unit = f"{layer.units[axes[-1]]:~P}"
        for length in (self.pixel_size, self.covariance_floor, self.typical_size):
            set_length_unit(length, unit, finest)

    def _show_advanced(self, shown: bool) -> None:
        self.advanced_button.text = "▾ Advanced" if shown else "▸ Advanced"
        for widget in self._advanced:
            widget.visible = shown

    def _follow_path(self, _: Any = None) -> None:
        obstacle = self.path_obstacle()
        self.path_button.enabled = self.run_button.enabled and not obstacle
        self.path_button.tooltip = obstacle or messages.PATH

    def _follow_prior(self, prior: str) -> None:
        self.sparsity.enabled = prior == "sqrt"
        for widget in (self.init, self.covariance_prior, self.typical_size):
            widget.enabled = prior != "bayes"


def _row(*widgets: Widget) -> Container:
    row = Container(widgets=list(widgets), layout="horizontal", labels=False)
    row.margins = (0, 0, 0, 0)
    return row
