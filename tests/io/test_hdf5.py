"""HDF5 files with an array for each column: DECODE, SMAPpy, SMAP."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.io.tables import read_points

XYZ = np.array([[1.0, 10.0, -200.0], [2.0, 20.0, 0.0], [3.0, 40.0, 300.0]], dtype="f4")


def decode(path: Path, unit: str, px_size: Any = (100.0, 130.0)) -> Path:
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data["xyz"], data["xyz_sig"], data["frame_ix"] = XYZ, XYZ / 10 + 30, np.arange(3)
        data["phot"] = [500.0, 600.0, 700.0]
        data["xyz_cr"] = h5py.Empty("f4")
        meta = file.create_group("meta").attrs
        meta["xy_unit"] = unit
        if px_size is not None:
            meta["px_size"] = px_size
    return path


def test_decode_in_pixels(tmp_path: Path) -> None:
    path = decode(tmp_path / "emitters.h5", "px")
    found = read_localizations(path)
    scale = [1, 130, 100]
    np.testing.assert_allclose(found.points, XYZ[:, ::-1] * scale, rtol=1e-6)
    assert (found.unit, found.axis_labels) == ("nm", ("z", "y", "x"))
    assert list(found.features["frame_ix"]) == [0, 1, 2]
    assert found.about["program"] == "DECODE"
    read = read_points(path, precision="auto")
    expected = (XYZ / 10 + 30)[:, ::-1] * scale
    np.testing.assert_allclose(read.observations.noise_std, expected, rtol=1e-6)


def test_decode_in_nm(tmp_path: Path) -> None:
    found = read_localizations(decode(tmp_path / "emitters.h5", "nm", None))
    np.testing.assert_allclose(found.points, XYZ[:, ::-1])
    assert found.unit == "nm"


@pytest.mark.parametrize("size", [None, (0.0, 100.0), (100.0,), "100"])
def test_decode_without_the_size_of_a_pixel(tmp_path: Path, size: Any) -> None:
    with pytest.raises(InputError, match=r"is in camera pixels and does not tell their size"):
        read_localizations(decode(tmp_path / "emitters.h5", "px", size))


@pytest.mark.parametrize("place", ["locs", "saveloc/loc"])
@pytest.mark.parametrize("shape", [(-1,), (1, -1), (-1, 1)])
def test_a_group_of_columns(tmp_path: Path, place: str, shape: tuple[int, ...]) -> None:
    path = tmp_path / "sml.hdf5"
    with h5py.File(path, "w") as file:
        for name, values in {"xnm": XYZ[:, 0], "ynm": XYZ[:, 1], "locprecnm": [7, 8, 9]}.items():
            file[f"{place}/{name}"] = np.reshape(values, shape)
        file[f"{place}/number"] = 3.0
        file[f"{place}/frames"] = np.arange(7)
    found = read_localizations(path)
    np.testing.assert_array_equal(found.points, XYZ[:, 1::-1])
    assert found.unit == "nm"
    assert list(found.features) == ["locprecnm"]
    assert found.typical_precision == 8


def test_of_matlab(tmp_path: Path) -> None:
    """Its files have a text of 512 bytes before the first of HDF5."""
    path = tmp_path / "a_sml.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["saveloc/loc/xnm"], file["saveloc/loc/ynm"] = XYZ[None, :, 0], XYZ[None, :, 1]
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    np.testing.assert_array_equal(read_localizations(path).points, XYZ[:, 1::-1])


@pytest.mark.parametrize("name", ["data", "data/xyz", "data/phot", "meta", "locs/xnm"])
def test_other_files_are_not_read(tmp_path: Path, name: str) -> None:
    path, secret = decode(tmp_path / "emitters.h5", "px"), decode(tmp_path / "secret.h5", "px")
    with h5py.File(path, "a") as file:
        if name.startswith("locs"):
            del file["data"]
            file["locs/ynm"] = XYZ[:, 1]
        else:
            del file[name]
        file[name] = h5py.ExternalLink(secret.name, "data/phot")
    with pytest.raises(InputError, match=r"points to another place or file"):
        read_localizations(path)


def decode_csv(path: Path, meta: str) -> Path:
    """A text file of DECODE: three lines of metadata, and columns without units."""
    rows = pd.DataFrame(
        {"id": [0, 1], "frame_ix": [3, 4], "x": [1.5, 2.0], "y": [10.0, 20.0], "z": [-50.0, 50.0]}
    ).assign(phot=[900.0, 800.0], x_sig=[0.1, 0.2], y_sig=[0.1, 0.2], z_sig=[30.0, 40.0])
    text = f'# DECODE EmitterSet\n# {{"version": "v0.10.0"}}\n# {meta}\n' + rows.to_csv(index=False)
    path.write_text(text)
    return path


def test_text_of_decode_is_in_nm(tmp_path: Path) -> None:
    path = decode_csv(tmp_path / "e.csv", '{"xy_unit": "px", "px_size": [100.0, 130.0]}')
    table = read_points(path, precision="auto")
    assert (table.unit, table.axis_labels) == ("nm", ("z", "y", "x"))
    np.testing.assert_allclose(table.points, [[-50.0, 1300.0, 150.0], [50.0, 2600.0, 200.0]])
    np.testing.assert_allclose(table.observations.noise_std[0], [30.0, 13.0, 10.0])
    assert read_localizations(path).about["program"] == "DECODE"
    path = decode_csv(tmp_path / "e.csv", '{"xy_unit": "nm", "px_size": null}')
    np.testing.assert_allclose(read_points(path).points[0], [-50.0, 10.0, 1.5])


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ('{"xy_unit": "px"}', "does not tell their size"),
        ('{"xy_unit": "px", "px_size": [100.0, 0.0]}', "does not tell their size"),
        ("[]", "does not tell the unit"),
        ("{", "does not tell the unit"),
    ],
)
def test_text_of_decode_that_cannot_be_scaled(tmp_path: Path, meta: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_points(decode_csv(tmp_path / "e.csv", meta))
