"""How many threads torch takes: all cores but one.

torch's threads meet at the end of every operation and spin while they wait for each other.
As soon as one of their cores is busy elsewhere, with a window that draws, say, they wait
for a time slice at each of thousands of meetings: a pass of 30 ms then takes 1.5 s. With a
core to spare nobody waits.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def n_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def a_core_to_spare() -> Iterator[None]:
    """Fewer threads than cores for torch in this thread, however many it had before.

    Around all of a pass: to change the number between two operations costs a millisecond.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, max(1, n_cores() - 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
