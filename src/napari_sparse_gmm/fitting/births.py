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


@dataclass
class Births:
    """Proposals from boxes of the tree of points, the most evidence first.

    Boxes that cut through a small cluster miss it. So where the evidence alone would not be
    enough, the tree is turned to another direction whenever there are more components than the
    last time: births may have succeeded then, and others be still to find.

    Parameters
    ----------
    faint : bool
        Also where the evidence alone would not be enough: many are chance, the cost decides.
    """

    faint: bool = False
    _turn: int = -1
    _n_components: int = -1

    def __call__(self, problem: Problem, state: Evaluated) -> Proposals:
        n = state.mixture.n_components
        if self._turn < 0 or (self.faint and n > self._n_components):
            self._turn += 1
        self._n_components = n
        search = Boxes(_FAINT if self.faint else _EVIDENCE, problem.least_floor, turn=self._turn)
        if n >= problem.most:
            return _proposals(problem, Overdensities.none(state.mixture.n_dimensions))
        found = problem.engine.overdensities(state.mixture, search)
        return _proposals(problem, found).subset(slice(problem.most - n))


class BallBirths:
    """Proposals from balls around unique positions of points, the most evidence first."""

    def __call__(self, problem: Problem, state: Evaluated) -> Proposals:
        n = state.mixture.n_components
        if n >= problem.most:
            return _proposals(problem, Overdensities.none(state.mixture.n_dimensions))
        found = problem.engine.overdensities(state.mixture, Balls(problem.least_floor))
        scatters = found.counts[:, None, None] * raise_eigenvalues(found.covariances, 0.0)
        shrunk = state.objective.updated_covariances(found.counts, scatters)
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
