import numpy as np
import pytest
from oracles import random_mixture

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.errors import InputError
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


def balls(*sizes: float) -> GaussianMixture:
    covariances = np.square(sizes)[:, None, None] * np.eye(3)
    k = len(sizes)
    return GaussianMixture(np.full(k, 1 / k), np.arange(3.0 * k).reshape(k, 3), covariances)


def test_vertices_are_on_the_contour_and_fill_it() -> None:
    mixture = random_mixture(5, 3)
    mesh = ellipsoid_mesh(mixture, 2.0)
    for k, (mean, covariance) in enumerate(zip(mixture.means, mixture.covariances, strict=True)):
        away = mesh.vertices[mesh.component == k] - mean
        squares = np.einsum("vi,ij,vj->v", away, np.linalg.inv(covariance), away)
        np.testing.assert_allclose(squares, 4.0)
        own = mesh.faces[mesh.component[mesh.faces[:, 0]] == k]
        assert (mesh.component[own] == k).all()
        ideal = 4 / 3 * np.pi * 8.0 * np.sqrt(np.linalg.det(covariance))
        assert 0.85 * ideal < volume(mesh.vertices - mean, own) < ideal


def test_many_ellipsoids_are_coarser() -> None:
    few, many = (len(ellipsoid_mesh(balls(*[1.0] * k), 1.0).faces) / k for k in (10, 9_000))
    assert many < few
    assert 9_000 * many < 2e6


def test_the_plane_has_no_ellipsoids() -> None:
    with pytest.raises(InputError, match="3D"):
        ellipsoid_mesh(random_mixture(2, 2), 1.0)
