"""Edges of ellipses and contours are as wide on the screen at every zoom; no window but in one."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Points, Shapes
from oracles import random_mixture
from plugin.fakes import model_of

from napari_sparse_gmm.io.models import save_model
from napari_sparse_gmm.plugin.layers.components import drawing, show_components
from napari_sparse_gmm.plugin.layers.model_metadata import as_shown
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice

DATA = np.random.default_rng(0).uniform(0, 100, (50, 2))


def shown(viewer: Any, n: int = 3, seed: int = 0, **pose: Any) -> Shapes:
    present = "L" in viewer.layers
    points = viewer.layers["L"] if present else viewer.add_points(DATA, name="L", **pose)
    _, frame, _ = modelled_points(points, (0, 1))
    mixture = random_mixture(n, 2, seed=seed)
    return show_components(viewer, points, frame, drawing(model_of(mixture), frame, 95.0, 99))


def on_screen(layer: Shapes, zoom: float, world_per_unit: float = 1.0) -> set[float]:
    """Widths in pixels after the view was zoomed: napari tells the layer where it draws it."""
    layer.scale_factor = 1 / zoom
    scale = np.abs(layer.scale).mean()
    return {round(w * scale * world_per_unit * zoom, 6) for w in layer.edge_width}


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_edges_are_as_wide_at_every_zoom(scale: float) -> None:
    layer = shown(ViewerModel(), scale=(3 * scale, 0.5 * scale))
    field = 100 * 3 * scale
    assert layer.edge_width[0] * 1.75 * scale == pytest.approx(2 * field / 700, rel=0.05)
    for zoom in (1.3 / scale, 30.0 / scale, 0.2 / scale):
        assert on_screen(layer, zoom) == {2.0}


def test_a_little_zoom_changes_nothing() -> None:
    """Two thousand take a while."""
    layer = shown(ViewerModel())
    layer.scale_factor = 0.3
    before = layer.edge_width
    layer.scale_factor = 0.33
    assert layer.edge_width == before


def test_the_units_of_the_viewer_count() -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((2, 2)), units="um")
    layer = shown(viewer, units="nm")
    in_world = {"micrometer": 1e-3, "nanometer": 1.0}[str(viewer.layers.extent.units[0])]
    assert on_screen(layer, 0.7 / in_world, in_world) == {2.0}


def test_the_next_fit_keeps_the_width() -> None:
    viewer = ViewerModel()
    layer = shown(viewer)
    layer.scale_factor = 0.01
    assert shown(viewer, 5, seed=1) is layer
    assert layer.edge_width == [0.02] * 5
    assert on_screen(layer, 20.0) == {2.0}


def test_a_width_of_the_users_own_stays() -> None:
    viewer = ViewerModel()
    layer = shown(viewer)
    layer.scale_factor = 0.01
    layer.selected_data = {1}
    layer.current_edge_width = 7.0
    layer.scale_factor = 0.02
    assert layer.edge_width == [0.04, 7.0, 0.04]
    layer.edge_width = 7.0
    shown(viewer, 4, seed=1)
    layer.scale_factor = 0.5
    assert layer.edge_width == [7.0] * 4


def test_a_copy_follows_too() -> None:
    viewer = ViewerModel()
    layer = shown(viewer)
    copy = viewer.add_layer(Shapes.create(*layer.as_layer_data_tuple()))
    assert on_screen(copy, 20.0) == {2.0}
    assert on_screen(layer, 5.0) == {2.0}
    assert on_screen(copy, 20.0) == {2.0}


def test_they_follow_while_a_flat_layer_is_seen_in_space() -> None:
    viewer = ViewerModel()
    layer = shown(viewer)
    viewer.dims.ndisplay = 3
    assert on_screen(layer, 20.0) == {2.0}
    viewer.dims.ndisplay = 2
    assert on_screen(layer, 50.0) == {2.0}


def test_of_a_model_that_was_opened_and_in_a_window(
    make_napari_viewer: Callable[..., Any], tmp_path: Any
) -> None:
    viewer = make_napari_viewer()
    points = Points(DATA, name="L")
    _, frame, _ = modelled_points(points, (0, 1))
    choice = HeatmapChoice("density", 16, None)
    path = tmp_path / "m.gmm.json"
    save_model(path, as_shown(model_of(random_mixture(3, 2), frame=frame), choice, 95.0))
    viewer.open(path, plugin="napari-sparse-gmm")
    (layer,) = (layer for layer in viewer.layers if isinstance(layer, Shapes))
    for zoom in (3.0, 40.0):
        viewer.scene.camera.zoom = zoom
        viewer.screenshot(flash=False)
        assert layer.edge_width == pytest.approx([2.0 / zoom] * 3)


def test_a_viewer_that_is_gone_is_not_kept() -> None:
    viewer = ViewerModel()
    layer = shown(viewer)
    gone = weakref.ref(viewer.layers)
    del viewer
    gc.collect()
    assert gone() is None
    layer.scale_factor = 0.01  # and nothing happens
