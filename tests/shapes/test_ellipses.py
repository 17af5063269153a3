import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.shapes.ellipses import (
    component_table,
    coverage_to_radius,
    ellipse_corners,
    principal_axes,
)
from napari_sparse_gmm.uncertainty import StandardErrors


def rotation(degrees: float) -> np.ndarray:
    """Turns (y, x) vectors so that the x axis moves towards the y axis."""
    a = np.radians(degrees)
    return np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])


def lying_along(degrees: float, std_major: float = 3.0, std_minor: float = 1.0) -> np.ndarray:
    turn = rotation(degrees)
    return turn @ np.diag([std_minor**2, std_major**2]) @ turn.T


def in_any_order(corners: np.ndarray) -> np.ndarray:
    return corners[np.lexsort(corners.T.round(6))]


class TestCoverage:
    @pytest.mark.parametrize("n_dimensions", [1, 2, 3, 7])
    @pytest.mark.parametrize("percent", [1.0, 50.0, 95.0, 99.9])
    def test_is_the_chi_squared_quantile(self, percent: float, n_dimensions: int) -> None:
        expected = np.sqrt(chi2.ppf(percent / 100, n_dimensions))
        assert coverage_to_radius(percent, n_dimensions) == pytest.approx(expected)

    @pytest.mark.parametrize("n_dimensions", [2, 3])
    def test_ellipsoid_holds_that_share_of_samples(self, n_dimensions: int) -> None:
        factor = np.tril(np.random.default_rng(1).standard_normal((n_dimensions, n_dimensions)))
        mixture = GaussianMixture([1.0], [np.ones(n_dimensions)], [factor @ factor.T])
        points, _ = mixture.sample(40_000, random_state=2)
        std, directions = principal_axes(mixture.covariances)
        along_axes = (points - mixture.means) @ directions[0] / std[0]
        inside = np.linalg.norm(along_axes, axis=1) <= coverage_to_radius(80.0, n_dimensions)
        assert inside.mean() == pytest.approx(0.80, abs=0.01)

    @pytest.mark.parametrize("percent", [0.0, 100.0, -5.0, float("nan")])
    def test_must_be_a_share(self, percent: float) -> None:
        with pytest.raises(InputError, match="between 0 and 100 percent"):
            coverage_to_radius(percent, 2)


class TestPrincipalAxes:
    @given(seed=st.integers(0, 10_000), n_dimensions=st.integers(1, 5))
    def test_put_the_covariance_together_again(self, seed: int, n_dimensions: int) -> None:
        rng = np.random.default_rng(seed)
        factors = rng.standard_normal((4, n_dimensions, 2 * n_dimensions))
        covariances = factors @ factors.swapaxes(1, 2)
        std, directions = principal_axes(covariances)
        assert (np.diff(std, axis=1) <= 0).all()
        np.testing.assert_allclose(
            np.einsum("kij,kj,klj->kil", directions, std**2, directions), covariances, atol=1e-10
        )
        np.testing.assert_allclose(
            directions.swapaxes(1, 2) @ directions,
            np.tile(np.eye(n_dimensions), (4, 1, 1)),
            0,
            1e-12,
        )

    def test_short_axis_of_a_needle_keeps_its_digits(self) -> None:
        # Sheared by a power of two, so that the covariance is exact in float64. Its
        # determinant is 1, so the axes are 1 / each other.
        shear = np.array([[1.0, 0.0], [2.0**22, 1.0]])
        std, _ = principal_axes([shear @ shear.T])
        assert std[0, 1] * std[0, 0] == pytest.approx(1.0, rel=1e-6)


class TestEllipseCorners:
    def test_upright_ellipse(self) -> None:
        mixture = GaussianMixture([1.0], [[10.0, 20.0]], [np.diag([1.0, 9.0])])
        corners = ellipse_corners(mixture, 2.0)[0]
        expected = {(8.0, 14.0), (8.0, 26.0), (12.0, 26.0), (12.0, 14.0)}
        assert {tuple(corner) for corner in corners.round(9)} == expected

    def test_corners_come_in_cyclic_order(self) -> None:
        mixture = GaussianMixture([1.0], [[0.0, 0.0]], [lying_along(20.0)])
        corners = ellipse_corners(mixture, 1.0)[0]
        np.testing.assert_allclose(corners[0] + corners[2], corners[1] + corners[3], atol=1e-12)
        sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
        np.testing.assert_allclose(sides, [6, 2, 6, 2])

    @given(degrees=st.floats(-180, 180))
    def test_turn_with_the_points(self, degrees: float) -> None:
        turn = rotation(degrees)
        upright = GaussianMixture([1.0], [[4.0, 1.0]], [np.diag([1.0, 9.0])])
        turned = GaussianMixture([1.0], upright.means @ turn.T, turn @ upright.covariances @ turn.T)
        np.testing.assert_allclose(
            in_any_order(ellipse_corners(turned, 1.5)[0]),
            in_any_order(ellipse_corners(upright, 1.5)[0] @ turn.T),
            atol=1e-6,
        )

    def test_in_3d_the_two_longest_axes_are_drawn(self) -> None:
        mixture = GaussianMixture([1.0], [[5.0, 6.0, 7.0]], [np.diag([9.0, 0.01, 4.0])])
        corners = ellipse_corners(mixture, 1.0)[0]
        assert corners.shape == (4, 3)
        np.testing.assert_allclose(corners[:, 1], 6.0)
        np.testing.assert_allclose(np.ptp(corners[:, [0, 2]], axis=0), [6.0, 4.0])

    def test_one_dimension_is_refused(self) -> None:
        with pytest.raises(InputError, match="two coordinates or more"):
            ellipse_corners(GaussianMixture([1.0], [[0.0]], [[[1.0]]]), 1.0)


class TestComponentTable:
    @pytest.mark.parametrize("degrees", [0.0, 30.0, 63.0, 90.0, 120.0, 179.0])
    def test_angle_turns_from_x_towards_y(self, degrees: float) -> None:
        mixture = GaussianMixture([1.0], [[0.0, 0.0]], [lying_along(degrees)])
        table = component_table(mixture, 100, ("y", "x"))
        assert table["angle"][0] == pytest.approx(degrees, abs=1e-6)
        # Independently of any rotation matrix: that way the variance is largest.
        along = np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])
        assert along @ mixture.covariances[0] @ along == pytest.approx(9.0)

    def test_columns_in_2d(self) -> None:
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
        }
        assert list(table) == list(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(table[name], values, err_msg=name)

    def test_errors_stand_behind_what_they_are_of(self) -> None:
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
            if name not in ("component", "angle", "area")
        ]
        expected = {"expected_points": [10, 20], "mean_x": [0.2, 0.4], "std_major": [0.5, 0.7]}
        for name, values in expected.items():
            np.testing.assert_allclose(table[f"{name}_error"], values)

    def test_columns_in_3d(self) -> None:
        mixture = GaussianMixture([1.0], [[1, 2, 3]], [np.diag([4.0, 25.0, 9.0])])
        table = component_table(mixture, 10, ("z", "y", "x"))
        assert [table[f"mean_{axis}"][0] for axis in "zyx"] == [1, 2, 3]
        assert [table[f"std_{n}"][0] for n in ("major", "middle", "minor")] == pytest.approx(
            [5, 3, 2]
        )
        assert table["volume"][0] == pytest.approx(4 / 3 * np.pi * 30)
        assert "angle" not in table

    def test_area_is_that_of_the_one_sigma_ellipse(self) -> None:
        # By counting: the share of a box around it, of points that lie within one sigma.
        mixture = GaussianMixture([1.0], [[0.0, 0.0]], [lying_along(35.0)])
        points = np.random.default_rng(0).uniform(-4, 4, (200_000, 2))
        precision = np.linalg.inv(mixture.covariances[0])
        inside = np.einsum("ni,ij,nj->n", points, precision, points) <= 1
        table = component_table(mixture, 1, ("y", "x"))
        assert table["area"][0] == pytest.approx(inside.mean() * 64, rel=0.02)

    @pytest.mark.parametrize(
        ("d", "names"), [(1, ["std"]), (4, ["std_1", "std_2", "std_3", "std_4"])]
    )
    def test_other_dimensions_have_axes_too(self, d: int, names: list[str]) -> None:
        mixture = GaussianMixture([1.0], [np.zeros(d)], [np.eye(d)])
        table = component_table(mixture, 1, [f"a{i}" for i in range(d)])
        assert [name for name in table if name.startswith("std")] == names

    def test_labels_must_match_the_axes(self) -> None:
        mixture = GaussianMixture([1.0], [[0.0, 0.0]], [np.eye(2)])
        with pytest.raises(InputError, match="2 axis labels are needed, not 3"):
            component_table(mixture, 1, ("z", "y", "x"))
