"""What every dock widget with work in a thread shows of it."""

from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import Container, ProgressBar, PushButton, Widget
from napari.components import LayerList
from napari.layers import Layer
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_sparse_gmm.plugin.messages import CANCELLED, layer_removed
from napari_sparse_gmm.plugin.qt.clock import WindowClock
from napari_sparse_gmm.plugin.qt.label_column import LabelColumn
from napari_sparse_gmm.plugin.qt.scrolling import DOCK_HEIGHT, VerticalScroll
from napari_sparse_gmm.plugin.qt.status_line import status_line
from napari_sparse_gmm.plugin.tasks.pacing import Clock
from napari_sparse_gmm.plugin.tasks.runner import Job, Runner, weakly
from napari_sparse_gmm.plugin.tasks.task import Progress, Refusal, Work


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


class TaskWidget(Container):
    """Fields, a button that starts work on the layer `points`, and what there is to see of it.

    Subclasses have `reset_choices`, and the two methods below.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    clock : Clock, optional
        By default that of the window.
    fields : sequence of Widget
        From top to bottom; `points`, a choice among Points layers, is among them.
    button : PushButton
    run : callable
        What the button does.
    obstacle : callable
        Why that cannot begin yet, for the user; "" where it can.
    more_buttons : sequence of Widget
        Beside that button.
    below : sequence of Widget
        Below the status line.
    filling : QWidget, optional
        At the bottom, where it takes the room that is left.
    """

    def __init__(
        self,
        napari_viewer: Any,
        clock: Clock | None,
        fields: Sequence[Widget],
        button: PushButton,
        run: Callable[[], object],
        obstacle: Callable[[], str],
        *,
        more_buttons: Sequence[Widget] = (),
        below: Sequence[Widget] = (),
        filling: QWidget | None = None,
    ) -> None:
        self._button, self._obstacle = button, obstacle
        self._panel = panel = TaskPanel(clock)
        panel.listen(self._on_work_changed, self._end)
        self.cancel_button, self.progress = panel.cancel_button, panel.progress
        self.status = panel.status
        rows = Container(name="fields", widgets=list(fields))
        buttons = Container(
            widgets=[button, self.cancel_button, *more_buttons], layout="horizontal", labels=False
        )
        LabelColumn(rows)
        self._body = Container(
            name="body", widgets=[rows, buttons, self.progress, self.status, *below], labels=False
        )
        rows.margins = buttons.margins = self._body.margins = (0, 0, 0, 0)
        super().__init__(labels=False)
        layout = self._body.native.layout()
        if filling is None:
            layout.addStretch(1)
        else:
            layout.addWidget(filling, 1)
        self.native.layout().addWidget(VerticalScroll(self._body.native, least=DOCK_HEIGHT))
        button.clicked.connect(run)
        self.cancel_button.clicked.connect(self.cancel)
        panel.follow(
            self.native, napari_viewer.layers, self.reset_choices, self._forget, self.cancel
        )

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        return self._panel.runner.job is None

    def cancel(self) -> None:
        """Stop the work in progress; the points stay as they are."""
        self._panel.runner.cancel(CANCELLED)

    def start(self, layer: Layer | None, work: Work[Any], show: Callable[[Any], object]) -> None:
        """Begin work, of a layer or none; `show` gets what comes of it, unless it is refused."""

        def shown(outcome: Any) -> None:
            if isinstance(outcome, Refusal):
                self._panel.say(outcome.sentence)
            else:
                show(outcome)

        self._panel.say("")
        self._panel.runner.start(Job(layer, work, shown, self._panel.show_progress))

    def follow_choice(self, _: Any = None) -> None:
        """Something else is chosen: say whether the work can begin."""
        if self.idle:
            self._on_work_changed()
            self._panel.say(self._obstacle())

    def _on_work_changed(self) -> None:
        self._button.enabled = self.idle and not self._obstacle()
        self._panel.show_busy(not self.idle)

    def _end(self, why: str | None) -> None:
        self._on_work_changed()
        if why is not None:
            self._panel.say(why)

    def _forget(self, event: Any) -> None:
        """A layer was removed: so is the work on it."""
        job, name = self._panel.runner.job, event.value.name
        if job is not None and job.layer is event.value:
            self._panel.runner.cancel(layer_removed(name))


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
