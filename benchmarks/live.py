"""How soon the picture follows a slider: live fits in a napari window.

From a change of *Sparsity* with *Live* on until napari has drawn a picture of a solution for the
new value: the first one, which may be a preview; a good one, as which counts the first that has at
most 1% of its density elsewhere than the final one (their distance in total variation); and the
final one. Then a slider that is dragged, with a change each 16 ms: how many pictures there are in a
second of that. Last a change that needs no fit: of what ellipses hold.

    python tools/with_display.py python benchmarks/live.py
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Shapes
from qtpy.QtCore import QObject, QTimer
from report import Entry, Options, Row, main
from simulations import clusters
from window import opened_widget, wait

from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

# (points, components, most ms from a slider to a picture)
FIELDS = ((10_000, 30, 300.0), (100_000, 30, 1500.0), (100_000, 300, 1500.0))
QUICK_FIELDS = ((2_000, 5, 300.0),)
SPARSITIES = (18.0, 15.0, 12.0, 10.0, 14.0, 16.0, 20.0, 24.0)
COVERAGES = (50.0, 90.0, 68.0, 95.0)
DRAG, MOVE = 4.0, 16  # seconds, and milliseconds between two changes
PATIENCE = 120.0  # seconds for one fit
# A picture is good where no more of its density is elsewhere than in the final one.
MOVED = 0.01


@dataclass(frozen=True, eq=False)
class Seen:
    """Seconds from a change until the first picture, a good one and the last one were drawn."""

    first: float
    good: float
    last: float


class _Painted(QObject):
    """When the canvas had drawn which mixture, after it was put into the layer of ellipses."""

    def __init__(self, viewer: Viewer, widget: Any) -> None:
        super().__init__()
        self.expected = False
        self.at: list[tuple[float, GaussianMixture]] = []
        self._widget = widget
        self._layer = _components(viewer)
        self._layer.events.features.connect(self._put)
        # napari has no public way to its canvas.
        self._canvas = viewer.window._qt_viewer.canvas._scene_canvas
        self._canvas.events.draw.connect(self._drawn)

    def _put(self, _: object) -> None:
        self.expected = True

    def _drawn(self, _: object) -> None:
        if self.expected:
            controller = self._widget.controller
            fitting = controller.state.fitting
            shown = controller.chosen_fit if fitting is None else fitting.shown
            (mixture,) = (shown or controller.chosen_fit).model.mixtures
            self.at.append((time.perf_counter(), mixture))
            self.expected = False

    def stop(self) -> None:
        self._layer.events.features.disconnect(self._put)
        self._canvas.events.draw.disconnect(self._drawn)


def measure(options: Options) -> Iterator[Entry]:
    for n, m, most in QUICK_FIELDS if options.quick else FIELDS:
        viewer = Viewer(show=True)
        widget = opened_widget(viewer, clusters(n, m))
        widget.find.value = "sparse"
        widget.n_components.value, widget.background.value = m, True
        widget.random_state.value, widget.device.value = 0, options.device
        widget.run()
        _wait(lambda widget=widget: widget.idle)
        widget.live.value = True
        _wait(lambda widget=widget: widget.idle)
        seen = [watched(viewer, widget, sparsity) for sparsity in SPARSITIES]
        what = f"{n:,} points, {m} components"
        for name, values in (
            ("the first picture", [one.first for one in seen]),
            ("a good one", [one.good for one in seen]),
            ("the final one", [one.last for one in seen]),
        ):
            asked = name == "a good one"
            middle, longest = 1e3 * np.median(values), 1e3 * max(values)
            yield Row(
                f"{what}: from the slider to {name}",
                f"median {middle:.0f} ms, longest {longest:.0f} of {len(values)}",
                f"at most {most:.0f} ms" if asked else "",
                bool(middle <= most) if asked else None,
            )
        yield _dragged(viewer, widget, what)
        yield _without_fit(viewer, widget, what)
        viewer.close()


def watched(viewer: Viewer, widget: Any, sparsity: float) -> Seen:
    """One change of the slider."""
    painted = _Painted(viewer, widget)
    began = time.perf_counter()
    widget.sparsity.value = sparsity
    _wait(lambda: widget.cancel_button.enabled)
    _wait(lambda: widget.idle and not painted.expected)
    painted.stop()
    last, final = painted.at[-1]
    points = widget.controller.chosen_fit.asked.cloud.points
    good = next(at for at, mixture in painted.at if _moved(mixture, final, points) <= MOVED)
    return Seen(painted.at[0][0] - began, good - began, last - began)


def _dragged(viewer: Viewer, widget: Any, what: str) -> Row:
    """A hand that moves a slider up and down."""
    painted = _Painted(viewer, widget)
    began = time.perf_counter()
    moves = itertools.cycle([*np.linspace(10.0, 25.0, 60), *np.linspace(25.0, 10.0, 60)])
    mover = QTimer()
    mover.timeout.connect(lambda: setattr(widget.sparsity, "value", next(moves)))
    mover.start(MOVE)
    _wait(lambda: time.perf_counter() > began + DRAG)
    mover.stop()
    at = np.array([0.0, *(at - began for at, _ in painted.at), DRAG])
    _wait(lambda: widget.idle)
    painted.stop()
    return Row(
        f"{what}: pictures while the slider is dragged",
        f"{(len(at) - 2) / DRAG:.1f} a second, never longer than {1e3 * np.diff(at).max():.0f} ms "
        "without one",
    )


def _moved(one: GaussianMixture, other: GaussianMixture, points: FloatArray) -> float:
    """Their distance in total variation; `points` are nearly a sample of `other`."""
    ratio = np.exp(one.log_density(points) - other.log_density(points))
    return float(0.5 * np.abs(ratio - 1).mean())


def _without_fit(viewer: Viewer, widget: Any, what: str) -> Row:
    layer = _components(viewer)
    put: list[float] = []
    layer.events.features.connect(lambda _: put.append(time.perf_counter()))
    took = []
    for coverage in COVERAGES:
        put.clear()
        began = time.perf_counter()
        widget.coverage.value = coverage
        _wait(lambda: bool(put))
        took.append(put[0] - began)
        _wait(lambda: widget.idle)
    return Row(
        f"{what}: from a change of Ellipse holds to the new ellipses, without a fit",
        f"median {1e3 * np.median(took):.0f} ms",
    )


def _components(viewer: Viewer) -> Shapes:
    return next(layer for layer in viewer.layers if layer.name.endswith("components"))


def _wait(until: Callable[[], bool]) -> None:
    """Let the window live, as napari's own event loop does, asleep while nothing happens."""
    late = time.monotonic() + PATIENCE
    wait(lambda: until() or time.monotonic() > late)
    if time.monotonic() > late:
        raise RuntimeError("The window did not do what it was asked for.")


if __name__ == "__main__":
    main(measure)
