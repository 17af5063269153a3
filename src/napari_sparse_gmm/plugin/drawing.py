"""What shows a mixture, as the keywords of layers: heatmap, ellipses, ellipsoids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.utils.colormaps import label_colormap
from numpy.typing import NDArray

from napari_sparse_gmm.components import component_table
from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.density_model import Part
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.plugin.frame import Frame
from napari_sparse_gmm.plugin.results import Heatmap, Solution
from napari_sparse_gmm.shapes.ellipses import ellipse_corners
from napari_sparse_gmm.shapes.ellipsoids import ellipsoid_mesh

# As many as can be distinguished; there may be more components, whose neighbours differ still.
_N_COLOURS = 50
_GREY = np.array([0.5, 0.5, 0.5, 1.0])

# What napari calls the unit of a layer that nobody gave one, and units that differ.
_NO_UNITS = ("pixel", "px", "")

# The log density is shown down to this far below its peak: four decades.
_LOG_RANGE = 4.0 * np.log(10.0)


@dataclass(frozen=True, eq=False)
class Drawing:
    """What shows the components: those of most points.

    `corners` (k, 4, n) of their ellipses are in the coordinates of `Frame.shape_placement`,
    `edge_width` (k,) too; `features` has k rows, in the units of the Points layer. `surface` is of
    the ellipsoids that there are in 3D.
    """

    corners: FloatArray
    edge_width: FloatArray
    features: dict[str, NDArray[Any]]
    surface: dict[str, Any] | None = None  # keywords of a layer


def drawing(solution: Solution, frame: Frame, coverage: float, most: int) -> Drawing:
    """The ellipses that hold `coverage` percent of their component, and in 3D the ellipsoids.

    At most so many: napari takes half a second to draw 2000. In 3D each ellipse is the section
    along the two longest axes; the radius is such that the ellipsoid around it holds that share.
    """
    points = np.concatenate([p.mixture.weights * p.total_weight for p in solution.fitted])
    drawn = np.zeros(len(points), dtype=bool)
    drawn[np.argsort(-points, kind="stable")[:most]] = True
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
    unit = None if frame.unit in _NO_UNITS else frame.unit
    table = component_table(mixture, part.total_weight, frame.names, part.errors, unit)
    if frame.stack is not None:
        name = frame.stack.name if frame.stack.name not in table else f"{frame.stack.name} group"
        table = {name: np.full(len(drawn), frame.stack.labels[group]), **table}
    # Fine lines over the whole field, finer ones where an ellipse is small itself.
    field = (frame.modelled_box[1] - frame.modelled_box[0]).max()
    width = np.minimum(0.003 * field, 0.12 * radius * mixture.principal_axes.std[:, 1])
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


def _limits(values: NDArray[Any], quantity: str) -> tuple[float, float]:
    """Limits that show the structure of a heatmap."""
    highest = float(values.max())
    if quantity == "log_density":
        # Minus infinity where there is no density at all, beside the background's box.
        lowest = max(float(values.min()), highest - _LOG_RANGE)
        return (lowest, highest) if lowest < highest else (lowest - 1.0, highest)
    # One narrow component would make all others black: let its peak saturate. Every few
    # pixels of a large image show as much, and do not stop the window.
    some = values.reshape(-1)[:: max(1, values.size // 1_000_000)]
    bright = float(np.quantile(some, 0.998))
    if float(np.median(some)) > 0.999 * highest:  # a background alone, which is nothing bright
        return 0.0, 4.0 * highest or 1.0
    return 0.0, (bright if bright > 0.02 * highest else highest) or 1.0


def heatmap_keywords(name: str, frame: Frame, heatmap: Heatmap) -> dict[str, Any]:
    """Keywords of an Image layer with a heatmap of the points called `name`."""
    base, pyramid = frame.layout.image(heatmap.values, heatmap.choice.nothing), heatmap.pyramid
    return {
        "data": base if pyramid is None else [*pyramid.levels, base],
        "multiscale": pyramid is not None,
        "name": f"{name} density",
        "colormap": "inferno",
        # A density is smooth, however few pixels there are of it.
        "interpolation2d": "linear",
        # Dark where there is nothing, so that an image below shines through.
        "blending": "additive",
        "contrast_limits": contrast_limits(heatmap),
        **image_placement(frame, heatmap),
    }


def contrast_limits(heatmap: Heatmap) -> tuple[float, float]:
    """Limits that show its structure."""
    low, high = _limits(heatmap.values, heatmap.choice.quantity)
    if heatmap.pyramid is not None and heatmap.choice.quantity != "log_density":
        # Between what is bright from afar and from nearby.
        high = float(np.sqrt(high * max(heatmap.pyramid.highest, high)))
    return low, high


def image_placement(frame: Frame, heatmap: Heatmap) -> dict[str, Any]:
    """Keywords that place the image."""
    pyramid = heatmap.pyramid
    return frame.image_placement(heatmap.grid if pyramid is None else pyramid.grid)


def components_keywords(name: str, frame: Frame, shown: Drawing) -> dict[str, Any]:
    """Keywords of a Shapes layer with the ellipses of the points called `name`."""
    n = len(shown.corners)
    return {
        "data": list(shown.corners) if n else None,
        "ndim": len(frame.scale),
        "shape_type": "ellipse",
        "name": f"{name} components",
        "edge_width": list(shown.edge_width) if n else 1,
        # Not the blue in which napari highlights what is selected.
        "edge_color": "lime",
        "face_color": "transparent",
        "features": shown.features,
        **frame.shape_placement(),
    }


def ellipsoids_keywords(name: str, surface: dict[str, Any]) -> dict[str, Any]:
    """Keywords of a Surface layer with the ellipsoids of the points called `name`."""
    return {"name": f"{name} ellipsoids", "opacity": 0.5, "shading": "smooth", **surface}


def component_colours(component: NDArray[np.intp]) -> NDArray[np.float32]:
    """An RGBA colour for each component as napari's Labels layers have them, grey for -1."""
    colours = label_colormap(_N_COLOURS).map(component % (_N_COLOURS - 1) + 1)
    return np.where(component[:, None] < 0, _GREY, colours).astype(np.float32)
