"""Whole tables, from every format to the same points and features."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.io.tables import read_points

DATA = Path(__file__).parents[3] / "shared" / "data"
WRITERS = {
    "csv": lambda cells, path: cells.to_csv(path, index=False),
    "tsv": lambda cells, path: cells.to_csv(path, index=False, sep="\t"),
    "comma": lambda cells, path: cells.to_csv(path, index=False, sep=";", decimal=","),
    "parquet": lambda cells, path: cells.to_parquet(path, index=False),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_everything_comes_back(cells: pd.DataFrame, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"locs.{kind}"
    WRITERS[kind](cells, path)
    found = read_localizations(path)
    np.testing.assert_allclose(found.points, cells[["y [nm]", "x [nm]"]], rtol=1e-14)
    assert (found.axis_labels, found.unit) == (("y", "x"), "nm")
    assert list(found.features) == ["id", "frame", "uncertainty [nm]", "dye"]
    for name, values in found.features.items():
        if name == "dye":
            assert list(values) == list(cells[name])
        else:
            np.testing.assert_allclose(values, cells[name], rtol=1e-14)
    assert found.typical_precision == pytest.approx(cells["uncertainty [nm]"].median())
    # The command line reads the same.
    read = read_points(path, precision="uncertainty", group="dye")
    np.testing.assert_array_equal(read.points, found.points)
    np.testing.assert_array_equal(read.groups, cells["dye"])


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "points.csv"
    path.write_text(text)
    return path


def test_a_flat_z_is_a_feature(tmp_path: Path) -> None:
    found = read_localizations(write(tmp_path, "x,y,z\n1,2,0\n3,4,0\n"))
    assert found.axis_labels == ("y", "x")
    assert list(found.features) == ["z"]
    found = read_localizations(write(tmp_path, "x,y,z\n1,2,0\n3,4,5\n"))
    np.testing.assert_array_equal(found.points, [[0, 2, 1], [5, 4, 3]])
    assert list(found.features) == []


def test_columns_without_a_name_and_with_the_same(tmp_path: Path) -> None:
    found = read_localizations(write(tmp_path, ",x,n,y,n\n7,1,8,2,9\n"))
    assert found.features.to_dict("list") == {"column 1": [7], "n 3": [8], "n 5": [9]}


def test_columns_of_parquet_with_the_same_name(tmp_path: Path) -> None:
    path = tmp_path / "locs.parquet"
    columns = [pa.array(values) for values in ([7, 7], [1.0, 2.0], [8, 8], [3.0, 4.0])]
    pq.write_table(pa.Table.from_arrays(columns, names=["n", "x", "n", "y"]), path)
    found = read_localizations(path)
    np.testing.assert_array_equal(found.points, [[3, 1], [4, 2]])
    assert found.features.to_dict("list") == {"n 1": [7, 7], "n 3": [8, 8]}


@pytest.mark.parametrize(
    ("header", "cell", "precision"),
    [
        ("x,y,uncertainty", 3, 3),
        ("x [nm],y [nm],Precision [nm]", 3, 3),
        ("x [nm],y [nm],uncertainty [px]", 3, None),
        ("x,y,uncertainty", "high", None),
        ("x,y,photons", 3, None),
    ],
)
def test_precision(tmp_path: Path, header: str, cell, precision: float | None) -> None:
    found = read_localizations(write(tmp_path, f"{header}\n1,2,{cell}\n1,2,{cell}\n"))
    assert found.typical_precision == precision


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a,b\n1,2\n", "points.csv has no column 'x' and no column 'y', .*; its .* 'a', 'b'"),
            ("x,b\n1,2\n", "points.csv has no column 'y', so it is no table of points"),
            ("x,y\n1,2\n3,oops\n", "Column 'y' of points.csv .* row 2 has 'oops'"),
            ("x,y\n", "points.csv has a header but no rows"),
            ("x,X (nm),X (px),y\n1,2,3,4\n", None),
            ("X (nm),X (px),y\n1,2,3\n", "Several columns match 'x'"),
        ],
    )
    def test_text(self, tmp_path: Path, text: str, message: str | None) -> None:
        path = write(tmp_path, text)
        if message is None:
            assert read_localizations(path).points.tolist() == [[4, 1]]
            return
        with pytest.raises(InputError, match=message):
            read_localizations(path)

    def test_long_headers_are_cut(self, tmp_path: Path) -> None:
        text = ",".join([*"abcdefghijklmnopqrstuvw", "long" * 100])
        with pytest.raises(InputError, match="no column 'x'") as raised:
            read_localizations(write(tmp_path, f"{text}\n"))
        assert len(str(raised.value)) < 300

    def test_nested_columns(self, tmp_path: Path) -> None:
        path = tmp_path / "locs.parquet"
        table = pa.table({"x": [1.0, 2.0], "y": [3.0, 4.0], "tags": [["a"], ["b", "c"]]})
        pq.write_table(table, path)
        with pytest.raises(InputError, match=r"lists or records in place of .* in 'tags'; write"):
            read_localizations(path)
        # Nobody asks for it here.
        assert read_points(path).points.tolist() == [[3, 1], [4, 2]]

    def test_parquet_without_columns(self, tmp_path: Path) -> None:
        path = tmp_path / "locs.parquet"
        pq.write_table(pa.table({}), path)
        for read in (read_localizations, read_points):
            with pytest.raises(InputError, match=r"locs.parquet has no columns: .* x and y"):
                read(path)

    @pytest.mark.parametrize(
        ("name", "kind"), [("a.hdf5", "HDF5"), ("A.H5", "HDF5"), ("a.parquet", "Parquet")]
    )
    @pytest.mark.parametrize("content", [b"hello\nworld\n", b"x,y\n1,2\n", b"", b"\0\1"], ids=repr)
    def test_not_what_the_name_says(self, tmp_path: Path, name, kind, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            InputError, match=f"{name} is no {kind} file, .*let its name end in .csv"
        ):
            read_localizations(tmp_path / name)

    def test_damaged_parquet(self, cells: pd.DataFrame, tmp_path: Path) -> None:
        path = tmp_path / "locs.parquet"
        cells.to_parquet(path)
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(InputError, match=r"locs.parquet is a Parquet file that cannot be read"):
            read_localizations(path)

    def test_parquet_without_rows(self, cells: pd.DataFrame, tmp_path: Path) -> None:
        cells[:0].to_parquet(tmp_path / "locs.parquet")
        with pytest.raises(InputError, match=r"locs.parquet has no rows"):
            read_localizations(tmp_path / "locs.parquet")


@pytest.mark.skipif(
    not DATA.exists() and os.environ.get("CI") != "true", reason="the shared data are not here"
)
class TestRealFiles:
    def test_thunderstorm_with_a_broken_header(self) -> None:
        found = read_localizations(DATA / "formats" / "thunderstorm.csv")
        rows = np.loadtxt(DATA / "formats" / "thunderstorm.csv", delimiter=",", skiprows=1)
        np.testing.assert_allclose(found.points, rows[:, [3, 2]])
        np.testing.assert_allclose(found.features["uncertainty [nm]"], rows[:, 9])
        assert found.unit == "nm"
        assert len(found.features.columns) == 8

    def test_localizations_of_a_microscope(self) -> None:
        path = DATA / "fgfr1_mcf7" / "FGFR1_MCF7_AF647_1.csv"
        found = read_localizations(path)
        rows = np.genfromtxt(path, delimiter=",", names=True)
        np.testing.assert_allclose(found.points, np.stack([rows["y"], rows["x"]], axis=1))
        assert found.typical_precision == pytest.approx(np.median(rows["uncertainty"]))
