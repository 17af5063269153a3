"""Partitions that the workers of a Dask cluster hold.

The points are loaded inside tasks, and what is loaded stays with the worker: where one is lost its
partitions are loaded by others, and the answers to the last question are asked for again. Each
question is one task for a few neighbouring partitions, with the few components that matter there
among its arguments, and one for each sixteen answers, which workers join. So the scheduler sees
some kilobytes for each partition, and the client one answer.

Nothing is scattered, no worker has a state: each answer follows from a file and the arguments.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import distributed
import numpy as np
from dask.delayed import delayed
from distributed.comm import CommClosedError

from napari_sparse_gmm.chunked import Chunk
from napari_sparse_gmm.engines.in_memory import InMemory
from napari_sparse_gmm.engines.threads import limited_threads, n_cores
from napari_sparse_gmm.engines.workers import (
    AT_A_TIME,
    TASKS_EACH,
    Join,
    Partition,
    Question,
    Workers,
)
from napari_sparse_gmm.errors import EngineLost, InputError

_Answer = TypeVar("_Answer")

# Seconds between two looks whether there are workers, and without any until it is given up.
_LOOK, _PATIENCE = 5.0, 60.0
# Of the workers' memory, what points may take.
_SHARE = 0.5


def connected(address: str) -> distributed.Client:
    """A client of the scheduler at an address. InputError where none answers."""
    try:
        return distributed.Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"No Dask scheduler answers at {address}.") from error


class DaskWorkers(Workers):
    """Partitions held by the workers of a client.

    Parameters
    ----------
    client : distributed.Client
    partitions : sequence of Partition
        That all workers can open.
    n_bytes : float
        That all points and what births look at take. Where workers have less, they keep no more
        than kernels need.
    """

    def __init__(
        self, client: distributed.Client, partitions: Sequence[Partition], n_bytes: float
    ) -> None:
        self.client, self.partitions, self.n_bytes = client, partitions, n_bytes
        self.n_partitions = len(partitions)
        self._shared: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        with _lost_in_a_sentence(client):
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
            # A limit of 0 is none.
            memory = sum(worker["memory_limit"] or np.inf for worker in workers)
            how = _How(_threads_of_a_host(workers), forget=n_bytes > _SHARE * memory)
            self._how = how
            # A task takes a millisecond of the scheduler's time, as a partition does of a worker's.
            size = max(1, len(partitions) // (TASKS_EACH * max(1, len(workers))))
            self._bundles = [partitions[k : k + size] for k in range(0, len(partitions), size)]
            self._held = client.map(_held, self._bundles, [how] * len(self._bundles), pure=False)

    def ask(
        self,
        question: Question[_Answer],
        calls: Mapping[int, tuple[Any, ...]],
        join: Join[_Answer],
        shared: Any = None,
    ) -> _Answer:
        size = len(self._bundles[0])
        of_bundles: dict[int, dict[int, tuple[Any, ...]]] = {}
        for p, arguments in calls.items():
            of_bundles.setdefault(p // size, {})[p % size] = arguments
        n = len(of_bundles)
        with _lost_in_a_sentence(self.client):
            answers = self.client.map(
                _answer,
                [self._held[bundle] for bundle in of_bundles],
                [question] * n,
                [join] * n,
                [self._sent(shared)] * n,
                list(of_bundles.values()),
                [self._how] * n,
                pure=False,
            )
            while len(answers) > 1:
                groups = [answers[k : k + AT_A_TIME] for k in range(0, len(answers), AT_A_TIME)]
                answers = self.client.map(_joined, groups, [join] * len(groups), pure=False)
            return _result(self.client, answers[0])

    def without_noise(self) -> "DaskWorkers":
        partitions = [part.without_noise() for part in self.partitions]
        return DaskWorkers(self.client, partitions, self.n_bytes)

    def _sent(self, shared: Any) -> Any:
        """What is shared, as a future that lives as long as it does."""
        if shared is None:
            return None
        if shared not in self._shared:
            self._shared[shared] = self.client.submit(_itself, shared, pure=False)
        return self._shared[shared]


class OnWorkers:
    """Work on chunks and partitions, by the workers of a client. Chunks that only this process can
    load are worked on here.
    """

    def __init__(self, client: distributed.Client) -> None:
        self.client = client

    def on_chunks(
        self, work: Callable[..., _Answer], chunks: Sequence[Chunk], *arguments: Sequence[Any]
    ) -> list[_Answer]:
        """work(observations, ...) of each chunk, with the arguments of each."""
        calls = []
        for chunk, *own in zip(chunks, *arguments, strict=True):
            points = chunk.delayed
            if points is None:
                calls.append(work(chunk.load(), *own))
            else:
                calls.append(delayed(work, pure=False)(points, *own))
        with _lost_in_a_sentence(self.client):
            futures = self.client.compute(calls)
            return [
                _result(self.client, one) if isinstance(one, distributed.Future) else one
                for one in futures
            ]

    def run(self, work: Callable[..., _Answer], *arguments: Sequence[Any]) -> list[_Answer]:
        """work(...), with each of the arguments in turn."""
        with _lost_in_a_sentence(self.client):
            futures = self.client.map(work, *arguments, pure=False)
            return [_result(self.client, future) for future in futures]


@dataclass(frozen=True)
class _How:
    """How workers compute: how many threads those of a machine have, together; and whether they
    forget what kernels do not need.
    """

    threads_of_host: int
    forget: bool

    @property
    def n_threads(self) -> int:
        """The cores for one of the threads."""
        return max(1, n_cores() // self.threads_of_host)


@dataclass(frozen=True, eq=False)
class _Held:
    """Partitions that are open. Where Dask would move them, or put them on disk for want of memory,
    they are opened again instead, when they are asked for.
    """

    partitions: Sequence[Partition]
    engines: list[InMemory]
    how: _How

    def __reduce__(self) -> tuple[Any, ...]:
        return _held, (self.partitions, self.how)

    def __sizeof__(self) -> int:
        return sum(engine.n_bytes for engine in self.engines)


def _held(partitions: Sequence[Partition], how: _How) -> _Held:
    with limited_threads(how.n_threads):
        return _Held(partitions, [partition.open() for partition in partitions], how)


def _answer(
    held: _Held,
    question: Question[_Answer],
    join: Join[_Answer],
    shared: Any,
    calls: Mapping[int, tuple[Any, ...]],
    how: _How,
) -> _Answer:
    answers = []
    with limited_threads(how.n_threads):
        for p, arguments in calls.items():
            answers.append(question(held.engines[p], shared, *arguments))
            if how.forget:
                held.engines[p].forget()
    return _joined(answers, join)


def _joined(answers: Sequence[_Answer], join: Join[_Answer]) -> _Answer:
    return answers[0] if len(answers) == 1 else join(answers)


def _itself(shared: _Answer) -> _Answer:
    return shared


def _threads_of_a_host(workers: Iterable[Mapping[str, Any]]) -> int:
    """The most threads that workers have on one machine, together."""
    threads: Counter[str] = Counter()
    for worker in workers:
        threads[worker["host"]] += worker["nthreads"]
    return max(threads.values(), default=1)


def _result(client: distributed.Client, future: Any) -> Any:
    """The result of a future; an EngineLost where no worker is left that could bring it."""
    waited = time.monotonic()
    while True:
        try:
            return future.result(timeout=_LOOK)
        except distributed.TimeoutError:
            if future.done():
                return future.result()
            if client.scheduler_info(n_workers=-1)["workers"]:
                waited = time.monotonic()
            elif time.monotonic() - waited > _PATIENCE:
                raise EngineLost(
                    f"No worker of the Dask scheduler at {client.scheduler.address} is left."
                ) from None


@contextmanager
def _lost_in_a_sentence(client: distributed.Client) -> Iterator[None]:
    """An EngineLost for what Dask raises where workers or the scheduler are gone."""
    address = getattr(client.scheduler, "address", "an unknown address")
    try:
        yield
    except distributed.KilledWorker as error:
        raise EngineLost(
            "Several workers ended one after the other while they held the same points, as they do "
            "for want of memory: give them more of it, or more workers."
        ) from error
    except FileNotFoundError as error:
        raise EngineLost(
            f"A worker does not find {error.filename}: the points and the scratch folder must be "
            "where all workers and this process see them, and must stay."
        ) from error
    except EngineLost:
        raise
    except Exception as error:
        # What Dask raises then depends on what it was about to do.
        known = CancelledError, CommClosedError, distributed.TimeoutError
        if isinstance(error, known) or _is_gone(client):
            raise EngineLost(f"The Dask scheduler at {address} is gone.") from error
        raise


def _is_gone(client: distributed.Client) -> bool:
    """Whether a client has no connection to its scheduler."""
    batched = client.scheduler_comm
    return client.status != "running" or batched is None or batched.comm.closed()
