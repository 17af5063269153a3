"""Components in space as one mesh.

>>> vertices, faces, component = ellipsoid_mesh(mixture, coverage_to_radius(95.0, 3))
"""

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

# Halvings of the edges of the icosahedron: 162 corners, 320 faces, round to 2% of the radius.
_HALVINGS = 2
# With so many components, once fewer: 42 corners and 80 faces each.
_MANY = 500


def ellipsoid_mesh(
    mixture: GaussianMixture, radius: float
) -> tuple[FloatArray, NDArray[np.intp], NDArray[np.intp]]:
    """The ellipsoids of a mixture in 3D, `radius` standard deviations large, as triangles.

    Returns
    -------
    vertices : (V, 3) array
    faces : (F, 3) array of int
        Rows of `vertices`; seen from outside, their corners are in the same sense of rotation.
    component : (V,) array of int
        Which component each vertex belongs to.
    """
    if mixture.n_dimensions != 3:
        raise ValueError(f"Ellipsoids need points in 3D, not {mixture.n_dimensions}D.")
    k = mixture.n_components
    sphere, triangles = icosphere(_HALVINGS if k <= _MANY else _HALVINGS - 1)
    # A point y of the unit sphere goes to mu + r L y, the map of a standard normal.
    vertices = mixture.means[:, None] + radius * sphere @ mixture.covariance_factors.swapaxes(1, 2)
    faces = triangles + len(sphere) * np.arange(k)[:, None, None]
    return vertices.reshape(-1, 3), faces.reshape(-1, 3), np.arange(k).repeat(len(sphere))


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
