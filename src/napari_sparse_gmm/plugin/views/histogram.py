"""How a column of the table of components is distributed."""

from collections.abc import Callable

import numpy as np
from magicgui.widgets import ComboBox, Container
from napari.layers import Shapes
from numpy.typing import NDArray
from qtpy.compat import isalive

from napari_sparse_gmm.plugin.qt.canvas import Plot

# What is shown at first.
_FIRST = "expected_points"

# Bars, at most.
_MOST_BARS = 40


class HistogramView(Container):
    """A histogram of one of the columns of a table, and within it that of the rows selected.

    Parameters
    ----------
    theme : callable
        The name of the viewer's theme.
    """

    def __init__(self, theme: Callable[[], str]) -> None:
        self._values: dict[str, NDArray[np.float64]] = {}
        self._layer: Shapes | None = None
        self.column = ComboBox(
            name="column",
            choices=lambda _: list(self._values),
            tooltip="The column of the table that is shown: each component counts once.",
        )
        self.plot = Plot(theme)
        super().__init__(widgets=[self.column], labels=False)
        self.margins = (0, 0, 0, 0)
        self.native.layout().addWidget(self.plot)
        self.column.changed.connect(self._draw)
        self.plot.shown.connect(self._draw)

    def show_layer(self, layer: Shapes | None) -> None:
        """Show the features of a layer, or none; the column stays, where they have it."""
        if self._layer is not None:
            self._layer.selected_data.events.items_changed.disconnect(self._draw)
        self._layer = layer
        if layer is not None:
            layer.selected_data.events.items_changed.connect(self._draw)
        numbers = {} if layer is None else dict(layer.features.select_dtypes("number"))
        self._values = {
            name: column.to_numpy(dtype=np.float64)
            for name, column in numbers.items()
            if "_error" not in name
        }
        before = self.column.value
        with self.column.changed.blocked():
            self.column.reset_choices()
            for name in (_FIRST, before):
                if name in self._values:
                    self.column.value = name
        self._draw()

    def _draw(self, _: object = None) -> None:
        if not isalive(self.plot) or not self.plot.isVisible():
            return
        self.plot.clear()
        name = self.column.value
        values = self._values.get(name, np.empty(0))
        rows = [] if self._layer is None else sorted(self._layer.selected_data)
        chosen = values[[row for row in rows if row < len(values)]]
        values = values[np.isfinite(values)]
        if len(values):
            axes, edges = self.plot.figure.add_subplot(), bins(values).tolist()
            axes.hist(values, bins=edges, color="C0")
            if len(chosen):
                axes.hist(chosen[np.isfinite(chosen)], bins=edges, color="C1", label="selected")
                axes.legend()
            axes.set_xlabel(name)
            axes.set_ylabel("components")
            if (values > 0).all() and values.max() > 20 * values.min():
                axes.set_xscale("log")
        self.plot.draw()


def bins(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The edges of bars: by the rule of Freedman and Diaconis (1981), not too many; of values over
    more than a decade of equal ratios.
    """
    wide = (values > 0).all() and values.max() > 20 * values.min()
    x = np.log(values) if wide else values
    edges = np.histogram_bin_edges(x, "fd" if len(np.unique(x)) > 1 else 1)
    if len(edges) > _MOST_BARS:
        edges = np.linspace(edges[0], edges[-1], _MOST_BARS + 1)
    return np.exp(edges) if wide else edges
