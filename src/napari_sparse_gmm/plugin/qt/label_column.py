"""Labels of a form in one column."""

from magicgui.widgets import Container
from qtpy.QtCore import QEvent, QObject, Qt, QTimer

from napari_sparse_gmm.plugin.qt.docking import Docking


class LabelColumn(QObject):
    """Keeps the labels of forms that stand above each other as wide as the widest of them.

    magicgui measures them in the application's font when the form is made; napari's style
    sets another one when it is docked, and the user may choose its size.
    """

    def __init__(self, form: Container, *others: Container) -> None:
        super().__init__(form.native)
        forms = (form, *others)
        natives = [each.native for each in forms]
        rows = [widget.native.parentWidget() for each in forms for widget in each]
        # The first one: a field may be a label itself.
        self._labels = [row.layout().itemAt(0).widget() for row in rows if row not in natives]
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._align)
        self._docking = Docking(form.native)
        form.native.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Qt's hook: sees the events of the form, and lets them pass."""
        if event.type() == QEvent.Type.Show:
            self._align()
        elif event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            # The labels are still to hear of it, and then do not ask for less than they are given.
            self._give(0)
            self._soon.start(0)
        return False

    def _align(self) -> None:
        self._give(max(label.sizeHint().width() for label in self._labels))
        self._docking.follow()

    def _give(self, width: int) -> None:
        for label in self._labels:
            label.setMinimumWidth(width)
            label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
