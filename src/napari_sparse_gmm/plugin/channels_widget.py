"""The dock widget "Sparse GMM two channels": points of a second channel beside clusters of a first.

It fits nothing. The clusters are those of a components layer; how many points of the other channel
lie in them, and how near, is compared with the same of random shifts (`channels`).
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox, PushButton, SpinBox
from napari.layers import Labels, Layer, Points, Shapes

from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.parameters import COVERAGE, N_SHIFTS
from napari_sparse_gmm.plugin.form.fields import choice, offer_layers
from napari_sparse_gmm.plugin.form.task_form import TaskWidget
from napari_sparse_gmm.plugin.layers.model_metadata import attached_model, is_components_layer
from napari_sparse_gmm.plugin.layers.owned import METADATA_KEY, shows_fit_of
from napari_sparse_gmm.plugin.layers.sections import sections_of
from napari_sparse_gmm.plugin.points.for_model import places_for, points_for, region_for
from napari_sparse_gmm.plugin.points.region import outlines_regions
from napari_sparse_gmm.plugin.qt.canvas import Plot
from napari_sparse_gmm.plugin.qt.saving import asked_csv
from napari_sparse_gmm.plugin.tasks.pacing import Clock
from napari_sparse_gmm.plugin.tasks.task import Progress, Work, guarded
from napari_sparse_gmm.regions import Region, over

if TYPE_CHECKING:
    from napari_sparse_gmm.channels import ChannelComparison

NO_MODEL = "Fit the first channel, or open a model of it (*.gmm.json): its components layer is it."
NO_POINTS = "Add or open the Points layer of the second channel."
OWN_POINTS = (
    "The clusters of the first channel are of these points: choose those of another channel as the "
    "second."
)
OF_GROUPS = "The model has a mixture for each group of its points: choose one of all together."


class SparseGMMChannels(TaskWidget):
    """Compare a Points layer with the clusters of another channel.

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
        self._found: tuple[ChannelComparison, DensityModel] | None = None
        self.model = choice(
            "model",
            "First channel",
            "The components layer, of a fit or of a file, with the clusters of the first channel.",
            self._components_choices,
        )
        self.points = choice(
            "points",
            "Second channel",
            "The Points layer of the second channel, which is shifted.",
            self._points_choices,
        )
        self.second = choice(
            "second",
            "Its clusters",
            "The components layer of the second channel, for the distances between the clusters.",
            self._second_choices,
        )
        self.region = choice(
            "region",
            "Region",
            "Where both channels could be seen: as the fit of the first has its Region, which is "
            "the bounding box of both where that has none; or in what a Shapes or Labels layer "
            "covers. Points outside of it are left out.",
            self._region_choices,
        )
        self.n_shifts = SpinBox(
            name="n_shifts",
            label=N_SHIFTS.label,
            value=N_SHIFTS.default,
            min=N_SHIFTS.minimum,
            max=N_SHIFTS.maximum,
            tooltip=N_SHIFTS.help,
        )
        self.compare_button = PushButton(
            name="compare_button",
            text="Compare",
            tooltip="Count the points of the second channel in the clusters of the first, as they "
            "are and after random shifts.",
        )
        self.save_button = PushButton(
            name="save_button",
            text="Save as CSV…",
            enabled=False,
            tooltip="Write all that was compared: a row for each statistic.",
        )
        self.statistic = ComboBox(
            name="statistic", choices=self._statistics, tooltip="Which of them the plot shows."
        )
        self.plot = Plot(lambda: napari_viewer.theme)
        fields = [self.model, self.points, self.second, self.region, self.n_shifts]
        super().__init__(
            napari_viewer,
            clock,
            fields,
            self.compare_button,
            self.compare,
            self.obstacle,
            more_buttons=[self.save_button],
            below=[self.statistic],
            filling=self.plot,
        )
        self.statistic.visible = False
        self.model.changed.connect(self._on_model_changed)
        self.points.changed.connect(self.follow_choice)
        self.statistic.changed.connect(self._draw)
        self.plot.shown.connect(self._draw)
        self.save_button.clicked.connect(self._ask_and_save)
        napari_viewer.events.theme.connect(self.plot.recolour)
        self._on_model_changed()

    def compare(self) -> None:
        """Compare the chosen layers, and show what came out when it is there."""
        if not self.idle or self.obstacle():
            return
        layer, in_units = self.points.value, self._viewer.layers.extent.units is not None
        try:
            model = attached_model(self.model.value.name, self.model.value.metadata)
            if model.groups is not None:
                raise InputError(OF_GROUPS)
            read = points_for(model, layer, None, in_units)
            outline = None
            if (outlines := self.region.value) is not None:
                outline = region_for(model, outlines, in_units)
            centres = None
            if (other := self.second.value) is not None:
                centres = places_for(model, other, _centres(other), in_units)
        except InputError as error:
            self._panel.say(str(error))
            return
        work = _compared(model, read.observations, centres, outline, self.n_shifts.value)
        self.start(layer, work, partial(self._show, model))

    def obstacle(self) -> str:
        """Why there is nothing to compare yet, for the user; "" where there is."""
        if self.model.value is None:
            return NO_MODEL
        if self.points.value is None:
            return NO_POINTS
        return OWN_POINTS if shows_fit_of(self.model.value, self.points.value) else ""

    def reset_choices(self, *_: Any) -> None:
        """Follow the layers that there are; the chosen ones stay chosen under a new name."""
        for field in (self.model, self.points, self.second):
            offer_layers(field)
        self._choose_other_points()
        chosen = self.region.value
        if not offer_layers(self.region) and self.idle:
            self._panel.say(f"Layer {chosen.name!r} was removed: the Region is again as the fit.")

    def save(self, path: Path) -> None:
        """Write what was compared as a CSV file."""
        from napari_sparse_gmm.channels.report import statistics_table
        from napari_sparse_gmm.io.tables import write_table

        assert self._found is not None
        comparison, model = self._found
        write_table(path, statistics_table(comparison, model.unit))

    # The work

    def _show(self, model: DensityModel, found: "ChannelComparison") -> None:
        from napari_sparse_gmm.channels.report import summary

        self._found = found, model
        self.save_button.enabled = self.statistic.visible = True
        with self.statistic.changed.blocked():
            self.statistic.reset_choices()
        self._panel.say(summary(found, model.unit))
        self._draw()

    def _draw(self, _: object = None) -> None:
        if self._found is None or not self.plot.isVisible() or self.statistic.value is None:
            return
        from napari_sparse_gmm.channels.report import draw

        comparison, model = self._found
        name = self.statistic.value
        self.plot.clear()
        axes = self.plot.figure.add_subplot()
        draw(axes, name, comparison.statistics[name], model.unit)
        self.plot.draw()

    def _ask_and_save(self) -> None:
        path = asked_csv(self.native, "Save comparison", "channels")
        if path is None:
            return
        try:
            self.save(path)
        except OSError as error:
            self._panel.say(f"{path} cannot be written ({error.strerror}): choose another.")

    # The fields

    def _components_choices(self, _: Any = None) -> list[Layer]:
        return [layer for layer in self._viewer.layers if is_components_layer(layer)]

    def _points_choices(self, _: Any = None) -> list[Points]:
        return [layer for layer in self._viewer.layers if isinstance(layer, Points)]

    def _choose_other_points(self) -> None:
        """Another Points layer than that of the first channel, where there is one."""
        offer_layers(self.points)
        model, points = self.model.value, self.points.value
        if model is None or points is None or not shows_fit_of(model, points):
            return
        others = (one for one in self._points_choices() if not shows_fit_of(model, one))
        if (other := next(others, None)) is not None:
            self.points.value = other

    def _region_choices(self, _: Any = None) -> Sequence[tuple[str, Layer | None]]:
        found = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Shapes | Labels)
            and METADATA_KEY not in layer.metadata
            and outlines_regions(layer)
        ]
        return [("as the fit", None), *((layer.name, layer) for layer in found)]

    def _second_choices(self, _: Any = None) -> Sequence[tuple[str, Layer | None]]:
        found = [layer for layer in self._components_choices() if layer is not self.model.value]
        return [("not considered", None), *((layer.name, layer) for layer in found)]

    def _statistics(self, _: Any = None) -> list[tuple[str, str]]:
        if self._found is None:
            return []
        from napari_sparse_gmm.channels.report import LABELS

        return [(LABELS[name], name) for name in self._found[0].statistics]

    def _on_model_changed(self, _: Any = None) -> None:
        offer_layers(self.second)
        self.second.visible = len(self.second.choices) > 1
        self._choose_other_points()
        self.follow_choice()


def _centres(layer: Shapes) -> FloatArray:
    """Those of the components that a layer shows, in its data coordinates, (K, n)."""
    sections = sections_of(layer)
    centres = [
        np.mean(layer.data[row], axis=0) if sections is None else sections.centre(row)
        for row in range(layer.nshapes)
    ]
    return np.reshape(np.asarray(centres, dtype=np.float64), (-1, layer.ndim))


def _compared(
    model: DensityModel,
    points: Observations,
    centres: FloatArray | None,
    outline: Region | None,
    n_shifts: int,
) -> Work[Any]:
    """How the points lie to the clusters of a model, as they are and by chance."""
    return guarded("comparison", _comparison(model, points, centres, outline, n_shifts))


def _comparison(
    model: DensityModel,
    points: Observations,
    centres: FloatArray | None,
    outline: Region | None,
    n_shifts: int,
) -> "Work[ChannelComparison]":
    yield Progress(0, n_shifts, "Starting")

    from napari_sparse_gmm.channels import common_region, iter_comparison

    second = None
    if centres is not None and len(centres):
        k, d = centres.shape  # of which nothing but the centres counts
        second = GaussianMixture(np.full(k, 1.0 / k), centres, np.tile(np.eye(d), (k, 1, 1)))
    region = common_region(model.mixture, points.points, model.box)
    if outline is not None:
        region, inside = over(outline, points.points, region.box)
        if not inside.any():
            raise InputError(
                "No point of the second channel lies in the Region: choose another one."
            )
    coverage = float((model.view or {}).get("coverage", COVERAGE.default))
    steps = iter_comparison(
        model.mixture,
        points,
        second=second,
        region=region,
        coverage=min(coverage, 99.9),
        n_shifts=n_shifts,
    )
    while True:
        try:
            done = next(steps)
        except StopIteration as stop:
            return stop.value
        yield Progress(done, n_shifts, f"{done:,} of {n_shifts:,} random shifts")
