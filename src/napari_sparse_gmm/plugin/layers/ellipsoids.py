"""The Surface layer with the ellipsoids of a mixture in 3D."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Points, Surface
from numpy.typing import NDArray

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.density_model import Part
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.plugin.layers.component_colours import component_colours
from napari_sparse_gmm.plugin.layers.owned import add, made_from, set_placement
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.shapes.ellipsoids import ellipsoid_mesh


def ellipsoids(
    chosen: Sequence[tuple[int, Part, NDArray[np.bool_]]], frame: Frame, coverage: float
) -> dict[str, Any]:
    """Keywords of a Surface layer with the ellipsoids of the chosen components of each group.

    Its coordinates are in steps of one slice of the mesh: napari shows the triangles that lie
    within half a step of the slice.
    """
    groups = np.concatenate([np.full(np.count_nonzero(own), group) for group, _, own in chosen])
    together = GaussianMixture(
        np.full(len(groups), 1.0 / len(groups)),
        np.concatenate([part.mixture.means[own] for _, part, own in chosen]),
        np.concatenate([part.mixture.covariances[own] for _, part, own in chosen]),
    )
    mesh = ellipsoid_mesh(together, coverage_to_radius(coverage, 3))
    colours = np.concatenate(
        [component_colours(part.mixture.means)[own] for _, part, own in chosen]
    )
    step = mesh.slice_thickness
    return {
        "data": (frame.shape_data(mesh.vertices, groups[mesh.component], step), mesh.faces),
        "vertex_colors": colours[mesh.component],
        **frame.shape_placement(step),
    }


def ellipsoids_keywords(name: str, surface: dict[str, Any]) -> dict[str, Any]:
    """Keywords of a Surface layer with the ellipsoids of the points called `name`."""
    return {"name": f"{name} ellipsoids", "opacity": 0.5, "shading": "smooth", **surface}


def show_ellipsoids(
    viewer: ViewerModel, points: Points, surface: dict[str, Any] | None, under: Layer
) -> None:
    """Show the ellipsoids as one Surface layer of `points`, where there are some."""
    layer = made_from(viewer, points, "ellipsoids", Surface, under.ndim)
    if surface is None:
        if layer is not None:
            viewer.layers.remove(layer)
    elif layer is None:
        layer = Surface(**ellipsoids_keywords(points.name, surface))
        add(viewer, points, "ellipsoids", viewer.layers.index(under), layer)
    else:
        layer.vertex_colors = None  # they are of another number of vertices
        set_placement(layer, surface)
