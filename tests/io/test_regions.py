import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Shapes
from napari_builtins.io import napari_write_shapes

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.regions import labelled_regions, read_regions
from napari_sparse_gmm.regions import union

SQUARE = np.array([[0.0, 0.0], [0.0, 20.0], [20.0, 20.0], [20.0, 0.0]])


def save(path: Path, layer: Shapes) -> None:
    """As File > Save does."""
    data, meta, _ = layer.as_layer_data_tuple()
    assert napari_write_shapes(str(path), data, meta)


def test_what_napari_saves_is_read(tmp_path: Path) -> None:
    layer = Shapes([SQUARE], shape_type="rectangle")
    layer.add_ellipses(SQUARE + 100.0)
    layer.add_polygons([[50.0, 50.0], [50.0, 60.0], [60.0, 50.0]])
    layer.add_paths([[0.0, 0.0], [90.0, 90.0]])
    save(tmp_path / "cell.csv", layer)
    region = union(list(read_regions(tmp_path / "cell.csv").values()))
    assert region.volume == pytest.approx(400.0 + 100.0 * np.pi + 50.0, rel=1e-3)
    places = [[10, 10], [110, 110], [52, 52], [40, 40], [101, 101]]
    np.testing.assert_array_equal(region.contains(places), [True, True, True, False, False])


def test_shapes_drawn_in_a_stack_are_taken_along_its_last_axes(tmp_path: Path) -> None:
    in_a_slice = np.column_stack([np.full(4, 7.0), SQUARE])
    save(tmp_path / "cell.csv", Shapes([in_a_slice], shape_type="polygon"))
    (cell,) = read_regions(tmp_path / "cell.csv").values()
    assert cell.volume == pytest.approx(400.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,y\n1,2\n", "no Shapes layer that napari has saved"),
        ("index,shape-type,vertex-index,axis-0,axis-1\n", "no polygon"),
        ("index,shape-type,vertex-index,axis-0,axis-1\n0,line,0,1,1\n0,line,1,2,2\n", "no polygon"),
        ("index,shape-type,vertex-index,axis-0,axis-1\n0,polygon,0,1,a\n", "no Shapes layer"),
        ("", "no Shapes layer"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "cell.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_regions(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        read_regions(tmp_path / "cell.csv")


def square(x: float, y: float, side: float) -> list[list[float]]:
    """A ring as GeoJSON has it: x first, and closed."""
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def feature(*rings: list[list[float]], **properties: object) -> dict[str, object]:
    geometry = {"type": "Polygon", "coordinates": rings}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def test_outlines_of_qupath_have_their_names_and_their_holes(tmp_path: Path) -> None:
    path = tmp_path / "cells.geojson"
    several = {
        "type": "MultiPolygon",
        "coordinates": [[square(100, 0, 2)], [square(200, 0, 2)]],
    }
    content = {
        "type": "FeatureCollection",
        "features": [
            feature(square(0, 50, 10), square(2, 52, 4), square(7, 57, 2), name="nucleus"),
            feature(square(20, 50, 10), classification={"name": "Tumor"}),
            feature(square(40, 50, 10), classification={"name": "Tumor"}),
            {"type": "Feature", "geometry": several, "properties": None},
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}},
        ],
    }
    path.write_text(json.dumps(content))
    found = read_regions(path, pixel_size=0.5)
    assert list(found) == ["nucleus", "Tumor", "Tumor 2", "4"]
    areas = [region.volume for region in found.values()]
    np.testing.assert_allclose(areas, [0.25 * (100 - 16 - 4), 25.0, 25.0, 2.0], rtol=1e-9)
    # y first, as points have it; and what is in a hole is not in the region.
    places = 0.5 * np.array([[51.0, 1.0], [54.0, 4.0], [58.0, 8.0], [56.5, 3.0], [1.0, 51.0]])
    inside = found["nucleus"].contains(places)
    np.testing.assert_array_equal(inside, [True, False, False, True, False])
    drawn = found["nucleus"].sample(500, np.random.default_rng(0))
    assert found["nucleus"].contains(drawn).all()
    path.write_text(json.dumps(content["features"]))  # as QuPath writes them without a collection
    assert list(read_regions(path)) == ["nucleus", "Tumor", "Tumor 2", "4"]


def test_labels_of_an_image(tmp_path: Path) -> None:
    labels = np.zeros((40, 60), dtype=np.uint32)
    labels[5:10, 20:40], labels[7, 30] = 3, 0
    labels[20:, 50:] = 4_000_000_000
    tifffile.imwrite(tmp_path / "cells.tif", labels)
    found = read_regions(tmp_path / "cells.tif", pixel_size=2.0)
    assert list(found) == ["3", "4000000000"]
    assert found["3"].volume == 4.0 * (100 - 1)
    pixels = np.argwhere(np.ones_like(labels))
    for name, region in found.items():
        np.testing.assert_array_equal(
            region.contains(2.0 * pixels), labels.ravel() == int(name), err_msg=name
        )
    with pytest.raises(InputError, match="pixel size"):
        read_regions(tmp_path / "cells.tif")


def test_labels_of_a_sheared_image_lie_where_the_image_does() -> None:
    labels = np.random.default_rng(1).integers(0, 4, (7, 5))
    spacing, origin = np.array([[2.0, 0.3], [-0.1, 1.0]]), np.array([10.0, 20.0])
    pixels = np.argwhere(labels >= 0)
    for name, region in labelled_regions(labels, spacing, origin).items():
        inside = region.contains(pixels @ spacing.T + origin)
        np.testing.assert_array_equal(inside, labels.ravel() == int(name))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.geojson", b"{", "a GeoJSON file that cannot be read"),
        ("a.geojson", b'{"type": "FeatureCollection", "features": []}', "no polygon"),
        ("a.geojson", b'{"type": "Point", "coordinates": [1, 2]}', "no polygon"),
        ("a.geojson", b"[1, 2]", "cannot be read"),
        ("a.tif", b"II*", "a TIFF file that cannot be read"),
    ],
)
def test_damaged_outlines_are_refused(tmp_path, name, content, words) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_regions(tmp_path / name, pixel_size=1.0)


def test_images_that_are_no_labels_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((3, 4, 5), dtype=np.uint8), photometric="minisblack"
    )
    with pytest.raises(InputError, match="two axes"):
        read_regions(tmp_path / "a.tif", pixel_size=1.0)
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 5), dtype=np.float32))
    with pytest.raises(InputError, match="whole numbers"):
        read_regions(tmp_path / "a.tif", pixel_size=1.0)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), dtype=np.uint8))
    with pytest.raises(InputError, match="no label"):
        read_regions(tmp_path / "a.tif", pixel_size=1.0)
