"""Runs work in a napari thread worker: one piece at a time, the newest one wins."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any
from weakref import WeakMethod

from napari.layers import Layer
from napari.qt.threading import create_worker
from qtpy.QtCore import QTimer

from napari_sparse_gmm.plugin.work import Progress, Work

# The longest that work waits for the window to draw a preview.
_PATIENCE = 0.5  # seconds


@dataclass(frozen=True, eq=False)
class Job:
    """A piece of work.

    Parameters
    ----------
    layer : Layer
        Which it is about.
    work : generator
    done : callable
        Gets what the work returns, unless it was cancelled.
    progress : callable, optional
        Gets what it yields.
    """

    layer: Layer
    work: Work[Any]
    done: Callable[[Any], object]
    progress: Callable[[Progress], object] = lambda _: None


class Runner:
    """Everything here happens in the main thread, but for the work itself.

    Parameters
    ----------
    changed : callable
        Called when work begins.
    failed : callable
        Gets the exception that ended a job.
    ended : callable
        Called when nothing runs any more, with the last job, and with why it was cancelled; None
        where it was not.
    """

    def __init__(
        self,
        changed: Callable[[], object],
        failed: Callable[[Exception], object],
        ended: Callable[[Job, str | None], object],
    ) -> None:
        self._changed, self._failed, self._ended = changed, failed, ended
        self._job: Job | None = None
        self._worker: Any = None
        self._steps: Work[Any] | None = None  # what the worker moves on
        self._next: Job | None = None
        self._why = ""
        self._closed = False
        self._drawn = Event()  # what the work waits for after a preview

    @property
    def job(self) -> Job | None:
        """What runs."""
        return self._job

    @property
    def waiting(self) -> Job | None:
        """What begins when the job has stopped."""
        return self._next

    @property
    def cancelled(self) -> bool:
        """Whether what runs is only waited for."""
        return self._worker is not None and self._worker.abort_requested

    def start(self, job: Job) -> None:
        """Run a job, at once or when what runs has been stopped."""
        if self._job is None:
            self._launch(job)
        else:
            self._next = job
            self._quit()

    def cancel(self, why: str) -> None:
        """Stop what runs, and forget what waits."""
        self._next = None
        if self._job is not None:
            self._why = why
            self._quit()

    def close(self) -> None:
        """The window is gone: stop, and call nobody any more."""
        self._closed = True
        self.cancel("")

    def _launch(self, job: Job) -> None:
        # `failed` shows it; superqt would raise it in a slot, which may end the program.
        self._steps = _unhurried(job.work, self._drawn)
        worker = create_worker(_moved_on, self._steps, _ignore_errors=True)
        worker.yielded.connect(partial(self._tell_progress, job.progress))
        worker.returned.connect(partial(self._tell, job.done))
        worker.errored.connect(partial(self._tell, self._failed))
        worker.finished.connect(self._finish)
        self._job, self._worker, self._why = job, worker, ""
        self._changed()
        worker.start()

    def _quit(self) -> None:
        self._worker.quit()
        self._drawn.set()

    def _tell_progress(self, listener: Callable[[Progress], object], progress: Progress) -> None:
        try:
            self._tell(listener, progress)
        finally:
            if progress.preview is not None:
                # Behind what the listener has the window draw.
                QTimer.singleShot(0, self._drawn.set)

    def _tell(self, listener: Callable[[Any], object], news: Any) -> None:
        # What was cancelled may have sent its news before.
        if not (self._closed or self.cancelled):
            listener(news)

    def _finish(self) -> None:
        """Whatever came of the work: it is over, and the next may start."""
        job, cancelled, worker, steps = self._job, self.cancelled, self._worker, self._steps
        assert job is not None
        assert steps is not None
        self._job = self._worker = self._steps = None
        # napari remembers its workers as long as the window lives; what they worked on it need not.
        for signal in (worker.yielded, worker.returned, worker.errored, worker.finished):
            signal.disconnect()
        # Where it was cancelled it is still in the middle of a fit.
        steps.close()
        job.work.close()
        if self._closed:
            return
        waiting, self._next = self._next, None
        if waiting is not None:
            self._launch(waiting)
        else:
            self._ended(job, self._why if cancelled else None)


def weakly(method: Callable[[], object]) -> Callable[[], None]:
    """The method, for a Qt signal of an object's own widget: Qt keeps alive what it calls."""
    reference = WeakMethod(method)

    def call() -> None:
        alive = reference()
        if alive is not None:
            alive()

    return call


def _unhurried(work: Work[Any], drawn: Event) -> Work[Any]:
    """The work; after a preview it waits until the window has drawn that.

    Side by side both would take longer, as only one thread at a time runs Python.
    """
    while True:
        try:
            progress = next(work)
        except StopIteration as stop:
            return stop.value
        drawn.clear()
        yield progress
        if progress.preview is not None:
            drawn.wait(_PATIENCE)


def _moved_on(work: Work[Any]) -> Work[Any]:
    """What napari's worker wants: a function that makes the generator."""
    return (yield from work)
