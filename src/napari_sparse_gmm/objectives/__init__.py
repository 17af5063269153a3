"""Objectives: what a fit minimises, and so what decides how many components remain.

A prior that can be chosen by name is declared in its own file, and named once here.
"""

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.objectives import bayes, mml, none, sqrt
from napari_sparse_gmm.objectives.bayes import VariationalPoisson
from napari_sparse_gmm.objectives.covariance_type import (
    COVARIANCE_TYPES,
    FULL,
    SPHERICAL,
    CovarianceType,
)
from napari_sparse_gmm.objectives.declaration import N_START, Context, Declaration, Start
from napari_sparse_gmm.objectives.inverse_wishart import InverseWishart, default_size
from napari_sparse_gmm.objectives.kinds import Kinds
from napari_sparse_gmm.objectives.mml import MessageLength
from napari_sparse_gmm.objectives.none import NoPenalty
from napari_sparse_gmm.objectives.objective import Objective
from napari_sparse_gmm.objectives.penalised import PenalisedLikelihood
from napari_sparse_gmm.objectives.sqrt import SqrtPenalty
from napari_sparse_gmm.objectives.weight_penalty import WeightPenalty

__all__ = [
    "COVARIANCE_TYPES",
    "FULL",
    "N_START",
    "PRIORS",
    "SPHERICAL",
    "Context",
    "CovarianceType",
    "Declaration",
    "InverseWishart",
    "Kinds",
    "MessageLength",
    "NoPenalty",
    "Objective",
    "PenalisedLikelihood",
    "SqrtPenalty",
    "Start",
    "VariationalPoisson",
    "WeightPenalty",
    "declaration_of",
    "default_size",
]

# By name, in the order in which they are offered.
PRIORS = {
    each.name: each
    for each in (bayes.DECLARATION, mml.DECLARATION, sqrt.DECLARATION, none.DECLARATION)
}


def declaration_of(prior: str | WeightPenalty | Objective) -> Declaration:
    """That of a named prior; or of an instance of one, which is taken as it is.

    Raises
    ------
    InputError
        Where the name is not known, or it is something else.
    """
    if isinstance(prior, WeightPenalty):
        return Declaration(
            "", "", "", lambda context: PenalisedLikelihood(prior), counts=prior.counts
        )
    if isinstance(prior, Objective):
        return prior.declaration()
    if prior not in PRIORS:
        raise InputError(
            f"prior must be one of {tuple(PRIORS)}, a WeightPenalty or an Objective, not {prior!r}."
        )
    return PRIORS[prior]
