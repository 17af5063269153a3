"""Priors on the weights: what decides how many components remain."""

from napari_sparse_gmm.fitting.priors.flat import FlatPrior
from napari_sparse_gmm.fitting.priors.mml import MessageLengthPrior
from napari_sparse_gmm.fitting.priors.prior import Prior
from napari_sparse_gmm.fitting.priors.sqrt import SqrtPrior
from napari_sparse_gmm.parameters import PRIOR

__all__ = ["FlatPrior", "MessageLengthPrior", "Prior", "SqrtPrior", "make_prior"]


def make_prior(prior: str | Prior, *, sparsity: float, n_start: int, n_dimensions: int) -> Prior:
    """The prior of that name; a `Prior` passes through.

    Raises
    ------
    ValueError
        Where the name is not known.
    """
    if isinstance(prior, Prior):
        return prior
    if prior == "sqrt":
        return SqrtPrior(sparsity, n_start)
    if prior == "mml":
        return MessageLengthPrior(n_dimensions, n_start)
    if prior == "none":
        return FlatPrior()
    raise ValueError(f"prior must be one of {PRIOR.choices} or a Prior, not {prior!r}.")
