"""The machine and the versions that figures belong to."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = (
    "napari-sparse-gmm",
    "numpy",
    "scipy",
    "torch",
    "pykeops",
    "scikit-learn",
    "gmmx",
    "jax",
    "napari",
)


def describe() -> list[tuple[str, str]]:
    """Name and value of what matters for speed."""
    rows = [
        ("processor", _processor()),
        ("cores", _cores()),
        ("memory", _memory()),
        ("graphics card", torch.cuda.get_device_name() if torch.cuda.is_available() else "none"),
        ("system", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
    ]
    return rows + [(name, _version(name)) for name in PACKAGES]


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    text = cpuinfo.read_text()
    fields = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.*)$", text, re.MULTILINE))
    name = fields.get("model name", platform.machine())
    # Some hosts give their guests a name that fits a dozen processors.
    if "cpu family" in fields and "model" in fields:
        name += f" (family {fields['cpu family']}, model {fields['model']})"
    return name


def _cores() -> str:
    total = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return f"{usable} of {total}{load}"


def _memory() -> str:
    if not hasattr(os, "sysconf"):
        return "not known"
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
