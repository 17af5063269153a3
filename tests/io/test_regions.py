from pathlib import Path

import numpy as np
import pytest
from napari.layers import Shapes
from napari_builtins.io import napari_write_shapes

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.regions import read_region

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
    region = read_region(tmp_path / "cell.csv")
    assert region.volume == pytest.approx(400.0 + 100.0 * np.pi + 50.0, rel=1e-3)
    places = [[10, 10], [110, 110], [52, 52], [40, 40], [101, 101]]
    np.testing.assert_array_equal(region.contains(places), [True, True, True, False, False])


def test_shapes_drawn_in_a_stack_are_taken_along_its_last_axes(tmp_path: Path) -> None:
    in_a_slice = np.column_stack([np.full(4, 7.0), SQUARE])
    save(tmp_path / "cell.csv", Shapes([in_a_slice], shape_type="polygon"))
    assert read_region(tmp_path / "cell.csv").volume == pytest.approx(400.0)


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
        read_region(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        read_region(tmp_path / "cell.csv")
