"""What a fit tells of each point of a layer: as features, and as a colour."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_sparse_gmm.density_model import Part
from napari_sparse_gmm.plugin.layers.component_colours import component_colours
from napari_sparse_gmm.plugin.layers.covering import show_again
from napari_sparse_gmm.plugin.points.features import ASSIGNMENT_FEATURES

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment

_GREY = np.array([0.5, 0.5, 0.5, 1.0])  # of the background

# In the metadata of the points: the colours that they had before.
COLOURS_KEY = "napari-sparse-gmm colours"


def show_assignment(
    points: Points,
    shown: NDArray[np.bool_],
    assignment: "Assignment",
    parts: Sequence[Part | None],
    groups: NDArray[np.intp],
) -> None:
    """Give the points that are `shown` (N,) their component, as features and as a colour.

    Other features stay. A hidden point has no component, and keeps its colour. `parts` are what
    was found in each group, and `groups` (n,) is the one of each point that is shown.
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
    before = points.metadata.get(COLOURS_KEY)
    if before is not None and len(before) != len(shown):
        clear_assignment(points)
        before = None
    if before is None:
        before = np.array(points.face_color)  # (N, 4)
        points.metadata[COLOURS_KEY] = before
    colours = before.copy()
    of_shown = np.tile(_GREY, (len(component), 1))
    for group, part in enumerate(parts):
        own = (groups == group) & (component >= 0)
        if part is not None:
            of_shown[own] = component_colours(part.mixture.means)[component[own]]
    colours[shown] = of_shown
    features = points.features.copy()
    for name, column in zip(ASSIGNMENT_FEATURES, columns, strict=True):
        features[name] = column
    points.features = features
    points.face_color = colours
    border_as_face(points)
    show_again(points)  # for their colours to be seen


def border_as_face(points: Points) -> None:
    """Give points without a border that of their faces: small ones napari draws in its colour."""
    if not np.any(points.border_width) and not np.array_equal(
        points.border_color, points.face_color
    ):
        points.border_color = points.face_color


def clear_assignment(points: Points) -> None:
    """Take away what `show_assignment` gave: the features, and the colours."""
    before = points.metadata.pop(COLOURS_KEY, None)
    if before is None:
        return
    points.face_color = before if len(before) == len(points.data) else points.current_face_color
    border_as_face(points)
    points.features = points.features.drop(columns=[*ASSIGNMENT_FEATURES], errors="ignore")
