"""Layers in and out of a viewer model; no window."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Points, Shapes
from oracles import random_mixture

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.plugin.frame import Frame, modelled_points
from napari_sparse_gmm.plugin.layers import (
    MAX_ELLIPSES,
    component_colours,
    contrast_limits,
    ellipses,
    show_ellipses,
    show_heatmap,
)
from napari_sparse_gmm.plugin.worker import Heatmap, HeatmapChoice
from napari_sparse_gmm.shapes.grid import Grid, heatmap


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((4, 4)), name="microscope")
    viewer.add_points(np.random.default_rng(0).uniform(0, 10, (200, 2)), name="L", units="nm")
    return viewer


def drawn(frame: Frame, mixture: GaussianMixture, side: int = 20) -> Heatmap:
    choice = HeatmapChoice("density", side, None)
    grid = choice.grid(frame.modelled_box)
    return Heatmap(heatmap(mixture, grid, "density"), grid, choice)


def show(viewer: ViewerModel, mixture: GaussianMixture, **keywords: int) -> tuple[Image, Shapes]:
    points = viewer.layers["L"]
    _, frame = modelled_points(points, tuple(range(points.ndim)))
    image = show_heatmap(viewer, points, frame, drawn(frame, mixture, **keywords))
    shown = ellipses(mixture, frame, len(points.data), 95.0)
    return image, show_ellipses(viewer, points, frame, shown)


def test_names_and_order(viewer: ViewerModel) -> None:
    viewer.layers.selection.active = viewer.layers["L"]
    image, shapes = show(viewer, random_mixture(4, 2))
    names = [layer.name for layer in viewer.layers]
    assert names == ["microscope", "L density", "L", "L components"]
    assert viewer.layers.selection.active is viewer.layers["L"]
    assert image.units == shapes.units == viewer.layers["L"].units
    assert shapes.nshapes == 4
    assert set(shapes.shape_type) == {"ellipse"}


def test_second_fit_updates_both_layers_in_place(viewer: ViewerModel) -> None:
    image, shapes = show(viewer, random_mixture(4, 2, seed=0))
    before = image.data.copy()
    image.name, image.colormap, image.opacity = "mine", "viridis", 0.3
    shapes.name, shapes.visible = "ours", False
    shapes.current_edge_color = "red"

    second = random_mixture(7, 2, seed=1)
    assert show(viewer, second, side=33) == (image, shapes)
    assert len(viewer.layers) == 4
    assert image.data.shape != before.shape
    assert (image.name, image.colormap.name, image.opacity) == ("mine", "viridis", 0.3)
    assert (shapes.name, shapes.visible) == ("ours", False)
    assert shapes.nshapes == len(shapes.features) == 7
    np.testing.assert_allclose(shapes.features["weight"], second.weights)
    np.testing.assert_allclose(shapes.edge_color[-1], [1, 0, 0, 1])  # the user's colour
    assert image.contrast_limits[1] <= image.data.max()
    assert image.contrast_limits_range == [0.0, pytest.approx(image.data.max())]


def test_second_fit_follows_a_layer_that_was_moved(viewer: ViewerModel) -> None:
    image, _ = show(viewer, random_mixture(4, 2))
    before = np.array(image.data_to_world((0, 0)))
    viewer.layers["L"].translate = (5, 6)
    show(viewer, random_mixture(4, 2))
    np.testing.assert_allclose(np.array(image.data_to_world((0, 0))) - before, (5, 6))


def test_fewer_components_and_none(viewer: ViewerModel) -> None:
    _, shapes = show(viewer, random_mixture(5, 2))
    for n in (2, 0, 3):
        box = np.array([[0.0, 0.0], [1.0, 1.0]])
        left = (
            random_mixture(n, 2)
            if n
            else GaussianMixture(np.empty(0), np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, box)
        )
        assert show(viewer, left)[1] is shapes
        assert shapes.nshapes == len(shapes.features) == n


def test_no_component_from_the_start(viewer: ViewerModel) -> None:
    box = np.array([[0.0, 0.0], [9.0, 9.0]])
    empty = GaussianMixture(np.empty(0), np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, box)
    _, shapes = show(viewer, empty)
    assert shapes.nshapes == 0
    show(viewer, random_mixture(3, 2))
    np.testing.assert_allclose(shapes.edge_color, np.tile([0, 1, 1, 1], (3, 1)))


def test_deleted_layer_is_made_again(viewer: ViewerModel) -> None:
    image, shapes = show(viewer, random_mixture(4, 2))
    viewer.layers.remove(image)
    again, same = show(viewer, random_mixture(4, 2))
    assert again is not image
    assert same is shapes
    assert viewer.layers.index(again) + 1 == viewer.layers.index(viewer.layers["L"])


def test_layers_of_another_points_layer_are_left_alone(viewer: ViewerModel) -> None:
    other = viewer.add_points(np.random.default_rng(1).uniform(0, 5, (50, 2)), name="other")
    image, _ = show(viewer, random_mixture(4, 2))
    _, frame = modelled_points(other, (0, 1))
    assert show_heatmap(viewer, other, frame, drawn(frame, random_mixture(2, 2))) is not image


def test_other_number_of_axes_replaces_the_layers() -> None:
    viewer = ViewerModel()
    points = viewer.add_points(np.random.default_rng(0).uniform(0, 10, (50, 3)), name="L")
    image, shapes = show(viewer, random_mixture(3, 3))
    _, frame = modelled_points(points, (1, 2))
    flat = show_heatmap(viewer, points, frame, drawn(frame, random_mixture(3, 2)))
    show_ellipses(viewer, points, frame, ellipses(random_mixture(3, 2), frame, 50, 95.0))
    assert (image.ndim, flat.ndim) == (3, 2)
    assert sorted(layer.name for layer in viewer.layers) == ["L", "L components", "L density"]
    assert image not in viewer.layers
    assert shapes not in viewer.layers


def test_ellipse_holds_its_share_of_the_points(posed_points: Points) -> None:
    """Drawn into a Points layer in any pose, the ellipse is a contour of the component."""
    u, frame = modelled_points(posed_points, (0, 1))
    width = np.ptp(u, axis=0)
    covariance = np.array([[0.04, 0.03], [0.03, 0.05]]) * np.outer(width, width)
    mixture = GaussianMixture([1.0], [u.mean(0)], [covariance])
    shapes = Shapes(
        ellipses(mixture, frame, 50, 90.0).corners, shape_type="ellipse", **frame.shape_placement()
    )
    # What napari draws: the corners' parallelogram, filled with the image of a circle.
    a, b, c, _ = shapes.data[0]
    centre, half_1, half_2 = (a + c) / 2, (b - a) / 2, (c - b) / 2
    sample = mixture.sample(20_000, 0)[0] / posed_points.scale  # in data coordinates
    t = np.linalg.solve(np.stack([half_1, half_2], axis=1), (sample - centre).T)  # (2, N)
    assert ((t**2).sum(0) <= 1).mean() == pytest.approx(0.9, abs=0.01)


def test_features_are_in_the_units_of_the_layer() -> None:
    points = Points(np.array([[0.0, 0.0], [10.0, 10.0]]), scale=(3.0, 0.5))
    _, frame = modelled_points(points, (0, 1))
    mixture = GaussianMixture([1.0], [[15.0, 2.5]], [[[9.0, 0.0], [0.0, 4.0]]])
    features = ellipses(mixture, frame, 500, 95.0).features
    row = {name: column[0] for name, column in features.items()}
    assert row["expected_points"] == 500
    assert (row["mean_y"], row["mean_x"]) == (15.0, 2.5)
    assert (row["std_major"], row["std_minor"]) == pytest.approx((3.0, 2.0))
    assert row["angle"] == pytest.approx(90.0)
    assert row["area"] == pytest.approx(6.0 * np.pi)


def test_only_the_largest_of_very_many_ellipses_are_drawn() -> None:
    points = Points(np.array([[0.0, 0.0], [10.0, 10.0]]))
    _, frame = modelled_points(points, (0, 1))
    mixture = random_mixture(MAX_ELLIPSES + 500, 2)
    features = ellipses(mixture, frame, 1, 95.0).features
    assert len(features["weight"]) == MAX_ELLIPSES
    assert features["weight"].min() >= np.sort(mixture.weights)[500]
    np.testing.assert_array_equal(mixture.weights[features["component"]], features["weight"])


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_edges_are_thin_whatever_the_unit(scale: float) -> None:
    data = np.array([[0.0, 0.0], [100.0, 100.0]])
    u, frame = modelled_points(Points(data, scale=(scale, scale)), (0, 1))
    sizes = np.array([20.0, 0.1])
    covariances = (scale * sizes)[:, None, None] ** 2 * np.eye(2)
    mixture = GaussianMixture([0.5, 0.5], [u.mean(0)] * 2, covariances)
    large, small = ellipses(mixture, frame, 2, 95.0).edge_width  # in data units
    assert large == pytest.approx(0.3)  # of a field of 100
    assert small < 0.1  # radius 0.245


def test_3d_ellipses_lie_along_the_two_longest_axes() -> None:
    points = Points(np.array([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]]), scale=(2, 1, 1))
    _, frame = modelled_points(points, (0, 1, 2))
    mixture = GaussianMixture([1.0], [[8.0, 4.0, 4.0]], [np.diag([9.0, 0.01, 1.0])])
    shown = ellipses(mixture, frame, 2, 50.0)
    spread = np.ptp(shown.corners[0] * points.scale, axis=0)
    radius = np.sqrt(2.366)  # median of chi squared with 3 degrees of freedom
    np.testing.assert_allclose(spread, 2 * radius * np.array([3.0, 0.0, 1.0]), atol=1e-3)
    assert {"std_middle", "volume"} <= set(shown.features)


@pytest.mark.parametrize(
    ("values", "quantity", "expected"),
    [
        pytest.param([0.0, 1.0, 3.0], "density", (0.0, 3.0), id="density"),
        pytest.param([0.0, 0.0, 0.0], "density", (0.0, 1.0), id="all zero"),
        pytest.param([-3.0, -2.0, -1.0], "log_density", (-3.0, -1.0), id="log"),
        pytest.param([-2.0, -2.0], "log_density", (-3.0, -2.0), id="flat log"),
        pytest.param([-1e30, 0.0], "log_density", (-4 * np.log(10), 0.0), id="log, far tails"),
        pytest.param([-np.inf, 0.0], "log_density", (-4 * np.log(10), 0.0), id="log of zero"),
    ],
)
def test_contrast_limits(values: list[float], quantity: str, expected: tuple[float, float]) -> None:
    limits = contrast_limits(np.array(values, dtype=np.float32), quantity)
    assert limits == pytest.approx(expected, rel=0.01)


def test_log_of_zero_outside_the_background_can_be_shown(viewer: ViewerModel) -> None:
    points = viewer.layers["L"]
    _, frame = modelled_points(points, (0, 1))
    values = np.array([[-np.inf, -3.0], [-2.0, -1.0]], dtype=np.float32)
    grid = Grid((0.0, 0.0), (1.0, 1.0), (2, 2))
    shown = Heatmap(values, grid, HeatmapChoice("log_density", 2, None))
    image = show_heatmap(viewer, points, frame, shown)
    assert np.isfinite(image.contrast_limits_range).all()
    assert image.contrast_limits[1] == -1.0


def test_colours_of_components() -> None:
    colours = component_colours(np.array([-1, 0, 1, 48, 49, 0]))
    np.testing.assert_array_equal(colours[0], [0.5, 0.5, 0.5, 1.0])
    np.testing.assert_array_equal(colours[1], colours[5])
    assert (colours[:, 3] == 1.0).all()
    many = component_colours(np.arange(2000))
    assert (many[1:] != many[:-1]).any(1).all()  # neighbours in the table
    assert len(np.unique(many, axis=0)) > 40
    assert (many != colours[0]).any(1).all()
