"""No prior: plain maximum likelihood."""

import numpy as np

from napari_sparse_gmm.fitting.priors.prior import Prior
from napari_sparse_gmm.mixture import FloatArray


class FlatPrior(Prior):
    """Penalty(W) = 0: each component has the weight of its points.

    A component goes only where the likelihood is higher without it.
    """

    def penalties(self, weights: FloatArray, total: float) -> FloatArray:
        return np.zeros_like(weights)

    def gradient(self, weights: FloatArray, total: float) -> FloatArray:
        return np.zeros_like(weights)
