"""A Matplotlib canvas in the dock, in the colours of napari's theme."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.utils.theme import get_theme
from qtpy.compat import isalive
from qtpy.QtCore import QSize, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 180  # pixels, at least

# Around the axes, left, bottom, right and top, in pixels of the screen: for labels and a legend.
_MARGINS = 54, 40, 62, 26

# Matplotlib's own "C0" is hard to read on dark grey. These have a contrast of 4.5 or more to the
# backgrounds of napari's themes (WCAG 2.1, 1.4.3).
_ON_DARK = "#6cb4ee", "#f5a14b", "#7fd18b"
_ON_LIGHT = "#1f5fa8", "#a8480a", "#20702f"


class Plot(QWidget):
    """Empty until something is drawn: Matplotlib takes a moment to import."""

    shown = Signal()  # what was not drawn while nobody looked may be now

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
        if self._canvas is None:
            self._canvas = _canvas(lambda: line_colours(self._theme()))
            self.layout().addWidget(self._canvas)
        return self._canvas.figure

    def clear(self) -> None:
        """Take all away."""
        self.figure.clear()

    def draw(self) -> None:
        """Show what is on the figure, soon, in the theme's colours.

        Lines and labels of the colours "C0", "C1" and "C2" are in those of `line_colours`.
        """
        theme = get_theme(self._theme())
        text, back = theme.text.as_hex(), theme.background.as_hex()
        self._leave_margins()
        self.figure.set_facecolor(back)
        for axes in self.figure.axes:
            _colour(axes, text, back)
        self._canvas.draw_idle()

    def recolour(self) -> None:
        """Follow the theme, where something is drawn."""
        if self._canvas is not None and isalive(self._canvas):
            self.draw()

    def showEvent(self, event: object) -> None:  # noqa: N802
        """Qt's hook."""
        super().showEvent(event)
        self.shown.emit()

    def resizeEvent(self, event: object) -> None:  # noqa: N802
        """Qt's hook."""
        super().resizeEvent(event)
        if self._canvas is not None:
            self._leave_margins()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Qt's hook: Matplotlib would ask for as much as a printed figure has."""
        return QSize(2 * _HEIGHT, _HEIGHT)

    def _leave_margins(self) -> None:
        """Room for the labels at any size; the layout "constrained" would draw twice."""
        left, bottom, right, top = _MARGINS
        width, height = max(self.width(), 1), max(self.height(), 1)
        self.figure.subplots_adjust(
            left=min(left / width, 0.3),
            bottom=min(bottom / height, 0.5),
            right=max(1 - right / width, 0.7),
            top=max(1 - top / height, 0.6),
        )


def line_colours(theme: str) -> tuple[str, ...]:
    """Of lines, distinct on the background of a theme, as "#rrggbb"."""
    dark = sum(get_theme(theme).background.as_rgb_tuple()[:3]) < 3 * 128
    return _ON_DARK if dark else _ON_LIGHT


def _canvas(colours: Callable[[], tuple[str, ...]]) -> Any:
    """A canvas with an empty figure, on which "C0" is the first of the colours, and so on."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
    from matplotlib.figure import Figure
    from matplotlib.rcsetup import cycler

    class Canvas(FigureCanvasQTAgg):
        def draw(self) -> None:
            with rc_context({"axes.prop_cycle": cycler(color=colours())}):
                super().draw()

    return Canvas(Figure())


def _colour(axes: "Axes", text: str, back: str) -> None:
    axes.set_facecolor(back)
    for artist in (*axes.texts, *axes.lines, *axes.collections):
        _show_black(artist, text)
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


def _show_black(artist: Any, text: str) -> None:
    """What is black, as on paper, is in the colour of text."""
    from matplotlib.colors import to_rgba_array

    for name in ("color", "markerfacecolor", "markeredgecolor", "edgecolor"):
        if hasattr(artist, f"get_{name}"):
            colours = to_rgba_array(getattr(artist, f"get_{name}")())
            if len(colours) == 1 and not colours[0, :3].any():
                getattr(artist, f"set_{name}")(text)
