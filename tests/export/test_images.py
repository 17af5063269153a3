"""Labels and density, read back."""

from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from export.models import BOX, grouped, in_space, mixture, model

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.export.content import Content, optional
from napari_sparse_gmm.export.images import (
    label_image,
    write_density,
    write_labels_tiff,
    write_ome_zarr,
)
from napari_sparse_gmm.export.outlines import outlines


@pytest.mark.parametrize("found", [model(), in_space()], ids=["plane", "space"])
def test_labels_are_what_each_pixel_says(found: object) -> None:
    content = Content(found, pixel_size=25.0)
    own, grid = found.mixture, content.grid
    x = grid.coordinates(np.moveaxis(np.indices(grid.shape), 0, -1))[..., None, :]
    away = x - own.means
    squares = np.einsum("...i,...ij,...j", away, np.linalg.inv(own.covariances), away)
    scale = own.weights / np.sqrt(np.linalg.det(own.covariances))
    density = scale * np.exp(-0.5 * squares)
    inside = squares <= coverage_to_radius(95.0, own.n_dimensions) ** 2
    best = np.argmax(np.where(inside, density, 0.0), axis=-1)
    expected = np.where(inside.any(-1), best + 1, 0)
    np.testing.assert_array_equal(label_image(content), expected)
    assert len(np.unique(expected)) == own.n_components + 1


def test_outlines_lie_on_the_labels() -> None:
    content = Content(model(), pixel_size=10.0)
    labels = label_image(content)
    rows, columns = np.indices(labels.shape)
    together = shapely.union_all([shapely.Polygon(one.corners) for one in outlines(content)])
    inside = shapely.contains_xy(together, columns + 0.5, rows + 0.5)
    # But where a corner of the polygon is short of the ellipse.
    assert np.mean(inside != (labels > 0)) < 2e-4


def test_tiffs_have_the_size_of_a_pixel(tmp_path: Path) -> None:
    content = Content(model(), pixel_size=20.0)
    write_labels_tiff(tmp_path / "l.tif", content)
    write_density(tmp_path / "d.tif", content)
    with tifffile.TiffFile(tmp_path / "l.tif") as file:
        np.testing.assert_array_equal(file.asarray(), label_image(content))
        assert file.asarray().dtype == np.uint16
        assert 'PhysicalSizeX="20.0" PhysicalSizeXUnit="nm"' in file.ome_metadata
        # What ImageJ reads: pixels per centimetre.
        assert file.pages.first.get_resolution("CENTIMETER") == pytest.approx((5e5, 5e5))
        told = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
        first = [told["Plane"][f"Position{axis}"] for axis in "YX"]
        np.testing.assert_allclose(first, content.grid.origin)
    density = tifffile.imread(tmp_path / "d.tif")
    own = mixture()
    # All points, but those of the background that the margin has no room for.
    assert density.sum(dtype=float) * 20.0**2 == pytest.approx(1000.0, rel=1e-3)
    peak = np.unravel_index(density.argmax(), density.shape)
    np.testing.assert_allclose(content.grid.coordinates(peak), own.means[1], atol=20.0)


def test_tiffs_of_volumes_have_slices(tmp_path: Path) -> None:
    content = Content(in_space(), pixel_size=40.0)
    write_labels_tiff(tmp_path / "l.tif", content)
    with tifffile.TiffFile(tmp_path / "l.tif") as file:
        assert file.series[0].axes == "ZYX"
        np.testing.assert_array_equal(file.asarray(), label_image(content))
        told = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert [told[f"PhysicalSize{axis}"] for axis in "ZYX"] == [40.0] * 3
    assert {told[f"PhysicalSize{axis}Unit"] for axis in "ZYX"} == {"nm"}
    heights = [plane["PositionZ"] for plane in told["Plane"]]
    np.testing.assert_allclose(np.diff(heights), 40.0)


def test_what_no_pixel_shows_is_counted(tmp_path: Path) -> None:
    sentence = write_labels_tiff(tmp_path / "l.tif", Content(model(), pixel_size=700.0))
    assert "of which" in sentence
    assert "smaller pixel size" in sentence


def test_ome_zarr_is_read_by_the_reference_implementation(tmp_path: Path) -> None:
    reader = pytest.importorskip("ome_zarr.reader")
    import zarr
    from ome_zarr.io import parse_url
    from ome_zarr_models.v04 import Image, ImageLabel

    content = Content(model(), pixel_size=2.0)
    path = tmp_path / "d.ome.zarr"
    write_ome_zarr(path, content)
    write_ome_zarr(path, content)  # in place of the first
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    image, labels = [node for node in reader.Reader(parse_url(path))() if node.data]
    np.testing.assert_array_equal(image.data[0], content.density)
    np.testing.assert_array_equal(labels.data[0], label_image(content))
    assert [axis["unit"] for axis in image.metadata["axes"]] == ["nanometer"] * 2
    for node in (image, labels):
        assert len(node.data) == 3  # levels
        for level, values in enumerate(node.data):
            scale, move = node.metadata["coordinateTransformations"][level]
            assert scale["scale"] == [2.0 * 2**level] * 2
            # What lies where the components are, whichever level shows it.
            index = np.rint((mixture().means - move["translation"]) / scale["scale"]).astype(int)
            found = np.asarray(values)[tuple(index.T)]
            expected = [1, 2, 3] if node is labels else 1000.0 * mixture().density(mixture().means)
            np.testing.assert_allclose(found, expected, rtol=0.02)
    valid = Image.from_zarr(zarr.open_group(path, mode="r"))
    assert valid.labels is not None
    assert valid.labels.attributes.labels == ["components"]
    ImageLabel.from_zarr(zarr.open_group(path / "labels" / "components", mode="r"))


def test_ome_zarr_of_a_volume_is_valid(tmp_path: Path) -> None:
    reader = pytest.importorskip("ome_zarr.reader")
    import zarr
    from ome_zarr.io import parse_url
    from ome_zarr_models.v04 import Image

    content = Content(in_space(), pixel_size=40.0)
    path = tmp_path / "d.ome.zarr"
    write_ome_zarr(path, content)
    image, labels = [node for node in reader.Reader(parse_url(path))() if node.data]
    np.testing.assert_array_equal(image.data[0], content.density)
    np.testing.assert_array_equal(labels.data[0], label_image(content))
    assert [axis["name"] for axis in image.metadata["axes"]] == list("zyx")
    Image.from_zarr(zarr.open_group(path, mode="r"))


def test_ome_zarr_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ome_zarr")
    writer = optional("ome_zarr.writer", "", "")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "write_label_metadata", fail)
    with pytest.raises(OSError, match="No space left"):
        write_ome_zarr(tmp_path / "d.ome.zarr", Content(model()))
    assert not list(tmp_path.iterdir())


def test_images_are_of_one_mixture() -> None:
    with pytest.raises(InputError, match="a mixture for each cell"):
        label_image(Content(grouped()))


def test_images_cover_the_points() -> None:
    edges = Content(model(), pixel_size=20.0).grid.edges
    assert (edges[0] <= BOX[0]).all()
    assert (edges[1] >= BOX[1]).all()
