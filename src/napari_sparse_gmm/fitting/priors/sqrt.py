"""The sparsity prior of the KeOps tutorial "Fitting a Gaussian Mixture Model".

Penalty(W) = (s / M) sum_j sqrt(W_j), M the number of components at the start: it stays
while components vanish, so the meaning of s does not change during a fit.
"""

from dataclasses import dataclass

import numpy as np

from napari_sparse_gmm.fitting.priors.prior import Prior
from napari_sparse_gmm.mixture import FloatArray


@dataclass(frozen=True)
class SqrtPrior(Prior):
    """Square-root sparsity; see the module.

    Parameters
    ----------
    sparsity : float
        s >= 0. At 0 there is no penalty.
    n_start : int
        M, the number of components that the fit starts from.
    """

    sparsity: float
    n_start: int

    def penalties(self, weights: FloatArray, total: float) -> FloatArray:
        return self.sparsity / self.n_start * np.sqrt(weights)

    def gradient(self, weights: FloatArray, total: float) -> FloatArray:
        # A weight that has underflowed keeps a finite slope.
        return self.sparsity / (2.0 * self.n_start * np.sqrt(np.maximum(weights, 1e-300)))
