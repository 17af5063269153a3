"""Contour lines of a density image.

>>> from napari_sparse_gmm.shapes.grid import heatmap
>>> image = heatmap(mixture, grid, "log_density")
>>> levels = contour_levels(image, [50.0, 95.0])  # lines that hold 50% and 95% of the mass
>>> lines = log_density_contours(image, grid, levels)
"""

from collections.abc import Iterable, Sequence

import numpy as np
import shapely
from contourpy import contour_generator
from numpy.typing import ArrayLike

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.shapes.grid import Grid


def contour_levels(log_density_image: ArrayLike, coverage_percent: Sequence[float]) -> FloatArray:
    """Log densities whose contours hold a share of the probability in the image.

    The region above such a level is the smallest one with that share: the highest density
    region of R. J. Hyndman, "Computing and graphing highest density regions", The American
    Statistician 50, 1996.

    Parameters
    ----------
    log_density_image : array
        Natural log of the density, on a grid of equal pixels of any dimension.
    coverage_percent : sequence of L float
        Shares in percent, between 0 and 100.

    Returns
    -------
    (L,) array, in the order of `coverage_percent`
    """
    shares = np.asarray(coverage_percent, dtype=np.float64) / 100.0
    if not ((shares > 0) & (shares < 1)).all():
        raise InputError(f"Coverages must lie between 0 and 100 percent, not {coverage_percent}.")
    values = np.sort(np.asarray(log_density_image, dtype=np.float64), axis=None)[::-1]
    mass = np.cumsum(np.exp(values - values[0]))
    levels: FloatArray = values[np.searchsorted(mass, shares * mass[-1])]
    return levels


def log_density_contours(
    log_density_image: ArrayLike, grid: Grid, levels: Iterable[float], *, tolerance: float = 0.0
) -> list[tuple[float, FloatArray]]:
    """Lines of equal log density in a 2D image, by marching squares.

    The log is nearly quadratic between pixels where the density is exponential, so lines
    interpolated in it lie where they should even if a component is a few pixels wide.

    Parameters
    ----------
    log_density_image : (ny, nx) array
    grid : Grid
        Of the image.
    levels : iterable of float
    tolerance : float
        How far a line may be from the exact one, in pixels, so as to have fewer vertices: with a
        quarter of a pixel it has a fifth of them, about.

    Returns
    -------
    list of (level, (n, 2) array)
        One entry a line, in data units. A closed line ends where it starts; one that leaves
        the image is open. A level may have several lines or none.
    """
    image = np.asarray(log_density_image, dtype=np.float64)
    if image.ndim != 2 or image.shape != grid.shape:
        raise InputError(
            f"Contours need a 2D image on its own grid, not an image of shape {image.shape} "
            f"on a grid of shape {grid.shape}."
        )
    if min(image.shape) < 2:
        raise InputError(f"Contours need 2 x 2 pixels or more, not {image.shape}.")
    finite = np.isfinite(image)
    if not finite.any():
        return []
    # Minus infinity, where there is no density at all, would make lines of NaN; a mask, open ones.
    contours = contour_generator(z=np.where(finite, image, image[finite].min() - 1.0))
    return [
        (float(level), grid.coordinates(_simplified(line[:, ::-1], tolerance)))  # from x, y
        for level in levels
        for line in contours.lines(float(level))
    ]


def _simplified(line: FloatArray, tolerance: float) -> FloatArray:
    """A line (n, 2) without the vertices that it does not need."""
    line_string = shapely.simplify(shapely.linestrings(line), tolerance, preserve_topology=False)
    simpler: FloatArray = shapely.get_coordinates(line_string)
    # What is no larger than the tolerance would be nothing.
    return simpler if len(simpler) > 3 else line
