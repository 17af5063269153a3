import numpy as np
import pytest
from oracles import random_mixture

from napari_sparse_gmm.shapes.ellipsoids import ellipsoid_mesh, icosphere


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Of a closed mesh whose faces are all seen in the same sense, by the divergence theorem."""
    return float(np.linalg.det(vertices[faces]).sum() / 6.0)


@pytest.mark.parametrize("halvings", [0, 1, 2])
def test_a_sphere_is_closed_and_on_the_unit_sphere(halvings: int) -> None:
    vertices, faces = icosphere(halvings)
    assert len(faces) == 20 * 4**halvings
    assert len(vertices) == 10 * 4**halvings + 2  # Euler
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 1.0)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    # Each edge is in two faces, once in either direction: closed, and all seen from outside.
    assert len(np.unique(edges, axis=0)) == len(edges)
    np.testing.assert_array_equal(np.unique(edges, axis=0), np.unique(edges[:, ::-1], axis=0))
    assert volume(vertices, faces) > 0


def test_each_ellipsoid_has_the_volume_of_its_component() -> None:
    mixture = random_mixture(5, 3)
    vertices, faces, component = ellipsoid_mesh(mixture, 2.0)
    unit = volume(*icosphere(2))
    for k, covariance in enumerate(mixture.covariances):
        own = faces[component[faces[:, 0]] == k]
        assert (component[own] == k).all()
        found = volume(vertices - mixture.means[k], own)
        assert found == pytest.approx(unit * 8.0 * np.sqrt(np.linalg.det(covariance)))


def test_many_ellipsoids_are_coarser() -> None:
    _, faces, _ = ellipsoid_mesh(random_mixture(501, 3), 1.0)
    assert len(faces) == 501 * 80


def test_the_plane_has_no_ellipsoids() -> None:
    with pytest.raises(ValueError, match="3D"):
        ellipsoid_mesh(random_mixture(2, 2), 1.0)
