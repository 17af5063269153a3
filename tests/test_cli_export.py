"""The command line: a model for other programs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from export.models import grouped, model, points

from napari_sparse_gmm.cli import main
from napari_sparse_gmm.export.formats import FORMATS
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.io.models import save_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_model("model.json", model())
    y, x = points().T
    table = pd.DataFrame({"x [µm]": 1e-3 * x, "y [µm]": 1e-3 * y, "photons": 500.0})
    table["precision [µm]"] = 0.01
    table.to_csv("points.csv", index=False)
    return tmp_path


def export(*arguments: str) -> int:
    return main(["export", "model.json", "--engine", "torch", *arguments])


@pytest.mark.usefixtures("folder")
def test_every_format_is_written_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("roifile")
    pytest.importorskip("ome_zarr")
    names = [name for name in FORMATS if name != "spatialdata"]
    given = ["--points", "points.csv", "--image-pixel", "100", "--pixel-size", "25"]
    assert export("--to", *names, *given, "--out", "out") == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) == len(names)
    for name, line in zip(names, told, strict=True):
        path = Path("out") / FORMATS[name].file
        assert line.startswith(f"{path}: ")
        assert path.is_dir() if FORMATS[name].is_folder else path.stat().st_size
    assert {one.name for one in Path("out").iterdir()} == {
        *(FORMATS[name].file for name in names),
        "points.yaml",
    }
    # Out in the unit of the model.
    np.testing.assert_allclose(read_localizations("out/points.csv").points, points())


@pytest.mark.usefixtures("folder")
def test_one_format_is_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert export("--to", "geojson", "--out", "cell.geojson", "--coverage", "50") == 0
    assert "around 50% of its points" in capsys.readouterr().out
    assert Path("cell.geojson").is_file()


@pytest.mark.usefixtures("folder")
def test_a_folder_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("none") / "x" / "cell.geojson"
    assert export("--to", "geojson", "--out", str(path)) == 2
    expected = f"error: {path} cannot be written: there is no folder {path.parent}. Make it first."
    assert capsys.readouterr().err.splitlines()[-1].endswith(expected)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--to", "csv", "--out", "p.csv"], "name their table by --points"),
        (["--to", "csv", "--points", "points.csv", "--out", "points.csv"], "is read"),
        (["--to", "geojson", "methods", "--out", "model.json"], "is a file"),
        (["--to", "picasso", "--points", "points.csv", "--out", "p.hdf5"], "how large one is"),
        (
            [
                *("--to", "picasso", "--points", "points.csv", "--out", "p.hdf5"),
                *("--image-pixel", "100", "--precision", "none"),
            ],
            "without their precision",
        ),
        (["--to", "geojson", "--out", "o.geojson", "--image-pixel", "0"], "above 0"),
    ],
)
def test_mistakes_are_a_sentence(
    arguments: list[str], sentence: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.iterdir())
    assert export(*arguments) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("folder")
def test_groups_need_their_column(capsys: pytest.CaptureFixture[str]) -> None:
    save_model("model.json", grouped())
    table = pd.read_csv("points.csv").assign(cell=np.arange(400) % 3)
    table.to_csv("points.csv", index=False)
    asked = ["--to", "csv", "--points", "points.csv", "--out", "p.csv"]
    assert export(*asked) == 2
    assert "with --group" in capsys.readouterr().err
    assert export(*asked, "--group", "cell") == 0
    found = pd.read_csv("p.csv")
    assert (found["component"][found["cell"] == 1] == -1).all()  # it has no mixture
    assert (found["component"][found["cell"] != 1] >= 0).any()
