"""Localizations of Picasso: an HDF5 file, and a YAML file of the same name beside it.

>>> table = open_picasso(Path("locs.hdf5"))
>>> table.columns  # which were pixels
('frame', 'x [nm]', 'y [nm]', 'lpx [nm]', 'lpy [nm]')

The format: https://picassosr.readthedocs.io/en/latest/files.html
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.table import Table, listing, one_line, refuse_nested

_DATASET = "locs"

# Picasso 0.11 and later embed a copy of the YAML file, as JSON.
_METADATA = "metadata"

# Lengths in camera pixels, in the tables of localizations and of molecules; and those in nm. All
# other columns are no lengths, or their unit has changed from version to version.
_IN_PIXELS = frozenset(
    {"x", "y", "lpx", "lpy", "sx", "sy", "sx_unc", "sy_unc", "std_x", "std_y"}
    | {"x_pick_rot", "y_pick_rot", "fitted_sigma", "fitted_sigma_x", "fitted_sigma_y"}
)
_IN_NM = frozenset({"z", "lpz", "std_z"})

# What to do where it is not known how large these pixels are.
_REMEDY = (
    "put the file that Picasso wrote with it, and that tells the pixel size, into the same folder"
)

# The size of a camera pixel in nm; the first is what Picasso itself goes by.
_PIXEL_SIZE = ("Pixelsize", "Camera.Pixelsize")


def open_picasso(path: Path) -> Table:
    """Localizations or molecules of Picasso, all lengths in nm.

    Raises
    ------
    InputError
        Where the file is damaged or something else, or its pixel size is not known.
    """
    with _opened(path) as file:
        locs = file.get(_DATASET)
        if locs is None:
            raise InputError(
                f"{path.name} has no dataset {_DATASET!r}, where Picasso keeps localizations; "
                f"it has {listing(list(file)) or 'none at all'}."
            )
        if not isinstance(locs, h5py.Dataset) or locs.dtype.names is None or locs.ndim != 1:
            what = f"an array of shape {locs.shape}" if hasattr(locs, "shape") else "a group"
            raise InputError(
                f"{_DATASET!r} in {path.name} is {what} and no table with named columns, as "
                "Picasso writes it."
            )
        dtype, n_rows = locs.dtype, len(locs)
        pixel_size = _pixel_size(path, file)
    names = dtype.names

    def load(positions: Sequence[int]) -> pd.DataFrame:
        wanted = {at: names[at] for at in positions}
        refuse_nested(path.name, [name for name in wanted.values() if _is_nested(dtype[name])])
        with _opened(path) as file:
            rows = file[_DATASET].fields(list(wanted.values()))[:]
        return pd.DataFrame(
            {
                at: _in_nm(rows[name], pixel_size) if name in _IN_PIXELS else rows[name]
                for at, name in wanted.items()
            }
        )

    columns = tuple(f"{name} [nm]" if name in _IN_PIXELS | _IN_NM else name for name in names)
    about = {"format": "Picasso", "pixel size [nm]": pixel_size}
    return Table(path.name, columns, n_rows, load, about)


def _is_nested(dtype: np.dtype[Any]) -> bool:
    """Whether a column holds more than a number or a word in each row."""
    is_object = dtype.kind == "O" and h5py.check_string_dtype(dtype) is None
    return dtype.shape != () or dtype.names is not None or is_object


def _in_nm(pixels: NDArray[Any], pixel_size: float) -> NDArray[Any]:
    """Lengths (N,) in nm; what is no number stays as it is, for `io.columns` to report."""
    return pixels.astype(float) * pixel_size if pixels.dtype.kind in "iuf" else pixels


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise InputError(
            f"{path.name} is an HDF5 file that cannot be read: {one_line(error)}."
        ) from error


def _pixel_size(path: Path, file: h5py.File) -> float:
    beside = path.with_suffix(".yaml")
    if beside.is_file():
        source, text = beside.name, beside.read_text(encoding="utf-8", errors="replace")
    elif _METADATA in file:
        source, text = f"{_METADATA!r} in {path.name}", _embedded(path, file[_METADATA], beside)
    else:
        raise InputError(
            f"{path.name} is in camera pixels, and {beside.name} is not beside it: {_REMEDY}."
        )
    documents = _documents(text, source)
    sizes = [document[key] for key in _PIXEL_SIZE for document in documents if key in document]
    for size in sizes:
        # True is an int to Python, and .inf a float.
        if type(size) in (int, float) and 0 < size <= sys.float_info.max:
            return float(size)
    came = f"{sizes[0]!r:.40} is no finite number above 0, so " if sizes else ""
    raise InputError(
        f"{source} does not tell the size of a camera pixel: {came}add a line such as "
        f"'{_PIXEL_SIZE[0]}: 130', in nm."
    )


def _embedded(path: Path, stored: h5py.Dataset | h5py.Group, beside: Path) -> str:
    """The copy of the YAML file that is in the HDF5 file."""
    is_text = isinstance(stored, h5py.Dataset) and h5py.check_string_dtype(stored.dtype)
    if not is_text or stored.shape != ():
        raise InputError(
            f"{_METADATA!r} in {path.name} is no text, and {beside.name} is not beside it: "
            f"{_REMEDY}."
        )
    return str(stored.asstr("utf-8", "replace")[()])


def _documents(text: str, source: str) -> list[Mapping[str, Any]]:
    """What each step of the analysis has noted, the latest first."""
    try:
        # JSON is YAML.
        documents = list(yaml.load_all(text, _Loader))
    except yaml.YAMLError as error:
        raise InputError(f"{source} cannot be read as YAML: {one_line(error)}.") from error
    except (ValueError, LookupError, RecursionError) as error:  # as for "!!int many", "[[[[[..."
        raise InputError(
            f"{source} cannot be read as YAML: some value in it is not what it claims to be, or "
            "is nested too deeply."
        ) from error
    steps = [step for one in documents for step in (one if isinstance(one, list) else [one])]
    return [step for step in reversed(steps) if isinstance(step, dict)]


class _Loader(yaml.SafeLoader):
    """Early versions of Picasso wrote Python objects, too: they are passed over, never made.

    So are dates, as one that is none would make the rest unreadable.
    """


_Loader.add_multi_constructor("", lambda loader, suffix, node: None)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: None)
