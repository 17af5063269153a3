"""MINFLUX: the last iteration of each valid event, however the file has it."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from napari_sparse_gmm.chunked import joined
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.chunked_tables import open_chunked
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.io.matlab import read_variables, variables_in
from napari_sparse_gmm.io.tables import read_points

N, STEPS = 6, 3
VALID = np.array([True, True, False, True, True, True])


def places() -> np.ndarray:
    """Positions in metres of each iteration of each event, (N, STEPS, 3)."""
    return np.random.default_rng(0).uniform(-1e-6, 1e-6, (N, STEPS, 3))


def older() -> np.ndarray:
    steps = np.dtype([("itr", "i4"), ("loc", "f8", 3), ("efo", "f8"), ("cfr", "f8")])
    kind = [("itr", steps, STEPS), ("sqi", "u4"), ("tim", "f8"), ("tid", "i4"), ("vld", "?")]
    events = np.zeros(N, kind)
    events["vld"], events["tid"], events["tim"] = VALID, np.arange(N) // 2, np.arange(N) / 8
    events["itr"]["loc"] = places()
    events["itr"]["efo"] = np.arange(N * STEPS).reshape(N, STEPS)
    return events


def newer() -> np.ndarray:
    kind = [("vld", "?"), ("fnl", "?"), ("tim", "f8"), ("tid", "i4"), ("itr", "i4")]
    events = np.zeros(N * STEPS, [*kind, ("loc", "f8", 3), ("efo", "f8"), ("cfr", "f8")])
    events["vld"], events["tid"] = np.repeat(VALID, STEPS), np.repeat(np.arange(N) // 2, STEPS)
    events["tim"], events["itr"] = np.repeat(np.arange(N) / 8, STEPS), np.tile(range(STEPS), N)
    events["fnl"], events["loc"] = events["itr"] == STEPS - 1, places().reshape(-1, 3)
    events["efo"] = np.arange(N * STEPS)
    return events


def as_json(events: np.ndarray) -> list[dict[str, Any]]:
    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return [plain(one) for one in value]
        if isinstance(value, np.void):
            return {name: plain(value[name]) for name in value.dtype.names}
        return value.item() if isinstance(value, np.generic) else value

    return [plain(event) for event in events]


def as_matlab(events: np.ndarray) -> dict[str, Any]:
    """Arrays as MATLAB has them: of a list a row, and a record of the iterations before 2024."""
    found = {name: events[name] for name in events.dtype.names}
    if "fnl" in found:
        return found
    return found | {"itr": {name: events["itr"][name] for name in events["itr"].dtype.names}}


def described(kind: np.dtype) -> Any:
    """A type of records as the header of Zarr tells it."""
    if kind.names is None:
        return kind.str
    bases = ((name, kind[name].base, list(kind[name].shape)) for name in kind.names)
    return [[name, described(base), *([shape] if shape else [])] for name, base, shape in bases]


def write_zarr(path: Path, events: np.ndarray, codec: Any = None, **others: Any) -> Path:
    """As the specification of version 2 says, four records a chunk."""
    array = path / "mfx"
    array.mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    header = {"zarr_format": 2, "shape": [len(events)], "chunks": [4], "order": "C"}
    header |= {"dtype": described(events.dtype), "fill_value": None, "filters": None}
    header["compressor"] = None if codec is None else codec.get_config()
    (array / ".zarray").write_text(json.dumps(header | others))
    for k in range(0, len(events), 4):
        chunk = np.zeros(4, events.dtype)
        chunk[: len(events) - k] = events[k : k + 4]
        content = chunk.view(np.uint8)
        (array / str(k // 4)).write_bytes(content if codec is None else codec.encode(content))
    return path


def write(path: Path, events: np.ndarray) -> Path:
    """The file or folder, in the format that its name ends with."""
    if path.suffix == ".npy":
        np.save(path, events)
    elif path.suffix == ".json":
        path.write_text(json.dumps(as_json(events)))
    elif path.suffix == ".mat":
        savemat(path, as_matlab(events), do_compression=True)
    else:
        write_zarr(path, events, numcodecs.Blosc())
    return path


@pytest.mark.parametrize("events", [older(), newer()], ids=["older", "newer"])
@pytest.mark.parametrize("ending", [".npy", ".json", ".mat", ".zarr"])
def test_the_last_iteration_of_valid_events(tmp_path: Path, events, ending: str) -> None:
    path = write(tmp_path / f"mfx{ending}", events)
    for read in (read_localizations, read_points):
        found = read(path)
        np.testing.assert_allclose(found.points, places()[VALID, -1, ::-1])
        assert (found.unit, found.axis_labels) == ("m", ("z", "y", "x"))
    found = read_localizations(path)
    assert list(found.features["tid"]) == [0, 0, 1, 2, 2]
    np.testing.assert_allclose(found.features["tim [s]"], np.arange(N)[VALID] / 8)
    np.testing.assert_array_equal(found.features["efo"], (3 * np.arange(N) + 2)[VALID])
    assert "vld" not in found.features
    assert found.about["program"] == "MINFLUX"


class TestZarr:
    @pytest.mark.parametrize(
        "codec",
        [None, *(getattr(numcodecs, name)() for name in ("Blosc", "LZ4", "Zstd", "Zlib", "GZip"))],
        ids=lambda codec: getattr(codec, "codec_id", "none"),
    )
    def test_codecs(self, tmp_path: Path, codec) -> None:
        path = write_zarr(tmp_path / "a.zarr", newer(), codec)
        expected = read_points(write(tmp_path / "a.npy", newer())).points
        np.testing.assert_array_equal(read_points(path).points, expected)
        np.testing.assert_array_equal(read_points(path / "mfx").points, expected)
        np.testing.assert_array_equal(joined(open_chunked(path).chunked).points, expected)

    def test_a_chunk_that_is_not_there_has_no_valid_event(self, tmp_path: Path) -> None:
        path = write_zarr(tmp_path / "a.zarr", newer())
        (path / "mfx" / "0").unlink()
        expected = read_points(write(tmp_path / "a.npy", newer()[4:])).points
        np.testing.assert_array_equal(read_points(path).points, expected)

    def test_many_records_of_which_few_are_there(self, tmp_path: Path) -> None:
        path = write_zarr(tmp_path / "a.zarr", newer(), shape=[10**12])
        expected = read_points(write(tmp_path / "a.npy", newer())).points
        np.testing.assert_array_equal(read_points(path).points, expected)

    @pytest.mark.parametrize("n", [3, 11, 12])
    def test_chunks_are_in_the_order_of_their_numbers(self, tmp_path: Path, n: int) -> None:
        events = np.tile(newer(), 4)[: 4 * n]
        events["loc"] = np.arange(12.0 * n).reshape(-1, 3)
        path = write_zarr(tmp_path / "a.zarr", events)
        (path / "mfx" / "00").write_bytes(bytes(10))  # no name of a chunk
        found = read_points(path)
        expected = read_points(write(tmp_path / "a.npy", events)).points
        np.testing.assert_array_equal(found.points, expected)
        assert found.notes == ()

    def test_a_chunk_of_too_few_records_is_refused(self, tmp_path: Path) -> None:
        path = write_zarr(tmp_path / "a.zarr", newer(), numcodecs.Blosc())
        few = numcodecs.Blosc().encode(newer()[:2].tobytes())
        (path / "mfx" / "1").write_bytes(few)
        with pytest.raises(InputError, match=r"a.zarr is a MINFLUX file that cannot be read"):
            read_points(path)

    @pytest.mark.parametrize(
        ("others", "message"),
        [
            ({"shape": [-1]}, r"has no valid localization"),
            ({"chunks": [0]}, r"in chunks of 0 records .* at most 1 GB"),
            ({"chunks": [10**8]}, r"in chunks of 100,000,000 records .* at most 1 GB"),
            ({"filters": [{"id": "delta"}]}, r"filters or values other than 0"),
            ({"fill_value": base64.b64encode(b"1").decode()}, r"filters or values other than 0"),
            ({"compressor": {"id": "pickle"}}, r"compressed by 'pickle', which is not read"),
            ({"dtype": "|O"}, r"of numbers can be read"),
            ({"dtype": [["loc", "<f8"]]}, r"cannot be read"),
            ({"shape": [2, 2]}, r"cannot be read"),
        ],
    )
    def test_others_are_one_sentence(self, tmp_path: Path, others, message: str) -> None:
        path = write_zarr(tmp_path / "a.zarr", newer(), **others)
        with pytest.raises(InputError, match=message) as raised:
            read_points(path)
        assert "\n" not in str(raised.value)

    def test_a_chunk_is_not_larger_than_it_should_be(self, tmp_path: Path) -> None:
        path = write_zarr(tmp_path / "a.zarr", newer(), numcodecs.Zstd())
        (path / "mfx" / "1").write_bytes(numcodecs.Zstd().encode(bytes(10**6)))
        with pytest.raises(InputError, match=r"a.zarr is a MINFLUX file that cannot be read"):
            read_points(path)
        (path / "mfx" / "1").write_bytes(bytes(10**6))
        with pytest.raises(InputError, match=r"1 has 1 MB, and what it should be has 0 at most"):
            read_points(path)

    @pytest.mark.parametrize("at", range(4, 16))
    def test_a_chunk_of_blosc_is_as_long_as_it_says(self, tmp_path: Path, at: int) -> None:
        path = write_zarr(tmp_path / "a.zarr", newer(), numcodecs.Blosc())
        chunk = bytearray((path / "mfx" / "1").read_bytes())
        chunk[at] ^= 0x81
        (path / "mfx" / "1").write_bytes(chunk)
        with pytest.raises(InputError, match=r"a.zarr is a MINFLUX file that cannot be read"):
            read_points(path)

    def test_other_folders_are_no_table(self, tmp_path: Path) -> None:
        (tmp_path / "a.zarr" / "mfx").mkdir(parents=True)
        with pytest.raises(InputError, match=r"is a folder, a pipe or a device"):
            read_points(tmp_path / "a.zarr")


class TestMatlab:
    def test_other_files_are_no_table(self, tmp_path: Path) -> None:
        savemat(tmp_path / "a.mat", {"x": np.arange(3.0)})
        with pytest.raises(InputError, match=r"a.mat is not a text table"):
            read_points(tmp_path / "a.mat")

    @pytest.mark.parametrize("packed", [False, True])
    def test_variables_as_scipy_reads_them(self, tmp_path: Path, packed: bool) -> None:
        """Of all kinds of numbers, in any shape; of others only the names."""
        rng = np.random.default_rng(0)
        kinds = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?")
        told: dict[str, Any] = {
            f"of_{kind[0]}{kind[1:]}".replace("?", "b"): rng.integers(0, 2, (2, 3, 4)).astype(kind)
            for kind in kinds
        }
        told |= {"one": 7.0, "none": np.zeros((0, 3)), "row": np.arange(5.0)}
        record = {"a_name_of_some_length": np.eye(3), "b": np.arange(4.0), "word": "text"}
        others = {"word": "text", "cell": np.array([1, "a"], dtype=object), "z": np.array([1j])}
        path = tmp_path / "a.mat"
        savemat(path, {**told, "record": record, **others}, do_compression=packed)
        assert set(variables_in(path)) == {*told, "record", *others}
        found, expected = read_variables(path), loadmat(path)
        for name in told:
            np.testing.assert_array_equal(found[name], expected[name])
            assert found[name].shape == expected[name].shape
        assert set(found["record"]) == {"a_name_of_some_length", "b"}
        np.testing.assert_array_equal(found["record"]["a_name_of_some_length"], np.eye(3))
        np.testing.assert_array_equal(found["record"]["b"], [[0, 1, 2, 3]])
        assert set(found) <= {*told, "record"}

    def test_the_bytes_may_be_in_the_other_order(self, tmp_path: Path) -> None:
        """As the format has them: a matrix 2 by 1 of 16-bit numbers in a double one."""
        parts = struct.pack(">IIII", 6, 8, 6, 0) + struct.pack(">IIii", 5, 8, 2, 1)
        parts += struct.pack(">HH4s", 3, 1, b"vld") + struct.pack(">HHhh", 4, 3, 258, -1)
        header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
        (tmp_path / "a.mat").write_bytes(header + struct.pack(">II", 14, len(parts)) + parts)
        np.testing.assert_array_equal(read_variables(tmp_path / "a.mat")["vld"], [[258], [-1]])

    @pytest.mark.parametrize("packed", [False, True])
    def test_a_file_that_was_cut_is_refused(self, tmp_path: Path, packed: bool) -> None:
        path = tmp_path / "a.mat"
        savemat(path, as_matlab(newer()), do_compression=packed)
        whole = path.read_bytes()
        for n in range(136, len(whole) - 8, 97):
            path.write_bytes(whole[:n])
            with pytest.raises(InputError, match=r"^a\.mat is "):
                read_points(path)

    def test_a_few_bytes_may_stand_for_many(self, tmp_path: Path, monkeypatch) -> None:
        many = {**as_matlab(newer()), "more": np.zeros(10**6)}
        savemat(tmp_path / "a.mat", many, do_compression=True)
        assert (tmp_path / "a.mat").stat().st_size < 1e5
        monkeypatch.setattr("napari_sparse_gmm.io.matlab.MAX_BYTES", 1e6)
        with pytest.raises(InputError, match=r"more than 0.001 GB when it is decompressed"):
            read_points(tmp_path / "a.mat")


def test_a_plane(tmp_path: Path) -> None:
    events = older()
    events["itr"]["loc"][..., 2] = 0
    np.save(tmp_path / "mfx.npy", events)
    found = read_localizations(tmp_path / "mfx.npy")
    np.testing.assert_allclose(found.points, places()[VALID, -1, 1::-1])


def test_none_is_valid(tmp_path: Path) -> None:
    events = older()
    events["vld"] = False
    np.save(tmp_path / "mfx.npy", events)
    with pytest.raises(InputError, match=r"mfx.npy has no valid localization"):
        read_localizations(tmp_path / "mfx.npy")
    (tmp_path / "mfx.json").write_text(json.dumps(as_json(events)))
    with pytest.raises(InputError, match=r"mfx.json has no valid localization"):
        read_localizations(tmp_path / "mfx.json")


@pytest.mark.parametrize("size", [200, 0.5, 0.99])
@pytest.mark.parametrize("ending", [".npy", ".json", ".mat"])
def test_damage_is_one_sentence(tmp_path: Path, ending: str, size: float) -> None:
    path = tmp_path / f"mfx{ending}"
    write(path, older())
    content = path.read_bytes()
    path.write_bytes(content[: size if size > 1 else int(size * len(content))])
    with pytest.raises(InputError) as raised:
        read_localizations(path)
    assert "\n" not in str(raised.value)


def test_no_pickle_is_loaded(tmp_path: Path) -> None:
    events = np.array([{"vld": True, "loc": [1, 2, 3]}], dtype=object)
    np.save(tmp_path / "mfx.npy", events, allow_pickle=True)
    with pytest.raises(InputError):
        read_localizations(tmp_path / "mfx.npy")
