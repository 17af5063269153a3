"""Localizations of MINFLUX microscopes: files of NumPy, JSON, MATLAB and Zarr, in metres.

>>> open_minflux(Path("mfx.npy")).columns
('z [m]', 'y [m]', 'x [m]', 'tid', 'tim [s]', 'efo', 'cfr')

Each event was localized in several iterations; the last one, where it is valid, is its position.
Older files have the iterations of an event in its record, those since 2024 have a record for each.
MATLAB has an array for each column, and Zarr an array `mfx` of records.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io import matlab
from napari_sparse_gmm.io.files import damage, readable_file
from napari_sparse_gmm.io.table import MAX_BYTES, Table
from napari_sparse_gmm.io.zarr_v2 import HEADER, stored_records

# A record takes ten times as much in memory as in JSON.
_MOST_JSON = 400_000_000
_UNITS = {"tim": "s"}
# What of an event is told for it as a whole, and not for its position.
_FLAGS = ("vld", "fnl", "bot", "eot", "itr", "loc", "lnc")

# Arrays that each file has.
_NEEDED = {"vld", "itr"}


def is_minflux(path: Path) -> bool:
    """Whether a file or a folder is one of them, as far as its beginning tells.

    Raises
    ------
    InputError
        Where it is neither: to open a pipe may never end.
    """
    if path.is_dir():
        return _array_in(path) is not None
    with readable_file(path).open("rb") as file:
        start = file.read(4096)
    if start.startswith(matlab.FIRST_BYTES):
        with damage(path.name, "a MATLAB"):
            return set(matlab.variables_in(path)) >= _NEEDED
    if start.startswith(b"\x93NUMPY"):
        return b"'vld'" in start and b"'loc'" in start
    text = start.lstrip()
    return text.startswith(b"[") and b'"vld"' in text and b'"loc"' in text


def open_minflux(path: Path) -> Table:
    """A file or a folder of any of these kinds.

    Raises
    ------
    InputError
        Where it is damaged, or has no valid localization.
    """
    ending = "zarr" if path.is_dir() else path.suffix.lower().lstrip(".")
    read = {"json": _of_json, "mat": _of_matlab, "zarr": _of_zarr}.get(ending, _of_array)
    with damage(path.name, "a MINFLUX"):
        columns = read(path)
    n_rows = len(columns["x [m]"])
    if n_rows == 0:
        raise InputError(f"{path.name} has no valid localization.")

    def load(positions: Sequence[int]) -> pd.DataFrame:
        values = list(columns.values())
        return pd.DataFrame({at: values[at] for at in positions})

    about = {"format": ending, "program": "MINFLUX"}
    return Table(path.name, tuple(columns), n_rows, [8.0] * len(columns), load, about)


def _array_in(folder: Path) -> Path | None:
    """The array of the events in a Zarr folder, or that folder itself; None of another folder."""
    places = [folder / "mfx", *([folder] if folder.name == "mfx" else [])]
    return next((place for place in places if (place / HEADER).is_file()), None)


def _of_array(path: Path) -> dict[str, NDArray[Any]]:
    return _of_records(np.load(path, mmap_mode="r", allow_pickle=False))


def _of_zarr(path: Path) -> dict[str, NDArray[Any]]:
    array = _array_in(path)
    assert array is not None
    return _of_records(stored_records(array))


def _of_records(events: NDArray[Any]) -> dict[str, NDArray[Any]]:
    is_kept = np.asarray(events["vld"], dtype=bool)
    if "fnl" in (events.dtype.names or ()):
        is_kept = is_kept & np.asarray(events["fnl"], dtype=bool)
    if (size := np.count_nonzero(is_kept) * events.dtype.itemsize) > MAX_BYTES:
        raise InputError(
            f"It has {size / 1e9:,.1f} GB of valid events, and {MAX_BYTES / 1e9:g} GB can be read."
        )
    kept = events[is_kept]
    return _columns(kept, kept["itr"][:, -1] if kept.dtype["itr"].subdtype else kept)


def _of_matlab(path: Path) -> dict[str, NDArray[Any]]:
    found = matlab.read_variables(readable_file(path, int(MAX_BYTES)))
    columns = {name: values for name, values in found.items() if isinstance(values, np.ndarray)}
    is_kept = columns["vld"].ravel().astype(bool)
    if "fnl" in columns:
        is_kept &= columns["fnl"].ravel().astype(bool)
    # Of each event one row, or one number in a row of its own.
    events = {
        name: np.reshape(values, (len(is_kept), -1))[is_kept]
        for name, values in columns.items()
        if values.size and values.size % len(is_kept) == 0
    }
    last = {
        name: values[:, 0] if values.shape[1] == 1 else values for name, values in events.items()
    }
    steps = found["itr"]
    if isinstance(steps, np.ndarray):
        return _columns(last, last)
    # (N, I) or (N, I, 3)
    return _columns(
        last, {name: values[is_kept, -1] for name, values in steps.items() if values.ndim > 1}
    )


def _of_json(path: Path) -> dict[str, NDArray[Any]]:
    events = json.loads(readable_file(path, _MOST_JSON).read_text(encoding="utf-8"))
    kept = [event for event in events if event["vld"] and event.get("fnl", True)]
    last = [event["itr"][-1] if isinstance(event.get("itr"), list) else event for event in kept]
    return _columns(_together(kept), _together(last))


def _together(records: Sequence[Mapping[str, Any]]) -> Mapping[str, NDArray[Any]]:
    """The values of records, by their names, as far as all have them and they are numbers."""
    names = [name for name in (records[0] if records else {}) if name != "itr"]
    values = {name: np.array([record[name] for record in records]) for name in names}
    values.setdefault("loc", np.empty((0, 3)))
    return values


def _columns(events: Any, last: Any) -> dict[str, NDArray[Any]]:
    """What is told of events, and of the last iteration of each."""
    place = np.asarray(last["loc"], dtype=np.float64).reshape(-1, 3)
    found = {f"{axis} [m]": place[:, at] for at, axis in ((2, "z"), (1, "y"), (0, "x"))}
    for record in (events, last):
        names = record.dtype.names if isinstance(record, np.ndarray) else record
        for name in names:
            values = np.asarray(record[name]) if name not in _FLAGS else np.empty(0)
            if values.ndim == 1 and len(values) == len(place) and values.dtype.kind in "biuf":
                unit = _UNITS.get(name)
                found.setdefault(f"{name} [{unit}]" if unit else name, values)
    return found
