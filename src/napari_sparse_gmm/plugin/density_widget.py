"""The dock widget "Sparse GMM density": from a Points layer to a heatmap and ellipses.

The fields are in `form`, what happens to them in `control`; this file puts both together, and has
the buttons of what was found.
"""

from typing import Any

from magicgui.widgets import Container
from napari.layers import Shapes
from qtpy.QtGui import QGuiApplication

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.control.controller import Controller
from napari_sparse_gmm.plugin.control.events import Cancel, Run, Undo
from napari_sparse_gmm.plugin.form.form import DensityForm
from napari_sparse_gmm.plugin.form.task_form import TaskPanel
from napari_sparse_gmm.plugin.layers.model_metadata import attached_model, is_components_layer
from napari_sparse_gmm.plugin.layers.owned import components_layer, keep_made, rename_made
from napari_sparse_gmm.plugin.preferences import preferences
from napari_sparse_gmm.plugin.script import script
from napari_sparse_gmm.plugin.tasks.pacing import Clock
from napari_sparse_gmm.plugin.views.centre import go_on
from napari_sparse_gmm.plugin.views.export import ask_and_export
from napari_sparse_gmm.plugin.views.table import show_table


class SparseGMMWidget(Container):
    """Fit a sparse Gaussian mixture to a Points layer and show it as layers.

    Every field, button and view of the form is a public attribute, named like the parameter where
    it sets one.

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
        self._panel = TaskPanel(clock)
        self.form = form = DensityForm(
            lambda: napari_viewer.layers, lambda: napari_viewer.theme, preferences(), self._panel
        )
        for name, widget in form.public.items():
            setattr(self, name, widget)
        self.source, self.obstacle = form.source, form.obstacle
        self.estimator_parameters = form.estimator_parameters
        self.heatmap_choice = form.heatmap_choice
        super().__init__(labels=False)
        form.lay_out(self.native)
        self.controller = Controller(napari_viewer, form, self._panel)

        self.run_button.clicked.connect(self.run)
        self.path_button.clicked.connect(self.run_path)
        self.cancel_button.clicked.connect(self.cancel)
        self.table_button.clicked.connect(self.show_table)
        self.centre_button.clicked.connect(self.centre)
        self.keep_button.clicked.connect(self.keep)
        self.undo_button.clicked.connect(self.undo)
        self.python_button.clicked.connect(self.copy_python)
        self.export_button.clicked.connect(self.export)
        self.methods_button.clicked.connect(self.copy_methods)
        self.settings_button.clicked.connect(self.restore_settings)
        self._panel.follow(
            self.native, napari_viewer.layers, self.reset_choices, self._forget, self._on_close
        )
        napari_viewer.events.theme.connect(self._recolour)
        self._last_active: Any = None  # the key of the Points layer that somebody turned to last
        napari_viewer.layers.selection.events.active.connect(self._follow_active)

        form.follow(self.controller.on_source_changed)
        active = napari_viewer.layers.selection.active
        if active in self.points.choices:
            self.points.value, self._last_active = active, active.unique_id

    @property
    def idle(self) -> bool:
        """Whether nothing runs, and nothing is about to."""
        state = self.controller.state
        return state.work is None and state.due is None

    def run(self) -> None:
        """Fit the chosen layer, and show the result when it is there."""
        self.controller.send(Run())

    def run_path(self) -> None:
        """Fit the chosen layer for rising sparsity, and show the solution that is suggested."""
        if not self.form.path_obstacle():
            self.controller.send(Run(path=True))

    def cancel(self) -> None:
        """Stop the work in progress; the layers stay as they were."""
        self.controller.send(Cancel(messages.CANCELLED))

    def reset_choices(self, *_: Any) -> None:
        """Follow the layers that there are; the chosen one stays chosen under a new name."""
        rename_made(self._viewer)
        self.form.reset_choices()

    def show_table(self) -> None:
        """Show the components of the chosen layer as a table."""
        layer = self._components()
        if layer is None:
            self._panel.say(messages.NOT_FITTED)
        else:
            show_table(self._viewer, layer)

    def centre(self) -> None:
        """Go to the component that is selected; pressed again, to the next one."""
        layer = self._components()
        if layer is None:
            self._panel.say(messages.NOT_FITTED)
        else:
            go_on(self._viewer, layer)

    def keep(self) -> None:
        """Put copies of the layers of the chosen layer aside."""
        layer = self.points.value
        if layer is not None:
            keep_made(self._viewer, layer)

    def undo(self) -> None:
        """Show the result of the Run before the last one; or again the last one."""
        self.controller.send(Undo())

    def restore_settings(self) -> None:
        """Set the parameters of the model that the selected components layer carries."""
        layer = self._components()
        if layer is None:
            self._panel.say(messages.NOT_FITTED)
            return
        try:
            model = attached_model(layer.name, layer.metadata)
        except InputError as error:
            self._panel.say(str(error))
            return
        self.form.show_settings(model.parameters, model.view or {})

    def export(self) -> None:
        """Ask for a file, and write what was found to it."""
        layer = self._components()
        if layer is None:
            self._panel.say(messages.NOT_FITTED)
            return
        if told := ask_and_export(self._viewer, self.native, layer, self.points.value):
            self._panel.say(told)

    def copy_methods(self) -> None:
        """Put a paragraph for the methods of a paper on the clipboard."""
        layer = self._components()
        if layer is None:
            self._panel.say(messages.NOT_FITTED)
            return
        from napari_sparse_gmm.export.methods import methods

        try:
            text = methods(attached_model(layer.name, layer.metadata))
        except InputError as error:
            self._panel.say(str(error))
            return
        QGuiApplication.clipboard().setText(text)
        self._panel.say(messages.METHODS_COPIED)

    def copy_python(self) -> None:
        """Put the lines that repeat the fit on the clipboard."""
        done = self.controller.chosen_fit
        if done is None:
            self._panel.say(messages.NOT_FITTED)
            return
        index = None if done.path is None else done.chosen
        asked = done.asked
        text = script(asked.source, asked.cloud, asked.request.parameters, done.starts, index)
        QGuiApplication.clipboard().setText(text)
        self._panel.say(messages.copied(text))

    # The fields

    def _components(self) -> Shapes | None:
        """The ellipses that are selected; or those of the chosen layer, or else of a file."""
        layers, points = self._viewer.layers, self.points.value
        if layers.selection.active is not None and is_components_layer(layers.selection.active):
            return layers.selection.active
        own = None if points is None else components_layer(self._viewer, points)
        others = [layer for layer in layers if is_components_layer(layer)]
        return others[-1] if own is None and others else own

    def _follow_active(self, event: Any) -> None:
        """The Points layer that somebody turns to is the one that Run is about.

        Layers that are added have the selection for a moment: to come back to it is no choice.
        """
        layer = event.value
        if layer in self.points.choices and layer.unique_id != self._last_active:
            self._last_active = layer.unique_id
            self.points.value = layer

    def _on_close(self) -> None:
        """The dock was closed: nobody sees what this widget does any more."""
        self.live.value = False
        self.controller.close()

    def _recolour(self) -> None:
        for plot in (
            self.histogram.plot,
            self.filter_view.plot,
            self.convergence_view,
            self.path_view.plot,
        ):
            plot.recolour()

    def _forget(self, event: Any) -> None:
        """A layer was removed: so is what is known of it."""
        self.controller.on_layer_removed(event.value)
