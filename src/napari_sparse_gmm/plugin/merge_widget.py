"""The dock widget "Sparse GMM merge repeats": localizations that follow each other, as one.

It makes a Points layer of its own, which is then fitted; the layer that was merged stays.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from magicgui.widgets import FloatSpinBox, PushButton, SpinBox
from napari.layers import Points

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.merging import NEAR, Merged, merge_repeats
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.plugin.form.fields import choice, offer_layers
from napari_sparse_gmm.plugin.form.task_form import TaskWidget
from napari_sparse_gmm.plugin.points.features import (
    known_frames,
    known_precisions,
    numeric_features,
    precise_points,
    precision_features,
)
from napari_sparse_gmm.plugin.points.sampled import sampled_table
from napari_sparse_gmm.plugin.space.axes import time_axes
from napari_sparse_gmm.plugin.tasks.pacing import Clock
from napari_sparse_gmm.plugin.tasks.task import Progress, Refusal, Work, guarded
from napari_sparse_gmm.wording import count

NO_POINTS = "Add or open a Points layer of localizations."
OF_A_SAMPLE = (
    "The layer shows a sample of a table, and most repeats are not in it: merge them before, in "
    "the program that has found them."
)
NO_FRAME = "The points need a feature with the frame that each was seen in."

# The feature of how many localizations a merged one stands for.
NUMBER = "localizations"


class SparseGMMMerge(TaskWidget):
    """Merge localizations of a molecule that follow each other.

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
        self.points = choice(
            "points", "Points", "The localizations, in two or three dimensions.", self._layers
        )
        self.frame = choice(
            "frame", "Frame", "The feature with the frame that each was seen in.", self._frames
        )
        self.precision = choice(
            "precision",
            "Precision",
            "The feature with the precision of each localization, in the unit of the layer. The "
            "more precise count for more, and the merged ones are more precise.",
            self._precisions,
        )
        self.gap = SpinBox(
            name="gap",
            label="Dark frames at most",
            value=3,
            min=0,
            max=1_000_000,
            tooltip="How many frames may lie between two localizations of a molecule.",
        )
        self.radius = FloatSpinBox(
            name="radius",
            label="Radius",
            value=0.0,
            min=0.0,
            max=1e9,
            tooltip="How near each other they are, in the unit of the layer. Automatic: "
            f"{NEAR:g} times their typical precision.",
        )
        self.radius.native.setSpecialValueText("automatic")
        self.merge_button = PushButton(
            name="merge_button",
            text="Merge",
            tooltip="Make a Points layer in which each molecule is one for as long as it is seen.",
        )
        fields = [self.points, self.frame, self.precision, self.gap, self.radius]
        super().__init__(napari_viewer, clock, fields, self.merge_button, self.merge, self.obstacle)
        self.points.changed.connect(self._on_points_changed)
        self._on_points_changed()

    def merge(self) -> None:
        """Merge the localizations of the chosen layer, and show the new one when it is there."""
        layer = self.points.value
        self._offer_features()
        if not self.idle or self.obstacle():
            return
        shown, noise = np.asarray(layer.shown), None
        try:
            if self.precision.value is not None:
                shown = shown & precise_points(layer, shown, self.precision.value)
                noise = np.asarray(layer.features[self.precision.value], dtype=np.float64)[shown]
            observations = Observations.of(
                np.asarray(layer.data)[shown] * np.asarray(layer.scale), noise_std=noise
            )
        except InputError as error:
            self._panel.say(str(error))
            return
        frames = np.asarray(layer.features[self.frame.value], dtype=np.float64)[shown]
        names = self.frame.value, self.precision.value
        self.start(
            layer,
            _merged(observations, frames, self.gap.value, self.radius.value or None),
            partial(self._show, layer, frames, names),
        )

    def obstacle(self) -> str:
        """Why there is nothing to merge yet, for the user; "" where there is."""
        if self.points.value is None:
            return NO_POINTS
        if sampled_table(self.points.value) is not None:
            return OF_A_SAMPLE
        return NO_FRAME if self.frame.value is None else ""

    def reset_choices(self, *_: Any) -> None:
        """Follow the layers that there are; the chosen one stays chosen under a new name."""
        offer_layers(self.points)

    def _show(
        self, layer: Points, frames: Any, names: tuple[str, str | None], found: Merged
    ) -> None:
        merged, (frame, precision) = found.observations, names
        first = np.full(len(merged), np.inf)
        np.minimum.at(first, found.members, frames)
        features = {frame: first, NUMBER: found.numbers}
        if precision is not None and merged.noise is not None:
            # Of one precision the axes have one still.
            features[precision] = np.sqrt(merged.noise[:, -1])
        self._viewer.add_points(
            merged.points / np.asarray(layer.scale),
            name=f"{layer.name} merged",
            features=features,
            scale=layer.scale,
            translate=layer.translate,
            rotate=layer.rotate,
            shear=layer.shear,
            affine=layer.affine,
            units=layer.units,
            axis_labels=layer.axis_labels,
            size=float(np.median(layer.size)),
            face_color=layer.face_color[0] if len(layer.face_color) else "white",
            border_width=0,
        )
        self._panel.say(
            f"{count(len(frames), 'localization')} merged to {len(merged):,}: "
            f"{len(frames) / len(merged):.2g} each."
        )

    def _layers(self, _: Any = None) -> list[Points]:
        return [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Points) and layer.ndim in (2, 3) and not time_axes(layer)
        ]

    def _frames(self, _: Any = None) -> list[str]:
        layer = self.points.value
        return [] if layer is None else numeric_features(layer)

    def _precisions(self, _: Any = None) -> Sequence[tuple[str, str | None]]:
        layer = self.points.value
        names = [] if layer is None else precision_features(layer)
        return [("not known", None), *((name, name) for name in names)]

    def _on_points_changed(self, _: Any = None) -> None:
        self._offer_features()
        layer = self.points.value
        if layer is not None:
            self.precision.value, _ = known_precisions(layer, (layer.ndim - 1,))
            if (known := known_frames(layer)) is not None:
                self.frame.value = known
        self.follow_choice()

    def _offer_features(self) -> None:
        for field in (self.frame, self.precision):
            chosen = field.value
            field.reset_choices()
            if chosen in field.choices:
                field.value = chosen


def _merged(
    observations: Observations, frames: Any, gap: int, radius: float | None
) -> Work[Merged | Refusal]:
    return guarded("merging", _merging(observations, frames, gap, radius))


def _merging(
    observations: Observations, frames: Any, gap: int, radius: float | None
) -> Work[Merged]:
    yield Progress(0, 1, "Merging")
    return merge_repeats(observations, frames, gap=gap, radius=radius)
