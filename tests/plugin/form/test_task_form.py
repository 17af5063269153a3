"""The panel of work in a thread."""

from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QObject

from napari_sparse_gmm.plugin.form.task_form import TaskPanel
from napari_sparse_gmm.plugin.tasks.task import Progress


class Paints(QObject):
    """Counts how often a widget is painted."""

    n = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Qt's hook."""
        self.n += event.type() == QEvent.Type.Paint
        return False


def test_progress_is_painted_when_qt_has_time(qtbot: QtBot) -> None:
    """Not before the fit may go on."""
    panel = TaskPanel()
    bar, paints = panel.progress.native, Paints()
    qtbot.addWidget(bar)
    with qtbot.waitExposed(bar):
        bar.show()
    qtbot.wait(100)
    bar.installEventFilter(paints)
    for value in range(1, 5):
        paints.n = 0
        panel.show_progress(Progress(value, 5, f"Iteration {value}"))
        assert (bar.value(), bar.text(), paints.n) == (value, f"Iteration {value}", 0)
        qtbot.waitUntil(lambda: paints.n > 0)
