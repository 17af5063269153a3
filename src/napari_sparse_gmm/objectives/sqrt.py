"""The sparsity prior of the KeOps tutorial "Fitting a Gaussian Mixture Model".

Penalty(W) = (s / M) sum_j sqrt(W_j), M the number of components at the start: it stays
while components vanish, so the meaning of s does not change during a fit.
"""

from dataclasses import dataclass

import numpy as np

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.objectives.declaration import Declaration
from napari_sparse_gmm.objectives.penalised import PenalisedLikelihood
from napari_sparse_gmm.objectives.weight_penalty import WeightPenalty


@dataclass(frozen=True)
class SqrtPenalty(WeightPenalty):
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


DECLARATION = Declaration(
    name="sqrt",
    label="Sparse (set by Sparsity)",
    help="A penalty that Sparsity sets; not with Background, which pays none and takes all points "
    "but those of large clusters.",
    make=lambda context: PenalisedLikelihood(SqrtPenalty(context.sparsity, context.n_start)),
    uses=frozenset({"sparsity", "init", "covariance_prior", "typical_size"}),
)
