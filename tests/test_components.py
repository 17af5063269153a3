import csv
from pathlib import Path

import numpy as np
import pytest
from oracles import lying_along

from napari_sparse_gmm.components import about_column, component_table
from napari_sparse_gmm.evidence import Evidence
from napari_sparse_gmm.io.tables import write_table
from napari_sparse_gmm.members import Members
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.uncertainty import StandardErrors


@pytest.mark.parametrize("degrees", [0.0, 30.0, 63.0, 90.0, 120.0, 179.0])
def test_angle_turns_from_x_towards_y(degrees: float) -> None:
    mixture = GaussianMixture([1.0], [[0.0, 0.0]], [lying_along(degrees)])
    table = component_table(mixture, 100, ("y", "x"))
    assert table["angle"][0] == pytest.approx(degrees, abs=1e-6)
    # Independently of any rotation matrix: that way the variance is largest.
    along = np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])
    assert along @ mixture.covariances[0] @ along == pytest.approx(9.0)


def test_columns_in_2d() -> None:
    mixture = GaussianMixture(
        [0.2, 0.5],
        [[1, 2], [3, 4]],
        [np.diag([4.0, 1.0]), np.diag([1.0, 25.0])],
        0.3,
        [[0, 0], [9, 9]],
    )
    table = component_table(mixture, 1000, ("y", "x"))
    expected = {
        "component": [0, 1],
        "weight": [0.2, 0.5],
        "expected_points": [200, 500],
        "mean_y": [1, 3],
        "mean_x": [2, 4],
        "std_major": [2, 5],
        "std_minor": [1, 1],
        "angle": [90, 0],
        "area": [2 * np.pi, 5 * np.pi],
        "eccentricity": [0.75**0.5, 0.96**0.5],
        "density_inside": [
            300 / 81 + n * (1 - np.exp(-0.5)) / area
            for n, area in ((200, 2 * np.pi), (500, 5 * np.pi))
        ],
        "density_around": [300 / 81] * 2,
        "nearest": [8**0.5] * 2,
        "nearest_edge": [0, 0],
    }
    assert list(table) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(table[name], values, err_msg=name)


def test_errors_stand_behind_what_they_are_of() -> None:
    mixture = GaussianMixture([0.2, 0.8], [[1, 2], [3, 4]], [np.eye(2)] * 2)
    errors = StandardErrors(
        np.array([0.01, 0.02]),
        np.array([[0.1, 0.2], [0.3, 0.4]]),
        np.array([[0.5, 0.6], [0.7, 0.8]]),
    )
    table = component_table(mixture, 1000, ("y", "x"), errors)
    assert [name for name in table if name.endswith("_error")] == [
        f"{name}_error"
        for name in component_table(mixture, 1000, ("y", "x"))
        if name not in ("component", "angle", "area", "eccentricity", "nearest", "nearest_edge")
    ]
    expected = {"expected_points": [10, 20], "mean_x": [0.2, 0.4], "std_major": [0.5, 0.7]}
    for name, values in expected.items():
        np.testing.assert_allclose(table[f"{name}_error"], values)


def test_an_error_of_which_the_points_tell_nothing_is_no_number(tmp_path: Path) -> None:
    mixture = GaussianMixture([0.2, 0.8], [[1, 2], [3, 4]], [np.eye(2)] * 2)
    unknown = np.array([[0.5, 0.5], [np.inf, np.inf]])
    errors = StandardErrors(np.array([0.01, np.inf]), unknown, unknown)
    table = component_table(mixture, 1000, ("y", "x"), errors)
    for name in ("weight", "expected_points", "mean_y", "mean_x", "std_major", "std_minor"):
        assert np.isnan(table[f"{name}_error"]).tolist() == [False, True]
    write_table(tmp_path / "components.csv", table)
    assert "inf" not in (tmp_path / "components.csv").read_text()
    with (tmp_path / "components.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["mean_y_error"] for row in rows] == ["0.5", ""]


def test_columns_in_3d() -> None:
    mixture = GaussianMixture([1.0], [[1, 2, 3]], [np.diag([4.0, 25.0, 9.0])])
    table = component_table(mixture, 10, ("z", "y", "x"))
    assert [table[f"mean_{axis}"][0] for axis in "zyx"] == [1, 2, 3]
    assert [table[f"std_{n}"][0] for n in ("major", "middle", "minor")] == pytest.approx([5, 3, 2])
    assert table["volume"][0] == pytest.approx(4 / 3 * np.pi * 30)
    assert table["eccentricity"][0] == pytest.approx((1 - 4 / 25) ** 0.5)
    assert np.isnan(table["nearest"][0])
    assert not {"angle", "nearest_edge"} & set(table)


def test_area_is_that_of_the_one_sigma_ellipse() -> None:
    # By counting: the share of a box around it, of points that lie within one sigma.
    mixture = GaussianMixture([1.0], [[0.0, 0.0]], [lying_along(35.0)])
    points = np.random.default_rng(0).uniform(-4, 4, (200_000, 2))
    precision = np.linalg.inv(mixture.covariances[0])
    inside = np.einsum("ni,ij,nj->n", points, precision, points) <= 1
    table = component_table(mixture, 1, ("y", "x"))
    assert table["area"][0] == pytest.approx(inside.mean() * 64, rel=0.02)


def test_densities_are_those_of_drawn_points() -> None:
    """Of points in a uniform background, and where that has an end."""
    rng = np.random.default_rng(0)
    mixture = GaussianMixture(
        [0.2, 0.3],
        [[2.0, 3.0], [20.0, 20.0]],
        [lying_along(30.0), np.eye(2)],
        0.5,
        [[0, 0], [10, 10]],
    )
    table = component_table(mixture, 1_000_000, ("y", "x"), unit="nm")
    own = rng.multivariate_normal(mixture.means[0], mixture.covariances[0], 200_000)
    points = np.concatenate([own, rng.uniform(0, 10, (500_000, 2))]) - mixture.means[0]
    inside = np.einsum("ni,ij,nj->n", points, np.linalg.inv(mixture.covariances[0]), points) <= 1
    density = inside.sum() / table["area [nm²]"][0]
    assert table["density_inside [1/nm²]"][0] == pytest.approx(density, rel=0.01)
    np.testing.assert_allclose(table["density_around [1/nm²]"], [5000, 0])


@pytest.mark.parametrize(("d", "names"), [(1, ["std"]), (4, ["std_1", "std_2", "std_3", "std_4"])])
def test_other_dimensions_have_axes_too(d: int, names: list[str]) -> None:
    mixture = GaussianMixture([1.0], [np.zeros(d)], [np.eye(d)])
    table = component_table(mixture, 1, [f"a{i}" for i in range(d)])
    assert [name for name in table if name.startswith("std")] == names


def test_labels_must_match_the_axes() -> None:
    mixture = GaussianMixture([1.0], [[0.0, 0.0]], [np.eye(2)])
    with pytest.raises(ValueError, match="2 axis labels are needed, not 3"):
        component_table(mixture, 1, ("z", "y", "x"))


def test_distances_between_edges_of_circles() -> None:
    """Of round components the distance of the centres, less the radii; 0 where they overlap."""
    means = np.array([[0.0, 0.0], [0.0, 100.0], [300.0, 0.0], [300.0, 5.0], [300.0, 5.0]])
    std = np.array([5.0, 10.0, 4.0, 4.0, 4.0])
    covariances = std[:, None, None] ** 2 * np.eye(2)
    mixture = GaussianMixture(np.full(5, 0.2), means, covariances)
    found = component_table(mixture, 100, ("y", "x"))["nearest_edge"]
    radius = np.sqrt(-2.0 * np.log(0.05))  # of 95% of a round component in the plane
    between = 100.0 - radius * 15.0
    np.testing.assert_allclose(found, [between, between, 0.0, 0.0, 0.0], rtol=2e-3)


def test_distances_between_edges_of_ellipses() -> None:
    """Two long ones side by side, turned by 30 degrees, are apart by the short radii."""
    turn = np.radians(30.0)
    along, across = np.array([np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), -np.sin(turn)])
    covariance = 400.0 * np.outer(along, along) + 9.0 * np.outer(across, across)
    mixture = GaussianMixture([0.5, 0.5], [[0.0, 0.0], 50.0 * across], [covariance] * 2)
    radius = np.sqrt(-2.0 * np.log(0.05))
    found = component_table(mixture, 100, ("y", "x"))["nearest_edge"]
    np.testing.assert_allclose(found, 50.0 - 2 * 3.0 * radius, rtol=2e-3)
    alone = GaussianMixture([1.0], [[0.0, 0.0]], [covariance])
    assert np.isnan(component_table(alone, 9, ("y", "x"))["nearest_edge"][0])


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_every_column_says_what_it_is(d: int) -> None:
    box = [[-9.0] * d, [9.0] * d]
    mixture = GaussianMixture([0.2, 0.5], np.arange(2 * d).reshape(2, d), [np.eye(d)] * 2, 0.3, box)
    errors = StandardErrors(np.ones(2), np.ones((2, d)), np.ones((2, d)))
    table = component_table(
        mixture,
        100,
        tuple("abyx")[:d],
        errors,
        "nm",
        Evidence(1.0, np.ones(2), np.zeros(2, dtype=int), np.ones(2)),
        np.ones(2),
        Members(np.ones(2) if d in (2, 3) else None, np.ones(2), np.ones(2)),
    )
    assert {name: about_column(name) for name in table if not about_column(name)} == {}
    assert about_column("mean_a_error [nm]").startswith("Standard error")
    assert about_column("kind_of_cell") == ""
