"""The dock widget "Sparse GMM score": the points of another layer as a model sees them.

It fits nothing. The model comes from a components layer, of a fit or of a file; the points get
their components as features and colours, and a sentence says how well the model predicts them.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from magicgui.widgets import PushButton
from napari.layers import Layer, Points

from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.parameters import LONGEST_SIDE, QUANTITY
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.form.fields import choice, offer_layers
from napari_sparse_gmm.plugin.form.task_form import TaskWidget
from napari_sparse_gmm.plugin.layers.model_metadata import attached_model, is_components_layer
from napari_sparse_gmm.plugin.layers.point_colours import show_assignment
from napari_sparse_gmm.plugin.points.features import known_precisions, precision_features
from napari_sparse_gmm.plugin.points.for_model import ModelPoints, points_for
from napari_sparse_gmm.plugin.points.sampled import sampled_table
from napari_sparse_gmm.plugin.tasks.pacing import Clock
from napari_sparse_gmm.plugin.tasks.render import assign_points
from napari_sparse_gmm.plugin.tasks.task import Refusal, Work
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice
from napari_sparse_gmm.wording import count

NO_MODEL = (
    "Fit a density, or open a model that was saved (*.gmm.json): its components layer carries the "
    "model."
)
NO_POINTS = "Add or open a Points layer to score."


class SparseGMMScore(TaskWidget):
    """Score a Points layer with a model that was fitted to others.

    Every field is a public attribute.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    clock : Clock, optional
        By default that of the window.
    """

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",  # type: ignore[name-defined]  # noqa: F821
        clock: Clock | None = None,
    ) -> None:
        self._viewer = napari_viewer  # which the choices of layers are taken from
        self._connected_layer: Points | None = None  # the layer whose features are offered
        self.model = choice(
            "model",
            "Model",
            "The components layer, of a fit or of a file, that carries the model.",
            self._model_choices,
        )
        self.points = choice(
            "points",
            "Points",
            "The Points layer to score: another channel, another cell. A point is the "
            "same place of the world for both layers, whatever their scales and units.",
            self._points_choices,
        )
        self.precision = choice(
            "precision",
            "Precision",
            "The feature that says how precise the place of each point is, its "
            "standard deviation in the unit of the layer.",
            self._precision_choices,
        )
        self.score_button = PushButton(
            name="score_button",
            text="Score",
            tooltip="Give the points the features component, probability, log_density and "
            "is_background, and the colour of their component.",
        )
        fields = [self.model, self.points, self.precision]
        super().__init__(napari_viewer, clock, fields, self.score_button, self.score, self.obstacle)
        self.model.changed.connect(self.follow_choice)
        self.points.changed.connect(self._on_points_changed)
        self._on_points_changed()

    def score(self) -> None:
        """Score the chosen points, and show their components when they are there."""
        if not self.idle or self.obstacle():
            return
        layer, in_units = self.points.value, self._viewer.layers.extent.units is not None
        try:
            model = attached_model(self.model.value.name, self.model.value.metadata)
            read = points_for(model, layer, self.precision.value, in_units)
        except InputError as error:
            self._panel.say(str(error))
            return
        self.start(layer, _score(model, read), partial(self._show, layer, model, read))

    def obstacle(self) -> str:
        """Why there is nothing to score yet, for the user; "" where there is."""
        if self.model.value is None:
            return NO_MODEL
        return NO_POINTS if self.points.value is None else ""

    def reset_choices(self, *_: Any) -> None:
        """Follow the layers that there are; the chosen ones stay chosen under a new name."""
        for field in (self.model, self.points):
            offer_layers(field)

    # The work

    def _show(self, layer: Points, model: DensityModel, read: ModelPoints, outcome: Any) -> None:
        if len(layer.data) != len(read.shown):
            self._panel.say(messages.points_changed(layer.name))
        else:
            assignment, sentence = outcome
            show_assignment(layer, read.shown, assignment, model.parts, read.groups)
            if read.pooled:
                sentence += f" Points of all {' and '.join(read.pooled)} are taken together."
            n_hidden = len(read.shown) - len(read.observations) - read.n_imprecise
            if (table := sampled_table(layer)) is not None:
                sentence += f" Of {table.n_points:,} points of the table those shown are scored."
            if n_hidden:
                sentence += f" {n_hidden:,} hidden points left out."
            if read.n_imprecise:
                sentence += f" {count(read.n_imprecise, 'point')} without a precision left out."
            self._panel.say(sentence)

    # The fields

    def _model_choices(self, _: Any = None) -> list[Layer]:
        return [layer for layer in self._viewer.layers if is_components_layer(layer)]

    def _points_choices(self, _: Any = None) -> list[Points]:
        return [layer for layer in self._viewer.layers if isinstance(layer, Points)]

    def _precision_choices(self, _: Any = None) -> Sequence[tuple[str, str | None]]:
        layer = self.points.value
        names = [] if layer is None else precision_features(layer)
        return [("not considered", None), *((name, name) for name in names)]

    def _on_points_changed(self, _: Any = None) -> None:
        """Listen to the layer that is chosen now, and offer its features."""
        layer = self.points.value
        self._listen(layer)
        self._offer_features()
        if layer is not None:
            self.precision.value, _ = known_precisions(layer, (layer.ndim - 1,))
        self.follow_choice()

    def _listen(self, layer: Points | None) -> None:
        if self._connected_layer is not None:
            self._connected_layer.events.features.disconnect(self._offer_features)
        self._connected_layer = layer
        if layer is not None:
            layer.events.features.connect(self._offer_features)

    def _offer_features(self, _: Any = None) -> None:
        self.precision.reset_choices()
        self.precision.visible = len(self.precision.choices) > 1


def _score(model: DensityModel, read: ModelPoints) -> Work[Any]:
    """The components of the points, and what there is to say about them."""
    # What computes is chosen by itself; the rest of a heatmap's choice is of no account.
    choice = HeatmapChoice(QUANTITY.default, LONGEST_SIDE.default, None)
    found = yield from assign_points(model.parts, read.observations, read.groups, choice)
    if isinstance(found, Refusal):
        return found

    from napari_sparse_gmm.scoring import summary

    return found, summary(model, read.observations.points, read.groups, found)
