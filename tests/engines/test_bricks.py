"""Bricks of pixels, and the density on a grid against the direct float64 sum."""

from itertools import pairwise

import numpy as np
import pytest
from oracles import hold, random_mixture

from napari_sparse_gmm import Box, GaussianMixture, Intensity
from napari_sparse_gmm.engines import TorchTiles, bricks
from napari_sparse_gmm.engines.blocks import Blocks, ordered
from napari_sparse_gmm.engines.bricks import Bricks, grid_log_density

SHAPES = [(1,), (1000,), (1, 1), (7, 1000), (33, 65, 17), (5, 9, 6, 8)]


def direct(mixture: GaussianMixture, origin, spacing, shape) -> np.ndarray:
    indices = np.moveaxis(np.indices(shape), 0, -1)
    return mixture.log_density(np.reshape(origin + indices * spacing, (-1, len(shape))))


def on_grid(mixture, origin, spacing, shape, engine="torch") -> np.ndarray:
    image = np.full(shape, np.nan)
    for index, values in grid_log_density(
        mixture, origin, spacing, shape, engine=engine, device="cpu"
    ):
        assert np.isnan(image[index]).all()
        image[index] = values
    return image.ravel()


def assert_near(values: np.ndarray, expected: np.ndarray) -> None:
    """Within 1e-4; far out, where the log is below -10, as near as single precision goes."""
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-4)


class TestBricks:
    @pytest.mark.parametrize("size", [1, 16, 64])
    @pytest.mark.parametrize("shape", [*SHAPES, (3,) * 8], ids=str)
    def test_each_pixel_is_in_one_brick(self, shape, size):
        spacing = np.linspace(1.0, 2.0, len(shape))
        found = Bricks.of(shape, spacing, size)
        count = np.zeros(shape, dtype=int)
        for first, end in zip(found.first, found.end, strict=True):
            assert (end > first).all()
            count[tuple(slice(a, b) for a, b in zip(first, end, strict=True))] += 1
        assert (count == 1).all()

    @pytest.mark.parametrize("shape", [(1000,), (7, 1000), (33, 65, 17)], ids=str)
    def test_every_node_of_their_tree_is_a_box_of_pixels(self, shape):
        ones = np.ones(len(shape))
        found = Bricks.of(shape, ones, 64)
        n = len(found.first)
        assert 2 ** round(np.log2(n)) == n
        boxes = found.boxes(np.zeros(len(shape)), ones)
        ends, nodes = Blocks(np.arange(n), np.arange(n + 1), boxes).tree
        for first, last in pairwise(ends):
            volumes = (nodes.upper - nodes.lower + 1)[first:last].prod(1)
            assert volumes.sum() == np.prod(shape)
            assert volumes.max() < 2.5 * volumes.min()

    @pytest.mark.parametrize(
        ("shape", "spacing", "brick"),
        [
            ((256, 512), (1.0, 1.0), (8, 8)),
            ((64, 128, 64), (1.0, 1.0, 1.0), (4, 4, 4)),
            ((64, 64, 64), (4.0, 2.0, 2.0), (2, 4, 8)),
            ((128, 128), (100.0, 1.0), (1, 64)),
        ],
    )
    def test_they_are_as_near_to_cubes_as_they_can_be(self, shape, spacing, brick):
        shapes = list(Bricks.of(shape, np.array(spacing), 64).by_shape())
        assert len(shapes) == 1
        sides = np.multiply(shapes[0][0], spacing)
        assert np.prod(shapes[0][0]) == 64
        assert sorted(sides) == sorted(np.multiply(brick, spacing))


@pytest.mark.parametrize("background", [0.0, 0.2], ids=["pure", "background"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("engine", ["torch", "keops"])
class TestAgainstTheDirectSum:
    def test_local_components(self, engine, shape, background, monkeypatch):
        """In several slabs; a box smaller than the image, with borders within bricks."""
        monkeypatch.setattr(bricks, "_SLAB", 4000)
        d = len(shape)
        mixture = random_mixture(
            40, d, background_weight=background, field=100.0, sigma=2.0, offset=50.0
        )
        spacing = 130.0 / np.array(shape)
        grid = (40.0 + spacing / 2, spacing, shape)
        assert_near(on_grid(mixture, *grid, engine), direct(mixture, *grid))

    def test_pixels_wider_than_components(self, engine, shape, background):
        d = len(shape)
        mixture = random_mixture(
            10, d, background_weight=background, field=1e4, sigma=0.1, offset=3e6
        )
        spacing = 1e4 / np.array(shape)
        # Some pixels are at the very centre of a component.
        origin = mixture.means[0] - spacing * (np.array(shape) // 2)
        grid = (origin, spacing, shape)
        assert_near(on_grid(mixture, *grid, engine), direct(mixture, *grid))


@pytest.mark.parametrize("engine", ["torch", "keops"])
def test_no_component_leaves_the_background(engine):
    nothing = np.empty((0, 2)), np.empty((0, 2, 2))
    mixture = GaussianMixture(np.empty(0), *nothing, 1.0, [[1.0, 0.0], [3.0, 5.0]])
    image = on_grid(mixture, np.zeros(2), np.ones(2), (5, 6), engine).reshape(5, 6)
    np.testing.assert_allclose(image[1:4], -np.log(10.0))
    assert (image[[0, 4]] == -np.inf).all()


@pytest.mark.parametrize("engine", ["torch", "keops"])
def test_a_background_as_dense_as_an_image(engine):
    local = random_mixture(10, 2, field=100.0, sigma=2.0)
    image = np.random.default_rng(0).uniform(0.0, 1.0, (7, 9)) ** 4
    for region in (
        Intensity(image * (image > 0.2), 10.0, 10.0),
        Intensity(image, 10.0, 10.0, Box([[20.0, 20.0], [60.0, 90.0]])),
    ):
        mixture = GaussianMixture(0.6 * local.weights, local.means, local.covariances, 0.4, region)
        grid = (np.full(2, 0.3), np.full(2, 0.7), (150, 140))
        assert_near(on_grid(mixture, *grid, engine), direct(mixture, *grid))


def test_weightless_components_count_for_nothing():
    mixture = random_mixture(3, 2, background_weight=0.5)
    weightless = GaussianMixture(
        np.zeros(3), mixture.means, mixture.covariances, 1.0, mixture.background_region
    )
    grid = (np.full(2, -1.0), np.full(2, 0.5), (30, 20))
    np.testing.assert_allclose(on_grid(weightless, *grid), direct(weightless, *grid))


def test_only_bricks_with_components_are_computed(monkeypatch):
    seen = []

    class Spy(TorchTiles):
        def __init__(self, points, *args, **keywords):
            seen.append(len(points))
            super().__init__(points, *args, **keywords)

    choice = bricks.choose_engine("torch", "cpu", n_dimensions=2)
    monkeypatch.setattr(
        bricks, "choose_engine", lambda *_, **__: type(choice)(Spy, choice.device, choice.reason)
    )
    mixture = random_mixture(20, 2, background_weight=0.2, field=1000.0)
    grid = (np.zeros(2), np.full(2, 1.0), (1000, 1000))
    values = on_grid(mixture, *grid)
    assert 0 < sum(seen) < 0.1 * len(values)
    assert_near(values, direct(mixture, *grid))


def test_an_engine_takes_the_blocks_that_it_is_given():
    mixture = random_mixture(20, 2, background_weight=0.2, field=100.0)
    points, _ = mixture.sample(3000, random_state=0)
    blocks = ordered(points, 32)[0]
    engine = hold(points, blocks=blocks)
    assert engine.blocks is blocks
    assert_near(engine.log_density(mixture), mixture.log_density(points))


@pytest.mark.parametrize("background", [0.0, 0.2], ids=["pure", "background"])
def test_what_is_negligible_is_left_out_and_nothing_else(background):
    mixture = random_mixture(
        40, 2, background_weight=background, field=100.0, sigma=1.0, offset=50.0
    )
    shape, spacing = (300, 300), np.full(2, 0.5)
    negligible = float(mixture.log_amplitudes.min())
    image = np.empty(shape)
    for index, values in grid_log_density(
        mixture, np.full(2, 30.0), spacing, shape, negligible=negligible, engine="torch"
    ):
        image[index] = values
    expected = np.exp(direct(mixture, np.full(2, 30.0), spacing, shape)).reshape(shape)
    np.testing.assert_allclose(np.exp(image), expected, rtol=1e-4, atol=1e-5 * np.exp(negligible))
    assert (image == -np.inf).any()
