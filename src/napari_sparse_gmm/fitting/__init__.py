"""Fitting: priors, starts, the solvers mm and adam, moves, and the loop that yields steps."""

from napari_sparse_gmm.fitting.priors import (
    BayesPrior,
    ComponentPrior,
    ConjugatePrior,
    FlatPrior,
    MessageLengthPrior,
    Prior,
    SqrtPrior,
)
from napari_sparse_gmm.fitting.steps import (
    SOLVERS,
    FitResult,
    FitSettings,
    FitStep,
    fit_steps,
    open_engine,
)

__all__ = [
    "SOLVERS",
    "BayesPrior",
    "ComponentPrior",
    "ConjugatePrior",
    "FitResult",
    "FitSettings",
    "FitStep",
    "FlatPrior",
    "MessageLengthPrior",
    "Prior",
    "SqrtPrior",
    "fit_steps",
    "open_engine",
]
