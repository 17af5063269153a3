import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from napari_sparse_gmm.density_model import DensityModel, Groups, Part, provenance
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.evidence import Evidence
from napari_sparse_gmm.io.models import is_model, load_model, save_model
from napari_sparse_gmm.members import Members
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.regions import Box, Hull, Intensity, Mask, Polygon, Prism, Region
from napari_sparse_gmm.uncertainty import StandardErrors

SQUARE = [[0.0, 0.0], [0.0, 4.0], [3.0, 0.1]]
REGIONS: dict[str, Region] = {
    "box": Box(np.array([[0.0, 1 / 3], [1.0, 2.0]])),
    "hull": Hull([*SQUARE, [0.5, 0.5]]),
    "polygon": Polygon(SQUARE, [[10.0, 10.0], [11.0, 10.0], [10.0, 11.0]]),
    "mask": Mask(np.eye(5, 7), [[0.1, 0.02], [0.0, 0.3]], [1 / 3, 7.0]),
    "image": Intensity(np.arange(35).reshape(5, 7) / 3, [[0.1, 0.02], [0.0, 0.3]], [1 / 3, 7.0]),
    "image in a box": Intensity(np.eye(5) + 1 / 3, 0.5, 0.25, Box([[0.1, 0.2], [1.0, 2.0]])),
}


@pytest.fixture
def model() -> DensityModel:
    mixture = GaussianMixture(
        [0.1, 1 / 3],
        [[0.1, 1e9 + 1 / 3], [np.pi, 2.0]],
        [np.diag([1e-18, 2.0]), [[2.0, 0.3], [0.3, 1.0]]],
        2 / 3 - 0.1,
        [[0.0, 0.0], [1e9, 2e9]],
    )
    errors = StandardErrors(
        np.array([1 / 3, np.inf]), np.array([[0.1, np.nan], [np.inf, 3.0]]), np.full((2, 2), 1 / 7)
    )
    evidence = Evidence(np.array([1 / 3, -2.0]), 17.5, np.array([1, 0]), np.array([0.75, 1.0]))
    part = Part(mixture, errors, 400, 412.0, 3.25, 17, True, -16 / 7, 1.0, evidence)
    members = Members(np.array([1 / 3, 0.0]), np.array([7.0, np.nan]), np.array([9.0, np.nan]))
    box = np.array([[1 / 3, 0.0], [2.0, 3.0]])
    part = replace(part, members=members)
    return DensityModel((part,), ("y", "x"), "µm", box, provenance={"source": "points.csv"})


@pytest.fixture
def path(tmp_path: Path, model: DensityModel) -> Path:
    path = tmp_path / "model.json"
    save_model(path, model)
    return path


def test_every_number_comes_back_exactly(path: Path, model: DensityModel) -> None:
    read = load_model(path)
    same_mixture(read.mixture, model.mixture)
    (part,), (given,) = read.parts, model.parts
    for name in ("weights", "means", "stds"):
        np.testing.assert_array_equal(getattr(part.errors, name), getattr(given.errors, name))
    for name in ("components", "field", "kinds", "probabilities"):
        np.testing.assert_array_equal(getattr(part.evidence, name), getattr(given.evidence, name))
    for name in ("hull", "first_frame", "last_frame"):
        np.testing.assert_array_equal(getattr(part.members, name), getattr(given.members, name))
    for name in ("n_points", "total_weight", "cost", "n_iter", "converged", "mean_log_density"):
        assert getattr(part, name) == getattr(given, name)
    np.testing.assert_array_equal(read.box, model.box)
    assert (read.axis_labels, read.unit, read.n_points) == (("y", "x"), "µm", 412.0)
    assert (read.groups, read.view) == (None, None)
    assert read.provenance == {"source": "points.csv"}


def test_files_from_before_there_were_kinds_have_one(path: Path) -> None:
    content = json.loads(path.read_text())
    (part,) = content["parts"]
    del part["evidence"]["kinds"], part["evidence"]["probabilities"]
    path.write_text(json.dumps(content))
    found = load_model(path).fitted[0].evidence
    assert found is not None
    assert found.kinds.tolist() == [0, 0]
    assert found.probabilities.tolist() == [1.0, 1.0]


def same_mixture(one: GaussianMixture, other: GaussianMixture) -> None:
    for name in ("weights", "means", "covariances", "background_weight"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    regions = one.background_region, other.background_region
    assert len({json.dumps(region and region.to_dict()) for region in regions}) == 1


@pytest.mark.parametrize("kind", [*REGIONS, "prism", "none"])
def test_every_region_comes_back(tmp_path: Path, kind: str) -> None:
    region = REGIONS.get(kind)
    if kind == "prism":
        region = Prism(Box(np.array([[0.1], [0.2]])), REGIONS["polygon"])
    d = 2 if region is None else region.n_dimensions
    share = 0.0 if region is None else 0.25
    mixture = GaussianMixture([1 - share], np.zeros((1, d)), np.eye(d)[None], share, region)
    given = DensityModel((Part(mixture, None, 10, 10.0),), ("z", "y", "x")[-d:], None)
    save_model(tmp_path / "model.json", given)
    read = load_model(tmp_path / "model.json")
    same_mixture(read.mixture, mixture)
    assert np.isnan(read.parts[0].cost)
    if region is not None:
        places = np.random.default_rng(0).uniform(-1, 12, (500, d))
        found = read.mixture.background_region.log_intensity(places)
        np.testing.assert_array_equal(found, region.log_intensity(places))


@pytest.mark.parametrize(
    "labels",
    [
        [1, 2, 5],
        [0.1, 1 / 3, 2.0],
        [-np.inf, 1.5, np.nan],
        ["a", "b", "µ"],
        ["1.5", "inf", "nan"],
        [False, False, True],
    ],
    ids=["int", "float", "not finite", "words", "words that look like numbers", "bool"],
)
def test_groups_come_back_with_their_gap(tmp_path: Path, model: DensityModel, labels: list) -> None:
    (part,) = model.parts
    given = DensityModel(
        (part, None, part),
        model.axis_labels,
        None,
        groups=Groups("cell", np.array(labels)),
        view={"scale": np.array([1 / 3, 2.0]), "axes": (0, 1), "stack": {"own": True}},
    )
    save_model(tmp_path / "model.json", given)
    read = load_model(tmp_path / "model.json")
    assert [one is None for one in read.parts] == [False, True, False]
    np.testing.assert_array_equal(read.groups.labels, labels)
    assert (read.groups.name, read.groups.labels.dtype) == ("cell", given.groups.labels.dtype)
    assert read.view == {"scale": [1 / 3, 2.0], "axes": [0, 1], "stack": {"own": True}}
    assert (len(read.fitted), read.n_points) == (2, 824.0)
    with pytest.raises(InputError, match="a mixture for each cell"):
        _ = read.mixture


def test_what_was_read_can_be_saved_again(path: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "again.json", load_model(path))
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_a_file_of_version_1_is_read(tmp_path: Path) -> None:
    """As the first version wrote it."""
    path = tmp_path / "model.json"
    path.write_text(
        """{
  "format": "napari-sparse-gmm model",
  "schema_version": 1,
  "axis_labels": ["y", "x"],
  "unit": "nm",
  "n_points": 400.5,
  "mixture": {
    "n_dimensions": 2,
    "weights": [0.75],
    "means": [[80.0, 20.0]],
    "covariances": [[[4.0, 0.0], [0.0, 16.0]]],
    "background_weight": 0.25,
    "background_region": {"kind": "box", "corners": [[0.0, 0.0], [100.0, 50.0]]}
  },
  "provenance": {"source": "points.csv", "version": "0.1.0"}
}
"""
    )
    model = load_model(path)
    assert (model.axis_labels, model.unit, model.n_points) == (("y", "x"), "nm", 400.5)
    assert (model.box, model.groups, model.view) == (None, None, None)
    # W / (2 pi sqrt(det)) + W_0 / |B|
    expected = 0.75 / (2 * np.pi * 8) + 0.25 / 5000
    assert model.mixture.density([[80.0, 20.0]])[0] == pytest.approx(expected)
    assert model.parts[0].errors is None
    assert model.provenance["source"] == "points.csv"


def test_a_model_is_known_by_its_first_lines(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"format": "something else"}')
    assert is_model(path)
    assert not is_model(other)
    assert not is_model(tmp_path / "nowhere.json")


def test_other_programs_can_read_it(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["format"] == "napari-sparse-gmm model"
    assert content["schema_version"] == 2
    assert content["unit"] == "µm"
    (part,) = content["parts"]
    assert np.shape(part["mixture"]["covariances"]) == (2, 2, 2)
    assert part["errors"]["weights"] == [1 / 3, "inf"]  # which JSON has no number for


def test_provenance_says_how_it_was_made() -> None:
    made = provenance(
        source="a.csv", parameters={"n_components": 3}, engine="torch", engine_reason="Why."
    )
    assert made["version"] == version("napari-sparse-gmm")
    assert made["parameters"] == {"n_components": 3}
    assert (made["engine"], made["engine_reason"]) == ("torch", "Why.")
    age = datetime.now(UTC) - datetime.fromisoformat(made["created"])
    assert timedelta(seconds=-1) < age < timedelta(minutes=1)


def test_a_mark_of_utf_8_does_not_matter(path: Path) -> None:
    """Editors of Windows put one before what they save."""
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert load_model(path).unit == "µm"
