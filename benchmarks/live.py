"""How soon the picture follows a slider: live fits in a napari window.

From a change of *Sparsity* with *Live* on until napari has drawn a picture of a solution for the
new value: the first one, which may be a preview, the one that has converged so far that the eye
sees no difference, and the final one. Then a change that needs no fit: of what ellipses hold.

    python tools/with_display.py python benchmarks/live.py
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari import Viewer
from qtpy.QtCore import QObject
from report import Entry, Options, Row, main
from simulations import clusters
from window import opened_widget, wait

from napari_sparse_gmm.plugin.work import Progress

# (points, components, most ms from a slider to a picture)
FIELDS = ((10_000, 30, 300.0), (100_000, 30, 1500.0), (100_000, 300, 1500.0))
QUICK_FIELDS = ((2_000, 5, 300.0),)
SPARSITIES = (18.0, 15.0, 12.0, 10.0, 14.0, 16.0, 20.0, 24.0)
COVERAGES = (50.0, 90.0, 68.0, 95.0)
PATIENCE = 120.0  # seconds for one fit


@dataclass(frozen=True, eq=False)
class Seen:
    """Seconds from a change until the first picture, a good one and the last one were drawn."""

    first: float
    good: float
    last: float


class _Painted(QObject):
    """When pictures were put into a layer, and when the canvas had drawn them."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.expected: float | None = None
        self.put: list[float] = []
        self.at: list[float] = []
        # napari has no public way to its canvas.
        self._canvas = viewer.window._qt_viewer.canvas._scene_canvas
        self._canvas.events.draw.connect(self._drawn)

    def expect(self, _: object) -> None:
        self.expected = time.perf_counter()

    def _drawn(self, _: object) -> None:
        if self.expected is not None:
            self.put.append(self.expected)
            self.at.append(time.perf_counter())
            self.expected = None

    def stop(self) -> None:
        self._canvas.events.draw.disconnect(self._drawn)


def measure(options: Options) -> Iterator[Entry]:
    for n, m, most in QUICK_FIELDS if options.quick else FIELDS:
        viewer = Viewer(show=True)
        widget = opened_widget(viewer, clusters(n, m))
        widget.n_components.value, widget.background.value = m, True
        widget.random_state.value, widget.device.value = 0, options.device
        widget.run()
        _wait(lambda widget=widget: _idle(widget))
        widget.live.value = True
        _wait(lambda widget=widget: _idle(widget))
        seen = [watched(viewer, widget, sparsity) for sparsity in SPARSITIES]
        what = f"{n:,} points, {m} components"
        for name, values in (
            ("the first picture", [one.first for one in seen]),
            ("a good one", [one.good for one in seen]),
            ("the final one", [one.last for one in seen]),
        ):
            asked = name == "the first picture"
            middle, longest = 1e3 * np.median(values), 1e3 * max(values)
            yield Row(
                f"{what}: from the slider to {name}",
                f"median {middle:.0f} ms, longest {longest:.0f} of {len(values)}",
                f"at most {most:.0f} ms" if asked else "",
                bool(middle <= most) if asked else None,
            )
        yield _without_fit(viewer, widget, what)
        viewer.close()


def watched(viewer: Viewer, widget: Any, sparsity: float) -> Seen:
    """One change of the slider."""
    painted = _Painted(viewer)
    good: list[float] = []

    def told(progress: Progress) -> None:
        if progress.result is not None:
            good.append(time.perf_counter())

    layer = next(layer for layer in viewer.layers if layer.name.endswith("components"))
    layer.events.features.connect(painted.expect)
    began = time.perf_counter()
    widget.sparsity.value = sparsity
    _wait(lambda: widget._runner.job is not None)
    widget._runner._worker.yielded.connect(told)
    _wait(lambda: _idle(widget) and painted.expected is None)
    layer.events.features.disconnect(painted.expect)
    painted.stop()
    place = next((k for k, put in enumerate(painted.put) if good and put >= good[0] - 0.05), -1)
    return Seen(*(painted.at[k] - began for k in (0, place, -1)))


def _without_fit(viewer: Viewer, widget: Any, what: str) -> Row:
    layer = next(layer for layer in viewer.layers if layer.name.endswith("components"))
    put: list[float] = []
    layer.events.features.connect(lambda _: put.append(time.perf_counter()))
    took = []
    for coverage in COVERAGES:
        put.clear()
        began = time.perf_counter()
        widget.coverage.value = coverage
        _wait(lambda: bool(put))
        took.append(put[0] - began)
        _wait(lambda: _idle(widget))
    return Row(
        f"{what}: from a change of Ellipse holds to the new ellipses, without a fit",
        f"median {1e3 * np.median(took):.0f} ms",
    )


def _idle(widget: Any) -> bool:
    timers = (widget._refit_timer, widget._redraw_timer)
    return widget._runner.job is None and not any(timer.isActive() for timer in timers)


def _wait(until: Callable[[], bool]) -> None:
    """Let the window live, as napari's own event loop does, asleep while nothing happens."""
    late = time.monotonic() + PATIENCE
    wait(lambda: until() or time.monotonic() > late)
    if time.monotonic() > late:
        raise RuntimeError("The window did not do what it was asked for.")


if __name__ == "__main__":
    main(measure)
