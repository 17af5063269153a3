"""What shows a fit, as work for a thread: its heatmap, and the component of each point."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.density_model import DensityModel, Part
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.plugin.space.slices import Layout
from napari_sparse_gmm.plugin.tasks.task import (
    Progress,
    Refusal,
    Work,
    guarded,
    no_fallback_warning,
    prepare,
)
from napari_sparse_gmm.plugin.tasks.values import Heatmap, HeatmapChoice
from napari_sparse_gmm.shapes.antialiasing import antialiased
from napari_sparse_gmm.shapes.grid import Grid, heatmap
from napari_sparse_gmm.shapes.pyramid import heatmap_pyramid

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment

# Lines of equal density hold so many percent of the clusters. They are found in an image whose
# longest side has so many pixels, at least and at most.
CONTOURS = (50.0, 80.0, 95.0)
_CONTOUR_PIXELS = (256, 2048)
# By so many of its pixels a line may be off, to have fewer corners.
_TOLERANCE = 0.1

# Pixels between two chances to cancel; a few tenths of a second for hundreds of components.
_SLAB = 1 << 18


def draw(
    model: DensityModel, box: FloatArray, choice: HeatmapChoice, layout: Layout
) -> Work[Heatmap | Refusal]:
    """Draw the heatmaps of a model over `box` (2, D). Returns and raises like `fit`."""
    return guarded("heatmap", drawn(model, box, choice, layout))


def assign_points(
    parts: Sequence[Part | None],
    observations: Observations,
    groups: NDArray[np.intp],
    choice: HeatmapChoice,
) -> "Work[Assignment | Refusal]":
    """Find the component of each point (N, D), in model coordinates, among those of its group.

    Raises like `fit`; what computes it is in `choice`.
    """
    return guarded("assignment of points", _assign(parts, observations, groups, choice))


def drawn(
    model: DensityModel, box: FloatArray, choice: HeatmapChoice, layout: Layout
) -> Work[Heatmap]:
    grid = choice.grid(box, layout.n_slices)
    yield from prepare(choice.engine, choice.device, grid.n_dimensions, grid.shape[0])

    from napari_sparse_gmm.engines.threads import limited_threads

    pyramid = None
    if choice.sharpen and choice.pixel_size is None and grid.n_dimensions == 2:
        yield Progress(0, 1, "Drawing the heatmap")
        of_slices = layout.of_slices(model.parts)
        pyramid = heatmap_pyramid(
            [None if part is None else part.mixture for part in of_slices],
            grid,
            choice.quantity,
            n_points=[1.0 if part is None else part.total_weight for part in of_slices],
            axes=layout.axes,
            device=choice.device,
        )
    values = np.full((len(model.parts), *grid.shape), choice.nothing, dtype=np.float32)
    n_rows = grid.shape[0]
    rows_at_once = max(1, _SLAB * n_rows // int(np.prod(grid.shape)))
    for group, part in enumerate(model.parts):
        if part is None:
            continue
        # What is finer than these pixels shows when one zooms in, so it may be blurred here.
        smooth = part.mixture if pyramid is None else antialiased(part.mixture, grid.spacing)
        for first in range(0, n_rows, rows_at_once):
            done = group * n_rows + first
            yield Progress(done, len(values) * n_rows, "Drawing the heatmap")
            last = min(first + rows_at_once, n_rows)
            slab = Grid(
                origin=grid.coordinates([first] + [0] * (grid.n_dimensions - 1)),
                spacing=grid.spacing,
                shape=(last - first, *grid.shape[1:]),
            )
            with no_fallback_warning(), limited_threads(choice.n_threads):
                values[group, first:last] = heatmap(
                    smooth,
                    slab,
                    choice.quantity,
                    n_points=part.total_weight,
                    engine=choice.engine,
                    device=choice.device,
                )
    lines = []
    for group, part in enumerate(model.parts if choice.contours and len(box[0]) == 2 else ()):
        if part is not None and part.mixture.n_components:
            yield Progress(group, len(values), "Drawing contours")
            with no_fallback_warning(), limited_threads(choice.n_threads):
                lines += [(group, *line) for line in _contours(part.mixture, box, choice)]
    return Heatmap(values, grid, choice, tuple(lines), pyramid)


def _contours(
    mixture: GaussianMixture, box: FloatArray, choice: HeatmapChoice
) -> list[tuple[float, FloatArray]]:
    """Lines (V, 2) that hold so many percent of the clusters; an even background moves no line."""
    from napari_sparse_gmm.shapes.contours import contour_levels, log_density_contours

    clusters = GaussianMixture(
        mixture.weights / mixture.weights.sum(), mixture.means, mixture.covariances
    )
    side = float((box[1] - box[0]).max())
    narrowest = float(mixture.principal_axes.std.min())
    coarsest, finest = (side / n for n in _CONTOUR_PIXELS)
    grid = Grid.covering(*box, pixel_size=float(np.clip(narrowest / 2, finest, coarsest)))
    # A cluster that falls between the pixels would hold nothing, and the lines of all be wrong.
    smooth = antialiased(clusters, grid.spacing)
    image = heatmap(smooth, grid, "log_density", engine=choice.engine, device=choice.device)
    levels = contour_levels(image, CONTOURS)
    return [
        (coverage, line)
        for coverage, level in zip(CONTOURS, levels, strict=True)
        for _, line in log_density_contours(image, grid, [level], tolerance=_TOLERANCE)
    ]


def _assign(
    parts: Sequence[Part | None],
    observations: Observations,
    groups: NDArray[np.intp],
    choice: HeatmapChoice,
) -> "Work[Assignment]":
    engine, device = choice.engine, choice.device
    noise = observations.noise is not None
    yield from prepare(engine, device, observations.n_dimensions, 1, noise=noise)
    yield Progress(0, 1, "Assigning the points")

    from napari_sparse_gmm import scoring
    from napari_sparse_gmm.engines.threads import limited_threads

    with no_fallback_warning(), limited_threads(choice.n_threads):
        return scoring.assign_points(parts, observations, groups, engine=engine, device=device)
