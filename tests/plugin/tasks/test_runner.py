"""One piece of work at a time, the newest one wins: with workers that are moved on by hand."""

import gc
import weakref
from collections.abc import Callable, Generator
from threading import Event
from typing import Any

import numpy as np
import pytest
from napari.layers import Points
from plugin.fakes import HandClock, HandWorker
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QTimer

from napari_sparse_gmm.plugin.qt.clock import WindowClock
from napari_sparse_gmm.plugin.tasks import runner
from napari_sparse_gmm.plugin.tasks.runner import Job, Runner
from napari_sparse_gmm.plugin.tasks.task import FitFailed, Progress, guarded


class Log:
    """Runs jobs, and remembers what was told and which workers there were."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[Any] = []
        self.workers: list[HandWorker] = []
        self.closed: list[str] = []
        monkeypatch.setattr(runner, "create_worker", self._create)
        self.runner = Runner(
            lambda: self.told.append("began"),
            lambda error: self.told.append(str(error)),
            lambda job, why: self.told.append(("ended", job.layer.name, why)),
            HandClock(),
        )

    def _create(
        self,
        function: Callable[..., Generator[Any, None, Any]],
        *arguments: Any,
        _ignore_errors: bool,
    ) -> HandWorker:
        assert _ignore_errors
        self.workers.append(HandWorker(function(*arguments)))
        return self.workers[-1]

    def job(self, name: str, error: Exception | None = None) -> Job:
        return Job(
            Points(np.eye(2), name=name),
            self._work(name, error),
            lambda result: self.told.append(("done", result)),
            lambda progress: self.told.append(progress.text),
        )

    def _work(self, name: str, error: Exception | None) -> Generator[Progress, None, str]:
        try:
            for step in range(3):
                yield Progress(step, 3, f"{name}{step}")
            if error is not None:
                raise error
        finally:
            self.closed.append(name)
        return name


class Watched:
    """What can be watched for its end."""


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    return Log(monkeypatch)


def test_work_is_told_from_its_beginning_to_its_end(log: Log) -> None:
    job = log.job("a")
    log.runner.start(job)
    assert (log.runner.job, log.runner.cancelled) == (job, False)
    log.workers[0].step(2)
    log.workers[0].finish()
    assert log.told == ["began", "a0", "a1", ("done", "a"), ("ended", "a", None)]
    assert log.runner.job is None
    assert not log.runner.cancelled


def test_the_newest_waits_for_what_runs_to_end(log: Log) -> None:
    log.runner.start(log.job("a"))
    log.workers[0].step(1)
    log.runner.start(log.job("b"))
    newest = log.job("c")
    log.runner.start(newest)
    assert len(log.workers) == 1
    assert log.runner.cancelled
    assert log.closed == []  # its thread may be in the middle of a step
    log.workers[0].finish()
    assert log.closed == ["a"]
    assert log.runner.job is newest
    assert not log.runner.cancelled
    log.workers[1].step(1)
    log.workers[1].finish()
    # Nothing of b, and no end in between.
    assert log.told == ["began", "a0", "began", "c0", ("done", "c"), ("ended", "c", None)]
    assert len(log.workers) == 2


def test_news_of_what_was_cancelled_are_not_told(log: Log) -> None:
    log.runner.start(log.job("a"))
    log.runner.cancel("No more.")
    worker = log.workers[0]
    worker.step(1)  # what was on its way
    worker.returned.emit("a")
    worker.finish()
    assert log.told == ["began", ("ended", "a", "No more.")]
    assert log.closed == ["a"]


def test_cancelling_forgets_what_waits(log: Log) -> None:
    log.runner.start(log.job("a"))
    log.runner.start(log.job("b"))
    log.runner.cancel("No more.")
    log.workers[0].finish()
    assert log.told == ["began", ("ended", "a", "No more.")]
    assert len(log.workers) == 1


def test_nobody_waits_for_the_thread_of_what_was_cancelled(log: Log) -> None:
    log.runner.start(log.job("a"))
    log.workers[0].step(1)
    log.runner.cancel("No more.")
    assert log.runner.job is None
    told = ["began", "a0", ("ended", "a", "No more.")]
    assert log.told == told
    log.runner.start(log.job("b"))
    assert log.closed == []  # it may be in the middle of a step
    log.workers[0].finish()
    assert log.closed == ["a"]
    log.workers[1].finish()
    assert log.told == [*told, "began", ("done", "b"), ("ended", "b", None)]


def test_cancelling_nothing_does_nothing(log: Log) -> None:
    log.runner.cancel("No more.")
    log.runner.start(log.job("a"))
    log.workers[0].finish()
    assert log.told == ["began", ("done", "a"), ("ended", "a", None)]


def test_an_error_is_told_and_the_next_work_runs(log: Log) -> None:
    log.runner.start(log.job("a", FitFailed("It broke.")))
    log.workers[0].finish()
    assert log.told == ["began", "It broke.", ("ended", "a", None)]
    log.runner.start(log.job("b"))
    log.workers[1].finish()
    assert log.told[-2:] == [("done", "b"), ("ended", "b", None)]


@pytest.mark.parametrize("cancelled", [False, True], ids=["ended", "cancelled"])
def test_nothing_is_kept_of_what_was_worked_on(log: Log, cancelled: bool) -> None:
    """napari keeps every worker."""
    job, gone = large_job()
    log.runner.start(job)
    del job
    log.workers[0].step(2)
    if cancelled:
        log.runner.cancel("No more.")
    log.workers[0].finish()
    log.told.clear()
    gc.collect()
    assert gone() is None
    assert len(log.workers) == 1


def large_job() -> tuple[Job, weakref.ref[Watched]]:
    """A job that knows of something, in all ways there are; and what tells whether that is gone."""
    layer, large = Points(np.eye(2)), Watched()

    def work(large: Any) -> Generator[Progress, None, Any]:
        for _ in range(3):
            yield Progress(0, 1, "", preview=large)
        return large

    def show(_: Any, large: Any = large) -> None:
        pass

    return Job(layer, work(large), show, show), weakref.ref(large)


def test_a_closed_window_hears_nothing(log: Log) -> None:
    log.runner.start(log.job("a"))
    log.runner.start(log.job("b"))
    log.runner.close()
    worker = log.workers[0]
    assert worker.abort_requested
    worker.step(1)
    worker.returned.emit("a")
    worker.errored.emit(FitFailed("It broke."))
    worker.finish()
    assert log.told == ["began"]
    assert log.closed == ["a"]
    assert log.runner.job is None
    assert len(log.workers) == 1


class Threaded:
    """A runner with real threads, whose only job shows one preview."""

    def __init__(self, told: Callable[[Progress], object], clock: Any) -> None:
        self.order: list[str] = []
        self.runner = Runner(
            lambda: None, lambda error: None, lambda job, why: self.order.append("ended"), clock
        )
        self.runner.start(Job(Points(np.eye(2)), self._work(), lambda _: None, told))

    def _work(self) -> Generator[Progress, None, None]:
        yield Progress(0, 1, "a preview", preview=object())  # type: ignore[arg-type]
        self.order.append("went on")


class Patient(WindowClock):
    """Waits for longer than a test may take."""

    def wait(self, event: Event, seconds: float) -> None:
        super().wait(event, 60.0)


def test_after_a_preview_the_work_waits_for_the_window(qtbot: QtBot) -> None:
    def told(_: Progress) -> None:
        threaded.order.append("told")
        QTimer.singleShot(0, lambda: threaded.order.append("drawn"))

    threaded = Threaded(told, Patient())
    qtbot.waitUntil(lambda: "ended" in threaded.order, timeout=20_000)
    assert threaded.order == ["told", "drawn", "went on", "ended"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_would_end_the_program_is_told(qtbot: QtBot, error: type[BaseException]) -> None:
    """And the window can run the next work."""

    def work() -> Generator[Progress, None, None]:
        yield Progress(0, 1, "a step")
        raise error

    told: list[Any] = []
    one = Runner(lambda: None, told.append, lambda job, why: told.append("ended"), WindowClock())
    for n in (2, 4):
        one.start(Job(Points(np.eye(2)), guarded("fit", work()), told.append))
        qtbot.waitUntil(lambda n=n: len(told) == n, timeout=20_000)
        assert isinstance(told[-2], FitFailed)
        assert str(told[-2]) == f"The work was ended by {error.__name__}."
        assert told[-1] == "ended"
        assert one.job is None


def test_what_waits_for_the_window_ends_when_it_is_cancelled(qtbot: QtBot) -> None:
    """Long before its patience ends."""

    class NeverDrawn(Patient):
        def later(self, seconds: float, call: Callable[[], object]) -> None:
            pass

    threaded = Threaded(lambda _: threaded.runner.cancel("No more."), NeverDrawn())
    qtbot.waitUntil(lambda: "ended" in threaded.order, timeout=20_000)
