"""How pykeops is loaded and its kernels are compiled here.

Four things that pykeops 2.3 leaves to its user:

- A processor kernel holds Python's global lock while it runs, so a window would freeze
  for as long. The C++ wrapper that pykeops writes for each formula is changed to release it.
- A kernel keeps the addresses of its arguments in an object that all its callers share, and reads
  them again a few lines later. Where another thread calls it in between, it computes with the
  memory of the other, freed or of another size. So each call gets an object of its own.
- A compiler that fails is noticed only when the kernel is imported. `first_use` turns that,
  and everything else that can go wrong, into `EngineUnavailable`.
- Two processes that compile the same formula at once can break each other's files. The
  first use of each formula holds a lock.
"""

import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock

from napari_sparse_gmm.engines.engine import EngineUnavailable
from napari_sparse_gmm.engines.keops_cache import LOCK, remove_damaged
from napari_sparse_gmm.engines.threads import look_for_runtimes

# Marks our kernels. The flags are part of a kernel's file name, so kernels that other
# programs compiled with the unchanged wrapper are never mistaken for ours.
_MARK = " -DSPARSE_GMM_RELEASES_LOCK"
# A quarter less time: coordinates are relative to the centre of a block, so sums may be taken in
# any order; densities may be infinite. The build folder belongs to one machine. (The thread that
# loads a kernel then rounds the smallest numbers to zero: `_as_before` takes that back.)
_FAST = " -march=native -ffast-math -fno-finite-math-only"
# A kernel of some numbers on the graphics card.
_TRIAL = """
import torch
from pykeops.torch import Genred
x = torch.ones(2, 1, device="cuda")
total = Genred("Exp(-Square(x - y))", ["x = Vi(1)", "y = Vj(1)"], axis=1)(x, x)
assert (total == 2).all()
"""
_CALL = "return launch_keops_cpu_"

_lock = threading.Lock()
_ready: set[object] = set()


class Loaded(NamedTuple):
    """pykeops as it was loaded here."""

    build_folder: str
    releases_lock: bool  # whether the wrapper of this version of pykeops could be changed


@cache
def load_pykeops() -> Loaded:
    """Import pykeops, quietly, and change its wrapper.

    Raises
    ------
    EngineUnavailable
        Where pykeops is not installed, finds no compiler or no folder to write to.
    """
    # Read at import, KEOPS_VERBOSE first. A user who set them keeps the messages.
    os.environ.setdefault("PYKEOPS_VERBOSE", "0")
    os.environ.setdefault("KEOPS_VERBOSE", os.environ["PYKEOPS_VERBOSE"])
    remove_damaged()
    try:
        import pykeops.torch
        from pykeops.config import pykeops_base
    except ImportError as error:
        raise EngineUnavailable(f"pykeops cannot be imported ({error}).") from error
    except OSError as error:
        raise EngineUnavailable(f"KeOps cannot write its build folder ({error}).") from error
    except TypeError as error:
        # pykeops 2.3 compares the version of a libcudart that it has not found.
        raise EngineUnavailable(_without_cuda()) from error
    if pykeops_base.get_cxx_compiler() is None:
        raise EngineUnavailable(
            "KeOps needs a C++ compiler to build its kernels and found none; "
            "install g++ or clang++."
        )
    _keep_calls_apart()
    return Loaded(pykeops.get_build_folder(), _release_lock_in_wrappers())


def check_cuda() -> None:
    """EngineUnavailable, saying what is missing, where pykeops cannot compile for CUDA.

    The first time, a process of its own tries: what is linked against other libraries than
    torch crashes there, and not here.
    """
    folder = load_pykeops().build_folder
    from pykeops.config import pykeops_cuda

    if not pykeops_cuda.get_use_cuda() or pykeops_cuda.get_cuda_include_path() is None:
        raise EngineUnavailable(_without_cuda())
    tried = Path(folder, f"napari-sparse-gmm-{torch.__version__}.tried")
    if not tried.exists():
        if failure := failure_apart(_TRIAL):
            raise EngineUnavailable(
                f"KeOps cannot compute on this graphics card: a first kernel {failure}; see "
                "'python -c \"import pykeops; pykeops.test_torch_bindings()\"'."
            )
        tried.touch()


@cache
def failure_apart(code: str) -> str:
    """How some Python ended in a process of its own: "" where it was well."""
    with _alone():
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
    if done.returncode < 0:
        return f"crashed with signal {-done.returncode}"
    last = done.stderr.strip().rpartition("\n")[2]
    return f"failed ({last})" if done.returncode else ""


def _without_cuda() -> str:
    missing = [f"lib{name}" for name in ("cuda", "nvrtc", "cudart") if not find_library(name)]
    wanted = ", ".join(missing) or "cuda.h and nvrtc.h, in $CUDA_PATH/include"
    return f"KeOps cannot compile for CUDA: it does not find {wanted}."


def _keep_calls_apart() -> None:
    from pykeops.common.keops_io.LoadKeOps import LoadKeOps

    original = LoadKeOps.genred_pytorch

    def genred(self: Any, *arguments: Any) -> Any:
        own = object.__new__(type(self))
        vars(own).update(vars(self))
        return original(own, *arguments)

    LoadKeOps.genred_pytorch = genred


def _release_lock_in_wrappers() -> bool:
    from keopscore.binders import LinkCompile
    from keopscore.config import config
    from pykeops.common.keops_io.LoadKeOps_cpp import LoadKeOps_cpp_class

    original = LoadKeOps_cpp_class.get_pybind11_code
    if inspect.getsource(original).count(_CALL) != 1:
        return False

    def releasing(self: object) -> str:
        code: str = original(self)
        return code.replace(_CALL, f"py::gil_scoped_release release;\n    {_CALL}")

    LoadKeOps_cpp_class.get_pybind11_code = releasing
    config.cpp_flags += _MARK + _FAST
    LinkCompile.cpp_flags = config.cpp_flags
    return True


def first_use(key: object, call: Callable[[], object]) -> None:
    """Compile and load a kernel by calling it once on a few numbers, under the lock.

    Raises
    ------
    EngineUnavailable
        Where it does not compile or load.
    """
    if key in _ready:
        return
    try:
        with _alone(), _as_before():
            call()
    except Exception as error:
        raise EngineUnavailable(
            "KeOps could not compile its kernels; check the C++ compiler with "
            f"'python -c \"import pykeops; pykeops.check_health()\"' ({error})."
        ) from error
    look_for_runtimes()
    _ready.add(key)


@contextmanager
def _alone() -> Iterator[None]:
    """Locks out other compilations, in this process and in others."""
    lock_file = os.path.join(load_pykeops().build_folder, LOCK)
    with _lock, FileLock(lock_file):
        yield


@contextmanager
def _as_before() -> Iterator[None]:
    """This thread computes with denormal numbers afterwards if it has done so before."""
    flushed = sys.float_info.min / 2 == 0.0
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
