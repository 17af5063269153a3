"""The batch widget on files, with its worker driven by hand."""

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plugin.fakes import HandClock, HandWorker

from napari_sparse_gmm.io.models import load_model
from napari_sparse_gmm.many_files import jobs_of
from napari_sparse_gmm.plugin.batch_widget import (
    CANCELLED,
    DEFAULTS,
    NO_FOLDER,
    OF_DENSITY,
    SparseGMMBatch,
)
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget
from napari_sparse_gmm.plugin.tasks.files import FileSettings, fit_files


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(2):
        points = np.concatenate([rng.normal(20, 1, (40, 2)), rng.uniform(0, 50, (20, 2))])
        pd.DataFrame(points, columns=["x [nm]", "y [nm]"]).to_csv(folder / f"cell {k}.csv")
    (folder / "broken.csv").write_text("x,y\n1,2\n3,four\n")
    return folder


@pytest.fixture
def batch(viewer: Any, created: list[HandWorker]) -> SparseGMMBatch:
    widget = SparseGMMBatch(viewer, HandClock())
    viewer.window.add_dock_widget(widget, name="Sparse GMM batch")
    return widget


def test_a_folder_is_fitted_and_gone_on_with(
    batch: SparseGMMBatch, created: list[HandWorker], data: Path, viewer: Any
) -> None:
    assert batch.status.value == NO_FOLDER
    assert not batch.run_button.enabled
    assert batch.settings.value == DEFAULTS
    batch.folder.value = data
    assert set(batch.states.values()) == {"waiting"}
    batch.run_button.native.click()
    created[-1].to_the_end()
    states = batch.states
    assert states["cell 0.csv"] == states["cell 1.csv"] == "done"
    assert states["broken.csv"].startswith("Column 'y' of broken.csv must hold")
    assert batch.status.value.startswith("2 of 3 files are done. 1 file could not be fitted")
    table = pd.read_csv(data / "results" / "summary.csv")
    assert table["problem"].notna().tolist() == [True, False, False]
    batch.show_result(0)
    assert batch.status.value == states["broken.csv"]
    batch.run_button.native.click()
    created[-1].to_the_end()
    assert batch.states["cell 0.csv"] == "done before"
    batch.show_result(1)
    assert "cell 0" in [layer.name for layer in viewer.layers]
    assert any("components" in layer.name for layer in viewer.layers)


def test_settings_of_the_density_dock(
    batch: SparseGMMBatch, created: list[HandWorker], data: Path, viewer: Any
) -> None:
    for path in data.glob("cell*.csv"):
        rows = pd.read_csv(path)
        rows.columns = ["photons", "x", "y"]  # the numbers of the rows
        rows.to_csv(path, index=False)
    form = SparseGMMWidget(viewer, HandClock())
    viewer.window.add_dock_widget(form, name="Sparse GMM density")
    viewer.open(str(data / "cell 0.csv"), plugin="napari-sparse-gmm")
    form.n_components.value, form.unit.value = 7, "nanometer"
    for field, text in ((form.filter_view.feature, "photons"), (form.filter_view.low, "20")):
        field.value = text
    form.filter_view.low.native.editingFinished.emit()
    batch.folder.value = data
    assert batch.settings.value == OF_DENSITY.format(" and filter (photons from 20)")
    batch.run_button.native.click()
    created[-1].to_the_end()
    model = load_model(data / "results" / "cell 1" / "model.json")
    assert model.parameters["n_components"] == 7
    assert (model.unit, model.n_points) == ("nm", 40)
    assert model.provenance["ranges"] == {"photons": [20.0, "inf"]}
    form.filter_view.clear_button.native.click()
    batch.run_button.native.click()
    created[-1].to_the_end()
    assert batch.states["cell 1.csv"] == "done"  # and not before, as other points are fitted
    assert load_model(data / "results" / "cell 1" / "model.json").n_points == 60


def test_a_density_dock_as_it_opens_changes_nothing(
    batch: SparseGMMBatch, created: list[HandWorker], data: Path, viewer: Any
) -> None:
    batch.folder.value = data
    batch.run_button.native.click()
    created[-1].to_the_end()
    viewer.window.add_dock_widget(SparseGMMWidget(viewer, HandClock()), name="Sparse GMM density")
    batch.run_button.native.click()
    created[-1].to_the_end()
    assert batch.states["cell 0.csv"] == "done before"


def test_a_precision_that_programs_write_is_considered(
    batch: SparseGMMBatch, created: list[HandWorker], data: Path
) -> None:
    path = data / "cell 0.csv"
    rows = pd.read_csv(path).assign(**{"uncertainty [nm]": 0.5, "frame": range(60)})
    rows.to_csv(path, index=False)
    batch.folder.value = data
    batch.run_button.native.click()
    created[-1].to_the_end()
    assert load_model(data / "results" / "cell 0" / "model.json").deconvolved
    assert "last_frame" in pd.read_csv(data / "results" / "cell 0" / "components.csv")


def test_cancel(batch: SparseGMMBatch, created: list[HandWorker], data: Path) -> None:
    batch.folder.value = data
    batch.run_button.native.click()
    created[-1].go_on()
    assert batch.states["broken.csv"] == "fitting"
    batch.cancel()
    assert batch.status.value == CANCELLED
    assert batch.run_button.enabled
    assert set(batch.states.values()) == {"waiting"}


def test_a_fit_that_is_stopped_leaves_nothing(data: Path, tmp_path: Path) -> None:
    stopped, out = Event(), tmp_path / "out"
    jobs = jobs_of([str(data / "cell 0.csv"), str(data / "cell 1.csv")], out, {})
    work = fit_files(jobs, FileSettings({"random_state": 0}), out, stopped)
    assert [next(work).state for _ in range(3)] == ["fitting", "done", "fitting"]
    stopped.set()
    with pytest.raises(StopIteration):
        next(work)
    assert [job.is_done for job in jobs] == [True, False]
    assert not jobs[1].models
    assert not (out / "summary.csv").exists()
