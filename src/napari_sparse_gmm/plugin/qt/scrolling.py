"""What scrolls in the dock: the fields on a screen that is too low, and a status line too long."""

from qtpy.QtCore import QEvent, QObject, QPoint, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QWidget,
)

# Pixels that are shown at least: of some fields, and of all that is in a dock.
_LEAST_HEIGHT = 88
DOCK_HEIGHT = 200

_CHANGED_BY_WHEEL = QAbstractSpinBox, QComboBox, QSlider

# Lines of a status line: room for as many at least and at most.
_LEAST_LINES, _MOST_LINES = 2, 6

# Milliseconds after which what was shown or hidden has its place, in areas within areas, too.
_SETTLED = 200

_WIDE = 100_000  # pixels, in which any text is in one line


class VerticalScroll(QScrollArea):
    """Shows a widget on a screen of any height, never narrower than the widget needs.

    The mouse wheel scrolls, wherever the mouse is, and changes only a field that has the focus.

    Parameters
    ----------
    widget : QWidget
    takes_what_is_left : bool
        Whether what stands above it gets its room first: then nothing else has to scroll as long
        as this can.
    least : int
        Pixels of it that are shown at least; None: all, where what it is in scrolls, too.
    """

    def __init__(
        self,
        widget: QWidget,
        *,
        takes_what_is_left: bool = False,
        least: int | None = _LEAST_HEIGHT,
    ) -> None:
        super().__init__()
        self._takes_what_is_left = takes_what_is_left
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._shows_all = least is None
        self.setMinimumHeight(least or 0)
        self.setWidget(widget)
        self._goal: QWidget | None = None  # what is to be at the top
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.timeout.connect(self._arrive)
        self.verticalScrollBar().rangeChanged.connect(self._approach)
        passing = _WheelPassing(self)
        for kind in _CHANGED_BY_WHEEL:
            # A slider with a number beside it has one of each.
            for field in widget.findChildren(kind):
                field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # which the wheel does not give
                field.installEventFilter(passing)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Qt's hook: sees the events of the widget."""
        if event.type() == QEvent.Type.LayoutRequest:
            needed, frame = (
                watched.minimumSizeHint(),
                2 * self.frameWidth(),
            )  # napari's style has one
            bar = self.verticalScrollBar().sizeHint().width()
            self.setMinimumWidth(needed.width() + bar + frame)
            if self._shows_all:
                self.setMinimumHeight(needed.height() + frame)
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def go_to(self, widget: QWidget, wanted: bool = True) -> None:
        """Scroll until a part of the widget is at the top, when the layout is done."""
        if wanted:
            self._goal = widget
            self._settling.start(_SETTLED)
            QTimer.singleShot(0, self._approach)

    def _approach(self, *_: int) -> None:
        if self._goal is not None:
            top = self._goal.mapTo(self.widget(), QPoint()).y()
            self.verticalScrollBar().setValue(top)

    def _arrive(self) -> None:
        self._approach()
        self._goal = None

    def show_at_least(self, height: int | None = None) -> None:
        """Show so many pixels at least; by default of some fields."""
        self.setMinimumHeight(_LEAST_HEIGHT if height is None else height)

    def sizeHint(self) -> QSize:  # noqa: N802
        """As high as the widget, where there is room; a style may frame it."""
        wanted = self.widget().sizeHint()
        if self._takes_what_is_left:
            return QSize(wanted.width(), self.minimumHeight())
        around = self.height() - self.viewport().height()
        return wanted + QSize(0, max(around, 0))


class _WheelPassing(QObject):
    """Takes the wheel from fields without focus; Qt then offers it to what they are in."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Qt's hook: sees the events of a field."""
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


class StatusScroll(QScrollArea):
    """Shows a wrapped text as high as it is, up to some lines; then it scrolls."""

    def __init__(self, text: QLabel, least_lines: int = _LEAST_LINES) -> None:
        super().__init__()
        self._text, self._least_lines = text, least_lines
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setWidget(text)
        self._fit()

    def event(self, event: QEvent) -> bool:
        """Qt's hook: another text, or another font."""
        done = bool(super().event(event))
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize, QEvent.Type.Show):
            self._fit()
        return done

    def _fit(self) -> None:
        text, metrics = self._text, self._text.fontMetrics()
        around = text.heightForWidth(_WIDE) - metrics.size(0, text.text()).height()
        least, most = (
            around + metrics.size(0, "\n".join("x" * lines)).height()
            for lines in (self._least_lines, _MOST_LINES)
        )
        wanted = max(text.heightForWidth(self.width()), least)
        # A bar that there was would make the text longer, and so stay.
        bars = Qt.ScrollBarPolicy
        self.setVerticalScrollBarPolicy(
            bars.ScrollBarAlwaysOff if wanted <= most else bars.ScrollBarAsNeeded
        )
        height = max(min(wanted, most), 0)  # -1 of no text
        if height != self.height():
            self.setFixedHeight(height)
