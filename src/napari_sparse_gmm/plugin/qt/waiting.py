"""Work that the window waits for, and stays alive meanwhile.

napari calls a reader in the thread of its window, and wants what it returns: the work is done in
another thread, and its window draws itself until that ends. Nothing but the dialog can be clicked,
as what is done to the viewer would be done in the middle of File > Open.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

from qtpy.QtCore import QEventLoop, Qt, QThread, QTimer
from qtpy.QtWidgets import QApplication, QMainWindow, QProgressDialog

_Result = TypeVar("_Result")

# Seconds before there is a dialog, and milliseconds from one look whether the work has ended to the
# next.
_PATIENCE, _INTERVAL = 0.3, 30

# What a reader returns to napari where there is no layer.
NOTHING: list[Any] = [(None,)]


class Cancelled(Exception):
    """Nobody wants the result any more; what works at it ends by itself."""


def waited_for(work: Callable[[], _Result], text: str) -> _Result:
    """What `work` returns or raises; it knows nothing of Qt.

    Without a window, or in a thread that is not the window's, the caller does the work itself.

    Parameters
    ----------
    work : callable
    text : str
        What is done, for the dialog.

    Raises
    ------
    Cancelled
    """
    application = QApplication.instance()
    if application is None or application.thread() != QThread.currentThread():
        return work()
    outcome: Future[_Result] = Future()
    # The program may end without it.
    Thread(target=_work, args=(work, outcome), daemon=True).start()
    try:
        return outcome.result(_PATIENCE)
    except TimeoutError:
        if outcome.done():  # the work has raised it
            raise
    shown = [one for one in application.topLevelWidgets() if one.isVisible()]
    window = next((one for one in shown if isinstance(one, QMainWindow)), None)
    dialog = QProgressDialog(text, "Cancel", 0, 0, window)  # of the colours of the window
    dialog.setWindowModality(Qt.WindowModality.ApplicationModal)
    loop, timer = QEventLoop(), QTimer()
    timer.timeout.connect(lambda: outcome.done() and loop.quit())
    dialog.canceled.connect(loop.quit)
    timer.start(_INTERVAL)
    dialog.show()
    try:
        loop.exec_()
    finally:
        timer.stop()
        dialog.canceled.disconnect(loop.quit)
        dialog.close()
        dialog.deleteLater()
    if not outcome.done():
        raise Cancelled
    return outcome.result()


def _work(work: Callable[[], _Result], outcome: "Future[_Result]") -> None:
    try:
        outcome.set_result(work())
    except BaseException as error:
        outcome.set_exception(error)
