"""The picture is read back pixel by pixel: is what it shows where it should be?"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.transforms import Affine2D

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.density_model import DensityModel, Part
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.figures import write_density_png
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.shapes.grid import Grid

Draw = Callable[..., Axes]


def density_on(mixture: GaussianMixture, grid: Grid) -> np.ndarray:
    centres = grid.coordinates(np.moveaxis(np.indices(grid.shape), 0, -1))
    density = mixture.density(centres.reshape(-1, grid.n_dimensions))
    return density.reshape(grid.shape).astype(np.float32)


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Writes the picture of a mixture and gives the axes that were drawn."""
    drawn: list[Figure] = []
    savefig = Figure.savefig

    def keep(figure: Figure, *args, **kwargs) -> None:
        drawn.append(figure)
        savefig(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)

    def draw(mixture: GaussianMixture, grid: Grid, points=None, unit: str | None = "nm") -> Axes:
        d = mixture.n_dimensions
        model = DensityModel((Part(mixture, None, 300, 300.0),), ("z", "y", "x")[-d:], unit)
        points = mixture.sample(300, 0)[0] if points is None else points
        write_density_png(tmp_path / "a.png", density_on(mixture, grid), grid, model, points)
        return drawn[-1].axes[0]

    return draw


@pytest.fixture
def tilted() -> GaussianMixture:
    return GaussianMixture([1.0], [[30.0, 70.0]], [[[25.0, 15.0], [15.0, 64.0]]])


@pytest.fixture
def grid() -> Grid:
    return Grid.covering([0.0, 0.0], [100.0, 200.0], longest_side=100)


def test_brightest_spot_lies_at_the_mean(
    draw: Draw, tilted: GaussianMixture, grid: Grid, tmp_path: Path
) -> None:
    axes = draw(tilted, grid, points=np.empty((0, 2)))
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    assert bottom > top  # y points down, as in napari
    axes.figure.savefig(tmp_path / "uncropped.png", dpi=100)
    picture = imread(tmp_path / "uncropped.png")[..., :3].sum(-1)
    x0, y0, x1, y1 = axes.get_window_extent().extents * 100 / axes.figure.dpi
    rows = slice(round(len(picture) - y1) + 2, round(len(picture) - y0) - 2)
    inside = picture[rows, round(x0) + 2 : round(x1) - 2]
    row, column = np.argwhere(inside > 0.97 * inside.max()).mean(0) / inside.shape
    assert top + row * (bottom - top) == pytest.approx(30, abs=2)
    assert left + column * (right - left) == pytest.approx(70, abs=2)


def test_ellipses_hold_the_coverage(draw: Draw, tilted: GaussianMixture, grid: Grid) -> None:
    axes = draw(tilted, grid)
    (ellipses,) = [c for c in axes.collections if isinstance(c, EllipseCollection)]
    axes.figure.draw_without_rendering()
    # What is drawn, in pixels: the unit circle made an ellipse, and moved to the mean.
    shape = Affine2D(ellipses.get_transforms()[0]) + ellipses.get_transform()
    (outline,) = ellipses.get_paths()[0].transformed(shape).to_polygons()
    outline = outline + axes.transData.transform(ellipses.get_offsets()[0])
    outline = axes.transData.inverted().transform(outline)[:, ::-1]  # (y, x)
    distance = np.linalg.norm((outline - tilted.means) @ tilted.precision_factors[0], axis=1)
    np.testing.assert_allclose(distance, coverage_to_radius(95.0, 2), rtol=0.01)


def test_volume_is_drawn_as_its_maximum_along_z(draw: Draw) -> None:
    mixture = GaussianMixture(
        [0.5, 0.5], [[5, 10, 10], [15, 30, 20]], [np.eye(3) * 4, np.diag([1.0, 9, 4])]
    )
    grid = Grid.covering([0, 0, 0], [20, 40, 30], pixel_size=1.0)
    axes = draw(mixture, grid, unit="µm")
    np.testing.assert_allclose(
        axes.images[0].get_array(), 300 * density_on(mixture, grid).max(0), rtol=1e-5
    )
    labels = [other.get_ylabel() for other in axes.figure.axes]
    assert labels == ["y (µm)", "expected points per µm³, maximum along z"]


def test_axes_and_counts_are_named(draw: Draw, tilted: GaussianMixture, grid: Grid) -> None:
    axes = draw(tilted, grid)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x (nm)", "y (nm)")
    assert axes.get_title().startswith("300 points, 1 component, 0% background")
    assert axes.figure.axes[1].get_ylabel() == "expected points per nm²"
    assert draw(tilted, grid, unit=None).get_xlabel() == "x"


def test_colour_bar_reads_true(draw: Draw, tilted: GaussianMixture, grid: Grid) -> None:
    axes = draw(tilted, grid)
    colour_bar = axes.figure.axes[1]
    bottom, top = colour_bar.get_ylim()
    assert (bottom, top) == pytest.approx((0.0, 300 * density_on(tilted, grid).max()))
    # Were it held within the range, a tick beyond it would stand at its end.
    assert axes.images[0].norm(1.25 * top) > 1.0


def test_background_alone_can_be_drawn(draw: Draw, grid: Grid) -> None:
    mixture = GaussianMixture(
        np.empty(0), np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, [[0, 0], [100, 200]]
    )
    assert draw(mixture, grid).get_title().startswith("300 points, 0 components, 100%")


def test_points_on_a_line_have_room_around_them(draw: Draw) -> None:
    mixture = GaussianMixture([1.0], [[3.0, 50.0]], [np.diag([0.01, 400.0])])
    axes = draw(mixture, Grid.covering([3.0, 0.0], [3.0, 100.0], margin=0.0))
    bottom, top = axes.get_ylim()
    assert (bottom + top) / 2 == pytest.approx(3.0)
    assert bottom - top == pytest.approx(100 / 3, rel=0.01)


def test_many_points_are_thinned_out(draw: Draw, tilted: GaussianMixture, grid: Grid) -> None:
    axes = draw(tilted, grid, points=tilted.sample(30_000, 0)[0])
    assert len(axes.collections[0].get_offsets()) == 20_000


def test_one_axis_is_refused(tmp_path: Path) -> None:
    mixture = GaussianMixture([1.0], [[0.0]], [[[1.0]]])
    grid = Grid([0.0], [1.0], (4,))
    model = DensityModel((Part(mixture, None, 10, 10.0),), ("x",), None)
    with pytest.raises(InputError, match="two or three axes"):
        write_density_png(tmp_path / "a.png", np.ones(4, np.float32), grid, model, np.ones((3, 1)))
