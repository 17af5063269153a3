"""Points layers in every pose, and a fit that does as it is told."""

from typing import Any

import numpy as np
import pytest
from napari.layers import Points
from plugin.fakes import FakeFit, SlowKeOps

AFFINE = [[1.0, 0.2, 5.0], [-0.1, 0.9, 7.0], [0.0, 0.0, 1.0]]
POSES: dict[str, dict[str, Any]] = {
    "plain": {},
    "anisotropic": {"scale": (3.0, 0.5)},
    "mirrored": {"scale": (2.0, -0.7)},
    "moved": {"scale": (3.0, 0.5), "translate": (100.0, -40.0)},
    "rotated": {"scale": (3.0, 0.5), "rotate": 30.0, "translate": (9.0, 8.0)},
    "sheared": {"scale": (3.0, 0.5), "shear": [0.4], "rotate": -50.0},
    "sheared below": {"shear": np.array([[1.0, 0.0], [0.3, 1.0]]), "scale": (2.0, 1.0)},
    "affine": {"scale": (3.0, 0.5), "rotate": 20.0, "affine": AFFINE},
    "metres": {"scale": (1e-9, 2e-9), "translate": (1e-7, 0.0), "units": "m"},
}


@pytest.fixture(params=POSES, ids=list(POSES))
def posed_points(request: pytest.FixtureRequest) -> Points:
    """A 2D Points layer, transformed in one of the ways that napari knows."""
    data = np.random.default_rng(0).uniform(10.0, 60.0, (50, 2))
    return Points(data, name="L", **POSES[request.param])


@pytest.fixture
def fake_fit(monkeypatch: pytest.MonkeyPatch) -> FakeFit:
    """Every fit of the plugin is this one."""
    fake = FakeFit()
    monkeypatch.setattr("napari_sparse_gmm.estimator.SparseGaussianMixture", fake)
    return fake


@pytest.fixture
def slow_keops(monkeypatch: pytest.MonkeyPatch) -> SlowKeOps:
    """Every engine of the plugin has to be waited for."""
    fake = SlowKeOps()
    monkeypatch.setattr("napari_sparse_gmm.engines.choice.preparation", fake)
    return fake
