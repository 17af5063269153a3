"""The plots of a fit, each in a tab, which a button folds away."""

from magicgui.widgets import PushButton
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QTabWidget

from napari_sparse_gmm.plugin.qt.folding import folding_button

_HEIGHT = 290  # pixels, for two lines and a plot


class Plots(QTabWidget):
    """Tabs with a button above them, which shows them where the user wants to see them."""

    def __init__(self) -> None:
        super().__init__()
        self.setMaximumHeight(_HEIGHT)
        self.button: PushButton = folding_button(
            "plots_button",
            "Plots",
            "Show or hide how large the components are and how many points they have, ranges of "
            "features that the points are filtered by, how the cost "
            "and the components came down, and the path.",
            False,
            lambda unfolded: self.setVisible(unfolded),
        )
        self.hide()

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(super().sizeHint().width(), _HEIGHT)
