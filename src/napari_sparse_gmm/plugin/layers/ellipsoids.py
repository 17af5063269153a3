"""The Surface layer with the ellipsoids of a mixture in 3D."""

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Points, Surface
from numpy.typing import NDArray

from napari_sparse_gmm.plugin.layers.owned import add, made_from, set_placement
from napari_sparse_gmm.plugin.layers.sections import Sections
from napari_sparse_gmm.plugin.layers.views import in_view
from napari_sparse_gmm.shapes.ellipsoids import ellipsoid_mesh


def ellipsoids(sections: Sections, colours: NDArray[np.float32]) -> dict[str, Any]:
    """Keywords of a Surface layer with the ellipsoids whose sections these are.

    Each of the k has one of the colours (k, 4). They end with the points along the axis for which
    there is a slider in 2D, which would otherwise have slices where nothing is.
    """
    mesh = ellipsoid_mesh(sections.mixture, sections.radius)
    low, high = sections.frame.modelled_box[:, 0]
    vertices = np.array(mesh.vertices)
    vertices[:, 0] = np.clip(vertices[:, 0], low, high)
    groups = sections.groups[mesh.component]
    return {
        "data": (sections.frame.shape_data(vertices, groups), mesh.faces),
        "vertex_colors": colours[mesh.component],
        **sections.frame.shape_placement(),
    }


def ellipsoids_keywords(name: str, surface: dict[str, Any]) -> dict[str, Any]:
    """Keywords of a Surface layer with the ellipsoids of the points called `name`."""
    return {
        "name": f"{name} ellipsoids",
        # Triangles come in no order of depth: those behind would be seen between those in front.
        "blending": "translucent_no_depth",
        "opacity": 0.4,
        "shading": "smooth",
        "metadata": in_view(3),
        **surface,
    }


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
