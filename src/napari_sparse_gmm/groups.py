"""Groups of points, each fitted by itself in one run: frames, channels, cells.

>>> channels = np.repeat(["green", "red"], len(points) // 2)  # the label of each point
>>> fits = fit_groups(estimator, points, channels)
>>> [(fit.label, fit.model.n_components_ > 0) for fit in fits if fit.model]
[('green', True), ('red', True)]
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from napari_sparse_gmm.arrays import bounds
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.fitting import FitStep
from napari_sparse_gmm.fitting.initial import LEAST_FLOOR, bounding_box
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Region, as_background

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Engine
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
    engine : Engine or None
        Holds them, those of weight 0 left out, for questions about the fit.
    problem : str
        Why not, in a sentence; "" where it could.
    """

    label: Any
    rows: NDArray[np.intp]
    model: "SparseGaussianMixture | None"
    engine: "Engine | None" = None
    problem: str = ""


def fit_groups(
    model: "SparseGaussianMixture",
    X: ArrayLike | Observations,
    labels: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    noise_std: ArrayLike | None = None,
    starts: Sequence[GaussianMixture | None] | None = None,
    regions: Mapping[Any, Region] | None = None,
) -> tuple[GroupFit, ...]:
    """All fits, in the order of their labels; see `iter_groups`."""
    fits = iter_groups(
        model,
        X,
        labels,
        sample_weight=sample_weight,
        noise_std=noise_std,
        starts=starts,
        regions=regions,
    )
    return tuple(fit for fit in fits if isinstance(fit, GroupFit))


def iter_groups(
    model: "SparseGaussianMixture",
    X: ArrayLike | Observations,
    labels: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    noise_std: ArrayLike | None = None,
    starts: Sequence[GaussianMixture | None] | None = None,
    regions: Mapping[Any, Region] | None = None,
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
    regions : mapping of label to Region, optional
        Where the points of each label could have been: cells. Where the model has a background,
        that of the fit of each is in its own.

    Raises
    ------
    InputError
        Where values are invalid, or no group could be fitted.
    """
    observations = Observations.of(X, sample_weight, noise_std, name="X")
    of_points = np.asarray(labels)
    if of_points.shape != observations.points.shape[:1]:
        raise InputError(f"labels must have shape ({len(observations)},), not {of_points.shape}.")
    values, groups = np.unique(of_points, return_inverse=True)
    background = as_background(model.background)
    counted = observations.counted.points
    if background is True and len(values) > 1 and len(counted):
        box = bounds(counted)
        least = LEAST_FLOOR * float((box[1] - box[0]).max())
        background = bounding_box(box, least, observations.total_weight)
    order, ends = np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))
    problems = []
    for label, rows, start in zip(
        values.tolist(), np.split(order, ends[:-1]), starts or [None] * len(values), strict=True
    ):
        own = regions[label] if regions is not None and background is not False else background
        fitted = clone(model).set_params(background=own, init=start or model.init)
        try:
            if len(rows) < 2:
                raise InputError("A single point is too few: a mixture needs two or more.")
            engine = fitted.open(observations if len(values) == 1 else observations.subset(rows))
            yield from fitted.iter_fit(engine)
        except InputError as error:
            problems.append(str(error))
            yield GroupFit(label, rows, None, problem=problems[-1])
        else:
            yield GroupFit(label, rows, fitted, engine)
    if len(problems) == len(values):
        raise InputError(problems[0])


def iter_whole(
    model: "SparseGaussianMixture", engine: "Engine", *, start: GaussianMixture | None = None
) -> Generator[FitStep | GroupFit, None, None]:
    """The same of all points that an engine holds, as one group without rows."""
    fitted = clone(model).set_params(init=start or model.init)
    yield from fitted.iter_fit(engine)
    yield GroupFit(0, np.arange(0), fitted, engine)
