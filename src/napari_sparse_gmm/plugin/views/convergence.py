"""How a fit goes on: the cost and the number of components over the iterations."""

from collections.abc import Callable, Sequence

import numpy as np
from qtpy.QtCore import QTimer

from napari_sparse_gmm.plugin.qt.canvas import Plot
from napari_sparse_gmm.plugin.tasks.pacing import PACING
from napari_sparse_gmm.plugin.tasks.task import Pass

# Of fits that follow each other, as along a path, so many are drawn, the latest ones.
_RUNS = 8


class ConvergenceView(Plot):
    """A plot that grows while a fit runs."""

    def __init__(self, theme: Callable[[], str]) -> None:
        super().__init__(theme)
        self._passes: list[Pass] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._plot)
        self.shown.connect(self._plot)
        self.setToolTip(
            "The cost that the fit lowers, penalty included, in nats per point; and how many "
            "components are left. Bold is the fit that came last; faint are those before it: from "
            "another start, of another group, or for another sparsity. One of them may be what is "
            "shown."
        )

    @property
    def passes(self) -> tuple[Pass, ...]:
        """What is shown."""
        return tuple(self._passes)

    def begin(self) -> None:
        """Another fit begins."""
        self._passes.clear()
        self._timer.start(int(1000 * PACING.plot_soon))

    def add(self, passes: Sequence[Pass]) -> None:
        """The fit went on."""
        if not passes:
            return
        self._passes.extend(passes)
        if not self._timer.isActive():
            self._timer.start(int(1000 * PACING.plot))

    def finish(self) -> None:
        """The fit is done: show all of it now."""
        self._timer.stop()
        self._plot()

    def _plot(self) -> None:
        # Before there is anything to see, Matplotlib is not needed.
        if not self.isVisible() or (self._canvas is None and not self._passes):
            return
        if not self.figure.axes:
            axes = self.figure.add_subplot()
            axes.set_xlabel("iteration")
            axes.set_ylabel("cost (nats per point)")
            axes.twinx().set_ylabel("components")
        left, right = self.figure.axes
        for line in [*left.lines, *right.lines]:
            line.remove()
        if self._passes:
            table = np.array(self._passes)
            begins = np.flatnonzero(np.diff(table[:, 0]) < 0) + 1
            *before, latest = np.split(table, begins)[-_RUNS:]
            for run, alpha in [*((run, 0.3) for run in before), (latest, 1.0)]:
                left.plot(run[:, 0], run[:, 1], color="C0", alpha=alpha)
                right.step(run[:, 0], run[:, 2], where="post", color="C1", alpha=alpha)
            for axes in (left, right):
                axes.relim()
                axes.autoscale_view()
            right.set_ylim(0, 1.05 * max(table[:, 2].max(), 1))
        self.draw()

    def draw(self) -> None:
        """The name of each axis in the colour of its line."""
        super().draw()
        for axes, colour in zip(self.figure.axes, ("C0", "C1"), strict=True):
            axes.yaxis.label.set_color(colour)
