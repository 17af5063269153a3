"""Components in space as one mesh.

>>> mixture = GaussianMixture([1.0], [[0.0, 0.0, 0.0]], [np.diag([1.0, 4.0, 4.0])])
>>> mesh = ellipsoid_mesh(mixture, radius=2.0)
>>> mesh.vertices.max(0).round(1)
array([2., 4., 4.])
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

# Halvings of the edges of an icosahedron, at least and at most, and triangles in all, about.
_COARSEST, _FINEST, _MOST_FACES = 1, 3, 1_000_000


@dataclass(frozen=True, eq=False)
class EllipsoidMesh:
    """Ellipsoids as triangles.

    Parameters
    ----------
    vertices : (V, 3) array
    faces : (F, 3) array of int
        Rows of `vertices`; seen from outside, their corners are in the same sense of rotation.
    component : (V,) array of int
        Which component each vertex belongs to.
    """

    vertices: FloatArray
    faces: NDArray[np.intp]
    component: NDArray[np.intp]


def ellipsoid_mesh(mixture: GaussianMixture, radius: float) -> EllipsoidMesh:
    """The ellipsoids of a mixture in 3D, `radius` standard deviations large."""
    if mixture.n_dimensions != 3:
        raise InputError(f"Ellipsoids need points in 3D, not {mixture.n_dimensions}D.")
    k, halvings = mixture.n_components, _FINEST
    while k * 20 * 4**halvings > _MOST_FACES and halvings > _COARSEST:
        halvings -= 1
    sphere, triangles = icosphere(halvings)  # (v, 3), (f, 3)
    # A point y on the unit sphere goes to mu + r L y, the map of a standard normal.
    factors = mixture.covariance_factors
    vertices = mixture.means[:, None] + radius * np.einsum("vj,kij->kvi", sphere, factors)
    faces = triangles + len(sphere) * np.arange(k)[:, None, None]
    return EllipsoidMesh(
        vertices.reshape(-1, 3), faces.reshape(-1, 3), np.repeat(np.arange(k), len(sphere))
    )


def icosphere(halvings: int) -> tuple[FloatArray, NDArray[np.intp]]:
    """Corners (V, 3) and triangles (F, 3) of an icosahedron on the unit sphere whose edges were
    halved so many times.
    """
    golden = 0.5 * (1.0 + np.sqrt(5.0))
    corners = np.array([(0.0, s, t * golden) for s in (-1, 1) for t in (-1, 1)], dtype=np.float64)
    vertices = np.concatenate([np.roll(corners, turn, axis=1) for turn in range(3)])
    # Two corners are neighbours at distance 2, the length of an edge; three of them make a face.
    near = np.abs(np.linalg.norm(vertices[:, None] - vertices, axis=2) - 2.0) < 1e-9
    triangles = np.array(
        [
            (a, b, c)
            for a in range(12)
            for b in range(a + 1, 12)
            for c in range(b + 1, 12)
            if near[a, b] and near[b, c] and near[a, c]
        ]
    )
    inwards = np.linalg.det(vertices[triangles]) < 0
    triangles[inwards] = triangles[inwards][:, ::-1]
    for _ in range(halvings):
        edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
        edges, which = np.unique(edges, axis=0, return_inverse=True)
        ab, bc, ca = which.reshape(-1, 3).T + len(vertices)
        vertices = np.concatenate([vertices, 0.5 * vertices[edges].sum(1)])
        a, b, c = triangles.T
        triangles = np.concatenate(
            [np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        )
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), triangles
