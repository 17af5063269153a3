"""What is compiled for the processor: how, and the elementary functions that vectorise.

numba compiles a function at its first call, once for each type of its arguments, and keeps the
result in a folder for later processes. It needs no compiler on the machine, and runs on Windows.

The exponential and the logarithm of the standard library are calls, one number at a time. Those
here are a few multiplications that the compiler does for 4 to 16 numbers at once::

    exp(x) = 2^i exp(f log 2),   i the nearest integer to x / log 2,
    log(2^e m) = e log 2 + 2 artanh((m - 1) / (m + 1)),   m in [0.5^0.5, 2^0.5),

both by their Taylor series, to the last digits of single or double precision.
"""

from collections.abc import Callable
from math import factorial
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

# As a whole, `fastmath` would promise that nothing is infinite; log densities may be.
_FLAGS = {"reassoc", "contract", "arcp", "nsz", "afn"}

_OPTIONS: dict[str, Any] = {"fastmath": _FLAGS, "error_model": "numpy"}


def compiled(function: Callable[..., Any]) -> Any:
    """A function compiled for the processor, kept in a folder, and run without Python's lock."""
    try:
        return njit(nogil=True, cache=True, **_OPTIONS)(function)
    except RuntimeError:  # no folder can be written: it is compiled once for each process
        return njit(nogil=True, **_OPTIONS)(function)


def exp(x: Any) -> Any:
    """e^x of a number in compiled code, 1e-38 at least in single precision."""
    return np.exp(x)


def log(x: Any) -> Any:
    """The natural logarithm of a positive number in compiled code."""
    return np.log(x)


_SINGLE, _DOUBLE = np.float32, np.float64
_LOG2 = float(np.log(2.0))

# Of exp(f log 2), |f| <= 1/2: the first term left out is 2e-8, or 2e-17, of the sum.
_E = [_LOG2**k / factorial(k) for k in range(14)]
_S0, _S1, _S2, _S3, _S4, _S5, _S6 = (_SINGLE(c) for c in _E[:7])
_D0, _D1, _D2, _D3, _D4, _D5, _D6, _D7, _D8, _D9, _D10, _D11, _D12, _D13 = _E
_PER_SINGLE, _LOG2_SINGLE = _SINGLE(1.0 / _LOG2), _SINGLE(_LOG2)
_ROOT_SINGLE = np.int32(_SINGLE(0.5**0.5).view(np.int32))
_ROOT_DOUBLE = np.int64(_DOUBLE(0.5**0.5).view(np.int64))


def _exp_single(x):  # type: ignore[no-untyped-def]
    t = max(x * _PER_SINGLE, _SINGLE(-126.0))
    i = np.floor(t + _SINGLE(0.5))
    f = t - i
    p = _S6
    p = p * f + _S5
    p = p * f + _S4
    p = p * f + _S3
    p = p * f + _S2
    p = p * f + _S1
    p = p * f + _S0
    return p * np.int32((np.int32(i) + np.int32(127)) << np.int32(23)).view(_SINGLE)


def _exp_double(x):  # type: ignore[no-untyped-def]
    t = max(x * (1.0 / _LOG2), -1022.0)
    i = np.floor(t + 0.5)
    f = t - i
    p = _D13
    p = p * f + _D12
    p = p * f + _D11
    p = p * f + _D10
    p = p * f + _D9
    p = p * f + _D8
    p = p * f + _D7
    p = p * f + _D6
    p = p * f + _D5
    p = p * f + _D4
    p = p * f + _D3
    p = p * f + _D2
    p = p * f + _D1
    p = p * f + _D0
    return p * np.int64((np.int64(i) + np.int64(1023)) << np.int64(52)).view(_DOUBLE)


def _log_single(x):  # type: ignore[no-untyped-def]
    bits = _SINGLE(x).view(np.int32)
    e = np.int32(np.int32(bits - _ROOT_SINGLE) >> np.int32(23))
    m = np.int32(bits - np.int32(e << np.int32(23))).view(_SINGLE)
    s = (m - _SINGLE(1.0)) / (m + _SINGLE(1.0))  # up to 0.172, its 11th power is 4e-9
    w = s * s
    p = _SINGLE(2.0 / 9.0)
    p = p * w + _SINGLE(2.0 / 7.0)
    p = p * w + _SINGLE(2.0 / 5.0)
    p = p * w + _SINGLE(2.0 / 3.0)
    p = p * w + _SINGLE(2.0)
    return _SINGLE(e) * _LOG2_SINGLE + s * p


def _log_double(x):  # type: ignore[no-untyped-def]
    bits = _DOUBLE(x).view(np.int64)
    e = (bits - _ROOT_DOUBLE) >> np.int64(52)
    m = np.int64(bits - (e << np.int64(52))).view(_DOUBLE)
    s = (m - 1.0) / (m + 1.0)
    w = s * s
    p = 2.0 / 19.0
    p = p * w + 2.0 / 17.0
    p = p * w + 2.0 / 15.0
    p = p * w + 2.0 / 13.0
    p = p * w + 2.0 / 11.0
    p = p * w + 2.0 / 9.0
    p = p * w + 2.0 / 7.0
    p = p * w + 2.0 / 5.0
    p = p * w + 2.0 / 3.0
    p = p * w + 2.0
    return _DOUBLE(e) * _LOG2 + s * p


@overload(exp, jit_options=_OPTIONS)
def _exp(x):  # type: ignore[no-untyped-def]
    return _exp_single if x == types.float32 else _exp_double


@overload(log, jit_options=_OPTIONS)
def _log(x):  # type: ignore[no-untyped-def]
    return _log_single if x == types.float32 else _log_double
