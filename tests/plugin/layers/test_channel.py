"""What is made from points of a colour has that colour."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Points, Shapes
from oracles import random_mixture
from plugin.fakes import model_of

from napari_sparse_gmm.engines import Assignment
from napari_sparse_gmm.plugin.layers.components import drawing, show_components
from napari_sparse_gmm.plugin.layers.heatmap import show_heatmap
from napari_sparse_gmm.plugin.layers.point_colours import show_assignment
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.tasks.values import Heatmap, HeatmapChoice
from napari_sparse_gmm.shapes.grid import heatmap

DATA = np.random.default_rng(0).uniform(0, 10, (50, 2))


def show(viewer: ViewerModel, points: Points) -> tuple[Image, Shapes]:
    _, frame, _ = modelled_points(points, (0, 1))
    choice = HeatmapChoice("density", 16, None)
    grid = choice.grid(frame.modelled_box, 1)
    mixture = random_mixture(3, 2)
    values = heatmap(mixture, grid, "density")[None]
    image = show_heatmap(viewer, points, frame, Heatmap(values, grid, choice))
    shown = drawing(model_of(mixture), frame, 95.0, 99)
    return image, show_components(viewer, points, frame, shown)


def hue_of(colour: np.ndarray) -> np.ndarray:
    return (colour - colour.min()) / np.ptp(colour)


@pytest.mark.parametrize("colour", ["cyan", "magenta", "orange", "#3050ff"])
def test_both_have_the_colour_of_the_points(colour: str) -> None:
    viewer = ViewerModel()
    points = viewer.add_points(DATA, name="L", face_color=colour)
    image, shapes = show(viewer, points)
    of_points = points.face_color[0, :3]
    low, high = image.colormap.map(np.array([0.0, 1.0]))
    np.testing.assert_allclose(low, [0, 0, 0, 1])
    np.testing.assert_allclose(high[:3], of_points, atol=1e-6)
    edges = shapes.edge_color[:, :3]
    assert (edges == edges[0]).all()
    np.testing.assert_allclose(hue_of(edges[0]), hue_of(of_points), atol=0.02)
    assert edges[0].sum() > of_points.sum()  # to be seen on the heatmap


@pytest.mark.parametrize("colours", ["white", "grey", ["red", "cyan"] * 25])
def test_points_without_a_colour_of_their_own(colours: str | list[str]) -> None:
    viewer = ViewerModel()
    points = viewer.add_points(DATA, name="L", face_color=colours)
    image, shapes = show(viewer, points)
    assert image.colormap.name == "inferno"
    np.testing.assert_allclose(shapes.edge_color, np.tile([0, 1, 0, 1], (3, 1)))


def test_a_channel_keeps_its_colour_when_its_points_are_coloured_by_component() -> None:
    viewer = ViewerModel()
    points = viewer.add_points(DATA, name="L", face_color="cyan")
    found = Assignment(np.arange(50) % 3, np.ones(50), np.zeros(50))
    parts, groups = model_of(random_mixture(3, 2)).parts, np.zeros(50, dtype=np.intp)
    show_assignment(points, np.ones(50, dtype=bool), found, parts, groups)
    image, _ = show(viewer, points)
    np.testing.assert_allclose(image.colormap.map(np.array([1.0]))[0], [0, 1, 1, 1], atol=1e-6)


def test_what_the_user_has_chosen_stays() -> None:
    viewer = ViewerModel()
    points = viewer.add_points(DATA, name="L", face_color="cyan")
    image, shapes = show(viewer, points)
    image.colormap, shapes.edge_color = "viridis", "red"
    show(viewer, points)
    assert image.colormap.name == "viridis"
    np.testing.assert_allclose(shapes.edge_color, np.tile([1, 0, 0, 1], (3, 1)))
