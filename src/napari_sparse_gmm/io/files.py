"""Files as they are named from outside, before they are opened.

>>> readable_file("localizations.csv").name
'localizations.csv'
"""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from napari_sparse_gmm.errors import InputError

# As much of what a library says is part of a message.
_SAID = 200


def readable_file(path: str | Path, at_most: float = float("inf")) -> Path:
    """The path of a regular file, of so many bytes at most.

    Raises
    ------
    InputError
        Where there is none, or something else: to open a pipe or a device may never end.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no file {str(path)!r}.")
    if not path.is_file():
        raise InputError(f"{path} is a folder, a pipe or a device, and no file.")
    if path.stat().st_size > at_most:
        raise InputError(
            f"{path.name} has {path.stat().st_size / 1e6:,.0f} MB, and what it should be has "
            f"{at_most / 1e6:,.0f} at most: choose another file."
        )
    return path


def is_compressed(path: Path) -> bool:
    """Whether a file begins as one of gzip does."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def opened(path: Path) -> BinaryIO:
    """The bytes of a file, or of what gzip has compressed in it."""
    return cast(BinaryIO, gzip.open(path)) if is_compressed(path) else path.open("rb")


@contextmanager
def damage(file_name: str, kind: str) -> Iterator[None]:
    """Whatever a library raises while it reads a file, as an InputError.

    A damaged file may raise anything, which is no mistake of the program's.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{file_name} is {kind} file that cannot be read: {one_line(error)}."
        ) from error


def one_line(error: Exception) -> str:
    """What a library says is wrong, as a part of a sentence."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= _SAID else f"{text[:_SAID]}…"
