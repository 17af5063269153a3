"""Births: components wherever the points are denser than the mixture expects.

Where that is the engine finds out (`engines.overdensity`); here it becomes proposals.
"""

from dataclasses import dataclass, replace

import numpy as np

from napari_sparse_gmm.engines.overdensity import Balls, Boxes, Overdensities
from napari_sparse_gmm.fitting.problem import Evaluated, Problem
from napari_sparse_gmm.fitting.proposals import Proposals
from napari_sparse_gmm.fitting.step import raise_eigenvalues

# Nats by which more points in a box than the mixture expects there must be worth a component.
_EVIDENCE = 15.0
_FAINT = 5.0
# Trees that are searched at a time, at most, and points in all of them: to order many takes long.
_TREES, _POINTS = 4, 400_000


@dataclass
class Births:
    """Proposals from boxes of the tree of points, the most evidence first.

    Boxes that cut through a small cluster miss it. So where the evidence alone would not be
    enough, trees of several directions are searched, and of others whenever there are more
    components than the last time: births may have succeeded then, and others be still to find.

    Parameters
    ----------
    faint : bool
        Also where the evidence alone would not be enough: many are chance, the cost decides.
    """

    faint: bool = False
    _turn: int = 0
    _n_components: int = -1

    def __call__(self, problem: Problem, state: Evaluated) -> Proposals:
        n, engine = state.mixture.n_components, problem.engine
        n_trees = 1
        if self.faint:
            n_trees = int(np.clip(_POINTS // engine.summary.n_points, 1, _TREES))
        if self.faint and 0 <= self._n_components < n:
            self._turn += n_trees
        self._n_components = n
        if n >= problem.most:
            return _proposals(problem, Overdensities.none(state.mixture.n_dimensions))
        evidence = _FAINT if self.faint else _EVIDENCE
        found = Overdensities.joining(
            [
                engine.overdensities(
                    state.mixture, Boxes(evidence, problem.covariance_floor, self._turn + tree)
                )
                for tree in range(n_trees)
            ]
        )
        return _proposals(problem, found).subset(slice(problem.most - n))


class BallBirths:
    """Proposals from balls around single positions, the most evidence first."""

    def __call__(self, problem: Problem, state: Evaluated) -> Proposals:
        n = state.mixture.n_components
        if n >= problem.most:
            return _proposals(problem, Overdensities.none(state.mixture.n_dimensions))
        found = problem.engine.overdensities(state.mixture, Balls(problem.covariance_floor))
        scatters = found.counts[:, None, None] * raise_eigenvalues(found.covariances, 0.0)
        shrunk = state.prior.updated_covariances(found.counts, scatters)
        found = replace(found, covariances=shrunk)
        return _proposals(problem, found).subset(slice(problem.most - n))


def _proposals(problem: Problem, found: Overdensities) -> Proposals:
    covariances = raise_eigenvalues(found.covariances, problem.covariance_floor**2)
    return Proposals.of(
        np.empty((len(found), 0), dtype=np.intp),
        found.excess[:, None] / problem.total_weight,
        found.means[:, None],
        covariances[:, None],
    )
