"""What the operating system must bring: an OpenGL window for napari, a compiler for KeOps.

pip cannot install these. On Linux this asks the machine for each of them, by loading the
library rather than by asking a package manager, so that the answer holds for any
distribution; the names of the packages are Debian's and Ubuntu's.

    python tools/system_packages.py      # as root: installs what is missing, else says what to type
"""

import ctypes
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from functools import partial
from pathlib import Path


class PackagesMissing(Exception):
    """Its text is one sentence for the user, with the line to type."""


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _has_program(name: str) -> bool:
    return shutil.which(name) is not None


def _has_compiler() -> bool:
    # Where CXX is set KeOps takes it as it is: its flags are its owner's business.
    return bool(os.environ.get("CXX")) or _has_program("g++")


def _has_software_renderer() -> bool:
    roots = [Path("/usr/lib"), Path("/usr/lib64"), *Path("/usr/lib").glob("*-linux-gnu*")]
    patterns = ("dri/swrast_dri.so", "libgallium-*.so")
    return any(True for root in roots for pattern in patterns for _ in root.glob(pattern))


def _has_python_headers() -> bool:
    return Path(sysconfig.get_path("include"), "Python.h").exists()


# Debian package -> is what we want of it there? Read off the libraries that Qt 6 links against.
WINDOW: dict[str, Callable[[], bool]] = {
    "libdbus-1-3": partial(_loads, "libdbus-1.so.3"),
    "libegl1": partial(_loads, "libEGL.so.1"),
    "libfontconfig1": partial(_loads, "libfontconfig.so.1"),
    "libgl1": partial(_loads, "libGL.so.1"),
    "libgl1-mesa-dri": _has_software_renderer,
    "libglib2.0-0": partial(_loads, "libglib-2.0.so.0"),
    "libxcb-cursor0": partial(_loads, "libxcb-cursor.so.0"),
    "libxcb-icccm4": partial(_loads, "libxcb-icccm.so.4"),
    "libxcb-image0": partial(_loads, "libxcb-image.so.0"),
    "libxcb-keysyms1": partial(_loads, "libxcb-keysyms.so.1"),
    "libxcb-render-util0": partial(_loads, "libxcb-render-util.so.0"),
    "libxcb-shape0": partial(_loads, "libxcb-shape.so.0"),
    "libxkbcommon-x11-0": partial(_loads, "libxkbcommon-x11.so.0"),
}
VIRTUAL_SCREEN: dict[str, Callable[[], bool]] = {"xvfb": partial(_has_program, "Xvfb")}
COMPILER: dict[str, Callable[[], bool]] = {
    "g++": _has_compiler,
    f"python{sys.version_info.major}.{sys.version_info.minor}-dev": _has_python_headers,
}


def missing(wanted: dict[str, Callable[[], bool]]) -> list[str]:
    """Debian names of the packages in `wanted` whose contents this machine lacks."""
    return [package for package, is_there in wanted.items() if not is_there()]


def ensure(needed: dict[str, Callable[[], bool]], useful: dict[str, Callable[[], bool]]) -> None:
    """Install with apt-get what is missing, as root; otherwise say which line to type.

    Packages that are only `useful` are installed along with the rest, and no error is
    raised where they cannot be.

    Raises
    ------
    PackagesMissing
        Where a package of `needed` is missing and cannot be installed from here.
    """
    lacking = missing(needed) + missing(useful)
    if not lacking:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *lacking]
    if _may_install():
        _apt_get(command)
    still_lacking = missing(needed)
    if still_lacking:
        raise PackagesMissing(_how_to_install(still_lacking, command))
    for package in missing(useful):
        print(f"Without {package} KeOps cannot compile; the torch engine does its work.")


def _may_install() -> bool:
    return os.geteuid() == 0 and _has_program("apt-get")


def _apt_get(command: list[str]) -> None:
    print("Installing what this machine lacks:", " ".join(command), flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # An index that cannot be refreshed may still name the packages: only the result counts.
    for step in (["apt-get", "update", "-q"], command):
        subprocess.run(step, env=quiet, check=False, stdout=sys.stderr)


def _how_to_install(packages: list[str], command: list[str]) -> str:
    if _has_program("apt-get"):
        line = " ".join(command if os.geteuid() == 0 else ["sudo", *command])
        return f"This machine lacks {', '.join(packages)}. Type this line, then try again:\n{line}"
    return (
        f"This machine lacks the contents of {', '.join(packages)} (these are Debian's names). "
        "Install them with your package manager, then try again."
    )


if __name__ == "__main__":
    if sys.platform == "linux":
        try:
            ensure(WINDOW | VIRTUAL_SCREEN | COMPILER, useful={})
        except PackagesMissing as error:
            sys.exit(str(error))
