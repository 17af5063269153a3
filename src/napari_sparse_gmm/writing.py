"""Files and folders that are whole, or as they were.

>>> with whole_file("model.json") as path:
...     n_characters = path.write_text("{}")
"""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from napari_sparse_gmm.errors import InputError


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A new file beside `path`, to be written, which takes its place when the block ends.

    Where the block fails `path` is as it was, and nothing is left beside it. A link stays one: what
    it points to is replaced. The new file has the permissions of the old one. What is no regular
    file, such as /dev/stdout, is written to as it is.

    Raises
    ------
    OSError
        That names `path`, also where it was raised for the file beside it, as by a full disk.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if target.exists() and not target.is_file():
            yield target
            return
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        # Some writers go by its suffix.
        beside = target.with_name(f".{token_hex(8)}{target.suffix}")
        try:
            beside.touch(exist_ok=False)
            if target.exists():
                beside.chmod(target.stat().st_mode)
            yield beside
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        # Some libraries give no more than a sentence: that too few bytes were written.
        why = error.strerror or str(error)
        raise OSError(error.errno or errno.EIO, why, os.fspath(path)) from error


@contextmanager
def whole_folder(path: str | Path, marks: Iterable[str]) -> Iterator[Path]:
    """The name of a new folder beside `path`, to be made, that takes its place when the block ends.

    Where the block fails `path` is as it was, and nothing is left beside it. A folder that exists
    is replaced where it is empty, or has one of the files `marks` that tell what it is.

    Raises
    ------
    InputError
        Where there is another folder, or a file.
    OSError
        That names `path`.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not (
        target.is_dir()
        and (not any(target.iterdir()) or any((target / mark).is_file() for mark in marks))
    ):
        raise InputError(
            f"{path} is there already, and something else than what would be written: choose "
            "another name."
        )
    beside, before = (target.with_name(f".{token_hex(8)}{target.suffix}") for _ in range(2))
    try:
        try:
            yield beside
            if target.exists():
                target.rename(before)
            try:
                beside.rename(target)
            except OSError:
                if before.exists():
                    before.rename(target)
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
            shutil.rmtree(before, ignore_errors=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(error.errno or errno.EIO, why, os.fspath(path)) from error


def refuse_to_overwrite(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """An InputError where a file that is to be written is one of those that are read."""
    given = [path for path in inputs if path.exists()]
    for output in outputs:
        if output.exists() and any(output.samefile(path) for path in given):
            raise InputError(f"{output} is read, so it cannot be written as well: choose another.")
