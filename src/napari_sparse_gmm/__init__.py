"""Sparse Gaussian mixtures of point clouds, for napari, notebooks and batches.

    >>> from napari_sparse_gmm import SparseGaussianMixture
    >>> model = SparseGaussianMixture(n_components=30, sparsity=20.0)

The names are imported when they are first used: neither torch nor pykeops nor
scikit-learn is loaded by ``import napari_sparse_gmm``.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sparse_gmm.chunked import Chunked
    from napari_sparse_gmm.engines.checkpoints import Checkpoints
    from napari_sparse_gmm.engines.storage import Storage
    from napari_sparse_gmm.errors import EngineLost, InputError
    from napari_sparse_gmm.estimator import SparseGaussianMixture
    from napari_sparse_gmm.fitting import FitStep
    from napari_sparse_gmm.mixture import GaussianMixture
    from napari_sparse_gmm.regions import Box, Hull, Intensity, Mask, Polygon, Prism

__all__ = [
    "Box",
    "Checkpoints",
    "Chunked",
    "EngineLost",
    "FitStep",
    "GaussianMixture",
    "Hull",
    "InputError",
    "Intensity",
    "Mask",
    "Polygon",
    "Prism",
    "SparseGaussianMixture",
    "Storage",
    "__version__",
]

__version__ = version("napari-sparse-gmm")

_HOME = {
    "Checkpoints": "napari_sparse_gmm.engines.checkpoints",
    "Chunked": "napari_sparse_gmm.chunked",
    "EngineLost": "napari_sparse_gmm.errors",
    "FitStep": "napari_sparse_gmm.fitting",
    "GaussianMixture": "napari_sparse_gmm.mixture",
    "InputError": "napari_sparse_gmm.errors",
    "SparseGaussianMixture": "napari_sparse_gmm.estimator",
    "Storage": "napari_sparse_gmm.engines.storage",
    **dict.fromkeys(
        ("Box", "Hull", "Intensity", "Mask", "Polygon", "Prism"), "napari_sparse_gmm.regions"
    ),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
