"""Products of matrices in full single precision, whatever the process allows otherwise.

    >>> matrices = torch.ones(5, 3, 3)
    >>> with exact_products():
    ...     products = torch.bmm(matrices, matrices)

torch lets products of float32 matrices be rounded to 10 bits (TF32) or 7 (bfloat16), by a setting
for the whole process: good for a network beside us, fatal for a log density.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
            _before[:] = _precisions()
            _set(["ieee"] * len(_before))
        _n_inside += 1
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if _n_inside == 0:
                _set(_before)


def _backends() -> list[Any]:
    """Those with a setting of their own; older versions of torch have one for all."""
    backends = (torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None))
    return [backend for backend in backends if hasattr(backend, "fp32_precision")]


def _precisions() -> list[str]:
    # Not by `get_float32_matmul_precision`: it raises where one backend was set by itself.
    backends = _backends()
    return [b.fp32_precision for b in backends] or [torch.get_float32_matmul_precision()]


def _set(precisions: list[str]) -> None:
    backends = _backends()
    if not backends:
        torch.set_float32_matmul_precision(precisions[0].replace("ieee", "highest"))
        return
    for backend, precision in zip(backends, precisions, strict=True):
        if backend.fp32_precision != precision:
            backend.fp32_precision = precision
