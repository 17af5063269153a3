"""The sparsity path in the dock widget: a plot, and a slider that moves along the solutions."""

from typing import TYPE_CHECKING, Any

from magicgui.widgets import Container, Label, Slider
from napari.utils.theme import get_theme

if TYPE_CHECKING:
    from napari_sparse_gmm.path import SparsityPath

_HEIGHT = 170  # pixels of the plot


class PathView(Container):
    """Shows a path, and which of its solutions is chosen: `slider.value`."""

    def __init__(self) -> None:
        self.slider = Slider(
            name="path_slider",
            label="Path",
            min=0,
            max=1,
            readout=False,
            tooltip="The solutions that were found, from the least sparsity to the most.",
        )
        self.choice = Label(name="path_choice", label="")
        super().__init__(widgets=[self.slider, self.choice], labels=False, visible=False)
        self.margins = (0, 0, 0, 0)
        self._path: SparsityPath | None = None
        self._canvas: Any = None
        self._marker: Any = None
        self.slider.changed.connect(self._mark)

    def show_path(self, path: "SparsityPath", chosen: int, theme: str) -> None:
        """Show a path, in the colours of one of napari's themes."""
        if path is not self._path:
            self._path = path
            with self.slider.changed.blocked():
                self.slider.max = max(len(path) - 1, 1)
                self.slider.value = chosen
            self.slider.enabled = len(path) > 1
            self._plot(theme)
        self._mark(chosen)

    def _plot(self, theme: str) -> None:
        # Takes a moment to import, which only who wants a path waits for.
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        assert self._path is not None
        colours = get_theme(theme)
        text, back = colours.text.as_hex(), colours.background.as_hex()
        if self._canvas is None:
            self._canvas = FigureCanvasQTAgg(Figure(layout="constrained"))
            self._canvas.setMinimumHeight(_HEIGHT)
            self.native.layout().addWidget(self._canvas)
        figure = self._canvas.figure
        figure.clear()
        figure.set_facecolor(back)
        left = self._path.plot(figure.add_subplot())
        for axes in figure.axes:
            axes.set_facecolor(back)
            axes.tick_params(which="both", colors=text, labelsize=7)
            for part in (axes.xaxis.label, axes.yaxis.label):
                part.set(color=text, size=8)
            for spine in axes.spines.values():
                spine.set_color(text)
        legend = figure.axes[-1].get_legend()
        legend.get_frame().set(facecolor=back, edgecolor=text)
        for entry in legend.get_texts():
            entry.set(color=text, size=7)
        self._marker = left.axvline(0.0, color=text)

    def _mark(self, chosen: int) -> None:
        """Say which solution is chosen, and where it is in the plot."""
        if self._path is None:
            return
        point = self._path[chosen]
        k = point.mixture.n_components
        suggested = " (suggested)" if point is self._path.suggested else ""
        self.choice.value = (
            f"s = {point.sparsity:g}: {k} component{'' if k == 1 else 's'}{suggested}"
        )
        self._marker.set_xdata([point.sparsity] * 2)
        self._canvas.draw_idle()
