"""A hundred things that a user does, in any order: nothing breaks, and nothing is kept."""

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Points
from napari.utils.notifications import (
    Notification,
    NotificationSeverity,
    notification_manager,
)
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QWidget

from napari_sparse_gmm.plugin.layers.model_metadata import MODEL_KEY
from napari_sparse_gmm.samples import smlm_clusters

pytestmark = pytest.mark.long

PLUGIN, WIDGET = "napari-sparse-gmm", "Sparse GMM density"
N_ACTIONS = 100
LONG = 60_000  # milliseconds

# How much more may be kept than what napari keeps of the same layers, in MB: the C library gives
# back no pages that something else is on, too.
KEPT = 25.0


def memory() -> float:
    """What the process holds, in MB, but for what nobody uses any more.

    A dock that was closed is a cycle of some thousand objects. What Qt calls of them it lets go of
    in its event loop, so the loop and the collector take turns; and the C library keeps what was
    freed, for later.
    """
    for _ in range(4):
        gc.collect()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        QCoreApplication.processEvents()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class User:
    """Does one thing after the other, not waiting for what the one before began."""

    def __init__(self, viewer: Any, folder: Path, seed: int) -> None:
        self.viewer, self.folder, self.rng = viewer, folder, np.random.default_rng(seed)
        self.path = str(folder / "locs.csv")
        points = smlm_clusters().points
        np.savetxt(self.path, points, delimiter=",", header="y [nm],x [nm]", comments="")
        self.n_docks = 0
        self.open_dock()

    def open_dock(self) -> None:
        self.dock, self.widget = self.viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        self.widget.longest_side.value = 64
        self.widget.n_components.value = 20
        self.widget.sparsity.value = 4.0
        self.n_docks += 1

    def close_dock(self) -> None:
        self.dock.destroyOnClose()
        self.open_dock()

    def open_points(self) -> None:
        if sum(isinstance(layer, Points) for layer in self.viewer.layers) < 3:
            self.viewer.open(self.path, plugin=PLUGIN)

    def choose(self) -> None:
        if self.widget.points.choices:
            choices = self.widget.points.choices
            self.widget.points.value = choices[self.rng.integers(len(choices))]

    def run(self) -> None:
        self.widget.run_button.native.click()

    def cancel(self) -> None:
        self.widget.cancel_button.native.click()

    def live(self) -> None:
        self.widget.live.value = not self.widget.live.value
        self.widget.sparsity.value = self.rng.uniform(2, 20)

    def colour(self) -> None:
        self.widget.annotate.value = not self.widget.annotate.value

    def table(self) -> None:
        self.widget.table_button.native.click()

    def remove(self) -> None:
        if self.viewer.layers:
            self.viewer.layers.pop(int(self.rng.integers(len(self.viewer.layers))))

    def remove_all(self) -> None:
        self.viewer.layers.select_all()
        self.viewer.layers.remove_selected()

    def save(self) -> None:
        with_model = [layer for layer in self.viewer.layers if MODEL_KEY in layer.metadata]
        if with_model:
            with_model[0].save(str(self.folder / "cells.gmm.json"), plugin=PLUGIN)

    def load(self) -> None:
        if (self.folder / "cells.gmm.json").exists() and len(self.viewer.layers) < 12:
            self.viewer.open(str(self.folder / "cells.gmm.json"), plugin=PLUGIN)

    ACTIONS = (
        *[open_points] * 2,
        choose,
        *[run] * 3,
        cancel,
        live,
        colour,
        table,
        close_dock,
        remove,
        remove_all,
        save,
        load,
    )

    def act(self, qtbot: QtBot, n: int) -> None:
        for _ in range(n):
            self.ACTIONS[self.rng.integers(len(self.ACTIONS))](self)
            qtbot.wait(int(self.rng.integers(600)))

    def settle(self, qtbot: QtBot) -> None:
        """Everything is over, and the window is empty."""
        self.widget.live.value = False
        qtbot.waitUntil(lambda: self.widget.idle, timeout=LONG)
        self.remove_all()
        self.close_dock()
        qtbot.wait(500)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the memory of a process")
@pytest.mark.parametrize("seed", [0, 1])
def test_a_hundred_actions(
    make_napari_viewer_proxy: Callable[[], Any], qtbot: QtBot, tmp_path: Path, seed: int
) -> None:
    told: list[Notification] = []
    notification_manager.notification_ready.connect(told.append)
    viewer = make_napari_viewer_proxy()
    user = User(viewer, tmp_path, seed)
    # What comes once, as libraries, kernels and shaders do, has come after as many.
    user.act(qtbot, N_ACTIONS)
    user.settle(qtbot)

    shapes: list[tuple[str, Any]] = []

    def note(event: Any) -> None:
        kind, data = type(event.value).__name__, event.value.data
        shapes.append((kind, len(data) if isinstance(data, list) else np.shape(data)))

    viewer.layers.events.inserted.connect(note)
    n_docks, before = user.n_docks, memory()
    user.act(qtbot, N_ACTIONS)
    user.settle(qtbot)
    grown = memory() - before
    viewer.layers.events.inserted.disconnect(note)

    # The widget can go on.
    user.open_points()
    user.run()
    assert user.widget.cancel_button.enabled
    qtbot.waitUntil(lambda: user.widget.idle, timeout=LONG)
    assert user.widget.run_button.enabled
    assert not user.widget.cancel_button.enabled
    assert any(MODEL_KEY in layer.metadata for layer in viewer.layers), user.widget.status.value
    user.settle(qtbot)

    # The same layers, without a plugin.
    before = memory()
    for kind, shape in shapes:
        if kind == "Points":
            viewer.add_points(np.random.default_rng(0).uniform(0, 100, shape))
        elif kind == "Shapes":
            corners = np.array([[0, 0], [0, 5], [5, 5], [5, 0]])
            viewer.add_shapes([corners + at for at in range(shape)], shape_type="ellipse", ndim=2)
        else:
            viewer.add_image(np.zeros(shape, dtype=np.float32))
        qtbot.wait(50)
        if len(viewer.layers) > 6:
            user.remove_all()
    for _ in range(user.n_docks - n_docks):
        dock = viewer.window.add_dock_widget(QWidget())
        qtbot.wait(50)
        dock.destroyOnClose()
    user.settle(qtbot)
    by_napari = memory() - before
    print(f"{grown:.0f} MB kept, {by_napari:.0f} MB by napari alone, {len(shapes)} layers")
    assert grown < max(0.0, by_napari) + KEPT
    errors = [one.message for one in told if one.severity >= NotificationSeverity.ERROR]
    assert errors == []
