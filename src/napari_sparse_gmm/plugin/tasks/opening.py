"""Points that are more than a layer shows, brought to where they are fitted, as work for a thread.

In such work::

    engine = yield from opened(all_points, estimator, Place(scheduler="tcp://10.0.0.1:8786"))
"""

from concurrent.futures import Future
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from weakref import finalize

from napari_sparse_gmm.chunked import Chunk, Chunked
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.plugin.points.sampled import AllPoints
from napari_sparse_gmm.plugin.tasks.task import Progress, Work, no_fallback_warning
from napari_sparse_gmm.plugin.tasks.values import Place

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Engine
    from napari_sparse_gmm.estimator import SparseGaussianMixture

# Seconds between two looks whether the points are there.
_LOOK = 0.05
# What of the parameters decides how points are held.
_DECIDING = ("n_components", "prior", "solver", "repeats", "engine", "device")


class _Unwanted(Exception):
    """Nobody waits for the points any more."""


def opened(
    all_points: AllPoints, estimator: "SparseGaussianMixture", place: Place
) -> "Work[Engine]":
    """The engine that holds all points: that of the last fit, where it is of the same.

    Raises
    ------
    InputError, EngineLost
        Where the table or the scheduler is not there, or there is no room.
    """
    held = place.held
    how = (place, *(getattr(estimator, name, None) for name in _DECIDING))
    if held.engine is not None and held.how == how and all_points.same_as(held.points):
        return held.engine
    held.forget()  # before there are others beside it
    yield Progress(0, 1, "Reading the points")
    watched = _Watched(all_points.open())
    outcome: Future[Engine] = Future()
    Thread(target=_work, args=(watched, estimator, place, outcome), daemon=True).start()
    try:
        while not outcome.done():
            # Each chunk is read for the places of the partitions, and to be put into them.
            yield Progress(watched.n_loaded, 2 * watched.n_chunks, "Reading the points")
            watched.unwanted.wait(_LOOK)
    finally:
        watched.unwanted.set()
    engine = outcome.result()
    held.points, held.how, held.engine = all_points, how, engine
    return engine


def _work(
    watched: "_Watched",
    estimator: "SparseGaussianMixture",
    place: Place,
    outcome: "Future[Engine]",
) -> None:
    from napari_sparse_gmm.engines.storage import Storage, connected

    client = None
    try:
        if place.scheduler:
            client = connected(place.scheduler)
        estimator.set_params(storage=Storage(place.folder, client=client))
        with no_fallback_warning():
            engine = estimator.open(watched.chunked)
        if client is not None:
            finalize(engine, client.close)
    except BaseException as error:
        if client is not None:
            client.close()
        outcome.set_exception(error)
    else:
        outcome.set_result(engine)


class _Watched:
    """Chunks that are counted as they are read here, and are not read when nobody wants them."""

    def __init__(self, chunked: Chunked) -> None:
        self.unwanted = Event()
        self.n_loaded, self.n_chunks = 0, len(chunked.chunks)
        chunks = [_WatchedChunk(chunk, self) for chunk in chunked.chunks]
        self.chunked = Chunked(chunks, chunked.n_dimensions)


@dataclass(frozen=True, eq=False)
class _WatchedChunk:
    chunk: Chunk
    watched: _Watched

    def load(self) -> Observations:
        if self.watched.unwanted.is_set():
            raise _Unwanted
        self.watched.n_loaded += 1
        return self.chunk.load()

    @property
    def delayed(self) -> Any:
        return self.chunk.delayed
