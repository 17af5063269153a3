"""What every form with work in a thread shows of it."""

from collections.abc import Callable

from magicgui.widgets import Container, Label, ProgressBar
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_sparse_gmm.plugin.tasks.task import Progress


class WorkForm(Container):
    """A form with a progress bar and a status line."""

    progress: ProgressBar
    status: Label

    def _say(self, sentence: str) -> None:
        self.status.value = sentence

    def _show_progress(self, progress: Progress) -> None:
        self.progress.max = progress.total
        self.progress.value = progress.value
        self.progress.native.setFormat(progress.text)
        if progress.sentence is not None:
            self._say(progress.sentence)

    def _show_failure(self, error: Exception) -> None:
        self._say(str(error))
        # A notification has the traceback, for a report.
        notification_manager.receive_error(type(error), error, error.__traceback__)


class CloseEvents(QObject):
    """Calls `closed` when a widget has been removed from its window.

    When a dock is closed napari only removes the widget in it, which lives on.
    """

    def __init__(self, widget: QWidget, closed: Callable[[], object]) -> None:
        super().__init__(widget)
        self._closed = closed
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Qt's hook: sees the events of the widget, and lets them pass."""
        if event.type() == QEvent.Type.ParentChange and watched.parent() is None:
            self._closed()
        return False
