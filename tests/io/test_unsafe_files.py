"""Files that want more than to be read: pipes, links to elsewhere, bombs, damage."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io import picasso
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.io.models import is_model, load_model
from napari_sparse_gmm.io.regions import read_regions
from napari_sparse_gmm.io.tables import read_points

LOCS = {"x": np.arange(4.0), "y": np.arange(4.0)}
TABLE = np.array([(1.0, 2.0)], dtype=[("x", "f4"), ("y", "f4")])


def said(read: Callable[[Path], object], path: Path) -> str:
    """What a reader says against a file; nothing where it reads it."""
    try:
        read(path)
    except InputError as error:
        return str(error)
    return ""


@pytest.fixture
def within() -> Iterator[Callable[[float], None]]:
    """Says that the test may not take longer; ten times what it takes alone, or more."""
    started, limit = time.perf_counter(), []
    yield limit.append
    assert time.perf_counter() - started < limit[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name")
class TestNoFiles:
    """Whoever opens a pipe waits for somebody who writes to it."""

    @pytest.fixture(params=["pipe", "device", "folder"])
    def make(self, request: pytest.FixtureRequest) -> Callable[[Path], object]:
        return {
            "pipe": os.mkfifo,
            "device": lambda path: path.symlink_to("/dev/zero"),
            "folder": Path.mkdir,
        }[request.param]

    @pytest.mark.parametrize(
        ("read", "name"),
        [
            (read_points, "a.csv"),
            (read_points, "a.hdf5"),
            (read_localizations, "a.parquet"),
            (load_model, "a.json"),
            (load_model, "a.gmm.json"),
            (read_regions, "a.csv"),
        ],
        ids=str,
    )
    def test_are_not_opened(self, tmp_path: Path, make, read, name: str) -> None:
        make(tmp_path / name)
        with pytest.raises(InputError, match="is a folder, a pipe or a device, and no file"):
            read(tmp_path / name)
        assert not is_model(tmp_path / name)

    def test_beside_a_file(self, picasso, make) -> None:
        path = picasso(LOCS, None)
        make(path.with_suffix(".yaml"))
        with pytest.raises(InputError, match=r"locs\.yaml is a folder, a pipe or a device"):
            read_points(path)


class TestLinks:
    """What a file points to may be what only its reader may read."""

    @pytest.fixture
    def secret(self, tmp_path: Path) -> Path:
        path = tmp_path / "secret.hdf5"
        with h5py.File(path, "w") as file:
            file["locs"], file["plain"], file["metadata"] = TABLE, np.arange(9.0), "Pixelsize: 9"
        return path

    @pytest.mark.parametrize("name", ["locs", "metadata"])
    @pytest.mark.parametrize("kind", ["external", "soft", "to nowhere"])
    def test_are_not_followed(self, picasso, secret: Path, name: str, kind: str) -> None:
        path = picasso(LOCS, None if name == "metadata" else "Pixelsize: 100\n")
        with h5py.File(path, "a") as file:
            file.pop(name, None)
            target = "nowhere" if kind == "to nowhere" else name
            file["other" if kind == "soft" else name] = h5py.ExternalLink(str(secret), target)
            if kind == "soft":
                file[name] = h5py.SoftLink("/other")
        with pytest.raises(InputError, match=f"'{name}' is not in locs.hdf5 itself"):
            read_points(path)

    def test_a_virtual_dataset_is_not_read(self, tmp_path: Path, secret: Path) -> None:
        path = tmp_path / "locs.hdf5"
        path.with_suffix(".yaml").write_text("Pixelsize: 100\n")
        layout = h5py.VirtualLayout(shape=(1,), dtype=TABLE.dtype)
        layout[:] = h5py.VirtualSource(str(secret), "locs", shape=(1,))
        with h5py.File(path, "w") as file:
            file.create_virtual_dataset("locs", layout)
        with pytest.raises(InputError, match=r"'locs' is not in locs.hdf5 itself"):
            read_points(path)

    def test_external_storage_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "locs.hdf5"
        path.with_suffix(".yaml").write_text("Pixelsize: 100\n")
        (tmp_path / "secret").write_bytes(TABLE.tobytes())
        with h5py.File(path, "w") as file:
            external = [(str(tmp_path / "secret"), 0, TABLE.nbytes)]
            file.create_dataset("locs", (1,), TABLE.dtype, external=external)
        with pytest.raises(InputError, match=r"'locs' is not in locs.hdf5 itself"):
            read_points(path)


class TestBombs:
    """Small files that say they are large."""

    def test_wide_words_in_hdf5(self, tmp_path: Path) -> None:
        path = tmp_path / "locs.hdf5"
        path.with_suffix(".yaml").write_text("Pixelsize: 100\n")
        with h5py.File(path, "w") as file:
            dtype = np.dtype([("x", "f4"), ("y", "f4"), ("name", "S100000")])
            file.create_dataset("locs", (10**6,), dtype, chunks=(10,))
        with pytest.raises(InputError, match=r"100\.0 GB in memory with the 3 columns"):
            read_localizations(path)

    def test_large_pieces_in_hdf5(self, tmp_path: Path) -> None:
        path = tmp_path / "locs.hdf5"
        path.with_suffix(".yaml").write_text("Pixelsize: 100\n")
        with h5py.File(path, "w") as file:
            dtype = np.dtype([("x", "f4"), ("y", "f4"), ("name", "S100000")])
            file.create_dataset("locs", (10,), dtype, chunks=(42_000,), maxshape=(None,))
        with pytest.raises(InputError, match=r"in pieces of 4\.2 GB"):
            read_points(path)

    @pytest.mark.parametrize("place", ["data/xyz", "saveloc/loc/xnm"])
    def test_large_pieces_of_an_array_of_hdf5(self, tmp_path: Path, place: str) -> None:
        path = tmp_path / "sml.h5"
        with h5py.File(path, "w") as file:
            for name in (place, "saveloc/loc/ynm"):
                width = 3 if name.endswith("xyz") else 1
                shape, chunks = (5, width), (3 * 10**8, width)
                file.create_dataset(name, shape, "f4", chunks=chunks, maxshape=(None, width))
            file.create_group("meta").attrs["xy_unit"] = "nm"
        with pytest.raises(InputError, match=r"' in sml\.h5 is in pieces of \d\.\d GB"):
            read_points(path)

    def test_many_pieces_in_hdf5(self, tmp_path: Path, monkeypatch) -> None:
        """They are read some at a time; which does not change what is read."""
        monkeypatch.setattr(picasso, "_PIECES", 2)
        path = tmp_path / "locs.hdf5"
        path.with_suffix(".yaml").write_text("Pixelsize: 100\n")
        rows = np.zeros(20, [("x", "f4"), ("y", "f4")])
        rows["x"], rows["y"] = np.arange(20), np.arange(20) ** 2
        with h5py.File(path, "w") as file:
            file.create_dataset("locs", data=rows, chunks=(3,))
        expected = 100.0 * np.stack([np.arange(20) ** 2, np.arange(20)], axis=1)
        np.testing.assert_array_equal(read_points(path).points, expected)

    def test_many_settings_in_hdf5(self, tmp_path: Path) -> None:
        """Each of another length: what they cost is what they take to be looked at once."""
        path = tmp_path / "sml.h5"
        with h5py.File(path, "w", libver="latest") as file:
            file["locs/xnm"], file["locs/ynm"] = np.arange(5.0), np.arange(5.0) ** 2
            for n in range(1000):
                file[f"locs/setting{n}"] = np.zeros(n + 6, "i1")
        found = read_localizations(path)
        np.testing.assert_array_equal(found.points, np.c_[np.arange(5.0) ** 2, np.arange(5.0)])
        assert not list(found.features)

    def test_many_references_to_words_in_hdf5(self, tmp_path: Path) -> None:
        path = tmp_path / "locs.hdf5"
        path.with_suffix(".yaml").write_text("Pixelsize: 100\n")
        with h5py.File(path, "w") as file:
            dtype = np.dtype([("x", "f4"), ("y", "f4"), ("name", h5py.string_dtype())])
            file.create_dataset("locs", (10,), dtype)
        with pytest.raises(InputError, match="words of any length"):
            read_localizations(path)

    def test_words_in_parquet(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("napari_sparse_gmm.io.parquet.MAX_BYTES", 1e8)
        path, n = tmp_path / "locs.parquet", 20_000
        pq.write_table(
            pa.table({"x": np.arange(n), "y": np.arange(n), "w": ["w" * 10_000] * n}), path
        )
        assert path.stat().st_size < 1e6
        with pytest.raises(InputError, match=r"locs.parquet has more than 0\.1 GB of words"):
            read_localizations(path)
        assert len(read_points(path).points) == n

    def test_a_model_is_not_that_large(self, tmp_path: Path) -> None:
        path = tmp_path / "model.json"
        with path.open("wb") as file:
            file.truncate(10**9)  # takes no room on most disks
        with pytest.raises(InputError, match=r"model.json has 1,000 MB, and .* 268 at most"):
            load_model(path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_ten_thousands_of_columns(tmp_path: Path, within, kind: str) -> None:
    n = 10_000 if kind == "parquet" else 30_000
    frame = pd.DataFrame(
        np.arange(3.0)[:, None] + np.ones(n), columns=["x [nm]", "y [nm]", *map(str, range(2, n))]
    )
    path = tmp_path / f"a.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    within(10)
    assert read_points(path).points.shape == (3, 2)
    found = read_localizations(path)
    assert len(found.features.columns) == 998
    assert found.notes == (f"Of {n:,} columns of {path.name} the first 1,000 are read.",)


LONG = 100_000


@pytest.mark.parametrize(
    "header",
    [
        "(" * LONG,
        "[nm" * LONG,
        "a (" * LONG,
        " " * LONG + "x",
        "x [" + " " * LONG,
        "1" * LONG + "x",
        '"' * LONG,
        '" ' * LONG,
        "#\n" * LONG + "x,y " * LONG,
        "# a b\n" * LONG + "1 2 " * LONG,
        "1,5 " * LONG,
        "x" + "_" * LONG + "nm",
    ],
    ids=lambda header: header[:9],
)
@pytest.mark.parametrize("end", ["\n1,2\n", ",x,y\n1,2,3\n"], ids=["alone", "beside x and y"])
def test_long_headers(table, within, header: str, end: str) -> None:
    within(20)
    path = table(header + end)
    for read in (read_points, read_localizations):
        assert len(said(read, path)) < 1500


@pytest.mark.parametrize(
    ("cell", "shown"),
    [("9" * 400, "9" * 40), ("w" * 20_000_000, "w" * 40), ("1" + "0" * 400, "1000")],
    ids=len,
)
def test_cells_are_not_quoted_whole(table, cell: str, shown: str) -> None:
    path = table(f"x,y,uncertainty\n1,2,3\n{cell},4,5\n")
    with pytest.raises(InputError, match=f"row 2 has '{shown}") as raised:
        read_points(path)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("cell", ["9" * 400, "-1" + "0" * 400])
def test_a_feature_of_many_digits(table, cell: str) -> None:
    found = read_localizations(table(f"x,y,uncertainty\n1,2,3\n3,4,{cell}\n"))
    assert found.typical_precision == 3


def test_true_and_false_are_no_coordinates(tmp_path: Path) -> None:
    pd.DataFrame({"x": [True, False], "y": [1.0, 2.0]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"Column 'x' of a.parquet must hold numbers, not true"):
        read_points(tmp_path / "a.parquet")


@pytest.mark.parametrize("order", "<>")
def test_either_order_of_bytes(tmp_path: Path, order: str) -> None:
    path = tmp_path / "locs.hdf5"
    path.with_suffix(".yaml").write_text("Pixelsize: 100\n")
    with h5py.File(path, "w") as file:
        names = {"x": "f4", "y": "f8", "frame": "i4"}
        rows = np.ones(2, dtype=[(name, order + kind) for name, kind in names.items()])
        rows["frame"] = [1, 2]
        file["locs"] = rows
    found = read_localizations(path)
    assert found.points.tolist() == [[100, 100]] * 2
    assert found.features["frame"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("corners", "words"),
    [(2, "four corners around an ellipse"), (5, "four corners around an ellipse")],
)
def test_a_region_of_damaged_ellipses(tmp_path: Path, corners: int, words: str) -> None:
    rows = [f"0,ellipse,{at},{at},{at**2}" for at in range(corners)]
    path = tmp_path / "cell.csv"
    path.write_text("\n".join(["index,shape-type,vertex-index,axis-0,axis-1", *rows]))
    with pytest.raises(InputError, match=words):
        read_regions(path)


def test_a_heap_that_never_ends(tmp_path: Path, within) -> None:
    """HDF5 itself walks over it for ever, and lets nobody else do anything meanwhile."""
    path = tmp_path / "locs.hdf5"
    with h5py.File(path, "w") as file:
        file["locs"], file["metadata"] = TABLE, "Pixelsize: 100"
    assert read_points(path).points.tolist() == [[200, 100]]
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 32] = bytes(16)  # the first object: free, and of no size
    path.write_bytes(content)
    within(10)
    with pytest.raises(InputError, match=r"locs.hdf5 is an HDF5 file .* its heap is damaged"):
        read_points(path)


def test_a_column_of_hdf5_without_a_name(picasso) -> None:
    path = picasso({**LOCS, "frame": np.arange(4)})
    path.write_bytes(path.read_bytes().replace(b"frame", bytes(5)))
    assert said(read_localizations, path).startswith("locs.hdf5 is an HDF5 file that cannot be")


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\x0b"])
def test_units_are_one_line(table, separator: str) -> None:
    sentence = said(read_points, table(f"x [nm],y [n{separator}m]\n1,2\n3,4\n"))
    assert sentence.startswith("The lengths of points.csv are in different units (n m, nm)")
    assert len(sentence.splitlines()) == 1


@pytest.mark.parametrize("kind", ["hdf5", "parquet"])
def test_damage_is_one_sentence(picasso, tmp_path: Path, kind: str) -> None:
    """Some bytes are others, or missing."""
    rng = np.random.default_rng(0)
    columns = {**LOCS, "frame": np.arange(4), "n": ["a", "b", "c", "d"]}
    path = tmp_path / "locs.parquet"
    if kind == "hdf5":
        del columns["n"]
        path = picasso(columns)
    else:
        pd.DataFrame(columns).to_parquet(path)
    whole = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(8, len(whole))] if rng.random() < 0.2 else whole)
        for _ in range(rng.integers(1, 6)):
            damaged[rng.integers(8, len(damaged))] = rng.integers(256)
        path.write_bytes(damaged)
        for read in (read_points, read_localizations):
            sentence = said(read, path)
            assert "\n" not in sentence
            assert len(sentence) < 1500
