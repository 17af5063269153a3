"""How many processor threads a fit takes: `n_threads`; else the compiled kernels all cores, torch
and OpenMP all but one.

    >>> with limited_threads(1):
    ...     with limited_threads():  # of an engine, say, which keeps to the 1
    ...         print(torch.get_num_threads())
    1

Threads of the compiled kernels wait without spinning. Those of torch and OpenMP meet at the end
of each operation and spin while they wait for each other. As soon as one of their cores is busy
elsewhere, with a window that draws, say, they wait for a time slice at each of thousands of
meetings: a pass of 30 ms then takes 1.5 s. With a core to spare nobody waits. Two fits at once
take that many each: OpenMP itself stops the spinning as soon as a process has more of its threads
than cores.

What torch and OpenMP leave to their user:

- `torch.set_num_threads` sets the number of the calling thread, and besides one for the
  whole process, which every thread takes over that turns to torch later. Without care a fit
  that starts during a pass of another would take that fit's number for its own.
- KeOps kernels use the OpenMP that their compiler brings, torch and scikit-learn that of
  their wheels. (In torch 2.13 for Linux both are one: KeOps finds torch's already loaded.)
- A generator that yields from within a `with` leaves its number to whoever takes the step,
  and may be closed in another thread than it ran in: hence `step_by_step`.
"""

import os
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cache
from itertools import count
from typing import Any, TypeVar

import torch
from threadpoolctl import ThreadpoolController

_Step = TypeVar("_Step")
_Result = TypeVar("_Result")

# Nanoseconds of work; to wake a thread takes some 20,000.
_WORTH_A_THREAD = 100_000


def n_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def limited_threads(number: int | None = None) -> Iterator[None]:
    """Limit torch and OpenMP to `number` threads, for what this thread computes meanwhile.

    No more than there are cores. None: as the `with` around this one says, if there is one; else
    all cores but one, and no more than torch takes by itself; the compiled kernels then take all.
    Other threads keep their numbers.

    Around all of a pass: to change the number between two operations costs a millisecond.
    """
    if number is None and _here.number is not None:
        yield
        return
    with _usual:
        outer, before = (_here.number, _here.compiled), torch.get_num_threads()
        # More threads than cores only wait for each other, and thousands end the process.
        most = n_cores() if number else min(_usual.number, max(1, n_cores() - 1))
        _here.number = min(number or most, most)
        _here.compiled = min(number or n_cores(), n_cores())
        torch.set_num_threads(_here.number)
        try:
            # OpenMP, too, counts by calling thread.
            with _runtimes().limit(limits=_here.number, user_api="openmp"):
                yield
        finally:
            _here.number, _here.compiled = outer
            # Not `before`, where no `with` is around: another fit may have set it, see above.
            torch.set_num_threads(_usual.number if outer[0] is None else before)


def step_by_step(
    steps: Generator[_Step, None, _Result], number: int | None = None
) -> Generator[_Step, None, _Result]:
    """`steps`, each computed with `number` threads; see `limited_threads`.

    Between two steps nothing is limited.
    """
    with closing(steps):
        while True:
            try:
                with limited_threads(number):
                    step = next(steps)
            except StopIteration as stop:
                return stop.value
            yield step


def in_threads(call: Callable[[int], _Result], n: int, *, work: float) -> list[_Result]:
    """call(0), ... call(n - 1), shared by as many threads as `limited_threads` allows here.

    For calls that release Python's lock and take about `work` nanoseconds together: of too few no
    thread is woken. They must not call this in turn.
    """
    number = _here.compiled or n_cores()
    if number == 1 or n == 1 or not worth_threads(work):
        return [call(k) for k in range(n)]
    next_ = count()
    results: list[Any] = [None] * n

    def take() -> None:
        while (k := next(next_)) < n:
            results[k] = call(k)

    others = [_pool().submit(take) for _ in range(min(number, n) - 1)]
    take()
    for other in others:
        other.result()
    return results


def worth_threads(work: float) -> bool:
    """Whether so many nanoseconds of work are shared by threads."""
    return work >= _WORTH_A_THREAD


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads that wait without spinning."""
    return ThreadPoolExecutor(n_cores(), thread_name_prefix="sparse-gmm")


# The threads of the pool do not exist in the child of a fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def look_for_runtimes() -> None:
    """Notice the OpenMP that came with a library loaded just now."""
    _runtimes.cache_clear()


@cache
def _runtimes() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")


class _Here(threading.local):
    """What is set in this thread; None where nothing is."""

    number: int | None = None
    compiled: int | None = None


class _Usual:
    """The number that torch takes by itself: its own while no thread is limited."""

    number = 1

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_limited = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._n_limited == 0:
                self.number = torch.get_num_threads()
            self._n_limited += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_limited -= 1


_here = _Here()
_usual = _Usual()
