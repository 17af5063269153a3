"""How long the window stands still while a fit runs: a 10 ms timer in napari's main thread.

A million points and 300 components, fitted from the dock widget in a real napari window, on
each engine: once in a window that is left alone, once in one that draws five times a second.
Without a graphics card the drawing itself is slow; the rows without a fit tell how slow.

    python tools/with_display.py python benchmarks/window.py [--seconds 20]
"""

import argparse
import time

import numpy as np
from napari import Viewer
from napari.components import ViewerModel
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QApplication

N_POINTS, N_COMPONENTS = 1_000_000, 300


def clusters() -> np.ndarray:
    """300 round clusters in a field of 50 um, in nm."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 50_000, (N_COMPONENTS, 2))
    return centres[rng.integers(N_COMPONENTS, size=N_POINTS)] + rng.normal(0, 40, (N_POINTS, 2))


def wait(seconds: float, until=lambda: False) -> None:
    """Let the window live for some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)


def gaps(viewer: ViewerModel, draws: bool, seconds: float, until=lambda: False) -> np.ndarray:
    """Milliseconds between the ticks of a 10 ms timer, in a window that draws or does not."""
    ticks: list[float] = []
    timer, mover = QTimer(), QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))

    def move_camera() -> None:
        viewer.scene.camera.zoom *= 1.01 if len(ticks) % 2 else 1 / 1.01

    mover.timeout.connect(move_camera)
    timer.start(10)
    if draws:
        mover.start(200)
    wait(seconds, until)
    timer.stop()
    mover.stop()
    return 1e3 * np.diff(ticks)


def report(engine: str, draws: bool, times: np.ndarray) -> None:
    """One row of the table."""
    print(
        f"{engine:7} {'yes' if draws else 'no':6} {len(times):6d} {np.median(times):8.1f}"
        f" {np.quantile(times, 0.99):6.1f} {times.max():9.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    viewer = Viewer(show=True)
    points = clusters()
    # The window draws some thousand points; a million would be slow to draw by themselves.
    layer = viewer.add_points(points, name="localizations", visible=False)
    viewer.add_points(points[::200], size=50, name="some of them")
    viewer.reset_view()
    _, widget = viewer.window.add_plugin_dock_widget("napari-sparse-gmm", "Sparse GMM density")
    widget.points.value = layer
    widget.n_components.value = N_COMPONENTS
    widget.random_state.value = 0
    wait(3)
    print("milliseconds between ticks of a 10 ms timer")
    print("fit     draws   ticks   median   99 %   longest")
    for draws in (False, True):
        report("none", draws, gaps(viewer, draws, seconds))
    for engine in ("torch", "keops"):
        widget.engine.value = engine
        for draws in (False, True):
            widget.run()
            wait(30, lambda: widget.progress.native.format().startswith("Iteration"))
            report(engine, draws, gaps(viewer, draws, seconds, lambda: widget.run_button.enabled))
            widget.cancel()
            wait(120, lambda: widget.run_button.enabled)
    viewer.close()


if __name__ == "__main__":
    main()
