"""The Shapes layer with the ellipses of a mixture, above everything."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Points, Shapes
from numpy.typing import NDArray

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.density_model import DensityModel, Part
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.numbers import cluster_table
from napari_sparse_gmm.plugin.layers.channel import channel_colour, tint
from napari_sparse_gmm.plugin.layers.component_colours import component_colours
from napari_sparse_gmm.plugin.layers.edges import edge_width, thin_edges
from napari_sparse_gmm.plugin.layers.ellipsoids import ellipsoids, show_ellipsoids
from napari_sparse_gmm.plugin.layers.following import follow
from napari_sparse_gmm.plugin.layers.owned import (
    add,
    exchanged,
    flat_in_space,
    made_from,
    set_placement,
)
from napari_sparse_gmm.plugin.layers.sections import Sections, cut, sections_metadata
from napari_sparse_gmm.plugin.layers.views import in_view
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.shapes.ellipses import ellipse_corners

# What napari calls the unit of a layer that nobody gave one, and units that differ.
_NO_UNITS = ("pixel", "px", "")

_EDGE = 2.0  # pixels of the screen that an edge is wide


@dataclass(frozen=True, eq=False)
class Drawing:
    """What shows the components: those of most points.

    `corners` (k, 4, n) of their ellipses are in the coordinates of `Frame.shape_placement`;
    `features` has k rows, in the units of the Points layer. In 3D the ellipses are `sections`, and
    there is a `surface` of ellipsoids.
    """

    corners: FloatArray
    features: dict[str, NDArray[Any]]
    sections: Sections | None = None
    surface: dict[str, Any] | None = None  # keywords of a layer


def drawing(model: DensityModel, frame: Frame, coverage: float, most: int) -> Drawing:
    """The ellipses that hold `coverage` percent of their component, and in 3D the ellipsoids.

    At most so many: napari takes half a second to draw 2000. In 3D it is the ellipsoids that hold
    that share, and each ellipse is where a slice cuts one.
    """
    points = np.concatenate([p.mixture.weights * p.total_weight for p in model.fitted])
    drawn = np.zeros(len(points), dtype=bool)
    drawn[np.argsort(-points, kind="stable")[:most]] = True
    ends = np.cumsum([part.mixture.n_components for part in model.fitted])
    of_parts = np.split(drawn, ends[:-1])
    groups = [group for group, part in enumerate(model.parts) if part is not None]
    tables = [_table(part, frame, group) for group, part in zip(groups, model.fitted, strict=True)]
    features = {
        # Of some groups the errors may not be known.
        name: np.concatenate(
            [table.get(name, np.full(len(table["component"]), np.nan)) for table in tables]
        )[drawn]
        for name in max(tables, key=len)
    }
    if not drawn.any():
        return Drawing(np.empty((0, 4, len(frame.scale))), features)
    parts = list(zip(model.fitted, of_parts, strict=True))
    together = GaussianMixture(
        np.full(len(points[drawn]), 1.0 / len(points[drawn])),
        np.concatenate([part.mixture.means[own] for part, own in parts]),
        np.concatenate([part.mixture.covariances[own] for part, own in parts]),
    )
    group_of = np.repeat(groups, [np.count_nonzero(own) for own in of_parts])
    radius = coverage_to_radius(coverage, len(frame.axes))
    if len(frame.axes) == 2:
        corners = ellipse_corners(together, radius)
        return Drawing(frame.shape_data(corners, group_of[:, None]), features)
    sections = Sections(together, group_of, radius, frame)
    colours = np.concatenate([component_colours(part.mixture.means)[own] for part, own in parts])
    return Drawing(sections.corners, features, sections, ellipsoids(sections, colours))


def _table(part: Part, frame: Frame, group: int) -> dict[str, NDArray[Any]]:
    """The components of a group as columns."""
    unit = None if frame.unit in _NO_UNITS else frame.unit
    table = cluster_table(part, frame.names, unit)
    if frame.stack is None or (frame.stack.name == "region" and part.regions):
        return table
    name = frame.stack.name if frame.stack.name not in table else f"{frame.stack.name} group"
    return {name: np.full(part.mixture.n_components, frame.stack.labels[group]), **table}


def components_keywords(
    name: str, frame: Frame, shown: Drawing, channel: FloatArray | None = None
) -> dict[str, Any]:
    """Keywords of a Shapes layer with the ellipses of the points called `name`.

    They are lime, or of a tint of the colour (3,) of a channel.
    """
    n = len(shown.corners)
    metadata = sections_metadata(shown.sections) | (in_view(2) if len(frame.axes) == 3 else {})
    return {
        "data": list(shown.corners) if n else None,
        "ndim": len(frame.scale),
        "shape_type": "ellipse",
        "name": f"{name} components",
        # Not the blue in which napari highlights what is selected.
        "edge_color": "lime" if channel is None else tint(channel),
        "face_color": "transparent",
        "features": shown.features,
        **thin_edges(frame, _EDGE, metadata),
        **frame.shape_placement(),
    }


def show_components(viewer: ViewerModel, points: Points, frame: Frame, shown: Drawing) -> Shapes:
    """Show ellipses as the Shapes layer of `points`, above everything, and ellipsoids below it."""
    follow(viewer)
    layer = made_from(viewer, points, "components", Shapes, len(frame.scale))
    if layer is None:
        keywords = components_keywords(points.name, frame, shown, channel_colour(points))
        layer = Shapes(**keywords)
        add(viewer, points, "components", len(viewer.layers), layer)
    elif flat_in_space(viewer, layer):
        keywords = components_keywords(points.name, frame, shown)
        data = keywords.pop("data")
        for name in ("name", "metadata", "edge_color"):
            keywords.pop(name)
        keywords |= {"edge_width": edge_width(layer), "edge_color": layer.current_edge_color}
        layer = exchanged(viewer, layer, data, **keywords)
    else:
        width = edge_width(layer)
        # Its features follow at once: what listens to them need not hear of it twice.
        with layer.events.features.blocker():
            layer.data = [(box, "ellipse") for box in shown.corners]
        set_placement(layer, frame.shape_placement())
        layer.edge_width = width
        layer.features = shown.features
        layer.metadata.update(sections_metadata(shown.sections))
        cut(layer, viewer.layers, viewer.dims)
    show_ellipsoids(viewer, points, shown.surface, under=layer)
    return layer


def raise_above(viewer: ViewerModel, layer: Layer, other: Layer) -> None:
    """Move a layer of ours to just above another one, where that lies above it."""
    if other in viewer.layers and viewer.layers.index(layer) < viewer.layers.index(other):
        viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(other) + 1)
