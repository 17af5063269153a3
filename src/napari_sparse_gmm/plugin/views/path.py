"""The sparsity path in the dock widget: a plot, and a slider that moves along the solutions."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from magicgui.widgets import Container, Label, Slider

from napari_sparse_gmm.plugin.qt.canvas import Plot
from napari_sparse_gmm.wording import count

if TYPE_CHECKING:
    from napari_sparse_gmm.path import SparsityPath


class PathView(Container):
    """Shows a path, and which of its solutions is chosen: `slider.value`."""

    def __init__(self, theme: Callable[[], str]) -> None:
        self.slider = Slider(
            name="path_slider",
            label="Path",
            min=0,
            max=1,
            readout=False,
            tooltip="The solutions that were found, from the least sparsity to the most.",
        )
        self.choice = Label(name="path_choice", label="")
        self.slider.native.setMinimumWidth(120)
        row = Container(widgets=[self.slider, self.choice], layout="horizontal", labels=False)
        row.margins = (0, 0, 0, 0)
        super().__init__(widgets=[row], labels=False)
        self.margins = (0, 0, 0, 0)
        self.plot = Plot(theme)
        self.native.layout().addWidget(self.plot)
        self._path: SparsityPath | None = None
        self._marker: Any = None
        self.slider.changed.connect(self._mark)

    def show_path(self, path: "SparsityPath", chosen: int) -> None:
        """Show a path."""
        if path is not self._path:
            self._path = path
            with self.slider.changed.blocked():
                self.slider.max = max(len(path) - 1, 1)
                self.slider.value = chosen
            self.slider.enabled = len(path) > 1
            self.plot.clear()
            self._marker = path.plot(self.plot.figure.add_subplot()).axvline(0.0, color="0.5")
            _, criteria = self.plot.figure.axes
            criteria.set_ylabel("lower is better")  # there is no room for more
        self._mark(chosen)

    def _mark(self, chosen: int) -> None:
        """Say which solution is chosen, and where it is in the plot."""
        if self._path is None:
            return
        point = self._path[chosen]
        k = point.mixture.n_components
        suggested = " (suggested)" if point is self._path.suggested else ""
        self.choice.value = f"s = {point.sparsity:g}: {count(k, 'component')}{suggested}"
        self._marker.set_xdata([point.sparsity] * 2)
        self.plot.draw()
