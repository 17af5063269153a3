"""The plots of a fit, each in a tab, which a button folds away."""

from magicgui.widgets import PushButton
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QTabWidget

from napari_sparse_gmm.plugin.qt.folding import folding_button

_HEIGHT = 190  # pixels, at most


class Plots(QTabWidget):
    """Tabs with a button above them: `shown` where there is something to see and it is unfolded.

    `show` and `hide` say whether there is something; `button` whether the user wants to see it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._something, self._unfolded = False, True
        self.setMaximumHeight(_HEIGHT)
        self.button: PushButton = folding_button(
            "plots_button",
            "Plots",
            "Show or hide how the cost and the components came down, and the path.",
            True,
            self._unfold,
        )
        self.hide()

    def setVisible(self, visible: bool) -> None:  # noqa: N802
        """Qt's hook behind `show` and `hide`."""
        self._something = visible
        self._update_visibility()

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(super().sizeHint().width(), _HEIGHT)

    def _unfold(self, unfolded: bool) -> None:
        self._unfolded = unfolded
        self._update_visibility()

    def _update_visibility(self) -> None:
        self.button.visible = self._something
        super().setVisible(self._something and self._unfolded)
