"""Where points are kept while they are fitted: in memory, or sorted on disk and on workers.

>>> storage = Storage(memory_limit=2_000_000_000)
>>> storage.holds(1_000_000, 2), storage.holds(100_000_000, 2)
(True, False)
"""

import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from napari_sparse_gmm.chunked import Chunked
from napari_sparse_gmm.engines.choice import Opening
from napari_sparse_gmm.engines.partitioned import Partitioned
from napari_sparse_gmm.engines.spatial_sort import Here, Stored, Survey, sorted_in_space
from napari_sparse_gmm.engines.workers import TASKS_EACH, ThisProcess
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.observations import Observations

# Points in a partition, at most; and bytes that the program itself takes.
_LARGEST, _PROGRAM = 1 << 20, 600_000_000
# Bytes for each point: in a fit in memory, three times its numbers and neighbours for births; and
# of a partition while it is asked. Numbers are held in single precision, some of them as padding.
_NUMBERS, _NEIGHBOURS, _HELD = 24, 350, 5


@dataclass(frozen=True)
class Storage:
    """Where the points of a fit are kept that come in chunks; see `chunked`.

    Parameters
    ----------
    folder : path, optional
        For sorted points, which are removed with the engine that holds them; workers elsewhere
        have to reach it, too. By default that of temporary files.
    memory_limit : int, optional
        Bytes that this process may take. Points that fit in are held in memory, others sorted on
        disk. By default half of what is free.
    client : distributed.Client, optional
        The points are then sorted, and held by its workers, however many there are. Without a
        `Storage` those that do not fit in memory are held by the workers of the client that Dask
        takes by itself, where there is one.
    """

    folder: str | Path | None = None
    memory_limit: int | None = None
    client: Any = None

    def __deepcopy__(self, memo: object) -> "Storage":
        # scikit-learn copies parameters, and of a client there is one.
        return self

    def of_the_client(self) -> "Storage":
        """With the client that Dask takes by itself, where there is one."""
        if "distributed" not in sys.modules:
            return self
        try:
            return replace(self, client=sys.modules["distributed"].default_client())
        except ValueError:  # there is none
            return self

    def holds(self, n_points: int, n_columns: int) -> bool:
        """Whether so many points with so many numbers each fit in memory."""
        return self.client is None and _in_memory(n_points, n_columns) <= self.limit - _PROGRAM

    @property
    def limit(self) -> int:
        """Bytes that this process may take."""
        if self.memory_limit is None:
            own = psutil.Process().memory_info().rss
            return own + psutil.virtual_memory().available // 2
        return self.memory_limit

    @property
    def place(self) -> Any:
        """Where chunks are read."""
        if self.client is None:
            return Here()
        from napari_sparse_gmm.engines.dask_workers import OnWorkers

        return OnWorkers(self.client)

    def sorted(self, chunked: Chunked, surveyed: Survey, opening: Opening) -> "Sorted":
        """The points, sorted in space, in partitions on disk."""
        try:
            folder = tempfile.mkdtemp(prefix="sparse-gmm-", dir=self.folder)
        except OSError as error:
            raise InputError(f"No scratch folder can be made: {error}.") from error
        try:
            n = self._n_partitions(surveyed.n_points)
            partitions = sorted_in_space(
                chunked, surveyed, Path(folder), opening, n_partitions=n, place=self.place
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return Sorted(self, folder, partitions, surveyed.n_columns)

    def _n_partitions(self, n_points: int) -> int:
        least = 1
        if self.client is not None:
            least = TASKS_EACH * len(self.client.scheduler_info(n_workers=-1)["workers"])
        least = max(least, -(-n_points // _LARGEST))
        return 1 << (least - 1).bit_length()


@dataclass(frozen=True)
class Sorted:
    """Points sorted in partitions on disk."""

    storage: Storage
    folder: str
    partitions: list[Stored]
    n_columns: int

    def neighbours(self) -> Observations:
        """All points of some place."""
        return self.partitions[len(self.partitions) // 2].read()

    def opened(self, share: float, reason: str) -> Partitioned:
        """The engine that holds them, each counting `share` times as often as its weight."""
        partitions = [replace(partition, share=share) for partition in self.partitions]
        try:
            engine = Partitioned(self._workers(partitions), partitions[0].opening.engine, reason)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        weakref.finalize(engine, shutil.rmtree, self.folder, ignore_errors=True)
        return engine

    def _workers(self, partitions: list[Stored]) -> Any:
        if self.storage.client is not None:
            from napari_sparse_gmm.engines.dask_workers import DaskWorkers

            n = sum(partition.n_points for partition in partitions)
            n_bytes = _in_memory(n, self.n_columns)
            return DaskWorkers(self.storage.client, partitions, n_bytes)
        largest = max(partition.n_points for partition in partitions)
        free = self.storage.limit - _PROGRAM - _in_memory(largest, self.n_columns)
        n_held = max(0, int(free // (largest * _HELD * (1 + self.n_columns))))
        return ThisProcess(partitions, n_held)


@contextmanager
def needs_dask() -> Iterator[None]:
    """An InputError that says how to install Dask, where something needs it that is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("dask", "distributed"):
            raise
        raise InputError(
            "Workers need Dask: python -m pip install 'napari-sparse-gmm[dask]' brings it."
        ) from None


def connected(address: str) -> Any:
    """A client of the Dask scheduler at an address. InputError where none answers."""
    with needs_dask():
        from napari_sparse_gmm.engines import dask_workers
    return dask_workers.connected(address)


def _in_memory(n_points: int, n_columns: int) -> float:
    """Bytes that points take in a fit, all at once."""
    return n_points * (_NUMBERS * n_columns + _NEIGHBOURS)
