"""The fields of the dock widget that say what is to be modelled; they follow the layers."""

from collections.abc import Callable
from functools import partial
from typing import Any

from magicgui.widgets import ComboBox, LineEdit, Widget
from napari.components import LayerList
from napari.layers import Labels, Layer, Points, Shapes

from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.form.axes_field import AxesField
from napari_sparse_gmm.plugin.form.fields import choice, compact, offer_layers, show_value
from napari_sparse_gmm.plugin.layers.owned import METADATA_KEY
from napari_sparse_gmm.plugin.points.coordinates import MOST_GROUPS
from napari_sparse_gmm.plugin.points.features import (
    few_enough,
    grouping_features,
    known_precisions,
    precision_features,
    weighing_features,
)
from napari_sparse_gmm.plugin.points.region import outlines_regions
from napari_sparse_gmm.plugin.points.sampled import sampled_table
from napari_sparse_gmm.plugin.points.selection import Use
from napari_sparse_gmm.plugin.points.source import Apart, Around, Source
from napari_sparse_gmm.plugin.space.axes import Axes, axis_names, time_axes

# Of coordinates that have none, as napari calls that, and those that one may give them.
_NO_UNIT = "pixel"
_UNITS = {"nm": "nanometer", "µm": "micrometer", "mm": "millimeter"}

# In the metadata of a layer: that its unit was chosen here.
_UNIT_KEY = "napari-sparse-gmm unit"


class PointsFields:
    """Points layer, axes, groups, features and region, as fields whose choices are the layers'.

    Parameters
    ----------
    layers : callable
        The layers of the viewer, called again whenever they may have changed.
    scheduler : str
        Where the field of that starts.
    """

    def __init__(self, layers: Callable[[], LayerList], scheduler: str) -> None:
        self._layers, self._preferred_scheduler = layers, scheduler
        self._connected_layer: Points | None = None  # the layer whose axes are offered
        self._chosen_region: Around | Layer = Around.BOX
        self._changed: Callable[[], object] = lambda: None
        self._tell: Callable[[str], object] = lambda sentence: None

        self.points = choice(
            "points",
            "Points",
            "The Points layer whose density is modelled.",
            self._points_choices,
        )
        self.use = compact(
            ComboBox(
                name="use",
                label="Use",
                tooltip="Which of the points that the layer shows are fitted. Along sliders, those "
                "in the view are all. A live fit keeps those of the last fit until this changes.",
                choices=[(use.value, use) for use in Use],
            )
        )
        self.unit = compact(
            ComboBox(
                name="unit",
                label="Unit",
                tooltip="The unit of the coordinates, where the layer has none: sizes, densities "
                "and the scale bar are in it.",
                choices=[(_NO_UNIT, _NO_UNIT), *_UNITS.items()],
            )
        )
        self._axes_field = AxesField()
        self.axes = self._axes_field.widget
        self.each = choice(
            "each",
            "Fit each",
            "Fit points of different values apart: those of each time, channel or cell, or of "
            "each shape or label of the Region. The results are stacked, and napari's slider goes "
            "through them. Features of more than "
            f"{MOST_GROUPS:,} values, or that are missing somewhere, are not offered.",
            self._each_choices,
        )
        self.weights = choice(
            "weights",
            "Weights",
            "The feature of the points that says how often each of them counts. Those that are "
            "negative or missing somewhere are not offered.",
            partial(self._features_choices, "equal", weighing_features),
        )
        self.precision = choice(
            "precision",
            "Precision",
            "The feature that says how precise the position of each point is, its standard "
            "deviation in the unit of the layer. The components are then the shapes without that "
            "error. One that a localization program has written is chosen by itself; beside lpx "
            "counts lpy.",
            partial(self._features_choices, "not considered", precision_features),
        )
        self.axial_precision = choice(
            "axial_precision",
            "Axial precision",
            "The same along the first axis, z, where it is another one there.",
            partial(self._features_choices, "as the others", precision_features),
        )
        self.region = choice(
            "region",
            "Region",
            "Where points could have been, and the background is: in their bounding box, in their "
            "convex hull, or in what a Shapes layer (polygons, rectangles, ellipses) or a Labels "
            "layer covers. Over an Image layer the background is as dense as that is bright: "
            "another channel, say, smoothed, and without the offset of the camera. Points outside "
            "of the region, or where the image is 0, are left out.",
            self._region_choices,
        )
        self.scheduler = LineEdit(
            name="scheduler",
            label="Compute on",
            value=scheduler,
            tooltip="Where all points of the table are fitted, of which the layer shows some: on "
            "this machine, or by the workers of a Dask scheduler at this address, as "
            "tcp://host:8786, which have to reach the table and the scratch folder (Preferences).",
        )
        self.scheduler.native.setPlaceholderText("this machine")
        self._of_features = [self.weights, self.precision, self.axial_precision]
        self._unfolded = False
        # What is always there, and what is folded away as long as it says nothing special.
        self.basic: list[Widget] = [
            self.points,
            self.unit,
            self.axes,
            self.each,
            self.precision,
            self.axial_precision,
            self.region,
            self.scheduler,
        ]
        self.advanced: list[Widget] = [self.use, self.weights]
        self.of_fit: list[Widget] = [self.axes, self.each, *self._of_features, self.region]
        self.unit.changed.connect(self._on_unit_changed)
        self.points.changed.connect(self._on_layer_changed)
        self.axes.changed.connect(self._on_axes_changed)
        self.region.changed.connect(self._keep_region)
        for widget in (self.precision, self.each, self.weights, self.use):
            widget.changed.connect(self._show_features)

    def follow(self, changed: Callable[[], object], tell: Callable[[str], object]) -> None:
        """From now on call `changed` when another layer, or other axes, are to be modelled, and
        `tell` with a sentence where a choice is gone.
        """
        self._changed, self._tell = changed, tell
        self._on_layer_changed()

    def reset_choices(self) -> None:
        """Follow the layers that there are; the chosen ones stay chosen under a new name."""
        for layer in self._layers():
            if isinstance(layer, Shapes) and METADATA_KEY not in layer.metadata:
                layer.events.data.disconnect(self._offer_regions)
                layer.events.data.connect(self._offer_regions)
        for field in (self.points, self.region):
            chosen = field.value
            if not offer_layers(field) and field is self.region:
                self._tell(messages.region_gone(chosen.name))

    @property
    def chosen_axes(self) -> Axes | None:
        """The axes to model; None where that is still to be chosen."""
        return self._axes_field.chosen

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
            each=self.each.value,
            region=self.region.value,
            in_units=self._layers().extent.units is not None,
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

    def _points_choices(self, _: Any = None) -> list[Points]:
        return [layer for layer in self._layers() if isinstance(layer, Points)]

    def _features_choices(
        self, without: str, usable: Callable[[Points], list[str]], _: Any = None
    ) -> list[tuple[str, str | None]]:
        """The features of the layer that are `usable`; `without` is what it is to have none."""
        layer = self.points.value
        names = [] if layer is None else usable(layer)
        return [(without, None), *((name, name) for name in names)]

    def _each_choices(self, _: Any = None) -> list[tuple[str, int | str | Apart | None]]:
        """What can keep points apart: the axes that are not modelled, and features."""
        layer, axes = self.points.value, self.chosen_axes
        choices: list[tuple[str, int | str | Apart | None]] = [("all together", None)]
        # Groups of a table are not known from a sample of it.
        if layer is not None and axes is not None and sampled_table(layer) is None:
            names = axis_names(layer)
            choices += [
                (names[axis], axis)
                for axis in range(layer.ndim)
                if axis not in axes and few_enough(layer.data[:, axis])
            ]
            choices += [(name, name) for name in grouping_features(layer)]
            if isinstance(self._chosen_region, Shapes | Labels):
                choices.append((Apart.REGION.value, Apart.REGION))
        return choices

    def _region_choices(self, _: Any = None) -> list[tuple[str, Around | Layer]]:
        found = [
            layer
            for layer in self._layers()
            if METADATA_KEY not in layer.metadata
            and (outlines_regions(layer) or layer == self._chosen_region)
        ]
        return [
            *((around.value, around) for around in Around),
            *((layer.name, layer) for layer in found),
        ]

    def _offer_regions(self, _: Any = None) -> None:
        """Shapes were drawn: what had no inside may have one."""
        if [value for _, value in self._region_choices()] != list(self.region.choices):
            offer_layers(self.region)

    def _keep_region(self, chosen: Around | Layer) -> None:
        """It stays a choice while its shapes are drawn anew: napari draws paths first."""
        self._chosen_region = chosen
        self.each.reset_choices()
        self._show_features()

    def show_what_counts(self, unfolded: bool) -> None:
        """Show the fields that have a choice; some of them only where `unfolded`."""
        self._unfolded = unfolded
        self._show_features()

    def show(self, source: Source) -> None:
        """Set what of its layer was modelled, as far as that is still there."""
        for widget, value in (
            (self.region, source.region),  # each of which may be fitted by itself
            (self.each, source.each),
            (self.weights, source.weights),
            (self.precision, source.precision),
            (self.axial_precision, source.axial_precision),
        ):
            show_value(widget, value)

    def reset(self) -> None:
        """Take all points together; their precision where a localization program has written it."""
        self.use.value, self.each.value, self.weights.value = Use.ALL, None, None
        self.scheduler.value = self._preferred_scheduler
        layer, axes = self.points.value, self.chosen_axes
        if layer is not None and axes is not None:
            self.precision.value, self.axial_precision.value = known_precisions(layer, axes)

    def _on_layer_changed(self, _: Any = None) -> None:
        """Listen to the layer that is chosen now, and offer its axes."""
        layer = self.points.value
        if self._connected_layer is not None:
            self._connected_layer.events.axis_labels.disconnect(self._offer_axes)
            self._connected_layer.events.units.disconnect(self._offer_axes)
            self._connected_layer.events.features.disconnect(self._offer_features)
        self._connected_layer = layer
        if layer is not None:
            layer.events.axis_labels.connect(self._offer_axes)
            layer.events.units.connect(self._offer_axes)
            layer.events.features.connect(self._offer_features)
        self.scheduler.visible = layer is not None and sampled_table(layer) is not None
        self._offer_features()
        self._offer_axes()

    def _offer_features(self, _: Any = None) -> None:
        for widget in (self.each, *self._of_features):
            widget.reset_choices()
        self._show_features()

    def _show_features(self, _: Any = None) -> None:
        """Where there are choices, and the axial precision where there are three axes."""
        unfolded = self._unfolded
        several = {field: len(field.choices) > 1 for field in (self.each, *self._of_features)}
        # Any column of whole numbers would do to keep points apart; an axis is there for that.
        self.each.visible = several[self.each] and (
            unfolded
            or self.each.value is not None
            or any(isinstance(each, int | Apart) for each in self.each.choices)
        )
        self.weights.visible = several[self.weights] and (
            unfolded or self.weights.value is not None
        )
        self.precision.visible = several[self.precision]
        self.axial_precision.visible = (
            several[self.axial_precision]
            and self.precision.value is not None
            and len(self.chosen_axes or ()) == 3
        )
        self.use.visible = unfolded or self.use.value is not Use.ALL

    def _offer_unit(self) -> None:
        """Show the unit of a layer that had none; that of others stays what it is."""
        layer = self.points.value
        unit = _NO_UNIT if layer is None else str(layer.units[-1])
        given = layer is not None and _UNIT_KEY in layer.metadata
        with self.unit.changed.blocked():
            self.unit.value = unit if unit in self.unit.choices else _NO_UNIT
        self.unit.visible = layer is not None and (unit == _NO_UNIT or given)

    def _on_unit_changed(self, unit: str) -> None:
        layer = self.points.value
        if layer is not None:
            layer.metadata[_UNIT_KEY] = unit
            time = time_axes(layer)
            layer.units = [old if axis in time else unit for axis, old in enumerate(layer.units)]

    def _offer_axes(self, _: Any = None) -> None:
        self._offer_unit()
        if not self._axes_field.offer(self.points.value):
            self._on_axes_changed()

    def _on_axes_changed(self, _: Any = None) -> None:
        self.each.reset_choices()
        self._show_features()
        self._changed()
