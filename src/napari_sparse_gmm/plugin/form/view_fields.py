"""The fields of the dock widget that say what the layers show of a fit."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from magicgui.widgets import Widget

from napari_sparse_gmm import parameters
from napari_sparse_gmm.plugin.form.fields import field, set_value, value_of
from napari_sparse_gmm.plugin.form.length_fields import LengthFields
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice
from napari_sparse_gmm.shapes.grid import LONGEST_SIDE_3D

_PARAMETERS = (
    parameters.ANNOTATE,
    parameters.COVERAGE,
    parameters.CONTOURS,
    parameters.QUANTITY,
    parameters.SHARPEN,
    parameters.LONGEST_SIDE,
    parameters.PIXEL_SIZE,
)

_OF_A_PLANE = (parameters.CONTOURS.name, parameters.SHARPEN.name)


class ViewFields:
    """Fields named like the parameters that they set.

    Parameters
    ----------
    longest_side : int
        Where the pixels of an image start; those of a volume with 128, or this if it is less.
    """

    def __init__(self, longest_side: int) -> None:
        self.fields = {parameter.name: field(parameter) for parameter in _PARAMETERS}
        self.all: tuple[Widget, ...] = tuple(self.fields.values())
        self.longest_side = self.fields[parameters.LONGEST_SIDE.name]
        self._n_dimensions = 2
        self._lengths = LengthFields(self.fields[parameters.PIXEL_SIZE.name])
        self._preferred_side = self.longest_side.value = longest_side
        self._side_is_chosen = False
        self.longest_side.changed.connect(self._keep_side)

    def heatmap_choice(self, **computing: Any) -> HeatmapChoice:
        """What the user wants to see of the heatmap, computed by this engine on this device."""
        values = {p.name: value_of(p, self.fields[p.name]) for p in _PARAMETERS}
        shown = {f.name: values[f.name] for f in fields(HeatmapChoice) if f.name in values}
        return HeatmapChoice(**shown, **computing)

    def set_view(self, view: Mapping[str, Any]) -> None:
        """Show what of the fields a view says."""
        for parameter in _PARAMETERS:
            if parameter.name in view:
                set_value(parameter, self.fields[parameter.name], view[parameter.name])

    def reset(self) -> None:
        """Back to the defaults, and to what the preferences say."""
        for parameter in _PARAMETERS:
            set_value(parameter, self.fields[parameter.name], parameter.default)
        self._side_is_chosen = False
        with self.longest_side.changed.blocked():
            self.longest_side.value = self._preferred_side

    def suit(self, unit: Any, width: float, n_dimensions: int) -> None:
        """Follow the points that are to be fitted; see `LengthFields.follow`.

        As many pixels as suit an image or a volume, as long as the user has not said how many.
        """
        self._lengths.follow(unit, width, n_dimensions)
        self._n_dimensions = n_dimensions
        if not self._side_is_chosen:
            side = self._preferred_side
            with self.longest_side.changed.blocked():
                self.longest_side.value = side if n_dimensions == 2 else min(side, LONGEST_SIDE_3D)

    def show_what_counts(self, unfolded: bool) -> None:
        """Show the fields, where they are unfolded; some of them of a plane only."""
        for name, widget in self.fields.items():
            widget.visible = unfolded and (self._n_dimensions == 2 or name not in _OF_A_PLANE)

    def _keep_side(self, _: int) -> None:
        """From now on it is the user's, whatever the layer."""
        self._side_is_chosen = True
