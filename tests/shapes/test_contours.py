import numpy as np
import pytest

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.shapes.contours import contour_levels, log_density_contours
from napari_sparse_gmm.shapes.grid import Grid


def image_of(mixture: GaussianMixture, grid: Grid) -> np.ndarray:
    centres = grid.coordinates(np.moveaxis(np.indices(grid.shape), 0, -1))
    return mixture.log_density(centres.reshape(-1, grid.n_dimensions)).reshape(grid.shape)


@pytest.fixture
def gaussian() -> GaussianMixture:
    return GaussianMixture([1.0], [[100.0, 50.0]], [[[9.0, 4.0], [4.0, 16.0]]])


@pytest.fixture
def grid() -> Grid:
    return Grid.covering([75.0, 20.0], [125.0, 80.0], pixel_size=0.2)


def test_contours_of_a_gaussian_are_its_ellipses(gaussian: GaussianMixture, grid: Grid) -> None:
    radii = np.array([1.0, 2.5])
    levels = gaussian.log_amplitudes[0] - 0.5 * radii**2
    lines = log_density_contours(image_of(gaussian, grid), grid, levels)
    assert [level for level, _ in lines] == pytest.approx(list(levels))
    for radius, (_, line) in zip(radii, lines, strict=True):
        np.testing.assert_array_equal(line[0], line[-1])
        distance = np.linalg.norm((line - gaussian.means) @ gaussian.precision_factors[0], axis=1)
        np.testing.assert_allclose(distance, radius, rtol=2e-3)


def test_each_cluster_has_its_own_line(grid: Grid) -> None:
    mixture = GaussianMixture([0.5, 0.5], [[90, 35], [110, 65]], [np.eye(2), np.eye(2)])
    image = image_of(mixture, grid)
    lines = log_density_contours(image, grid, contour_levels(image, [90.0]))
    centres = sorted(tuple(line[:-1].mean(0).round(1)) for _, line in lines)
    assert centres == [(90.0, 35.0), (110.0, 65.0)]


@pytest.mark.parametrize("percent", [10.0, 50.0, 95.0])
def test_level_of_a_gaussian_is_the_coverage_ellipse(
    gaussian: GaussianMixture, grid: Grid, percent: float
) -> None:
    level = contour_levels(image_of(gaussian, grid), [percent])[0]
    radius = coverage_to_radius(percent, 2)
    assert level == pytest.approx(gaussian.log_amplitudes[0] - 0.5 * radius**2, abs=0.01)


def test_levels_come_in_the_order_asked_for(gaussian: GaussianMixture, grid: Grid) -> None:
    low, high = contour_levels(image_of(gaussian, grid), [95.0, 50.0])
    assert low < high


@pytest.mark.parametrize("percent", [0.0, 100.0])
def test_coverage_must_be_a_share(percent: float) -> None:
    with pytest.raises(InputError, match="between 0 and 100 percent"):
        contour_levels(np.zeros((3, 3)), [percent])


@pytest.mark.parametrize(
    ("shape", "message"), [((4, 4, 4), "2D image"), ((3, 4), "its own grid"), ((1, 5), "2 x 2")]
)
def test_image_must_be_plane_and_on_the_grid(shape: tuple[int, ...], message: str) -> None:
    grid = Grid([0.0, 0.0], [1.0, 1.0], shape if len(shape) == 2 and shape[0] == 1 else (4, 4))
    with pytest.raises(InputError, match=message):
        log_density_contours(np.zeros(shape), grid, [0.0])


def test_no_density_outside_a_box_makes_no_broken_line() -> None:
    values = np.full((8, 8), -np.inf)
    values[2:6, 2:6] = -1.0
    lines = log_density_contours(values, Grid((0.0, 0.0), (1.0, 1.0), (8, 8)), [-1.5])
    assert lines
    assert all(np.isfinite(line).all() for _, line in lines)


def test_simplified_lines_stay_near(gaussian: GaussianMixture, grid: Grid) -> None:
    image, levels = image_of(gaussian, grid), [gaussian.log_amplitudes[0] - 0.5 * 2.5**2]
    ((_, exact),) = log_density_contours(image, grid, levels)
    ((_, simple),) = log_density_contours(image, grid, levels, tolerance=0.25)
    assert len(simple) < len(exact) / 5
    np.testing.assert_array_equal(simple[0], simple[-1])
    places = np.linspace(0.0, 1.0, 400)[:, None, None]
    along = (simple[:-1] + places * np.diff(simple, axis=0)).reshape(-1, 2)
    away = np.linalg.norm(along[:, None] - exact, axis=2).min(0)
    assert away.max() < 1.05 * 0.25 * 0.2


def test_smallest_lines_survive() -> None:
    image = np.zeros((5, 5))
    image[2, 2] = 1.0
    ((_, line),) = log_density_contours(image, Grid([0, 0], [1, 1], (5, 5)), [0.9], tolerance=0.25)
    assert len(line) == 5
