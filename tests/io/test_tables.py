import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_sparse_gmm.io.tables import read_points, write_components


@pytest.fixture
def table(tmp_path: Path):
    """Writes a text file and gives its path."""

    def write(text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "points.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


class TestColumns:
    def test_points_come_in_image_order(self, table) -> None:
        read = read_points(table("x,y\n1,2\n3,4\n"))
        np.testing.assert_array_equal(read.points, [[2, 1], [4, 3]])
        assert read.axis_labels == read.columns == ("y", "x")
        assert read.unit is None
        assert read.weights is None

    def test_z_comes_first(self, table) -> None:
        read = read_points(table("x,y,z\n1,2,5\n3,4,6\n"))
        np.testing.assert_array_equal(read.points, [[5, 2, 1], [6, 4, 3]])
        assert read.axis_labels == ("z", "y", "x")

    def test_constant_z_is_left_out(self, table) -> None:
        read = read_points(table("x,y,z\n1,2,0\n3,4,0\n"))
        assert read.axis_labels == ("y", "x")
        assert read_points(table("x,y,z\n1,2,0\n3,4,0\n"), z="z").points.shape == (2, 3)

    def test_only_the_named_axes_are_read(self, table) -> None:
        read = read_points(table("x,y,z\n1,2,5\n3,4,6\n"), x="x", y="y")
        assert read.axis_labels == ("y", "x")

    @pytest.mark.parametrize(
        ("header", "unit"),
        [
            ("x [nm],y [nm]", "nm"),
            ("X [µm],Y [µm]", "µm"),
            ("x(um),y(um)", "um"),
            ("X,Y", None),
            ("x [nm],y", "nm"),
            ("x_nm,y_nm", "nm"),
            ("xnm,ynm", "nm"),
            ("x_um,y_um", "um"),
            ("Position X [nm],Position Y [nm]", "nm"),
        ],
    )
    def test_found_whatever_the_case_and_unit(self, table, header: str, unit: str | None) -> None:
        read = read_points(table(f"id,{header}\n9,1,2\n9,3,4\n"))
        np.testing.assert_array_equal(read.points, [[2, 1], [4, 3]])
        assert read.unit == unit

    def test_any_column_can_be_named(self, table) -> None:
        path = table("index,axis-0,axis-1\n0,1,2\n1,3,4\n")
        read = read_points(path, x="axis-1", y="axis-0")
        np.testing.assert_array_equal(read.points, [[1, 2], [3, 4]])
        assert read.columns == ("axis-0", "axis-1")

    def test_exact_spelling_goes_first(self, table) -> None:
        read = read_points(table("X,x,y\n9,1,2\n9,3,4\n"))
        np.testing.assert_array_equal(read.points[:, 1], [1, 3])

    def test_positions_in_two_units(self, table) -> None:
        """As the Nanoimager writes them."""
        header = "X (nm),Y (nm),X precision (nm),X (pix),Y (pix)"
        read = read_points(table(f"{header}\n100,200,9,1,2\n300,400,9,3,4\n"))
        np.testing.assert_array_equal(read.points, [[200, 100], [400, 300]])
        assert read.unit == "nm"

    def test_weights(self, table) -> None:
        read = read_points(table("n,x,y\n2,1,2\n3,3,4\n"), weight="n")
        np.testing.assert_array_equal(read.weights, [2, 3])
        assert read.points.shape == (2, 2)

    def test_precision(self, table) -> None:
        path = table("x [nm],y [nm],uncertainty [nm],n\n1,2,5,9\n3,4,6,9\n")
        read = read_points(path, precision="uncertainty", weight="n")
        np.testing.assert_array_equal(read.noise_std, [[5, 5], [6, 6]])
        assert read.unit == "nm"
        assert read_points(path).noise_std is None

    def test_precision_of_z(self, table) -> None:
        path = table("x,y,z,lp,lpz\n1,2,3,5,15\n3,4,5,6,18\n")
        both = read_points(path, precision="lp", precision_z="lpz")
        np.testing.assert_array_equal(both.noise_std, [[15, 5, 5], [18, 6, 6]])
        alike = read_points(path, precision="lp")
        np.testing.assert_array_equal(alike.noise_std, [[5, 5, 5], [6, 6, 6]])


class TestDialects:
    @pytest.mark.parametrize(
        "text",
        [
            "x;y\n1.5;2\n3;4\n",
            "x\ty\n1.5\t2\n3\t4\n",
            "x;y\n1,5;2,0\n3,0;4,0\n",
            "x\ty\n1,5\t2,0\n3,0\t4,0\n",
            "file;y;x\nimage.tif;2;1,5\nimage.tif;4;3\n",
            '"x","y"\r\n1.5,2\r\n3,4\r\n',
            '"x","y","remark; see log"\n1.5,2,a\n3,4,b\n',
            "\ufeffx,y\n1.5,2\n3,4\n",
            "x,y\n1.5,2,\n3,4,\n",
            '"x,""y"""\n1.5,2\n3,4\n',
        ],
        ids=[
            "semicolon",
            "tab",
            "decimal comma",
            "tab, decimal comma",
            "decimal comma in one column, a point in a name",
            "windows",
            "other separator in quotes",
            "byte order mark",
            "separator at the end",
            "header quoted as one cell",
        ],
    )
    def test_same_points_however_written(self, table, text: str) -> None:
        np.testing.assert_array_equal(read_points(table(text)).points, [[2, 1.5], [4, 3]])

    def test_latin_1_micrometres(self, table) -> None:
        assert read_points(table("x [µm],y [µm]\n1,2\n3,4\n", "latin-1")).unit == "µm"


class TestErrors:
    """One sentence that says what came and what to do."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "points.csv is empty"),
            ("x,y\n", "has a header but no rows"),
            ("a,b\n1,2\n", r"no column 'y' for y in points.csv; choose one of 'a', 'b'"),
            ("x,y [nm],y [px]\n1,2,3\n", r"Several columns match 'y'.*'y \[nm\]', 'y \[px\]'"),
            ("x,y\n1,2\n3,oops\n", "Column 'y' of points.csv.*row 2 has 'oops'; 1 of 2 rows"),
            ("x,y\n1,2\n3,\n", "row 2 has an empty cell"),
            ("x,y\n1,2\ninf,3\n", "row 2 has 'inf'"),
            ("x [nm],y [µm]\n1,2\n", r"different units \(µm, nm\)"),
            ('x,y\n1,"2\n', "not a regular table"),
            # As R writes row names: every cell would stand under its neighbour's name.
            ("x,y\na,1,2\nb,3,4\n", "2 columns in its header and 3 in its first row"),
            ("x,y\n\0\n", "not a text table"),
            ("\x89PNG\r\n\x1a\n\x08\n", "points.csv is not a text table .* nor HDF5 or Parquet"),
            ("x,y\r1,2\r3,4\r", "points.csv cannot be read as a table"),
        ],
    )
    def test_says_what_is_wrong(self, table, text: str, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            read_points(table(text))

    def test_precision_in_another_unit(self, table) -> None:
        path = table("x [nm],y [nm],lp [px]\n1,2,3\n4,5,6\n")
        with pytest.raises(ValueError, match=r"lengths of points.csv .* \(nm, px\)"):
            read_points(path, precision="lp")

    def test_precision_of_z_alone(self, table) -> None:
        with pytest.raises(ValueError, match="needs one of x and y"):
            read_points(table("x,y,z,lp\n1,2,3,4\n"), precision_z="lp")

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"There is no file.*nowhere\.csv"):
            read_points(tmp_path / "nowhere.csv")

    def test_named_column_that_is_not_there(self, table) -> None:
        with pytest.raises(ValueError, match="no column 'count' for weight"):
            read_points(table("x,y\n1,2\n"), weight="count")


def test_too_many_rows_are_told_before_they_are_read(table, monkeypatch) -> None:
    monkeypatch.setattr("napari_sparse_gmm.io.table.MAX_ROWS", 999)
    monkeypatch.setattr(pd, "read_csv", None)
    path = table("x,y,frame\n" + "1.5,2.5,3\n" * 100_000)
    with pytest.raises(ValueError, match=r"about ([0-9,]+) rows, .* at most 999 rows") as raised:
        read_points(path)
    number = re.search("about ([0-9,]+) rows", str(raised.value))[1]
    assert int(number.replace(",", "")) == pytest.approx(100_000, rel=1e-3)
    assert "0.0 GB in memory with the 2 columns" in str(raised.value)


def test_components_come_back(tmp_path: Path) -> None:
    columns = {"component": np.array([1, 0]), "weight": np.array([0.1, 1 / 3])}
    write_components(tmp_path / "components.csv", columns)
    read = pd.read_csv(tmp_path / "components.csv")
    assert list(read) == ["component", "weight"]
    for name, values in columns.items():
        np.testing.assert_allclose(read[name], values, rtol=1e-15)
