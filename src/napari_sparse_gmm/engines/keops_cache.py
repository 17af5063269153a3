"""What KeOps keeps on disk from one process to the next, without what was cut short there.

A full disk or a process that was killed may leave part of a file. KeOps takes any file for a whole
one: half a list of kernels is an error at each import, and half a library ends the process.

>>> remove_damaged()
()
"""

import os
import pickletools
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from struct import Struct

from filelock import FileLock

LOCK = "napari-sparse-gmm.lock"

# Of an ELF file, as a compiler leaves it: where the table of its sections begins, with which it
# ends, the size of an entry and how many there are.
# https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
_ELF, _SECTIONS = b"\x7fELF\x02\x01", Struct("<40xQ10xHH2x")


def remove_damaged() -> tuple[str, ...]:
    """Remove the files that are part of one, so that KeOps makes them anew; their names.

    Before it is imported, for that reads some. A list goes with a library, for it has the library's
    name. Where nothing can be removed, KeOps is left to say what it misses.
    """
    removed = []
    for folder in _build_folders():
        try:
            with FileLock(folder / LOCK, timeout=0):  # another one may compile for minutes
                libraries = [path for path in folder.glob("*.so") if _is_cut_library(path)]
                lists = [
                    path for path in folder.glob("*.pkl") if libraries or not _is_whole_list(path)
                ]
                for path in libraries + lists:
                    path.unlink(missing_ok=True)
                    removed.append(path.name)
        except OSError:
            continue
    return tuple(removed)


def _build_folders() -> list[Path]:
    """One for each machine and version of Python."""
    try:
        default = Path.home() / ".cache" / f"keops{version('keopscore')}"
    except (PackageNotFoundError, RuntimeError):  # no KeOps, no home
        return []
    folder = Path(os.environ.get("KEOPS_CACHE_FOLDER") or default)
    return [path for path in folder.glob("*") if path.is_dir()]


def _is_whole_list(path: Path) -> bool:
    """Whether it is a pickle that ends, without doing what it says."""
    try:
        for _ in pickletools.genops(path.read_bytes()):
            pass
    except ValueError:
        return False
    return True


def _is_cut_library(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_SECTIONS.size)
    if len(start) < _SECTIONS.size:
        return True
    place, size, n = _SECTIONS.unpack(start)
    return start.startswith(_ELF) and place + size * n > path.stat().st_size
