"""The whole plugin in a viewer: its manifest, a real thread, real fits."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from plugin.fakes import FakeFit
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QSize

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget
from napari_sparse_gmm.plugin.layers.model_metadata import attached_model
from napari_sparse_gmm.plugin.qt.sheet import Sheet
from napari_sparse_gmm.samples import smlm_clusters

PLUGIN, WIDGET = "napari-sparse-gmm", "Sparse GMM density"
DATA = Path(__file__).parents[3] / "shared" / "data"
LONG = 60_000  # milliseconds; for a fit on a machine that is busy with other things


@pytest.fixture
def viewer(make_napari_viewer_proxy: Callable[[], Any]) -> Any:
    return make_napari_viewer_proxy()


@pytest.fixture
def widget(viewer: Any) -> SparseGMMWidget:
    viewer.add_points(np.random.default_rng(0).normal(size=(80, 2)), name="L")
    return viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)[1]


def start(widget: SparseGMMWidget, qtbot: QtBot) -> None:
    """Click Run on a fit that goes on until it is stopped, and wait until it is in the middle."""
    widget.run_button.native.click()
    qtbot.waitUntil(lambda: "Iteration" in widget.progress.native.format(), timeout=LONG)


def wait(widget: SparseGMMWidget, qtbot: QtBot) -> None:
    """Wait until the signals of the work's end have come through."""
    qtbot.waitUntil(lambda: not widget.cancel_button.enabled, timeout=LONG)


def shown_model(viewer: Any) -> DensityModel:
    return attached_model("", viewer.layers["smlm_clusters components"].metadata)


def run(widget: SparseGMMWidget, qtbot: QtBot) -> None:
    widget.run_button.native.click()
    wait(widget, qtbot)


@pytest.mark.parametrize("key", ["spiral", "smlm_clusters", "nuclei_3d"])
def test_sample_is_fitted_from_its_menu_entry(viewer: Any, qtbot: QtBot, key: str) -> None:
    (points,) = viewer.open_sample(PLUGIN, key)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    assert widget.points.value.name == points.name
    widget.longest_side.value = 32
    widget.random_state.value = 0
    run(widget, qtbot)
    assert f"{points.name} density" in viewer.layers, widget.status.value
    components = viewer.layers[f"{points.name} components"]
    assert components.nshapes >= 1
    assert components.units == points.units
    # Every component has its centre among the points, where steps no longer go too far.
    assert "not converged" not in widget.status.value
    extent = points.data.min(0) * points.scale, points.data.max(0) * points.scale
    unit = "" if key == "spiral" else f" [{points.units[0]:~P}]"
    means = components.features[[f"mean_{axis}{unit}" for axis in points.axis_labels]]
    assert ((means >= extent[0]) & (means <= extent[1])).all(axis=None)


def test_clusters_of_the_sample_are_found(viewer: Any, qtbot: QtBot) -> None:
    viewer.open_sample(PLUGIN, "smlm_clusters")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    widget.background.value = True
    widget.sparsity.value = 4.0
    widget.random_state.value = 0
    run(widget, qtbot)
    means = viewer.layers["smlm_clusters components"].features
    means = means[["mean_y [nm]", "mean_x [nm]"]].to_numpy()
    sample = smlm_clusters()
    clusters = [sample.points[sample.features["truth"] == label] for label in range(1, 21)]
    # Means put at random would hit 0 or 1 of the 20.
    hits = [
        np.linalg.norm(means - points.mean(0), axis=1).min() < np.sqrt(points.var(0).mean())
        for points in clusters
    ]
    assert sum(hits) >= 10


def test_scattered_points_as_dense_as_an_image_have_no_cluster(viewer: Any, qtbot: QtBot) -> None:
    """Five times as dense on one side: an even background leaves the dense side to components."""
    rng = np.random.default_rng(0)
    # By rejection, 60 x 60 pixels of 40 nm that are turned; the image has an offset in the world.
    places = rng.uniform(0, 60, (20_000, 2))
    places = places[rng.uniform(0, 5, len(places)) < 1 + 4 * places[:, 1] / 60][:2000]
    assert len(places) == 2000
    pixels = np.tile(1 + 4 * (np.arange(60) + 0.5) / 60, (60, 1))
    image = viewer.add_image(
        pixels, name="actin", units="um", scale=(0.04, 0.04), rotate=20, translate=(3, 5)
    )
    seen = np.array([image.data_to_world(place - 0.5) for place in places])
    viewer.add_points(1000 * seen, name="spots", units="nm")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    widget.smooth_background.value = False
    run(widget, qtbot)
    assert viewer.layers["spots components"].nshapes >= 3
    widget.smooth_background.value = True
    run(widget, qtbot)
    assert widget.status.value.startswith("0 components")
    assert "No cluster: the points are scattered smoothly, if not evenly." in widget.status.value
    widget.region.value = image
    run(widget, qtbot)
    assert widget.status.value.startswith("0 components")
    assert "No cluster: the points are scattered as densely as the image" in widget.status.value


@pytest.mark.skipif(
    not DATA.exists() and os.environ.get("CI") != "true", reason="the shared data are not here"
)
def test_localizations_of_a_microscope(viewer: Any, qtbot: QtBot) -> None:
    """FGFR1 on MCF7 cells: cancel in mid-fit, run, and run again in place."""
    table = np.genfromtxt(DATA / "fgfr1_mcf7" / "FGFR1_MCF7_AF647_1.csv", delimiter=",", names=True)
    data = np.stack([table["y"], table["x"]], axis=1)
    points = viewer.add_points(data, name="FGFR1", units="nm", rotate=20, scale=(2, 1))
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    widget.find.value = "sparse"
    widget.background.value = True
    widget.sparsity.value = 5.0
    widget.n_components.value = 60
    widget.random_state.value = 0

    start(widget, qtbot)
    widget.cancel_button.native.click()
    wait(widget, qtbot)
    assert widget.status.value == messages.CANCELLED
    assert len(viewer.layers) == 1

    run(widget, qtbot)
    image, shapes = viewer.layers["FGFR1 density"], viewer.layers["FGFR1 components"]
    first = shapes.nshapes
    assert 5 < first <= 60
    # The heatmap is under the points: brighter there than over the field.
    pixels = np.array([image.world_to_data(points.data_to_world(point)) for point in data])
    at_points = image.data[tuple(np.rint(pixels).astype(int).T)]
    assert at_points.mean() > 2 * image.data.mean()

    widget.sparsity.value = 30.0
    run(widget, qtbot)
    assert viewer.layers["FGFR1 components"] == shapes  # which are proxies of one layer
    assert len(viewer.layers) == 3
    assert shapes.nshapes < first


def test_cancel_in_mid_fit(widget: SparseGMMWidget, qtbot: QtBot, fake_fit: FakeFit) -> None:
    fake_fit.endless = True
    start(widget, qtbot)
    widget.cancel_button.native.click()
    wait(widget, qtbot)
    assert widget.status.value == messages.CANCELLED
    assert widget.run_button.enabled
    qtbot.waitUntil(lambda: fake_fit.closed, timeout=LONG)
    fake_fit.endless = False
    run(widget, qtbot)
    assert widget.status.value.startswith("3 components")


@pytest.mark.keops
def test_cancel_in_mid_compile(
    widget: SparseGMMWidget,
    qtbot: QtBot,
    fake_fit: FakeFit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The compiler, which nothing stops, is another thread; it ends after the cancel."""
    from napari_sparse_gmm.engines import TorchTiles, ready

    compiled = threading.Event()

    def compile_slowly(*_: object) -> type[TorchTiles]:
        assert compiled.wait(LONG / 1000)
        return TorchTiles

    monkeypatch.setattr(ready, "_working_keops", compile_slowly)
    monkeypatch.setattr(ready, "_running", {})
    monkeypatch.setitem(ready._LONGEST_LOADING, "keops", 0.3)
    widget.engine.value = "keops"
    widget.device.value = "cpu"
    try:
        widget.run_button.native.click()
        qtbot.waitUntil(lambda: "Compiling KeOps kernels" in widget.status.value, timeout=LONG)
        assert "for 2D points, first time only (" in widget.status.value
        widget.cancel_button.native.click()
        wait(widget, qtbot)
        assert widget.status.value == messages.CANCELLED
        assert widget.run_button.enabled
        assert fake_fit.parameters == []  # nothing was fitted meanwhile
    finally:
        compiled.set()
    run(widget, qtbot)
    assert widget.status.value.startswith("3 components")


def test_runtime_error_in_the_thread(
    widget: SparseGMMWidget, qtbot: QtBot, fake_fit: FakeFit
) -> None:
    fake_fit.error = RuntimeError("out of luck")
    run(widget, qtbot)
    assert widget.status.value == "The fit failed with RuntimeError: out of luck"
    assert widget.run_button.enabled
    shown = notification_manager.records.pop()
    assert "out of luck" in shown.message  # with its traceback, for a report


def test_warning_in_the_thread_is_no_notification(
    widget: SparseGMMWidget, qtbot: QtBot, fake_fit: FakeFit
) -> None:
    import warnings

    from napari_sparse_gmm.engines import EngineFallbackWarning

    fake_fit.on_step = lambda _: warnings.warn("slow", EngineFallbackWarning, stacklevel=1)
    before = len(notification_manager.records)
    run(widget, qtbot)
    assert len(notification_manager.records) == before


def test_layer_removed_in_mid_fit(
    widget: SparseGMMWidget, viewer: Any, qtbot: QtBot, fake_fit: FakeFit
) -> None:
    fake_fit.endless = True
    start(widget, qtbot)
    viewer.layers.remove("L")
    wait(widget, qtbot)
    assert widget.status.value == messages.layer_removed("L")
    assert not widget.run_button.enabled  # nothing left to run on
    viewer.add_points(np.eye(2))
    assert widget.run_button.enabled


def test_viewer_closed_in_mid_fit(
    make_napari_viewer: Callable[[], Any], qtbot: QtBot, fake_fit: FakeFit
) -> None:
    fake_fit.endless = True
    viewer = make_napari_viewer()
    viewer.add_points(np.eye(2) * 5, name="L")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    start(widget, qtbot)
    viewer.close()
    qtbot.waitUntil(lambda: fake_fit.closed, timeout=LONG)
    qtbot.wait(50)  # what is still on its way arrives at no widget


def test_opening_the_widget_imports_no_engine() -> None:
    """napari starts no slower for the plugin: torch and the like come with the first fit."""
    code = f"""
import sys, napari
viewer = napari.Viewer(show=False)
viewer.open_sample("{PLUGIN}", "smlm_clusters")
viewer.window.add_plugin_dock_widget("{PLUGIN}", "{WIDGET}")
heavy = {{"torch", "pykeops", "keopscore", "sklearn", "scipy.special", "matplotlib", "h5py"}}
heavy &= set(sys.modules)
print("imported:", sorted(heavy))
"""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120
    )
    assert "imported: []" in done.stdout, done.stdout + done.stderr


def test_live_fits_end_with_the_best_solution(viewer: Any, qtbot: QtBot) -> None:
    viewer.open_sample(PLUGIN, "smlm_clusters")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    widget.find.value, widget.precision.value = "sparse", None
    widget.background.value, widget.sparsity.value = True, 20.0
    run(widget, qtbot)
    # From here alone, where nothing is left, no falling sparsity finds its way back.
    assert shown_model(viewer).mixture.n_components < 3
    widget.live.value = True
    for sparsity in (15.0, 9.0, 4.0):
        widget.sparsity.value = sparsity
        qtbot.wait(60)
    qtbot.waitUntil(lambda: widget.idle, timeout=LONG)
    (part,) = shown_model(viewer).parts
    given = widget.estimator_parameters()
    fresh = SparseGaussianMixture(**given).fit(smlm_clusters().points)
    assert given["sparsity"] == 4.0
    assert part.cost <= fresh.cost_ + 1e-9
    assert part.mixture.n_components > 10


def test_viewers_keep_apart(make_napari_viewer_proxy: Callable[[], Any], qtbot: QtBot) -> None:
    rng = np.random.default_rng(0)
    fits = []
    for k in range(2):
        viewer = make_napari_viewer_proxy()
        points = np.concatenate([rng.normal(10.0 * c, 0.5, (40, 2)) for c in range(k + 2)])
        viewer.add_points(points, name="L")
        _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        widget.n_components.value, widget.random_state.value = 8, 0
        fits.append((viewer, widget, points))
    for _, widget, _ in fits:
        widget.run_button.native.click()
    assert not any(widget.idle for _, widget, _ in fits)
    for viewer, widget, points in fits:
        wait(widget, qtbot)
        alone = SparseGaussianMixture(**widget.estimator_parameters()).fit(points)
        assert [layer.name for layer in viewer.layers] == ["L density", "L", "L components"]
        found = viewer.layers["L components"].features["expected_points"].to_numpy()
        np.testing.assert_allclose(np.sort(found), np.sort(len(points) * alone.weights_), rtol=1e-3)


def test_widgets_of_one_viewer_keep_apart(viewer: Any, qtbot: QtBot) -> None:
    rng = np.random.default_rng(0)
    widgets = []
    for name in ("A", "B"):
        viewer.add_points(rng.normal(size=(200, 2)), name=name)
        widget = SparseGMMWidget(viewer)
        viewer.window.add_dock_widget(widget, name=name)
        widget.points.value = viewer.layers[name]
        widgets.append(widget)
    for widget in widgets:
        widget.run_button.native.click()
    widgets[0].cancel_button.native.click()
    for widget in widgets:
        wait(widget, qtbot)
    assert widgets[0].status.value == messages.CANCELLED
    assert " from 200 points" in widgets[1].status.value
    assert [layer.name for layer in viewer.layers] == ["A", "B density", "B", "B components"]


def test_all_that_one_needs_is_in_a_small_window(viewer: Any, qtbot: QtBot) -> None:
    """On a screen of 1280 x 720 pixels, with the table and the plots."""
    viewer.open_sample(PLUGIN, "smlm_clusters")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    viewer.window.show()
    viewer.window.resize(1280, 720)
    run(widget, qtbot)
    widget.plots_button.native.click()
    widget.table_button.native.click()
    sheet = widget.native.window().findChild(Sheet)
    qtbot.waitUntil(lambda: sheet.model().rowCount() > 4 and sheet.isVisible(), timeout=LONG)
    qtbot.wait(200)  # all layouts
    assert widget.native.window().size() == QSize(1280, 720)
    for field in (widget.find, widget.run_button, widget.centre_button):
        assert field.native.visibleRegion().boundingRect() == field.native.rect()
    for line in (widget.summary, widget.status):
        lines = line.native.fontMetrics().lineSpacing() * len(line.value.splitlines())
        assert line.native.visibleRegion().boundingRect().height() >= lines
    fourth = sheet.visualRect(sheet.model().index(3, 0))
    assert sheet.viewport().visibleRegion().contains(fourth.center())
