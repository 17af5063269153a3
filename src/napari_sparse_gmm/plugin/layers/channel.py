"""The colour of a channel: that of its points, which what is made from them has, too."""

import numpy as np
from napari.layers import Points
from napari.utils.colormaps import Colormap

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.layers.point_colours import COLOURS_KEY

# What is less colourful than this, between grey and a pure colour, is no sign of a channel.
_COLOURFUL = 0.25

# How far a tint is from its colour, on the way to white.
_TO_WHITE = 0.4


def channel_colour(points: Points) -> FloatArray | None:
    """The colour (3,) of all points of a layer; None where they are grey, or of several colours.

    Where a fit has coloured them by component, it is the one that they had before.
    """
    colours = points.metadata.get(COLOURS_KEY, points.face_color)  # (N, 4)
    if not len(colours) or (colours != colours[0]).any():
        return None
    colour = np.asarray(colours[0][:3], dtype=np.float64)
    return colour if np.ptp(colour) > _COLOURFUL else None


def tint(colour: FloatArray) -> str:
    """A lighter one, which shows on the colour itself."""
    return _hex(colour + _TO_WHITE * (1.0 - colour))


def from_black(colour: FloatArray) -> Colormap:
    """From nothing to the colour."""
    return Colormap([[0.0, 0.0, 0.0, 1.0], [*colour, 1.0]], name=f"black to {_hex(colour)}")


def _hex(colour: FloatArray) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)
