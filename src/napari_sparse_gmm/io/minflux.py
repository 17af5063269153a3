"""Localizations of MINFLUX microscopes: NumPy's files and JSON, in metres.

>>> open_minflux(Path("mfx.npy")).columns
('z [m]', 'y [m]', 'x [m]', 'tid', 'tim [s]', 'efo', 'cfr')

Each event was localized in several iterations; the last one, where it is valid, is its position.
Older files have the iterations of an event in its record, those since 2024 have a record for each.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.files import damage, readable_file
from napari_sparse_gmm.io.table import Table

# A record takes ten times as much in memory as in JSON.
_MOST_JSON = 400_000_000
_UNITS = {"tim": "s"}
# What of an event is told for it as a whole, and not for its position.
_FLAGS = ("vld", "fnl", "bot", "eot", "itr", "loc", "lnc")


def is_minflux(path: Path) -> bool:
    """Whether a file is one of them, as far as its beginning tells.

    Raises
    ------
    InputError
        Where it is no regular file: to open a pipe may never end.
    """
    with readable_file(path).open("rb") as file:
        start = file.read(4096)
    if start.startswith(b"\x93NUMPY"):
        return b"'vld'" in start and b"'loc'" in start
    text = start.lstrip()
    return text.startswith(b"[") and b'"vld"' in text and b'"loc"' in text


def open_minflux(path: Path) -> Table:
    """A file of either kind.

    Raises
    ------
    InputError
        Where it is damaged, or has no valid localization.
    """
    with damage(path.name, "a MINFLUX"):
        columns = _of_json(path) if path.suffix.lower() == ".json" else _of_array(path)
    n_rows = len(columns["x [m]"])
    if n_rows == 0:
        raise InputError(f"{path.name} has no valid localization.")

    def load(positions: Sequence[int]) -> pd.DataFrame:
        values = list(columns.values())
        return pd.DataFrame({at: values[at] for at in positions})

    about = {"format": path.suffix.lower().lstrip("."), "program": "MINFLUX"}
    return Table(path.name, tuple(columns), n_rows, [8.0] * len(columns), load, about)


def _of_array(path: Path) -> dict[str, NDArray[Any]]:
    events = np.load(path, mmap_mode="r", allow_pickle=False)
    kept = events[np.asarray(events["vld"], dtype=bool)]
    if "fnl" in events.dtype.names:
        kept = kept[np.asarray(kept["fnl"], dtype=bool)]
    return _columns(kept, kept["itr"][:, -1] if kept.dtype["itr"].subdtype else kept)


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
