"""The dock widget's fits: begun, superseded, cancelled, and shown as layers.

What runs is in `worker` and `picturing`, and runs in a thread (`runner`); everything here in the
main thread.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.control.display import Display
from napari_sparse_gmm.plugin.control.request import ask
from napari_sparse_gmm.plugin.control.state import Asked, Fit, Running, Shown, summary
from napari_sparse_gmm.plugin.form.form import DensityForm
from napari_sparse_gmm.plugin.layers.owned import components_layer, has_made
from napari_sparse_gmm.plugin.layers.point_colours import clear_assignment, show_assignment
from napari_sparse_gmm.plugin.points.cache import SourceReader
from napari_sparse_gmm.plugin.points.selection import used
from napari_sparse_gmm.plugin.points.source import Source
from napari_sparse_gmm.plugin.preferences import preferences
from napari_sparse_gmm.plugin.qt.folding import unfold
from napari_sparse_gmm.plugin.tasks.fit import fit, refit, starts_for
from napari_sparse_gmm.plugin.tasks.previews import PREVIEW_INTERVAL
from napari_sparse_gmm.plugin.tasks.render import assign_points, draw
from napari_sparse_gmm.plugin.tasks.runner import Job, Runner, weakly
from napari_sparse_gmm.plugin.tasks.task import Progress, Refusal, Work
from napari_sparse_gmm.plugin.tasks.values import FitRequest, FitResult, Heatmap

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment

# From the last change of a field that needs no refit until the layers are drawn anew; and from the
# first change of one that does until a live fit begins.
_REDRAW_DELAY, _REFIT_DELAY = 60, 30  # milliseconds

# While a slider moves there is always a newer fit to begin. So that there is something to see, one
# that runs may first show a picture; and the next one, not too soon after that.
_PATIENCE = 1.5  # seconds, at most
_PAUSE = int(500 * PREVIEW_INTERVAL)  # milliseconds: with that until its own, the interval of two


class FittingForm(DensityForm):
    """A form whose fits are shown in a viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._fits: dict[Any, Fit] = {}  # by the unique_id of the Points layer
        self._running: Running | None = None
        self._settling: Fit | None = None  # what is being drawn of it
        self._uses_others = False  # whether other points are to be used than those of the last fit
        self._runner = Runner(self._on_work_changed, self._show_failure, self._end)
        self._display = Display(viewer)
        self._reader = SourceReader(self._refit_soon)
        super().__init__(lambda: viewer.layers, lambda: viewer.theme, preferences())

        self._redraw_timer = self._timer(_REDRAW_DELAY, self._redraw)
        self._refit_timer = self._timer(_REFIT_DELAY, self._refit)
        for widget in self.of_picture:
            widget.changed.connect(self._redraw_soon)
        for widget in self.of_fit:
            widget.changed.connect(self._refit_soon)
        # To choose another layer changes fields, but asks for nothing.
        self.points.changed.connect(self._refit_not)
        self.use.changed.connect(self._on_use_changed)
        self.annotate.changed.connect(self._on_annotate_changed)
        self.path_view.slider.changed.connect(self._choose)

    # The work

    def _run(self, how: Callable[[FitRequest], Work[FitResult | Refusal]]) -> None:
        if self._runner.job is not None or self.obstacle():
            return
        source = self.source()
        try:
            asked = self._asked(source, used(self.use.value, source.layer, self._viewer))
        except InputError as error:
            self._say(str(error))
            return
        self._say("")
        self._start_fit(asked, how(asked.request), live=False)

    def _refit(self) -> None:
        """Fit again what was fitted, where anything that matters has changed."""
        done, running = self._chosen_fit(), self._running
        if not self.live.value or done is None or self.obstacle():
            return
        of_other = running is not None and running.asked.layer is not done.layer
        if running is not None and of_other and not running.live:  # which somebody waits for
            self._refit_timer.start(int(1000 * _PATIENCE))
            return
        if running is not None and not running.previewed and self._runner.waiting is None:
            patience = running.began + _PATIENCE - time.monotonic()
            if patience > 0:
                self._refit_timer.start(int(1000 * patience) + 1)
                return
        # What comes next goes on from what is shown now, or is on its way.
        before = done.asked.for_solution(done.solution)
        latest, solution = before, done.solution
        if running is not None and not of_other:
            before = running.asked
            if running.shown is not None:
                latest, solution = running.shown.asked, running.shown.result.solution
        source, chosen = self.source(), before.used
        try:
            if self._uses_others or len(chosen) != len(source.layer.data):
                chosen = used(self.use.value, source.layer, self._viewer)
            asked = self._asked(source, chosen, before)
        except InputError as error:
            self._say(str(error))
            return
        if asked.same_as(before):
            if self._runner.job is None:
                self._tell_fit(done)  # not what was wrong meanwhile
            return
        starts = None
        if asked.frame.alike(latest.frame):
            starts = starts_for(asked.request, latest.request, solution.mixtures)
        work = fit(asked.request) if starts is None else refit(asked.request, starts)
        self._start_fit(asked, work, live=True)

    def _asked(
        self, source: Source, chosen: NDArray[np.bool_], before: Asked | None = None
    ) -> Asked:
        """What the fields ask for, of the points that are chosen. InputError where they cannot."""
        return ask(
            source,
            chosen,
            self._reader.read(source, chosen),
            self.estimator_parameters(),
            self.heatmap_choice(),
            self._viewer.layers.extent.units,
            before,
        )

    def _start_fit(self, asked: Asked, work: Work[FitResult | Refusal], *, live: bool) -> None:
        self._uses_others = False
        old, done = self._running, self._fits.get(asked.layer.unique_id)
        shows = done is not None or not has_made(self._viewer, asked.layer)
        self._running = Running(asked, done, live, shows, time.monotonic())
        if old is not None and old.asked.layer is asked.layer:
            self._running = replace(self._running, shown=old.shown, shows=old.shows)
        elif old is not None:
            self._restore(old)
        self.convergence_view.begin()
        self._display.begin()
        self._start(
            asked.layer,
            work,
            partial(self._show_fit, asked),
            progress=partial(self._show_step, asked),
        )

    def _start(
        self,
        layer: Points,
        work: Work[Any],
        show: Callable[[Any], None],
        *,
        settles: Fit | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        done = partial(self._show_outcome, show)
        self._settling = settles
        self._runner.start(Job(layer, work, done, progress or self._show_progress))

    def _cancel(self, why: str) -> None:
        if self._runner.job is not None:
            self._refit_timer.stop()
            self._runner.cancel(why)
            self.cancel_button.enabled = False
            self.progress.native.setFormat("Cancelling")

    def _on_work_changed(self) -> None:
        self._show_progress(Progress(0, 1, ""))
        self._enable_buttons()

    def _show_step(self, asked: Asked, progress: Progress) -> None:
        self._show_progress(progress)
        running = self._running
        if running is not None and running.shows:
            result = self._display.show_progress(asked, progress, self.coverage.value)
            if result is not None:
                self._running = replace(running, shown=Shown(asked, result), previewed=True)
                if self._refit_timer.isActive():
                    self._refit_timer.start(_PAUSE)
        if progress.passes:
            self.convergence_view.add(progress.passes)

    def _show_failure(self, error: Exception) -> None:
        self._settle()
        super()._show_failure(error)

    def _show_outcome(self, show: Callable[[Any], None], outcome: Any) -> None:
        self._settle()
        if isinstance(outcome, Refusal):
            self._say(outcome.sentence)
        else:
            show(outcome)

    def _end(self, job: Job, why_cancelled: str | None) -> None:
        running, self._running = self._running, None
        self.convergence_view.finish()
        self._enable_buttons()
        if running is not None:
            self._restore(running)
        if why_cancelled is not None:
            self._say(why_cancelled)
        # The user may have changed meanwhile what the layers are to show, or what is asked for; a
        # drawing that was cancelled is not wanted.
        if why_cancelled is None or running is not None:
            self._redraw_soon()
        if self._refit_timer.isActive():
            self._refit_timer.start(_REFIT_DELAY)

    def _restore(self, running: Running) -> None:
        """Show the last fit again, where something else was shown meanwhile."""
        layer = running.asked.layer
        if running.shown is not None:
            # That it was before is what is left of it when its points are gone.
            self._display.restore(layer, self._fits.get(layer.unique_id, running.before))

    # The layers

    def _tell_fit(self, done: Fit) -> None:
        """Say what came of a fit."""
        self._say(summary(done))
        self.show_found(
            messages.statistics(done.solution, done.asked.cloud),
            messages.computed(done.solution),
            messages.heatmap_unit(done.picture.quantity, done.frame),
        )
        shapes = components_layer(self._viewer, done.layer)
        self.histogram.show_features(None if shapes is None else shapes.features)

    def _show_fit(self, asked: Asked, result: FitResult) -> None:
        self._running = None
        done = Fit(
            asked=asked,
            solutions=result.solutions,
            chosen=result.chosen,
            path=result.path,
            heatmap=result.heatmap,
            picture=result.heatmap.choice,
            drawn=result.chosen,
            coverage=self.coverage.value,
        )
        self._fits[done.layer.unique_id] = done
        self._show_sparsity(done)
        self._show_path()
        self._display.show_picture(done)
        self._display.show_components(done)
        self._tell_fit(done)

    def _show_heatmap(self, wanted: Fit, heatmap: Heatmap) -> None:
        """A new picture of a fit, if it still is the last one."""
        done = self._fits.get(wanted.layer.unique_id)
        if done is not None and done.solutions is wanted.solutions:
            done = replace(done, heatmap=heatmap)
            self._fits[done.layer.unique_id] = done
            self._display.show_picture(done)
            self._tell_fit(done)

    def _show_sparsity(self, done: Fit) -> None:
        """Along a path, that of the solution which is shown: the next Run is one for it."""
        if done.path is not None:
            with self.sparsity.changed.blocked():
                self.sparsity.value = done.path[done.chosen].sparsity

    def _show_path(self) -> None:
        """The path of the chosen layer, where there is one."""
        done = self._chosen_fit()
        path = None if done is None else done.path
        index = self.plots.indexOf(self.path_view.native)
        self.plots.setTabVisible(index, path is not None)
        if done is not None and path is not None:
            self.path_view.show_path(path, done.chosen)
            unfold(self.plots_button)
            self.plots.setCurrentIndex(index)

    def _choose(self, index: int) -> None:
        """Show another solution along the path: its ellipses at once, its heatmap when drawn."""
        done = self._chosen_fit()
        if done is None or done.path is None or index == done.chosen:
            return
        chosen = replace(done, chosen=index, annotated=False)
        self._fits[done.layer.unique_id] = chosen
        self._show_sparsity(chosen)
        self._display.show_components(chosen)
        self._tell_fit(chosen)
        self._redraw_soon()

    def _redraw_soon(self) -> None:
        if self._chosen_fit() is not None or self._running is not None:
            self._redraw_timer.start()

    def _refit_soon(self) -> None:
        # From the first change on, not from the last: a slider that moves may do so for long.
        if self.live.value and self._chosen_fit() and not self._refit_timer.isActive():
            self._refit_timer.start(_REFIT_DELAY)

    def _refit_not(self) -> None:
        self._refit_timer.stop()
        self._uses_others = False

    def _on_use_changed(self) -> None:
        self._uses_others = True
        self._refit_soon()

    def _redraw(self) -> None:
        """Draw from the last fit what the fields ask for and the layers do not show yet."""
        done, running = self._chosen_fit(), self._running
        if running is not None and running.shown is not None:
            shown = running.shown
            self._display.show_ellipses(shown.asked, shown.result.solution, self.coverage.value)
        elif done is not None and done.coverage != self.coverage.value:
            done = replace(done, coverage=self.coverage.value)
            self._fits[done.layer.unique_id] = done
            self._display.show_components(done)
        if done is None or self._runner.job is not None:
            return
        wanted = replace(done, picture=self.heatmap_choice(), drawn=done.chosen)
        if (wanted.picture, wanted.drawn) != (done.picture, done.drawn):
            frame = wanted.frame
            work = draw(wanted.solution, frame.modelled_box, wanted.picture, frame.layout)
            self._start(wanted.layer, work, partial(self._show_heatmap, wanted), settles=wanted)
        elif self.annotate.value and not done.annotated:
            wanted, cloud = replace(done, annotated=True), done.asked.cloud
            assign = assign_points(
                done.solution.parts, cloud.observations, cloud.groups, done.picture
            )
            self._start(
                wanted.layer, assign, partial(self._show_assignment, wanted), settles=wanted
            )

    def _settle(self) -> None:
        """What was to be drawn is shown, refused or failed: it is not asked for again."""
        wanted, self._settling = self._settling, None
        done = None if wanted is None else self._fits.get(wanted.layer.unique_id)
        if wanted is None or done is None or done.solutions is not wanted.solutions:
            return
        self._fits[done.layer.unique_id] = replace(
            done,
            picture=wanted.picture,
            drawn=wanted.drawn,
            annotated=wanted.annotated and done.chosen == wanted.chosen,
        )

    def _show_assignment(self, done: Fit, assignment: "Assignment") -> None:
        cloud, shown = done.asked.cloud, done.asked.cloud.shown
        if len(done.layer.data) != len(shown):
            self._say(messages.points_changed(done.layer.name))
            return
        show_assignment(done.layer, shown, assignment, done.solution.parts, cloud.groups)
        self._tell_fit(done)

    def _on_annotate_changed(self, wanted: bool) -> None:
        layer, done = self.points.value, self._chosen_fit()
        if layer is not None and not wanted:
            clear_assignment(layer)
            if done is not None:
                self._fits[layer.unique_id] = replace(done, annotated=False)

    def _chosen_fit(self) -> Fit | None:
        layer = self.points.value
        return None if layer is None else self._fits.get(layer.unique_id)

    def _enable_buttons(self) -> None:
        busy = self._runner.job is not None
        self.run_button.enabled = not busy and not self.obstacle()
        self.path_button.enabled = self.run_button.enabled and not self.path_obstacle()
        self.cancel_button.enabled = busy
        self.progress.visible = busy

    def _timer(self, interval: int, method: Callable[[], None]) -> QTimer:
        timer = QTimer(self.native)
        timer.setSingleShot(True)
        timer.setInterval(interval)
        timer.timeout.connect(weakly(method))
        return timer
