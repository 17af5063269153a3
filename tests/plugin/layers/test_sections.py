"""Ellipsoids in 2D: an ellipse where the slice cuts one; in 3D the ellipsoids alone."""

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Points, Shapes
from oracles import random_mixture
from plugin.fakes import model_of

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.plugin.layers.components import drawing, show_components
from napari_sparse_gmm.plugin.points.coordinates import modelled_points

FIELD = np.array([[0.0, 0.0, 0.0], [40.0, 100.0, 100.0]])
MEANS = np.array([[10.2, 30.0, 30.0], [30.0, 80.0, 60.0]])
STD = np.array([4.0, 2.0])
RADII = coverage_to_radius(95.0, 3) * STD


def balls() -> GaussianMixture:
    return GaussianMixture([0.5, 0.5], MEANS, STD[:, None, None] ** 2 * np.eye(3))


def shown(viewer: ViewerModel, mixture: GaussianMixture, **pose: Any) -> Shapes:
    if "L" not in viewer.layers:
        viewer.add_points(FIELD, name="L", **pose)
    points = viewer.layers["L"]
    _, frame, _ = modelled_points(points, (0, 1, 2))
    return show_components(viewer, points, frame, drawing(model_of(mixture), frame, 95.0, 99))


def in_slice(viewer: ViewerModel, layer: Shapes, axis: int = 0) -> dict[int, np.ndarray]:
    """The ellipses in the slice that is shown, by their number."""
    place = np.round(layer.world_to_data(viewer.dims.point)[axis])
    return {
        k: corners
        for k, corners in enumerate(np.array(layer.data))
        if (corners[:, axis] == place).all()
    }


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_slice_shows_the_sections_of_what_it_cuts(axis: int) -> None:
    viewer = ViewerModel()
    layer = shown(viewer, balls())
    viewer.dims.order = (axis, *(other for other in range(3) if other != axis))
    for place in np.arange(1.0, 100.0, 3.0):
        viewer.dims.set_point(axis, place)
        found = in_slice(viewer, layer, axis)
        place = np.clip(place, *FIELD[:, axis])  # which the slider does
        offsets = place - MEANS[:, axis]
        assert list(found) == list(np.flatnonzero(np.abs(offsets) < RADII))
        for k, corners in found.items():
            np.testing.assert_allclose(
                np.delete(corners.mean(0), axis), np.delete(MEANS[k], axis), rtol=1e-5
            )
            radius = 0.5 * np.linalg.norm(corners[1] - corners[0])
            assert radius == pytest.approx(np.sqrt(RADII[k] ** 2 - offsets[k] ** 2), rel=1e-4)


def test_slices_are_those_of_the_points_in_any_pose() -> None:
    """With thick slices, mirrored, moved and turned."""
    pose = {"scale": (-4.0, 1.0, 0.5), "translate": (100.0, 7.0, 8.0), "units": "um"}
    viewer = ViewerModel()
    points = viewer.add_points(FIELD / np.abs(pose["scale"]), name="L", **pose)
    mixture = random_mixture(5, 3, field=30.0)
    u = np.array([-20.0, 50.0, 50.0])
    mixture = GaussianMixture(mixture.weights, mixture.means + u, mixture.covariances)
    layer = shown(viewer, mixture)
    radius = coverage_to_radius(95.0, 3)
    seen = set()
    for place in range(-2, 12):
        viewer.dims.set_point(0, points.data_to_world((place, 0, 0))[0])
        plane = -4.0 * np.round(points.world_to_data(viewer.dims.point)[0])
        for k, corners in in_slice(viewer, layer).items():
            a, b, c, _ = np.array([points.world_to_data(layer.data_to_world(x)) for x in corners])
            on_it = (a + c) / 2 + 0.6 * (b - a) / 2 + 0.8 * (c - b) / 2
            away = on_it * points.scale - mixture.means[k]
            if abs(plane - mixture.means[k, 0]) < 0.9 * radius * np.sqrt(
                mixture.covariances[k, 0, 0]
            ):
                square = away @ np.linalg.inv(mixture.covariances[k]) @ away
                assert square == pytest.approx(radius**2, rel=1e-3)
            seen.add(k)
    assert seen == set(range(5))


def test_what_belongs_to_the_ellipses_stays_with_them() -> None:
    viewer = ViewerModel()
    layer = shown(viewer, balls())
    layer.edge_color = ["red", "cyan"]
    layer.selected_data = {1}
    features = layer.features.copy()
    viewer.dims.set_point(0, 28.0)
    assert list(in_slice(viewer, layer)) == [1]
    assert layer.selected_data == {1}
    assert layer.features.equals(features)
    np.testing.assert_allclose(layer.edge_color, [[1, 0, 0, 1], [0, 1, 1, 1]])


def test_the_next_fit_is_in_the_slice_that_is_shown() -> None:
    viewer = ViewerModel()
    shown(viewer, balls())
    viewer.dims.set_point(0, 28.0)
    lower = GaussianMixture([1.0], [[31.0, 80.0, 60.0]], [4.0 * np.eye(3)])
    layer = shown(viewer, lower)
    assert list(in_slice(viewer, layer)) == [0]
    viewer.dims.set_point(0, 33.0)
    assert list(in_slice(viewer, layer)) == [0]


def test_ellipses_that_the_user_deletes_are_gone() -> None:
    viewer = ViewerModel()
    layer = shown(viewer, balls())
    layer.selected_data = {0}
    layer.remove_selected()
    viewer.dims.set_point(0, 10.0)
    assert layer.nshapes == 1


def test_a_copy_follows_the_slice() -> None:
    viewer = ViewerModel()
    layer = shown(viewer, balls())
    copy = viewer.add_layer(Shapes.create(*layer.as_layer_data_tuple()))
    viewer.dims.set_point(0, 28.0)
    assert list(in_slice(viewer, copy)) == list(in_slice(viewer, layer)) == [1]


def visible(viewer: ViewerModel) -> tuple[bool, bool]:
    """Ellipses, ellipsoids."""
    return viewer.layers["L components"].visible, viewer.layers["L ellipsoids"].visible


def test_ellipses_are_for_2d_and_ellipsoids_for_3d() -> None:
    viewer = ViewerModel()
    shown(viewer, balls())
    assert visible(viewer) == (True, False)
    viewer.dims.ndisplay = 3
    assert visible(viewer) == (False, True)
    shown(viewer, random_mixture(3, 3))
    assert visible(viewer) == (False, True)
    viewer.dims.ndisplay = 2
    assert visible(viewer) == (True, False)


def test_what_the_user_hides_or_shows_stays_so_in_its_view() -> None:
    viewer = ViewerModel()
    shown(viewer, balls())
    viewer.layers["L components"].visible = False
    viewer.dims.ndisplay = 3
    viewer.layers["L ellipsoids"].visible = False
    shown(viewer, balls())
    for n_displayed in (2, 3):
        viewer.dims.ndisplay = n_displayed
        assert visible(viewer) == (False, False)
    viewer.layers["L components"].visible = True  # for once
    shown(viewer, balls())
    assert visible(viewer) == (True, False)


def test_the_slider_has_the_slices_that_it_had() -> None:
    viewer = ViewerModel()
    rng = np.random.default_rng(0)
    data = np.column_stack([rng.integers(0, 20, 300), rng.uniform(0, 50, (300, 2))])
    points: Points = viewer.add_points(data, name="L", scale=(2.0, 0.5, 0.5))
    before = viewer.dims.range[0], viewer.dims.nsteps[0]
    layer = shown(viewer, GaussianMixture([1.0], [[30.0, 9.0, 9.0]], [50.0 * np.eye(3)]))
    assert (viewer.dims.range[0], viewer.dims.nsteps[0]) == before
    assert layer.ndim == points.ndim


def test_flat_components_are_seen_in_both_views() -> None:
    viewer = ViewerModel()
    points = viewer.add_points(FIELD[:, 1:], name="L")
    _, frame, _ = modelled_points(points, (0, 1))
    mixture = random_mixture(2, 2)
    show_components(viewer, points, frame, drawing(model_of(mixture), frame, 95.0, 99))
    viewer.dims.ndisplay = 3
    assert viewer.layers["L components"].visible
