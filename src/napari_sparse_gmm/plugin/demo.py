"""The main job in a window: the demo of the command line where there is a display."""

import napari

PLUGIN = "napari-sparse-gmm"
WIDGET = "Sparse GMM density"


def show_demo() -> None:
    """Open napari with simulated localizations, fit them, and stay until it is closed."""
    viewer = napari.Viewer(title="napari-sparse-gmm demo")
    viewer.open_sample(PLUGIN, "smlm_clusters")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    # With a background, little sparsity is enough: the scattered points need no components.
    widget.background.value = True
    widget.sparsity.value = 4.0
    widget.random_state.value = 0
    # The canvas got its final size, beside the dock, only after the points were opened.
    viewer.layers.events.inserted.connect(lambda: viewer.reset_view())
    widget.run()
    napari.run()
