"""The levels of a heatmap against heatmaps of their own, and what napari makes of them."""

from copy import deepcopy

import numpy as np
import pytest
from napari.components import ViewerModel
from oracles import random_mixture

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.shapes import level
from napari_sparse_gmm.shapes.antialiasing import antialiased
from napari_sparse_gmm.shapes.grid import Grid, heatmap
from napari_sparse_gmm.shapes.lazy_heatmap import LazyHeatmap
from napari_sparse_gmm.shapes.pyramid import HeatmapPyramid, heatmap_pyramid

CPU = {"engine": "torch", "device": "cpu"}
FIELD = 50_000.0
SPOTS = np.array([[30_011.0, 20_007.0], [30_011.0, 20_067.0], [4_003.0, 31_234.0]])


def spots(std: float = 10.0) -> GaussianMixture:
    return GaussianMixture([0.4, 0.3, 0.3], SPOTS, np.stack([np.eye(2) * std**2] * 3))


def base() -> Grid:
    return Grid.covering([0.0, 0.0], [FIELD, 0.7 * FIELD], longest_side=500)


def pyramid_of(mixture: GaussianMixture, grid: Grid, quantity: str = "density") -> HeatmapPyramid:
    found = heatmap_pyramid([mixture], grid, quantity, device="cpu")
    assert found is not None
    return found


def levels_of(mixture: GaussianMixture, grid: Grid) -> list:
    image = heatmap(antialiased(mixture, grid.spacing), grid, **CPU)
    found = heatmap_pyramid([mixture], grid, device="cpu")
    return [image] if found is None else [*found.levels, image]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of all that is computed."""
    shapes = []

    def spy(mixture, grid, *args, **keywords):
        shapes.append(grid.shape)
        return heatmap(mixture, grid, *args, **keywords)

    monkeypatch.setattr(level, "heatmap", spy)
    return shapes


class TestLevels:
    def test_pixels_are_halved_until_they_resolve_the_narrowest(self) -> None:
        grid = base()
        found = pyramid_of(spots(), grid)
        assert [level.shape[0] for level in found.levels] == [500 * 2**k for k in (5, 4, 3, 2, 1)]
        assert 2.0 <= 10.0 / found.grid.spacing[0] < 4.0
        np.testing.assert_allclose(found.grid.edges, grid.edges)

    def test_an_image_that_shows_all_needs_none(self) -> None:
        assert heatmap_pyramid([spots(std=210.0)], base()) is None
        assert heatmap_pyramid([None], base()) is None

    def test_specks_need_not_be_resolved(self) -> None:
        wide, narrow = np.eye(2) * 500.0**2, np.eye(2)
        mixture = GaussianMixture([0.999, 0.001], SPOTS[:2], [wide, narrow])
        assert heatmap_pyramid([mixture], base()) is None

    def test_volumes_have_none(self) -> None:
        grid = Grid.covering([0.0] * 3, [1.0] * 3)
        assert heatmap_pyramid([random_mixture(3, 3, sigma=1e-4)], grid) is None

    def test_no_side_is_longer_than_graphics_cards_can_place(self) -> None:
        found = pyramid_of(spots(std=1e-3), base())
        assert max(found.grid.shape) == 500 * 2**8 <= 2**17

    def test_the_same_place_is_brightest_at_every_level(self) -> None:
        grid = base()
        found = pyramid_of(spots(), grid)
        for k, one in enumerate(found.levels):
            spacing = found.grid.spacing * 2**k
            near = np.rint((SPOTS[0] - grid.edges[0]) / spacing).astype(int)
            start = near - 8
            part = np.asarray(one[start[0] : start[0] + 16, start[1] : start[1] + 16], float)
            # The other spot is in another half of the finest pixels, and blends in coarse ones.
            part[:, 12 if k == 0 else 16 :] = 0.0
            index = np.array(np.unravel_index(part.argmax(), part.shape)) + start
            place = grid.edges[0] + (index + 0.5) * spacing
            assert np.abs(place - SPOTS[0]).max() <= 0.5 * spacing.max() * 1.01 + (k > 1) * 30.0


class TestArrays:
    @pytest.fixture
    def whole(self) -> tuple[LazyHeatmap, np.ndarray]:
        """A level of 800 x 1120 pixels with a background, and all of it."""
        mixture = random_mixture(40, 2, background_weight=0.2, field=10.0, sigma=0.02)
        grid = Grid.covering([0.0, 0.0], [10.0, 14.0], longest_side=140, margin=0.0)
        level = pyramid_of(mixture, grid).levels[-3]
        assert level.shape == (800, 1120)
        own = Grid(grid.edges[0] + grid.spacing / 16, grid.spacing / 8, level.shape)
        return level, heatmap(antialiased(mixture, own.spacing), own, **CPU)

    @pytest.mark.parametrize(
        "key",
        [
            np.s_[:],
            np.s_[100:700, 200:900],
            np.s_[..., 300:310],
            np.s_[-300:, :-50],
            np.s_[5],
            np.s_[5, -7],
            np.s_[700:100:-3, ::7],
            np.s_[::-1, 250:600],
            np.s_[300:300],
            np.s_[790:5000, 1100:9999],
            np.s_[np.int64(3), 1:4],
        ],
        ids=str,
    )
    def test_indices_are_those_of_an_array(self, whole, key) -> None:
        level, image = whole
        part = level[key]
        assert part.shape == image[key].shape
        assert part.ndim == image[key].ndim
        assert part.size == image[key].size
        values = np.asarray(part)
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, image[key], rtol=2e-4, atol=1e-7 * image.max())

    def test_slices_of_slices(self, whole) -> None:
        level, image = whole
        np.testing.assert_allclose(
            level[100:700][::-1, 50:][3:400, 20], image[696:299:-1, 70], 2e-4
        )

    @pytest.mark.parametrize("key", [np.s_[800], np.s_[0, 0, 0]], ids=str)
    def test_indices_beyond_the_array(self, whole, key) -> None:
        with pytest.raises(IndexError):
            whole[0][key]

    def test_only_what_is_new_is_computed(self, whole, computed) -> None:
        level, _ = whole
        before = np.asarray(level[260:700, 0:500])
        assert computed == [(512, 512)]
        np.asarray(level[260:700, 50:560])
        assert computed[1:] == [(512, 256)]
        np.testing.assert_array_equal(np.asarray(level[260:700, 0:500]), before)
        assert len(computed) == 2

    def test_old_tiles_make_room(self, whole, computed) -> None:
        level, image = whole
        level.level.tiles.most_bytes = 3 * 256 * 256 * 4
        for _ in range(2):
            np.testing.assert_allclose(level[:512, :512], image[:512, :512], 2e-4, 1e-7)
            assert level.level.tiles.n_bytes <= level.level.tiles.most_bytes
        assert len(computed) == 2

    def test_giant_levels_are_not_computed_as_a_whole(self) -> None:
        level = pyramid_of(spots(), base()).levels[0]
        with pytest.raises(InputError, match=r"16000 x 11392 pixels are too many.*zoom in"):
            np.asarray(level)

    def test_typical_is_the_peak_that_half_of_the_points_do_not_reach(self) -> None:
        std = np.array([1e-9, 2.0, 3.0, 4.0])
        mixture = GaussianMixture(
            [0.1, 0.35, 0.15, 0.4],
            200.0 * np.arange(1, 5)[:, None] * np.ones(2),
            std[:, None, None] ** 2 * np.eye(2),
        )
        found = heatmap_pyramid([mixture], base(), device="cpu")
        assert found is not None
        # 0.15 of the points are in the darkest component, and 0.4 in the next.
        peaks = mixture.weights / (2 * np.pi * std**2)
        assert found.typical == pytest.approx(np.sort(peaks)[1], rel=1e-3)
        assert found.highest > 50 * found.typical

    @pytest.mark.parametrize("quantity", ["expected_points", "log_density"])
    def test_quantities(self, quantity) -> None:
        mixture, grid = spots(), base()
        found = heatmap_pyramid([mixture], grid, quantity, n_points=[300.0], device="cpu")
        assert found is not None
        row, column = ((SPOTS[0] - found.grid.edges[0]) // found.grid.spacing).astype(int)
        peak = 0.4 / (2 * np.pi * 10.0**2)
        highest = 300.0 * peak if quantity == "expected_points" else np.log(peak)
        assert found.highest == pytest.approx(highest, rel=1e-6)
        assert found.typical <= found.highest
        values = np.asarray(found.levels[0][row - 40 : row + 40, column - 40 : column + 40])
        indices = np.mgrid[row - 40 : row + 40, column - 40 : column + 40].transpose(1, 2, 0)
        expected = mixture.log_density(found.grid.coordinates(indices).reshape(-1, 2))
        if quantity == "log_density":
            np.testing.assert_allclose(values.ravel(), expected, rtol=1e-5, atol=1e-4)
        else:
            np.testing.assert_allclose(values.ravel(), 300.0 * np.exp(expected), 1e-3, 1e-9)


class TestStacks:
    @pytest.mark.parametrize(
        "axes", [(0, 1, 2), (1, 2, 0), (1, None, 2, 0), (None, 0, 1, 2)], ids=str
    )
    def test_slices_are_where_they_are_asked_for(self, axes) -> None:
        mixtures = [spots(), None, spots(std=15.0)]
        found = heatmap_pyramid(mixtures, base(), n_points=[1, 0, 1], axes=axes, device="cpu")
        assert found is not None
        level = found.levels[0]
        along = (3, *found.grid.shape)
        assert level.shape == tuple(1 if axis is None else along[axis] for axis in axes)
        assert level.chunks == tuple({None: 1, 0: 1, 1: 256, 2: 256}[axis] for axis in axes)
        row, column = ((SPOTS[0] - found.grid.edges[0]) // found.grid.spacing).astype(int)
        key = {0: slice(None), 1: slice(row, row + 50), 2: slice(column, column + 70)}
        part = np.asarray(level[tuple(slice(None) if a is None else key[a] for a in axes)])
        order = [axes.index(0), axes.index(1), axes.index(2)]
        stack = part.transpose(*order, *(i for i, a in enumerate(axes) if a is None)).reshape(
            3, 50, 70
        )
        assert (stack[1] == 0).all()
        alone = pyramid_of(spots(), base()).levels[0][key[1], key[2]]
        np.testing.assert_allclose(stack[0], alone, rtol=1e-4, atol=1e-12)
        assert stack[2, 15, 0] > 100 * stack[0, 15, 0]  # the wider one

    def test_slices_without_density(self) -> None:
        found = heatmap_pyramid([None, spots()], base(), "log_density", axes=(0, 1, 2))
        assert found is not None
        assert (np.asarray(found.levels[0][0, :40, :40]) == -np.inf).all()

    @pytest.mark.parametrize("axes", [(1, 2), (0, 1), (0, 1, 2, 2)], ids=str)
    def test_each_axis_must_have_its_place(self, axes) -> None:
        with pytest.raises(InputError, match=r"axes must have each of \[0, 1, 2\] once"):
            heatmap_pyramid([spots(), None], base(), axes=axes)

    def test_there_must_be_as_many_counts_as_mixtures(self) -> None:
        with pytest.raises(InputError, match="each of the 1 mixtures, not 2"):
            heatmap_pyramid([spots()], base(), n_points=[1.0, 2.0])


class TestInNapari:
    """A viewer without a window, drawn as its canvas would."""

    @pytest.fixture
    def layer(self):
        self.viewer = ViewerModel()
        grid = pyramid_of(spots(), base()).grid
        return self.viewer.add_image(
            levels_of(spots(), base()),
            multiscale=True,
            rgb=False,
            contrast_limits=(0.0, 1e-3),
            scale=grid.spacing,
            translate=grid.origin,
        )

    @staticmethod
    def look(layer, centre, width: float) -> None:
        """Show a square part of the world in 1000 x 1000 pixels."""
        corners = np.array([centre - width / 2, centre + width / 2])
        layer._update_draw(1000.0 / width, corners, (1000, 1000))

    @staticmethod
    def brightest(layer) -> np.ndarray:
        """Where in the world the middle of the brightest pixel is drawn."""
        shown = layer._slice.image.raw
        index = np.zeros(layer.ndim)
        index[-2:] = np.unravel_index(shown.argmax(), shown.shape)
        factors = layer.downsample_factors[layer.data_level]
        # As in `VispyBaseLayer._on_matrix_change`: a texel reaches from its index to the next one,
        # and all is moved by half a pixel of the finest level.
        in_data = layer._transforms["tile2data"](index + 0.5 - 0.5 / factors)
        np.testing.assert_allclose(layer.corner_pixels[0] * factors, layer._transforms[0].translate)
        return layer.data_to_world(in_data)

    def test_adding_it_computes_nothing(self, computed) -> None:
        viewer = ViewerModel()
        viewer.add_image(levels_of(spots(), base()), multiscale=True, contrast_limits=(0.0, 1.0))
        assert computed == []

    @pytest.mark.parametrize("width", [300.0, 2_000.0, 9_000.0, 20_000.0])
    def test_the_spot_is_where_it_is_at_any_zoom(self, layer, width) -> None:
        self.look(layer, SPOTS[2], width)
        pixel = layer.scale * layer.downsample_factors[layer.data_level]
        assert width / pixel[0] >= min(1000.0, width / layer.scale[0])  # no coarser than the screen
        assert np.abs(self.brightest(layer) - SPOTS[2]).max() <= 0.5 * pixel[0] + 1e-6

    def test_every_level_is_reached(self, layer) -> None:
        reached = set()
        for width in np.geomspace(300.0, 2 * FIELD, 30):
            self.look(layer, SPOTS[2], width)
            reached.add(layer.data_level)
        assert reached >= {0, 1, 2, 3, 4}

    def test_small_steps_ask_for_nothing(self, layer, computed) -> None:
        self.look(layer, SPOTS[2], 4_000.0)
        n = len(computed)
        assert n > 0
        self.look(layer, SPOTS[2] + 4.0, 4_000.0)
        assert len(computed) == n

    @pytest.mark.parametrize("std", [3.0, 40.0, 400.0])
    def test_new_levels_in_place(self, layer, std) -> None:
        """Another number of levels, one even, while it is zoomed in."""
        self.look(layer, SPOTS[2], 500.0)
        levels = levels_of(spots(std), base())
        found = heatmap_pyramid([spots(std)], base())
        grid = base() if found is None else found.grid
        layer.data, layer.scale, layer.translate = levels, grid.spacing, grid.origin
        self.look(layer, SPOTS[2], 500.0)
        pixel = layer.scale * layer.downsample_factors[layer.data_level]
        assert np.abs(self.brightest(layer) - SPOTS[2]).max() <= 0.5 * pixel[0] + 1e-6

    def test_slices_of_a_stack(self) -> None:
        mixtures, grid = (
            [spots(), None, GaussianMixture([1.0], SPOTS[2:], [np.eye(2) * 225])],
            base(),
        )
        found = heatmap_pyramid(mixtures, grid, axes=(0, 1, 2), device="cpu")
        assert found is not None
        viewer = ViewerModel()
        layer = viewer.add_image(
            [*found.levels, np.zeros((3, *grid.shape), dtype=np.float32)],
            multiscale=True,
            contrast_limits=(0.0, 1e-3),
            scale=(1.0, *found.grid.spacing),
            translate=(0.0, *found.grid.origin),
        )
        self.look(layer, SPOTS[2], 500.0)
        for slice_, weight in ((0, 0.3 / 100), (1, 0.0), (2, 1 / 225)):
            viewer.dims.set_point(0, slice_)
            layer.refresh()
            shown = layer._slice.image.raw
            assert shown.ndim == 2
            np.testing.assert_allclose(shown.max(), weight / (2 * np.pi), rtol=0.05)
            if weight:
                place = self.brightest(layer)[1:]
                assert np.abs(place - SPOTS[2]).max() <= 0.5 * found.grid.spacing[0] + 1e-6

    def test_a_copy_shares_what_is_known(self, layer) -> None:
        assert deepcopy(list(layer.data))[0] is layer.data[0]


def test_it_is_drawn_where_it_is(make_napari_viewer) -> None:
    """By the transform of what napari draws, at each level."""
    viewer = make_napari_viewer()
    found = pyramid_of(spots(), base())
    layer = viewer.add_image(
        levels_of(spots(), base()),
        multiscale=True,
        contrast_limits=(0.0, 1e-3),
        scale=found.grid.spacing,
        translate=found.grid.origin,
    )
    node = viewer.window._qt_viewer.canvas.layer_to_visual[layer].node
    levels = set()
    for width in (300.0, 7_000.0, 14_000.0, 28_000.0, 56_000.0):
        TestInNapari.look(layer, SPOTS[2], width)
        levels.add(layer.data_level)
        shown = layer._slice.image.raw
        row, column = np.unravel_index(shown.argmax(), shown.shape)
        x, y = node.transform.map([column + 0.5, row + 0.5])[:2]
        np.testing.assert_allclose((y, x), TestInNapari.brightest(layer), atol=0.1)
        pixel = layer.scale[0] * layer.downsample_factors[layer.data_level][0]
        if layer.data_level < 4:  # the brightest spot is another one where two blend
            assert max(abs(y - SPOTS[2, 0]), abs(x - SPOTS[2, 1])) <= 0.5 * pixel + 0.1
    assert levels == {0, 1, 2, 3, 4}
