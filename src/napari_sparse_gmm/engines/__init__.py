"""Engines: the heavy sums over points, compiled for the processor, in KeOps or in PyTorch.

    >>> choice = choose_engine("torch", n_dimensions=2)
    >>> engine = choice.open(Observations(points), n_components=30)
    >>> log_likelihood = engine.expectation(mixture).log_likelihood

Importing this imports torch; pykeops only when a KeOps kernel is first needed.
"""

import numpy as np
from numpy.typing import ArrayLike

from napari_sparse_gmm.chunked import Chunked
from napari_sparse_gmm.engines.choice import EngineChoice, EngineFallbackWarning, choose_engine
from napari_sparse_gmm.engines.engine import Engine, EngineUnavailable, Summary
from napari_sparse_gmm.engines.statistics import Assignment, Scores, Statistics
from napari_sparse_gmm.engines.storage import Storage
from napari_sparse_gmm.engines.torch_tiles import TorchTiles
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.parameters import DEVICE, ENGINE

# What methods take as X. Besides, what `chunked.as_chunked` takes.
Data = ArrayLike | Observations | Chunked | Engine

__all__ = [
    "Assignment",
    "Data",
    "Engine",
    "EngineChoice",
    "EngineFallbackWarning",
    "EngineUnavailable",
    "Scores",
    "Statistics",
    "Storage",
    "Summary",
    "TorchTiles",
    "assign",
    "choose_engine",
    "log_density",
]


def log_density(
    mixture: GaussianMixture,
    observations: Observations,
    *,
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
    exact: bool = False,
) -> FloatArray:
    """Natural log of the density of `mixture` at N points, per unit^D, with their noise, (N,).

    Within 1e-4 of the direct float64 sum (`GaussianMixture.log_density`) wherever a component
    contributes; where it is to be `exact`, to nearly all digits.
    """
    if not len(observations):
        return np.empty(0)
    return _opened(mixture, observations, engine, device, exact).log_density(mixture)


def assign(
    mixture: GaussianMixture,
    observations: Observations,
    *,
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
    exact: bool = False,
) -> Assignment:
    """The most probable component of `mixture` for each of N points, with their noise."""
    if not len(observations):
        return Assignment(np.empty(0, dtype=np.intp), np.empty(0), np.empty(0))
    return _opened(mixture, observations, engine, device, exact).assign(mixture)


def _opened(
    mixture: GaussianMixture, observations: Observations, engine: str, device: str, exact: bool
) -> Engine:
    choice = choose_engine(
        engine,
        device,
        n_dimensions=observations.n_dimensions,
        noise=observations.noise is not None,
    )
    return choice.open(observations, n_components=mixture.n_components, exact=exact)
