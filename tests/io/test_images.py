import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.images import write_density_tiff
from napari_sparse_gmm.shapes.grid import Grid

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((3, 5, 7), dtype=np.float32)


@pytest.fixture
def grid() -> Grid:
    return Grid([10.0, 20.0, 30.0], [2.0, 0.5, 0.25], (3, 5, 7))


def pixels_of(path: Path) -> ElementTree.Element:
    with tifffile.TiffFile(path) as file:
        assert file.ome_metadata is not None
        found = ElementTree.fromstring(file.ome_metadata).find(f"{OME}Image/{OME}Pixels")
    assert found is not None
    return found


def test_volume_comes_back_with_its_geometry(tmp_path: Path, image: np.ndarray, grid: Grid) -> None:
    path = tmp_path / "density.tif"
    write_density_tiff(path, image, grid, "µm")
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "ZYX"
        assert file.series[0].dtype == np.float32
        np.testing.assert_array_equal(file.asarray(), image)
    pixels = pixels_of(path)
    sizes = {axis: float(pixels.attrib[f"PhysicalSize{axis}"]) for axis in "ZYX"}
    assert sizes == {"Z": 2.0, "Y": 0.5, "X": 0.25}
    assert {pixels.attrib[f"PhysicalSize{axis}Unit"] for axis in "ZYX"} == {"µm"}
    planes = [plane.attrib for plane in pixels.findall(f"{OME}Plane")]
    assert [float(plane["PositionZ"]) for plane in planes] == [10.0, 12.0, 14.0]
    assert {float(plane["PositionY"]) for plane in planes} == {20.0}
    assert {float(plane["PositionX"]) for plane in planes} == {30.0}


@pytest.mark.parametrize(
    ("unit", "per_centimetre"), [("nm", 1e7), ("µm", 1e4), ("um", 1e4), ("mm", 10), ("m", 0.01)]
)
def test_resolution_tags_hold_the_pixel_size(
    tmp_path: Path, image: np.ndarray, unit: str, per_centimetre: float
) -> None:
    path = tmp_path / "density.tif"
    grid = Grid([0.0, 0.0], [3.9, 2.5], (5, 7))
    write_density_tiff(path, image[0], grid, unit)
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        assert tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
        for name, size in (("YResolution", 3.9), ("XResolution", 2.5)):
            numerator, denominator = tags[name].value
            assert denominator / numerator * per_centimetre == pytest.approx(size, rel=1e-6)


@pytest.mark.parametrize("unit", [None, "furlong"])
def test_without_a_unit_of_length_none_is_claimed(
    tmp_path: Path, image: np.ndarray, unit: str | None
) -> None:
    # OME takes what has no unit for micrometres.
    path = tmp_path / "density.tif"
    write_density_tiff(path, image[0], Grid([0.0, 0.0], [0.5, 0.5], (5, 7)), unit)
    assert pixels_of(path).attrib["PhysicalSizeXUnit"] == "reference frame"
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].tags["ResolutionUnit"].value == tifffile.RESUNIT.NONE
        assert file.pages[0].tags["XResolution"].value == (2, 1)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_extreme_pixels_are_exact_in_ome(tmp_path: Path, image: np.ndarray, scale: float) -> None:
    path = tmp_path / "density.tif"
    write_density_tiff(path, image[0], Grid([0.0, 0.0], [scale, scale], (5, 7)), "m")
    assert float(pixels_of(path).attrib["PhysicalSizeX"]) == scale
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(file.asarray(), image[0])


def test_image_of_another_grid_is_refused(tmp_path: Path, image: np.ndarray, grid: Grid) -> None:
    with pytest.raises(InputError, match=r"shape \(5, 7\) on a grid of shape \(3, 5, 7\)"):
        write_density_tiff(tmp_path / "density.tif", image[0], grid)
