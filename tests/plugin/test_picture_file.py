"""Heatmaps through napari's own doors to a TIFF: with the size of a pixel, and by napari itself."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image
from napari.plugins._npe2 import file_extensions_string_for_layers
from plugin.fakes import model_of

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.plugin.layers import levels
from napari_sparse_gmm.plugin.layers.heatmap import show_heatmap
from napari_sparse_gmm.plugin.model_file import NotSaved
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.tasks.render import drawn
from napari_sparse_gmm.plugin.tasks.task import at_once
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice

PLUGIN = "napari-sparse-gmm"
FILTER = "Sparse GMM heatmap with pixel size (*.tif *.tiff)"


def heatmap_layer(viewer: ViewerModel, std: float) -> Image:
    """Of one component, far from the corner of the field and of the origin."""
    if not len(viewer.layers):
        data = np.random.default_rng(0).uniform(0, 100, (50, 2))
        pose = {"units": "nm", "scale": (2, 2), "translate": (300, 400)}
        viewer.add_points(data, name="L", **pose)
    points = viewer.layers["L"]
    _, frame, _ = modelled_points(points, (0, 1))
    mixture = GaussianMixture([1.0], [[140.0, 60.0]], [np.eye(2) * std**2])
    choice = HeatmapChoice("density", 64, None, sharpen=True, engine="torch", device="cpu")
    picture = at_once(drawn(model_of(mixture), frame.modelled_box, choice, frame.layout))
    return show_heatmap(viewer, points, frame, picture)


@pytest.fixture(params=["sharpened", "sharpened later", "one level"])
def image(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Image:
    monkeypatch.setattr(levels, "_MOST_PIXELS", 600**2)
    viewer = ViewerModel()
    if request.param == "sharpened later":
        heatmap_layer(viewer, 0.3)  # whose data are exchanged
    return heatmap_layer(viewer, 3.0 if request.param == "one level" else 0.1)


def finest(image: Image) -> tuple[int, ...]:
    """Of the levels, the one of the most pixels that are not too many."""
    each = [level.shape for level in image.data] if image.multiscale else [image.data.shape]
    return next(shape for shape in each if np.prod(shape) <= 600**2)


@pytest.mark.parametrize("plugin", [PLUGIN, None], ids=["by us", "by napari"])
def test_a_heatmap_is_saved_as_a_picture(image: Image, plugin: str | None, tmp_path: Path) -> None:
    path = str(tmp_path / "x.tif")
    assert image.save(path, plugin=plugin) == [path]
    values = tifffile.imread(path)
    assert values.dtype == np.float32
    assert values.shape == finest(image)
    assert (max(values.shape) > 64) == image.multiscale
    size = np.ptp(image._extent_world_augmented, axis=0) / values.shape
    if plugin:
        # All of the mass is there, where the component is.
        assert values.sum() * size.prod() == pytest.approx(1.0, abs=0.05)
        with tifffile.TiffFile(path) as tiff:
            assert tiff.ome_metadata
            pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
            assert pixels is not None
            plane = pixels.find("{*}Plane")
        assert plane is not None
        for axis, name, mean in ((0, "Y", 440.0), (1, "X", 460.0)):
            assert float(pixels.get(f"PhysicalSize{name}", "")) == pytest.approx(size[axis])
            assert pixels.get(f"PhysicalSize{name}Unit") == "nm"
            first = float(plane.get(f"Position{name}", ""))
            peak = np.unravel_index(values.argmax(), values.shape)[axis]
            assert first + size[axis] * peak == pytest.approx(mean, abs=1.5 * size[axis])


def test_it_is_in_the_menu_of_an_image() -> None:
    filters, _ = file_extensions_string_for_layers([heatmap_layer(ViewerModel(), 0.1)])
    assert filters is not None
    assert FILTER in filters.split(";;")


def test_a_volume_and_a_stack_are_saved(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = np.column_stack([np.repeat([0.0, 1.0], 50), rng.uniform(0, 10, (100, 2))])
    viewer = ViewerModel()
    points = viewer.add_points(data, name="L")
    choice = HeatmapChoice("density", 16, None, engine="torch", device="cpu")
    for axes, each, n in (((1, 2), 0, 2), ((0, 1, 2), None, 1)):
        _, frame, _ = modelled_points(points, axes, each)
        d = len(axes)
        mixture = GaussianMixture([1.0], [[5.0] * d], [np.eye(d)])
        model = model_of(*[mixture] * n)
        picture = at_once(drawn(model, frame.modelled_box, choice, frame.layout))
        image = show_heatmap(viewer, points, frame, picture)
        path = str(tmp_path / f"{d}.tif")
        assert image.save(path, plugin=PLUGIN) == [path]
        np.testing.assert_array_equal(tifffile.imread(path), np.squeeze(image.data))


def test_an_image_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotSaved, match="'camera' is no heatmap"):
        Image(np.zeros((4, 4)), name="camera").save(str(tmp_path / "x.tif"), plugin=PLUGIN)


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotSaved, match="cannot be written"):
        heatmap_layer(ViewerModel(), 0.1).save(str(tmp_path / "no" / "x.tif"), plugin=PLUGIN)
