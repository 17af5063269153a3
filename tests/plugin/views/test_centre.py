"""The way to a component, in a window: it is in the middle of the view, and to be seen."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from plugin.views.drawn import BY_POINTS, MEANS, STD, centre, ellipses, mixture

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.plugin.views.centre import go_on, go_to

RADIUS = np.sqrt(5.9915), np.sqrt(7.8147)  # that holds 95% (chi squared) in 2D, in 3D


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    return make_napari_viewer()


def single(std: float, n_dimensions: int = 2) -> GaussianMixture:
    mean = [[40.0, 50.0, 60.0][:n_dimensions]]
    return GaussianMixture([1.0], mean, [std**2 * np.eye(n_dimensions)])


def on_screen(viewer: Any, width: float) -> float:
    """A width of the world, as a share of the view."""
    return width * viewer.scene.camera.zoom / min(viewer.canvas.size)


def test_it_goes_to_each_in_its_place(viewer: Any) -> None:
    viewer.add_image(np.zeros((9, 9)), units="um")  # the viewer shows micrometres
    pose = {"units": "nm", "scale": (3.0, 0.5), "rotate": 30.0, "translate": (100.0, -70.0)}
    _, layer = ellipses(viewer, mixture(), **pose)
    turn = np.deg2rad(30.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    in_units = {str(unit) for unit in viewer.layers.extent.units}
    assert len(in_units) == 1
    shrinks = 1e-3 if in_units == {"micrometer"} else 1.0
    for index in range(4):
        go_to(viewer, layer, index)
        world = rotation @ MEANS[index] + (100.0, -70.0)
        np.testing.assert_allclose(centre(viewer), world * shrinks, rtol=1e-4)
        assert layer.selected_data == {index}
        assert 0.02 < on_screen(viewer, 2 * RADIUS[0] * STD[index] * shrinks) < 1.0


@pytest.mark.parametrize("n_dimensions", [2, 3])
@pytest.mark.parametrize("ndisplay", [2, 3])
def test_a_tiny_component_is_seen_and_a_huge_one_is_seen_whole(
    viewer: Any, n_dimensions: int, ndisplay: int
) -> None:
    radius = RADIUS[n_dimensions - 2]
    _, layer = ellipses(viewer, single(0.006, n_dimensions))
    viewer.dims.ndisplay = ndisplay
    go_to(viewer, layer, 0)
    assert 0.1 < on_screen(viewer, 2 * radius * 0.006) < 0.9
    for zoom in (1e-3, 1e9):
        viewer.scene.camera.zoom = zoom
        go_to(viewer, layer, 0)
        assert 0.1 < on_screen(viewer, 2 * radius * 0.006) < 0.9


def test_the_zoom_stays_where_a_component_is_to_be_seen(viewer: Any) -> None:
    _, layer = ellipses(viewer, single(2.0))
    for share in (0.1, 0.5):
        viewer.scene.camera.zoom = share * min(viewer.canvas.size) / (4.0 * RADIUS[0])
        before = viewer.scene.camera.zoom
        go_to(viewer, layer, 0)
        assert viewer.scene.camera.zoom == before


def test_it_goes_on_by_falling_points(viewer: Any) -> None:
    _, layer = ellipses(viewer, mixture())
    for expected in [*BY_POINTS, *BY_POINTS]:
        go_on(viewer, layer)
        assert layer.selected_data == {expected}
        np.testing.assert_allclose(centre(viewer), MEANS[expected], rtol=1e-5)
    layer.selected_data = {0}  # by the user: first to what is selected
    for expected in (0, 2, 1):
        go_on(viewer, layer)
        assert layer.selected_data == {expected}
    layer.selected_data = set()
    go_on(viewer, layer)
    assert layer.selected_data == {BY_POINTS[0]}


def test_it_goes_on_from_slice_to_slice(viewer: Any) -> None:
    """Components above each other differ in the slider alone."""
    means = [[10.0, 50.0, 50.0], [90.0, 50.0, 50.0], [50.0, 50.0, 50.0]]
    column = GaussianMixture([0.5, 0.3, 0.2], means, [9.0 * np.eye(3)] * 3)
    _, layer = ellipses(viewer, column, scale=(4.0, 1.0, 1.0))
    for expected in (0, 1, 2, 0):
        go_on(viewer, layer)
        assert layer.selected_data == {expected}
        assert viewer.dims.point[0] == pytest.approx(means[expected][0], abs=2.1)


def test_it_goes_nowhere_where_there_is_nothing(viewer: Any) -> None:
    _, layer = ellipses(viewer, mixture())
    layer.data = []
    before = viewer.scene.camera.center
    go_on(viewer, layer)
    assert viewer.scene.camera.center == before


def test_in_a_stack_of_groups_the_slider_moves(viewer: Any) -> None:
    mixtures = mixture(), mixture(3.0), mixture(6.0)
    pose = {"scale": (0.5, 1.0, 2.0), "translate": (10.0, 0.0, 0.0)}
    _, layer = ellipses(viewer, *mixtures, each=0, **pose)
    assert layer.nshapes == 12
    for index in (7, 2, 10):
        go_to(viewer, layer, index)
        assert viewer.dims.point[0] == pytest.approx(10.0 + 0.5 * (index // 4))
        place = MEANS[index % 4] + 3.0 * (index // 4)
        np.testing.assert_allclose(centre(viewer), place, rtol=1e-4)


def test_of_a_volume_seen_from_outside(viewer: Any) -> None:
    _, layer = ellipses(viewer, mixture(n_dimensions=3), scale=(4.0, 1.0, 0.5))
    means = mixture(n_dimensions=3).means
    go_to(viewer, layer, 1)  # in a slice: the slider goes there
    np.testing.assert_allclose(centre(viewer), means[1, 1:], rtol=1e-4)
    assert viewer.dims.point[0] == pytest.approx(means[1, 0], abs=4.0)
    # and the ellipse is there to be seen
    place = layer.world_to_data(viewer.dims.point)[0]
    assert (np.round(layer.data[1][:, 0]) == np.round(place)).all()
    assert layer.selected_data == {1}
    viewer.dims.ndisplay = 3
    go_to(viewer, layer, 2)
    np.testing.assert_allclose(centre(viewer), means[2], rtol=1e-4)
