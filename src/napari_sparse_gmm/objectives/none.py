"""No prior: plain maximum likelihood."""

import numpy as np

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.objectives.declaration import Declaration
from napari_sparse_gmm.objectives.penalised import PenalisedLikelihood
from napari_sparse_gmm.objectives.weight_penalty import WeightPenalty


class NoPenalty(WeightPenalty):
    """Penalty(W) = 0: each component has the weight of its points.

    A component goes only where the likelihood is higher without it.
    """

    def penalties(self, weights: FloatArray, total: float) -> FloatArray:
        return np.zeros_like(weights)

    def gradient(self, weights: FloatArray, total: float) -> FloatArray:
        return np.zeros_like(weights)


DECLARATION = Declaration(
    name="none",
    label="None (best likelihood)",
    help="All remain.",
    make=lambda context: PenalisedLikelihood(NoPenalty()),
    prunes=False,
)
