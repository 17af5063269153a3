"""Text tables as programs write them: the same points however written, or one sentence."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.io.tables import read_points


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
        "x,y\r1.5,2\r3,4\r",
        "x,y\n1.5,2\n3,4,,\n",
        'x,y,remark\n1.5,2,"a,b"\n3,4,"c\nd,e"\n',
        "\n \r\n\nx,y\n1.5,2\n3,4\n",
        '# made by, one 5" program\n\n#\nx,y\n1.5,2\n3,4\n',
        "# x, y\n1.5,2\n3,4\n",
        "# made by\n#x\ty\n#\n1.5\t2\n3\t4\n",
        "#,x,y\n1,1.5,2\n2,3,4\n",
        "# one, two\nx,y\n1.5,2\n3,4\n",
        "x y\n1.5 2\n3 4\n",
        "    x    y \n  1.5  2.0 \n  3.0  4.0 \n",
        '"x" "y" "to remark"\n1,5 2 "a b c"\n3 4 "d"\n',
        "# x y\n1.5 2\n3 4\n",
        "sep=;\nx;y\n1,5;2,0\n3,0;4,0\n",
        '"sep=\t"\nx\ty\n1.5\t2\n3\t4\n',
        "Points\n=====\nx,y\n1.5,2\n3,4\n",
        "x\ty\tn\n1.5\t2\t1\n3\t4\t1\n\nVoxelSizeX : 0.1\n\0\nSizeX : 512\n",
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
        "old Macintosh",
        "separators at the end of one row",
        "separators and line ends in quotes",
        "empty lines first",
        "comments first",
        "header in a comment",
        "header in one of some comments, tab",
        "a column called #",
        "header below a comment of as many cells",
        "spaces",
        "aligned by spaces",
        "spaces, quotes, decimal comma",
        "spaces, header in a comment",
        "Excel's separator",
        "Excel's separator in quotes",
        "title above",
        "remarks below",
    ],
)
def test_same_points_however_written(table, text: str) -> None:
    np.testing.assert_array_equal(read_points(table(text)).points, [[2, 1.5], [4, 3]])


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("x;y\n1.234,5;2,0\n7,25;1.000.000,5\n", [[2, 1234.5], [1000000.5, 7.25]]),
        ("x\ty\n1,234.5\t2.0\n7.25\t1,000,000.5\n", [[2, 1234.5], [1000000.5, 7.25]]),
        ('x,y\n"1,234.5",2\n7.25,"1,000,000.5"\n', [[2, 1234.5], [1000000.5, 7.25]]),
        # A single sign is a decimal one.
        ("x;y\n1.234;2.5\n7.25;1.5\n", [[2.5, 1.234], [1.5, 7.25]]),
    ],
)
def test_thousands(table, text: str, points: list) -> None:
    np.testing.assert_array_equal(read_points(table(text)).points, points)


def test_what_a_point_means_cannot_be_known(table) -> None:
    message = r"has '1.234,5' and '0.25', and what '.' means in both cannot be known"
    with pytest.raises(InputError, match=message):
        read_points(table("x;y\n1.234,5;0.25\n2.234,5;0.75\n"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_compressed(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "points.csv.gz"
    with gzip.open(path, "wb") as file:
        file.write("x,y\n1.5,2\n3,4\n".encode(encoding))
    np.testing.assert_array_equal(read_points(path).points, [[2, 1.5], [4, 3]])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"points.csv.gz is a compressed file that cannot be read"):
        read_points(path)


def test_a_few_bytes_may_stand_for_many(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "points.csv.gz"
    monkeypatch.setattr("napari_sparse_gmm.io.text.MAX_BYTES", 1e6)
    with gzip.open(path, "wb") as file:
        file.write(b"x,y\n" + b"1.5,2\n" * 1_000_000)
    with pytest.raises(InputError, match=r"has more than 0.001 GB when it is decompressed"):
        read_points(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_known_by_its_mark(table, encoding: str) -> None:
    """As Excel saves "Unicode text"."""
    mark = "" if encoding == "utf-16" else "\ufeff"
    read = read_points(table(f"{mark}x [µm]\ty [µm]\r\n1,5\t2\r\n3\t4\r\n", encoding))
    np.testing.assert_array_equal(read.points, [[2, 1.5], [4, 3]])
    assert read.unit == "µm"


def test_units_between_spaces(table) -> None:
    read = read_points(table("x [nm] y (nm) n\n1.5 2 9\n3 4 9\n"))
    np.testing.assert_array_equal(read.points, [[2, 1.5], [4, 3]])
    assert read.unit == "nm"


def test_latin_1_micrometres(table) -> None:
    assert read_points(table("x [µm],y [µm]\n1,2\n3,4\n", "latin-1")).unit == "µm"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "points.csv is empty"),
        ("\n \n", "points.csv has only empty lines and comments: it needs a header line"),
        ('x,y\n1,"2\n', "not a regular table"),
        # As R writes row names: every cell would stand under its neighbour's name.
        ("x,y\na,1,2\nb,3,4\n", "2 columns in its header and 3 in its first row"),
        ('"x" "y"\n"a" 1 2\n', "2 columns in its header and 3 .* a name without spaces"),
        ("x,y\n1,2\n1,2,3,4\n1,2,3\n", "Line 3 of points.csv has 4 cells, and the header 2"),
        ("#\nx;y\n1;2\n1;2;;3\n", "Line 4 of points.csv has 4 cells"),
        ('x,y,n\n1,2,"a\n"\n1,2,3,4\n', "Line 4 of points.csv has 4 cells"),
        ("x y\n1 2\n3 4\n5 6 7\n", "Line 4 of points.csv has 3 cells, and the header 2"),
        ("1,2\n3,4\n", "no header line: its first line is numbers. Add one such as x,y"),
        ("1,5;-2,5e3\n3;4\n", "no header line: .* such as x;y"),
        ("# a b\n1 2 nan\n3 4 5\n", "no header line: .* such as x y"),
        ("x|y\n1|2\n", r"a single column, 'x\|y': .* commas, semicolons, tabs or spaces"),
        ("x,y\n\0\n", "not a text table"),
        ("\x89PNG\r\n\x1a\n\x08\n", "points.csv is not a text table .* nor HDF5 or Parquet"),
        (f"x,{'y' * 200_000}\n1,2\n", "points.csv cannot be read as a table"),
    ],
)
def test_says_what_is_wrong(table, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_points(table(text))


def test_utf_16_without_its_mark(table) -> None:
    with pytest.raises(InputError, match=r"not a text table .* If it is text, save it as UTF-8"):
        read_points(table("x,y\n1,2\n", "utf-16-le"))


HEADER, MARK = "id,x [nm],y [nm]\n", "\ufeff"


@pytest.mark.parametrize(
    ("text", "n"),
    [
        (f"{HEADER}1,2,3\n4,5,6\n{HEADER}7,8,9.5\n", 1),
        (f"{MARK}{HEADER}1,2,3\n{MARK}{HEADER}4,5,6\n{MARK}{HEADER}7,8,9.5\n", 2),
        (f"{HEADER}1,2,3\n{MARK}{HEADER}4,5,6\n7,8,9.5\n", 1),
        (f"{MARK}{HEADER}1,2,3\n{HEADER}4,5,6\n7,8,9.5\n", 1),
        (f"{HEADER}1,2,3\n4,5,6\n7,8,9.5\n{HEADER}".rstrip(), 1),
        (f"{HEADER}1,2,3\n4,5,6\n{HEADER}7,8,9.5\n".replace("\n", "\r\n"), 1),
        (f"sep=,\n{HEADER}1,2,3\n4,5,6\nsep=,\n{HEADER}7,8,9.5\n", 2),
        (f"# a long remark, above all\n{HEADER}1,2,3\n4,5,6\n{HEADER}7,8,9.5\n", 1),
        (f"# {HEADER}1,2,3\n4,5,6\n# {HEADER}7,8,9.5\n", 1),
        ("id,x,y\n,(nm),(nm)\n1,2,3\n4,5,6\nid,x,y\n,(nm),(nm)\n7,8,9.5\n", 2),
    ],
    ids=[
        "comma",
        "marks",
        "mark below",
        "mark above",
        "last",
        "Windows",
        "sep",
        "remark",
        "commented",
        "units below",
    ],
)
def test_joined_tables_have_their_header_once(table, text: str, n: int) -> None:
    path = table(text)
    found = read_localizations(path)
    np.testing.assert_array_equal(found.points, [[3, 2], [6, 5], [9.5, 8]])
    assert list(found.features["id"]) == [1, 4, 7]
    assert found.features["id"].dtype.kind == "i"
    said = "that repeat those above its rows, as where tables are joined, are left out"
    assert found.notes == read_points(path).notes == (f"Lines of {path.name} {said}: {n}.",)


@pytest.mark.parametrize("other", ["id,y [nm],x [nm]\n", "id,x [px],y [px]\n", "a,b,c\n"])
def test_a_header_that_is_another_one_is_no_row(table, other: str) -> None:
    with pytest.raises(InputError, match=r"must hold finite numbers, but row 2 has"):
        read_points(table(f"{HEADER}1,2,3\n{other}4,5,6\n"))


def test_many_headers_take_no_longer_than_rows(table) -> None:
    n = 20_000
    found = read_points(table("x,y\n" + "".join(f"{k},2\nx,y\n" for k in range(n))))
    np.testing.assert_array_equal(found.points[:, 1], np.arange(n))


def test_the_line_of_a_mistake_counts_all_lines(table) -> None:
    with pytest.raises(InputError, match=r"Line 5 of \S+ has 4 cells"):
        read_points(table(f"{HEADER}1,2,3\n{HEADER}\n4,5,6,7\n"))
