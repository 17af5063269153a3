"""HDF5 files whose columns are arrays of their own: DECODE, SMAP and SMAPpy.

>>> open_columns(Path("smappy.hdf5")).columns
('frame', 'locprecnm', 'xnm', 'ynm')
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from struct import Struct
from typing import Any

import h5py
import numpy as np
import pandas as pd

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.decode import lengths
from napari_sparse_gmm.io.files import damage
from napari_sparse_gmm.io.table import MAX_BYTES, Table

# Each piece of an array is read as a whole, and a file of some bytes may declare any size of it.
_MOST_PIECE = 1e9

# What DECODE keeps for each axis, and what a column of x is called then.
_OF_AXES = {"xyz": "{}", "xyz_sig": "{}_sig"}


# Of a heap the beginning and its size, and of an object in it its number, where 0 is what is free,
# and its size.
_HEAP, _SIZE, _OBJECT = b"GCOL\x01", Struct("<Q"), Struct("<H6xQ")


@contextmanager
def opened_hdf5(path: Path) -> Iterator[h5py.File]:
    """The file, to be read."""
    with damage(path.name, "an HDF5"), h5py.File(path, "r") as file:
        yield file


def refuse_endless_heap(path: Path) -> None:
    """An InputError where HDF5 would never end to look for a word of any length.

    It walks over a heap from object to object, each behind the one before by the size that the file
    tells, and takes a size of 0. (HDF5 File Format Specification 3.0, III.E, Global Heap.)
    """
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        heap = content.find(_HEAP)
        while heap >= 0:
            (size,) = _SIZE.unpack(content[heap + 8 : heap + 16].ljust(8, b"\0"))
            place, end = heap + 16, min(heap + size, len(content))
            while place + _OBJECT.size <= end:
                index, length = _OBJECT.unpack(content[place : place + _OBJECT.size])
                if length > size or (index == 0 and length == 0):
                    raise InputError(
                        f"{path.name} is an HDF5 file that cannot be read: its heap is damaged."
                    )
                place += length if index == 0 else _OBJECT.size + -(-length // 8) * 8
            heap = content.find(_HEAP, heap + len(_HEAP))


def stored_in(
    group: h5py.File | h5py.Group, name: str, file_name: str
) -> h5py.Dataset | h5py.Group | None:
    """What a file or a group in it has under a name in itself, None where it has nothing there.

    An InputError where it points to somewhere else: whoever made the file may not read what whoever
    opens it may.
    """
    link = group.get(name, getlink=True)
    if link is None:
        return None
    found = group[name] if isinstance(link, h5py.HardLink) else None
    is_data = isinstance(found, h5py.Dataset)
    if found is None or (is_data and (found.is_virtual or found.external is not None)):
        raise InputError(
            f"{name!r} is not in {file_name} itself, which points to another place or file: "
            "save it anew, with all that it needs."
        )
    return found


def refuse_large_pieces(array: h5py.Dataset, file_name: str) -> None:
    """An InputError where an array is in pieces that are larger than can be read at a time."""
    size = array.dtype.itemsize * math.prod(array.chunks or (0,))
    if size > _MOST_PIECE:
        raise InputError(
            f"{array.name!r:.40} in {file_name} is in pieces of {size / 1e9:,.1f} GB, and "
            f"{_MOST_PIECE / 1e9:g} GB can be read at a time: save it in smaller ones."
        )


@dataclass(frozen=True)
class _Column:
    """One of a table: an array of so many rows and bytes in each, or one column of it, times a
    length.
    """

    name: str
    place: tuple[str, ...]
    n_rows: int
    width: int
    at: int | None = None
    factor: float | None = None

    def of(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Its values, (N,), in what is in its place."""
        values = array[:, self.at] if self.at is not None else np.ravel(array)
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        return native if self.factor is None else native.astype(float) * self.factor


def open_columns(path: Path) -> Table | None:
    """A file of DECODE, SMAPpy, or SMAP as MATLAB 7.3 writes it; None of another one.

    Raises
    ------
    InputError
        Where the file is damaged, or points to others.
    """
    with opened_hdf5(path) as file:
        program, columns = _columns(file, path.name)
        if not columns:
            return None
    # Settings, such as a single number, are no columns.
    shared = Counter(column.n_rows for column in columns)
    n_rows = max(shared, key=lambda n: (shared[n], n))
    columns = [column for column in columns if column.n_rows == n_rows]

    def load(positions: Sequence[int]) -> pd.DataFrame:
        values: dict[int, np.ndarray[Any, Any]] = {}
        with opened_hdf5(path) as file:
            # Once for all columns of an array, for its pieces are read as a whole.
            for place in {columns[at].place for at in positions}:
                array = _followed(file, place, path.name)
                assert isinstance(array, h5py.Dataset)
                refuse_large_pieces(array, path.name)
                if (size := array.dtype.itemsize * array.size) > MAX_BYTES:
                    raise InputError(
                        f"{array.name!r:.40} in {path.name} has {size / 1e9:,.1f} GB, and "
                        f"{MAX_BYTES / 1e9:g} GB can be read: divide it into smaller files."
                    )
                whole = array[()]
                values |= {
                    at: columns[at].of(whole) for at in positions if columns[at].place == place
                }
        return pd.DataFrame({at: values[at] for at in positions})

    names = tuple(column.name for column in columns)
    about = {"format": "HDF5", "program": program}
    widths = [column.width for column in columns]
    return Table(path.name, names, n_rows, widths, load, about)


def _columns(file: h5py.File, file_name: str) -> tuple[str, list[_Column]]:
    """The program that has written a file, and its columns; none of an unknown one."""
    group = _followed(file, ("data",), file_name)
    if isinstance(group, h5py.Group) and stored_in(group, "xyz", file_name) is not None:
        refuse_endless_heap(Path(file.filename))
        return "DECODE", _of_decode(file, group, file_name)
    for program, place in (("SMAPpy", ("locs",)), ("SMAP", ("saveloc", "loc"))):
        group = _followed(file, place, file_name)
        if isinstance(group, h5py.Group) and len(columns := _of_group(group, place, file_name)) > 1:
            return program, columns
    return "", []


def _of_decode(file: h5py.File, group: h5py.Group, file_name: str) -> list[_Column]:
    """https://github.com/TuragaLab/DECODE: x and y are camera pixels or nm, z is in nm."""
    meta = _followed(file, ("meta",), file_name)
    told: Any = {} if meta is None else meta.attrs
    factors, unit = lengths(told, file_name)
    columns = []
    for name in group:
        array = stored_in(group, name, file_name)
        if not isinstance(array, h5py.Dataset) or array.shape is None:
            continue
        if name in _OF_AXES and array.ndim == 2 and array.shape[1] == 3:
            for at, (axis, factor) in enumerate(zip("xyz", factors, strict=True)):
                title = _OF_AXES[name].format(axis) + (f" [{unit}]" if unit else "")
                columns.append(_column(title, ("data", name), array, at, factor))
        elif array.ndim == 1 and array.dtype.kind in "biuf":
            columns.append(_column(name, ("data", name), array))
    return columns


def _of_group(group: h5py.Group, place: tuple[str, ...], file_name: str) -> list[_Column]:
    """One array for each column, in a row or a column."""
    columns = []
    for name in group:
        array = stored_in(group, name, file_name)
        if not isinstance(array, h5py.Dataset) or array.dtype.kind not in "biuf":
            continue
        if array.shape and max(array.shape) == array.size:
            columns.append(_column(name, (*place, name), array))
    return columns


def _column(
    name: str,
    place: tuple[str, ...],
    array: h5py.Dataset,
    at: int | None = None,
    factor: float | None = None,
) -> _Column:
    return _Column(name, place, max(array.shape), array.dtype.itemsize, at, factor)


def _followed(file: h5py.File, place: tuple[str, ...], file_name: str) -> Any:
    """What lies there, None where nothing does."""
    found: Any = file
    for name in place:
        if not isinstance(found, h5py.Group):
            return None
        found = stored_in(found, name, file_name)
    return found
