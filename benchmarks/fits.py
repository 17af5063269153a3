"""The fit that is measured: from the raw array, with nothing but a number to start from.

Twice as many components as there are clusters at the start, minimum message length to take
away what is too much, and a background.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.mixture import FloatArray

ENGINES = ("fused", "torch", "keops")


def engines(device: str) -> tuple[str, ...]:
    """Those that compute there; the first is taken by itself."""
    return ENGINES if device == "cpu" else ("keops", "torch")


def whole_fit(
    points: FloatArray, n_clusters: int, engine: str, device: str
) -> SparseGaussianMixture:
    """The estimator, fitted to points (N, D) of about `n_clusters` clusters."""
    model = SparseGaussianMixture(
        2 * n_clusters,
        prior="mml",
        background=True,
        init="density",
        engine=engine,
        device=device,
        random_state=0,
    )
    return quiet_fit(model, points)


def quiet_fit(model: SparseGaussianMixture, points: FloatArray) -> SparseGaussianMixture:
    """Fit; a fit that was given few iterations says nothing about them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(points)


def warm_up(engine: str, device: str, n_dimensions: int) -> None:
    """A small fit, so that none that is measured compiles kernels or loads libraries."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0.0, 50.0, (5, n_dimensions))
    points = np.repeat(centres, 400, axis=0) + rng.standard_normal((2000, n_dimensions))
    whole_fit(points, 5, engine, device)
