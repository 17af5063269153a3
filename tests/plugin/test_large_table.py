"""Tables of more points than a layer shows: a sample is shown, and all of them are fitted."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
import pytest
from napari.layers import Points
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtGui import QGuiApplication

from napari_sparse_gmm import Chunked, SparseGaussianMixture
from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.plugin import table_file
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget
from napari_sparse_gmm.plugin.layers.model_metadata import attached_model
from napari_sparse_gmm.plugin.merge_widget import OF_A_SAMPLE, SparseGMMMerge
from napari_sparse_gmm.plugin.points.sampled import AllPoints, sampled_table
from napari_sparse_gmm.plugin.score_widget import SparseGMMScore

PLUGIN = "napari-sparse-gmm"
LONG = 120_000  # milliseconds
N, SAMPLE = 6000, 600


@pytest.fixture(autouse=True)
def small_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer of more than a thousand points."""
    monkeypatch.setattr(table_file, "MOST_POINTS", 1000)
    monkeypatch.setattr(table_file, "SAMPLE", SAMPLE)


@pytest.fixture
def cells() -> pd.DataFrame:
    """Nine clusters and a background, in nm."""
    rng = np.random.default_rng(0)
    means = np.stack(np.meshgrid(*2 * [[200, 500, 800]]), axis=2).reshape(-1, 2)
    points = means[rng.integers(9, size=N)] + 25.0 * rng.standard_normal((N, 2))
    scattered = rng.random(N) < 0.2
    points[scattered] = rng.uniform(0, 1000, (int(scattered.sum()), 2))
    table = pd.DataFrame(points, columns=["x [nm]", "y [nm]"])
    return table.assign(frame=np.arange(N), dose=rng.integers(1, 3, N))


@pytest.fixture
def folder(cells: pd.DataFrame, tmp_path: Path) -> Path:
    """The points in three tables."""
    folder = tmp_path / "locs"
    folder.mkdir()
    cells[:3500].to_parquet(folder / "a.parquet", index=False)
    cells[3500:4000].to_csv(folder / "b.csv", index=False)
    cells[4000:].to_parquet(folder / "c.parquet", index=False)
    return folder


@pytest.fixture
def viewer(make_napari_viewer_proxy: Callable[[], Any]) -> Any:
    return make_napari_viewer_proxy()


@pytest.fixture
def layer(viewer: Any, folder: Path) -> Points:
    return viewer.open(str(folder), plugin=PLUGIN)[0]


@pytest.fixture
def widget(viewer: Any, layer: Points) -> SparseGMMWidget:
    widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Sparse GMM density")[1]
    widget.prior.value, widget.engine.value = "mml", "torch"
    widget.random_state.value = 0
    return widget


@pytest.fixture
def scheduler() -> Iterator[distributed.LocalCluster]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster


def run(widget: SparseGMMWidget, qtbot: QtBot) -> None:
    widget.run_button.native.click()
    qtbot.waitUntil(lambda: widget.idle, timeout=LONG)


def model(viewer: Any) -> DensityModel:
    layer = viewer.layers["locs components"]
    return attached_model(layer.name, layer.metadata)


def fitted(points: np.ndarray, **parameters: Any) -> SparseGaussianMixture:
    """The same fit of points in memory."""
    fixed = {"prior": "mml", "engine": "torch", "random_state": 0, "background": True}
    return SparseGaussianMixture(**fixed, **parameters).fit(points)


def yx(cells: pd.DataFrame) -> np.ndarray:
    return cells[["y [nm]", "x [nm]"]].to_numpy()


def test_some_points_are_shown_and_all_are_told_of(layer: Points, cells: pd.DataFrame) -> None:
    assert abs(len(layer.data) - SAMPLE) < 5 * SAMPLE**0.5
    assert layer.name == "locs"
    assert {str(unit) for unit in layer.units} == {"nanometer"}
    # Rows of the table, each once, with their features.
    rows = layer.features["frame"].to_numpy()
    assert len(set(rows)) == len(rows)
    np.testing.assert_allclose(layer.data, yx(cells)[rows])
    # From all files, as many of each as it has.
    assert abs((rows < 3500).mean() - 3500 / N) < 5 * (0.25 / SAMPLE) ** 0.5
    told = notification_manager.records[-1].message
    assert told == (
        f"{len(rows):,} of the 6,000 points of locs are shown, each as likely as any other. Run "
        "fits all of them."
    )


def test_a_folder_of_few_points_is_a_layer_of_them(
    viewer: Any, folder: Path, cells: pd.DataFrame
) -> None:
    (folder / "a.parquet").unlink()
    (folder / "c.parquet").unlink()
    (layer,) = viewer.open(str(folder), plugin=PLUGIN)
    np.testing.assert_allclose(layer.data, yx(cells[3500:4000]))
    assert list(layer.features["frame"]) == list(range(3500, 4000))
    assert sampled_table(layer) is None


def test_a_single_large_file_is_shown_by_a_sample(
    viewer: Any, tmp_path: Path, cells: pd.DataFrame
) -> None:
    cells.to_csv(tmp_path / "all.csv", index=False)
    (layer,) = viewer.open(str(tmp_path / "all.csv"), plugin=PLUGIN)
    assert len(layer.data) < 1000
    assert sampled_table(layer).n_points == N


def test_a_folder_without_tables_is_for_other_readers(tmp_path: Path) -> None:
    (tmp_path / "picture.tif").write_bytes(b"II*\0")
    assert table_file.get_reader(str(tmp_path)) is None


def test_all_points_are_fitted(
    viewer: Any, widget: SparseGMMWidget, cells: pd.DataFrame, qtbot: QtBot
) -> None:
    run(widget, qtbot)
    found, expected = model(viewer), fitted(yx(cells))
    assert found.n_points == N
    assert expected.n_components_ == 9
    np.testing.assert_allclose(found.mixture.means, expected.means_, rtol=1e-6)
    assert "from 6,000 points" in widget.status.value
    shown = len(viewer.layers["locs"].data)
    assert f"{shown:,} of 6,000 points of the table are shown." in widget.status.value


def test_what_is_shown_can_be_coloured_and_scored(
    viewer: Any, widget: SparseGMMWidget, layer: Points, qtbot: QtBot
) -> None:
    widget.annotate.value = True
    run(widget, qtbot)
    assert layer.features["component"].nunique() == 10  # nine, and the background
    score = SparseGMMScore(viewer)
    score.score_button.native.click()
    qtbot.waitUntil(lambda: score.idle, timeout=LONG)
    assert "Of 6,000 points of the table those shown are scored." in score.status.value


def test_weights_region_scale_and_place_are_those_of_the_layer(
    viewer: Any, widget: SparseGMMWidget, layer: Points, cells: pd.DataFrame, qtbot: QtBot
) -> None:
    layer.scale, layer.translate = (2.0, 0.5), (7.0, -3.0)
    # The left half, in data coordinates of the layer.
    corners = np.array([[0, 0], [0, 350], [1000, 350], [1000, 0]])
    half = viewer.add_shapes(
        [corners], name="half", scale=layer.scale, translate=layer.translate, units=layer.units
    )
    widget.points.value, widget.region.value, widget.weights.value = layer, half, "dose"
    run(widget, qtbot)
    inside = cells["x [nm]"] < 350
    found = model(viewer)
    assert found.parts[0].n_points == np.count_nonzero(inside)
    assert found.parts[0].total_weight == pytest.approx(cells["dose"][inside].sum(), rel=1e-6)
    assert found.mixture.n_components == 3
    np.testing.assert_allclose(np.sort(found.mixture.means[:, 0]), [400, 1000, 1600], atol=10)
    assert "Points outside of the region left out." in widget.status.value


def test_points_without_a_precision_are_left_out(
    viewer: Any, folder: Path, cells: pd.DataFrame, qtbot: QtBot
) -> None:
    rng = np.random.default_rng(1)
    table = cells.assign(**{"uncertainty [nm]": rng.uniform(5, 15, N)})
    table.loc[::10, "uncertainty [nm]"] = np.nan
    for file in folder.iterdir():
        file.unlink()
    table.to_parquet(folder / "all.parquet", row_group_size=1000)
    viewer.open(str(folder), plugin=PLUGIN)
    widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Sparse GMM density")[1]
    assert widget.precision.value == "uncertainty [nm]"
    widget.prior.value, widget.random_state.value = "mml", 0
    run(widget, qtbot)
    found = model(viewer)
    assert found.n_points == N - 600
    assert found.deconvolved
    assert "600 points without a precision left out." in widget.status.value


def test_another_run_reads_nothing_anew(
    viewer: Any, widget: SparseGMMWidget, folder: Path, qtbot: QtBot
) -> None:
    run(widget, qtbot)
    first = model(viewer)
    shutil.rmtree(folder)
    widget.covariance_floor.value = 30.0
    run(widget, qtbot)
    assert model(viewer).n_points == N
    assert model(viewer).mixture.principal_axes.std.min() > first.mixture.principal_axes.std.min()
    # Of other points it has to, and says what is not there.
    widget.weights.value = "dose"
    run(widget, qtbot)
    assert widget.status.value == f"There is no file {str(folder)!r}."


def test_a_scheduler_finds_the_same(
    viewer: Any,
    widget: SparseGMMWidget,
    cells: pd.DataFrame,
    scheduler: distributed.LocalCluster,
    qtbot: QtBot,
) -> None:
    assert not widget.scheduler.native.isHidden()
    widget.scheduler.value = scheduler.scheduler_address
    run(widget, qtbot)
    found, expected = model(viewer), fitted(yx(cells))
    one, two = (
        np.array(sorted(means.round().tolist())) for means in (found.mixture.means, expected.means_)
    )
    np.testing.assert_allclose(one, two, atol=1)


def test_no_scheduler_and_a_lost_one_are_sentences(
    viewer: Any,
    widget: SparseGMMWidget,
    scheduler: distributed.LocalCluster,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    widget.scheduler.value = scheduler.scheduler_address
    run(widget, qtbot)
    scheduler.close()
    widget.covariance_floor.value = 30.0
    run(widget, qtbot)
    assert "is gone" in widget.status.value
    # Then it is asked for anew, and on this machine nobody needs it.
    widget.scheduler.value = ""
    run(widget, qtbot)
    assert "from 6,000 points" in widget.status.value
    client, soon = distributed.Client, {"timeout": 1}
    monkeypatch.setattr(distributed, "Client", lambda given, **how: client(given, **how | soon))
    widget.scheduler.value = "tcp://127.0.0.1:1"
    run(widget, qtbot)
    assert widget.status.value == "No Dask scheduler answers at tcp://127.0.0.1:1."


def test_reading_stops_when_it_is_cancelled(
    widget: SparseGMMWidget, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    read = threading.Event()
    loaded = []

    def chunk(k: int) -> np.ndarray:
        loaded.append(k)
        if len(loaded) > 2:  # the first one is looked at when there are chunks
            read.set()
            time.sleep(0.05)
        return np.random.default_rng(k).uniform(0, 1, (10, 2))

    slow = Chunked.generated(chunk, 10_000)
    monkeypatch.setattr(AllPoints, "open", lambda self: slow)
    widget.run_button.native.click()
    qtbot.waitUntil(read.is_set, timeout=LONG)
    qtbot.waitUntil(lambda: "Reading" in widget.progress.native.format(), timeout=LONG)
    widget.cancel_button.native.click()
    qtbot.waitUntil(lambda: widget.idle, timeout=LONG)
    assert "Cancelled" in widget.status.value
    qtbot.wait(300)
    n = len(loaded)
    qtbot.wait(300)
    assert len(loaded) == n < 10_000


def test_what_needs_all_points_here_is_refused(
    viewer: Any, widget: SparseGMMWidget, layer: Points, qtbot: QtBot
) -> None:
    assert widget.each.native.isHidden()
    layer.selected_data = {1, 2, 3}
    widget.use.value = next(use for use in widget.use.choices if "selected" in use.value)
    run(widget, qtbot)
    assert "draw a shape around it and choose that as Region" in widget.status.value
    widget.use.value = widget.use.choices[0]
    widget.region.value = widget.region.choices[1]
    run(widget, qtbot)
    assert "convex hull is not known" in widget.status.value
    merge = SparseGMMMerge(viewer)
    assert merge.obstacle() == OF_A_SAMPLE


def test_copied_lines_fit_all_points(
    viewer: Any, widget: SparseGMMWidget, layer: Points, qtbot: QtBot
) -> None:
    half = viewer.add_shapes(
        [[[-200, -200], [-200, 350], [1200, 350], [1200, -200]]], name="half", units=layer.units
    )
    widget.points.value, widget.region.value, widget.weights.value = layer, half, "dose"
    run(widget, qtbot)
    widget.python_button.native.click()
    namespace = {"viewer": viewer}
    exec(QGuiApplication.clipboard().text(), namespace)
    np.testing.assert_allclose(namespace["model"].means_, model(viewer).mixture.means)


def test_other_layers_have_no_place_to_choose(viewer: Any, widget: SparseGMMWidget) -> None:
    widget.points.value = viewer.add_points(np.zeros((3, 2)), name="few")
    assert widget.scheduler.native.isHidden()
