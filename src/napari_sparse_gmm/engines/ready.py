"""Engines made ready behind the scenes.

Their kernels are compiled at their first use on a machine: those of KeOps take some 5 s each, three
for each number of dimensions, and for points with noise three more; those of the processor some
10 s together. A thread of its own does it, so that a caller can show how long it has been waiting,
or stop waiting; the compilers go on, for the next time::

    for waiting in get_ready("keops", 2, "cpu").waiting():
        print(waiting)

Other callers meanwhile wait for the same compilers.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass

import numpy as np

from napari_sparse_gmm.engines.engine import EngineUnavailable
from napari_sparse_gmm.engines.in_memory import InMemory
from napari_sparse_gmm.engines.keops_build import check_cuda, load_pykeops
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.observations import Observations

_INTERVAL = 0.2  # seconds between two looks: 5 sentences a second

# Kernels that are compiled already are loaded in less; at the first import of all pykeops
# may compile helpers of its own.
_LONGEST_LOADING = {"keops": 5.0, "fused": 2.0}  # seconds


@dataclass(frozen=True)
class Waiting:
    """For how long an engine has been made ready, and a sentence about it.

    Parameters
    ----------
    sentence : str
        "" as long as kernels are only loaded, which is soon over.
    seconds : float
    """

    sentence: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.sentence} ({self.seconds:.0f} s)" if self.sentence else ""


class Preparation:
    """An engine on its way.

    Attributes
    ----------
    outcome : Future
        Becomes the engine's class, or `EngineUnavailable`.
    """

    def __init__(self, engine: str, n_dimensions: int, device: str, noise: bool) -> None:
        self._engine, self._n_dimensions = engine, n_dimensions
        self._device, self._noise = device, noise
        self._started = time.monotonic()
        # Which kernels have been compiled; only KeOps leaves traces.
        self._traces: Callable[[], set[tuple[str, int]]] = set
        self._before: set[tuple[str, int]] = set()
        self.outcome: Future[type[InMemory]] = Future()

    def run(self) -> None:
        """Get ready; what goes wrong goes into the outcome."""
        try:
            if self._engine == "keops":
                folder = load_pykeops().build_folder
                self._before = _sources(folder)
                self._traces = lambda: _sources(folder)
            working = _working(self._engine, self._n_dimensions, self._device, self._noise)
        except BaseException as error:
            _forget(self)
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(working)

    def waiting(self) -> Iterator[Waiting]:
        """Yields a few times a second until the outcome is there."""
        compiles = False
        while not wait_for([self.outcome], _INTERVAL).done:
            seconds = time.monotonic() - self._started
            # Compilers are at work, or something else that takes as long.
            compiles = compiles or seconds > _LONGEST_LOADING[self._engine]
            compiles = compiles or not self._traces() <= self._before
            sentence = ""
            if compiles and self._engine == "keops":
                sentence = f"Compiling KeOps kernels for {self._n_dimensions}D points"
            elif compiles:
                sentence = "Compiling kernels for this processor"
            yield Waiting(sentence and f"{sentence}, first time only", seconds)


_lock = threading.Lock()
_running: dict[tuple[str, int, str, bool], Preparation] = {}


def get_ready(engine: str, n_dimensions: int, device: str, *, noise: bool = False) -> Preparation:
    """Start to get "keops" or "fused" ready for points in so many dimensions, or join who does so
    already.

    With `noise`, for points with noise of their own.

    What is ready stays so; where it could not be, the next one tries again.
    """
    key = engine, n_dimensions, device, noise
    with _lock:
        running = _running.get(key)
        if running is None:
            running = Preparation(*key)
            # A daemon: a program that ends meanwhile does not wait for it.
            threading.Thread(
                target=running.run, name=f"{engine} getting ready", daemon=True
            ).start()
            _running[key] = running
    return running


def _sources(build_folder: str) -> set[tuple[str, int]]:
    """The source files there and when they were written.

    KeOps writes one before each compilation, on the processor and for CUDA.
    """
    with os.scandir(build_folder) as entries:
        return {
            (entry.name, entry.stat().st_mtime_ns)
            for entry in entries
            if entry.name.endswith((".cpp", ".cu"))
        }


def _forget(preparation: Preparation) -> None:
    with _lock:
        for key in [key for key, value in _running.items() if value is preparation]:
            del _running[key]


def _working(engine: str, n_dimensions: int, device: str, noise: bool) -> type[InMemory]:
    if engine == "keops":
        return _working_keops(n_dimensions, device, noise)
    return _working_fused(n_dimensions, device, noise)


def _working_keops(n_dimensions: int, device: str, noise: bool) -> type[InMemory]:
    """The KeOps engine, after it computed one expectation and compiled all that a fit needs."""
    from napari_sparse_gmm.engines.keops import KeOps

    if device == "cuda":
        check_cuda()
    _try_out(KeOps, n_dimensions, device, noise, np.float32)
    return KeOps


def _working_fused(n_dimensions: int, device: str, noise: bool) -> type[InMemory]:
    """The compiled engine, after it did so."""
    try:
        from napari_sparse_gmm.engines.fused import Fused
    except ImportError as error:
        raise EngineUnavailable(f"numba cannot be imported ({error}).") from error

    for dtype in (np.float32, np.float64):
        _try_out(Fused, n_dimensions, device, noise, dtype)
    return Fused


def _try_out(
    engine: type[InMemory], n_dimensions: int, device: str, noise: bool, dtype: type
) -> None:
    points = np.zeros((1, n_dimensions))
    mixture = GaussianMixture(np.ones(1), points, np.eye(n_dimensions)[None])
    observations = Observations(points, None, points if noise else None)
    with limited_threads(1):
        engine(observations, device=device, dtype=dtype).expectation(mixture, removal=True)
