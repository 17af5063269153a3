"""The fields of the dock widget that say what the layers show of a fit."""

from typing import Any

from magicgui.widgets import Widget

from napari_sparse_gmm import parameters
from napari_sparse_gmm.plugin.form.fields import field, value_of
from napari_sparse_gmm.plugin.form.length_fields import LengthFields
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice
from napari_sparse_gmm.shapes.grid import LONGEST_SIDE_3D


class PictureFields:
    """Fields named like the parameters that they set.

    Parameters
    ----------
    longest_side : int
        Where the pixels of an image start; those of a volume with 128, or this if it is less.
    """

    def __init__(self, longest_side: int) -> None:
        self.quantity = field(parameters.QUANTITY)
        self.longest_side = field(parameters.LONGEST_SIDE)
        self.pixel_size = field(parameters.PIXEL_SIZE)
        self.sharpen = field(parameters.SHARPEN)
        self.coverage = field(parameters.COVERAGE)
        self.contours = field(parameters.CONTOURS)
        self.annotate = field(parameters.ANNOTATE)
        self.all: tuple[Widget, ...] = (
            self.quantity,
            self.longest_side,
            self.pixel_size,
            self.sharpen,
            self.coverage,
            self.contours,
            self.annotate,
        )
        self._lengths = LengthFields(self.pixel_size)
        self._preferred_side = self.longest_side.value = longest_side
        self._side_is_chosen = False
        self.longest_side.changed.connect(self._keep_side)

    def heatmap_choice(self, **computing: Any) -> HeatmapChoice:
        """What the user wants to see of the heatmap, computed by this engine on this device."""
        return HeatmapChoice(
            quantity=self.quantity.value,
            longest_side=self.longest_side.value,
            pixel_size=value_of(parameters.PIXEL_SIZE, self.pixel_size),
            contours=self.contours.value,
            sharpen=self.sharpen.value,
            **computing,
        )

    def suit(self, unit: Any, width: float, n_dimensions: int) -> None:
        """Follow the points that are to be fitted; see `LengthFields.follow`.

        As many pixels as suit an image or a volume, as long as the user has not said how many.
        """
        self._lengths.follow(unit, width, n_dimensions)
        if not self._side_is_chosen:
            side = self._preferred_side
            with self.longest_side.changed.blocked():
                self.longest_side.value = side if n_dimensions == 2 else min(side, LONGEST_SIDE_3D)

    def _keep_side(self, _: int) -> None:
        """From now on it is the user's, whatever the layer."""
        self._side_is_chosen = True
