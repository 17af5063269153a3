"""Shows fits in a viewer, and what a fit that goes on has found so far."""

from napari.components import ViewerModel
from napari.layers import Layer, Points

from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.plugin.control.state import Asked, Fit
from napari_sparse_gmm.plugin.layers.components import drawing, raise_above, show_components
from napari_sparse_gmm.plugin.layers.contours import show_contours
from napari_sparse_gmm.plugin.layers.heatmap import show_heatmap
from napari_sparse_gmm.plugin.layers.model_metadata import as_shown, attach_model
from napari_sparse_gmm.plugin.layers.owned import components_layer, keeping_place, remove_made
from napari_sparse_gmm.plugin.layers.point_colours import border_as_face
from napari_sparse_gmm.plugin.preferences import preferences
from napari_sparse_gmm.plugin.tasks.previews import Preview

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

    def show_preview(self, asked: Asked, preview: Preview, coverage: float) -> None:
        """Show what a fit has found so far."""
        with keeping_place(self._viewer):
            show_heatmap(self._viewer, asked.layer, asked.frame, preview.result.heatmap)
        most = None if preview.settled else _PREVIEW_ELLIPSES
        self.show_ellipses(asked, preview.result.model, coverage, most)

    def restore(self, layer: Points, done: Fit | None) -> None:
        """Show the last fit of a layer instead of what was found so far; or nothing."""
        if done is None:
            remove_made(self._viewer, layer)
        elif layer in self._viewer.layers or components_layer(self._viewer, layer) is not None:
            self.show_picture(done)
            self.show_components(done)

    def show_picture(self, done: Fit) -> None:
        """Show the heatmap and the contours."""
        border_as_face(done.layer)
        with keeping_place(self._viewer):
            show_heatmap(self._viewer, done.layer, done.frame, done.heatmap)
            show_contours(self._viewer, done.layer, done.frame, done.heatmap)
        self._attach_model(done)

    def show_components(self, done: Fit) -> None:
        """Show the ellipses."""
        self.show_ellipses(done.asked, done.model, done.coverage)
        self._attach_model(done)

    def show_ellipses(
        self, asked: Asked, model: DensityModel, coverage: float, most: int | None = None
    ) -> None:
        """Show the ellipses of a model that is not to be saved; at most so many, of most points.

        By default as many as the preferences say.
        """
        most = preferences().most_ellipses if most is None else most
        shown = drawing(model, asked.frame, coverage, most)
        with keeping_place(self._viewer):
            layer = show_components(self._viewer, asked.layer, asked.frame, shown)
            if isinstance(region := asked.source.region, Layer):
                raise_above(self._viewer, layer, region)  # whose faces are mostly opaque
        attach_model(layer, None)

    def _attach_model(self, done: Fit) -> None:
        """Attach the model to the ellipses, to be saved with."""
        layer = components_layer(self._viewer, done.layer)
        if layer is not None:
            attach_model(layer, as_shown(done.model, done.picture, done.coverage))
            if any(part.regions for part in done.model.fitted):
                layer.events.features()  # what shows the regions has heard of it before this
