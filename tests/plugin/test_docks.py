"""The docks in a window of 1280 x 720 pixels, which stays as it is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget

from napari_sparse_gmm.plugin.qt.docking import Docking

PLUGIN = "napari-sparse-gmm"
DENSITY, *OTHERS = NAMES = [
    f"Sparse GMM {each}"
    for each in ("density", "batch", "conditions", "two channels", "merge repeats", "score")
]
SENTENCES = "A sentence of some words. " * 30


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any], qtbot: QtBot) -> Any:
    viewer = make_napari_viewer(show=True)
    viewer.add_points(np.random.default_rng(0).normal(size=(80, 2)), name="L")
    viewer.window._qt_window.resize(1280, 720)
    qtbot.wait(100)
    return viewer


def opened(viewer: Any, name: str) -> tuple[QDockWidget, Any]:
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name)
    parent = widget.native
    while not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent, widget


def test_docks_are_low_tabs_and_the_window_keeps_its_size(viewer: Any, qtbot: QtBot) -> None:
    window, docks = viewer.window._qt_window, []
    size = window.size()
    for name in NAMES:
        dock, widget = opened(viewer, name)
        docks.append(dock)
        widget.status.value = SENTENCES
        qtbot.wait(100)
        # It is the tab in front.
        button = widget.cancel_button.native
        qtbot.waitUntil(lambda seen=button: not seen.visibleRegion().isEmpty())
        assert dock.minimumSizeHint().height() <= 250, name
        assert window.size() == size
    assert set(window.tabifiedDockWidgets(docks[0])) == set(docks[1:])
    assert docks[-1].width() < 500


def test_a_dock_that_somebody_has_moved_stays_there(viewer: Any, qtbot: QtBot) -> None:
    window = viewer.window._qt_window
    first, _ = opened(viewer, DENSITY)
    second, _ = opened(viewer, OTHERS[0])
    qtbot.waitUntil(lambda: second in window.tabifiedDockWidgets(first))
    window.removeDockWidget(second)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, second)
    second.hide()
    second.show()
    qtbot.wait(100)
    assert second.findChild(Docking) is not None
    assert not window.tabifiedDockWidgets(first)
