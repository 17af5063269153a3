"""Points that are so many that nobody would see a heatmap under them: they are hidden, once."""

import numpy as np
from napari.layers import Points
from napari.utils.notifications import show_info

from napari_sparse_gmm.plugin.space.frame import SCREEN, Frame

# In the metadata of points: that they were hidden here, once.
_HIDDEN_KEY = "napari-sparse-gmm hidden"

# Points cover a heatmap whose discs, laid side by side, take this share of its area. Of fewer than
# so many one wants to see each.
_COVERED, _MANY = 0.5, 20_000

# Where all points are seen, napari draws none smaller than so many pixels of the screen.
_SMALLEST = 2.0


def hide_where_they_cover(points: Points, frame: Frame) -> None:
    """Hide points that cover a flat heatmap, and tell so. To show them again is for the user."""
    if _HIDDEN_KEY in points.metadata or not points.visible or len(frame.axes) != 2:
        return
    if len(points.data) > _MANY and _share_covered(points, frame) > _COVERED:
        points.visible = False
        points.metadata[_HIDDEN_KEY] = True
        show_info(
            f"The points of layer {points.name!r} would cover the heatmap, so they are hidden "
            "now: the eye beside the layer's name shows them."
        )


def show_again(points: Points) -> None:
    """Show the points that were hidden, and hide them another time."""
    if points.metadata.pop(_HIDDEN_KEY, False):
        points.visible = True


def _share_covered(points: Points, frame: Frame) -> float:
    """What their discs take, laid side by side, of a slice where all are seen."""
    lengths = np.maximum(np.ptp(frame.modelled_box, axis=0), np.finfo(np.float64).tiny)
    scale = np.abs(frame.scale[list(frame.axes)]).mean()
    size = np.maximum(np.median(points.size) * scale, _SMALLEST * lengths.max() / SCREEN)
    n_in_slice = np.count_nonzero(points.shown) / frame.layout.n_slices
    return float(n_in_slice * 0.25 * np.pi * size**2 / lengths.prod())
