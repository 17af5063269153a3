"""A Matplotlib canvas in the dock, in the colours of napari's theme."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.utils.theme import get_theme
from qtpy.compat import isalive
from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 130  # pixels, at least


class Plot(QWidget):
    """Empty until something is drawn: Matplotlib takes a moment to import."""

    def __init__(self, theme: Callable[[], str]) -> None:
        super().__init__()
        self._theme = theme
        self._canvas: Any = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.setMinimumHeight(_HEIGHT)

    @property
    def figure(self) -> "Figure":
        """Without axes as long as none were added."""
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        if self._canvas is None:
            self._canvas = FigureCanvasQTAgg(Figure())
            self.layout().addWidget(self._canvas)
            self.clear()
        return self._canvas.figure

    def clear(self) -> None:
        """Take all away."""
        self.figure.clear()
        # Not the layout "constrained", which draws twice.
        self.figure.subplots_adjust(0.14, 0.24, 0.84, 0.88)

    def draw(self) -> None:
        """Show what is on the figure, soon, in the theme's colours."""
        theme = get_theme(self._theme())
        text, back = theme.text.as_hex(), theme.background.as_hex()
        self.figure.set_facecolor(back)
        for axes in self.figure.axes:
            _colour(axes, text, back)
        self._canvas.draw_idle()

    def recolour(self) -> None:
        """Follow the theme, where something is drawn."""
        if self._canvas is not None and isalive(self._canvas):
            self.draw()


def _colour(axes: "Axes", text: str, back: str) -> None:
    axes.set_facecolor(back)
    axes.tick_params(which="both", colors=text, labelsize=7)
    for part in (axes.xaxis.label, axes.yaxis.label):
        part.set(color=text, size=8)
    for part in (axes.xaxis.get_offset_text(), axes.yaxis.get_offset_text()):
        part.set(color=text, size=7)
    for spine in axes.spines.values():
        spine.set_color(text)
    legend = axes.get_legend()
    if legend is not None:
        legend.get_frame().set(facecolor=back, edgecolor=text)
        for entry in legend.get_texts():
            entry.set(color=text, size=7)
