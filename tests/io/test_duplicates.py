"""Rows that a table has twice are left out, and said; points at one place are not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_sparse_gmm.chunked import joined
from napari_sparse_gmm.io.chunked_tables import open_chunked
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.io.tables import read_points

READERS = read_points, read_localizations


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_a_table_joined_with_itself(cells, tmp_path: Path, read, ending: str) -> None:
    path = tmp_path / f"twice{ending}"
    twice = pd.concat([cells, cells.iloc[::-1]])
    twice.to_parquet(path) if ending == ".parquet" else twice.to_csv(path, index=False)
    found = read(path)
    np.testing.assert_array_equal(found.points, cells[["y [nm]", "x [nm]"]])
    (note,) = found.notes
    assert note.startswith(f"50 of 100 rows of twice{ending} repeat an earlier row in each column")


def test_of_picasso(picasso) -> None:
    columns = {"frame": [1, 1, 2], "x": [1.0, 1.0, 1.0], "y": [2.0, 2.0, 2.0]}
    for read in READERS:
        found = read(picasso(columns))
        assert len(found.points) == 2
        assert found.notes[0].startswith("1 of 3 rows of locs.hdf5 repeat an earlier row")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ("1,2,0,\n1,2,1,\n", [0, 1]),  # another frame
        ("1,2,0,a\n1,2,0,b\n", [0, 1]),
        ("1,2,0,\n1,2,0,\n", [0]),  # two empty cells are the same
        ("0,2,0,a\n-0,2,0,a\n", [0]),
        ("1,2,0,a\n3,4,0,a\n1,2,0,a\n1,2,0,a\n", [0, 1]),
        ("1,2,0,a\n,4,0,a\n1,2,0,a\n,4,0,a\n", [0]),  # below rows without a position
        ("1,2,0,a\n2,1,0,a\n", [0, 1]),
    ],
)
def test_rows(table, read, rows: str, kept: list[int]) -> None:
    path = table(f"x,y,frame,dye\n{rows}")
    expected = pd.read_csv(path).iloc[kept]
    np.testing.assert_array_equal(read(path).points, expected[["y", "x"]])
    if read is read_localizations:
        assert list(read(path).features["frame"]) == list(expected["frame"])


def test_that_another_column_cannot_be_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"x": [1.0, 1.0, 2.0], "y": 1.0, "tags": [["a"], ["b"], []]}).to_parquet(path)
    found = read_points(path)
    assert len(found.points) == 3
    assert found.notes[0].startswith("2 of 3 rows of a.parquet are at the same place as others.")


def test_parts_keep_them(table, monkeypatch) -> None:
    """What points there are does not depend on how large the parts are."""
    path = table("x,y\n" + "1,2\n" * 30)
    for size in (7, 20):
        monkeypatch.setattr("napari_sparse_gmm.io.chunked_tables._ROWS", size)
        assert len(joined(open_chunked(path).chunked)) == 30


def test_mixed_numbers_of_many_rows_are_as_different_as_the_rows(table) -> None:
    rows = np.random.default_rng(0).integers(0, 60, (3000, 2))
    path = table(pd.DataFrame(rows, columns=["x", "y"]).to_csv(index=False))
    assert len(read_points(path).points) == len(np.unique(rows, axis=0))
