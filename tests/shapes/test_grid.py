import numpy as np
import pytest
from oracles import random_mixture

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.shapes.grid import Grid, heatmap

ENGINE = {"engine": "torch", "device": "cpu"}


def mixture_of(n_dimensions: int, scale: float = 1.0, offset: float = 0.0) -> GaussianMixture:
    rng = np.random.default_rng(n_dimensions)
    factors = np.eye(n_dimensions) + 0.3 * np.tril(
        rng.standard_normal((2, n_dimensions, n_dimensions))
    )
    mixture = GaussianMixture(
        [0.3, 0.7],
        rng.uniform(-2.0, 2.0, (2, n_dimensions)),
        factors @ factors.swapaxes(1, 2),
    )
    return mixture.transformed(scale, offset)


def grid_around(mixture: GaussianMixture, longest_side: int) -> Grid:
    std = np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
    lower, upper = (mixture.means - 7 * std).min(0), (mixture.means + 7 * std).max(0)
    return Grid.covering(lower, upper, longest_side=longest_side)


class TestGrid:
    def test_longest_side_has_the_pixels_asked_for(self) -> None:
        grid = Grid.covering([0.0, 0.0], [10.0, 40.0], longest_side=400, margin=0.0)
        assert grid.shape == (100, 400)
        np.testing.assert_allclose(grid.spacing, 0.1)
        np.testing.assert_allclose(grid.edges, [[0.0, 0.0], [10.0, 40.0]], atol=1e-12)

    def test_margin_is_a_share_of_the_longest_side(self) -> None:
        grid = Grid.covering([0.0, 0.0], [10.0, 40.0], longest_side=500, margin=0.1)
        np.testing.assert_allclose(grid.edges, [[-4.0, -4.0], [14.0, 44.0]], atol=0.1)

    @pytest.mark.parametrize("offset", [0.0, 1e9])
    @pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
    def test_covers_the_box_by_less_than_a_pixel(self, scale: float, offset: float) -> None:
        lower = np.array([-3.0, 5.0]) * scale + offset * scale
        upper = np.array([4.7, 6.1]) * scale + offset * scale
        grid = Grid.covering(lower, upper, pixel_size=0.25 * scale, margin=0.0)
        round_off = 1e-15 * np.abs(upper).max()
        assert (grid.edges[0] <= lower + round_off).all()
        assert (grid.edges[1] >= upper - round_off).all()
        assert grid.shape == (31, 5)

    def test_whole_number_of_pixels_survives_round_off(self) -> None:
        # 0.7 / 0.1 is a little less than 7, and 3 * 0.1 / 0.1 a little more than 3.
        upper = [0.7, 3 * 0.1]
        assert Grid.covering([0.0, 0.0], upper, pixel_size=0.1, margin=0.0).shape == (7, 3)

    def test_origin_is_the_centre_of_the_first_pixel(self) -> None:
        grid = Grid.covering([0.0, 0.0], [4.0, 4.0], pixel_size=1.0, margin=0.0)
        np.testing.assert_array_equal(grid.origin, [0.5, 0.5])
        np.testing.assert_array_equal(grid.coordinates([3, 1]), [3.5, 1.5])

    def test_volumes_are_smaller_by_default(self) -> None:
        assert max(Grid.covering([0, 0], [1, 1]).shape) == 512
        assert max(Grid.covering([0, 0, 0], [1, 1, 1]).shape) == 128

    def test_points_on_a_line_get_one_row_of_pixels(self) -> None:
        grid = Grid.covering([5.0, 0.0], [5.0, 10.0], longest_side=100, margin=0.0)
        assert grid.shape == (1, 100)
        assert grid.origin[0] == 5.0

    def test_points_on_a_line_lie_on_pixel_centres(self) -> None:
        # Their component is thin: between two rows of pixels it would not show.
        grid = Grid.covering([5.0, 0.0], [5.0, 10.0], longest_side=100)
        assert 5.0 in grid.coordinates(np.stack([np.arange(grid.shape[0])] * 2, axis=1))[:, 0]

    def test_a_single_place_gets_one_pixel(self) -> None:
        grid = Grid.covering([5.0, 7.0], [5.0, 7.0])
        assert grid.shape == (1, 1)
        np.testing.assert_array_equal(grid.origin, [5.0, 7.0])

    @pytest.mark.parametrize("pixel_size", [0.0, -1.0, np.nan, np.inf])
    def test_pixel_size_must_be_positive(self, pixel_size: float) -> None:
        with pytest.raises(InputError, match="pixel size must be positive"):
            Grid.covering([0, 0], [1, 1], pixel_size=pixel_size)

    @pytest.mark.parametrize("upper", [[np.nan, 1.0], [np.inf, 1.0], [-1.0, 1.0]])
    def test_box_must_be_finite_and_in_order(self, upper: list[float]) -> None:
        with pytest.raises(InputError, match="finite box with lower <= upper"):
            Grid.covering([0.0, 0.0], upper)

    def test_absurd_images_are_refused_before_memory_is_asked_for(self) -> None:
        message = r"1,040,000 x 1,040,000 pixels, more than 268,435,456; .*larger pixel size"
        with pytest.raises(InputError, match=message):
            Grid.covering([0, 0], [1e3, 1e3], pixel_size=1e-3)


@pytest.mark.parametrize(("n_dimensions", "longest_side"), [(1, 200), (2, 120), (3, 60)])
class TestHeatmapMoments:
    """What the image sums up to is what the mixture says in closed form."""

    def test_density_integrates_to_one(self, n_dimensions: int, longest_side: int) -> None:
        mixture = mixture_of(n_dimensions)
        grid = grid_around(mixture, longest_side)
        total = heatmap(mixture, grid, **ENGINE).sum(dtype=np.float64) * grid.pixel_volume
        assert total == pytest.approx(1.0, abs=2e-4)

    def test_mean_and_covariance(self, n_dimensions: int, longest_side: int) -> None:
        # Unequal means and covariances: swapped or shifted axes would show.
        mixture = mixture_of(n_dimensions, scale=20.0, offset=1000.0)
        grid = grid_around(mixture, longest_side)
        image = heatmap(mixture, grid, **ENGINE).astype(np.float64)
        centres = grid.coordinates(np.moveaxis(np.indices(grid.shape), 0, -1))  # (..., D)
        mass = (image / image.sum()).reshape(-1)
        mean = mass @ centres.reshape(-1, n_dimensions)
        d_i = centres.reshape(-1, n_dimensions) - mean
        covariance = (mass[:, None] * d_i).T @ d_i

        true_mean = mixture.weights @ mixture.means
        d_j = mixture.means - true_mean
        true_covariance = np.einsum(
            "j,jkl->kl", mixture.weights, mixture.covariances + d_j[:, :, None] * d_j[:, None]
        )
        np.testing.assert_allclose(mean, true_mean, atol=1e-3 * 20.0)
        np.testing.assert_allclose(covariance, true_covariance, atol=2e-3 * 20.0**2)


class TestHeatmap:
    def test_pixel_is_the_density_at_its_centre(self) -> None:
        mixture = mixture_of(2)
        grid = Grid.covering([-5, -8], [5, 8], longest_side=64)
        image = heatmap(mixture, grid, **ENGINE)
        assert image.dtype == np.float32
        centre = grid.origin + [7, 31] * grid.spacing
        assert image[7, 31] == pytest.approx(mixture.density([centre])[0], rel=1e-4)

    def test_slabs_join_without_a_seam(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mixture = mixture_of(3)
        grid = Grid.covering([-5, -5, -5], [5, 6, 7], longest_side=20)
        whole = heatmap(mixture, grid, "log_density", **ENGINE)
        monkeypatch.setattr("napari_sparse_gmm.engines.bricks._SLAB", 997)
        np.testing.assert_allclose(heatmap(mixture, grid, "log_density", **ENGINE), whole, 1e-5)

    @pytest.mark.parametrize("engine", ["torch", "keops"])
    @pytest.mark.parametrize("shape", [(1, 1), (7, 1000), (61, 47), (33, 65, 17)], ids=str)
    def test_pixels_are_the_densities_at_their_centres(
        self, shape: tuple[int, ...], engine: str
    ) -> None:
        d = len(shape)
        mixture = random_mixture(30, d, background_weight=0.2, field=10.0, sigma=0.3)
        spacing = 12.0 / np.array(shape)
        grid = Grid(-1.0 + spacing / 2, spacing, shape)
        centres = grid.coordinates(np.moveaxis(np.indices(shape), 0, -1))
        expected = mixture.density(centres.reshape(-1, d)).reshape(shape)
        image = heatmap(mixture, grid, engine=engine, device="cpu")
        assert image.dtype == np.float32
        np.testing.assert_allclose(image, expected, rtol=1e-4, atol=1e-30)

    def test_quantities_agree(self) -> None:
        mixture = mixture_of(2)
        grid = Grid.covering([-5, -5], [5, 5], longest_side=50)
        density = heatmap(mixture, grid, "density", **ENGINE)
        expected = heatmap(mixture, grid, "expected_points", n_points=400, **ENGINE)
        log_density = heatmap(mixture, grid, "log_density", **ENGINE)
        np.testing.assert_allclose(expected, 400 * density, rtol=1e-6)
        np.testing.assert_allclose(np.exp(log_density), density, rtol=1e-5)

    @pytest.mark.parametrize("scale", [1e-9, 1e9])
    def test_density_is_per_unit_area(self, scale: float) -> None:
        mixture, grid = mixture_of(2), Grid.covering([-5, -5], [5, 5], longest_side=50)
        scaled = Grid(grid.origin * scale, grid.spacing * scale, grid.shape)
        np.testing.assert_allclose(
            heatmap(mixture.transformed(scale), scaled, **ENGINE) * scale**2,
            heatmap(mixture, grid, **ENGINE),
            rtol=1e-4,
            atol=1e-8,
        )

    def test_background_fills_its_box_only(self) -> None:
        mixture = GaussianMixture([0.5], [[0, 0]], [np.eye(2) * 1e-4], 0.5, [[-1, -1], [1, 1]])
        grid = Grid([-1.5, 0.5], [1.0, 1.0], (4, 1))
        np.testing.assert_allclose(
            heatmap(mixture, grid, **ENGINE)[:, 0], [0, 0.125, 0.125, 0], atol=1e-7
        )

    def test_unknown_quantity_names_those_there_are(self) -> None:
        with pytest.raises(InputError, match=r"expected_points.*not 'counts'"):
            heatmap(mixture_of(2), Grid.covering([0, 0], [1, 1]), "counts")

    def test_grid_of_another_dimension_is_refused(self) -> None:
        with pytest.raises(InputError, match="3 axes and the mixture 2"):
            heatmap(mixture_of(2), Grid.covering([0, 0, 0], [1, 1, 1]))
