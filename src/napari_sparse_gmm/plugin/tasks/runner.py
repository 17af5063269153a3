"""Runs work in a napari thread worker: one piece at a time, the newest one wins."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any
from weakref import WeakMethod

from napari.layers import Layer
from napari.qt.threading import create_worker

from napari_sparse_gmm.plugin.tasks.pacing import PACING, Clock
from napari_sparse_gmm.plugin.tasks.task import FitFailed, Progress, Work


@dataclass(frozen=True, eq=False)
class Job:
    """A piece of work.

    Parameters
    ----------
    layer : Layer or None
        Which it is about, where it is about one.
    work : generator
    done : callable
        Gets what the work returns, unless it was cancelled.
    progress : callable, optional
        Gets what it yields.
    """

    layer: Layer | None
    work: Work[Any]
    done: Callable[[Any], object]
    progress: Callable[[Progress], object] = lambda _: None


@dataclass(eq=False)
class _Run:
    """A job in its thread."""

    job: Job
    worker: Any
    steps: Work[Any]  # what the worker moves on
    drawn: Event  # what the work waits for after a preview

    @property
    def stops(self) -> bool:
        """Whether it has been requested to."""
        return bool(self.worker.abort_requested)

    def stop(self) -> None:
        """Between two steps; nothing that it sends from now on is heard."""
        self.worker.quit()
        self.drawn.set()


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
    clock : Clock
    """

    def __init__(
        self,
        changed: Callable[[], object],
        failed: Callable[[Exception], object],
        ended: Callable[[Job, str | None], object],
        clock: Clock,
    ) -> None:
        self._clock = clock
        self.closed = False
        self._changed, self._failed, self._ended = changed, failed, ended
        self._run: _Run | None = None
        self._next: Job | None = None

    @property
    def job(self) -> Job | None:
        """What runs."""
        return None if self._run is None else self._run.job

    @property
    def waiting(self) -> Job | None:
        """What begins when the job has stopped."""
        return self._next

    @property
    def cancelled(self) -> bool:
        """Whether what runs is only waited for."""
        return self._run is not None and self._run.stops

    def start(self, job: Job) -> None:
        """Run a job, at once or when what runs has been stopped."""
        if self._run is None:
            self._launch(job)
        else:
            self._next = job
            self._run.stop()

    def cancel(self, why: str) -> None:
        """Stop what runs, and forget what waits.

        Its thread may be in the middle of a step that takes a while; nobody waits for that.
        """
        run = self._detach()
        if run is not None:
            self._ended(run.job, why)

    def close(self) -> None:
        """The window is gone: stop, and call nobody any more."""
        self.closed = True
        self._detach()

    def _detach(self) -> _Run | None:
        run, self._run, self._next = self._run, None, None
        if run is not None:
            run.stop()
        return run

    def _launch(self, job: Job) -> None:
        drawn = Event()
        steps = _with_back_pressure(job.work, drawn, self._clock)
        # `failed` shows it; superqt would raise it in a slot, which may end the program.
        worker = create_worker(_driven, steps, _ignore_errors=True)
        run = _Run(job, worker, steps, drawn)
        worker.yielded.connect(partial(self._tell_progress, run))
        worker.returned.connect(partial(self._tell, run, job.done))
        worker.errored.connect(partial(self._tell, run, self._failed))
        worker.finished.connect(partial(self._finish, run))
        self._run = run
        self._changed()
        worker.start()

    def _tell_progress(self, run: _Run, progress: Progress) -> None:
        try:
            self._tell(run, run.job.progress, progress)
        finally:
            if progress.preview is not None:
                # Behind what the listener has the window draw.
                self._clock.later(0.0, run.drawn.set)

    def _tell(self, run: _Run, listener: Callable[[Any], object], news: Any) -> None:
        # What was stopped may have sent its news before.
        if run is self._run and not run.stops:
            listener(news)

    def _finish(self, run: _Run) -> None:
        """Whatever came of the work: it is over, and the next may start."""
        # napari remembers its workers as long as the window lives; what they worked on it need not.
        worker = run.worker
        for signal in (worker.yielded, worker.returned, worker.errored, worker.finished):
            signal.disconnect()
        # Where it was stopped it is still in the middle of a fit.
        run.steps.close()
        run.job.work.close()
        if run is not self._run:
            return
        self._run = None
        waiting, self._next = self._next, None
        if waiting is not None:
            self._launch(waiting)
        else:
            self._ended(run.job, None)


def weakly(method: Callable[[], object]) -> Callable[[], None]:
    """The method, for a Qt signal of an object's own widget: Qt keeps alive what it calls."""
    reference = WeakMethod(method)

    def call() -> None:
        alive = reference()
        if alive is not None:
            alive()

    return call


def _with_back_pressure(work: Work[Any], drawn: Event, clock: Clock) -> Work[Any]:
    """The work, which after a preview waits until the window has drawn that.

    Side by side both would take longer, as only one thread at a time runs Python.
    """
    while True:
        try:
            progress = next(work)
        except StopIteration as stop:
            return stop.value
        except (KeyboardInterrupt, SystemExit, GeneratorExit) as error:
            # superqt would tell nobody.
            raise FitFailed(f"The work was ended by {type(error).__name__}.") from error
        drawn.clear()
        yield progress
        if progress.preview is not None:
            clock.wait(drawn, PACING.drawing)


def _driven(work: Work[Any]) -> Work[Any]:
    """A generator function, which napari's worker needs to drive the work."""
    return (yield from work)
