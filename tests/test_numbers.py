"""Numbers of regions, against areas, counts and distances that are known otherwise."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from partitions import partitioned

from napari_sparse_gmm.cli import main
from napari_sparse_gmm.components import about_column
from napari_sparse_gmm.density_model import DensityModel, InRegion, Part
from napari_sparse_gmm.engines import TorchTiles
from napari_sparse_gmm.engines.fused import Fused
from napari_sparse_gmm.evidence import Evidence
from napari_sparse_gmm.io.models import load_model, save_model
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.numbers import (
    REGION_COLUMNS,
    cluster_table,
    names_of_regions,
    numbers,
    region_table,
)
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Box, Mask, Polygon, Prism, Region, inside_each, union
from napari_sparse_gmm.uncertainty import StandardErrors

FIELD = Box([[0.0, 0.0], [1000.0, 1000.0]])
CELLS: dict[str, Region] = {
    "half": Polygon([[0.0, 0.0], [1000.0, 0.0], [1000.0, 500.0], [0.0, 500.0]]),
    "triangle": Polygon([[0.0, 600.0], [0.0, 1000.0], [800.0, 1000.0]]),
    "speck": Polygon([[0.0, 520.0], [10.0, 520.0], [10.0, 530.0]]),
}

# Two clusters in the half, one in the triangle, one in no cell.
MEANS = np.array([[100.0, 100.0], [100.0, 400.0], [200.0, 900.0], [900.0, 600.0]])


def mixture_of(means: np.ndarray, background: float, std: float = 5.0) -> GaussianMixture:
    k, d = means.shape
    weights = np.full(k, (1.0 - background) / k)
    return GaussianMixture(weights, means, [std**2 * np.eye(d)] * k, background, FIELD)


def drawn(n_of_each: int, n_scattered: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    clustered = np.repeat(MEANS, n_of_each, axis=0)
    clustered = clustered + 5.0 * rng.standard_normal(clustered.shape)
    return np.concatenate([clustered, rng.uniform(0.0, 1000.0, (n_scattered, 2))])


@pytest.mark.parametrize("engine", [TorchTiles, Fused], ids=["torch", "fused"])
def test_points_in_regions_and_those_of_the_background(engine) -> None:
    points = drawn(200, 800)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, len(points))
    mixture = mixture_of(MEANS, 0.5)
    regions = tuple(CELLS.values())
    # By Bayes' rule from the densities, in double precision.
    shares = mixture.background_weight / 1e6 / np.exp(mixture.log_density(points))
    expected = [
        [weights[inside].sum(), (weights * shares)[inside].sum()]
        for inside in (region.contains(points) for region in regions)
    ]
    observations = Observations.of(points, weights)
    exact = {"dtype": np.float64, "block_size": 64}
    whole = engine(observations, **exact)
    found = whole.region_weights(mixture, regions)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    owner = np.random.default_rng(2).integers(0, 3, len(points))
    parts = partitioned(observations, owner, engine, **exact)
    np.testing.assert_allclose(parts.region_weights(mixture, regions), expected, rtol=1e-6)
    bare = GaussianMixture(np.full(4, 0.25), MEANS, [25.0 * np.eye(2)] * 4)
    assert not whole.region_weights(bare, regions)[:, 1].any()


def test_rows_are_those_that_each_region_contains() -> None:
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.uniform(0.0, 10.0, (500, 2)), [[0.0, 0.0], [4.0, 4.0]]])
    mask = Mask(rng.random((10, 10)) < 0.4)
    boxes = [Box([low, low + np.array([3.0, 2.0])]) for low in rng.uniform(0, 8, (20, 2))]
    regions = [mask, Box([[0.0, 0.0], [4.0, 4.0]]), *boxes]
    for region, rows in zip(regions, inside_each(points, regions), strict=True):
        np.testing.assert_array_equal(rows, np.flatnonzero(region.contains(points)))


def model_with_cells(unit: str | None = "nm") -> DensityModel:
    counts = {"half": (450.0, 50.0), "triangle": (100.0, 100.0), "speck": (0.0, 0.0)}
    regions = tuple(InRegion(name, CELLS[name], *counts[name]) for name in CELLS)
    part = Part(mixture_of(MEANS, 0.5), None, 1000, 1000.0, regions=regions)
    return DensityModel((part,), ("y", "x"), unit)


def test_a_row_for_each_region() -> None:
    table = pd.DataFrame(region_table(model_with_cells()))
    assert list(table["region"]) == ["half", "triangle", "speck"]
    np.testing.assert_allclose(table["area [µm²]"], [0.5, 0.16, 5e-5])
    assert list(table["clusters"]) == [2, 1, 0]
    np.testing.assert_allclose(table["clusters per area [1/µm²]"], [4.0, 6.25, 0.0])
    np.testing.assert_allclose(table["background per area [1/µm²]"], [100.0, 625.0, 0.0])
    np.testing.assert_allclose(table["share of points in clusters"], [8 / 9, 0.0, np.nan])
    np.testing.assert_allclose(table["median points of a cluster"], [125.0, 125.0, np.nan])
    np.testing.assert_allclose(table["median radius of a cluster [nm]"], [5.0, 5.0, np.nan])
    distance = table["median distance to the nearest cluster [nm]"]
    np.testing.assert_allclose(distance, [300.0, np.nan, np.nan])
    assert table["clusters surer than 95%"].isna().all()
    assert "area" in region_table(model_with_cells(None))
    part = model_with_cells().fitted[0]
    assert list(names_of_regions(part)) == ["half", "half", "triangle", ""]


def test_every_column_says_what_it_is() -> None:
    for unit in ("nm", None):
        for name in region_table(model_with_cells(unit)):
            assert about_column(name, REGION_COLUMNS), name
    assert all(map(about_column, cluster_table(model_with_cells().fitted[0], ("y", "x"), "nm")))


def test_the_whole_field_as_one_region_has_the_numbers_of_the_model() -> None:
    mixture = mixture_of(MEANS, 0.5)
    field = InRegion("field", FIELD, 1000.0, 500.0)
    model = DensityModel((Part(mixture, None, 1000, 1000.0, regions=(field,)),), ("y", "x"), "nm")
    whole = numbers(model)
    for name, (value,) in region_table(model).items():
        if name != "region":
            np.testing.assert_allclose(whole[name], value)


def test_scattered_clusters_are_as_far_apart_as_those_of_a_poisson_process() -> None:
    rng = np.random.default_rng(4)
    means = rng.uniform(0.0, 1000.0, (4000, 2))
    field = InRegion("field", FIELD, 1.0, 0.0)
    model = DensityModel(
        (Part(mixture_of(means, 0.5), None, 1, 1.0, regions=(field,)),), ("y", "x"), "nm"
    )
    table = region_table(model)
    # P(nearest > r) = exp(-lambda pi r²), so the median is sqrt(ln 2 / (lambda pi)).
    expected = np.sqrt(np.log(2.0) / (4000 / 1e6 * np.pi))
    assert table["median distance to the nearest cluster [nm]"][0] == pytest.approx(
        expected, rel=0.03
    )


def test_a_model_keeps_its_regions_in_its_file(tmp_path: Path) -> None:
    model = model_with_cells()
    save_model(tmp_path / "model.json", model)
    again = load_model(tmp_path / "model.json")
    pd.testing.assert_frame_equal(
        pd.DataFrame(region_table(model)), pd.DataFrame(region_table(again))
    )
    content = json.loads((tmp_path / "model.json").read_text())
    del content["parts"][0]["regions"]  # as older files
    (tmp_path / "model.json").write_text(json.dumps(content))
    assert region_table(load_model(tmp_path / "model.json")) == {}


def test_masks_of_one_image_are_joined() -> None:
    rng = np.random.default_rng(5)
    whole = rng.random((12, 9)) < 0.5
    spacing = np.array([[2.0, 0.5], [0.0, 3.0]])
    origin = np.array([100.0, -7.0])
    parts = [
        Mask(whole[:6, :4], spacing, origin),
        Mask(whole[6:, 2:], spacing, origin + spacing @ [6, 2]),
    ]
    joined = union(parts)
    points = joined.sample(200, np.random.default_rng(6))
    assert joined.contains(points).all()
    assert np.logical_or(*(part.contains(points) for part in parts)).all()
    assert joined.volume == pytest.approx(sum(part.volume for part in parts))


def test_numbers_of_a_model() -> None:
    box = Box([[0.0, 0.0], [10.0, 20.0]])
    covariances = [np.diag([1.0, 4.0]), np.diag([9.0, 4.0]), np.eye(2)]
    mixture = GaussianMixture(
        [0.1, 0.2, 0.3], np.ones((3, 2)), np.array(covariances), 0.4, background_region=box
    )
    errors = StandardErrors(*(np.zeros(shape) for shape in (3, (3, 2), (3, 2))))
    evidence = Evidence(np.array([1.0, 2.0, 3.0]), 4.0, np.zeros(3, dtype=int), np.ones(3))
    part = Part(mixture, errors, 100, 120.0, 3.5, 7, True, evidence=evidence)
    found = numbers(DensityModel((part,), ("y", "x"), "nm"))
    assert found == {
        "area [µm²]": pytest.approx(2e-4),
        "points": 100,
        "clusters": 3,
        "clusters surer than 95%": 2,
        "clusters per area [1/µm²]": pytest.approx(15_000.0),
        "background per area [1/µm²]": pytest.approx(2e5),
        "share of points in clusters": pytest.approx(0.6),
        "median points of a cluster": pytest.approx(24.0),
        "points of a cluster, lower quartile": pytest.approx(18.0),
        "points of a cluster, upper quartile": pytest.approx(30.0),
        "median radius of a cluster [nm]": pytest.approx(2**0.5),
        "radius of a cluster, lower quartile [nm]": pytest.approx((1 + 2**0.5) / 2),
        "radius of a cluster, upper quartile [nm]": pytest.approx((2**0.5 + 6**0.5) / 2),
        "median distance to the nearest cluster [nm]": 0.0,
        "points that are one observation": 1.0,
        "cost": 3.5,
        "converged": True,
    }


# The command line


def shapes_file(path: Path) -> Path:
    rows = [
        (name, "polygon", k, *corner)
        for name, cell in CELLS.items()
        for k, corner in enumerate(cell.outlines[0])  # type: ignore[attr-defined]
    ]
    names = ["index", "shape-type", "vertex-index", "axis-0", "axis-1"]
    pd.DataFrame(rows, columns=names).to_csv(path, index=False)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    y, x = drawn(150, 400).T
    path = tmp_path / "points.csv"
    pd.DataFrame({"x [nm]": x, "y [nm]": y}).to_csv(path, index=False)
    return path


QUICK = ("--random-state", "0", "--engine", "torch", "--pixel-size", "50")


def test_one_fit_and_a_row_for_each_cell(table: Path, tmp_path: Path, capsys) -> None:
    out, cells = tmp_path / "out", shapes_file(tmp_path / "cells.csv")
    command = ["fit", str(table), "--region", str(cells), "--out", str(out), *QUICK]
    assert main(command) == 0
    assert "regions.csv" in capsys.readouterr().out
    found = pd.read_csv(out / "regions.csv").set_index("region")
    points = pd.read_csv(table)[["y [nm]", "x [nm]"]].to_numpy()
    for name, cell in CELLS.items():
        assert found.loc[name, "points"] == cell.contains(points).sum()
        assert found.loc[name, "area [µm²]"] == pytest.approx(1e-6 * cell.volume)
    assert list(found["clusters"]) == [2, 1, 0]
    # 150 points for each cluster, and the scattered ones.
    share = found.loc["half", "share of points in clusters"]
    assert share == pytest.approx(300 / found.loc["half", "points"], abs=0.03)
    assert sorted(pd.read_csv(out / "components.csv")["region"]) == ["half", "half", "triangle"]
    # Without regions nothing is left of those.
    assert main(["fit", str(table), "--out", str(out), *QUICK]) == 0
    assert not (out / "regions.csv").exists()


def test_each_cell_by_itself(table: Path, tmp_path: Path) -> None:
    out, cells = tmp_path / "out", shapes_file(tmp_path / "cells.csv")
    command = ["fit", str(table), "--region", str(cells), "--each-region", "--out", str(out)]
    assert main([*command, *QUICK]) == 0
    for name, n_clusters in {"half": 2, "triangle": 1}.items():
        model = load_model(out / name / "model.json")
        assert model.mixture.background_region.volume == pytest.approx(CELLS[name].volume)
        row = pd.read_csv(out / name / "regions.csv").iloc[0]
        assert (row["region"], row["clusters"]) == (name, n_clusters)


def test_several_files_have_a_row_for_each_cell(table: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_bytes(table.read_bytes())
    out, cells = tmp_path / "out", shapes_file(tmp_path / "cells.csv")
    files = [str(table), str(tmp_path / "other.csv")]
    assert main(["fit", *files, "--region", str(cells), "--out", str(out), *QUICK]) == 0
    summary = pd.read_csv(out / "summary.csv")
    assert list(summary["region"]) == 2 * ["half", "triangle", "speck"]
    assert list(summary["clusters"]) == 2 * [2, 1, 0]
    one = pd.read_csv(out / "points" / "regions.csv")
    pd.testing.assert_series_equal(summary["points"][:3], one["points"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--each-region"], "about a --region"),
        (["--region", "hull", "--each-region"], "one region"),
        (["--region", "hull", "--region-pixel-size", "2"], "one region"),
    ],
)
def test_what_goes_with_no_region_is_refused(table, tmp_path, capsys, more, words) -> None:
    assert main(["fit", str(table), "--out", str(tmp_path / "out"), *more]) == 2
    assert words in capsys.readouterr().err


def test_cells_of_a_volume_reach_from_its_lowest_to_its_highest_point(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    clustered = [500.0, 250.0, 250.0] + 5.0 * rng.standard_normal((200, 3))
    scattered = rng.uniform(0.0, 1000.0, (200, 3))
    z, y, x = np.concatenate([clustered, scattered]).T
    pd.DataFrame({"x [nm]": x, "y [nm]": y, "z [nm]": z}).to_csv(tmp_path / "p.csv", index=False)
    out, cells = tmp_path / "out", shapes_file(tmp_path / "cells.csv")
    command = ["fit", str(tmp_path / "p.csv"), "--region", str(cells), "--out", str(out)]
    assert main([*command, "--engine", "torch", "--random-state", "0"]) == 0
    found = pd.read_csv(out / "regions.csv")
    background = load_model(out / "model.json").mixture.background_region
    assert isinstance(background, Prism)
    height = np.ptp(background.sides.box)
    np.testing.assert_allclose(found["volume [µm³]"], 1e-9 * height * np.array([5e5, 1.6e5, 50.0]))
    assert found["clusters"][0] == 1
