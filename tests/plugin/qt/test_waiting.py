"""The window lives while a file is read, and whoever opens it has what was read."""

import time
from collections.abc import Callable
from threading import Thread, current_thread, main_thread
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog, QPushButton

from napari_sparse_gmm.io import localizations
from napari_sparse_gmm.plugin.qt.waiting import Cancelled, waited_for

PLUGIN = "napari-sparse-gmm"


class Slow:
    """Work that ends when it is told to, or after some seconds."""

    def __init__(self, result: Any = None, seconds: float = 1.0) -> None:
        self.result, self.seconds, self.threads = result, seconds, []

    def __call__(self) -> Any:
        self.threads.append(current_thread())
        time.sleep(self.seconds)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def dialogs() -> list[QProgressDialog]:
    widgets = QApplication.topLevelWidgets()
    return [one for one in widgets if isinstance(one, QProgressDialog) and one.isVisible()]


def cancel() -> None:
    dialogs()[0].findChild(QPushButton).click()


@pytest.fixture
def ticks(qtbot: QtBot) -> Any:
    """When the window had time, and which dialogs it showed."""
    seen: list[int] = []
    timer = QTimer()
    timer.timeout.connect(lambda: seen.append(len(dialogs())))
    timer.start(20)
    yield seen
    timer.stop()


def test_the_window_lives_meanwhile(ticks: list[int]) -> None:
    work = Slow(7)
    assert waited_for(work, "Reading a.csv") == 7
    assert work.threads != [main_thread()]
    assert sum(ticks) > 10  # a dialog, all the time
    assert not dialogs()


def test_what_is_soon_done_needs_no_dialog(ticks: list[int]) -> None:
    assert waited_for(Slow(7, 0.0), "Reading a.csv") == 7
    assert ticks == []


@pytest.mark.parametrize("seconds", [0.0, 1.0])
@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("slow"), KeyboardInterrupt()])
def test_errors_come_back(qtbot: QtBot, error: BaseException, seconds: float) -> None:
    with pytest.raises(type(error)):
        waited_for(Slow(error, seconds), "Reading a.csv")
    assert not dialogs()


def test_it_can_be_cancelled(qtbot: QtBot) -> None:
    started = time.perf_counter()
    QTimer.singleShot(100, cancel)
    with pytest.raises(Cancelled):
        waited_for(Slow(7, 5.0), "Reading a.csv")
    assert time.perf_counter() - started < 4
    assert not dialogs()


def test_in_another_thread_it_is_done_there(qtbot: QtBot) -> None:
    work = Slow(7, 0.0)
    thread = Thread(target=waited_for, args=(work, "Reading a.csv"))
    thread.start()
    thread.join()
    assert work.threads == [thread]


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_script_has_the_layers_that_it_opens(
    make_napari_viewer_proxy: Callable[[], Any],
    ticks: list[int],
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    cancelled: bool,
) -> None:
    viewer = make_napari_viewer_proxy()
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n3,4\n")
    slow = Slow(localizations.read_localizations(path))
    monkeypatch.setattr(localizations, "localizations_of", lambda *_: slow())
    if cancelled:
        QTimer.singleShot(100, cancel)
    layers = viewer.open(str(path), plugin=PLUGIN)
    assert len(viewer.layers) == len(layers) == (not cancelled)
    if not cancelled:
        np.testing.assert_array_equal(layers[0].data, [[2, 1], [4, 3]])
        assert sum(ticks) > 10
