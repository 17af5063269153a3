"""Ranges: which rows of a table, and which points of a layer, a fit is of."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_sparse_gmm.cli import main
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.chunked_tables import open_chunked
from napari_sparse_gmm.io.models import load_model
from napari_sparse_gmm.io.tables import ColumnNames, read_points
from napari_sparse_gmm.ranges import Range


@pytest.mark.parametrize(
    ("text", "low", "high", "words"),
    [
        ("photons=500:2000", 500.0, 2000.0, "photons 500 to 2000"),
        ("photons=500:", 500.0, math.inf, "photons from 500"),
        ("photons=:-1e3", -math.inf, -1000.0, "photons up to -1000"),
        ("a=b [nm]=1:1", 1.0, 1.0, "a=b [nm] 1 to 1"),
    ],
)
def test_limits_as_they_are_written(text: str, low: float, high: float, words: str) -> None:
    found = Range.parse(text)
    assert (found.low, found.high, str(found)) == (low, high, words)
    assert Range.parse(found.text) == found


@pytest.mark.parametrize("text", ["photons", "photons=5", "=1:2", "p=a:b", "p=2:1", "p=nan:", ""])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="range"):
        Range.parse(text)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    clustered = [300.0, 700.0] + 10.0 * rng.standard_normal((200, 2))
    y, x = np.concatenate([clustered, rng.uniform(0.0, 1000.0, (600, 2))]).T
    frame = pd.DataFrame({"x [nm]": x, "y [nm]": y})
    frame["intensity [photon]"] = np.where(np.arange(800) < 10, np.nan, rng.uniform(0, 1000, 800))
    frame["sigma"] = rng.uniform(100.0, 200.0, 800)
    frame.to_csv(tmp_path / "points.csv", index=False)
    return tmp_path / "points.csv"


def test_rows_outside_are_left_out_and_told(table: Path) -> None:
    ranges = Range("intensity", 200.0, 800.0), Range("sigma", high=150.0)
    rows = pd.read_csv(table)
    bright = rows["intensity [photon]"].between(200.0, 800.0)
    left = rows[bright & (rows["sigma"] <= 150.0)]
    found = read_points(table, ranges=ranges)
    np.testing.assert_array_equal(found.points, left[["y [nm]", "x [nm]"]])
    assert found.notes == (
        f"{800 - bright.sum()} of 800 rows of points.csv are outside of intensity 200 to 800 and "
        "left out.",
        f"{bright.sum() - len(left)} of {bright.sum()} rows of points.csv are outside of sigma up "
        "to 150 and left out.",
    )
    parts = open_chunked(table, ColumnNames(ranges=ranges)).chunked
    chunks = np.concatenate([part.points for part in parts])
    np.testing.assert_array_equal(chunks, found.points)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [("photons=1:2", "photons"), ("sigma=500:", "No row of points.csv has sigma from 500")],
)
def test_a_filter_of_nothing_is_refused(table, tmp_path, capsys, chosen, words) -> None:
    assert main(["fit", str(table), "--out", str(tmp_path / "out"), "--filter", chosen]) == 2
    assert words in capsys.readouterr().err


def test_the_model_says_what_it_is_of(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["fit", str(table), "--out", str(out), "--engine", "torch", "--random-state", "0"]
    assert main([*command, "--filter", "intensity=200:", "--filter", "sigma=:190"]) == 0
    model = load_model(out / "model.json")
    assert model.provenance["ranges"] == {"intensity": [200.0, "inf"], "sigma": ["-inf", 190.0]}
    rows = pd.read_csv(table)
    n = ((rows["intensity [photon]"] >= 200.0) & (rows["sigma"] <= 190.0)).sum()
    assert model.fitted[0].n_points == n
