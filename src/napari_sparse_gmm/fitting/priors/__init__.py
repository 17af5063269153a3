"""Priors: what decides how many components remain."""

from dataclasses import replace

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.fitting.priors.bayes import BayesPrior
from napari_sparse_gmm.fitting.priors.component import ComponentPrior
from napari_sparse_gmm.fitting.priors.conjugate import ConjugatePrior, default_size
from napari_sparse_gmm.fitting.priors.flat import FlatPrior
from napari_sparse_gmm.fitting.priors.mml import MessageLengthPrior
from napari_sparse_gmm.fitting.priors.prior import Prior
from napari_sparse_gmm.fitting.priors.sqrt import SqrtPrior
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.parameters import PRIOR
from napari_sparse_gmm.regions import Region

__all__ = [
    "BayesPrior",
    "ComponentPrior",
    "ConjugatePrior",
    "FlatPrior",
    "MessageLengthPrior",
    "Prior",
    "SqrtPrior",
    "default_size",
    "make_prior",
]


def make_prior(
    prior: str | ComponentPrior,
    *,
    sparsity: float,
    n_start: int,
    region: Region,
    noise: FloatArray | None = None,
) -> ComponentPrior:
    """The prior of that name; a `ComponentPrior` passes through, but for the noise.

    `region` is where points can lie, `noise` (D,) the typical variances of theirs.

    Raises
    ------
    InputError
        Where the name is not known.
    """
    typical = None if noise is None else tuple(noise.tolist())
    if isinstance(prior, BayesPrior):
        return replace(prior, noise=typical)
    if isinstance(prior, ComponentPrior):
        return prior
    if prior == "sqrt":
        return SqrtPrior(sparsity, n_start)
    if prior == "mml":
        return MessageLengthPrior(region.n_dimensions)
    if prior == "bayes":
        return BayesPrior(region.n_dimensions, region.volume, noise=typical)
    if prior == "none":
        return FlatPrior()
    raise InputError(f"prior must be one of {PRIOR.choices} or a Prior, not {prior!r}.")
