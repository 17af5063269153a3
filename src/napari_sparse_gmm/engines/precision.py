"""Products of matrices in full single precision, whatever the process allows otherwise.

    >>> with exact_products():
    ...     torch.bmm(a, b)

`torch.set_float32_matmul_precision` lets products of float32 matrices be rounded to 10 bits (TF32)
or 7 (bfloat16), for the whole process: good for a network beside us, fatal for a log density.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_before: list[str] = []
_n_inside = 0


@contextmanager
def exact_products() -> Iterator[None]:
    """Full precision until the last thread that asked for it is done."""
    global _n_inside
    with _lock:
        if _n_inside == 0:
            _before[:] = [torch.get_float32_matmul_precision()]
            if _before != ["highest"]:
                torch.set_float32_matmul_precision("highest")
        _n_inside += 1
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if _n_inside == 0 and _before != ["highest"]:
                torch.set_float32_matmul_precision(_before[0])
