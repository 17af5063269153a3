"""An array of records in a Zarr folder of version 2, as MINFLUX microscopes write it.

    events = read_array(Path("experiment.zarr/mfx"))

The package zarr reads no records that hold short arrays, as a position of three numbers (3.1.6), so
that only its codecs are used. The format: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html
"""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.files import readable_file
from napari_sparse_gmm.io.table import MAX_BYTES

HEADER = ".zarray"
_MOST_HEADER = 10**6

# What a codec may add to the bytes of a chunk that cannot be compressed.
_MORE = 1 << 16

# Those that do not write more than they are given room for; and those of zlib, which can be asked.
_CODECS, _OF_ZLIB = ("blosc", "lz4", "zstd"), ("zlib", "gzip")


def read_array(folder: Path) -> NDArray[Any]:
    """The whole of an array with one axis.

    Raises
    ------
    InputError
        Where it is too large, or in a form that is not read.
    """
    header = json.loads(readable_file(folder / HEADER, _MOST_HEADER).read_text(encoding="utf-8"))
    ((n,), (n_chunk,)), kind = (header["shape"], header["chunks"]), _kind(header["dtype"])
    if kind.hasobject or not (0 <= n * kind.itemsize <= MAX_BYTES and n_chunk > 0):
        raise InputError(
            f"{folder.name} has {n:,} records of {kind.itemsize} bytes in chunks of {n_chunk:,}, "
            f"and at most {MAX_BYTES / 1e9:g} GB of numbers can be read."
        )
    if n_chunk * kind.itemsize > MAX_BYTES or header.get("filters") or not _is_zero(header):
        raise InputError(
            f"{folder.name} has chunks that are too large, or filters or other values between "
            "them, which are not read."
        )
    found = np.zeros(n, kind)
    for path in folder.iterdir():  # a chunk that is not there is all 0
        if (
            path.name.isascii()
            and path.name.isdecimal()
            and (start := int(path.name) * n_chunk) < n
        ):
            packed = readable_file(path, n_chunk * kind.itemsize + _MORE).read_bytes()
            chunk = _decoded(packed, header["compressor"], n_chunk * kind.itemsize)
            found[start : start + n_chunk] = chunk.view(kind)[: n - start]
    return found


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

        room = np.zeros(size, np.uint8)
        get_codec(compressor).decode(packed, out=room)
        return room
    if name in _OF_ZLIB:
        packed = zlib.decompressobj(wbits=47).decompress(packed, size)  # 47: of both kinds
    elif name is not None:
        raise InputError(f"Its chunks are compressed by {name!r:.40}, which is not read.")
    return np.frombuffer(packed, np.uint8)[:size]
