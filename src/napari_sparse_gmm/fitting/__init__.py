"""Fitting: starts, the solvers mm and adam, moves, and the loop that yields steps."""

from napari_sparse_gmm.fitting.loop import SOLVERS, FitResult, FitStep, fit_steps
from napari_sparse_gmm.fitting.settings import FitSettings, choose_opening, open_engine

__all__ = [
    "SOLVERS",
    "FitResult",
    "FitSettings",
    "FitStep",
    "choose_opening",
    "fit_steps",
    "open_engine",
]
