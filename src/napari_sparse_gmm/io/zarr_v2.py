"""An array of records in a Zarr folder of version 2, as MINFLUX microscopes write it.

    events = stored_records(Path("experiment.zarr/mfx"))

The package zarr reads no records that hold short arrays, as a position of three numbers (3.1.6), so
that only its codecs are used. The format: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html
"""

import base64
import json
import re
import zlib
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.files import readable_file
from napari_sparse_gmm.io.table import MAX_BYTES

HEADER = ".zarray"
_MOST_HEADER = 10**6

# The name of a chunk.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")

# A chunk is read as a whole, and a header may declare any size of it.
_MOST_CHUNK = 10**9

# What a codec may add to the bytes of a chunk that cannot be compressed.
_MORE = 1 << 16

# In front of what Blosc has compressed, behind four bytes: how many bytes that is, how many are in
# a block, and how many it all is with this. https://github.com/Blosc/c-blosc, README_CHUNK_FORMAT
_BLOSC = Struct("<4xIII")

# Those that do not write more than they are given room for; and those of zlib, which can be asked.
_CODECS, _OF_ZLIB = ("blosc", "lz4", "zstd"), ("zlib", "gzip")


def stored_records(folder: Path) -> NDArray[Any]:
    """The records of an array with one axis, without those of chunks that are not there, which are
    all 0: a short header may declare any number of them.

    Raises
    ------
    InputError
        Where they are too many, or in a form that is not read.
    """
    header = json.loads(readable_file(folder / HEADER, _MOST_HEADER).read_text(encoding="utf-8"))
    ((n,), (n_chunk,)), kind = (header["shape"], header["chunks"]), _kind(header["dtype"])
    size = n_chunk * kind.itemsize
    if kind.hasobject or not 0 < size <= _MOST_CHUNK:
        raise InputError(
            f"{folder.name} is in chunks of {n_chunk:,} records of {kind.itemsize} bytes, and at "
            f"most {_MOST_CHUNK / 1e9:g} GB of numbers can be read at a time."
        )
    if header.get("filters") or not _is_zero(header):
        raise InputError(
            f"{folder.name} has filters or values other than 0 between its chunks, which are not "
            "read."
        )
    numbers = sorted(
        number
        for path in folder.iterdir()
        if _NUMBER.fullmatch(path.name) and (number := int(path.name)) * n_chunk < n
    )
    if len(numbers) * size > MAX_BYTES:
        raise InputError(
            f"{folder.name} has {len(numbers) * size / 1e9:,.1f} GB of records, and at most "
            f"{MAX_BYTES / 1e9:g} GB can be read."
        )
    found = [np.empty(0, kind)]
    for number in numbers:
        packed = readable_file(folder / str(number), size + _MORE).read_bytes()
        chunk = _decoded(packed, header["compressor"], size).view(kind)
        if len(chunk) != n_chunk:
            raise InputError(f"Chunk {number} of {folder.name} has {len(chunk):,} records.")
        found.append(chunk[: n - number * n_chunk])
    return np.concatenate(found)


def _kind(told: Any) -> np.dtype[Any]:
    """The type of numbers, or of records of such: lists of a name, a type and maybe a shape."""
    if isinstance(told, str):
        return np.dtype(told)
    return np.dtype([(name, _kind(kind), *map(tuple, shape)) for name, kind, *shape in told])


def _is_zero(header: Any) -> bool:
    """Whether what is not stored is 0."""
    value = header.get("fill_value")
    return not (any(base64.b64decode(value)) if isinstance(value, str) else value)


def _decoded(packed: bytes, compressor: Any, size: int) -> NDArray[np.uint8]:
    """So many bytes (size,), and no more."""
    name = None if compressor is None else compressor["id"]
    if name in _CODECS:
        from numcodecs import get_codec

        if name == "blosc" and not _is_whole(packed, size):
            raise ValueError("a chunk of it is damaged")
        room = np.zeros(size, np.uint8)
        get_codec(compressor).decode(packed, out=room)
        return room
    if name in _OF_ZLIB:
        packed = zlib.decompressobj(wbits=47).decompress(packed, size)  # 47: of both kinds
    elif name is not None:
        raise InputError(f"Its chunks are compressed by {name!r:.40}, which is not read.")
    return np.frombuffer(packed, np.uint8)[:size]


def _is_whole(packed: bytes, size: int) -> bool:
    """Whether a chunk of Blosc is as long as it says, and as it should be: Blosc reads beyond the
    end of another, which may end the process.
    """
    if len(packed) < _BLOSC.size:
        return False
    unpacked, block, whole = _BLOSC.unpack_from(packed)
    return unpacked == size and 0 < block <= size and whole == len(packed)
