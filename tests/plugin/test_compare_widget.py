"""The conditions widget on tables, with its worker driven by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plugin.fakes import HandClock, HandWorker

from napari_sparse_gmm.compare import compare
from napari_sparse_gmm.plugin.compare_widget import (
    NO_CONDITION,
    NO_SUMMARY,
    SparseGMMConditions,
)


@pytest.fixture
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    files = [f"data/{folder}/{k}.csv" for folder in ("control", "drug") for k in range(4)]
    clusters = rng.poisson(20, 8) + np.repeat([0, 30], 4)
    return pd.DataFrame({"file": files, "clusters": clusters, "radius [nm]": rng.normal(30, 2, 8)})


@pytest.fixture
def widget(viewer: Any, created: list[HandWorker]) -> SparseGMMConditions:
    widget = SparseGMMConditions(viewer, HandClock())
    viewer.window.add_dock_widget(widget, name="Sparse GMM conditions")
    return widget


def test_folders_are_compared_as_the_command_line_does(
    widget: SparseGMMConditions, created: list[HandWorker], rows: pd.DataFrame, tmp_path: Path
) -> None:
    assert widget.status.value == NO_SUMMARY
    assert not widget.compare_button.enabled
    rows.to_csv(tmp_path / "summary.csv", index=False)
    widget.summaries.value = [tmp_path / "summary.csv"]
    assert (widget.condition.value, widget.replicate.value) == ("folder", "file")
    assert widget.reference.choices == ("control", "drug")
    widget.reference.value = "drug"
    widget.compare_button.native.click()
    created[-1].to_the_end()
    rows["folder"] = np.repeat(["control", "drug"], 4)
    expected = compare(rows, "folder", reference="drug").effects
    shown = widget.sheet.columns
    assert list(shown)[:3] == ["column", "condition", "difference"]
    assert set(shown) == set(expected)
    for name in ("column", "condition", "difference", "low", "high", "p"):
        np.testing.assert_array_equal(shown[name], expected[name])
    assert widget.status.value.startswith("Compared with drug.")
    widget.save(tmp_path / "compared")
    written = pd.read_csv(tmp_path / "compared" / "effects.csv")
    np.testing.assert_allclose(written["difference"], expected["difference"])
    assert (tmp_path / "compared" / "clusters.png").exists()


def test_samples_tell_the_conditions(
    widget: SparseGMMConditions, created: list[HandWorker], rows: pd.DataFrame, tmp_path: Path
) -> None:
    alone = rows.assign(file=[f"{k}.csv" for k in range(8)])
    alone[["file", "radius [nm]"]].to_csv(tmp_path / "summary.csv", index=False)
    widget.summaries.value = [tmp_path / "summary.csv"]
    widget.replicate.value = "file"
    samples = pd.DataFrame({"file": alone["file"], "condition": [1, 2] * 4, "dish": [*"aabbccdd"]})
    samples.to_csv(tmp_path / "samples.csv", index=False)
    widget.samples.value = tmp_path / "samples.csv"
    assert widget.condition.value == "condition"
    assert widget.reference.choices == ("1", "2")
    widget.replicate.value = "dish"
    widget.compare_button.native.click()
    created[-1].to_the_end()
    assert widget.sheet.columns["replicates"].tolist() == [4]


def test_what_cannot_be_compared_is_told(
    widget: SparseGMMConditions, rows: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "summary.csv"
    rows[:1].to_csv(path, index=False)
    widget.summaries.value = [path]
    assert widget.status.value == NO_CONDITION
    path.write_text("")
    widget.look()
    assert "summary.csv" in widget.status.value
    assert not widget.compare_button.enabled
