"""Layers in and out of a viewer model; no window."""

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Points, Shapes
from oracles import random_mixture
from plugin.fakes import model_of

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin.layers.components import drawing, show_components
from napari_sparse_gmm.plugin.layers.contours import show_contours
from napari_sparse_gmm.plugin.layers.heatmap import contrast_limits, show_heatmap
from napari_sparse_gmm.plugin.layers.owned import components_layer, remove_made
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.space.slices import Layout
from napari_sparse_gmm.plugin.tasks.render import drawn as drawn_by_worker
from napari_sparse_gmm.plugin.tasks.task import at_once
from napari_sparse_gmm.plugin.tasks.values import Heatmap, HeatmapChoice
from napari_sparse_gmm.shapes.ellipsoids import ellipsoid_mesh
from napari_sparse_gmm.shapes.grid import Grid, heatmap

MOST = 2000  # ellipses

DATA_3D = np.random.default_rng(0).uniform(0, 20, (60, 3))


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((4, 4)), name="microscope")
    viewer.add_points(np.random.default_rng(0).uniform(0, 10, (200, 2)), name="L", units="nm")
    return viewer


def drawn(frame: Frame, mixture: GaussianMixture, side: int = 20) -> Heatmap:
    choice = HeatmapChoice("density", side, None)
    grid = choice.grid(frame.modelled_box, 1)
    return Heatmap(heatmap(mixture, grid, "density")[None], grid, choice)


def show(viewer: ViewerModel, mixture: GaussianMixture, **keywords: int) -> tuple[Image, Shapes]:
    points = viewer.layers["L"]
    _, frame, _ = modelled_points(points, tuple(range(points.ndim)))
    image = show_heatmap(viewer, points, frame, drawn(frame, mixture, **keywords))
    shown = drawing(model_of(mixture, n_points=len(points.data)), frame, 95.0, MOST)
    return image, show_components(viewer, points, frame, shown)


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
    high = image.contrast_limits[1]  # which may stay, where it does for both
    assert high < 3 * image.data.max()
    assert image.contrast_limits_range == [0.0, pytest.approx(max(high, image.data.max()))]


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
    np.testing.assert_allclose(shapes.edge_color, np.tile([0, 1, 0, 1], (3, 1)))


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
    _, frame, _ = modelled_points(other, (0, 1))
    assert show_heatmap(viewer, other, frame, drawn(frame, random_mixture(2, 2))) is not image


def test_other_number_of_axes_replaces_the_layers() -> None:
    viewer = ViewerModel()
    points = viewer.add_points(np.random.default_rng(0).uniform(0, 10, (50, 3)), name="L")
    image, shapes = show(viewer, random_mixture(3, 3))
    _, frame, _ = modelled_points(points, (1, 2))
    flat = show_heatmap(viewer, points, frame, drawn(frame, random_mixture(3, 2)))
    shown = drawing(model_of(random_mixture(3, 2)), frame, 95.0, MOST)
    show_components(viewer, points, frame, shown)
    assert (image.ndim, flat.ndim) == (3, 2)
    assert sorted(layer.name for layer in viewer.layers) == ["L", "L components", "L density"]
    assert image not in viewer.layers
    assert shapes not in viewer.layers


def test_ellipse_holds_its_share_of_the_points(posed_points: Points) -> None:
    """Drawn into a Points layer in any pose, the ellipse is a contour of the component."""
    u, frame, _ = modelled_points(posed_points, (0, 1))
    width = np.ptp(u, axis=0)
    covariance = np.array([[0.04, 0.03], [0.03, 0.05]]) * np.outer(width, width)
    mixture = GaussianMixture([1.0], [u.mean(0)], [covariance])
    corners = drawing(model_of(mixture), frame, 90.0, MOST).corners
    shapes = Shapes(corners, shape_type="ellipse", **frame.shape_placement())
    # What napari draws: the corners' parallelogram, filled with the image of a circle.
    a, b, c, _ = shapes.data[0]
    centre, half_1, half_2 = (a + c) / 2, (b - a) / 2, (c - b) / 2
    sample = mixture.sample(20_000, 0)[0] / posed_points.scale  # in data coordinates
    t = np.linalg.solve(np.stack([half_1, half_2], axis=1), (sample - centre).T)  # (2, N)
    assert ((t**2).sum(0) <= 1).mean() == pytest.approx(0.9, abs=0.01)


def test_features_are_in_the_units_of_the_layer() -> None:
    points = Points(np.array([[0.0, 0.0], [10.0, 10.0]]), scale=(3.0, 0.5))
    _, frame, _ = modelled_points(points, (0, 1))
    mixture = GaussianMixture([1.0], [[15.0, 2.5]], [[[9.0, 0.0], [0.0, 4.0]]])
    features = drawing(model_of(mixture, n_points=500), frame, 95.0, MOST).features
    row = {name: column[0] for name, column in features.items()}
    assert row["expected_points"] == 500
    assert (row["mean_y"], row["mean_x"]) == (15.0, 2.5)
    assert (row["std_major"], row["std_minor"]) == pytest.approx((3.0, 2.0))
    assert row["angle"] == pytest.approx(90.0)
    assert row["area"] == pytest.approx(6.0 * np.pi)


def test_only_the_largest_of_very_many_ellipses_are_drawn() -> None:
    points = Points(np.array([[0.0, 0.0], [10.0, 10.0]]))
    _, frame, _ = modelled_points(points, (0, 1))
    mixture = random_mixture(MOST + 500, 2)
    features = drawing(model_of(mixture, n_points=1), frame, 95.0, MOST).features
    assert len(features["weight"]) == MOST
    assert features["weight"].min() >= np.sort(mixture.weights)[500]
    np.testing.assert_array_equal(mixture.weights[features["component"]], features["weight"])


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
    image = np.array(values, dtype=np.float32).reshape(1, 1, -1)
    grid = Grid(np.zeros(2), np.ones(2), image.shape[1:])
    limits = contrast_limits(Heatmap(image, grid, HeatmapChoice(quantity, 16, None)))
    assert limits == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("sharpen", [True, False])
@pytest.mark.parametrize("share", [0.002, 0.05, 0.5])
def test_a_needle_makes_no_others_black(share: float, sharpen: bool) -> None:
    """Of a width near zero, with however many of the points, on a background or without."""
    means = np.random.default_rng(0).uniform(500, 4500, (21, 2))
    std = np.array([60.0] * 20 + [1e-6])
    box = np.array([[0.0, 0.0], [5000.0, 5000.0]])
    choice = HeatmapChoice("density", 256, None, sharpen=sharpen, engine="torch", device="cpu")
    for background in (0.0, 0.4):
        weights = np.append(np.full(20, (1.0 - share) / 20), share) * (1.0 - background)
        covariances = std[:, None, None] ** 2 * np.eye(2)
        mixture = GaussianMixture(
            weights, means, covariances, background, box if background else None
        )
        shown = at_once(drawn_by_worker(model_of(mixture), box, choice, Layout()))
        low, high = contrast_limits(shown)
        peak = weights[0] / (2 * np.pi * 60.0**2)
        assert low == 0.0
        assert 0.2 < peak / high < 5.0


def test_log_of_zero_outside_the_background_can_be_shown(viewer: ViewerModel) -> None:
    points = viewer.layers["L"]
    _, frame, _ = modelled_points(points, (0, 1))
    values = np.array([[[-np.inf, -3.0], [-2.0, -1.0]]], dtype=np.float32)
    grid = Grid((0.0, 0.0), (1.0, 1.0), (2, 2))
    shown = Heatmap(values, grid, HeatmapChoice("log_density", 2, None))
    image = show_heatmap(viewer, points, frame, shown)
    assert np.isfinite(image.contrast_limits_range).all()
    assert image.contrast_limits[1] == -1.0


def test_ellipsoids_are_one_surface_around_the_points() -> None:
    """The mesh of a component is its contour of 95%, whatever the scale."""
    viewer = ViewerModel()
    data = np.random.default_rng(0).uniform(0, 20, (100, 3))
    points = viewer.add_points(data, name="L", scale=(5.0, 1.0, 2.0), translate=(7, 8, 9))
    _, frame, _ = modelled_points(points, (0, 1, 2))
    mixture = random_mixture(4, 3, field=20.0)
    show_components(viewer, points, frame, drawing(model_of(mixture), frame, 95.0, MOST))
    names = [layer.name for layer in viewer.layers]
    assert names == ["L", "L ellipsoids", "L components"]
    surface = viewer.layers["L ellipsoids"]
    mesh = ellipsoid_mesh(mixture, coverage_to_radius(95.0, 3))
    vertices, faces, _ = surface.data
    np.testing.assert_array_equal(faces, mesh.faces)
    # Along z they end with the points, so that the slider has the slices that it had.
    low, high = points.data.min(0) * points.scale, points.data.max(0) * points.scale
    places = np.array(mesh.vertices)
    places[:, 0] = np.clip(places[:, 0], low[0], high[0])
    for vertex, place in zip(vertices[::50], places[::50], strict=True):
        world = points.data_to_world(place / points.scale)
        np.testing.assert_allclose(surface.data_to_world(vertex), world, rtol=1e-6)

    fewer = random_mixture(2, 3, seed=1, field=20.0)
    show_components(viewer, points, frame, drawing(model_of(fewer), frame, 95.0, MOST))
    assert viewer.layers["L ellipsoids"] is surface
    assert len(surface.vertex_colors) == len(surface.data[0]) != len(vertices)
    none = GaussianMixture([], np.empty((0, 3)), np.empty((0, 3, 3)), 1.0, [[0] * 3, [9] * 3])
    show_components(viewer, points, frame, drawing(model_of(none), frame, 95.0, MOST))
    assert "L ellipsoids" not in [layer.name for layer in viewer.layers]


@pytest.fixture
def in_time() -> tuple[ViewerModel, Points]:
    """Points at t = 2, 4 and 8 of an axis that comes first."""
    rng = np.random.default_rng(0)
    data = np.column_stack([np.repeat([2.0, 4.0, 8.0], 40), rng.uniform(0, 10, (120, 2))])
    viewer = ViewerModel()
    points = viewer.add_points(
        data, name="L", scale=(0.5, 1, 1), translate=(100, 0, 0), axis_labels=("t", "y", "x")
    )
    return viewer, points


def test_groups_along_an_axis_are_slices_there(in_time: tuple[ViewerModel, Points]) -> None:
    viewer, points = in_time
    _, frame, groups = modelled_points(points, (1, 2), 0)
    np.testing.assert_array_equal(groups, np.repeat([0, 1, 2], 40))
    mixtures = [random_mixture(k, 2, seed=k) for k in (1, 2, 3)]
    one = drawn(frame, mixtures[0])
    values = np.stack([drawn(frame, mixture).values[0] for mixture in mixtures])
    image = show_heatmap(viewer, points, frame, Heatmap(values, one.grid, one.choice))
    shapes = show_components(viewer, points, frame, drawing(model_of(*mixtures), frame, 95.0, MOST))
    # t = 2, 4, 6, 8: nothing at 6.
    assert image.data.shape == (4, *values.shape[1:])
    assert image.data[2].max() == 0
    np.testing.assert_array_equal(image.data[[0, 1, 3]], values)
    assert list(shapes.features["t"]) == [2.0, 4.0, 4.0, 8.0, 8.0, 8.0]
    assert list(shapes.features["component"]) == [0, 0, 1, 0, 1, 2]
    for place, t in ((0, 2.0), (1, 4.0), (3, 8.0)):
        world = points.data_to_world((t, 3.0, 4.0))
        assert image.data_to_world((place, 0, 0))[0] == pytest.approx(world[0])
        corner = next(c for c, of in zip(shapes.data, shapes.features["t"], strict=True) if of == t)
        assert shapes.data_to_world(corner[0])[0] == pytest.approx(world[0])


def test_groups_of_a_feature_have_an_axis_of_their_own(viewer: ViewerModel) -> None:
    points = viewer.layers["L"]
    points.features = {"channel": np.where(np.arange(200) % 3 > 0, "red", "green")}
    u, frame, groups = modelled_points(points, (0, 1), "channel")
    np.testing.assert_array_equal(groups, np.arange(200) % 3 > 0)
    np.testing.assert_allclose(u, points.data)
    mixtures = [random_mixture(2, 2), random_mixture(1, 2)]
    one = drawn(frame, mixtures[0])
    shown = Heatmap(np.concatenate([one.values, one.values]), one.grid, one.choice)
    image = show_heatmap(viewer, points, frame, shown)
    shapes = show_components(viewer, points, frame, drawing(model_of(*mixtures), frame, 95.0, MOST))
    assert (image.ndim, shapes.ndim, viewer.dims.ndim) == (3, 3, 3)
    assert image.axis_labels == ("channel", "-2", "-1")
    assert list(shapes.features["channel"]) == ["green", "green", "red"]
    assert [corner[0, 0] for corner in shapes.data] == [0, 0, 1]
    # Pixels lie where they would lie without groups.
    _, alone, _ = modelled_points(points, (0, 1))
    flat = Image(alone.layout.image(one.values), **alone.image_placement(one.grid))
    np.testing.assert_allclose(image.data_to_world((0, 3, 4))[1:], flat.data_to_world((3, 4)))


def test_ellipsoids_of_a_group_are_in_its_slice() -> None:
    rng = np.random.default_rng(0)
    data = np.column_stack([np.repeat([0.0, 1.0], 50), rng.uniform(0, 10, (100, 3))])
    viewer = ViewerModel()
    points = viewer.add_points(data, name="L", axis_labels=("t", "z", "y", "x"))
    _, frame, _ = modelled_points(points, (1, 2, 3), 0)
    mixtures = [random_mixture(1, 3), random_mixture(2, 3)]
    show_components(viewer, points, frame, drawing(model_of(*mixtures), frame, 95.0, MOST))
    vertices, faces, _ = viewer.layers["L ellipsoids"].data
    assert set(np.unique(vertices[:, 0])) == {0.0, 1.0}
    assert (np.ptp(vertices[faces][:, :, 0], axis=1) == 0).all()


def test_slices_that_differ_by_rounding_are_one() -> None:
    values = np.tile([12.0, 12.000000000000002, 13.0, 13.000000000000002], 30)
    points = Points(np.column_stack([values, np.zeros((120, 2))]), name="L")
    _, frame, groups = modelled_points(points, (1, 2), 0)
    assert frame.layout.n_slices == 2
    np.testing.assert_array_equal(groups, np.tile([0, 0, 1, 1], 30))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.arange(120) * 1.0, None),
        ((np.arange(120) / 30.0).round(3), None),
        (np.arange(120, dtype=np.float32) * np.float32(0.033), None),
        (np.random.default_rng(0).uniform(size=120), "uneven steps"),
        (np.repeat([0.0, 1.0, 1e6], 40), "1,000,001 slices"),
    ],
    ids=["even", "rounded", "single precision", "any", "far apart"],
)
def test_an_axis_of_groups_has_even_steps(values: np.ndarray, words: str | None) -> None:
    points = Points(np.column_stack([values, np.zeros((120, 2))]), name="L")
    if words is None:
        assert modelled_points(points, (1, 2), 0)[1].layout.n_slices == 120
    else:
        with pytest.raises(InputError, match=words):
            modelled_points(points, (1, 2), 0)


def test_too_many_groups_and_missing_ones_are_refused() -> None:
    points = Points(np.zeros((1500, 2)), name="L", features={"id": np.arange(1500)})
    with pytest.raises(InputError, match="1,500 different values"):
        modelled_points(points, (0, 1), "id")
    points.features = {"cell": ["a", None, "b"] * 500}
    with pytest.raises(InputError, match="missing for 500 points"):
        modelled_points(points, (0, 1), "cell")
    with pytest.raises(InputError, match="no feature 'id' any more"):
        modelled_points(points, (0, 1), "id")


def test_groups_under_the_name_of_a_column_keep_theirs() -> None:
    points = Points(DATA_3D, features={"volume": np.arange(60) % 2})
    _, frame, _ = modelled_points(points, (0, 1, 2), "volume")
    table = drawing(
        model_of(random_mixture(1, 3), random_mixture(1, 3)), frame, 95.0, MOST
    ).features
    assert list(table["volume group"]) == [0, 1]
    assert (table["volume"] > 0).all()


def test_ellipsoids_stay_below_when_the_number_of_axes_changes() -> None:
    viewer = ViewerModel()
    points = viewer.add_points(DATA_3D, name="L", features={"cell": np.arange(60) % 2})
    for each, mixtures in (("cell", 2), (None, 1)):
        _, frame, _ = modelled_points(points, (0, 1, 2), each)
        shown = drawing(model_of(*[random_mixture(2, 3)] * mixtures), frame, 95.0, MOST)
        show_components(viewer, points, frame, shown)
        names = [layer.name for layer in viewer.layers]
        assert names == ["L", "L ellipsoids", "L components"]


def test_an_axis_of_its_own_has_the_unit_that_others_have_there() -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((2, 9, 9)), units=("s", "um", "um"))
    points = viewer.add_points(np.eye(2), name="L", units="nm", features={"cell": ["a", "b"]})
    _, frame, _ = modelled_points(points, (0, 1), "cell")
    units = viewer.layers.extent.units
    assert units is not None
    viewer.add_image(
        np.zeros((2, 3, 3)), units=frame.beside(units).units, axis_labels=("cell", "y", "x")
    )
    assert viewer.layers.extent.units is not None
    assert frame.beside(None) is frame
    assert modelled_points(points, (0, 1))[1].beside(units).units == points.units


def with_pyramid(frame: Frame, std: float) -> Heatmap:
    """An image with finer levels, for a component so narrow."""
    mixture = GaussianMixture([1.0], [[5.0, 5.0]], [np.eye(2) * std**2])
    choice = HeatmapChoice("density", 20, None, sharpen=True, engine="torch", device="cpu")
    return at_once(drawn_by_worker(model_of(mixture), frame.modelled_box, choice, frame.layout))


def test_an_image_gets_finer_levels_and_does_without_them(viewer: ViewerModel) -> None:
    """napari cannot give a layer levels; one that has some stays as it is, and where it is."""
    points = viewer.layers["L"]
    _, frame, _ = modelled_points(points, (0, 1))
    viewer.add_image(np.zeros((4, 4)), name="above")
    image = show_heatmap(viewer, points, frame, with_pyramid(frame, 1.0))
    assert not image.multiscale
    image.name, image.colormap, image.opacity = "mine", "viridis", 0.3
    image.visible, image.gamma, image.blending = False, 0.7, "translucent"
    place = viewer.layers.index(image)
    edges = np.asarray(image._extent_world_augmented)
    viewer.layers.selection = {image, points}
    order = [layer.name for layer in viewer.layers]
    for std, levels in ((0.05, True), (0.02, True), (1.0, False), (0.05, True)):
        shown = with_pyramid(frame, std)
        assert (shown.pyramid is not None) is levels
        before, image = image, show_heatmap(viewer, points, frame, shown)
        assert image.multiscale
        assert (image is before) == before.multiscale
        assert len(image.data) == (1 + len(shown.pyramid.levels) if shown.pyramid else 1)
        np.testing.assert_array_equal(image.data[-1], shown.values[0])
        assert [layer.name for layer in viewer.layers] == order
        assert viewer.layers.index(image) == place
        assert (image.name, image.colormap.name, image.opacity) == ("mine", "viridis", 0.3)
        assert (image.visible, image.gamma, image.blending) == (False, 0.7, "translucent")
        assert viewer.layers.selection == {image, points}
        assert image.units == points.units
        np.testing.assert_allclose(image._extent_world_augmented, edges, rtol=1e-6)
        assert image.contrast_limits[1] > 0
    remove_made(viewer, points)
    assert [layer.name for layer in viewer.layers] == ["microscope", "L", "above"]


def test_a_background_alone_is_dark(viewer: ViewerModel) -> None:
    points = viewer.layers["L"]
    _, frame, _ = modelled_points(points, (0, 1))
    heatmap_ = drawn(frame, random_mixture(2, 2))
    flat = np.full_like(heatmap_.values, 0.01)
    flat[:, 0] = 0.0  # beside the box
    image = show_heatmap(viewer, points, frame, replace(heatmap_, values=flat))
    assert image.contrast_limits[1] >= 0.03


def test_limits_that_the_user_has_set_stay(viewer: ViewerModel) -> None:
    points = viewer.layers["L"]
    _, frame, _ = modelled_points(points, (0, 1))
    image = show_heatmap(viewer, points, frame, with_pyramid(frame, 1.0))
    high = image.contrast_limits[1]
    show_heatmap(viewer, points, frame, with_pyramid(frame, 0.4))
    assert image.contrast_limits[1] > 3 * high
    image.contrast_limits = (0.0, high / 20)
    for std in (1.0, 0.4):
        show_heatmap(viewer, points, frame, with_pyramid(frame, std))
        np.testing.assert_allclose(image.contrast_limits, (0.0, high / 20))
    other = with_pyramid(frame, 1.0)
    other = replace(other, choice=replace(other.choice, quantity="log_density"))
    show_heatmap(viewer, points, frame, other)
    assert image.contrast_limits[1] > high / 20


def test_limits_of_a_log_density_follow_its_differences(viewer: ViewerModel) -> None:
    """They have either sign, so that a ratio says nothing."""
    points = viewer.layers["L"]
    _, frame, _ = modelled_points(points, (0, 1))
    heatmap_ = drawn(frame, random_mixture(2, 2))
    log = replace(heatmap_, choice=replace(heatmap_.choice, quantity="log_density"))
    image = show_heatmap(viewer, points, frame, replace(log, values=log.values * 0.0 + 2.5))
    brighter = replace(
        log, values=np.linspace(2.8, 12.0, log.values.size).reshape(log.values.shape)
    )
    show_heatmap(viewer, points, frame, brighter)
    np.testing.assert_allclose(image.contrast_limits, (2.8, 12.0), rtol=1e-5)
    show_heatmap(viewer, points, frame, replace(brighter, values=brighter.values - 7.9))
    np.testing.assert_allclose(image.contrast_limits, (-5.1, 4.1), rtol=1e-5)
    show_heatmap(viewer, points, frame, replace(brighter, values=brighter.values - 8.1))
    np.testing.assert_allclose(image.contrast_limits, (-5.1, 4.1), rtol=1e-5)


def test_a_copy_of_what_was_made_is_the_users(viewer: ViewerModel) -> None:
    points = viewer.layers["L"]
    _, shapes = show(viewer, random_mixture(3, 2))
    kept = Shapes.create(*shapes.as_layer_data_tuple())
    kept.name = "kept"
    viewer.layers.insert(0, kept)  # below the one that it is a copy of
    show(viewer, random_mixture(5, 2))
    assert (shapes.nshapes, kept.nshapes) == (5, 3)
    viewer.layers.remove(shapes)
    show(viewer, random_mixture(4, 2))
    assert (kept.nshapes, components_layer(viewer, points).nshapes) == (3, 4)
    remove_made(viewer, points)
    assert [layer.name for layer in viewer.layers] == ["kept", "microscope", "L"]


def test_flat_layers_change_while_napari_shows_them_in_space(viewer: ViewerModel) -> None:
    """napari itself fails to."""
    points = viewer.layers["L"]
    _, frame, _ = modelled_points(points, (0, 1))
    first = replace(drawn(frame, random_mixture(2, 2)), contours=lines_of(0))
    _, shapes = show(viewer, random_mixture(3, 2))
    show_contours(viewer, points, frame, first)
    shapes.name, shapes.opacity = "mine", 0.5
    order = [layer.name for layer in viewer.layers]
    viewer.dims.ndisplay = 3
    _, shown = show(viewer, random_mixture(5, 2))
    show_contours(viewer, points, frame, replace(first, contours=lines_of(0, 0)))
    assert [layer.name for layer in viewer.layers] == order
    assert (shown.name, shown.opacity, shown.nshapes) == ("mine", 0.5, 5)
    assert len(shown.features) == 5
    assert viewer.layers["L contours"].nshapes == 6
    viewer.dims.ndisplay = 2
    assert show(viewer, random_mixture(2, 2))[1] is shown
    assert shown.nshapes == 2


def lines_of(*groups: int) -> tuple[tuple[int, float, np.ndarray], ...]:
    square = np.array([[1.0, 1.0], [1.0, 4.0], [4.0, 4.0], [1.0, 1.0]])
    return tuple(
        (group, percent, square + group + n)
        for group in groups
        for n, percent in enumerate((50.0, 80.0, 95.0))
    )


def test_contours_are_paths_between_points_and_ellipses(viewer: ViewerModel) -> None:
    points = viewer.layers["L"]
    points.scale = (2.0, 0.5)
    _, frame, _ = modelled_points(points, (0, 1))
    show(viewer, random_mixture(2, 2))
    heatmap_ = replace(drawn(frame, random_mixture(2, 2)), contours=lines_of(0))
    show_contours(viewer, points, frame, heatmap_)
    names = [layer.name for layer in viewer.layers]
    assert names == ["microscope", "L density", "L", "L contours", "L components"]
    layer = viewer.layers["L contours"]
    assert layer.shape_type == ["path"] * 3
    assert list(layer.features["holds [%]"]) == [50.0, 80.0, 95.0]
    assert len({tuple(colour) for colour in layer.edge_color}) == 3
    assert layer.units == points.units
    for drawn_line, (_, _, line) in zip(layer.data, heatmap_.contours, strict=True):
        for vertex, place in zip(drawn_line, line, strict=True):
            world = points.data_to_world(place / points.scale)
            np.testing.assert_allclose(layer.data_to_world(vertex), world, rtol=1e-6)

    # A legend, in the colours of the lines.
    assert list(layer.text.values) == ["50%", "80%", "95%"]
    np.testing.assert_array_equal(layer.text.color(layer.features), layer.edge_color)

    layer.visible, layer.name = False, "mine"
    fewer = replace(heatmap_, contours=lines_of(0)[:2])
    show_contours(viewer, points, frame, fewer)
    assert viewer.layers["mine"] is layer
    assert (layer.visible, layer.nshapes, len(layer.features)) == (False, 2, 2)
    show_contours(viewer, points, frame, replace(heatmap_, contours=()))
    assert layer not in viewer.layers
    show_contours(viewer, points, frame, replace(heatmap_, contours=()))


def test_of_many_contours_the_longest_have_the_legend(viewer: ViewerModel) -> None:
    points = viewer.layers["L"]
    _, frame, _ = modelled_points(points, (0, 1))
    lines = [(0, percent, line * (1 + n)) for n in range(3) for _, percent, line in lines_of(0)]
    shown = replace(drawn(frame, random_mixture(2, 2)), contours=tuple(lines))
    show_contours(viewer, points, frame, shown)
    layer = viewer.layers["L contours"]
    assert list(layer.text.values) == [""] * 6 + ["50%", "80%", "95%"]
    show_contours(viewer, points, frame, replace(shown, contours=tuple(lines[:4])))
    assert list(layer.text.values) == ["", "80%", "95%", "50%"]


def test_contours_of_groups_are_in_their_slices(in_time: tuple[ViewerModel, Points]) -> None:
    viewer, points = in_time
    _, frame, _ = modelled_points(points, (1, 2), 0)
    shown = replace(drawn(frame, random_mixture(2, 2)), contours=lines_of(0, 2))
    show_contours(viewer, points, frame, shown)
    layer = viewer.layers["L contours"]
    for line, (group, _, _) in zip(layer.data, shown.contours, strict=True):
        world = points.data_to_world(((2.0, 4.0, 8.0)[group], 0.0, 0.0))
        for vertex in line:
            assert layer.data_to_world(vertex)[0] == pytest.approx(world[0])


def test_all_that_was_made_is_found_and_removed(viewer: ViewerModel) -> None:
    points = viewer.layers["L"]
    other = viewer.add_points(DATA_3D, name="other")
    _, frame, _ = modelled_points(points, (0, 1))
    assert components_layer(viewer, points) is None
    _, shapes = show(viewer, random_mixture(2, 2))
    show_contours(
        viewer, points, frame, replace(drawn(frame, random_mixture(2, 2)), contours=lines_of(0))
    )
    _, deep, _ = modelled_points(other, (0, 1, 2))
    show_components(viewer, other, deep, drawing(model_of(random_mixture(2, 3)), deep, 95.0, MOST))
    shapes.name = "renamed"
    assert components_layer(viewer, points) is shapes
    assert components_layer(viewer, other) is viewer.layers["other components"]
    remove_made(viewer, points)
    left = ["microscope", "L", "other", "other ellipsoids", "other components"]
    assert [layer.name for layer in viewer.layers] == left
    assert components_layer(viewer, points) is None
    remove_made(viewer, other)
    assert [layer.name for layer in viewer.layers] == left[:3]


@pytest.mark.parametrize(
    ("unit", "names"),
    [
        ("nm", {"mean_y [nm]", "std_major [nm]", "area [nm²]"}),
        ("pixel", {"mean_y", "std_major", "area"}),
        (("um", "nm"), {"mean_y", "std_major", "area"}),
    ],
)
def test_columns_have_units_where_there_are(unit: str | tuple[str, ...], names: set[str]) -> None:
    points = Points(np.array([[0.0, 0.0], [10.0, 10.0]]), units=unit)
    _, frame, _ = modelled_points(points, (0, 1))
    features = drawing(model_of(random_mixture(2, 2)), frame, 95.0, MOST).features
    assert names <= set(features)
    assert {"weight", "expected_points"} <= set(features)
