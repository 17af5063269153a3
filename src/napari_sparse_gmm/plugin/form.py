"""The fields of the dock widget, and what they say together.

Knows layers and parameters, but no fit: `DensityForm` gives the choices of the user, and
says what is missing before they can be run.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox, Container, Label, ProgressBar, PushButton
from napari.layers import Points
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy

from napari_sparse_gmm import parameters
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.axes import Axes, axis_names, default_axes, possible_axes
from napari_sparse_gmm.plugin.fields import LabelColumn, compact, field, set_length_unit, value_of
from napari_sparse_gmm.plugin.source import Source, numeric_features
from napari_sparse_gmm.plugin.worker import HeatmapChoice
from napari_sparse_gmm.shapes.grid import LONGEST_SIDE_3D

_ESTIMATOR_PARAMETERS = (
    parameters.N_COMPONENTS,
    parameters.PRIOR,
    parameters.SPARSITY,
    parameters.BACKGROUND,
    parameters.INIT,
    parameters.SOLVER,
    parameters.COVARIANCE_FLOOR,
    parameters.MAX_ITER,
    parameters.RANDOM_STATE,
    parameters.ENGINE,
    parameters.DEVICE,
    parameters.N_THREADS,
)

# A length field has digits down to this share of the width of the points.
_FINEST = 1e-5


class DensityForm(Container):
    """All fields, buttons and lines of the widget, as public attributes.

    Parameters
    ----------
    layers : callable
        The layers that there are to choose from, asked anew whenever they may have changed.
    """

    def __init__(self, layers: Callable[[], Sequence[Any]]) -> None:
        self._layers = layers
        self._followed: Points | None = None  # the layer whose axes are offered
        self._axes_by_label: dict[str, Axes] = {}

        self.points = _choice(
            "points",
            "Points",
            "The Points layer whose density is modelled.",
            self._points_choices,
        )
        self.axes = _choice(
            "axes",
            "Axes",
            "The axes of space to model. Points are taken together along the others.",
            self._axes_choices,
        )
        self.weights = _choice(
            "weights",
            "Weights",
            "The feature of the points that says how often each of them counts.",
            partial(self._features_choices, "equal"),
        )
        self.precision = _choice(
            "precision",
            "Precision",
            "The feature that says how precise the place of each point is, its standard deviation "
            "in the unit of the layer. The components are then the shapes without that error.",
            partial(self._features_choices, "not considered"),
        )
        self.axial_precision = _choice(
            "axial_precision",
            "Axial precision",
            "The same along the first axis, z, where it is another one there.",
            partial(self._features_choices, "as the others"),
        )
        self._from_features = [self.weights, self.precision, self.axial_precision]
        self.n_components = field(parameters.N_COMPONENTS)
        self.prior = field(parameters.PRIOR)
        self.sparsity = field(parameters.SPARSITY, slider=True)
        self.background = field(parameters.BACKGROUND)

        self.advanced_button = PushButton(name="advanced_button", text="Advanced")
        self.init = field(parameters.INIT)
        self.solver = field(parameters.SOLVER)
        self.covariance_floor = field(parameters.COVARIANCE_FLOOR)
        self.max_iter = field(parameters.MAX_ITER)
        self.random_state = field(parameters.RANDOM_STATE, none_text="new each time")
        self.engine = field(parameters.ENGINE)
        self.device = field(parameters.DEVICE)
        self.n_threads = field(parameters.N_THREADS, none_text="all cores but one")

        self.quantity = field(parameters.QUANTITY)
        self.longest_side = field(parameters.LONGEST_SIDE)
        self.pixel_size = field(parameters.PIXEL_SIZE)
        self.coverage = field(parameters.COVERAGE)
        self.annotate = field(parameters.ANNOTATE)

        self.run_button = PushButton(name="run_button", text="Run")
        self.cancel_button = PushButton(name="cancel_button", text="Cancel", enabled=False)
        self.progress = ProgressBar(name="progress", visible=False)
        self.status = Label(name="status")

        self._advanced = [
            self.init,
            self.solver,
            self.covariance_floor,
            self.max_iter,
            self.random_state,
            self.engine,
            self.device,
            self.n_threads,
        ]
        fields = Container(name="fields")
        fields.extend([self.points, self.axes, *self._from_features, self.n_components])
        fields.extend(
            [self.prior, self.sparsity, self.background, self.advanced_button, *self._advanced]
        )
        fields.extend([self.quantity, self.longest_side, self.pixel_size, self.coverage])
        fields.append(self.annotate)
        buttons = Container(
            widgets=[self.run_button, self.cancel_button], layout="horizontal", labels=False
        )
        LabelColumn(fields)
        fields.margins = buttons.margins = (0, 0, 0, 0)
        super().__init__(widgets=[fields, buttons, self.progress, self.status], labels=False)

        self.advanced_button.native.setCheckable(True)
        self.advanced_button.native.setStyleSheet("text-align: left; padding-left: 4px;")
        policy = self.progress.native.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # so that nothing jumps
        self.progress.native.setSizePolicy(policy)
        self.status.native.setTextFormat(Qt.TextFormat.PlainText)
        self.status.native.setWordWrap(True)
        self.status.native.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.status.native.setSizePolicy(
            QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding
        )
        self.status.native.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.advanced_button.changed.connect(self._show_advanced)
        self.prior.changed.connect(self._follow_prior)
        self.points.changed.connect(self._follow_layer)
        self.axes.changed.connect(self._follow_axes)
        self.precision.changed.connect(self._show_features)
        self._show_advanced(False)
        self._follow_layer()

    def reset_choices(self, *_: Any) -> None:
        """Follow the layers that there are; the chosen one stays chosen under a new name."""
        chosen = self.points.value
        super().reset_choices()
        if chosen in self.points.choices:
            self.points.value = chosen

    @property
    def chosen_axes(self) -> Axes | None:
        """The axes to model; None where that is still to be chosen."""
        return self._axes_by_label.get(self.axes.value)

    def source(self) -> Source:
        """What is to be modelled, where there is no `obstacle`."""
        axes = self.chosen_axes
        assert axes is not None
        return Source(
            self.points.value,
            axes,
            weights=self.weights.value,
            precision=self.precision.value,
            axial_precision=self.axial_precision.value,
        )

    def obstacle(self) -> str:
        """Why a fit cannot run yet, for the user; "" where it can."""
        layer = self.points.value
        if layer is None:
            return messages.NO_POINTS
        if layer.ndim < 2:
            return messages.too_few_axes(layer.name)
        if self.chosen_axes is None:
            return messages.choose_axes(layer.name, axis_names(layer))
        return ""

    def estimator_parameters(self) -> dict[str, Any]:
        """Keywords of `SparseGaussianMixture`."""
        return {p.name: value_of(p, getattr(self, p.name)) for p in _ESTIMATOR_PARAMETERS}

    def heatmap_choice(self) -> HeatmapChoice:
        """What the user wants to see of the heatmap."""
        return HeatmapChoice(
            quantity=self.quantity.value,
            longest_side=self.longest_side.value,
            pixel_size=value_of(parameters.PIXEL_SIZE, self.pixel_size),
            engine=self.engine.value,
            device=self.device.value,
            n_threads=value_of(parameters.N_THREADS, self.n_threads),
        )

    def _points_choices(self, _: Any = None) -> list[Points]:
        return [layer for layer in self._layers() if isinstance(layer, Points)]

    def _axes_choices(self, _: Any = None) -> list[tuple[str, str | None]]:
        labels: list[tuple[str, str | None]] = [(label, label) for label in self._axes_by_label]
        layer = self.points.value
        if layer is None or default_axes(layer) is None:
            return [("Choose…", None), *labels]
        return labels

    def _features_choices(self, without: str, _: Any = None) -> list[tuple[str, str | None]]:
        """The features of the layer; `without` is what it is to have none."""
        layer = self.points.value
        names = [] if layer is None else numeric_features(layer)
        return [(without, None), *((name, name) for name in names)]

    def _follow_layer(self, _: Any = None) -> None:
        """Listen to the layer that is chosen now, and offer its axes."""
        layer = self.points.value
        if self._followed is not None:
            self._followed.events.axis_labels.disconnect(self._offer_axes)
            self._followed.events.units.disconnect(self._offer_axes)
            self._followed.events.features.disconnect(self._offer_features)
        self._followed = layer
        if layer is not None:
            layer.events.axis_labels.connect(self._offer_axes)
            layer.events.units.connect(self._offer_axes)
            layer.events.features.connect(self._offer_features)
        self._offer_features()
        self._offer_axes()

    def _offer_features(self, _: Any = None) -> None:
        for widget in self._from_features:
            widget.reset_choices()
        self._show_features()

    def _show_features(self, _: Any = None) -> None:
        """Where there are features, and the axial precision where there are three axes."""
        for widget in self._from_features:
            widget.visible = len(widget.choices) > 1
        if self.precision.value is None or len(self.chosen_axes or ()) != 3:
            self.axial_precision.visible = False

    def _offer_axes(self, _: Any = None) -> None:
        layer = self.points.value
        names = () if layer is None else axis_names(layer)
        self._axes_by_label = {
            ", ".join(names[axis] for axis in axes): axes for axes in possible_axes(len(names))
        }
        self.axes.reset_choices()
        default = None if layer is None else default_axes(layer)
        label = next((k for k, axes in self._axes_by_label.items() if axes == default), None)
        self.axes.value = label
        # Two axes leave no choice, unless one of them is time.
        self.axes.visible = len(names) > 2 or (len(names) == 2 and default is None)
        self._follow_axes()

    def _follow_axes(self, _: Any = None) -> None:
        layer, axes = self.points.value, self.chosen_axes
        if layer is not None and axes is not None:
            self._suit(layer, axes)
        self._show_features()
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
        for length in (self.pixel_size, self.covariance_floor):
            set_length_unit(length, unit, finest)

    def _show_advanced(self, shown: bool) -> None:
        self.advanced_button.text = "▾ Advanced" if shown else "▸ Advanced"
        for widget in self._advanced:
            widget.visible = shown

    def _follow_prior(self, prior: str) -> None:
        self.sparsity.enabled = prior == "sqrt"
        self.init.enabled = prior != "bayes"


def _choice(
    name: str, label: str, tooltip: str, choices: Callable[[Any], Sequence[Any]]
) -> ComboBox:
    """A field whose choices depend on the layers."""
    return compact(ComboBox(name=name, label=label, tooltip=tooltip, choices=choices))
