"""The clock of a window: what comes later comes behind what is to be drawn."""

from pytestqt.qtbot import QtBot
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QWidget

from napari_sparse_gmm.plugin.qt.clock import WindowClock


class Painted(QWidget):
    """Notes when it is painted."""

    def __init__(self, happened: list[str]) -> None:
        super().__init__()
        self._happened = happened

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Qt's hook."""
        self._happened.append("painted")


def test_what_comes_later_comes_behind_what_is_to_be_drawn(qtbot: QtBot) -> None:
    happened: list[str] = []
    widget = Painted(happened)
    qtbot.addWidget(widget)
    with qtbot.waitExposed(widget):
        widget.show()
    qtbot.wait(100)
    for _ in range(5):
        happened.clear()
        WindowClock().later(0.0, lambda: happened.append("called"))
        widget.update()
        qtbot.waitUntil(lambda: len(happened) == 2)
        assert happened == ["painted", "called"]
