"""The dock widget "Sparse GMM score": the points of another layer as a model sees them.

It fits nothing. The model comes from a components layer, of a fit or of a file; the points get
their components as features and colours, and a sentence says how well the model predicts them.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from magicgui.widgets import Container, PushButton
from napari.layers import Layer, Points

from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.parameters import LONGEST_SIDE, QUANTITY
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.form.fields import choice, offer_layers
from napari_sparse_gmm.plugin.form.task_form import TaskPanel
from napari_sparse_gmm.plugin.layers.model_metadata import attached_model, is_components_layer
from napari_sparse_gmm.plugin.layers.point_colours import show_assignment
from napari_sparse_gmm.plugin.points.features import known_precisions, precision_features
from napari_sparse_gmm.plugin.points.for_model import ModelPoints, points_for
from napari_sparse_gmm.plugin.qt.label_column import LabelColumn
from napari_sparse_gmm.plugin.tasks.pacing import Clock
from napari_sparse_gmm.plugin.tasks.render import assign_points
from napari_sparse_gmm.plugin.tasks.runner import Job
from napari_sparse_gmm.plugin.tasks.task import Refusal, Work
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice
from napari_sparse_gmm.wording import count

NO_MODEL = (
    "Fit a density, or open a model that was saved (*.gmm.json): its components layer carries the "
    "model."
)
NO_POINTS = "Add or open a Points layer to score."


class SparseGMMScore(Container):
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
        self._viewer = napari_viewer
        self._panel = panel = TaskPanel(clock)
        panel.listen(self._on_work_changed, self._end)
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
        self.cancel_button, self.progress = panel.cancel_button, panel.progress
        self.status = panel.status
        rows = Container(name="fields", widgets=[self.model, self.points, self.precision])
        buttons = Container(
            widgets=[self.score_button, self.cancel_button], layout="horizontal", labels=False
        )
        LabelColumn(rows)
        rows.margins = buttons.margins = (0, 0, 0, 0)
        super().__init__(widgets=[rows, buttons, self.progress, self.status], labels=False)

        self.model.changed.connect(self._on_choice_changed)
        self.points.changed.connect(self._on_points_changed)
        self.score_button.clicked.connect(self.score)
        self.cancel_button.clicked.connect(self.cancel)
        panel.follow(
            self.native, napari_viewer.layers, self.reset_choices, self._forget, self.cancel
        )
        self._on_points_changed()

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        return self._panel.runner.job is None

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
        panel = self._panel
        panel.say("")
        panel.runner.start(
            Job(
                layer,
                _score(model, read),
                partial(self._show, layer, model, read),
                panel.show_progress,
            )
        )

    def cancel(self) -> None:
        """Stop the work in progress; the points stay as they are."""
        self._panel.runner.cancel(messages.CANCELLED)

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
        if isinstance(outcome, Refusal):
            self._panel.say(outcome.sentence)
        elif len(layer.data) != len(read.shown):
            self._panel.say(messages.points_changed(layer.name))
        else:
            assignment, sentence = outcome
            show_assignment(layer, read.shown, assignment, model.parts, read.groups)
            if read.pooled:
                sentence += f" Points of all {' and '.join(read.pooled)} are taken together."
            n_hidden = len(read.shown) - len(read.observations) - read.n_imprecise
            if n_hidden:
                sentence += f" {n_hidden:,} hidden points left out."
            if read.n_imprecise:
                sentence += f" {count(read.n_imprecise, 'point')} without a precision left out."
            self._panel.say(sentence)

    def _on_work_changed(self) -> None:
        busy = not self.idle
        self.score_button.enabled = not busy and not self.obstacle()
        self._panel.show_busy(busy)

    def _end(self, why: str | None) -> None:
        self._on_work_changed()
        if why is not None:
            self._panel.say(why)

    def _forget(self, event: Any) -> None:
        """A layer was removed: so is the work on it."""
        job = self._panel.runner.job
        if job is not None and job.layer is event.value:
            self._panel.runner.cancel(messages.layer_removed(event.value.name))

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
        self._on_choice_changed()

    def _listen(self, layer: Points | None) -> None:
        if self._connected_layer is not None:
            self._connected_layer.events.features.disconnect(self._offer_features)
        self._connected_layer = layer
        if layer is not None:
            layer.events.features.connect(self._offer_features)

    def _offer_features(self, _: Any = None) -> None:
        self.precision.reset_choices()
        self.precision.visible = len(self.precision.choices) > 1

    def _on_choice_changed(self, _: Any = None) -> None:
        if self.idle:
            self._on_work_changed()
            self._panel.say(self.obstacle())


def _score(model: DensityModel, read: ModelPoints) -> Work[Any]:
    """The components of the points, and what there is to say about them."""
    # What computes is chosen by itself; the rest of a heatmap's choice is of no account.
    choice = HeatmapChoice(QUANTITY.default, LONGEST_SIDE.default, None)
    found = yield from assign_points(model.parts, read.observations, read.groups, choice)
    if isinstance(found, Refusal):
        return found

    from napari_sparse_gmm.scoring import summary

    return found, summary(model, read.observations.points, read.groups, found)
