"""Births around single places: clusters too small for the boxes of `births`.

Around each place that has a point, the balls up to its nearest neighbours are tested as the boxes
of the tree are in `births`: by the evidence that there are more points than the mixture expects.
The place itself, about which the ball was drawn, does not count: nor do the points that repeat it,
of which rounded coordinates have many.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import gammaln

from napari_sparse_gmm.engines import Engine
from napari_sparse_gmm.fitting.births import inverse_density, moments
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.fitting.proposals import Proposal
from napari_sparse_gmm.fitting.step import raise_eigenvalues
from napari_sparse_gmm.mixture import FloatArray

# Neighbours of a place, at most and at least, and of all together: larger clusters fill boxes of
# the tree.
_MOST, _LEAST, _ALL = 64, 16, 4_000_000
# A ball has its centre and so many other places.
_FEWEST = 2
# The evidence, in nats, that a ball must have: so much less than the log of the number of places,
# among which many have some by chance; and at least.
_CHANCE, _EVIDENCE = 3.4, 1.0


class BallBirths:
    """Proposals of births around single places, the most evidence first."""

    def __init__(self) -> None:
        self._places: _Places | None = None

    def __call__(self, problem: Problem, state: Evaluated) -> list[Proposal]:
        room = problem.most - state.mixture.n_components
        if self._places is None:
            self._places = _Places.of(problem.engine)
        places = self._places
        if room <= 0 or places.nearest.shape[1] <= _FEWEST:
            return []
        _, inverse = inverse_density(problem.engine, state.mixture)
        balls = _dense_balls(places, places.sums(inverse), problem.covariance_floor)
        return [_proposal(problem, state, places, *ball) for ball in balls[:room]]


@dataclass(frozen=True, eq=False)
class _Places:
    """Where there are points.

    Parameters
    ----------
    points : (P, D) array
    index : (N,) array of int
        The place of each point.
    weight : (P,) array
        Of all points there.
    noise : (P, D) array or None
        Mean variances of the noise of the points there.
    distances : (P, k) array
        Of the nearest places, the place itself first.
    nearest : (P, k) array of int
        Which they are.
    """

    points: FloatArray
    index: NDArray[np.intp]
    weight: FloatArray
    noise: FloatArray | None
    distances: FloatArray
    nearest: NDArray[np.intp]

    @classmethod
    def of(cls, engine: Engine) -> Self:
        points, index = np.unique(engine.points, axis=0, return_inverse=True)
        index = index.reshape(-1)
        k = min(int(np.clip(_ALL // len(points), _LEAST, _MOST)), len(points))
        distances, nearest = cKDTree(points).query(points, np.arange(1, k + 1))
        own = np.ones(len(index)) if engine.sample_weight is None else engine.sample_weight
        weight = np.bincount(index, own).astype(np.float64)
        noise = None
        if engine.noise is not None:
            sums = [np.bincount(index, own * variances) for variances in engine.noise.T]
            noise = np.stack(sums, axis=1) / weight[:, None]
        return cls(points, index, weight, noise, distances, nearest)

    def sums(self, values: FloatArray) -> FloatArray:
        """Values of points (N,) summed in each place, (P,)."""
        return np.bincount(self.index, values).astype(np.float64)


def _dense_balls(
    places: _Places, inverse: FloatArray, floor: float
) -> list[tuple[NDArray[np.intp], float]]:
    """The places of balls with too many points, and by how many; most evidence first.

    `inverse` is 1 / p(x), summed over the points of each place.
    """
    d = places.points.shape[1]
    log_ball = 0.5 * d * np.log(np.pi) - gammaln(0.5 * d + 1)
    volumes = np.exp(log_ball + d * np.log(np.maximum(places.distances[:, 1:], floor)))
    others = places.nearest[:, 1:]
    n = np.cumsum(places.weight[others], axis=1)
    rho = np.cumsum(inverse[others], axis=1) / (len(places.index) * volumes)
    rho = np.maximum(rho, 1.0)
    evidence = n * (np.log(rho) - 1 + 1 / rho)
    evidence[:, : _FEWEST - 1] = 0.0
    rows, last = np.arange(len(evidence)), evidence.argmax(1)
    best, excess = evidence[rows, last], (n * (1 - 1 / rho))[rows, last]
    enough = max(np.log(len(rows)) - _CHANCE, _EVIDENCE)
    used = np.zeros(len(rows), dtype=bool)
    balls = []
    for row in np.argsort(-best, kind="stable"):
        if best[row] < enough:
            break
        if not used[row]:
            inside = places.nearest[row, : last[row] + 2]
            used[inside] = True
            balls.append((inside, float(excess[row])))
    return balls


def _proposal(
    problem: Problem, state: Evaluated, places: _Places, inside: NDArray[np.intp], excess: float
) -> Proposal:
    """A component of the moments of the points inside, of `excess` weight."""
    weight = places.weight[inside]
    noise = None if places.noise is None else places.noise[inside]
    mean, covariance = moments(places.points[inside], weight, noise)
    count = weight.sum(keepdims=True)
    scatter = count * raise_eigenvalues(covariance[None], 0.0)
    shrunk = state.prior.updated_covariances(count, scatter)
    shrunk = raise_eigenvalues(shrunk, problem.covariance_floor**2)
    share = np.array([excess / problem.engine.total_weight])
    return Proposal(np.empty(0, dtype=np.intp), share, mean[None], shrunk)
