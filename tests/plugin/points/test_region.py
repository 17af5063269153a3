"""Regions from other layers: a place is inside where napari shows it inside."""

from typing import Any

import numpy as np
import pytest
from dask.array import from_array
from napari.layers import Image, Labels, Points, Shapes
from plugin.conftest import POSES

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin.points.region import outlined, outlines_regions
from napari_sparse_gmm.plugin.points.source import Apart, Around, Source
from napari_sparse_gmm.regions import Hull, Intensity, Prism, over

SQUARE = np.array([[20.0, 20.0], [20.0, 40.0], [40.0, 40.0], [40.0, 20.0]])


def region_of(layer: Any, points: Points, axes: tuple[int, ...] = (0, 1)) -> Any:
    u = points.data[:, list(axes)] * points.scale[list(axes)]
    return over(outlined(layer, points, axes), u)[0]


def of_world(points: Points, place: Any) -> np.ndarray:
    """A place of the world in the model's coordinates, (1, 2)."""
    return (np.asarray(points.world_to_data(place)) * points.scale)[None]


@pytest.mark.parametrize("pose", POSES)
def test_a_drawn_polygon_is_where_it_is_seen(pose: str, posed_points: Points) -> None:
    """Shapes in one pose, points in another: inside is what is inside in the world."""
    shapes = Shapes([SQUARE], shape_type="polygon", **POSES[pose])
    corners = np.array([shapes.data_to_world(corner) for corner in SQUARE])
    middle, edge = corners.mean(0), 0.5 * (corners[0] + corners[1])
    region = region_of(shapes, posed_points)
    for share, inside in ((0.0, True), (0.98, True), (1.02, False)):
        place = of_world(posed_points, middle + share * (edge - middle))
        assert region.contains(place)[0] == inside


@pytest.mark.parametrize("pose", POSES)
def test_a_painted_mask_is_where_it_is_seen(pose: str, posed_points: Points) -> None:
    painted = np.zeros((60, 60), dtype=int)
    painted[20:41, 20:41] = 7
    labels = Labels(painted, **POSES[pose])
    region = region_of(labels, posed_points)
    for pixel, inside in (((20.4, 40.4), True), ((30, 30), True), ((19.4, 30), False)):
        place = of_world(posed_points, labels.data_to_world(pixel))
        assert region.contains(place)[0] == inside


def test_units_are_those_of_the_points() -> None:
    points = Points(1000.0 * np.random.default_rng(0).uniform(0, 60, (9, 2)), units="nm")
    assert region_of(Shapes([SQUARE], units="um"), points).volume == pytest.approx(4e8)
    # napari shows pixels beside nanometres as if they were.
    assert region_of(Shapes([SQUARE]), points).volume == pytest.approx(400.0)


@pytest.mark.parametrize(("kind", "area"), [("rectangle", 400.0), ("ellipse", 100 * np.pi)])
def test_shapes_with_an_inside(kind: str, area: float) -> None:
    shapes = Shapes([SQUARE], shape_type=kind)
    shapes.add_paths(np.array([[0.0, 0.0], [9.0, 0.0], [9.0, 9.0]]))
    region = region_of(shapes, Points(np.random.default_rng(0).uniform(0, 60, (9, 2))))
    assert region.volume == pytest.approx(area, rel=1e-3)


def test_in_3d_a_region_of_the_plane_reaches_over_all_z() -> None:
    data = np.random.default_rng(0).uniform(0, 60, (200, 3))
    points = Points(data, scale=(3, 1, 1))
    painted = np.zeros((61, 61), dtype=int)
    painted[20:41, 20:41] = 1
    on_a_slice = np.column_stack([np.full(4, 5.0), SQUARE])
    from_the_middle = np.abs(data[:, 1:] - 30).max(1)
    sure = np.abs(from_the_middle - 10) > 1
    for layer in (Shapes([SQUARE]), Shapes([on_a_slice]), Labels(painted)):
        found = region_of(layer, points, (0, 1, 2)).contains(data * (3, 1, 1))
        np.testing.assert_array_equal(found[sure], from_the_middle[sure] < 10)


def test_labels_of_all_times_together() -> None:
    painted = np.zeros((3, 61, 61), dtype=int)
    painted[0, 20:41, 20:41] = 1
    painted[2, 50:61, 50:61] = 2
    points = Points(np.random.default_rng(0).uniform(0, 60, (9, 3)), axis_labels=("t", "y", "x"))
    region = region_of(Labels(painted), points, (1, 2))
    assert region.volume == 21**2 + 11**2
    np.testing.assert_array_equal(
        region.contains([[30, 30], [55, 55], [45, 45]]), [True, True, False]
    )


def test_a_layer_that_outlines_nothing_is_refused() -> None:
    points = Points(np.random.default_rng(0).uniform(0, 60, (9, 2)), name="L")
    with pytest.raises(InputError, match="no polygon, rectangle or ellipse"):
        region_of(Shapes(name="empty"), points)
    with pytest.raises(InputError, match="no label"):
        region_of(Labels(np.zeros((5, 5), dtype=int)), points)


def test_points_outside_are_left_out_of_all_that_is_read() -> None:
    data = np.random.default_rng(0).uniform(0, 60, (300, 2))
    points = Points(data, name="L", features={"w": np.arange(300.0), "s": np.full(300, 2.0)})
    points.shown = np.arange(300) >= 10
    cloud = Source(points, (0, 1), weights="w", precision="s", region=Shapes([SQUARE])).read()
    inside = ((data >= 20) & (data <= 40)).all(1) & (np.arange(300) >= 10)
    np.testing.assert_array_equal(cloud.shown, inside)
    np.testing.assert_array_equal(cloud.points, data[inside])
    np.testing.assert_array_equal(cloud.observations.weights, np.flatnonzero(inside))
    assert (cloud.n_hidden, cloud.n_outside) == (10, 290 - inside.sum())
    assert cloud.observations.noise_std.shape == cloud.points.shape
    assert cloud.region.volume == pytest.approx(400.0)
    assert (cloud.frame.modelled_box >= 20).all()
    assert (cloud.frame.modelled_box <= 40).all()


def test_the_hull_leaves_no_point_out() -> None:
    data = np.random.default_rng(0).normal(size=(300, 2))
    cloud = Source(Points(data), (0, 1), region=Around.HULL).read()
    assert isinstance(cloud.region, Hull)
    assert (len(cloud.points), cloud.n_outside) == (300, 0)


def test_a_region_without_points_is_refused() -> None:
    points = Points(np.random.default_rng(0).uniform(0, 10, (9, 2)), name="L")
    with pytest.raises(InputError, match="No point of layer 'L' lies in the region"):
        Source(points, (0, 1), region=Shapes([SQUARE])).read()


def test_labels_in_several_scales_are_those_of_the_first() -> None:
    painted = np.zeros((64, 64), dtype=int)
    painted[20:41, 20:41] = 1
    points = Points(np.random.default_rng(0).uniform(0, 60, (9, 2)))
    scales = Labels([painted, painted[::2, ::2], painted[::4, ::4]])
    assert scales.multiscale
    assert region_of(scales, points).volume == region_of(Labels(painted), points).volume == 441


def test_a_region_over_all_z_is_as_high_as_its_points() -> None:
    """A point outside of it, far up, does not make the background thinner."""
    data = np.random.default_rng(0).uniform([0, 21, 21], [1, 39, 39], (200, 3))
    data = np.vstack([data, [100.0, 0.0, 0.0]])
    cloud = Source(Points(data), (0, 1, 2), region=Shapes([SQUARE])).read()
    assert cloud.region.volume == pytest.approx(400.0, rel=0.05)
    assert (len(cloud.points), cloud.n_outside) == (200, 1)


def test_units_count_only_where_napari_shows_them() -> None:
    points = Points(np.random.default_rng(0).uniform(0, 60, (9, 2)), units="nm")
    shapes = Shapes([SQUARE], units="um")
    assert outlined(shapes, points, (0, 1), in_units=False).volume == pytest.approx(400.0)


def picture(*shape: int) -> np.ndarray:
    """An image that is 0 in one pixel."""
    pixels = np.random.default_rng(1).integers(1, 200, shape).astype(np.uint8)
    pixels[(2,) * len(shape)] = 0
    return pixels


def logs(pixels: np.ndarray) -> np.ndarray:
    """Of each pixel the log of its value over the mean of those where points can lie."""
    values = pixels.astype(float)
    with np.errstate(divide="ignore"):
        return np.log(values / values[values > 0].mean())


@pytest.mark.parametrize("pose", POSES)
def test_an_image_says_how_dense_it_is_where_it_is_seen(pose: str, posed_points: Points) -> None:
    pixels = picture(7, 9)
    image = Image(pixels, **POSES[pose])
    region = region_of(image, posed_points)
    assert isinstance(region, Intensity)
    rng = np.random.default_rng(0)
    for index, wanted in np.ndenumerate(logs(pixels)):
        seen = image.data_to_world(np.array(index) + rng.uniform(-0.49, 0.49, 2))
        found = region.log_intensity(of_world(posed_points, seen))[0]
        assert found == pytest.approx(wanted)
    for beside in ([-0.6, 3.0], [3.0, 8.6]):
        place = of_world(posed_points, image.data_to_world(beside))
        assert region.log_intensity(place)[0] == -np.inf


def test_an_image_in_its_own_unit() -> None:
    points = Points(np.random.default_rng(0).uniform(0, 5000, (9, 2)), units="nm")
    image = Image(picture(5, 5), units="um", translate=(0.5, 0.5))
    assert region_of(image, points).volume == pytest.approx(24 * 1e6)
    assert outlined(image, points, (0, 1), in_units=False).volume == pytest.approx(24.0)


def test_in_3d_an_image_of_the_plane_counts_at_each_z() -> None:
    pixels = picture(6, 6)
    data = np.random.default_rng(0).uniform([0, -1, -1], [50, 6, 6], (400, 3))
    cloud = Source(Points(data, scale=(3, 1, 1)), (0, 1, 2), region=Image(pixels)).read()
    index = np.rint(data[:, 1:]).astype(int)
    inside = ((index >= 0) & (index < 6)).all(1)
    inside[inside] = pixels[tuple(index[inside].T)] > 0
    np.testing.assert_array_equal(cloud.shown, inside)
    assert 0 < cloud.n_outside == np.count_nonzero(~inside)
    assert isinstance(cloud.region, Prism)
    height = 3 * np.ptp(data[inside, 0])
    assert cloud.region.volume == pytest.approx(35 * height)
    np.testing.assert_allclose(
        cloud.region.log_intensity(cloud.points), logs(pixels)[tuple(index[inside].T)]
    )


@pytest.mark.parametrize("kind", ["array", "dask", "scales"])
def test_along_an_axis_that_is_not_modelled_it_is_the_mean(kind: str) -> None:
    pixels = picture(4, 8, 8)
    pixels[:, 5, 5] = 0
    data = {"array": pixels, "dask": from_array(pixels), "scales": [pixels, pixels[:, ::2, ::2]]}
    points = Points(np.random.default_rng(0).uniform(0, 7, (9, 3)), axis_labels=("t", "y", "x"))
    image = Image(data[kind])
    assert image.multiscale == (kind == "scales")
    region = region_of(image, points, (1, 2))
    wanted = logs(pixels.mean(0))
    assert (wanted > -np.inf).sum() == 63
    found = region.log_intensity_grid([np.arange(8.0), np.arange(8.0)])
    np.testing.assert_allclose(found, wanted)


def test_pixels_of_any_type() -> None:
    points = Points(np.random.default_rng(0).uniform(0, 4, (9, 2)))
    for dtype in (bool, np.uint16, np.int8, np.float16, np.float32):
        image = Image(np.eye(5).astype(dtype))
        assert region_of(image, points).volume == 5.0


def test_an_image_of_no_use_is_refused() -> None:
    points = Points(np.random.default_rng(0).uniform(0, 60, (9, 2)), name="L")
    for value in (-1.0, np.nan, np.inf):
        pixels = np.ones((5, 5))
        pixels[1, 3] = value
        with pytest.raises(InputError, match="'actin' is negative somewhere, or not finite: set"):
            region_of(Image(pixels, name="actin", contrast_limits=(0, 1)), points)
    with pytest.raises(InputError, match="Layer 'actin' is 0 everywhere, so"):
        region_of(Image(np.zeros((5, 5)), name="actin"), points)
    volume = Points(np.random.default_rng(0).uniform(0, 60, (9, 3)), name="L")
    large = np.broadcast_to(np.uint8(1), (1 << 15, 64, 64))
    with pytest.raises(InputError, match="32768 x 64 x 64 pixels, more than 67,108,864: bin it"):
        region_of(Image(large, name="actin"), volume, (0, 1, 2))
    assert region_of(Image(large), volume, (1, 2)).volume == 64.0**2


def test_pixels_of_other_axes_are_refused() -> None:
    far = Points(np.random.default_rng(0).uniform(0, 4, (9, 4)), name="L")
    volume = Points(np.random.default_rng(0).uniform(0, 4, (9, 3)), name="L")
    with pytest.warns(UserWarning, match="Non-orthogonal slicing"):
        tilted = Image(np.ones((5, 5, 5)), name="tilted", rotate=(10, 20, 30))
    with pytest.warns(UserWarning, match="Non-orthogonal slicing"):
        labels = Labels(np.ones((5, 5, 5), dtype=int), name="tilted", rotate=(10, 20, 30))
    for layer, points, axes in (
        (Image(np.ones((5, 5))), far, (0, 1)),
        (Labels(np.ones((5, 5), dtype=int)), far, (0, 1)),
        (tilted, volume, (1, 2)),
        (labels, volume, (1, 2)),
    ):
        with pytest.raises(InputError, match="lies askew to the axes that are modelled, or has"):
            region_of(layer, points, axes)


def test_what_can_outline_a_region() -> None:
    assert outlines_regions(Image(np.ones((5, 5))))
    assert outlines_regions(Labels(np.ones((5, 5), dtype=int)))
    assert not outlines_regions(Image(np.ones((5, 5, 3)), rgb=True))
    assert not outlines_regions(Points(np.ones((5, 2))))


def test_each_shape_is_a_region_by_its_name() -> None:
    data = np.random.default_rng(0).uniform(0, 60, (300, 2))
    points = Points(data, scale=(2.0, 2.0))
    far = SQUARE + 100.0
    shapes = Shapes(
        [SQUARE, far],
        shape_type=["rectangle", "ellipse"],
        features={"kind": [1, 2], "cell": ["HeLa", "HeLa"]},
    )
    shapes.add_paths(np.array([[0.0, 0.0], [9.0, 0.0], [9.0, 9.0]]))
    cloud = Source(points, (0, 1), region=shapes).read()
    assert list(cloud.regions) == ["HeLa", "HeLa 2"]
    areas = [region.volume for region in cloud.regions.values()]
    np.testing.assert_allclose(areas, [400.0, 100.0 * np.pi], rtol=1e-3)
    assert cloud.regions["HeLa"].contains(cloud.points).all()
    assert not Source(points, (0, 1)).read().regions
    shapes.features = {"cell": ["HeLa", " ", "line"]}
    assert list(Source(points, (0, 1), region=shapes).read().regions) == ["HeLa", "1"]
    shapes.features = {"cell": [None, "HeLa", "line"]}
    assert list(Source(points, (0, 1), region=shapes).read().regions) == ["0", "HeLa"]
    del shapes.features["cell"]
    assert list(Source(points, (0, 1), region=shapes).read().regions) == ["0", "1"]


def test_the_points_of_each_region_are_a_group() -> None:
    """In the first of those that overlap; none of a region without points."""
    points = Points(np.array([[22.0, 22], [35, 35], [38, 38], [45, 45], [5, 5], [39, 21]]))
    shapes = Shapes(
        [SQUARE, SQUARE + 10.0, SQUARE + 500.0],
        shape_type="polygon",
        features={"name": ["b", "a", "empty"]},
    )
    cloud = Source(points, (0, 1), each=Apart.REGION, region=shapes).read()
    assert cloud.frame.stack.labels.tolist() == ["a", "b"]
    assert [*cloud.regions] == ["a", "b"]
    assert {group: region.volume for group, region in cloud.own_regions.items()} == {0: 400, 1: 400}
    np.testing.assert_array_equal(cloud.groups, [1, 1, 1, 0, 1])
    np.testing.assert_array_equal(cloud.points[:, 0], [22, 35, 38, 45, 39])
    assert cloud.n_outside == 1
    with pytest.raises(InputError, match="choose one, or all together under Fit each"):
        Source(points, (0, 1), each=Apart.REGION).read()


def test_each_label_is_a_region_over_all_z_and_all_times() -> None:
    painted = np.zeros((3, 61, 61), dtype=int)
    painted[0, 20:41, 20:41], painted[2, 30:51, 20:41], painted[2, 50:61, 50:61] = 4, 4, 9
    rng = np.random.default_rng(0)
    points = Points(rng.uniform(0, 60, (500, 3)), axis_labels=("t", "y", "x"))
    cloud = Source(points, (1, 2), region=Labels(painted)).read()
    assert {name: region.volume for name, region in cloud.regions.items()} == {
        "4": 31 * 21,
        "9": 11**2,
    }
    deep = Source(Points(points.data), (0, 1, 2), region=Labels(painted.max(0))).read()
    height = np.ptp(deep.points[:, 0])
    assert deep.regions["9"].volume == pytest.approx(height * 11**2)
    # Each point that was not left out lies in one of them.
    inside = [region.contains(deep.points) for region in deep.regions.values()]
    assert (np.sum(inside, axis=0) == 1).all()


def test_an_image_has_no_regions_of_its_own() -> None:
    points = Points(np.random.default_rng(0).uniform(0, 60, (300, 2)))
    assert Source(points, (0, 1), region=Image(np.ones((61, 61)))).read().regions == {}
