"""Births around single points: clusters too small for the boxes of `births`.

Around each point, the balls that hold its nearest neighbours are tested as the boxes of the tree
are in `births`: by the evidence that there are more points than the mixture expects. The point
itself, about which the ball was drawn, does not count.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import gammaln

from napari_sparse_gmm.engines import Engine
from napari_sparse_gmm.fitting.births import inverse_density
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.fitting.proposals import Proposal
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

# Neighbours of a point, at most and at least, and of all points together: larger clusters fill
# boxes of the tree.
_MOST, _LEAST, _ALL = 64, 16, 4_000_000
# A ball has its centre and so many other points.
_FEWEST = 2
# The evidence, in nats, that a ball must have: so much less than the log of the number of points,
# among which many have some by chance; and at least.
_CHANCE, _EVIDENCE = 3.4, 1.0


class BallBirths:
    """Proposals of births around single points, the most evidence first."""

    def __init__(self) -> None:
        self._neighbours: tuple[FloatArray, NDArray[np.intp]] | None = None

    def __call__(self, problem: Problem, state: Evaluated) -> list[Proposal]:
        engine, room = problem.engine, problem.most - state.mixture.n_components
        if room <= 0 or engine.n_points <= _LEAST:
            return []
        if self._neighbours is None:
            self._neighbours = _neighbours(engine)
        balls = _dense_balls(problem, state.mixture, *self._neighbours)[:room]
        return [_proposal(problem, state, *ball) for ball in balls]


def _neighbours(engine: Engine) -> tuple[FloatArray, NDArray[np.intp]]:
    """Distances (N, k) of the nearest points of each point, itself first, and which they are."""
    k = min(int(np.clip(_ALL // engine.n_points, _LEAST, _MOST)), engine.n_points)
    return cKDTree(engine.points).query(engine.points, k)


def _dense_balls(
    problem: Problem,
    mixture: GaussianMixture,
    distances: FloatArray,
    nearest: NDArray[np.intp],
) -> list[tuple[NDArray[np.intp], float]]:
    """The points of balls with too many, and by how many, in points of mean weight."""
    engine, d = problem.engine, problem.engine.n_dimensions
    weight, inverse = inverse_density(engine, mixture)
    log_ball = 0.5 * d * np.log(np.pi) - gammaln(0.5 * d + 1)
    radii = np.maximum(distances[:, 1:], problem.covariance_floor)
    volumes = np.exp(log_ball + d * np.log(radii))
    n = np.cumsum(weight[nearest[:, 1:]], axis=1)
    rho = np.cumsum(inverse[nearest[:, 1:]], axis=1) / (engine.n_points * volumes)
    rho = np.maximum(rho, 1.0)
    evidence = n * (np.log(rho) - 1 + 1 / rho)
    evidence[:, : _FEWEST - 1] = 0.0
    last = evidence.argmax(1)
    rows = np.arange(len(last))
    best, excess = evidence[rows, last], (n * (1 - 1 / rho))[rows, last]
    enough = max(np.log(engine.n_points) - _CHANCE, _EVIDENCE)
    used = np.zeros(len(last), dtype=bool)
    balls = []
    for row in np.argsort(-best, kind="stable"):
        if best[row] < enough:
            break
        if not used[row]:
            inside = nearest[row, : last[row] + 2]
            used[inside] = True
            balls.append((inside, float(excess[row])))
    return balls


def _proposal(
    problem: Problem, state: Evaluated, inside: NDArray[np.intp], excess: float
) -> Proposal:
    engine = problem.engine
    points = engine.points[inside]
    weight = np.ones(len(inside)) if engine.sample_weight is None else engine.sample_weight[inside]
    mean = np.average(points, axis=0, weights=weight)
    difference = points - mean
    scatter = (difference.T * weight) @ difference
    covariance = problem.updated_covariances(state.prior, np.array([weight.sum()]), scatter[None])
    share = np.array([excess / engine.n_points])
    return Proposal(np.empty(0, dtype=np.intp), share, mean[None], covariance)
