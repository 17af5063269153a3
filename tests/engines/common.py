"""The engines that are tested, and what they are given."""

import numpy as np
import pytest

from napari_sparse_gmm.engines import TorchTiles
from napari_sparse_gmm.engines.fused import Fused
from napari_sparse_gmm.engines.in_memory import InMemory
from napari_sparse_gmm.engines.keops import KeOps
from napari_sparse_gmm.observations import Observations

ENGINES = [pytest.param(engine, id=engine.name) for engine in (TorchTiles, KeOps, Fused)]
# Fused computes on the processor.
ON_DEVICES = [
    *(
        pytest.param(engine, "cpu", id=f"{engine.name}-cpu")
        for engine in (TorchTiles, KeOps, Fused)
    ),
    *(
        pytest.param(engine, "cuda", id=f"{engine.name}-cuda", marks=pytest.mark.cuda)
        for engine in (TorchTiles, KeOps)
    ),
]


def held(engine: type[InMemory], points, weights=None, noise_std=None, **options) -> InMemory:
    """An engine that holds points; `noise_std` (N, D)."""
    noise = None if noise_std is None else np.square(noise_std)
    return engine(Observations(np.asarray(points), weights, noise), **options)
