"""Engines: the heavy sums over points, in PyTorch tiles or KeOps reductions.

    >>> engine = choose_engine("auto", n_dimensions=2).open(points)
    >>> engine.expectation(mixture).log_likelihood

Importing this imports torch; pykeops only when a KeOps kernel is first needed.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike

from napari_sparse_gmm.arrays import float_array
from napari_sparse_gmm.engines.choice import EngineChoice, EngineFallbackWarning, choose_engine
from napari_sparse_gmm.engines.engine import Engine, EngineUnavailable, block_size
from napari_sparse_gmm.engines.statistics import Assignment, Statistics
from napari_sparse_gmm.engines.torch_tiles import TorchTiles
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture, noise_variances
from napari_sparse_gmm.parameters import DEVICE, ENGINE

__all__ = [
    "Assignment",
    "Engine",
    "EngineChoice",
    "EngineFallbackWarning",
    "EngineUnavailable",
    "Statistics",
    "TorchTiles",
    "assign",
    "choose_engine",
    "log_density",
]


def log_density(
    mixture: GaussianMixture,
    points: ArrayLike,
    *,
    noise_std: ArrayLike | None = None,
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
    dtype: torch.dtype = torch.float32,
) -> FloatArray:
    """Natural log of the density of `mixture` at `points` (N, D), per unit^D. Returns (N,).

    `noise_std` is what `noise_variances` takes: the density is that of points with such noise.

    With the default `dtype`, within 1e-4 of the direct float64 sum
    (`GaussianMixture.log_density`) wherever a component contributes.
    """
    held = _held(mixture, points, noise_std, engine, device, dtype)
    return np.empty(0) if held is None else held.log_density(mixture)


def assign(
    mixture: GaussianMixture,
    points: ArrayLike,
    *,
    noise_std: ArrayLike | None = None,
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
    dtype: torch.dtype = torch.float32,
) -> Assignment:
    """The most probable component of `mixture` for each of `points` (N, D), seen with noise."""
    held = _held(mixture, points, noise_std, engine, device, dtype)
    if held is None:
        return Assignment(np.empty(0, dtype=np.intp), np.empty(0), np.empty(0))
    return held.assign(mixture)


def _held(
    mixture: GaussianMixture,
    points: ArrayLike,
    noise_std: ArrayLike | None,
    engine: str,
    device: str,
    dtype: torch.dtype,
) -> Engine | None:
    """An engine that holds the points; None where there is none."""
    x = float_array(points, "points", finite=True)
    if len(x) == 0:
        return None
    noise = noise_variances(noise_std, x.shape)
    choice = choose_engine(engine, device, n_dimensions=x.shape[1], noise=noise is not None)
    return choice.engine(
        x,
        noise=noise,
        device=choice.device,
        dtype=dtype,
        block_size=block_size(len(x), mixture.n_components),
    )
