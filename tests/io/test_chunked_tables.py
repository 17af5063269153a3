"""Tables that are read part by part: the same points as of the whole, whatever the parts."""

import pickle
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_sparse_gmm.chunked import joined
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.chunked_tables import open_chunked
from napari_sparse_gmm.io.formats import open_table
from napari_sparse_gmm.io.tables import ColumnNames, read_points

SIZES = [1, 2, 3, 4, 5, 7, 11, 20, 30, 49, 50, 51, 1000]


@pytest.fixture
def part_of(monkeypatch):
    """Sets how many rows a part has, about."""
    return lambda n: monkeypatch.setattr("napari_sparse_gmm.io.chunked_tables._ROWS", n)


def same(found, expected) -> None:
    """The same points, weights and precision, in the same order."""
    np.testing.assert_array_equal(found.points, expected.points)
    for one, other in ((found.weights, expected.weights), (found.noise, expected.noise)):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one, other)


def as_whole(path: Path, precision="auto", **names):
    """The table in parts, of which the points are those of the whole."""
    whole = read_points(path, precision=precision, **names)
    table = open_chunked(path, ColumnNames(precision=precision, **names))
    same(joined(table.chunked), whole.observations)
    assert table.axis_labels == whole.axis_labels
    assert table.columns == whole.columns
    assert table.unit == whole.unit
    assert table.precision == whole.precision
    assert table.chunked.n_dimensions == whole.points.shape[1]
    return table


def as_text(frame: pd.DataFrame, separator=",", decimal=".", end="\n") -> str:
    return frame.to_csv(index=False, sep=separator, decimal=decimal, lineterminator=end)


# The words of `dye` hold no sign that separates cells.
TEXTS = {
    "commas": lambda frame: as_text(frame).encode(),
    "CRLF": lambda frame: as_text(frame, end="\r\n").encode(),
    "old Macintosh": lambda frame: as_text(frame, end="\r").encode(),
    "byte order mark": lambda frame: as_text(frame).encode("utf-8-sig"),
    "tabs": lambda frame: as_text(frame, "\t").encode(),
    "semicolons, decimal commas": lambda frame: as_text(frame, ";", ",", "\r\n").encode(),
    "spaces, decimal commas": lambda frame: as_text(frame, " ", ",").encode(),
    "comments": lambda frame: b"# made by, one program\n\n#\n" + as_text(frame).encode(),
    "header in a comment": lambda frame: b"# made by\n# " + as_text(frame).encode(),
    "no line end at the end": lambda frame: as_text(frame).rstrip().encode(),
    "empty lines at the end": lambda frame: (as_text(frame) + "\n\n\n").encode(),
    "empty lines between": lambda frame: as_text(frame).replace("\n", "\n\n").encode(),
    "separator at the end": lambda frame: as_text(frame).replace("\n", ",\n").encode(),
}


class TestPartsOfText:
    @pytest.mark.parametrize("name", TEXTS)
    def test_no_row_is_lost_or_doubled_at_any_size(self, name, cells, tmp_path, part_of) -> None:
        path = tmp_path / "points.csv"
        path.write_bytes(TEXTS[name](cells))
        numbers = []
        for size in SIZES:
            part_of(size)
            numbers.append(len(as_whole(path).chunked.chunks))
        assert numbers[-1] == 1
        assert numbers[0] > 20 or name == "old Macintosh"

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100])
    def test_line_ends_in_quotes_end_no_row(self, table, part_of, size: int) -> None:
        path = table('x,y,remark\n1.5,2,"a,b"\n3,4,"c\nd,e"\n5,6,"f\n\n7,8,g"\n9,10,h\n')
        part_of(size)
        as_whole(path)

    @pytest.mark.parametrize("size", [1, 2, 3, 4])
    def test_rows_with_fewer_cells_than_the_header_are_those_of_the_whole(
        self, table, part_of, size: int
    ) -> None:
        path = table("x,y,n\n1,2,9\n3,4\n5,6,7\n8\n9,10,11\n")
        part_of(size)
        as_whole(path)

    def test_latin_1_micrometres(self, cells, tmp_path, part_of) -> None:
        path = tmp_path / "points.csv"
        named = cells.rename(columns=lambda column: column.replace("nm", "µm"))
        path.write_bytes(as_text(named).encode("latin-1"))
        part_of(7)
        table = as_whole(path)
        assert table.unit == "µm"
        assert len(table.chunked.chunks) > 5

    def test_utf_16_is_one_part(self, cells, tmp_path, part_of) -> None:
        path = tmp_path / "points.csv"
        path.write_bytes(as_text(cells, "\t", ",", "\r\n").encode("utf-16"))
        part_of(7)
        assert len(as_whole(path).chunked.chunks) == 1

    def test_parts_have_about_as_many_rows_as_asked_for(self, table, part_of) -> None:
        path = table("x,y\n" + "".join(f"{x},20\n" for x in range(1000, 2000)))
        part_of(100)
        sizes = [len(points) for points in as_whole(path).chunked]
        assert sum(sizes) == 1000
        assert max(sizes) <= 110

    def test_a_row_that_is_too_long_is_told_in_any_part(self, table, part_of) -> None:
        path = table("x,y\n" + "1,2\n3,4\n" * 20 + "1,2,3,4\n" + "5,6\n" * 20)
        part_of(5)
        chunked = open_chunked(path).chunked
        with pytest.raises(InputError, match="has 4 cells, and the header 2"):
            joined(chunked)

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        rows=st.lists(
            st.tuples(st.integers(-9, 10**6), st.floats(-1e9, 1e9)),
            min_size=1,
            max_size=40,
            unique=True,
        ),
        end=st.sampled_from(["\n", "\r\n"]),
        size=st.integers(1, 45),
    )
    def test_rows_of_any_length(self, rows, end, size, table, part_of) -> None:
        path = table("x,y" + end + "".join(f"{x},{y!r}{end}" for x, y in rows))
        part_of(size)
        as_whole(path)


class TestPartsOfParquet:
    @pytest.mark.parametrize("group", [1, 7, 50])
    def test_no_row_is_lost_or_doubled_at_any_size(self, cells, tmp_path, part_of, group) -> None:
        path = tmp_path / "points.parquet"
        cells.to_parquet(path, row_group_size=group)
        for size in SIZES:
            part_of(size)
            table = as_whole(path)
            assert table.n_rows == 50
            # Groups are not cut, and put together where they fit in.
            rows = [len(points) for points in table.chunked]
            assert max(rows) <= max(size, group)
            assert all(one + other > size for one, other in pairwise(rows))

    def test_a_group_without_rows_is_no_part(self, cells, tmp_path, part_of) -> None:
        path = tmp_path / "points.parquet"
        whole = pa.Table.from_pandas(cells, preserve_index=False)
        with pq.ParquetWriter(path, whole.schema) as file:
            for rows in (whole[:0], whole[:20], whole[20:20], whole[20:]):
                file.write_table(rows)
        for size in (5, 20, 1000):
            part_of(size)
            as_whole(path)

    def test_parts_know_their_rows(self, cells, tmp_path) -> None:
        path = tmp_path / "points.parquet"
        cells.to_parquet(path, row_group_size=20)
        table = open_table(path)
        assert table.parts is not None
        parts = [open_table(path, part) for part in table.parts(20)]
        assert [part.n_rows for part in parts] == [20, 20, 10]
        assert {part.columns for part in parts} == {table.columns}
        assert [len(part.read([2])) for part in parts] == [20, 20, 10]


def test_localizations_of_picasso_are_one_part(picasso, part_of) -> None:
    x = np.arange(20.0)
    path = picasso({"x": x, "y": x[::-1], "lpx": 0.01 + x / 1000, "lpy": 0.02 + x / 1000})
    part_of(5)
    table = as_whole(path)
    assert len(table.chunked.chunks) == 1
    assert (table.unit, table.precision) == ("nm", ("lpx [nm]", "lpy [nm]"))


class TestFolders:
    @pytest.fixture
    def folder(self, cells, tmp_path) -> Path:
        """Rows of `cells` in their order by the names of files, in three formats."""
        folder = tmp_path / "tables"
        folder.mkdir()
        cells[20:35].to_csv(folder / "b.csv", index=False)
        cells[:20].to_parquet(folder / "a.parquet", index=False)
        cells[35:].to_csv(folder / "c.TXT", index=False, sep="\t")
        return folder

    def test_tables_come_in_the_order_of_their_names(self, folder, cells, part_of) -> None:
        for size in (4, 1000):
            part_of(size)
            table = open_chunked(folder)
            found = joined(table.chunked)
            np.testing.assert_array_equal(found.points, cells[["y [nm]", "x [nm]"]])
            assert (table.unit, table.precision) == ("nm", ("uncertainty [nm]",))
            assert table.n_rows == pytest.approx(50, abs=3)

    def test_hidden_and_foreign_files_are_ignored(self, folder, cells) -> None:
        for name in (".a.csv", "_metadata.parquet", "readme.md", "picture.png", "b.csv.gz"):
            (folder / name).write_text("no table")
        (folder / "checkpoints").mkdir()
        found = joined(open_chunked(folder).chunked)
        np.testing.assert_array_equal(found.points, cells[["y [nm]", "x [nm]"]])

    def test_what_dask_and_spark_write_is_a_folder_of_tables(self, cells, tmp_path) -> None:
        folder = tmp_path / "points.parquet"
        folder.mkdir()
        for name in ("_SUCCESS", "_metadata", "_common_metadata", ".part.0.parquet.crc"):
            (folder / name).write_bytes(b"PAR1")
        for k, rows in enumerate((cells[:20], cells[20:30], cells[30:])):
            rows.to_parquet(folder / f"part.{k}.parquet")
        table = open_chunked(folder)
        assert len(table.chunked.chunks) == 3
        np.testing.assert_array_equal(joined(table.chunked).points, cells[["y [nm]", "x [nm]"]])

    def test_a_folder_without_tables_is_one_sentence(self, tmp_path) -> None:
        (tmp_path / "readme.md").write_text("no table")
        (tmp_path / ".a.csv").write_text("x,y\n1,2\n")
        with pytest.raises(InputError, match=r"There is no table in the folder .*: none of \.parq"):
            open_chunked(tmp_path)

    def test_columns_may_stand_in_another_order(self, tmp_path) -> None:
        (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
        (tmp_path / "b.csv").write_text("y,n,x\n6,0,5\n8,0,7\n")
        found = joined(open_chunked(tmp_path).chunked)
        np.testing.assert_array_equal(found.points, [[2, 1], [4, 3], [6, 5], [8, 7]])

    def test_a_table_with_other_columns_is_named(self, tmp_path) -> None:
        (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
        (tmp_path / "b.csv").write_text("x,z\n5,6\n")
        with pytest.raises(InputError, match=r"no column 'y' for y in b\.csv"):
            joined(open_chunked(tmp_path).chunked)

    @pytest.mark.parametrize(
        "headers",
        [
            ("x [nm],y [nm]", "x [um],y [um]"),
            ("x [nm],y [nm]", "x [um],y [um]", "x [nm],y [nm]"),
            ("x [nm],y [nm]", "x [um],y [um]", "x,y"),
        ],
        ids=" | ".join,
    )
    def test_tables_in_different_units_are_not_mixed(self, tmp_path, headers) -> None:
        for k, header in enumerate(headers):
            (tmp_path / f"{k}.csv").write_text(f"{header}\n1,2\n3,4\n")
        with pytest.raises(InputError, match=r"no column '[xy]( \[[nu]m\])?'|different units"):
            joined(open_chunked(tmp_path).chunked)


class TestColumns:
    @pytest.mark.parametrize("names", [{}, {"x": "b", "y": "a"}, {"z": "n"}], ids=str)
    def test_axes_are_found_or_named(self, table, part_of, names: dict) -> None:
        rows = "".join(f"{k},{k + 1},{k % 7},{k * 2},{k * k}\n" for k in range(30))
        path = table("x [um],y [um],n,a,b\n" + rows)
        part_of(7)
        found = as_whole(path, **names)
        assert found.axis_labels == (("z", "y", "x") if "z" in names else ("y", "x"))
        assert len(found.chunked.chunks) > 2

    @pytest.mark.parametrize("size", [4, 1000])
    def test_a_flat_z_is_no_axis(self, table, part_of, size: int) -> None:
        path = table("x,y,z\n" + "".join(f"{k},{k + 1},5\n" for k in range(30)))
        part_of(size)
        assert as_whole(path).axis_labels == ("y", "x")
        # But where somebody names it.
        assert as_whole(path, z="z").axis_labels == ("z", "y", "x")

    @pytest.mark.parametrize(
        "z",
        [
            lambda k: k,
            lambda k: 0 if k < 15 else k,
            lambda k: k if k < 15 else 0,
            lambda k: 0 if k < 15 else 5,  # flat in each part
        ],
        ids=["in all", "in the last", "in the first", "from part to part"],
    )
    def test_a_z_that_differs_is_an_axis(self, table, part_of, z) -> None:
        path = table("x,y,z\n" + "".join(f"{k},{k + 10},{z(k)}\n" for k in range(10, 40)))
        for size in (1000, 15, 4):
            part_of(size)
            assert as_whole(path).axis_labels == ("z", "y", "x")

    def test_a_z_that_differs_from_table_to_table_is_an_axis(self, tmp_path) -> None:
        """As of a stack of slices."""
        for k in range(3):
            (tmp_path / f"{k}.csv").write_text(f"x,y,z\n1,2,{k}\n3,4,{k}\n")
        table = open_chunked(tmp_path)
        assert table.axis_labels == ("z", "y", "x")
        assert joined(table.chunked).points[:, 0].tolist() == [0, 0, 1, 1, 2, 2]

    def test_precision_is_found_absent_or_named(self, cells, tmp_path, part_of) -> None:
        path = tmp_path / "points.csv"
        cells.assign(own=np.arange(50.0) + 1).to_csv(path, index=False)
        part_of(7)
        assert as_whole(path).precision == ("uncertainty [nm]",)
        assert as_whole(path, "own").precision == ("own",)
        assert as_whole(path, None).precision == ()
        assert open_chunked(path).precision == ("uncertainty [nm]",)  # as it is by default
        cells.drop(columns="uncertainty [nm]").to_csv(path, index=False)
        assert as_whole(path).precision == ()

    @pytest.mark.parametrize("z", ["changing", "flat", "flat at first"])
    def test_precision_of_z_goes_with_it(self, table, part_of, z: str) -> None:
        rng = np.random.default_rng(0)
        columns = ["x", "y", "z", "lpx", "lpy", "lpz"]
        frame = pd.DataFrame(rng.uniform(1, 9, (40, 6)), columns=columns)
        frame.loc[: {"changing": -1, "flat": 39, "flat at first": 19}[z], "z"] = 0.0
        path = table(as_text(frame))
        part_of(8)
        whole = read_points(path, precision="auto")
        found = joined(open_chunked(path).chunked)
        same(found, whole.observations)
        named = ColumnNames(precision="lpx", precision_z="lpz" if z != "flat" else None)
        same(joined(open_chunked(path, named).chunked), whole.observations)

    def test_weights(self, cells, tmp_path, part_of) -> None:
        path = tmp_path / "points.parquet"
        cells.to_parquet(path, row_group_size=9)
        part_of(9)
        table = as_whole(path, weight="frame")
        found = joined(table.chunked)
        np.testing.assert_array_equal(found.weights, cells["frame"])

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            ({"weight": "count"}, "no column 'count' for weight in points.csv"),
            ({"x": "a", "y": "y"}, "no column 'a' for x in points.csv"),
            ({"precision": "lp"}, "no column 'lp' for precision in points.csv"),
            ({"precision": "y", "precision_z": "q"}, "no column 'q' for precision of z in points"),
            ({"precision_z": "y"}, "needs one of x and y"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("size", [4, 1000])
    def test_a_column_that_is_missing_is_named(self, table, part_of, names, message, size) -> None:
        path = table("x,y\n" + "1,2\n3,4\n" * 10)
        part_of(size)
        with pytest.raises(InputError, match=message):
            open_chunked(path, ColumnNames(**names))

    def test_what_is_no_table_is_one_sentence(self, tmp_path, table) -> None:
        with pytest.raises(InputError, match=r"There is no file.*nowhere\.csv"):
            open_chunked(tmp_path / "nowhere.csv")
        with pytest.raises(InputError, match="has a header but no rows"):
            open_chunked(table("x,y\n"))


class TestRowsThatAreLeftOut:
    @pytest.mark.parametrize("size", SIZES)
    def test_those_without_a_position(self, cells, tmp_path, part_of, size: int) -> None:
        """Also where a part has no others."""
        cells.loc[[3, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26], "x [nm]"] = np.nan
        cells.loc[40, "y [nm]"] = np.nan
        part_of(size)
        cells.to_csv(tmp_path / "points.csv", index=False)
        as_whole(tmp_path / "points.csv")
        cells.to_parquet(tmp_path / "points.parquet", row_group_size=5)
        as_whole(tmp_path / "points.parquet")

    @pytest.mark.parametrize("size", [15, 25, 1000])
    def test_those_without_a_precision(self, cells, tmp_path, part_of, size: int) -> None:
        cells.loc[[3, 17, 31], "uncertainty [nm]"] = [np.nan, np.inf, -1.0]
        cells.loc[44, "uncertainty [nm]"] = 0.0
        part_of(size)
        path = tmp_path / "points.csv"
        cells.to_csv(path, index=False)
        assert len(joined(as_whole(path).chunked)) == 46
        assert len(joined(as_whole(path, "uncertainty").chunked)) == 46
        assert len(joined(as_whole(path, None).chunked)) == 50

    @pytest.mark.parametrize("none", [np.nan, 0.0])
    def test_a_part_in_which_none_has_a_precision(self, cells, tmp_path, part_of, none) -> None:
        """Is left out as a whole, as its rows are where others are with them."""
        cells.loc[20:29, "uncertainty [nm]"] = none
        part_of(10)
        path = tmp_path / "points.parquet"
        cells.to_parquet(path, row_group_size=10)
        assert len(joined(as_whole(path).chunked)) == 40


# Header, and the columns of z, y and x.
PROGRAMS = {
    "Xenium": ("transcript_id,x_location,y_location,z_location,qv", [3, 2, 1]),
    "MERSCOPE": ("barcode_id,global_x,global_y,global_z,x,y,fov", [3, 2, 1]),
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables_of_programs_keep_their_meaning(tmp_path, part_of, program, ending) -> None:
    header, axes = PROGRAMS[program]
    columns = header.split(",")
    values = np.random.default_rng(0).uniform(1, 99, (40, len(columns)))
    frame = pd.DataFrame(values, columns=columns)
    path = tmp_path / f"transcripts.{ending}"
    if ending == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, row_group_size=8)
    part_of(8)
    table = as_whole(path)
    assert len(table.chunked.chunks) >= 5
    assert (table.unit, table.axis_labels) == ("µm", ("z", "y", "x"))
    np.testing.assert_array_equal(joined(table.chunked).points, values[:, axes])
    parts = [open_table(path, part) for part in open_table(path).parts(8)]
    assert {part.columns for part in parts} == {open_table(path).columns}
    assert all(part.about["program"] == program for part in parts)


@pytest.mark.parametrize("ending", ["csv", "parquet", "hdf5"])
def test_chunks_can_be_sent_to_other_processes(cells, tmp_path, part_of, ending) -> None:
    path = tmp_path / f"points.{ending}"
    if ending == "csv":
        cells.to_csv(path, index=False)
    elif ending == "parquet":
        cells.to_parquet(path, row_group_size=9)
    else:
        locs = cells.rename(columns=lambda name: name.split(" ")[0]).drop(columns="dye")
        with h5py.File(path, "w") as file:
            file["locs"] = locs.to_records(index=False)
        path.with_suffix(".yaml").write_text("Pixelsize: 130\n")
    part_of(9)
    chunks = open_chunked(path, ColumnNames(precision="auto", weight="frame")).chunked.chunks
    assert len(chunks) == 1 if ending == "hdf5" else len(chunks) > 3
    for chunk in chunks:
        loaded = chunk.load()
        same(pickle.loads(pickle.dumps(chunk)).load(), loaded)
        same(chunk.delayed.compute(scheduler="synchronous"), loaded)
        same(chunk.load(), loaded)


def test_a_header_between_parts_is_no_row(tmp_path: Path, part_of) -> None:
    """Wherever parts end: joined tables have the points that they have as a whole."""
    path = tmp_path / "points.csv"
    path.write_text("".join("x,y\n" + "".join(f"{k},{n}\n" for k in range(7)) for n in range(5)))
    expected = read_points(path).points
    assert len(expected) == 35
    for n in (1, 2, 3, 5, 8):
        part_of(n)
        np.testing.assert_array_equal(joined(open_chunked(path).chunked).points, expected)
