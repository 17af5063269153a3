"""The dock around a form: as small as the form lets it be, and a tab beside others."""

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

# Milliseconds after which all layouts have heard of another font.
_SETTLED = 100


class Docking(QObject):
    """Lets the dock of a form become smaller again.

    napari gives each dock a least size, and Qt then takes the least size of what is in the dock
    for the one that was given: it only grows. Nor does a dock that had to become wider go back.

    And docks of such forms on one side of a window become tabs, each as high as the window is.
    """

    def __init__(self, form: QWidget) -> None:
        super().__init__(form)
        self._form = form
        self._least = 0  # width of the dock, when last looked at
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._narrow)
        self._new = True
        self._shown = QTimer(self)
        self._shown.setSingleShot(True)
        self._shown.timeout.connect(self._join)
        form.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Qt's hook: sees the events of the form, and lets them pass."""
        dock = self._dock() if event.type() == QEvent.Type.Show else None
        if dock is not None:
            dock.setMinimumSize(0, 0)
            self.follow()
            if self._new:  # later it is where somebody has put it
                self._new = False
                self._shown.start(0)
        return False

    def follow(self) -> None:
        """The form needs another width: so does the dock, if it is as narrow as it can be."""
        self._soon.start(_SETTLED)

    def _join(self) -> None:
        """Become a tab beside another form, where there is one."""
        dock = self._dock()
        window = None if dock is None else dock.parentWidget()
        if dock is None or dock.isFloating() or not isinstance(window, QMainWindow):
            return
        area = window.dockWidgetArea(dock)
        for other in window.findChildren(QDockWidget):
            if (
                other is not dock
                and not other.isFloating()
                and window.dockWidgetArea(other) == area
                and other.findChild(Docking) is not None
            ):
                if dock not in window.tabifiedDockWidgets(other):
                    window.tabifyDockWidget(other, dock)
                dock.raise_()
                return

    def _narrow(self) -> None:
        dock = self._dock()
        if dock is None:
            return
        window, least = dock.parentWidget(), dock.minimumSizeHint().width()
        if least < self._least == dock.width() and isinstance(window, QMainWindow):
            window.resizeDocks([dock], [least], Qt.Orientation.Horizontal)
        self._least = least

    def _dock(self) -> QDockWidget | None:
        parent = self._form.parentWidget()
        while parent is not None and not isinstance(parent, QDockWidget):
            parent = parent.parentWidget()
        return parent
