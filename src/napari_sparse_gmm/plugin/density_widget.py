"""The dock widget "Sparse GMM density": from a Points layer to a heatmap and ellipses.

The fields are in `form`, how they are fitted and shown in `fitting_form`; this file has the
buttons, and follows the layers of the viewer.
"""

from typing import Any

from napari.layers import Shapes
from qtpy.QtGui import QGuiApplication

from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.control.controller import FittingForm
from napari_sparse_gmm.plugin.form.task_form import CloseEvents
from napari_sparse_gmm.plugin.layers.model_metadata import is_components_layer
from napari_sparse_gmm.plugin.layers.owned import components_layer
from napari_sparse_gmm.plugin.points.selection import Use
from napari_sparse_gmm.plugin.script import script
from napari_sparse_gmm.plugin.tasks.fit import fit, fit_path
from napari_sparse_gmm.plugin.tasks.runner import weakly
from napari_sparse_gmm.plugin.views.table import ComponentTable


class SparseGMMWidget(FittingForm):
    """Fit a sparse Gaussian mixture to a Points layer and show it as layers.

    Every field is a public attribute, named like the parameter where it sets one.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:  # type: ignore[name-defined]  # noqa: F821
        self._uses: dict[Any, Use] = {}  # by the unique_id of the Points layer
        self._table = ComponentTable(napari_viewer)
        super().__init__(napari_viewer)

        self.use.changed.connect(self._remember_use)
        self.run_button.clicked.connect(self.run)
        self.path_button.clicked.connect(self.run_path)
        self.cancel_button.clicked.connect(self.cancel)
        self.table_button.clicked.connect(self.show_table)
        self.centre_button.clicked.connect(self.centre)
        self.python_button.clicked.connect(self.copy_python)

        events = napari_viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.connect(self.reset_choices)
        events.removed.connect(self._forget)
        napari_viewer.events.theme.connect(self._recolour)
        CloseEvents(self.native, weakly(self._on_close))
        self.native.destroyed.connect(self._runner.close)

        active = napari_viewer.layers.selection.active
        if active in self.points.choices:
            self.points.value = active
        self._on_choice_changed()

    def run(self) -> None:
        """Fit the chosen layer, and show the result when it is there."""
        self._run(fit)

    def run_path(self) -> None:
        """Fit the chosen layer for rising sparsity, and show the solution that is suggested."""
        if not self.path_obstacle():
            self._run(fit_path)

    def cancel(self) -> None:
        """Stop the work in progress; the layers stay as they were."""
        self._cancel(messages.CANCELLED)

    def show_table(self) -> None:
        """Show the components of the chosen layer as a table."""
        layer = self._components()
        if layer is None:
            self._say(messages.NOT_FITTED)
        else:
            self._table.show(layer)

    def centre(self) -> None:
        """Go to the component that is selected; pressed again, to the next one."""
        layer = self._components()
        if layer is None:
            self._say(messages.NOT_FITTED)
        else:
            self._table.go_on(layer)

    def copy_python(self) -> None:
        """Put the lines that repeat the fit on the clipboard."""
        done = self._chosen_fit()
        if done is None:
            self._say(messages.NOT_FITTED)
            return
        index = None if done.path is None else done.chosen
        asked = done.asked
        text = script(
            asked.source, asked.cloud, asked.request.parameters, done.solution.starts, index
        )
        QGuiApplication.clipboard().setText(text)
        self._say(messages.copied(text))

    # The fields

    def _components(self) -> Shapes | None:
        """The ellipses that are selected; or those of the chosen layer, or else of a file."""
        layers, points = self._viewer.layers, self.points.value
        if layers.selection.active is not None and is_components_layer(layers.selection.active):
            return layers.selection.active
        own = None if points is None else components_layer(self._viewer, points)
        others = [layer for layer in layers if is_components_layer(layer)]
        return others[-1] if own is None and others else own

    def _on_choice_changed(self) -> None:
        layer = self.points.value
        if layer is not None:
            with self.use.changed.blocked():
                self.use.value = self._uses.get(layer.unique_id, Use.ALL)
        self._enable_buttons()
        self._show_path()
        if not self.obstacle():
            self._reader.follow(self.source())
        if self._runner.job is None:
            done = self._chosen_fit()
            if done is None or self.obstacle():
                self._say(self.obstacle())
                self.show_found()
                self.histogram.show_features(None)
                self.convergence_view.begin()
            else:
                self._tell_fit(done)

    def _remember_use(self, use: Use) -> None:
        if self.points.value is not None:
            self._uses[self.points.value.unique_id] = use

    def _on_close(self) -> None:
        """The dock was closed: nobody sees what this widget does any more."""
        self.live.value = False
        self.cancel()
        self._redraw_timer.stop()
        self._reader.forget()

    def _recolour(self) -> None:
        for plot in (self.histogram.plot, self.convergence_view, self.path_view.plot):
            plot.recolour()

    def _forget(self, event: Any) -> None:
        """A layer was removed: so is its fit."""
        layer = event.value
        self._fits.pop(layer.unique_id, None)
        self._uses.pop(layer.unique_id, None)
        self._reader.forget_layer(layer)
        job = self._running.asked if self._running is not None else self._runner.job
        if job is not None and job.layer is layer:
            self._cancel(messages.layer_removed(layer.name))
