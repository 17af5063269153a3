"""napari's own transforms are the oracle: a place must be the same world point in all layers."""

from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Image, Points, Shapes

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.shapes.grid import Grid

PIXELS = [(0, 0), (3, 1), (7, 11), (2.5, 4.5)]


def image_on(points: Points, axes: tuple[int, ...]) -> tuple[Image, Grid, np.ndarray]:
    u, frame, _ = modelled_points(points, axes)
    grid = Grid.covering(u.min(0), u.max(0), longest_side=16)
    image = Image(frame.layout.image(np.zeros((1, *grid.shape))), **frame.image_placement(grid))
    return image, grid, u


@pytest.mark.parametrize("pixel", PIXELS, ids=str)
def test_pixel_lies_where_its_point_lies(posed_points: Points, pixel: tuple[float, float]) -> None:
    image, grid, _ = image_on(posed_points, (0, 1))
    data = grid.coordinates(pixel) / posed_points.scale
    expected = posed_points.data_to_world(data)
    np.testing.assert_allclose(image.data_to_world(pixel), expected, rtol=1e-9, atol=1e-18)


def test_image_covers_every_point(posed_points: Points) -> None:
    image, grid, _ = image_on(posed_points, (0, 1))
    for point in posed_points.data:
        pixel = np.array(image.world_to_data(posed_points.data_to_world(point)))
        assert (pixel > -0.5).all()
        assert (pixel < np.array(grid.shape) - 0.5).all()


def test_shapes_lie_where_their_vertices_lie(posed_points: Points) -> None:
    u, frame, _ = modelled_points(posed_points, (0, 1))
    vertices = frame.shape_data(u[:4])
    shapes = Shapes([vertices], shape_type="polygon", **frame.shape_placement())
    np.testing.assert_allclose(vertices, posed_points.data[:4])
    for vertex, point in zip(vertices, posed_points.data, strict=False):
        np.testing.assert_allclose(
            shapes.data_to_world(vertex), posed_points.data_to_world(point), rtol=1e-9, atol=1e-18
        )


def test_units_and_labels_are_passed_on() -> None:
    points = Points(np.eye(3), units=("s", "nm", "um"), axis_labels=("t", "y", "x"))
    image, *_ = image_on(points, (1, 2))
    assert image.units == points.units[1:]
    assert image.axis_labels == ("y", "x")
    _, frame, _ = modelled_points(points, (1, 2))
    assert frame.unit == ""  # nanometres and micrometres
    assert (frame.names, frame.pooled) == (("y", "x"), ("t",))


def test_unit_is_abbreviated() -> None:
    _, frame, _ = modelled_points(Points(np.eye(2), units="micrometer"), (0, 1))
    assert frame.unit == "µm"


def test_leading_axes_are_dropped_and_repeat() -> None:
    data = np.random.default_rng(1).uniform(0, 10, (20, 4))
    points = Points(data, scale=(5, 4, 3, 2), translate=(1, 2, 3, 4))
    image, grid, u = image_on(points, (2, 3))
    assert image.ndim == 2
    np.testing.assert_allclose(u, data[:, 2:] * (3, 2))
    world = points.data_to_world([7.0, 7.0, *(grid.coordinates((2, 5)) / (3, 2))])
    np.testing.assert_allclose(image.data_to_world((2, 5)), world[2:])


def test_hidden_axis_in_between_is_one_pixel_as_wide_as_the_points() -> None:
    data = np.random.default_rng(1).uniform(-4, 10, (30, 3))
    points = Points(data, scale=(3, 0.2, 2), translate=(0, 50, 0))
    image, grid, _ = image_on(points, (0, 2))
    assert image.data.shape == (grid.shape[0], 1, grid.shape[1])
    _, frame, _ = modelled_points(points, (0, 2))
    for point in data:
        world = points.data_to_world(point)
        assert round(image.world_to_data(world)[1]) == 0
        # napari shows a shape in the slices that are less than half a unit away.
        shapes = Shapes(frame.shape_data(np.zeros((1, 4, 2))), **frame.shape_placement())
        assert abs(shapes.world_to_data(world)[1] - shapes.data[0][0, 1]) < 0.5


def test_hidden_axis_without_extent() -> None:
    data = np.array([[0.0, 5.0, 0.0], [1.0, 5.0, 3.0]])
    image, *_ = image_on(Points(data, scale=(1, 2, 1)), (0, 2))
    assert image.scale[1] == 2
    np.testing.assert_allclose(image.data_to_world((0, 0, 0))[1], 10)


@pytest.mark.parametrize("offset", [0.0, 1e9], ids=["near", "far"])
def test_shapes_survive_single_precision(offset: float) -> None:
    data = np.random.default_rng(2).uniform(0, 100, (10, 2)) + offset
    points = Points(data, scale=(2, 2))
    u, frame, _ = modelled_points(points, (0, 1))
    shapes = Shapes(frame.shape_data(u), shape_type="polygon", **frame.shape_placement())
    stored = shapes.data[0]
    assert stored.dtype == np.float32
    world = [shapes.data_to_world(vertex) for vertex in stored]
    np.testing.assert_allclose(world, data * 2, atol=1e-4, rtol=0)


def test_hidden_points_are_left_out() -> None:
    points = Points(np.arange(10.0).reshape(5, 2), shown=[True, False, True, True, False])
    u, *_ = modelled_points(points, (0, 1))
    np.testing.assert_array_equal(u, [[0, 1], [4, 5], [6, 7]])


def test_integer_coordinates() -> None:
    u, *_ = modelled_points(Points(np.arange(10).reshape(5, 2), scale=(0.5, 0.25)), (0, 1))
    assert u.dtype == np.float64
    np.testing.assert_array_equal(u[1], [1.0, 0.75])


# napari's thumbnail of such points
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_coordinates_that_are_no_numbers_are_counted(bad: float) -> None:
    data = np.zeros((5, 2))
    data[1, 0] = data[3, 1] = bad
    with pytest.raises(InputError, match=r"2 of the 5 points of layer 'L'.*NaN or infinite"):
        modelled_points(Points(data, name="L"), (0, 1))


def test_no_points() -> None:
    with pytest.raises(InputError, match="Layer 'L' shows no points"):
        modelled_points(Points(np.empty((0, 2)), name="L"), (0, 1))


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")  # napari's view of it
def test_rotation_out_of_the_modelled_axes_is_refused() -> None:
    z_into_y = [[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]
    points = Points(np.random.default_rng(0).uniform(size=(9, 3)), rotate=z_into_y, name="L")
    with pytest.raises(InputError, match=r"rotated or sheared.*choose all of the axes"):
        modelled_points(points, (1, 2))
    modelled_points(points, (0, 1, 2))


def test_groups_of_other_values_are_others() -> None:
    rng = np.random.default_rng(0)

    def cloud(values: list[float]) -> Frame:
        data = np.column_stack([np.repeat(values, 20), rng.uniform(0, 9, (60, 2))])
        return modelled_points(Points(data), (1, 2), each=0)[1]

    first = cloud([0.0, 1.0, 3.0])
    same = replace(first, stack=replace(first.stack))
    assert first.same_as(same)
    assert not first.same_as(replace(first, stack=cloud([0.0, 2.0, 3.0]).stack))
    assert not first.same_as(replace(first, stack=None))
    assert not first.same_as(replace(first, translate=first.translate + 1.0))
