"""The elementary functions of compiled code against NumPy, and compiling where nothing is kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

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


SCRIPT = """
import numpy as np
from numba.core.caching import NullCache
from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.engines import kernels
from napari_sparse_gmm.engines.fused import Fused
from napari_sparse_gmm.observations import Observations
held = Fused(Observations(np.zeros((1, 1))), dtype=np.float64)
density = held.log_density(GaussianMixture([1.0], [[0.0]], [[[1.0]]]))
print(isinstance(kernels.run._cache, NullCache), density[0].round(9))
"""


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path):
    """Neither that of the package nor the user's: all is compiled once for this process."""
    package = tmp_path / "src" / "napari_sparse_gmm"
    shutil.copytree(
        Path(compiled.__file__).parents[1], package, ignore=shutil.ignore_patterns("__pycache__")
    )
    # A file in the place of the folder stops root as well.
    (package / "engines" / "__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "src"),
        "HOME": str(tmp_path / "home"),
        "USERPROFILE": str(tmp_path / "home"),
        "LOCALAPPDATA": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "home"),
    }
    environment.pop("NUMBA_CACHE_DIR", None)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.stdout.split() == ["True", "-0.918938533"], run.stderr
