"""The dock widget "Sparse GMM density": from a Points layer to a heatmap and ellipses.

The fields are in `form`, the work in `worker`, the layers in `layers`; this file says when
which of them is asked. The work runs in a napari thread worker, everything here in the main
thread.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from napari.layers import Points
from napari.qt.threading import create_worker
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QTimer

from napari_sparse_gmm.parameters import BACKGROUND
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.form import DensityForm
from napari_sparse_gmm.plugin.frame import Frame
from napari_sparse_gmm.plugin.layers import drawing, show_assignment, show_components, show_heatmap
from napari_sparse_gmm.plugin.source import Cloud
from napari_sparse_gmm.plugin.worker import (
    FitRequest,
    FitResult,
    Heatmap,
    HeatmapChoice,
    Progress,
    Refusal,
    Solution,
    Work,
    assign_points,
    draw,
    fit,
    fit_path,
)

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment
    from napari_sparse_gmm.path import SparsityPath

# From the last change of a field that needs no refit until the layers are drawn anew.
_REDRAW_DELAY = 250  # milliseconds


@dataclass(frozen=True, eq=False)
class _Fit:
    """The last fit of a Points layer, and what of it the layers show."""

    layer: Points
    cloud: Cloud
    solutions: tuple[Solution, ...]
    chosen: int
    path: "SparsityPath | None"
    asked: HeatmapChoice  # drawn, or refused: not asked for again
    drawn: int  # of which solution the heatmap is
    coverage: float
    annotated: bool = False  # the points, or that was refused

    @property
    def frame(self) -> Frame:
        return self.cloud.frame

    @property
    def solution(self) -> Solution:
        """The one that the layers show."""
        return self.solutions[self.chosen]


@dataclass(frozen=True, eq=False)
class _Job:
    """The work in progress: a fit of a layer, or a new heatmap of its last fit."""

    layer: Points
    work: Work[Any]
    worker: Any


class SparseGMMWidget(DensityForm):
    """Fit a sparse Gaussian mixture to a Points layer and show it as layers.

    Every field is a public attribute, named like the parameter where it sets one.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:  # type: ignore[name-defined]  # noqa: F821
        self._viewer = napari_viewer
        self._fits: dict[Any, _Fit] = {}  # by the unique_id of the Points layer
        self._job: _Job | None = None
        self._why_cancelled = messages.CANCELLED
        self._closed = False
        super().__init__(lambda: napari_viewer.layers)

        self._redraw_timer = QTimer(self.native)
        self._redraw_timer.setSingleShot(True)
        self._redraw_timer.setInterval(_REDRAW_DELAY)
        self._redraw_timer.timeout.connect(_weakly(self._redraw))
        shown = (self.quantity, self.longest_side, self.pixel_size, self.coverage, self.annotate)
        for widget in shown:
            widget.changed.connect(self._redraw_soon)
        self.path_view.slider.changed.connect(self._choose)
        self.run_button.clicked.connect(self.run)
        self.path_button.clicked.connect(self.run_path)
        self.cancel_button.clicked.connect(self.cancel)

        events = napari_viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.connect(self.reset_choices)
        events.removed.connect(self._forget)
        self.native.destroyed.connect(_weakly(self._close))

        active = napari_viewer.layers.selection.active
        if active in self.points.choices:
            self.points.value = active
        self._follow_choice()

    def run(self) -> None:
        """Fit the chosen layer, and show the result when it is there."""
        self._run(fit)

    def run_path(self) -> None:
        """Fit the chosen layer for rising sparsity, and show the solution that is suggested."""
        if not self.path_obstacle():
            self._run(fit_path)

    def _run(self, how: Callable[[FitRequest], Work[FitResult | Refusal]]) -> None:
        if self._job is not None or self.obstacle():
            return
        source = self.source()
        try:
            cloud = source.read()
        except ValueError as error:
            self._say(str(error))
            return
        settings = self.estimator_parameters()
        if settings[BACKGROUND.name] and cloud.region is not None:
            settings[BACKGROUND.name] = cloud.region
        frame = cloud.frame.beside(self._viewer.layers.extent.units)
        cloud, stack = replace(cloud, frame=frame), frame.stack
        request = FitRequest(
            cloud.points,
            settings,
            self.heatmap_choice(),
            cloud.weights,
            cloud.noise_std,
            cloud.groups,
            ("",) if stack is None else tuple(f"{stack.name} {value}" for value in stack.labels),
            frame.n_slices,
        )
        self._say("")
        self._start(source.layer, how(request), partial(self._show_fit, source.layer, cloud))

    def cancel(self) -> None:
        """Stop the work in progress; the layers stay as they are."""
        self._quit(messages.CANCELLED)

    # The work

    def _start(
        self,
        layer: Points,
        work: Work[Any],
        show: Callable[[Any], None],
        settles: _Fit | None = None,
    ) -> None:
        # `_show_failure` does it; superqt would raise it in a slot, which may end the program.
        worker = create_worker(_steps, work, _ignore_errors=True)
        worker.yielded.connect(self._show_progress)
        worker.returned.connect(partial(self._show_outcome, show, settles))
        worker.errored.connect(self._show_failure)
        worker.finished.connect(self._finish)
        self._job = _Job(layer, work, worker)
        self._why_cancelled = messages.CANCELLED
        self._show_progress(Progress(0, 1, ""))
        self._enable_buttons()
        worker.start()

    def _quit(self, why: str) -> None:
        if self._job is not None:
            self._why_cancelled = why
            self._job.worker.quit()
            if not self._closed:
                self.cancel_button.enabled = False
                self.progress.native.setFormat("Cancelling")

    def _show_progress(self, progress: Progress) -> None:
        if not self._closed:
            self.progress.max = progress.total
            self.progress.value = progress.value
            self.progress.native.setFormat(progress.text)
            if progress.sentence is not None:
                self._say(progress.sentence)

    def _show_outcome(
        self, show: Callable[[Any], None], settles: _Fit | None, outcome: Any
    ) -> None:
        assert self._job is not None
        if self._closed or self._job.worker.abort_requested:
            return  # cancelled when the outcome was already on its way
        if settles is not None:
            self._settle(settles)
        if isinstance(outcome, Refusal):
            self._say(outcome.sentence)
        else:
            show(outcome)

    def _show_failure(self, error: Exception) -> None:
        if not self._closed:
            self._say(str(error))
            # A notification has the traceback, for a report.
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _finish(self) -> None:
        """Whatever came of the work: it is over, and the next may start."""
        job, self._job = self._job, None
        assert job is not None
        # Where it was cancelled it is still in the middle of a fit: let go of the memory.
        job.work.close()
        if self._closed:
            return
        self._enable_buttons()
        if job.worker.abort_requested:
            self._say(self._why_cancelled)
        else:
            # The user may have changed meanwhile what the layers are to show.
            self._redraw_soon()

    # The layers

    def _show_fit(self, layer: Points, cloud: Cloud, result: FitResult) -> None:
        done = _Fit(
            layer=layer,
            cloud=cloud,
            solutions=result.solutions,
            chosen=result.chosen,
            path=result.path,
            asked=result.heatmap.choice,
            drawn=result.chosen,
            coverage=self.coverage.value,
        )
        self._fits[done.layer.unique_id] = done
        if done.path is not None:
            self.sparsity.value = done.path[done.chosen].sparsity
        self._show_path()
        self._show_heatmap(done, result.heatmap)
        self._show_components(done)

    def _show_heatmap(self, done: _Fit, drawn: Heatmap) -> None:
        show_heatmap(self._viewer, done.layer, done.frame, drawn)
        self._say(_told(done))

    def _show_components(self, done: _Fit) -> None:
        shown = drawing(done.solution, done.frame, done.coverage)
        show_components(self._viewer, done.layer, done.frame, shown)

    def _show_path(self) -> None:
        """The path of the chosen layer, where there is one."""
        done = self._chosen_fit()
        path = None if done is None else done.path
        if done is not None and path is not None:
            self.path_view.show_path(path, done.chosen, self._viewer.theme)
        self.path_view.visible = path is not None

    def _choose(self, place: int) -> None:
        """Show another solution along the path: its ellipses at once, its heatmap when drawn."""
        done = self._chosen_fit()
        if done is None or done.path is None or place == done.chosen:
            return
        chosen = replace(done, chosen=place, annotated=False)
        self._fits[done.layer.unique_id] = chosen
        # The next Run is one for this sparsity.
        self.sparsity.value = done.path[place].sparsity
        self._show_components(chosen)
        self._say(_told(chosen))
        self._redraw_soon()

    def _redraw_soon(self) -> None:
        if self._chosen_fit() is not None:
            self._redraw_timer.start()

    def _redraw(self) -> None:
        """Draw from the last fit what the fields ask for and the layers do not show yet."""
        done = self._chosen_fit()
        if done is None or self._job is not None:
            return
        if done.coverage != self.coverage.value:
            done = replace(done, coverage=self.coverage.value)
            self._fits[done.layer.unique_id] = done
            self._show_components(done)
        wanted = replace(done, asked=self.heatmap_choice(), drawn=done.chosen)
        if (wanted.asked, wanted.drawn) != (done.asked, done.drawn):
            frame = wanted.frame
            work = draw(wanted.solution, frame.modelled_box, wanted.asked, frame.n_slices)
            self._start(wanted.layer, work, partial(self._show_heatmap, wanted), wanted)
        elif self.annotate.value and not done.annotated:
            wanted, cloud = replace(done, annotated=True), done.cloud
            assign = assign_points(
                done.solution, cloud.points, cloud.groups, cloud.noise_std, done.asked
            )
            self._start(wanted.layer, assign, partial(self._show_assignment, wanted), wanted)

    def _settle(self, wanted: _Fit) -> None:
        """What was asked for is shown, or refused: it is not asked for again."""
        done = self._fits.get(wanted.layer.unique_id)
        if done is None or done.solutions is not wanted.solutions:
            return
        self._fits[done.layer.unique_id] = replace(
            done,
            asked=wanted.asked,
            drawn=wanted.drawn,
            annotated=wanted.annotated and done.chosen == wanted.chosen,
        )

    def _show_assignment(self, done: _Fit, assignment: "Assignment") -> None:
        shown = done.cloud.shown
        if len(done.layer.data) != len(shown):
            self._say(messages.points_changed(done.layer.name))
            return
        show_assignment(done.layer, shown, assignment)
        self._say(_told(done))

    # The fields

    def _chosen_fit(self) -> _Fit | None:
        layer = self.points.value
        return None if layer is None else self._fits.get(layer.unique_id)

    def _follow_choice(self) -> None:
        self._enable_buttons()
        self._show_path()
        if self._job is None:
            done = self._chosen_fit()
            self._say(self.obstacle() or (_told(done) if done else ""))

    def _enable_buttons(self) -> None:
        busy = self._job is not None
        self.run_button.enabled = not busy and not self.obstacle()
        self.path_button.enabled = self.run_button.enabled and not self.path_obstacle()
        self.cancel_button.enabled = busy
        self.progress.visible = busy

    def _forget(self, event: Any) -> None:
        """A layer was removed: so is its fit."""
        layer = event.value
        self._fits.pop(layer.unique_id, None)
        if self._job is not None and self._job.layer is layer:
            self._quit(messages.layer_removed(layer.name))

    def _close(self) -> None:
        """The window is gone, and every field with it."""
        self._closed = True
        self._quit("")


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """The method, for a Qt signal of the widget's own: Qt keeps alive what it calls."""
    reference = WeakMethod(method)

    def call() -> None:
        alive = reference()
        if alive is not None:
            alive()

    return call


def _told(done: _Fit) -> str:
    cloud = done.cloud
    summary = messages.summary(done.solution, cloud.frame, cloud.n_hidden, cloud.n_outside)
    return f"{summary} {messages.heatmap_unit(done.asked.quantity, done.frame)}"


def _steps(work: Work[Any]) -> Work[Any]:
    """What napari's worker wants: a function that makes the generator."""
    return (yield from work)
