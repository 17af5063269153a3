"""Times of calls that take turns, so that a busy moment of the machine meets all of them.

>>> medians({"ours": fit, "theirs": other_fit}, repeats=5)
{'ours': 0.21, 'theirs': 5.9}
"""

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch

Call = Callable[[], object]


def seconds(call: Call) -> float:
    """How long a call takes, what it started on a graphics card included."""
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def medians(calls: Mapping[str, Call], repeats: int, *, warm: bool = True) -> dict[str, float]:
    """Median seconds of each call; all of them in turn, `repeats` times.

    With `warm`, each is called once before.
    """
    if warm:
        for call in calls.values():
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return {name: median(values) for name, values in times.items()}


def readable(duration: float) -> str:
    """Seconds to three digits, in the unit that suits them."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if duration >= size:
            return f"{duration / size:.3g} {unit}"
    return f"{duration * 1e6:.3g} µs"
