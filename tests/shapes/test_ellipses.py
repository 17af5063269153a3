import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import lying_along, random_mixture, rotation

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.shapes.ellipses import ellipse_corners, section_corners


def in_any_order(corners: np.ndarray) -> np.ndarray:
    return corners[np.lexsort(corners.T.round(6))]


def test_upright_ellipse() -> None:
    mixture = GaussianMixture([1.0], [[10.0, 20.0]], [np.diag([1.0, 9.0])])
    corners = ellipse_corners(mixture, 2.0)[0]
    expected = {(8.0, 14.0), (8.0, 26.0), (12.0, 26.0), (12.0, 14.0)}
    assert {tuple(corner) for corner in corners.round(9)} == expected


def test_corners_come_in_cyclic_order() -> None:
    mixture = GaussianMixture([1.0], [[0.0, 0.0]], [lying_along(20.0)])
    corners = ellipse_corners(mixture, 1.0)[0]
    np.testing.assert_allclose(corners[0] + corners[2], corners[1] + corners[3], atol=1e-12)
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    np.testing.assert_allclose(sides, [6, 2, 6, 2])


@given(degrees=st.floats(-180, 180))
def test_turn_with_the_points(degrees: float) -> None:
    turn = rotation(degrees)
    upright = GaussianMixture([1.0], [[4.0, 1.0]], [np.diag([1.0, 9.0])])
    turned = GaussianMixture([1.0], upright.means @ turn.T, turn @ upright.covariances @ turn.T)
    np.testing.assert_allclose(
        in_any_order(ellipse_corners(turned, 1.5)[0]),
        in_any_order(ellipse_corners(upright, 1.5)[0] @ turn.T),
        atol=1e-6,
    )


def test_in_3d_the_two_longest_axes_are_drawn() -> None:
    mixture = GaussianMixture([1.0], [[5.0, 6.0, 7.0]], [np.diag([9.0, 0.01, 4.0])])
    corners = ellipse_corners(mixture, 1.0)[0]
    assert corners.shape == (4, 3)
    np.testing.assert_allclose(corners[:, 1], 6.0)
    np.testing.assert_allclose(np.ptp(corners[:, [0, 2]], axis=0), [6.0, 4.0])


def test_one_dimension_is_refused() -> None:
    with pytest.raises(InputError, match="two coordinates or more"):
        ellipse_corners(GaussianMixture([1.0], [[0.0]], [[[1.0]]]), 1.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_sections_lie_in_their_plane_and_on_the_ellipsoid(axis: int) -> None:
    mixture, radius = random_mixture(6, 3), 2.5
    reach = radius * np.sqrt(mixture.covariances[:, axis, axis])
    offsets = reach * np.linspace(-0.9, 0.9, 6)
    corners = section_corners(mixture, radius, axis, offsets)
    a, b, c, _ = corners.transpose(1, 0, 2)
    centre, half_1, half_2 = (a + c) / 2, (b - a) / 2, (c - b) / 2
    for angle in np.linspace(0.0, 6.0, 9):
        on_it = centre + np.cos(angle) * half_1 + np.sin(angle) * half_2
        np.testing.assert_allclose(on_it[:, axis], mixture.means[:, axis] + offsets)
        away = on_it - mixture.means
        squares = np.einsum("ki,kij,kj->k", away, np.linalg.inv(mixture.covariances), away)
        np.testing.assert_allclose(squares, radius**2)


def test_where_a_plane_is_beside_it_an_ellipsoid_is_cut_at_its_centre() -> None:
    mixture = random_mixture(2, 3)
    beside = section_corners(mixture, 1.0, 0, np.array([1e6, -1e6]))
    np.testing.assert_allclose(beside, section_corners(mixture, 1.0, 0, np.zeros(2)))
