"""Points under which nobody would see a heatmap are hidden, once."""

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Points
from napari.utils.notifications import notification_manager
from oracles import random_mixture
from plugin.fakes import model_of

from napari_sparse_gmm.engines import Assignment
from napari_sparse_gmm.plugin.layers.heatmap import show_heatmap
from napari_sparse_gmm.plugin.layers.owned import remove_made
from napari_sparse_gmm.plugin.layers.point_colours import show_assignment
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.tasks.values import Heatmap, HeatmapChoice
from napari_sparse_gmm.shapes.grid import heatmap

MANY = np.random.default_rng(0).uniform(0, 1000, (200_000, 2))


def with_heatmap(data: np.ndarray, **pose: Any) -> tuple[ViewerModel, Points]:
    viewer = ViewerModel()
    points = viewer.add_points(data, name="L", **pose)
    show(viewer, points)
    return viewer, points


def show(viewer: ViewerModel, points: Points) -> None:
    _, frame, _ = modelled_points(points, (0, 1))
    choice = HeatmapChoice("density", 16, None)
    grid = choice.grid(frame.modelled_box, 1)
    values = heatmap(random_mixture(2, 2), grid, "density")[None]
    show_heatmap(viewer, points, frame, Heatmap(values, grid, choice))


@pytest.mark.parametrize(
    ("data", "size", "visible"),
    [
        pytest.param(MANY, 1.0, False, id="many"),
        pytest.param(MANY[:2500], 5.0, True, id="few"),
        pytest.param(MANY[:2500], 50.0, True, id="few large discs"),
        pytest.param(MANY[:40_000], 1.0, True, id="tiny discs"),
        pytest.param(MANY[:40_000], 9.0, False, id="large discs"),
    ],
)
def test_points_that_cover_the_heatmap_are_hidden(
    data: np.ndarray, size: float, visible: bool
) -> None:
    before = len(notification_manager.records)
    _, points = with_heatmap(data, size=size)
    assert points.visible is visible
    said = [record.message for record in list(notification_manager.records)[before:]]
    assert len(said) == (not visible)
    assert visible or ("'L'" in said[0] and "hidden" in said[0])


def test_discs_are_measured_in_the_scale_of_the_layer() -> None:
    _, points = with_heatmap(MANY[:40_000] * 1e9, size=9e9, scale=(1e-9, 1e-9))
    assert not points.visible


def test_what_the_user_shows_again_stays() -> None:
    viewer, points = with_heatmap(MANY)
    points.visible = True
    show(viewer, points)
    viewer.layers.remove("L density")
    show(viewer, points)
    assert points.visible


def test_points_come_back_with_what_is_taken_away() -> None:
    viewer, points = with_heatmap(MANY)
    remove_made(viewer, points)
    assert points.visible
    show(viewer, points)
    assert not points.visible
    points.visible = True
    points.visible = False  # by the user, of points that had not been hidden here
    other = viewer.add_points(MANY[:50], name="other", visible=False)
    show(viewer, other)
    remove_made(viewer, other)
    assert not other.visible


def test_colours_by_component_are_to_be_seen() -> None:
    _, points = with_heatmap(MANY)
    n = len(MANY)
    found = Assignment(np.zeros(n, dtype=np.intp), np.ones(n), np.zeros(n))
    parts, groups = model_of(random_mixture(1, 2)).parts, np.zeros(n, dtype=np.intp)
    show_assignment(points, np.ones(n, dtype=bool), found, parts, groups)
    assert points.visible
