"""Localizations of a molecule that follow each other in time, as one.

>>> observations = Observations.of([[0.0, 0.0], [2.0, 0.0], [500.0, 0.0]], noise_std=10.0)
>>> merged = merge_repeats(observations, [7, 8, 8], gap=0)
>>> merged.observations.points.tolist(), merged.numbers.tolist()
([[1.0, 0.0], [500.0, 0.0]], [2, 1])

Two localizations are linked where they are near each other and few frames lie between them, and
what is linked, directly or by others, is one: as localization programs merge (Ovesny et al.,
ThunderSTORM, Bioinformatics 30, 2014). Its position is their mean, weighted by the inverse of
their variances, which is as precise as all of them together. A molecule that is dark for longer
than the gap is several still; what is left of that is for `blinking`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from napari_sparse_gmm.arrays import float_array
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.observations import FloatArray, Observations

# More pairs of localizations to link would fill the memory: each takes some 50 bytes.
_MOST_PAIRS = 100_000_000

# Localizations this many times their typical precision apart are near each other: 2.5 times the
# standard deviation of the difference of two.
NEAR = 3.5


@dataclass(frozen=True, eq=False)
class Merged:
    """M localizations in place of N.

    Parameters
    ----------
    observations : Observations
        Their positions and noise; each weighs as much as its localizations do on average. In the
        order of the first of them.
    numbers : (M,) array of int
        How many localizations each stands for.
    members : (N,) array of int
        Which of them each localization is part of.
    """

    observations: Observations
    numbers: NDArray[np.intp]
    members: NDArray[np.intp]


def merge_repeats(
    observations: Observations,
    frames: ArrayLike,
    *,
    gap: int = 0,
    radius: float | None = None,
) -> Merged:
    """Merge localizations that are near each other, and follow each other.

    Parameters
    ----------
    observations : Observations
        N localizations.
    frames : (N,) array
        The frame that each was seen in. Those of one frame are never linked.
    gap : int
        The most frames that may lie between two that are linked.
    radius : float, optional
        Up to which distance they are near each other, in the units of the points. By default
        3.5 times the median of their precision, along each axis.

    Raises
    ------
    InputError
        Where frames are no numbers of that shape, the gap is negative, the radius is not above 0,
        there is neither a radius nor a precision above 0, or too many localizations are near each
        other.
    """
    x, noise = observations.points, observations.noise
    times = float_array(frames, "frames", finite=True)
    if times.shape != x.shape[:1]:
        raise InputError(f"frames must have shape ({len(x)},), not {times.shape}.")
    if gap < 0:
        raise InputError(f"gap must not be negative, and is {gap}.")
    if radius is None:
        typical = np.zeros(1) if noise is None else np.sqrt(np.median(noise, axis=0))
        if not (typical > 0).all():
            raise InputError("Give a radius: the precision of the points is not known.")
        reach = NEAR * typical
    elif radius > 0:
        reach = np.array([radius])
    else:
        raise InputError(f"radius must be above 0, and is {radius}.")
    members = _linked(x / reach, times, gap + 1.0)
    first = np.unique(members, return_index=True)[1]
    rank = np.argsort(np.argsort(first))
    members = rank[members]
    numbers = np.bincount(members)

    def sums(values: FloatArray) -> FloatArray:
        return np.stack([np.bincount(members, column) for column in values.T], axis=1)

    # An exact position counts for all, and not for infinitely much.
    information = np.ones_like(x) if noise is None else 1.0 / np.maximum(noise, 1e-12 * noise.max())
    total = sums(information)
    weights = observations.weights
    return Merged(
        Observations(
            sums(information * x) / total,
            None if weights is None else np.bincount(members, weights) / numbers,
            None if noise is None else 1.0 / total,
        ),
        numbers,
        members,
    )


def _linked(x: FloatArray, times: FloatArray, longest: float) -> NDArray[np.intp]:
    """Which of the sets of linked localizations each is in, (N,): at distances up to 1, and times
    up to `longest`, but not at the same time.
    """
    tree = cKDTree(np.column_stack([x, (times - times.min()) / longest]))
    reach = 1.0 + 1e-6  # for what is rounded; below it is exact
    if tree.count_neighbors(tree, reach, p=np.inf) > 2 * _MOST_PAIRS:
        raise InputError(
            f"More than {_MOST_PAIRS:,} pairs of localizations are near each other within the gap: "
            "give a smaller gap or radius."
        )
    pairs = tree.query_pairs(reach, p=np.inf, output_type="ndarray")
    one, other = pairs.T
    near = np.square(x[one] - x[other]).sum(1) <= 1.0
    apart = np.abs(times[one] - times[other])
    linked = pairs[near & (apart > 0) & (apart <= longest)]
    graph = coo_matrix((np.ones(len(linked)), tuple(linked.T)), shape=(len(x), len(x)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.intp)
