"""Localizations of Picasso: an HDF5 file, and a YAML file of the same name beside it.

>>> table = open_picasso(Path("locs.hdf5"))
>>> table.columns  # which were pixels
('frame', 'x [nm]', 'y [nm]', 'lpx [nm]', 'lpy [nm]')

The format: https://picassosr.readthedocs.io/en/latest/files.html
"""

import json
import re
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import yaml

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.files import one_line, readable_file
from napari_sparse_gmm.io.hdf5 import (
    opened_hdf5,
    refuse_endless_heap,
    refuse_large_pieces,
    stored_in,
)
from napari_sparse_gmm.io.table import Table, listing, refuse_nested

DATASET = "locs"

# Picasso 0.11 and later embed a copy of the YAML file, as JSON.
_METADATA = "metadata"

# Lengths in camera pixels, in the tables of localizations and of molecules; and those in nm. All
# other columns are no lengths, or their unit has changed from version to version.
IN_PIXELS = frozenset(
    {"x", "y", "lpx", "lpy", "sx", "sy", "sx_unc", "sy_unc", "std_x", "std_y"}
    | {"x_pick_rot", "y_pick_rot", "fitted_sigma", "fitted_sigma_x", "fitted_sigma_y"}
)
IN_NM = frozenset({"z", "lpz", "std_z"})

# What to do where it is not known how large these pixels are.
_REMEDY = (
    "put the file that Picasso wrote with it, and that tells the pixel size, into the same folder"
)

# The size of a camera pixel in nm; the first is what Picasso itself goes by, and of each the latest
# that is one.
PIXEL_SIZE = ("Pixelsize", "Camera.Pixelsize")

# A line with one of them, and those that go on with it.
_NOTE = re.compile(
    rf"^(?:{'|'.join(map(re.escape, PIXEL_SIZE))}):.{{0,999}}(?:\n(?:[ ]|- ).{{0,999}}){{0,9}}",
    re.MULTILINE,
)
_MOST_NOTES = 100
_MOST_BYTES = 10**8

# Pieces of the table that are read at a time: HDF5 keeps some kilobytes for each.
_PIECES = 10_000


def open_picasso(path: Path) -> Table:
    """Localizations or molecules of Picasso, all lengths in nm.

    Raises
    ------
    InputError
        Where the file is damaged or something else, or its pixel size is not known.
    """
    with opened_hdf5(path) as file:
        locs = stored_in(file, DATASET, path.name)
        if locs is None:
            raise InputError(
                f"{path.name} has no dataset {DATASET!r}, where Picasso keeps localizations; "
                f"it has {listing(list(islice(file, 100))) or 'none at all'}."
            )
        if not isinstance(locs, h5py.Dataset) or locs.dtype.names is None or locs.ndim != 1:
            what = f"an array of shape {locs.shape}" if hasattr(locs, "shape") else "a group"
            raise InputError(
                f"{DATASET!r} in {path.name} is {what} and no table with named columns, as "
                "Picasso writes it."
            )
        dtype, n_rows = locs.dtype, len(locs)
        refuse_large_pieces(locs, path.name)
        pixel_size = _pixel_size(path, file)
    names = dtype.names

    def load(positions: Sequence[int]) -> pd.DataFrame:
        wanted = {at: names[at] for at in positions}
        refuse_nested(
            path.name,
            [name for name in wanted.values() if _is_nested(dtype[name])],
            "lists, records or words of any length in place of single values",
        )
        for name in wanted.values():
            if name in IN_PIXELS and dtype[name].kind not in "iuf":
                raise InputError(
                    f"Column {name!r} of {path.name} is in camera pixels, but its cells are not "
                    "numbers: store them as such."
                )
        columns = {}
        with opened_hdf5(path) as file, np.errstate(invalid="ignore"):  # NaN of another kind
            locs = file[DATASET]
            step = _PIECES * locs.chunks[0] if locs.chunks else max(1, n_rows)
            fields = locs.fields(list(wanted.values()))
            rows = [fields[start : start + step] for start in range(0, n_rows, step)]
            for at, name in wanted.items():
                native = np.concatenate([part[name] for part in rows] or [np.empty(0, dtype[name])])
                native = native.astype(dtype[name].newbyteorder("="), copy=False)
                columns[at] = native.astype(float) * pixel_size if name in IN_PIXELS else native
        return pd.DataFrame(columns)

    columns = tuple(f"{name} [nm]" if name in IN_PIXELS | IN_NM else name for name in names)
    about = {"format": "Picasso", "pixel size [nm]": pixel_size}
    widths = [dtype[name].itemsize for name in names]
    return Table(path.name, columns, n_rows, widths, load, about)


def _is_nested(dtype: np.dtype[Any]) -> bool:
    """Whether a column holds more in each row than a number, or a word of known length."""
    return dtype.shape != () or dtype.names is not None or dtype.kind == "O"


def _pixel_size(path: Path, file: h5py.File) -> float:
    beside = path.with_suffix(".yaml")
    if beside.exists():
        text = readable_file(beside, _MOST_BYTES).read_text(encoding="utf-8", errors="replace")
        source = beside.name
    elif (stored := stored_in(file, _METADATA, path.name)) is not None:
        source, text = f"{_METADATA!r} in {path.name}", _embedded(path, stored, beside)
    else:
        raise InputError(
            f"{path.name} is in camera pixels, and {beside.name} is not beside it: {_REMEDY}."
        )
    sizes = _noted(text, source)
    for size in sizes:
        # True is an int to Python, and .inf a float.
        if type(size) in (int, float) and 0 < size <= sys.float_info.max:
            return float(size)
    came = f"{sizes[0]!r:.40} is no finite number above 0, so " if sizes else ""
    raise InputError(
        f"{source} does not tell the size of a camera pixel: {came}add a line such as "
        f"'{PIXEL_SIZE[0]}: 130', in nm."
    )


def _embedded(path: Path, stored: h5py.Dataset | h5py.Group, beside: Path) -> str:
    """The copy of the YAML file that is in the HDF5 file."""
    is_text = isinstance(stored, h5py.Dataset) and h5py.check_string_dtype(stored.dtype)
    if not is_text or stored.shape != () or stored.dtype.itemsize > _MOST_BYTES:
        raise InputError(
            f"{_METADATA!r} in {path.name} is no text, and {beside.name} is not beside it: "
            f"{_REMEDY}."
        )
    refuse_endless_heap(path)
    return str(stored.asstr("utf-8", "replace")[()])


def _noted(text: str, source: str) -> list[Any]:
    """The sizes that the steps of the analysis have noted, the best first: see `PIXEL_SIZE`.

    Of YAML only the lines that tell them are parsed: the others may be many, and nested deeply.
    """
    try:
        if text.lstrip()[:1] in ("[", "{"):
            found = json.loads(text)
            steps = found if isinstance(found, list) else [found]
            notes = [note for step in steps if isinstance(step, dict) for note in step.items()]
            return [size for key in PIXEL_SIZE for name, size in reversed(notes) if name == key]
        lines = [found.group() for found in _NOTE.finditer(text)][-_MOST_NOTES:]
        return [
            yaml.load(line, _Loader)[key]
            for key in PIXEL_SIZE
            for line in reversed(lines)
            if line.startswith(f"{key}:")
        ]
    except yaml.YAMLError as error:
        raise InputError(f"{source} cannot be read as YAML: {one_line(error)}.") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:  # as for "!!int many"
        raise InputError(
            f"{source} cannot be read as YAML: some value in it is not what it claims to be, or "
            "is nested too deeply."
        ) from error


class _Loader(yaml.SafeLoader):
    """Early versions of Picasso wrote Python objects, too: they are passed over, never made.

    But a number of NumPy's is a number: its kind, and its bytes.
    """

    def numpy_number(self, node: yaml.Node) -> Any:
        kind, data = self.construct_sequence(node, deep=True)
        return np.frombuffer(data, dtype=kind)[0].item()

    def numpy_kind(self, node: yaml.Node) -> Any:
        """One of those that a size can have."""
        kind = self.construct_mapping(node, deep=True)["args"][0]
        return {name: name for name in ("f8", "f4", "i8", "i4", "u8", "u4")}[kind]


_Loader.add_multi_constructor("", lambda loader, suffix, node: None)
_APPLY = "tag:yaml.org,2002:python/object/apply:numpy."
for _core in ("core", "_core"):
    _Loader.add_constructor(f"{_APPLY}{_core}.multiarray.scalar", _Loader.numpy_number)
_Loader.add_constructor(f"{_APPLY}dtype", _Loader.numpy_kind)
