"""What shows a mixture: heatmap under the points, ellipses above, and the points' own colours.

A layer made here carries a mark in its metadata that names the Points layer it was made from.
The next fit of those points finds it by that mark, whatever it is called by then, and updates
it in place: what is shown changes, how it is shown stays the user's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Shapes, Surface
from napari.utils.colormaps import label_colormap
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.plugin.frame import Frame
from napari_sparse_gmm.plugin.worker import Heatmap, Part, Solution
from napari_sparse_gmm.shapes.ellipses import (
    component_table,
    coverage_to_radius,
    ellipse_corners,
    principal_axes,
)
from napari_sparse_gmm.shapes.ellipsoids import ellipsoid_mesh

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment

# With more shapes napari becomes sluggish: 2000 take half a second to draw.
MAX_ELLIPSES = 2000

# What a fit tells of each point.
ASSIGNMENT_FEATURES = ("component", "probability", "log_density", "is_background")

# As many as can be told apart; there may be more components, whose neighbours differ still.
_N_COLOURS = 50
_GREY = np.array([0.5, 0.5, 0.5, 1.0])

METADATA_KEY = "napari-sparse-gmm"

# The log density is shown down to this far below its peak: four decades.
_LOG_RANGE = 4.0 * np.log(10.0)


@dataclass(frozen=True, eq=False)
class Drawing:
    """What shows the components: those of most points, at most MAX_ELLIPSES.

    `corners` (k, 4, n) of their ellipses are in the coordinates of `Frame.shape_placement`,
    `edge_width` (k,) too; `features` has k rows, in the units of the Points layer. `surface` is of
    the ellipsoids that there are in 3D.
    """

    corners: FloatArray
    edge_width: FloatArray
    features: dict[str, NDArray[Any]]
    surface: dict[str, Any] | None = None  # keywords of a layer


def drawing(solution: Solution, frame: Frame, coverage: float) -> Drawing:
    """The ellipses that hold `coverage` percent of their component, and in 3D the ellipsoids.

    In 3D each ellipse is the section along the two longest axes; the radius is such that the
    ellipsoid around it holds that share.
    """
    points = np.concatenate([p.mixture.weights * p.total_weight for p in solution.fitted])
    drawn = np.zeros(len(points), dtype=bool)
    drawn[np.argsort(-points, kind="stable")[:MAX_ELLIPSES]] = True
    ends = np.cumsum([part.mixture.n_components for part in solution.fitted])
    groups = [group for group, part in enumerate(solution.parts) if part is not None]
    chosen = list(zip(groups, solution.fitted, np.split(drawn, ends[:-1]), strict=True))
    parts = [_drawing(part, frame, group, own, coverage) for group, part, own in chosen]
    return Drawing(
        np.concatenate([part.corners for part in parts]),
        np.concatenate([part.edge_width for part in parts]),
        {
            name: np.concatenate([part.features[name] for part in parts])
            for name in parts[0].features
        },
        _surface(chosen, frame, coverage) if len(frame.axes) == 3 and drawn.any() else None,
    )


def _drawing(
    part: Part, frame: Frame, group: int, drawn: NDArray[np.bool_], coverage: float
) -> Drawing:
    """The components of a group where `drawn` (K,) is true."""
    mixture, radius = part.mixture, coverage_to_radius(coverage, len(frame.axes))
    table = component_table(mixture, part.total_weight, frame.names, part.errors)
    if frame.stack is not None:
        name = frame.stack.name if frame.stack.name not in table else f"{frame.stack.name} group"
        table = {name: np.full(len(drawn), frame.stack.labels[group]), **table}
    std, _ = principal_axes(mixture.covariances)
    # Fine lines over the whole field, finer ones where an ellipse is small itself.
    field = (frame.modelled_box[1] - frame.modelled_box[0]).max()
    width = np.minimum(0.003 * field, 0.3 * radius * std[:, 1])
    return Drawing(
        corners=frame.shape_data(ellipse_corners(mixture, radius)[drawn], group),
        edge_width=width[drawn] / np.abs(frame.scale[list(frame.axes)]).mean(),
        features={name: column[drawn] for name, column in table.items()},
    )


def _surface(
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
    colours = component_colours(np.concatenate([np.flatnonzero(own) for _, _, own in chosen]))
    step = mesh.slice_thickness
    return {
        "data": (frame.shape_data(mesh.vertices, groups[mesh.component], step), mesh.faces),
        "vertex_colors": colours[mesh.component],
        **frame.shape_placement(step),
    }


def contrast_limits(values: NDArray[Any], quantity: str) -> tuple[float, float]:
    """Limits that show the structure of a heatmap."""
    highest = float(values.max())
    if quantity == "log_density":
        # Minus infinity where there is no density at all, beside the background's box.
        lowest = max(float(values.min()), highest - _LOG_RANGE)
        return (lowest, highest) if lowest < highest else (lowest - 1.0, highest)
    # One narrow component would make all others black: let its peak saturate. Every few
    # pixels of a large image tell as much, and do not stop the window.
    some = values.reshape(-1)[:: max(1, values.size // 1_000_000)]
    bright = float(np.quantile(some, 0.998))
    return 0.0, (bright if bright > 0.02 * highest else highest) or 1.0


def show_heatmap(
    viewer: ViewerModel,
    points: Points,
    frame: Frame,
    heatmap: Heatmap,
) -> Image:
    """Show a heatmap as the Image layer of `points`, under them."""
    values = heatmap.values
    data = frame.image_data(values, heatmap.choice.nothing)
    placement = frame.image_placement(heatmap.grid)
    limits = contrast_limits(values, heatmap.choice.quantity)
    layer = _made_from(viewer, points, "density", Image, data.ndim)
    if layer is None:
        layer = Image(
            data,
            name=f"{points.name} density",
            colormap="inferno",
            # Dark where there is nothing, so that an image below shines through.
            blending="additive",
            contrast_limits=limits,
            metadata=_mark(points, "density"),
            **placement,
        )
        _insert(viewer, viewer.layers.index(points), layer)
    else:
        layer.data = data
        _place(layer, placement)
    reach = limits[1] - limits[0]  # below the limits, for the user to move them
    lowest = max(float(values.min()), limits[0] - reach)
    layer.contrast_limits_range = (min(lowest, limits[0]), max(float(values.max()), limits[1]))
    layer.contrast_limits = limits
    return layer


def show_components(viewer: ViewerModel, points: Points, frame: Frame, shown: Drawing) -> Shapes:
    """Show ellipses as the Shapes layer of `points`, above everything, and ellipsoids below it."""
    corners, placement = list(shown.corners), frame.shape_placement()
    n_axes = len(frame.scale)
    layer = _made_from(viewer, points, "components", Shapes, n_axes)
    if layer is None:
        layer = Shapes(
            corners or None,
            ndim=n_axes,
            shape_type="ellipse",
            name=f"{points.name} components",
            edge_color="cyan",
            face_color="transparent",
            metadata=_mark(points, "components"),
            **placement,
        )
        _insert(viewer, len(viewer.layers), layer)
    else:
        layer.data = [(box, "ellipse") for box in corners]
        _place(layer, placement)
    layer.edge_width = list(shown.edge_width)
    layer.features = shown.features
    _show_surface(viewer, points, shown.surface, under=layer)
    return layer


def _show_surface(
    viewer: ViewerModel, points: Points, surface: dict[str, Any] | None, under: Layer
) -> None:
    """Show the ellipsoids as one Surface layer of `points`, where there are some."""
    layer = _made_from(viewer, points, "ellipsoids", Surface, under.ndim)
    if surface is None:
        if layer is not None:
            viewer.layers.remove(layer)
    elif layer is None:
        layer = Surface(
            name=f"{points.name} ellipsoids",
            opacity=0.5,
            shading="smooth",
            metadata=_mark(points, "ellipsoids"),
            **surface,
        )
        _insert(viewer, viewer.layers.index(under), layer)
    else:
        layer.vertex_colors = None  # they are of another number of vertices
        _place(layer, surface)


def show_assignment(points: Points, shown: NDArray[np.bool_], assignment: "Assignment") -> None:
    """Give the points that are `shown` (N,) their component, as features and as a colour.

    Other features stay. A hidden point has no component, and keeps its colour.
    """

    def of_all(values: NDArray[Any], nothing: float) -> NDArray[Any]:
        out = np.full(len(shown), nothing, dtype=values.dtype)
        out[shown] = values
        return out

    component = assignment.component
    columns = (
        of_all(component, -1),
        of_all(assignment.probability, np.nan),
        of_all(assignment.log_density, np.nan),
        of_all(component < 0, False),
    )
    features = points.features.copy()
    for name, column in zip(ASSIGNMENT_FEATURES, columns, strict=True):
        features[name] = column
    points.features = features
    colours = np.array(points.face_color)  # (N, 4)
    colours[shown] = component_colours(component)
    points.face_color = colours


def component_colours(component: NDArray[np.intp]) -> NDArray[np.float32]:
    """An RGBA colour for each component as napari's Labels layers have them, grey for -1."""
    colours = label_colormap(_N_COLOURS).map(component % (_N_COLOURS - 1) + 1)
    return np.where(component[:, None] < 0, _GREY, colours).astype(np.float32)


def _mark(points: Points, role: str) -> dict[str, Any]:
    return {METADATA_KEY: {"role": role, "made_from": points.unique_id}}


def _made_from(
    viewer: ViewerModel, points: Points, role: str, kind: type[Layer], n_axes: int
) -> Layer | None:
    """The layer that an earlier fit of `points` made, where it still fits.

    One with another number of axes is removed: napari keeps transforms and sliders of the
    old number in places.
    """
    mark = _mark(points, role)[METADATA_KEY]
    for layer in list(viewer.layers):
        if isinstance(layer, kind) and layer.metadata.get(METADATA_KEY) == mark:
            if layer.ndim == n_axes:
                return layer
            viewer.layers.remove(layer)
    return None


def _insert(viewer: ViewerModel, index: int, layer: Layer) -> None:
    """Add a layer without taking the selection away from what the user works on."""
    selected = set(viewer.layers.selection)
    viewer.layers.insert(index, layer)
    viewer.layers.selection = selected


def _place(layer: Layer, placement: dict[str, Any]) -> None:
    for name, value in placement.items():
        setattr(layer, name, value)
