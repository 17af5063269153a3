"""The main job in a window: the demo of the command line where there is a display."""

from pathlib import Path

import napari
from qtpy.QtCore import QTimer

from napari_sparse_gmm.writing import whole_file

PLUGIN = "napari-sparse-gmm"
WIDGET = "Sparse GMM density"

# From the end of the fit until its layers are on the screen.
_DRAWN_AFTER = 1000  # milliseconds


def show_demo(screenshot: Path | None = None) -> None:
    """Open napari with simulated localizations, fit them, and stay until it is closed.

    With `screenshot`, a PNG file to write, the window is pictured when the fit is shown, and
    closes: for a screen that nobody sees.
    """
    viewer = napari.Viewer(title="napari-sparse-gmm demo")
    viewer.window.resize(1400, 900)
    viewer.open_sample(PLUGIN, "smlm_clusters")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    # The canvas got its final size, beside the dock, only after the points were opened.
    viewer.layers.events.inserted.connect(lambda: viewer.reset_view())

    over = False

    def take() -> None:
        nonlocal over
        # The fit may have ended just before this tick: the next one is surely late enough.
        before, over = over, widget.run_button.enabled
        if not (before and over):
            return
        assert screenshot is not None  # or the timer would not run
        timer.stop()
        with whole_file(screenshot) as path:
            viewer.screenshot(str(path), canvas_only=False, flash=False)
        viewer.close()

    timer = QTimer()
    timer.setInterval(_DRAWN_AFTER)
    timer.timeout.connect(take)
    widget.run()
    if screenshot is not None:
        timer.start()
    napari.run()
