"""The points, their density and its components in one figure.

    >>> write_density_png("density.png", image, grid, model, points)

Drawn by Matplotlib without a display, on a canvas of its own.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import EllipseCollection
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from mpl_toolkits.axes_grid1 import make_axes_locatable
from numpy.typing import NDArray

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.parameters import COVERAGE
from napari_sparse_gmm.regions import Box
from napari_sparse_gmm.shapes.grid import Grid
from napari_sparse_gmm.wording import count, volume_unit
from napari_sparse_gmm.writing import whole_file

# More would hide the density, and take long to draw.
MAX_POINTS = 20_000


def write_density_png(
    path: str | Path,
    image: NDArray[np.float32],
    grid: Grid,
    model: DensityModel,
    points: FloatArray,
    *,
    coverage_percent: float = COVERAGE.default,
) -> None:
    """Draw a density, the points it was fitted to, and an ellipse for each component.

    As in napari, y points down. A volume is shown as its maximum along z; an ellipsoid then
    is the ellipse that it looks like from there.

    Parameters
    ----------
    path : path of the picture
    image : array of two or three axes, ([z,] y, x)
        Probability density on `grid`, as `heatmap` gives it.
    grid : Grid
    model : DensityModel
        The mixture, its axes and unit, and its number of points.
    points : (N, D) array
        A random 20,000 of them are drawn where there are more.
    coverage_percent : float
        Share of its component's points that each ellipse (ellipsoid) holds.
    """
    if image.ndim not in (2, 3) or image.shape != grid.shape:
        raise InputError(
            f"A picture needs a density of two or three axes on its own grid, not one of shape "
            f"{image.shape} on a grid of shape {grid.shape}."
        )
    lower, upper = _frame(grid)
    height, width = 6.0 * (upper - lower) / (upper - lower).max()  # inches
    figure = Figure(figsize=(width + 1.6, height + 1.0), dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    (top, left), (bottom, right) = grid.edges[:, -2:]
    expected_points = model.n_points * image
    shown = axes.imshow(
        expected_points.max(0) if image.ndim == 3 else expected_points,
        extent=(left, right, bottom, top),
        cmap="inferno",
        norm=_norm(expected_points, model),
        interpolation="nearest",
    )
    _draw_points(axes, points)
    _draw_ellipses(axes, model, grid, coverage_percent)
    axes.set(
        xlim=(lower[1], upper[1]), ylim=(upper[0], lower[0]), aspect="equal", facecolor="black"
    )

    _label(axes, model, coverage_percent)

    colour_bar = make_axes_locatable(axes).append_axes("right", size=0.15, pad=0.1)
    label = f"expected points per {volume_unit(model.unit, image.ndim)}"
    if image.ndim == 3:
        label += f", maximum along {model.axis_labels[0]}"
    figure.colorbar(
        shown,
        cax=colour_bar,
        label=label,
        # Few, because the colours of large values lie close together.
        ticks=MaxNLocator(5),
        format=ScalarFormatter(useMathText=True),
    )
    colour_bar.ticklabel_format(scilimits=(-2, 3))
    with whole_file(path) as whole_path:
        figure.savefig(whole_path, bbox_inches="tight")


def _label(axes: Axes, model: DensityModel, coverage_percent: float) -> None:
    in_unit = f" ({model.unit})" if model.unit else ""
    axes.set_xlabel(f"{model.axis_labels[-1]}{in_unit}")
    axes.set_ylabel(f"{model.axis_labels[-2]}{in_unit}")
    axes.set_title(
        f"{model.n_points:,.6g} points, {count(model.mixture.n_components, 'component')}, "
        f"{model.mixture.background_weight:.0%} background\n"
        f"ellipses hold {coverage_percent:g}% of their component",
        fontsize="medium",
    )


def _frame(grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Lower and upper corner (y, x) of what is shown: the image, if need be with a margin.

    Of points that lie on a line the image is one, too thin to look at.
    """
    lower, upper = grid.edges[:, -2:]
    sides = upper - lower
    missing = np.maximum(sides.max() / 3.0 - sides, 0.0)
    return lower - 0.5 * missing, upper + 0.5 * missing


def _norm(expected_points: NDArray[np.float32], model: DensityModel) -> PowerNorm:
    """Black up to the density of the background, then steep: small clusters show beside large."""
    background = model.n_points * float(np.exp(model.mixture.log_background_density))
    # Where there is nothing but background, the colour bar still needs a range.
    peak = max(float(expected_points.max()), 2.0 * background)
    return PowerNorm(0.4, vmin=background, vmax=peak)


def _draw_points(axes: Axes, points: FloatArray) -> None:
    if len(points) > MAX_POINTS:
        points = np.random.default_rng(0).choice(points, MAX_POINTS, replace=False)
    y, x = points[:, -2:].T
    # Many points are drawn fainter, so that they never cover the density.
    opacity = float(np.clip(600.0 / max(len(points), 1), 0.1, 0.6))
    axes.scatter(x, y, s=2.0, c="white", alpha=opacity, linewidths=0)


def _draw_ellipses(axes: Axes, model: DensityModel, grid: Grid, coverage_percent: float) -> None:
    mixture = model.mixture
    radius = coverage_to_radius(coverage_percent, mixture.n_dimensions)
    # An ellipsoid seen along z has the outline of its covariance in the other two axes.
    projected = GaussianMixture(
        mixture.weights,
        mixture.means[:, -2:],
        mixture.covariances[:, -2:, -2:],
        mixture.background_weight,
        Box(grid.edges[:, -2:]),
    )
    std, directions = projected.principal_axes
    major_y, major_x = directions[:, :, 0].T
    width, height = 2.0 * radius * std.T
    axes.add_collection(
        EllipseCollection(
            width,
            height,
            np.degrees(np.arctan2(major_y, major_x)),
            units="xy",
            offsets=projected.means[:, ::-1],
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors="deepskyblue",
            linewidths=0.9,
        )
    )
