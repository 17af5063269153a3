"""Groups of points, each fitted by itself in one run: frames, channels, cells.

>>> fits = fit_groups(SparseGaussianMixture(prior="bayes", background=True), points, frame)
>>> [(fit.label, fit.model.n_components_) for fit in fits if fit.model]
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from napari_sparse_gmm.arrays import float_array
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.fitting import FitStep
from napari_sparse_gmm.fitting.initial import LEAST_FLOOR, bounding_box
from napari_sparse_gmm.mixture import GaussianMixture, noise_variances
from napari_sparse_gmm.regions import as_background

if TYPE_CHECKING:
    from napari_sparse_gmm.estimator import SparseGaussianMixture


@dataclass(frozen=True, eq=False)
class GroupFit:
    """What came of one group.

    Parameters
    ----------
    label
        Its value among the labels of the points.
    rows : (n,) array of int
        Its points.
    model : SparseGaussianMixture or None
        Fitted to them; None where that could not be.
    problem : str
        Why not, in a sentence; "" where it could.
    """

    label: Any
    rows: NDArray[np.intp]
    model: "SparseGaussianMixture | None"
    problem: str = ""


def fit_groups(
    model: "SparseGaussianMixture",
    X: ArrayLike,
    labels: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    noise_std: ArrayLike | None = None,
    starts: Sequence[GaussianMixture | None] | None = None,
) -> tuple[GroupFit, ...]:
    """All fits, in the order of their labels; see `iter_groups`."""
    fits = iter_groups(
        model, X, labels, sample_weight=sample_weight, noise_std=noise_std, starts=starts
    )
    return tuple(fit for fit in fits if isinstance(fit, GroupFit))


def iter_groups(
    model: "SparseGaussianMixture",
    X: ArrayLike,
    labels: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    noise_std: ArrayLike | None = None,
    starts: Sequence[GaussianMixture | None] | None = None,
) -> Generator[FitStep | GroupFit, None, None]:
    """Fit the points of each label: the steps to each fit, and then itself.

    A background on the bounding box has that of all points, for they all lie in the same field.

    Parameters
    ----------
    model : SparseGaussianMixture
        With the parameters of the fits; is left as it is.
    X : (N, D) array
    labels : (N,) array
        What can be sorted: numbers or strings.
    sample_weight, noise_std : optional
        As `SparseGaussianMixture.fit` takes them.
    starts : sequence of a GaussianMixture or None for each label, optional
        What each fit starts from, in the order of the labels; None: as the model says.

    Raises
    ------
    InputError
        Where values are of no use, or no group could be fitted.
    """
    points = float_array(X, "X", finite=True)
    if points.ndim != 2:
        raise InputError(f"X must have shape (N, D), not {points.shape}.")
    of_points = np.asarray(labels)
    if of_points.shape != points.shape[:1]:
        raise InputError(f"labels must have shape ({len(points)},), not {of_points.shape}.")
    values, groups = np.unique(of_points, return_inverse=True)
    weight = None if sample_weight is None else float_array(sample_weight, "sample_weight")
    if weight is not None and weight.shape != of_points.shape:
        raise InputError(f"sample_weight must have shape {of_points.shape}, not {weight.shape}.")
    noise = noise_variances(noise_std, points.shape)
    std = None if noise is None else np.sqrt(noise)
    background = as_background(model.background)
    counted = points if weight is None else points[weight > 0]
    if background is True and len(values) > 1 and len(counted):
        background = bounding_box(counted, LEAST_FLOOR * float(np.ptp(counted, axis=0).max()))
    order, ends = np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))
    problems = []
    for label, rows, start in zip(
        values.tolist(), np.split(order, ends[:-1]), starts or [None] * len(values), strict=True
    ):
        fitted = clone(model).set_params(background=background, init=start or model.init)
        try:
            if len(rows) < 2:
                raise InputError("A single point is too few: a mixture needs two or more.")
            yield from fitted.iter_fit(
                points[rows],
                sample_weight=None if weight is None else weight[rows],
                noise_std=None if std is None else std[rows],
            )
        except InputError as error:
            problems.append(str(error))
            yield GroupFit(label, rows, None, problems[-1])
        else:
            yield GroupFit(label, rows, fitted)
    if len(problems) == len(values):
        raise InputError(problems[0])
