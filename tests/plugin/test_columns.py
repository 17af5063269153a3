"""Tables whose columns nobody knows: which they are is asked once, and remembered."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.layers import Points
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QDialogButtonBox

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin import columns, table_file
from napari_sparse_gmm.plugin.columns import ColumnChoice, remember, remembered
from napari_sparse_gmm.plugin.merge_widget import SparseGMMMerge
from napari_sparse_gmm.plugin.points.features import known_precisions
from napari_sparse_gmm.plugin.qt.column_dialog import ColumnDialog

PLUGIN = "napari-sparse-gmm"


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is remembered in this test."""
    folder = tmp_path / "config"
    monkeypatch.setattr(columns, "user_config_path", lambda name: folder)
    return folder / "columns.json"


@pytest.fixture
def viewer(make_napari_viewer_proxy: Callable[[], Any]) -> Any:
    return make_napari_viewer_proxy()


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"name": ["a"] * 20, "north": rng.uniform(size=20)})
    table["east"], table["depth"], table["err"] = rng.uniform(size=(3, 20))
    table["shot"] = np.arange(20)
    table.to_csv(tmp_path / "survey.csv", index=False)
    return tmp_path / "survey.csv"


def answered(answer: Callable[[ColumnDialog], None]) -> list[ColumnDialog]:
    """Whatever dialog comes gets this answer; those that came."""
    came: list[ColumnDialog] = []

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, ColumnDialog):
            came.append(dialog)
            timer.stop()
            answer(dialog)

    timer = QTimer()
    timer.timeout.connect(look)
    timer.start(20)
    came_timer.append(timer)  # which Qt does not keep alive
    return came


came_timer: list[QTimer] = []


def press(dialog: ColumnDialog, button: str) -> None:
    dialog.buttons.button(getattr(QDialogButtonBox.StandardButton, button)).click()


def choose(dialog: ColumnDialog) -> None:
    for role, column in {"x": "east", "y": "north", "Precision": "err", "Frame": "shot"}.items():
        dialog.roles[role].setCurrentText(column)
    dialog.unit.setCurrentText("µm")
    press(dialog, "Ok")


def check(layer: Points, survey: Path) -> None:
    table = pd.read_csv(survey)
    np.testing.assert_allclose(layer.data, table[["north", "east"]])
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    np.testing.assert_allclose(layer.size, table["err"].median(), rtol=1e-6)
    assert known_precisions(layer, (0, 1))[0] == "err"


def test_asks_once(viewer: Any, survey: Path) -> None:
    came = answered(choose)
    (layer,) = viewer.open(str(survey), plugin=PLUGIN)
    check(layer, survey)
    (dialog,) = came
    assert [dialog.roles["x"].itemText(k) for k in range(2)] == ["name", "north"]
    widget = SparseGMMMerge(viewer)
    assert (widget.frame.value, widget.precision.value) == ("shot", "err")
    # Another table with the same columns needs no answer.
    other = survey.with_name("other.csv")
    other.write_bytes(survey.read_bytes())
    (layer,) = viewer.open(str(other), plugin=PLUGIN)
    check(layer, other)


def test_a_folder_of_many_points(viewer: Any, survey: Path, monkeypatch) -> None:
    monkeypatch.setattr(table_file, "MOST_POINTS", 10)
    monkeypatch.setattr(table_file, "SAMPLE", 8)
    answered(choose)
    folder = survey.parent / "many"
    folder.mkdir()
    survey.rename(folder / "survey.csv")
    (layer,) = viewer.open(str(folder), plugin=PLUGIN)
    assert 0 < len(layer.data) < 20


def test_nothing_is_opened_where_it_is_cancelled(viewer: Any, survey: Path, memory: Path) -> None:
    answered(lambda dialog: press(dialog, "Cancel"))
    assert viewer.open(str(survey), plugin=PLUGIN) in (None, [])
    assert len(viewer.layers) == 0
    assert not memory.exists()


def test_one_column_has_one_role(viewer: Any, survey: Path) -> None:
    states = []

    def try_twice(dialog: ColumnDialog) -> None:
        ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
        dialog.roles["z"].setCurrentText(dialog.roles["x"].currentText())
        states.append(ok.isEnabled())
        dialog.roles["z"].setCurrentText("depth")
        states.append(ok.isEnabled())
        press(dialog, "Ok")

    answered(try_twice)
    (layer,) = viewer.open(str(survey), plugin=PLUGIN)
    assert states == [False, True]
    # Without an answer the first numbers are proposed.
    np.testing.assert_allclose(layer.data, pd.read_csv(survey)[["depth", "east", "north"]])


def test_without_a_window_it_is_a_sentence(survey: Path, monkeypatch) -> None:
    monkeypatch.setattr(columns.QApplication, "instance", lambda: None)
    with pytest.raises(InputError, match="no column 'x' and no column 'y'"):
        table_file.read(str(survey))


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1}', "\x00", '{"key": {"x": 1}}'])
def test_a_damaged_memory_is_none(memory: Path, text: str) -> None:
    header = ("a", "b", "c")
    memory.parent.mkdir()
    memory.write_text(text.replace("key", columns._key(header)), encoding="utf-8")
    assert remembered(header) is None
    choice = ColumnChoice("a", "b", unit="nm")
    remember(header, choice)
    assert remembered(header) == choice
    assert remembered(("b", "a", "c")) is None


def test_a_table_opens_where_nothing_can_be_remembered(
    viewer: Any, survey: Path, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory.parent.write_text("a file in the place of the folder")
    answered(choose)
    (layer,) = viewer.open(str(survey), plugin=PLUGIN)
    check(layer, survey)
    assert "is not remembered" in caplog.text
