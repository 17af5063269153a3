import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.io.table import Table
from napari_sparse_gmm.io.tables import read_points, write_table


class TestColumns:
    def test_points_come_in_image_order(self, table) -> None:
        read = read_points(table("x,y\n1,2\n3,4\n"))
        np.testing.assert_array_equal(read.points, [[2, 1], [4, 3]])
        assert read.axis_labels == read.columns == ("y", "x")
        assert read.unit is None
        assert read.observations.weights is None

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
            ("x [um],y [µm]", "µm"),
            ("x [9**9**9],y [9**9**9]", "9**9**9"),
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

    def test_the_unit_may_be_told_where_the_header_does_not(self, table) -> None:
        assert read_points(table("x,y\n1,2\n3,4\n"), unit="micrometres").unit == "µm"
        assert read_points(table("x [um],y [um]\n1,2\n3,4\n"), unit="µm").unit == "um"
        with pytest.raises(InputError, match="are in nm, not in µm: leave the unit out"):
            read_points(table("x [nm],y [nm]\n1,2\n3,4\n"), unit="µm")
        for none in ("s", "9**9**9", ""):
            with pytest.raises(InputError, match="is no unit of coordinates"):
                read_points(table("x,y\n1,2\n3,4\n"), unit=none)

    def test_positions_in_two_units(self, table) -> None:
        """As the Nanoimager writes them."""
        header = "X (nm),Y (nm),X precision (nm),X (pix),Y (pix)"
        read = read_points(table(f"{header}\n100,200,9,1,2\n300,400,9,3,4\n"))
        np.testing.assert_array_equal(read.points, [[200, 100], [400, 300]])
        assert read.unit == "nm"

    @pytest.mark.parametrize(
        ("header", "columns"),
        [
            ("x [px],y [px],x [nm],y [nm],z [nm]", ["z [nm]", "y [nm]", "x [nm]"]),
            ("x [px],y [px],x [nm],y [nm],z", ["z", "y [nm]", "x [nm]"]),
            ("x [px],y [px],x [nm],y [nm],n", ["y [nm]", "x [nm]"]),
            ("x [px],y [px],z [px],x [nm],y [nm]", ["z [px]", "y [px]", "x [px]"]),
            ("x [nm],y [nm],z [px],z [nm],n", ["z [nm]", "y [nm]", "x [nm]"]),
            ("x,y,x_nm,y_nm,z_nm", ["z_nm", "y_nm", "x_nm"]),
            ("x,y,x [Pixel],y [Pixel],n", ["y", "x"]),
        ],
    )
    def test_the_unit_is_that_of_most_axes(self, table, header: str, columns: list[str]) -> None:
        read = read_points(table(f"{header}\n1,2,3,4,5\n6,7,8,9,0\n"))
        assert list(read.columns) == columns
        values = dict(zip(header.split(","), [1, 2, 3, 4, 5], strict=True))
        assert read.points[0].tolist() == [values[column] for column in columns]

    def test_the_axes_of_the_only_positions_may_not_differ(self, table) -> None:
        with pytest.raises(InputError, match=r"different units \(nm, px\)"):
            read_points(table("x [px],y [px],z [nm]\n1,2,3\n1,2,4\n"))

    def test_weights(self, table) -> None:
        read = read_points(table("n,x,y\n2,1,2\n3,3,4\n"), weight="n")
        np.testing.assert_array_equal(read.observations.weights, [2, 3])
        assert read.points.shape == (2, 2)

    def test_precision(self, table) -> None:
        path = table("x [nm],y [nm],uncertainty [nm],n\n1,2,5,9\n3,4,6,9\n")
        read = read_points(path, precision="uncertainty", weight="n")
        np.testing.assert_array_equal(read.observations.noise_std, [[5, 5], [6, 6]])
        assert read.unit == "nm"
        assert read_points(path).observations.noise_std is None

    def test_precision_of_z(self, table) -> None:
        path = table("x,y,z,lp,lpz\n1,2,3,5,15\n3,4,5,6,18\n")
        both = read_points(path, precision="lp", precision_z="lpz")
        np.testing.assert_array_equal(both.observations.noise_std, [[15, 5, 5], [18, 6, 6]])
        alike = read_points(path, precision="lp")
        np.testing.assert_array_equal(alike.observations.noise_std, [[5, 5, 5], [6, 6, 6]])


class TestErrors:
    """One sentence that says what came and what to do."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("x,y\n", "has a header but no rows"),
            ("a,b\n1,2\n", r"no column 'x' and no column 'y', .*; its columns are 'a', 'b'"),
            ("x,y [nm],y [px]\n1,2,3\n", r"Several columns match 'y'.*'y \[nm\]', 'y \[px\]'"),
            ("x,y\n1,2\n3,oops\n", "Column 'y' of points.csv.*row 2 has 'oops'; 1 of 2 rows"),
            ("x,y\n,2\n3,\n", "points.csv has no row with a position: its coordinates are empty"),
            ("x,y\n,2\n3,4\n5,oops\n", "row 3 has 'oops'; 1 of 2 rows"),
            ("x,x,y\n1,2,3\n", "Several columns are called 'x' .*; rename all but one"),
            ("x,y\n1,2\ninf,3\n", "row 2 has 'inf'"),
            ("x [nm],y [µm]\n1,2\n", r"different units \(µm, nm\)"),
        ],
    )
    def test_says_what_is_wrong(self, table, text: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            read_points(table(text))

    def test_a_group_that_is_not_told(self, table) -> None:
        with pytest.raises(InputError, match=r"1 of 2 rows have an empty cell; fill these in, or"):
            read_points(table("x,y,cell\n1,2,a\n3,4,\n"), group="cell")

    def test_precision_in_another_unit(self, table) -> None:
        path = table("x [nm],y [nm],lp [px]\n1,2,3\n4,5,6\n")
        with pytest.raises(InputError, match=r"lengths of points.csv .* \(nm, px\)"):
            read_points(path, precision="lp")

    def test_precision_of_z_alone(self, table) -> None:
        with pytest.raises(InputError, match="needs one of x and y"):
            read_points(table("x,y,z,lp\n1,2,3,4\n"), precision_z="lp")

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"There is no file.*nowhere\.csv"):
            read_points(tmp_path / "nowhere.csv")

    def test_named_column_that_is_not_there(self, table) -> None:
        with pytest.raises(InputError, match="no column 'count' for weight"):
            read_points(table("x,y\n1,2\n"), weight="count")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"], ids=repr)
def test_a_table_too_large_is_told_before_it_is_read(table, monkeypatch, end: str) -> None:
    monkeypatch.setattr("napari_sparse_gmm.io.table.MAX_BYTES", 1e6)
    monkeypatch.setattr(pd, "read_csv", None)
    path = table(f"x,y,frame{end}" + f"1.5,2.5,3{end}" * 100_000)
    with pytest.raises(InputError, match=r"about ([0-9,]+) rows, .* at most 0.001 GB") as raised:
        read_points(path)
    number = re.search("about ([0-9,]+) rows", str(raised.value))[1]
    assert int(number.replace(",", "")) == pytest.approx(100_000, rel=1e-3)
    assert "0.0 GB in memory with the 2 columns" in str(raised.value)


@pytest.mark.parametrize(("n_columns", "fits"), [(2, True), (30, False)])
def test_what_is_too_large_goes_by_rows_and_columns(n_columns: int, fits: bool) -> None:
    frame = pd.DataFrame({"x": [1.0]})
    names = tuple(f"column {at}" for at in range(n_columns))
    table = Table("locs.csv", names, 49_000_000, [4] * n_columns, lambda positions: frame, {})
    if fits:
        assert table.read(range(n_columns)) is frame
        return
    with pytest.raises(InputError, match=r"11\.8 GB .* the 30 columns .* at most 4 GB .* divide"):
        table.read(range(n_columns))


def test_components_come_back(tmp_path: Path) -> None:
    columns = {"component": np.array([1, 0]), "weight": np.array([0.1, 1 / 3])}
    write_table(tmp_path / "components.csv", columns)
    read = pd.read_csv(tmp_path / "components.csv")
    assert list(read) == ["component", "weight"]
    for name, values in columns.items():
        np.testing.assert_allclose(read[name], values, rtol=1e-15)


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+cmd", "'+1+cmd"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1+1", "'\t=1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\uff0b1", "'\uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\uff20SUM(A1)", "'\uff20SUM(A1)"),
        ("a;=1+1", "a;'=1+1"),
        ("a\n=1+1\t@x", "a\n'=1+1\t'@x"),
        ("a - b; c", "a - b; c"),
        ("-2.5e3", "-2.5e3"),
        ("a=b", "a=b"),
        ("", ""),
        (7, 7),
        (None, ""),
    ],
    ids=repr,
)
def test_words_are_no_formulas(tmp_path: Path, word, written) -> None:
    write_table(tmp_path / "components.csv", {"group": ["a", word], "=x": [1, 2]})
    read = pd.read_csv(tmp_path / "components.csv", dtype=str, keep_default_na=False)
    assert list(read) == ["group", "'=x"]
    assert list(read["group"]) == ["a", str(written)]


@pytest.mark.parametrize("read", [read_points, read_localizations])
def test_rows_without_a_position_are_left_out_and_told(table, read) -> None:
    found = read(table("n,x,y\n1,1,2\n2,,\n3,NaN,4\n4,5,6\n5,7,\n"))
    assert found.points.tolist() == [[2, 1], [6, 5]]
    assert found.notes == ("3 of 5 rows of points.csv have no position and are left out.",)
    if read is read_localizations:
        assert found.features["n"].tolist() == [1, 4]
        assert found.features.index.tolist() == [0, 1]
    assert read(table("x,y\n1,2\n3,4\n")).notes == ()


def test_points_without_a_precision_are_left_out_and_told(table) -> None:
    text = "x,y,lp,n\n1,2,9,1\n3,4,,2\n5,6,inf,3\n7,8,-1,4\n9,10,0,5\n11,12,1e6,6\n,14,2,7\n"
    found = read_points(table(text), precision="lp", weight="n")
    assert found.points.tolist() == [[2, 1], [12, 11]]
    np.testing.assert_array_equal(found.observations.noise_std[:, 0], [9, 1e6])
    np.testing.assert_array_equal(found.observations.weights, [1, 6])
    assert found.notes == (
        "1 of 7 rows of points.csv have no position and are left out.",
        "4 of 6 rows of points.csv have no precision in 'lp' and are left out.",
    )
    assert len(read_points(table(text)).points) == 6  # where nobody asks for it


def test_a_precision_of_0_throughout_is_one(table) -> None:
    found = read_points(table("x,y,lp\n1,2,0\n3,4,0\n"), precision="lp")
    np.testing.assert_array_equal(found.observations.noise_std, 0)
    with pytest.raises(InputError, match=r"Column 'lp' of points.csv is no precision: none of its"):
        read_points(table("x,y,lp\n1,2,-1\n3,4,bad\n"), precision="lp")
