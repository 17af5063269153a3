"""What every dock widget with work in a thread shows of it."""

from collections.abc import Callable

from magicgui.widgets import ProgressBar, PushButton
from napari.components import LayerList
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_sparse_gmm.plugin.form.fields import status_line
from napari_sparse_gmm.plugin.qt.clock import WindowClock
from napari_sparse_gmm.plugin.tasks.pacing import Clock
from napari_sparse_gmm.plugin.tasks.runner import Job, Runner, weakly
from napari_sparse_gmm.plugin.tasks.task import Progress


class TaskPanel:
    """Work in a thread, with a progress bar, a Cancel button and a status line.

    Parameters
    ----------
    clock : Clock, optional
        By default that of the window.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.progress = ProgressBar(name="progress", visible=False)
        self.cancel_button = PushButton(name="cancel_button", text="Cancel", enabled=False)
        self.status = status_line()
        self.clock: Clock = WindowClock() if clock is None else clock
        self.runner = Runner(self._begin, self._fail, self._end, self.clock)

    def listen(
        self,
        began: Callable[[], object],
        ended: Callable[[str | None], object],
        failed: Callable[[], object] = lambda: None,
    ) -> None:
        """From now on tell when work begins, and when nothing runs any more, with why it was
        cancelled (None where it was not); and that it has `failed`, which is said.
        """
        self._began, self._ended, self._failed = began, ended, failed

    def follow(
        self,
        native: QWidget,
        layers: LayerList,
        changed: Callable[..., object],
        removed: Callable[..., object],
        closed: Callable[[], object],
    ) -> None:
        """From now on tell which layers there are, which one is gone, and that nobody looks.

        All three are methods: who calls them does not keep the widget alive.
        """
        events = layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.connect(changed)
        events.removed.connect(removed)
        CloseEvents(native, weakly(closed))
        native.destroyed.connect(self.runner.close)

    def say(self, sentence: str) -> None:
        """In the status line."""
        self.status.value = sentence

    def show_busy(self, busy: bool) -> None:
        """Whether there is something to cancel."""
        self.cancel_button.enabled = busy
        self.progress.visible = busy

    def show_progress(self, progress: Progress) -> None:
        """In the bar, and where there is something to say in the status line."""
        bar = self.progress.native
        # A bar draws the window at once, while the fit waits to go on: better when Qt has time.
        bar.setUpdatesEnabled(False)
        self.progress.max = progress.total
        self.progress.value = progress.value
        bar.setFormat(progress.text)
        bar.setUpdatesEnabled(True)
        if progress.sentence is not None:
            self.say(progress.sentence)

    def _begin(self) -> None:
        self.show_progress(Progress(0, 1, ""))
        self._began()

    def _fail(self, error: Exception) -> None:
        self._failed()
        self.say(str(error))
        # A notification has the traceback, for a report.
        notification_manager.receive_error(type(error), error, error.__traceback__)

    def _end(self, _: Job, why: str | None) -> None:
        self._ended(why)


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
