"""Which points are meant: against where napari itself draws them on its canvas."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Points
from pytestqt.qtbot import QtBot

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin.points.selection import Use, in_view, used

# Canvas pixels from its border; closer, a point may be drawn on either side.
_MARGIN = 0.5

POSES: dict[str, dict[str, Any]] = {
    "plain": {},
    "anisotropic": {"scale": (3.0, 0.5)},
    "rotated": {"scale": (3.0, 0.5), "rotate": 30.0, "translate": (9.0, 8.0)},
    "sheared": {"scale": (1.0, 2.0), "shear": [0.4], "rotate": -50.0},
    "in nm beside um": {"units": "nm", "scale": (1000.0, 2000.0), "rotate": 20.0},
    "in um beside nm": {"units": "um", "translate": (5.0, 7.0)},
}


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any], qtbot: QtBot) -> Any:
    viewer = make_napari_viewer(show=True)  # one that was never shown has no size
    shown = viewer.window._qt_viewer.canvas
    qtbot.waitUntil(lambda: tuple(shown.view.rect.size) == tuple(viewer.canvas.size)[::-1])
    return viewer


def on_canvas(viewer: Any, layer: Points) -> tuple[np.ndarray, np.ndarray]:
    """Where napari draws each point in pixels (N, 2), at any place of the sliders; its size."""
    canvas = viewer.window._qt_viewer.canvas
    shown = list(layer._slice_input.displayed)
    transform = canvas.layer_to_visual[layer].node.transforms.get_transform("visual", "canvas")
    placed = transform.map(np.asarray(layer.data)[:, shown[::-1]])
    places = placed[:, :2] / placed[:, 3:]  # x, y in pixels
    return places, np.array(canvas.view.rect.size)


def assert_as_drawn(viewer: Any, layer: Points) -> None:
    places, size = on_canvas(viewer, layer)
    at_border = (np.minimum(np.abs(places), np.abs(places - size)) < _MARGIN).any(axis=1)
    expected = ((places > 0) & (places < size)).all(axis=1)[~at_border]
    assert 0.05 < expected.mean() < 0.95  # or it would tell nothing
    assert at_border.mean() < 0.1
    np.testing.assert_array_equal(in_view(layer, viewer)[~at_border], expected)
    np.testing.assert_array_equal(used(Use.VIEW, layer, viewer)[~at_border], expected)


@pytest.mark.parametrize("pose", POSES)
def test_points_in_the_view_are_those_on_the_canvas(viewer: Any, pose: str) -> None:
    data = np.random.default_rng(0).uniform(-40.0, 60.0, (500, 2))
    if "beside" in pose:
        other = pose.split()[-1]
        viewer.add_image(np.zeros((9, 9)), units=other, scale=(5.0, 5.0))
    layer = viewer.add_points(data, **POSES[pose])
    viewer.reset_view()
    viewer.scene.camera.zoom *= 2.5
    assert_as_drawn(viewer, layer)
    viewer.scene.camera.center = np.array(viewer.scene.camera.center) * 1.3
    viewer.scene.camera.zoom *= 0.7
    assert_as_drawn(viewer, layer)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 2, 1)], ids=str)
def test_of_a_volume_seen_in_slices(viewer: Any, order: tuple[int, ...]) -> None:
    data = np.random.default_rng(1).uniform(0.0, 60.0, (500, 3))
    layer = viewer.add_points(data, scale=(4.0, 1.0, 0.5), translate=(3.0, 2.0, 1.0))
    viewer.dims.order = order
    viewer.reset_view()
    viewer.scene.camera.zoom *= 2.0
    assert_as_drawn(viewer, layer)
    before = in_view(layer, viewer)
    viewer.dims.set_point(order[0], 0.0)
    np.testing.assert_array_equal(in_view(layer, viewer), before)


def test_of_a_layer_with_fewer_axes_than_the_viewer(viewer: Any) -> None:
    viewer.add_image(np.zeros((4, 50, 50)))
    layer = viewer.add_points(np.random.default_rng(2).uniform(0.0, 50.0, (500, 2)))
    viewer.reset_view()
    viewer.scene.camera.zoom *= 2.0
    assert_as_drawn(viewer, layer)


@pytest.mark.parametrize(
    "angles", [(0.0, 0.0, 90.0), (10.0, 35.0, 50.0), (-80.0, 10.0, 120.0)], ids=str
)
@pytest.mark.parametrize("scale", [(1.0, 1.0, 1.0), (4.0, 1.0, 0.5)], ids=str)
def test_of_a_volume_seen_from_any_side(
    viewer: Any, angles: tuple[float, ...], scale: tuple[float, ...]
) -> None:
    data = np.random.default_rng(3).uniform(0.0, 60.0, (500, 3))
    layer = viewer.add_points(data, scale=scale)
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    viewer.scene.camera.angles = angles
    viewer.scene.camera.zoom *= 3.0
    viewer.scene.camera.center = np.array(viewer.scene.camera.center) * (1.0, 1.2, 0.8)
    assert_as_drawn(viewer, layer)


@pytest.fixture
def ten() -> tuple[Points, ViewerModel]:
    viewer = ViewerModel()
    layer = viewer.add_points(np.arange(20.0).reshape(10, 2), name="L")
    return layer, viewer


def test_selected_points(ten: tuple[Points, ViewerModel]) -> None:
    layer, viewer = ten
    layer.selected_data = {7, 2}
    np.testing.assert_array_equal(np.flatnonzero(used(Use.SELECTED, layer, viewer)), [2, 7])
    assert used(Use.ALL, layer, viewer).all()


def test_where_there_is_none(ten: tuple[Points, ViewerModel]) -> None:
    layer, viewer = ten
    with pytest.raises(InputError, match="No point of layer 'L' is selected: select some"):
        used(Use.SELECTED, layer, viewer)
    viewer.scene.camera.center = (1e6, 1e6)
    with pytest.raises(InputError, match="No point of layer 'L' is in the view: move the view"):
        used(Use.VIEW, layer, viewer)
