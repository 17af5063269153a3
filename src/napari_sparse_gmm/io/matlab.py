"""Variables of files that MATLAB 5 to 7.2 writes: numbers, and records of such.

Of a file of the microscope::

    variables_in(Path("minflux.mat"))  # ('vld', 'itr', 'tid', 'tim', 'loc')
    read_variables(Path("minflux.mat"))["loc"].shape  # (6, 3)

SciPy ends the process over some damaged files (1.17), and a window with it. The format:
https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
"""

import math
import zlib
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from struct import unpack_from
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.table import MAX_BYTES

FIRST_BYTES = b"MATLAB 5.0 MAT-file"

# The text and the version in front of the variables, the last two bytes of which tell the order of
# bytes. (Page 1-5)
_HEADER = 128

# How numbers are stored, and which a matrix is of, by the numbers of the format. (Tables 1-1, 1-3)
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_STORED |= {12: "i8", 13: "u8"}
_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4"}
_NUMBERS |= {14: "i8", 15: "u8"}
_MATRIX, _COMPRESSED, _RECORD, _COMPLEX = 14, 15, 2, 0x800

# What stands before the values of a variable is shorter.
_LONGEST_HEAD = 1 << 12

Order = Literal["<", ">"]
Values = NDArray[np.generic] | dict[str, NDArray[np.generic]]


def variables_in(path: Path) -> tuple[str, ...]:
    """Their names, of any kind."""
    names = []
    content, order = _content(path)
    for kind, data in _elements(content, order):
        if kind == _COMPRESSED:
            data = memoryview(zlib.decompressobj().decompress(data, _LONGEST_HEAD))[8:]
        if kind in (_MATRIX, _COMPRESSED):
            names.append(_head(data, order)[2])
    return tuple(names)


def read_variables(path: Path) -> dict[str, Values]:
    """The matrices of numbers, by their names, and records of such, those by theirs; no others.

    Raises
    ------
    InputError
        Where they take more than can be read.
    ValueError, and others
        Where the file is damaged.
    """
    found: dict[str, Values] = {}
    content, order = _content(path)
    left = int(MAX_BYTES)
    for kind, data in _elements(content, order):
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(data, left + 1)
            if len(unpacked) > left:
                raise InputError(
                    f"It has more than {MAX_BYTES / 1e9:g} GB when it is decompressed."
                )
            left -= len(unpacked)
            kind, data = next(_elements(memoryview(unpacked), order))
        if kind == _MATRIX:
            name, values = _matrix(data, order)
            record = _record(data, order)
            if values is not None:
                found[name] = values
            elif record is not None:
                found[name] = record
    return found


def _content(path: Path) -> tuple[memoryview, Order]:
    """The variables, and the order of their bytes."""
    with path.open("rb") as file:
        content = memoryview(mmap(file.fileno(), 0, access=ACCESS_READ))
    return content[_HEADER:], ">" if bytes(content[126:_HEADER]) == b"MI" else "<"


def _elements(content: memoryview, order: Order) -> Iterator[tuple[int, memoryview]]:
    """The kind and the bytes of each part. (Page 1-8)"""
    place = 0
    while place + 8 <= len(content):
        kind, n = unpack_from(f"{order}II", content, place)
        if kind >> 16:  # what is short stands in the place of its length
            n, kind, start = kind >> 16, kind & 0xFFFF, place + 4
            place += 8
        else:
            start = place + 8
            place = start + n + (-n % 8 if kind != _COMPRESSED else 0)
        if start + n > len(content):
            raise ValueError("it ends in the midst of a variable")
        yield kind, content[start : start + n]


def _head(matrix: memoryview, order: Order) -> tuple[int, tuple[int, ...], str]:
    """What a matrix is of, its shape and its name. (Page 1-15)"""
    parts = _elements(matrix, order)
    flags, shape, name = (next(parts)[1] for _ in range(3))
    lengths = tuple(map(int, np.frombuffer(shape, f"{order}i4")))
    if min(lengths, default=0) < 0:
        raise ValueError("it has a variable of a negative length")
    (flag,) = unpack_from(f"{order}I", flags)
    kind = 0 if flag & _COMPLEX else flag & 0xFF
    return kind, lengths, bytes(name).decode("latin-1")


def _matrix(matrix: memoryview, order: Order) -> tuple[str, NDArray[np.generic] | None]:
    """Its name, and its numbers; None of another kind of values."""
    kind, shape, name = _head(matrix, order)
    if kind not in _NUMBERS:
        return name, None
    stored, data = list(_elements(matrix, order))[3]
    # Numbers may be stored as smaller ones than they are.
    numbers = np.frombuffer(data, np.dtype(_STORED[stored]).newbyteorder(order))
    return name, numbers.astype(_NUMBERS[kind]).reshape(shape, order="F")


def _record(matrix: memoryview, order: Order) -> dict[str, NDArray[np.generic]] | None:
    """The numbers of a single record, by the names of its fields. (Page 1-19)"""
    kind, shape, _ = _head(matrix, order)
    if kind != _RECORD or math.prod(shape) != 1:
        return None
    _, _, _, (_, length), (_, text), *fields = _elements(matrix, order)
    (n,) = unpack_from(f"{order}i", length)
    names = [
        bytes(text[at : at + n]).partition(b"\0")[0].decode("latin-1")
        for at in range(0, len(text), n)
    ]
    found = {}
    for name, (_, field) in zip(names, fields, strict=True):
        values = _matrix(field, order)[1] if len(field) else None
        if values is not None:
            found[name] = values
    return found
