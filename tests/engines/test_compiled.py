"""The elementary functions of compiled code against NumPy."""

import numpy as np
import pytest
from numba import njit

from napari_sparse_gmm.engines import compiled


def applied(function, values):
    """A compiled function of each of some numbers."""

    @njit
    def call(values, out):
        for i in range(len(values)):
            out[i] = function(values[i])

    out = np.empty_like(values)
    call(values, out)
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_is_that_of_numpy(dtype):
    """From the least normal number to the largest power of two; what is below stays there."""
    limits, rng = np.finfo(dtype), np.random.default_rng(0)
    ends = np.log([float(limits.tiny), float(limits.max) / 2])
    x = np.append(np.linspace(*ends, 1_000_001), rng.uniform(-1, 1, 100_000)).astype(dtype)
    error = np.abs(applied(compiled.exp, x) / np.exp(x.astype(np.float64)) - 1.0)
    # Far from zero, that of x itself.
    assert (error <= 2 * float(limits.eps) * np.maximum(1.0, np.abs(x))).all()
    below = np.array([-800.0, -1e30, -np.inf], dtype=dtype)
    np.testing.assert_allclose(applied(compiled.exp, below), limits.tiny, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_is_that_of_numpy(dtype):
    """Of all normal numbers; also near 1, where it is nearly 0."""
    limits, rng = np.finfo(dtype), np.random.default_rng(0)
    exponents = rng.uniform(limits.minexp, limits.maxexp, 1_000_000)
    x = np.append(2.0**exponents, 1.0 + rng.normal(0, 1e-3, 100_000))
    x = np.append(x, [limits.tiny, limits.max, 1.0]).astype(dtype)
    expected = np.log(x.astype(np.float64))
    error = np.abs(applied(compiled.log, x) - expected)
    assert (error <= 2 * float(limits.eps) * np.abs(expected)).all()
