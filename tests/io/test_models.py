import json
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from napari_sparse_gmm.io.models import DensityModel, load_model, provenance, save_model
from napari_sparse_gmm.mixture import GaussianMixture


@pytest.fixture
def model() -> DensityModel:
    mixture = GaussianMixture(
        [0.1, 1 / 3],
        [[0.1, 1e9 + 1 / 3], [np.pi, 2.0]],
        [np.diag([1e-18, 2.0]), [[2.0, 0.3], [0.3, 1.0]]],
        2 / 3 - 0.1,
        [[0.0, 0.0], [1e9, 2e9]],
    )
    return DensityModel(mixture, ("y", "x"), "µm", 412.0, {"source": "points.csv"})


@pytest.fixture
def path(tmp_path: Path, model: DensityModel) -> Path:
    path = tmp_path / "model.json"
    save_model(path, model)
    return path


def test_every_number_comes_back_exactly(path: Path, model: DensityModel) -> None:
    read = load_model(path)
    for name in ("weights", "means", "covariances", "background_weight"):
        np.testing.assert_array_equal(getattr(read.mixture, name), getattr(model.mixture, name))
    region = read.mixture.background_region
    assert region.to_dict() == model.mixture.background_region.to_dict()
    assert (read.axis_labels, read.unit, read.n_points) == (("y", "x"), "µm", 412.0)
    assert read.provenance == {"source": "points.csv"}


def test_other_programs_can_read_it(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["format"] == "napari-sparse-gmm model"
    assert content["schema_version"] == 1
    assert content["unit"] == "µm"
    assert np.shape(content["mixture"]["covariances"]) == (2, 2, 2)


def test_provenance_says_how_it_was_made() -> None:
    made = provenance(
        source="a.csv", parameters={"n_components": 3}, engine="torch", engine_reason="Why."
    )
    assert made["version"] == version("napari-sparse-gmm")
    assert made["parameters"] == {"n_components": 3}
    assert (made["engine"], made["engine_reason"]) == ("torch", "Why.")
    age = datetime.now(UTC) - datetime.fromisoformat(made["created"])
    assert timedelta(seconds=-1) < age < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", "x,y\n1,2\n", '{"format": "other"}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.json is not a model that napari-sparse-gmm"):
        load_model(path)


def test_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    path.write_bytes(b"II*\0\xff\xfe")
    with pytest.raises(ValueError, match="is not a model"):
        load_model(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no file"):
        load_model(tmp_path / "nowhere.json")


def test_later_schema_is_refused(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "schema_version": 2}))
    with pytest.raises(ValueError, match=r"schema version 2.*reads 1"):
        load_model(path)


@pytest.mark.parametrize(
    "damage",
    [
        {"mixture": {"weights": [1.0]}},
        {"mixture": {"weights": [1.0], "means": [[0, 0]], "covariances": [[[0, 0], [0, 0]]]}},
        {"mixture": None},
        {"axis_labels": ["x"]},
        {"n_points": "many"},
    ],
    ids=["missing part", "not a covariance", "no mixture", "axis labels", "n_points"],
)
def test_damage_is_named(path: Path, damage: dict) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **damage}))
    with pytest.raises(ValueError, match=r"model\.json is damaged"):
        load_model(path)
