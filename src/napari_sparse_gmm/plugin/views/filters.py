"""Which points are fitted: ranges of their features, each with its histogram."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox, Container, LineEdit, PushButton
from napari.layers import Points
from psygnal import Signal
from qtpy.compat import isalive

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin.points.features import in_range, numeric_features
from napari_sparse_gmm.plugin.qt.canvas import Plot
from napari_sparse_gmm.plugin.qt.status_line import status_line
from napari_sparse_gmm.plugin.views.histogram import bins
from napari_sparse_gmm.ranges import Range

# In the metadata of a Points layer: the ranges that were chosen for it, by the names of features.
RANGES_KEY = "napari-sparse-gmm ranges"

# Of more points than this some are enough for a histogram.
_MOST = 100_000


class FilterView(Container):
    """A feature of the points with its histogram, and the range in which points are fitted.

    Parameters
    ----------
    theme : callable
        The name of the viewer's theme.
    """

    ranges_changed = Signal()

    def __init__(self, theme: Callable[[], str]) -> None:
        self._layer: Points | None = None
        self.feature = ComboBox(
            name="feature",
            choices=lambda _: [] if self._layer is None else numeric_features(self._layer),
            tooltip="The feature of the points, such as photons, whose range is shown. Ranges of "
            "several features hold together.",
        )
        self.low = LineEdit(name="low", tooltip="Points below are left out of the fit.")
        self.high = LineEdit(name="high", tooltip="Points above are left out of the fit.")
        self.clear_button = PushButton(
            name="clear_button", text="Clear", tooltip="Take points of all values of all features."
        )
        self.left = status_line("left")
        self.plot = Plot(theme)
        limits = Container(
            widgets=[self.feature, self.low, self.high, self.clear_button],
            layout="horizontal",
            labels=False,
        )
        limits.margins = (0, 0, 0, 0)
        super().__init__(widgets=[limits, self.left], labels=False)
        self.margins = (0, 0, 0, 0)
        self.native.layout().addWidget(self.plot, 1)
        self.feature.changed.connect(self._show)
        # When somebody has done with writing a number, and not at each figure of it.
        for limit in (self.low, self.high):
            limit.native.editingFinished.connect(self._on_edited)
        self.clear_button.clicked.connect(lambda: self.show_ranges(()))
        self.plot.shown.connect(self._draw)

    @property
    def ranges(self) -> tuple[Range, ...]:
        """Those of the layer, in the order of their names."""
        found = {} if self._layer is None else self._layer.metadata.get(RANGES_KEY, {})
        return tuple(found[name] for name in sorted(found))

    def show_layer(self, layer: Points | None) -> None:
        """Show the features of a layer, and its ranges."""
        if self._layer is not None:
            self._layer.events.features.disconnect(self._offer)
        self._layer = layer
        if layer is not None:
            layer.events.features.connect(self._offer)
        self._offer()

    def show_ranges(self, ranges: tuple[Range, ...]) -> None:
        """Set those of the layer."""
        if self._layer is not None and ranges != self.ranges:
            self._layer.metadata[RANGES_KEY] = {each.name: each for each in ranges}
            self.ranges_changed.emit()
        self._show()

    def _offer(self, _: object = None) -> None:
        before = self.feature.value
        with self.feature.changed.blocked():
            self.feature.reset_choices()
            if before in self.feature.choices:
                self.feature.value = before
        self._show()

    def _on_edited(self) -> None:
        if self._layer is None or self.feature.value is None:
            return
        name = self.feature.value
        try:
            low = float(self.low.value.strip() or -math.inf)
            high = float(self.high.value.strip() or math.inf)
            chosen = Range(name, low, high)
        except ValueError as error:  # of which InputError is one
            wrong = isinstance(error, InputError)
            self.left.value = str(error) if wrong else "A limit of a range must be a number."
            return
        others = tuple(each for each in self.ranges if each.name != name)
        everything = math.isinf(chosen.low) and math.isinf(chosen.high)
        self.show_ranges(others if everything else (*others, chosen))

    def _show(self, _: object = None) -> None:
        own = {each.name: each for each in self.ranges}.get(self.feature.value)
        low, high = (-math.inf, math.inf) if own is None else (own.low, own.high)
        self.low.value = "" if math.isinf(low) else f"{low:.10g}"
        self.high.value = "" if math.isinf(high) else f"{high:.10g}"
        values = self._values()
        for limit, end in ((self.low, np.min), (self.high, np.max)):
            limit.native.setPlaceholderText(f"{end(values):.4g}" if len(values) else "")
        self.left.value = self._sentence()
        self._draw()

    def _values(self) -> Any:
        """Those of the feature that are numbers."""
        if self._layer is None or self.feature.value is None:
            return np.empty(0)
        values = np.asarray(self._layer.features[self.feature.value], dtype=np.float64)
        return values[np.isfinite(values)]

    def _sentence(self) -> str:
        """How many points are left."""
        if self._layer is None or self.feature.value is None:
            return "The points have no features of numbers to filter by."
        n = len(self._layer.data)
        if not self.ranges:
            return f"All {n:,} points are taken."
        try:
            left = np.logical_and.reduce([in_range(self._layer, each) for each in self.ranges])
        except InputError as error:
            return str(error)
        limits = " and ".join(map(str, self.ranges))
        return f"{np.count_nonzero(left):,} of {n:,} points are left: {limits}."

    def _draw(self, _: object = None) -> None:
        if not isalive(self.plot) or not self.plot.isVisible():
            return
        self.plot.clear()
        values = self._values()
        if len(values):
            axes = self.plot.figure.add_subplot()
            axes.hist(values, bins=bins(values[:: 1 + len(values) // _MOST]).tolist(), color="C0")
            if (values > 0).all() and values.max() > 20 * values.min():
                axes.set_xscale("log")
            left, right = axes.get_xlim()
            for each in self.ranges:
                if each.name == self.feature.value:
                    axes.axvspan(max(left, each.low), min(right, each.high), color="C1", alpha=0.3)
            axes.set_xlim(left, right)
            axes.set_xlabel(self.feature.value)
            axes.set_ylabel("points")
        self.plot.draw()
