"""KeOps made ready behind the scenes.

Its kernels are compiled at their first use on a machine: some 5 s each, three for each
number of dimensions, and for points with noise three more. A thread of its own does it, so that
whoever waits can say for how long, or stop waiting; the compilers go on, for the next time::

    for waiting in get_ready(2, "cpu").waiting():
        print(waiting)

Whoever asks meanwhile waits for the same compilers.
"""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass

import numpy as np

from napari_sparse_gmm.engines.engine import Engine
from napari_sparse_gmm.engines.keops_build import load_pykeops
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.mixture import GaussianMixture

_INTERVAL = 0.2  # seconds between two looks: 5 sentences a second

# Kernels that are compiled already are loaded in less; at the first import of all pykeops
# may compile helpers of its own.
_LONGEST_LOADING = 5.0  # seconds


@dataclass(frozen=True)
class Waiting:
    """For how long KeOps has been made ready, and what to tell of it.

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
    """The engine on its way.

    Attributes
    ----------
    outcome : Future
        Becomes the engine's class, or `EngineUnavailable`.
    """

    def __init__(self, n_dimensions: int, device: str, noise: bool) -> None:
        self._n_dimensions, self._device, self._noise = n_dimensions, device, noise
        self._started = time.monotonic()
        self._build_folder: str | None = None
        self._sources: set[tuple[str, int]] = set()  # those of kernels compiled before
        self.outcome: Future[type[Engine]] = Future()

    def run(self) -> None:
        """Get ready; what goes wrong goes into the outcome."""
        try:
            folder = load_pykeops().build_folder
            self._sources = _sources(folder)
            self._build_folder = folder
            keops = _working_keops(self._n_dimensions, self._device, self._noise)
        except BaseException as error:
            _forget(self)
            self.outcome.set_exception(error)
        else:
            _forget(self)
            self.outcome.set_result(keops)

    def waiting(self) -> Iterator[Waiting]:
        """Yields a few times a second until the outcome is there."""
        compiles = False
        while not wait_for([self.outcome], _INTERVAL).done:
            compiles = compiles or self._compiles()
            sentence = (
                f"Compiling KeOps kernels for {self._n_dimensions}D points, first time only"
                if compiles
                else ""
            )
            yield Waiting(sentence, time.monotonic() - self._started)

    def _compiles(self) -> bool:
        """Whether there are compilers at work, or is something else that takes as long."""
        if time.monotonic() - self._started > _LONGEST_LOADING:
            return True
        if self._build_folder is None:
            return False
        return not _sources(self._build_folder) <= self._sources


_lock = threading.Lock()
_running: dict[tuple[int, str, bool], Preparation] = {}


def get_ready(n_dimensions: int, device: str, *, noise: bool = False) -> Preparation:
    """Start to get KeOps ready for points in so many dimensions, or join who does so already.

    With `noise`, for points with noise of their own.

    Where all is compiled and loaded it is done within milliseconds.
    """
    key = n_dimensions, device, noise
    with _lock:
        running = _running.get(key)
        if running is None:
            running = Preparation(*key)
            # A daemon: a program that ends meanwhile does not wait for it.
            threading.Thread(target=running.run, name="KeOps getting ready", daemon=True).start()
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


def _working_keops(n_dimensions: int, device: str, noise: bool) -> type[Engine]:
    """The KeOps engine, after it computed one expectation and compiled all that a fit needs."""
    from napari_sparse_gmm.engines.keops import KeOps

    origin = np.zeros((1, n_dimensions))
    mixture = GaussianMixture(np.ones(1), origin, np.eye(n_dimensions)[None])
    with limited_threads(1):
        held = KeOps(origin, noise=origin if noise else None, device=device)
        held.expectation(mixture, removal=True)
    return KeOps
