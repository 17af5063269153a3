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

# A slice of the mesh is so thick, in terms of the smallest radius of a typical ellipsoid: thin
# enough that its middle looks like a ring.
_SLICE = 0.7
# The longest edge of an icosahedron whose edges were halved h times is at most so long, over 2^h.
_EDGE = 1.25
# Halvings, at least and at most, and triangles in all, about.
_COARSEST, _FINEST, _MOST_FACES = 1, 5, 2_000_000


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
    slice_thickness : float
        A slice of the mesh that is so thick holds several triangles of each ellipsoid that it
        cuts, on top of each other.
    """

    vertices: FloatArray
    faces: NDArray[np.intp]
    component: NDArray[np.intp]
    slice_thickness: float


def ellipsoid_mesh(mixture: GaussianMixture, radius: float) -> EllipsoidMesh:
    """The ellipsoids of a mixture in 3D, `radius` standard deviations large.

    The larger one is, the more triangles it has, so that all can be cut into slices of one
    thickness.
    """
    if mixture.n_dimensions != 3:
        raise InputError(f"Ellipsoids need points in 3D, not {mixture.n_dimensions}D.")
    std = mixture.principal_axes.std
    thickness = _SLICE * radius * float(np.median(std[:, -1])) if len(std) else 1.0
    wanted = np.ceil(np.log2(2.0 * _EDGE * radius * std[:, 0] / thickness))
    halvings = np.clip(wanted, _COARSEST, _FINEST).astype(int)
    while (20 * 4**halvings).sum() > _MOST_FACES and (halvings > _COARSEST).any():
        halvings = np.maximum(halvings - 1, _COARSEST)
    spheres = {h: icosphere(h) for h in np.unique(halvings).tolist()}
    vertices, faces, component = [np.empty((0, 3))], [np.empty((0, 3), dtype=np.intp)], []
    first = 0
    for k, h in enumerate(halvings.tolist()):
        sphere, triangles = spheres[h]
        # A point y on the unit sphere goes to mu + r L y, the map of a standard normal.
        vertices.append(mixture.means[k] + radius * sphere @ mixture.covariance_factors[k].T)
        faces.append(triangles + first)
        component.append(np.full(len(sphere), k))
        first += len(sphere)
    return EllipsoidMesh(
        np.concatenate(vertices),
        np.concatenate(faces),
        np.concatenate([np.empty(0, dtype=np.intp), *component]),
        thickness,
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
