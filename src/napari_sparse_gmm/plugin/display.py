"""Shows fits in a viewer, and what a fit that goes on has found so far."""

from time import perf_counter

import numpy as np
from napari.components import ViewerModel
from napari.layers import Points
from qtpy.QtCore import QTimer

from napari_sparse_gmm.plugin.drawing import drawing
from napari_sparse_gmm.plugin.fits import Asked, Fit
from napari_sparse_gmm.plugin.layers import (
    components_layer,
    remove_made,
    show_components,
    show_contours,
    show_heatmap,
)
from napari_sparse_gmm.plugin.models import carry, model_of
from napari_sparse_gmm.plugin.preferences import preferences
from napari_sparse_gmm.plugin.previews import PREVIEW_INTERVAL, Preview
from napari_sparse_gmm.plugin.results import FitResult
from napari_sparse_gmm.plugin.runner import weakly
from napari_sparse_gmm.plugin.work import Progress

# Previews may take about this share of the main thread's time.
_PREVIEW_SHARE = 0.05

# Of a preview no more than what takes a tenth of a second to draw.
_PREVIEW_ELLIPSES = 100


class Display:
    """The layers of fits in a viewer.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        # When the last one came, and when the next of the same fit may.
        self._last_preview = -np.inf
        self._next_preview = 0.0

    def begin(self) -> None:
        """Another fit begins."""
        self._next_preview = self._last_preview + PREVIEW_INTERVAL

    def show_progress(self, asked: Asked, progress: Progress, coverage: float) -> FitResult | None:
        """Show what a fit has found so far, where there is time for it; returns what is shown."""
        preview = progress.preview
        if preview is None:
            return None
        due = preview.settled or perf_counter() >= self._next_preview
        if not due or asked.layer not in self._viewer.layers:
            return None
        self._show_preview(asked, preview, coverage)
        return preview.result

    def restore(self, layer: Points, done: Fit | None) -> None:
        """Show the last fit of a layer instead of what was found so far; or nothing."""
        if layer not in self._viewer.layers:
            return
        if done is None:
            remove_made(self._viewer, layer)
        else:
            self.show_picture(done)
            self.show_components(done)

    def show_picture(self, done: Fit) -> None:
        """Show the heatmap and the contours."""
        show_heatmap(self._viewer, done.layer, done.frame, done.heatmap)
        show_contours(self._viewer, done.layer, done.frame, done.heatmap)
        self._carry(done)

    def show_components(self, done: Fit) -> None:
        """Show the ellipses."""
        shown = drawing(done.solution, done.frame, done.coverage, preferences().most_ellipses)
        show_components(self._viewer, done.layer, done.frame, shown)
        self._carry(done)

    def _show_preview(self, asked: Asked, preview: Preview, coverage: float) -> None:
        self._last_preview, self._next_preview = perf_counter(), np.inf
        result = preview.result
        most = preferences().most_ellipses if preview.settled else _PREVIEW_ELLIPSES
        shown = drawing(result.solution, asked.frame, coverage, most)
        show_heatmap(self._viewer, asked.layer, asked.frame, result.heatmap)
        show_components(self._viewer, asked.layer, asked.frame, shown)
        # Behind what this has the window draw.
        QTimer.singleShot(0, weakly(self._follow_preview))

    def _follow_preview(self) -> None:
        """The window has drawn it; the longer that took, the later the next may come."""
        took = perf_counter() - self._last_preview
        self._next_preview = self._last_preview + max(PREVIEW_INTERVAL, took / _PREVIEW_SHARE)

    def _carry(self, done: Fit) -> None:
        """Give the ellipses their model, to be saved with."""
        layer = components_layer(self._viewer, done.layer)
        if layer is not None:
            cloud = done.asked.cloud
            left_out = {
                "hidden": cloud.n_hidden,
                "unused": cloud.n_unused,
                "outside": cloud.n_outside,
            }
            model = model_of(
                done.solution, done.frame, done.layer.name, done.picture, done.coverage, left_out
            )
            carry(layer, model)
