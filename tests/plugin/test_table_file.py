"""Files that napari opens: the manifest, the layer, and what it says of an invalid file."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from napari.errors import MultipleReaderError, ReaderPluginError
from napari.layers import Layer, Points, Shapes
from napari.settings import get_settings
from napari.utils.notifications import Notification, notification_manager

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget
from napari_sparse_gmm.plugin.points.features import numeric_features
from napari_sparse_gmm.plugin.points.source import Source
from napari_sparse_gmm.plugin.table_file import get_reader

PLUGIN = "napari-sparse-gmm"


@pytest.fixture
def viewer(make_napari_viewer_proxy: Callable[[], Any]) -> Any:
    return make_napari_viewer_proxy()


@pytest.fixture
def cells() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    points = rng.uniform([0, 0], [9000, 5000], (50, 2))
    table = pd.DataFrame(points, columns=["x [nm]", "y [nm]"])
    return table.assign(**{"uncertainty [nm]": rng.uniform(5, 25, 50), "dye": "red"})


def write(cells: pd.DataFrame, path: Path) -> str:
    """The table in the format of the ending of the path."""
    match path.suffix:
        case ".parquet":
            cells.to_parquet(path)
        case ".hdf5":
            with h5py.File(path, "w") as file:
                pixels = cells.rename(columns=lambda name: name.removesuffix(" [nm]"))
                lengths = ["x", "y", "uncertainty"]
                pixels = (pixels[lengths] / 100).rename(columns={"uncertainty": "lpx"})
                file["locs"] = pixels.to_records(index=False)
            path.with_suffix(".yaml").write_text("Pixelsize: 100\n")
        case suffix:
            cells.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    return str(path)


def check(layer: Points, cells: pd.DataFrame) -> None:
    np.testing.assert_allclose(layer.data, cells[["y [nm]", "x [nm]"]])
    assert layer.name == "my locs"
    assert {str(unit) for unit in layer.units} == {"nanometer"}
    assert layer.axis_labels == ("y", "x")
    np.testing.assert_array_equal(layer.scale, 1)
    np.testing.assert_allclose(layer.size, cells["uncertainty [nm]"].median(), rtol=1e-6)


ENDINGS = [".csv", ".tsv", ".txt", ".parquet", ".hdf5"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_opens_with_the_plugin(viewer, cells, tmp_path: Path, ending: str) -> None:
    path = write(cells, tmp_path / f"my locs{ending}")
    (layer,) = viewer.open(path, plugin=PLUGIN)
    check(layer, cells)
    assert layer.source.reader_plugin == PLUGIN
    assert layer.metadata["source"] == path
    # Ready for the widget: the precision is a feature that it offers, and that can be used.
    (feature,) = numeric_features(layer)
    widget = SparseGMMWidget(viewer)
    assert feature in widget.precision.choices
    noise_std = Source(layer, (0, 1), precision=feature).read().observations.noise_std
    np.testing.assert_allclose(noise_std[:, 1], cells["uncertainty [nm]"], rtol=1e-6)


@pytest.mark.parametrize("ending", ENDINGS)
def test_opens_when_dropped_on_the_window(viewer, cells, tmp_path: Path, ending: str) -> None:
    """napari's own reader asks for CSV and HDF5, too: there the user has a choice, once."""
    path = write(cells, tmp_path / f"my locs{ending}")
    if ending in (".csv", ".hdf5"):
        with pytest.raises(MultipleReaderError) as raised:
            viewer.open(path, plugin=None)
        assert set(raised.value.available_plugins) == {"napari", PLUGIN}
        # What napari's dialog does with "Remember this choice".
        get_settings().plugins.extension2reader = {f"*{ending}": PLUGIN}
    try:
        (layer,) = viewer.open(path, plugin=None)
    finally:
        get_settings().plugins.extension2reader = {}
    check(layer, cells)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "a.parquet",
            b"PAR1 and no more",
            "a.parquet is a Parquet file that cannot be read: ",
        ),
        (
            "a.csv",
            b"\x7fELF\x01\x02\x00",
            "a.csv is not a text table of comma-separated values, nor HDF5 or Parquet.",
        ),
        ("a.txt", b"", "a.txt is empty: it needs a header line and a row for each point."),
    ],
    ids=["damaged", "binary", "empty"],
)
def test_says_what_is_wrong(viewer, tmp_path: Path, name: str, content: bytes, sentence) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(sentence)) as raised:
        viewer.open(str(path), plugin=PLUGIN)
    # What the notification of napari's window shows.
    assert Notification.from_exception(raised.value).message.startswith(sentence)
    assert not viewer.layers
    if name != "a.csv":
        with pytest.raises(ReaderPluginError) as dropped:
            viewer.open(str(path), plugin=None)
        assert str(dropped.value).endswith(f"InputError: {raised.value}")


def test_what_is_left_out_is_told(viewer, tmp_path: Path, caplog) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n3,\n5,6\n")
    told: list[Notification] = []
    notification_manager.notification_ready.connect(told.append)
    (layer,) = viewer.open(str(path), plugin=PLUGIN)
    note = "1 of 3 rows of a.csv have no position and are left out."
    assert len(layer.data) == 2
    assert layer.metadata["notes"] == (note,)
    assert [one.message for one in told] == [note]
    assert note in caplog.text


def test_a_layer_that_napari_has_saved_is_left_to_napari(viewer, tmp_path: Path) -> None:
    points = Points(np.eye(2), features={"x": [1, 2], "y": [3, 4]})
    shapes = Shapes(np.array([[0, 0], [5, 5]]), shape_type="rectangle")
    for layer in (points, shapes):
        path = str(tmp_path / f"{layer.name}.csv")
        layer.save(path, plugin="napari")
        assert get_reader(path) is None
        (read,) = viewer.open(path, plugin="napari")
        assert type(read).__name__ == type(layer).__name__


def test_a_stack_of_files_is_refused(cells, tmp_path: Path) -> None:
    assert get_reader([write(cells, tmp_path / "a.csv")]) is None


@pytest.mark.parametrize(
    ("header", "unit", "told"),
    [
        ("x [µm],y [µm]", "micrometer", "µm"),
        ("x (um),y (um)", "micrometer", "um"),
        ("x [px],y [px]", "pixel", "px"),
        ("x [furlongs],y [furlongs]", "pixel", "furlongs"),
        ("x [9**9**9],y [9**9**9]", "pixel", "9**9**9"),
        ("x [1/0],y [1/0]", "pixel", "1/0"),
        ("x,y", "pixel", None),
    ],
)
def test_units(tmp_path: Path, header: str, unit: str, told: str | None) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n1,2\n3,4\n", encoding="utf-8")
    (data,) = get_reader(str(path))(str(path))
    layer = Layer.create(*data)
    assert {str(one) for one in layer.units} == {unit}
    assert layer.metadata["unit"] == told


@pytest.mark.parametrize(
    ("rows", "diameter"), [("0,0\n1000,200\n", 2.0), ("5,5\n", 1.0), ("0,0\n0,50\n", 0.1)]
)
def test_points_of_unknown_precision_are_seen(tmp_path: Path, rows: str, diameter: float) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"x,y\n{rows}")
    ((_, keywords, _),) = get_reader(str(path))(str(path))
    assert keywords["size"] == pytest.approx(diameter)


def test_importing_the_reader_loads_nothing_heavy() -> None:
    heavy = {"torch", "pandas", "h5py", "pyarrow", "yaml", "napari", "tifffile"}
    code = "import sys, napari_sparse_gmm.plugin.table_file; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert not heavy & {name.split(".")[0] for name in output.split()}


def test_files_of_many_kinds_are_for_others_unless_they_are_known(tmp_path: Path) -> None:
    image, events = tmp_path / "image.npy", tmp_path / "mfx.npy"
    np.save(image, np.zeros((3, 3)))
    np.save(events, np.zeros(2, [("vld", "?"), ("loc", "f8", 3), ("itr", "i4"), ("tid", "i4")]))
    (tmp_path / "model.json").write_text('{"vld": 1}')
    with h5py.File(tmp_path / "volume.h5", "w") as file:
        file["volume"] = np.zeros((3, 3, 3))
    assert get_reader(str(events)) is not None
    names = ["image.npy", "model.json", "volume.h5", "missing.json"]
    if hasattr(os, "mkfifo"):  # which may never end, once it is opened
        os.mkfifo(tmp_path / "mfx.json")
        names.append("mfx.json")
    for name in names:
        assert get_reader(str(tmp_path / name)) is None
