"""How long the window stands still while a fit runs: a 10 ms timer in napari's main thread.

A million points and 300 components, fitted from the dock widget in a real napari window, on
each engine: in a window that is left alone, in one that draws five times a second, and without
the window, where the same fit, errors and heatmap run in the main thread. Without a graphics card
the drawing itself is slow: the rows without a fit tell how slow. Showing the result, the layers
that napari makes and draws when the fit is over, has a row of its own. Then a Run of some thousand
points is compared with the lines of Python that it gives, and its stages are timed. Last a fit of
ten million points is cancelled at moments all over it: from the click that was due until Run can
be pressed.

    python tools/with_display.py python benchmarks/window.py
"""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from inspect import isgeneratorfunction
from io import StringIO
from typing import Any
from unittest.mock import patch

import numpy as np
from fits import engines, warm_up
from napari import Viewer
from napari.layers import Image
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtGui import QGuiApplication
from report import Entry, Options, Row, main
from simulations import Simulation, clusters
from sklearn.exceptions import ConvergenceWarning
from timing import readable, seconds

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.control.display import Display
from napari_sparse_gmm.plugin.points.source import Cloud
from napari_sparse_gmm.plugin.qt.clock import WindowClock
from napari_sparse_gmm.plugin.tasks import fit as tasks
from napari_sparse_gmm.plugin.tasks.fit import fit
from napari_sparse_gmm.plugin.tasks.task import at_once
from napari_sparse_gmm.plugin.tasks.values import FitRequest

N_POINTS, N_COMPONENTS, ITERATIONS, ROUNDS, IDLE = 1_000_000, 300, 60, 3, 10.0
QUICK_POINTS, QUICK_COMPONENTS, QUICK_ITERATIONS, QUICK_ROUNDS, QUICK_IDLE = 20_000, 30, 5, 1, 1.0
PATIENCE = 600.0  # seconds for one fit
USUAL, LONGEST, SLOWER = 50.0, 60.0, 1.2  # ms, ms, times
# Of a Run, and who does it.
STAGES: dict[str, tuple[Any, str]] = {
    "fit": (SparseGaussianMixture, "iter_fit"),
    "waiting for previews": (WindowClock, "wait"),
    "errors": (SparseGaussianMixture, "standard_errors"),
    "score": (SparseGaussianMixture, "score"),
    "heatmap": (tasks, "drawn"),
    "image": (Display, "show_picture"),
    "ellipses": (Display, "show_components"),
}
WAYS = {"left alone": False, "drawing": True}


@dataclass(frozen=True, eq=False)
class Watch:
    """What the timer saw: ms between its ticks during a fit, ms it took to show the result."""

    gaps: FloatArray
    showing: float
    seconds: float


def measure(options: Options) -> Iterator[Entry]:
    n, m = (QUICK_POINTS, QUICK_COMPONENTS) if options.quick else (N_POINTS, N_COMPONENTS)
    simulated = clusters(n, m)
    viewer = Viewer(show=True)
    widget = opened_widget(viewer, simulated)
    widget.find.value, widget.n_components.value = "sparse", m
    widget.max_iter.value = QUICK_ITERATIONS if options.quick else ITERATIONS
    widget.random_state.value = 0
    widget.device.value = options.device
    idle = QUICK_IDLE if options.quick else IDLE
    for name, draws in WAYS.items():
        end = time.monotonic() + idle
        yield _spread(f"no fit, window {name}", [watched(viewer, draws, _until(end))], asked=False)
    for engine in engines(options.device):
        warm_up(engine, options.device, 2)
    first = watched_fit(viewer, widget, draws=False)
    yield Row("showing the first result, in new layers", f"{first.showing:.0f} ms")
    for engine in engines(options.device):
        yield from _fits(viewer, widget, engine, options)
    viewer.close()
    yield from _as_its_script(options)
    yield _cancelled(options)


def opened_widget(viewer: Viewer, simulated: Simulation) -> Any:
    """The dock widget, with the points chosen in it."""
    # The window draws some thousand points; a million would be slow to draw by themselves.
    layer = viewer.add_points(simulated.points, name="localizations", visible=False)
    viewer.add_points(simulated.points[:: len(simulated.points) // 5000 + 1], size=50, name="some")
    viewer.reset_view()
    _, widget = viewer.window.add_plugin_dock_widget("napari-sparse-gmm", "Sparse GMM density")
    widget.points.value = layer
    wait(_until(time.monotonic() + 3))
    return widget


def _fits(viewer: Viewer, widget: Any, engine: str, options: Options) -> Iterator[Row]:
    widget.engine.value = engine
    cloud = widget.form.source().read()
    seen: dict[str, list[Watch]] = {name: [] for name in WAYS}
    without = []
    for _ in range(QUICK_ROUNDS if options.quick else ROUNDS):
        for name, draws in WAYS.items():
            seen[name].append(watched_fit(viewer, widget, draws))
        without.append(seconds(lambda: fit_without_window(widget, cloud)))
    alone = float(np.median(without))
    for name, watches in seen.items():
        yield _spread(f"{engine}, window {name}", watches, asked=True)
        ratio = float(np.median([watch.seconds for watch in watches])) / alone
        yield Row(
            f"{engine}, window {name}: fit and heatmap against the same without a window",
            f"{ratio:.2f} times ({readable(ratio * alone)}, {readable(alone)})",
            f"at most {SLOWER} times",
            ratio <= SLOWER,
        )
        showing = max(watch.showing for watch in watches)
        yield Row(f"{engine}, window {name}: showing the result", f"{showing:.0f} ms")


def _as_its_script(options: Options) -> Iterator[Row]:
    """Some thousand localizations with their precision, all else by default."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 3000, (150, 2))
    molecules = np.concatenate(
        [
            centres[rng.integers(150, size=1700)] + rng.normal(0, 6.0, (1700, 2)),
            rng.uniform(0, 3000, (900, 2)),
        ]
    )
    precision = rng.uniform(5.0, 20.0, len(molecules))
    points = molecules + precision[:, None] * rng.normal(size=molecules.shape)
    viewer = Viewer(show=True)
    viewer.add_points(points, features={"precision": precision}, units="nm", size=10)
    viewer.reset_view()
    _, widget = viewer.window.add_plugin_dock_widget("napari-sparse-gmm", "Sparse GMM density")
    wait(_until(time.monotonic() + 3))
    runs, scripts = [], []
    for _ in range(QUICK_ROUNDS if options.quick else 1 + ROUNDS):
        with stopwatches() as taken:
            start = time.perf_counter()
            widget.run()
            wait(lambda: widget.run_button.enabled)
            runs.append({"all": time.perf_counter() - start, **taken})
        wait(lambda: widget.idle)
        widget.copy_python()
        with warnings.catch_warnings(), stopwatches() as taken:
            warnings.simplefilter("ignore", ConvergenceWarning)
            script = compile(QGuiApplication.clipboard().text(), "script", "exec")
            with redirect_stdout(StringIO()):
                own = seconds(lambda: exec(script, {"viewer": viewer}))  # noqa: B023
            scripts.append({"all": own, **taken})
    viewer.close()
    run, own = (
        {name: float(np.median([one[name] for one in rounds[1:] or rounds])) for name in rounds[0]}
        for rounds in (runs, scripts)
    )
    what = f"{len(points):,} localizations with their precision: "
    for name, label in (
        ("all", "Run against its own “Copy as Python”"),
        ("fit", "the fit in both"),
    ):
        ratio = run[name] / own[name]
        yield Row(
            what + label,
            f"{ratio:.2f} times ({readable(run[name])}, {readable(own[name])})",
            "at most 1.1 times",
            ratio <= 1.1,
        )
    rest = run["all"] - sum(seconds for name, seconds in run.items() if name != "all")
    parts = [f"{name} {1e3 * run[name]:.0f}" for name in STAGES if name != "fit"]
    yield Row(what + "what else Run does, in ms", ", ".join([*parts, f"the rest {1e3 * rest:.0f}"]))


@contextmanager
def stopwatches() -> Iterator[dict[str, float]]:
    """How many seconds the stages of a fit take meanwhile, in whichever thread."""
    taken = dict.fromkeys(STAGES, 0.0)

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed_call(*arguments: Any, **keywords: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*arguments, **keywords)
            finally:
                taken[name] += time.perf_counter() - start

        return timed_call

    def timed_steps(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Between two steps others have the thread."""

        def steps(*arguments: Any, **keywords: Any) -> Iterator[Any]:
            generator = call(*arguments, **keywords)
            step = timed(name, generator.__next__)
            while True:
                try:
                    item = step()
                except StopIteration as stop:
                    return stop.value
                yield item

        return steps

    with ExitStack() as stack:
        for name, (owner, attribute) in STAGES.items():
            call = getattr(owner, attribute)
            kind = timed_steps if isgeneratorfunction(call) else timed
            stack.enter_context(patch.object(owner, attribute, kind(name, call)))
        yield taken


def _cancelled(options: Options) -> Row:
    n, m = (200_000, 100) if options.quick else (10_000_000, 2000)
    viewer = Viewer(show=True)
    widget = opened_widget(viewer, clusters(n, m))
    widget.prior.value, widget.background.value, widget.init.value = "mml", True, "density"
    widget.n_components.value, widget.random_state.value = 2 * m, 0
    delays = []
    for moment in (0, 100, 300, 600, 1000, 1500, 2000, 3000, 4000, 6000):
        widget.run()
        due = time.perf_counter() + 1e-3 * moment
        clicked: list[float] = []

        def click(clicked: list[float] = clicked) -> None:
            widget.cancel_button.native.click()
            clicked.append(time.perf_counter())

        QTimer.singleShot(moment, click)
        wait(lambda clicked=clicked: bool(clicked) and widget.run_button.enabled)
        delays.append(time.perf_counter() - due)
        wait(_until(time.monotonic() + 3.0))  # until the thread has ended
    viewer.close()
    return Row(
        f"{n:,} points: from Cancel to the return of the buttons",
        f"median {readable(float(np.median(delays)))}, longest {readable(max(delays))} of "
        f"{len(delays)}",
        "at most 0.5 s",
        max(delays) <= 0.5,
    )


def _spread(what: str, watches: list[Watch], *, asked: bool) -> Row:
    gaps = np.concatenate([watch.gaps for watch in watches])
    usual, longest = np.quantile(gaps, 0.99), gaps.max()
    return Row(
        f"{what}: ms between ticks",
        f"median {np.median(gaps):.0f}, 99 % {usual:.0f}, longest {longest:.0f} of {len(gaps)}",
        f"99 % at most {USUAL:.0f}, longest {LONGEST:.0f}" if asked else "",
        bool(usual <= USUAL and longest <= LONGEST) if asked else None,
    )


def watched_fit(viewer: Viewer, widget: Any, draws: bool) -> Watch:
    """One fit from the widget."""
    late = _until(time.monotonic() + PATIENCE)
    watch = watched(viewer, draws, lambda: widget.run_button.enabled or late(), widget.run)
    if not _heatmaps(viewer) or late():
        raise RuntimeError(f"The fit in the window came to nothing: {widget.status.value}")
    wait(_until(time.monotonic() + 1))
    return watch


def _heatmaps(viewer: Viewer) -> list[Image]:
    return [layer for layer in viewer.layers if isinstance(layer, Image)]


def watched(
    viewer: Viewer,
    draws: bool,
    until: Callable[[], bool],
    started: Callable[[], None] = lambda: None,
) -> Watch:
    """What a 10 ms timer sees, in a window that draws or does not."""
    ticks: list[float] = []
    shown: list[float] = []
    timer, mover = QTimer(), QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))

    def move_camera() -> None:
        viewer.scene.camera.zoom *= 1.01 if len(ticks) % 2 else 1 / 1.01

    def note(_: object) -> None:
        shown.append(time.perf_counter())

    mover.timeout.connect(move_camera)
    # A result is shown in new layers the first time, then in the same.
    showing = [viewer.layers.events.inserting, *(layer.events.data for layer in _heatmaps(viewer))]
    for event in showing:
        event.connect(note)
    timer.start(10)
    if draws:
        mover.start(200)
    start = time.perf_counter()
    started()
    wait(until)
    end = time.perf_counter()
    wait(_until(time.monotonic() + 0.1))  # the tick after the last
    timer.stop()
    mover.stop()
    for event in showing:
        event.disconnect(note)
    times = np.array(ticks)
    gaps = 1e3 * np.diff(times)
    during = times[1:] <= (shown[0] if shown else end)
    return Watch(gaps[during], float(gaps[~during].max(initial=0.0)), end - start)


def fit_without_window(widget: Any, cloud: Cloud) -> None:
    """What the widget's thread computes: the fit, its errors, the heatmap; and previews of it."""
    settings, choice = widget.estimator_parameters(), widget.heatmap_choice()
    at_once(fit(FitRequest(cloud.observations, settings, choice, cloud.frame)))


def wait(until: Callable[[], bool]) -> None:
    """Let the window live, as napari's own event loop does: asleep while nothing happens."""
    loop, check = QEventLoop(), QTimer()
    check.timeout.connect(lambda: loop.quit() if until() else None)
    check.start(20)
    loop.exec()
    check.stop()


def _until(end: float) -> Callable[[], bool]:
    return lambda: time.monotonic() >= end


if __name__ == "__main__":
    main(measure)
