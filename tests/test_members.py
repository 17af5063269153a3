"""What the points of each component say of it, all at once or chunk by chunk."""

import numpy as np
import pytest

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.components import component_table
from napari_sparse_gmm.members import Members, members_of
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Box

UNIT_SQUARE = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [0.5, 0.5]])


def mixture_at(*means: list[float]) -> GaussianMixture:
    """Components that each keep what is near them."""
    k, d = len(means), len(means[0])
    return GaussianMixture(np.full(k, 1 / k), means, np.tile(np.eye(d), (k, 1, 1)))


def test_a_square_a_line_a_point_and_nothing() -> None:
    mixture = mixture_at([0.5, 0.5], [100, 100], [200, 0], [300, 0])
    points = np.concatenate([UNIT_SQUARE, [[99, 99], [100, 100], [101, 101], [200, 1]]])
    frames = np.array([7.0, 3, 5, 4, 6, 1, 2, 9, 8])
    found = members_of(mixture, [(Observations(points), frames)])
    np.testing.assert_allclose(found.hull, [1.0, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(found.first_frame, [3, 1, 8, np.nan])
    np.testing.assert_array_equal(found.last_frame, [7, 9, 8, np.nan])


def test_what_is_background_counts_for_none() -> None:
    region = Box([[-50.0, -50.0], [50.0, 50.0]])
    mixture = GaussianMixture([0.5], [[0.5, 0.5]], [np.eye(2)], 0.5, region)
    points = np.concatenate([UNIT_SQUARE, [[40.0, 40.0], [-40.0, 40.0]]])
    found = members_of(mixture, [(Observations(points), np.arange(7.0))])
    np.testing.assert_allclose(found.hull, [1.0])
    np.testing.assert_array_equal(found.last_frame, [4.0])


def test_a_cube() -> None:
    cube = np.array([[x, y, z] for x in (0, 2) for y in (0, 2) for z in (0, 2)], dtype=float)
    found = members_of(mixture_at([1, 1, 1]), [(Observations(cube), None)])
    np.testing.assert_allclose(found.hull, [8.0])
    assert found.first_frame is None
    alone = members_of(mixture_at([1.0]), [(Observations(cube[:, :1]), None)])
    assert alone.hull is None


@pytest.mark.parametrize("d", [2, 3])
def test_chunks_say_the_same_as_all_together(d: int) -> None:
    """Also where the points of a component in a chunk are few, on a line, or in a plane."""
    rng = np.random.default_rng(d)
    mixture = mixture_at(*(100.0 * np.eye(d)).tolist())
    points = np.concatenate([mean + rng.normal(size=(40, d)) for mean in mixture.means])
    flat = points[:30].copy()
    flat[:, 0] = 100.0
    line = np.outer(np.linspace(-3, 3, 20), np.ones(d)) + mixture.means[1]
    points = np.concatenate([flat, line, points])
    frames = rng.integers(0, 1000, len(points)).astype(float)
    whole = members_of(mixture, [(Observations(points), frames)])
    for ends in ([30, 50], [1, 2, 3, 4, 5, 31, 33, 50, 60]):
        chunks = [
            (Observations(some), seen)
            for some, seen in zip(np.split(points, ends), np.split(frames, ends), strict=True)
        ]
        parts = members_of(mixture, iter(chunks))
        np.testing.assert_allclose(parts.hull, whole.hull, rtol=1e-12)
        np.testing.assert_array_equal(parts.first_frame, whole.first_frame)
        np.testing.assert_array_equal(parts.last_frame, whole.last_frame)
    chunks[2] = (chunks[2][0], None)
    assert members_of(mixture, chunks).first_frame is None


def test_they_are_columns_with_their_unit() -> None:
    mixture = mixture_at([0.0, 0.0], [9.0, 9.0])
    members = Members(np.array([4.0, 0.0]), np.array([1.0, np.nan]), np.array([8.0, np.nan]))
    table = component_table(mixture, 9, ("y", "x"), unit="nm", members=members)
    assert list(table)[-3:] == ["hull_area [nm²]", "first_frame", "last_frame"]
    np.testing.assert_array_equal(table["hull_area [nm²]"], [4.0, 0.0])
    table = component_table(mixture, 9, ("y", "x"), members=Members(None))
    assert "hull_area" not in table
