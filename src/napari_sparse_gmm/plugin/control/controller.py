"""Between the machine that decides and the window: signals become events, effects are done."""

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, assert_never
from weakref import WeakKeyDictionary

import numpy as np
from napari.components import LayerList
from napari.layers import Layer, Points
from napari.viewer import Viewer

from napari_sparse_gmm import parameters
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.control import effects, events
from napari_sparse_gmm.plugin.control.display import Display
from napari_sparse_gmm.plugin.control.effects import Ask
from napari_sparse_gmm.plugin.control.events import Event
from napari_sparse_gmm.plugin.control.machine import Inputs, State, step
from napari_sparse_gmm.plugin.control.request import ask
from napari_sparse_gmm.plugin.control.state import Asked, Fit, summary
from napari_sparse_gmm.plugin.form.fields import set_value
from napari_sparse_gmm.plugin.form.form import DensityForm
from napari_sparse_gmm.plugin.form.task_form import TaskPanel
from napari_sparse_gmm.plugin.layers.owned import components_layer, has_made
from napari_sparse_gmm.plugin.layers.point_colours import clear_assignment, show_assignment
from napari_sparse_gmm.plugin.points.cache import SourceReader
from napari_sparse_gmm.plugin.points.sampled import sampled_table
from napari_sparse_gmm.plugin.points.selection import used
from napari_sparse_gmm.plugin.preferences import preferences
from napari_sparse_gmm.plugin.qt.folding import unfold
from napari_sparse_gmm.plugin.tasks.fit import Starts, fit, fit_path, refit
from napari_sparse_gmm.plugin.tasks.pacing import Pacing
from napari_sparse_gmm.plugin.tasks.render import assign_points, draw
from napari_sparse_gmm.plugin.tasks.runner import Job, weakly
from napari_sparse_gmm.plugin.tasks.task import Progress, Refusal, Work
from napari_sparse_gmm.plugin.tasks.values import Held, Place

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment


# By the layers of a viewer, what a dock has found that was closed: the next one goes on with it.
_FOUND: WeakKeyDictionary[LayerList, Mapping[Hashable, Fit]] = WeakKeyDictionary()


class Controller:
    """Has the state, and changes it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    form : DensityForm
    panel : TaskPanel
    """

    def __init__(self, viewer: Viewer, form: DensityForm, panel: TaskPanel) -> None:
        self._viewer, self._form, self._panel = viewer, form, panel
        self._fields = SimpleNamespace(**form.public)
        self._clock = panel.clock
        self._display = Display(viewer)
        self._held = Held()
        self._reader = SourceReader(partial(self.send, events.FitChanged()))
        # What the dock that was closed has found.
        found = _FOUND.pop(_layers(viewer), {})
        self.state = State(fits=found, pacing=Pacing(now=panel.clock.now))
        self._events: deque[Event] = deque()
        self._wakes_at = np.inf

        for widget in form.of_picture:
            self._connect(widget.changed, events.ViewChanged())
        for widget in form.of_fit:
            self._connect(widget.changed, events.FitChanged())
        self._connect(self._fields.points.changed, events.LayerChosen())
        self._connect(self._fields.use.changed, events.UseChanged())
        self._connect(self._fields.annotate.changed, events.AnnotateChanged())
        form.path_view.slider.changed.connect(lambda n: self.send(events.SolutionChosen(n)))
        panel.listen(
            began=partial(self.send, events.Began()),
            ended=lambda why: self.send(events.Ended(why)),
            failed=partial(self.send, events.Failed()),
        )

    @property
    def chosen_fit(self) -> Fit | None:
        """The last fit of the layer that is chosen."""
        return self.state.fits.get(_key(self._fields.points.value))

    def send(self, event: Event) -> None:
        """Let something happen; what follows from it happens behind that."""
        if self._panel.runner.closed:
            return
        self._events.append(event)
        if len(self._events) > 1:
            return
        try:
            while self._events:
                self.state, effects = step(self.state, self._events[0], self._inputs())
                for effect in effects:
                    self._do(effect)
                fit = self.chosen_fit
                self._form.show_busy(
                    self.state.work is not None,
                    fitted=fit is not None,
                    again=fit is not None and fit.previous is not None,
                )
                self._events.popleft()
        finally:
            self._events.clear()
            self._wake_when_due()

    def on_source_changed(self) -> None:
        """Another layer, or other axes, are to be modelled."""
        if not self._form.obstacle():
            self._reader.follow(self._form.source())
        self.send(events.SourceChanged())
        if self.chosen_fit is None and self.state.work is None:
            self._form.show_found()
            self._form.histogram.show_layer(None)
            self._form.convergence_view.begin()

    def on_layer_removed(self, layer: Layer) -> None:
        """From the viewer."""
        self._reader.forget_layer(layer)
        if isinstance(layer, Points) and sampled_table(layer) is not None:
            self._held.forget()
        self.send(events.LayerRemoved(_key(layer), messages.layer_removed(layer.name)))

    def close(self) -> None:
        """Nobody sees any more what is done."""
        self.send(events.Cancel(messages.CANCELLED))
        self.send(events.Closed())
        self._reader.forget()
        self._held.forget()
        _FOUND[_layers(self._viewer)] = self.state.fits

    def _connect(self, signal: Any, event: Event) -> None:
        signal.connect(lambda: self.send(event))

    def _inputs(self) -> Inputs:
        return Inputs(
            now=self._clock.now(),
            picture=self._form.heatmap_choice(),
            coverage=self._fields.coverage.value,
            layer=_key(self._fields.points.value),
            obstacle=self._form.obstacle(),
            live=self._fields.live.value,
            annotate=self._fields.annotate.value,
        )

    def _wake_when_due(self) -> None:
        due = self.state.due
        if due is not None and due < self._wakes_at:
            self._wakes_at = due
            self._clock.later(max(due - self._clock.now(), 0.0), weakly(self._wake))

    def _wake(self) -> None:
        at, self._wakes_at = self._wakes_at, np.inf
        if self.state.due is not None and self.state.due <= at:
            self.send(events.Due())
        else:  # it was put off meanwhile
            self._wake_when_due()

    # Effects

    def _do(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Ask():
                self._ask(effect)
            case effects.StartFit(asked, path, starts):
                self._start_fit(asked, path, starts)
            case effects.StartDrawing(fit):
                box, layout = fit.frame.modelled_box, fit.frame.layout
                drawing = draw(fit.model, box, fit.picture, layout)
                self._start(fit.layer, drawing, events.Drawn)
            case effects.StartAssigning(fit):
                cloud = fit.asked.cloud
                parts, picture = fit.model.parts, fit.picture
                assigning = assign_points(parts, cloud.observations, cloud.groups, picture)
                self._start(fit.layer, assigning, events.Assigned)
            case effects.Stop(why):
                self._panel.runner.cancel(why)
            case effects.ShowPreview(asked, preview, coverage):
                # Behind what this has the window draw; and whatever becomes of it.
                self._clock.later(0.0, weakly(self._on_preview_drawn))
                self._display.show_preview(asked, preview, coverage)
            case effects.ShowEllipses(shown, coverage):
                self._display.show_ellipses(shown.asked, shown.model, coverage)
            case effects.ShowPicture(fit):
                self._display.show_picture(fit)
            case effects.ShowComponents(fit):
                self._display.show_components(fit)
            case effects.Restore(asked, fit):
                restore = partial(self._display.restore, asked.layer, fit)
                if asked.layer in self._viewer.layers:
                    restore()
                else:
                    # napari may be about to remove others, one by one, and has to find them.
                    self._clock.later(0.0, restore)
            case effects.ShowAssignment(fit, assignment):
                self._show_assignment(fit, assignment)
            case effects.ClearAssignment():
                clear_assignment(self._fields.points.value)
            case effects.ShowSparsity(fit):
                self._show_sparsity(fit)
            case effects.ShowSettings(fit):
                view = {"quantity": fit.picture.quantity, "coverage": fit.coverage}
                self._form.show_settings(fit.asked.request.parameters, view, fit.asked.source)
            case effects.ShowPath(fit):
                self._show_path(fit)
            case effects.BeginPlot():
                self._form.convergence_view.begin()
            case effects.GrowPlot(passes):
                self._form.convergence_view.add(passes)
            case effects.FinishPlot():
                self._form.convergence_view.finish()
            case effects.Say(sentence):
                self._panel.say(sentence)
            case effects.Summarize(fit):
                self._summarize(fit)
            case _:
                assert_never(effect)

    def _ask(self, effect: Ask) -> None:
        source, before = self._form.source(), effect.before
        try:
            if before is None or effect.others or len(before.used) != len(source.layer.data):
                chosen = used(self._fields.use.value, source.layer, self._viewer)
            else:
                chosen = before.used
            asked = ask(
                source,
                chosen,
                self._reader.read(source, chosen),
                self._form.estimator_parameters(),
                self._form.heatmap_choice(),
                self._viewer.layers.extent.units,
                before,
                self.state.pacing,
                self._place(),
            )
        except InputError as error:
            self._panel.say(str(error))
        else:
            self.send(events.Read(effect, asked, has_made(self._viewer, asked.layer)))

    def _place(self) -> Place:
        address = self._fields.scheduler.value.strip()
        return Place(address, preferences().scratch_folder, self._held)

    def _start_fit(self, asked: Asked, path: bool, starts: Starts | None) -> None:
        request = asked.request
        if starts is not None:
            work = refit(request, starts)
        else:
            work = fit_path(request) if path else fit(request)

        def progressed(progress: Progress) -> None:
            self.send(events.Progressed(asked, progress.preview, progress.passes))

        self._start(asked.layer, work, partial(events.Found, asked), progressed)

    def _start(
        self,
        layer: Points,
        work: Work[Any],
        found: Callable[[Any], Event],
        progressed: Callable[[Progress], object] = lambda _: None,
    ) -> None:
        def done(outcome: Any) -> None:
            refused = isinstance(outcome, Refusal)
            self.send(events.Refused(outcome.sentence) if refused else found(outcome))

        def show(progress: Progress) -> None:
            self._panel.show_progress(progress)
            progressed(progress)

        self._panel.runner.start(Job(layer, work, done, show))

    def _on_preview_drawn(self) -> None:
        self.send(events.PreviewDrawn())

    def _show_assignment(self, fit: Fit, assignment: "Assignment") -> None:
        shown = fit.asked.cloud.shown
        if len(fit.layer.data) != len(shown):
            self._panel.say(messages.points_changed(fit.layer.name))
        else:
            groups = fit.asked.cloud.groups
            show_assignment(fit.layer, shown, assignment, fit.model.parts, groups)
            self._summarize(fit)

    def _summarize(self, fit: Fit) -> None:
        self._panel.say(summary(fit))
        self._form.show_found(
            messages.statistics(fit.model, fit.asked.cloud),
            messages.computed(fit.model),
            messages.heatmap_unit(fit.picture.quantity, fit.frame),
        )
        shapes = components_layer(self._viewer, fit.layer)
        self._form.histogram.show_layer(shapes)

    def _show_sparsity(self, fit: Fit) -> None:
        sparsity = self._fields.sparsity
        if fit.path is not None:
            with sparsity.changed.blocked():
                set_value(parameters.SPARSITY, sparsity, fit.path[fit.chosen].sparsity)

    def _show_path(self, fit: Fit | None) -> None:
        path, plots = None if fit is None else fit.path, self._form.plots
        index = plots.indexOf(self._form.path_view.native)
        plots.setTabVisible(index, path is not None)
        if fit is not None and path is not None:
            self._form.path_view.show_path(path, fit.chosen)
            unfold(self._form.plots_button)
            plots.setCurrentIndex(index)


def _layers(viewer: Viewer) -> LayerList:
    """The layers themselves: napari gives plugins a proxy, which does not last."""
    layers: LayerList = getattr(viewer.layers, "__wrapped__", viewer.layers)
    return layers


def _key(layer: Layer | None) -> Hashable:
    return None if layer is None else layer.unique_id
