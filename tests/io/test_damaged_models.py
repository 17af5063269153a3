"""Files that are no model, or no whole one: one sentence that says what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from napari_sparse_gmm.density_model import DensityModel, Part
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.models import load_model, save_model
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.regions import Mask

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model of two components."""
    mixture = GaussianMixture([0.5, 0.5], np.eye(2), [np.eye(2)] * 2)
    part, path = Part(mixture, None, 400, 412.0), tmp_path / "model.json"
    save_model(path, DensityModel((part,), ("y", "x"), "µm", np.array([[0.0, 0.0], [1.0, 1.0]])))
    return path


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", "x,y\n1,2\n", '{"format": "other"}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"other\.json is not a model that napari-sparse-gmm"):
        load_model(path)


def test_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    path.write_bytes(b"II*\0\xff\xfe")
    with pytest.raises(InputError, match="is not a model"):
        load_model(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        load_model(tmp_path / "nowhere.json")


def test_later_schema_is_refused(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "schema_version": 3}))
    with pytest.raises(InputError, match=r"schema version 3.*reads 2"):
        load_model(path)


@pytest.mark.parametrize("value", ["2", [2], None, True, 1e999], ids=repr)
def test_a_schema_version_that_is_none(path: Path, value) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "schema_version": value}))
    with pytest.raises(InputError, match=r"is damaged: its 'schema_version' must be a .*number"):
        load_model(path)


def test_nested_too_deeply(path: Path, tmp_path: Path) -> None:
    path.write_text(f'{{"format": "napari-sparse-gmm model", "view": {DEEP}}}')
    with pytest.raises(InputError, match=r"model\.json is damaged: it is nested too deeply\. Open"):
        load_model(path)
    other = tmp_path / "other.json"
    other.write_text(DEEP)
    with pytest.raises(InputError, match=r"other\.json is not a model"):
        load_model(other)


def test_a_file_that_breaks_off_is_damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError, match=r"model\.json is damaged: it is no complete JSON"):
        load_model(path)


@pytest.mark.parametrize(
    ("where", "damage", "words"),
    [
        ("mixture", {"weights": None}, "its 'weights' must be a list, not None"),
        ("mixture", {"weights": [0.1, 0.1]}, "weights and background_weight must sum to 1, not"),
        (
            "mixture",
            {"means": [["a", 1], [2, 3]]},
            r"its 'means' must be numbers of shape \(any, 2",
        ),
        ("mixture", {"means": [[1], [2, 3]]}, r"its 'means' must be numbers of shape \(any, 2\)"),
        ("mixture", {"covariances": [1, 2, 3]}, "its 'covariances' must be numbers of shape"),
        ("mixture", {"n_dimensions": "inf"}, "its 'n_dimensions' must be a finite number, not inf"),
        (
            "mixture",
            {"background_region": {"kind": "blob"}},
            "its 'background_region' is no region",
        ),
        (
            "mixture",
            {"background_region": {**Mask(np.eye(2)).to_dict(), "packed_bits": "AAAA"}},
            "its 'background_region' is no region",
        ),
        ("part", {"mixture": {"weights": [1.0]}}, "it lacks 'background_region'"),
        ("part", {"mixture": None}, "its 'mixture' must be a record, not None"),
        ("part", {"n_points": "many"}, "its 'n_points' must be a number, not 'many'"),
        ("part", {"n_points": [1]}, r"its 'n_points' must be a number, not \[1\]"),
        ("part", {"cost": 10**400}, "its 'cost' must be a number, not 10"),
        ("part", {"members": {"hull": [1.0, 2.0, 3.0]}}, "it lacks 'first_frame'"),
        (
            "part",
            {"members": {"hull": None, "first_frame": [1.0], "last_frame": None}},
            "its 'members' have a first or a last frame, and not both",
        ),
        ("part", {"errors": {"weights": [1.0], "means": [], "stds": []}}, "its 'weights' must be"),
        ("model", {"parts": []}, "0 mixtures for 1 groups"),
        ("model", {"parts": [None]}, "0 mixtures for 1 groups"),
        ("model", {"parts": 3}, "its 'parts' must be a list, not 3"),
        ("model", {"parts": [3]}, "it has 3 in place of a record with 'mixture'"),
        ("model", {"axis_labels": ["x"]}, "its 'box' must be numbers of shape"),
        ("model", {"axis_labels": [1, 2]}, "its 'axis_labels' must be words"),
        ("model", {"axis_labels": "yx"}, "its 'axis_labels' must be a list, not 'yx'"),
        ("model", {"box": [[0.0], [1.0]]}, r"its 'box' must be numbers of shape \(2, 2\)"),
        ("model", {"unit": 3}, "its 'unit' must be a word or null, not 3"),
        ("model", {"groups": {"name": "t", "labels": [1, 2]}}, "1 mixtures for 2 groups"),
        ("model", {"groups": {"name": "t"}}, "it lacks 'labels'"),
        ("model", {"groups": {"name": "t", "labels": [[1]]}}, "its 'labels' must be numbers or"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_damage_is_named(path: Path, where: str, damage: dict, words: str) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    (part,) = content["parts"]
    {"model": content, "part": part, "mixture": part["mixture"]}[where].update(damage)
    path.write_text(json.dumps(content))
    message = rf"model\.json is damaged: {words}.*\. Open another copy of it, or fit again\.$"
    with pytest.raises(InputError, match=message):
        load_model(path)


@pytest.mark.parametrize("name", ["axis_labels", "parts", "groups", "box", "schema_version"])
def test_what_is_missing_is_named(path: Path, name: str) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    del content[name]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"model\.json is damaged: it lacks '{name}'\. Open"):
        load_model(path)
