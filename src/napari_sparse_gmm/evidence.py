"""How sure it is that a component is a cluster.

>>> found = estimator.evidence(points)
>>> found.components.shape == estimator.weights_.shape  # log10 of a Bayes factor of each
True

The prior "bayes" minimises minus a lower bound on the log evidence of the points, and the bias
with which it keeps components is known. So what the bound would lose without a component, its
points left to the background and its neighbours, is about the logarithm of the Bayes factor for it
(Kass & Raftery, Bayes factors, Journal of the American Statistical Association 90, 1995); that the
component might have been anywhere in the field, and that there may be many, is in it. And what
it would lose without any component is that of clusters in general, against points that are
scattered as the background is: among such points it is b or more in one field of b at most
(Markov's inequality).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.engines import Engine
from napari_sparse_gmm.fitting.label_switching import log_labellings
from napari_sparse_gmm.fitting.problem import Problem
from napari_sparse_gmm.fitting.proposals import deletion_costs
from napari_sparse_gmm.fitting.window import reweighted
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import Kinds, Objective
from napari_sparse_gmm.regions import Region


@dataclass(frozen=True, eq=False)
class Evidence:
    """Decimal logarithms of Bayes factors, and the kinds of clusters.

    Parameters
    ----------
    components : (K,) array
        For each component, against none in its place.
    field : float
        For all together, against the background alone; NaN where there is no background.
    kinds : (K,) array
        Of which kind each component is, from 0; see `objectives.kinds`.
    probabilities : (K,) array
        That it is of that kind, with the hyperparameters held; 1 where there is one.
    """

    components: FloatArray
    field: float
    kinds: NDArray[np.intp]
    probabilities: FloatArray


def evidence(
    mixture: GaussianMixture,
    objective: Objective,
    engine: Engine,
    window: Region | None = None,
) -> Evidence | None:
    """That of a mixture that was fitted under an objective to the points of an engine, with
    components cut by the edge of a window.

    None where the cost of the objective is no bound on an evidence.
    """
    if objective.keeping is None:
        return None
    problem = Problem(engine, objective, 0.0, 0, window=window)
    total = problem.total_weight
    if window is not None:
        mixture, _ = reweighted(mixture, problem.unseen(mixture).shares)
    state = problem.evaluate(mixture, removal=True)
    of_components = total * deletion_costs(state) - objective.keeping
    of_field = math.nan
    if mixture.background_region is not None:
        scattered = problem.alone(mixture.background_region)
        of_field = total * (scattered.cost - state.cost) - objective.keeping * len(of_components)
        of_field -= log_labellings(mixture)
    of_each = np.ones((mixture.n_components, 1))
    if isinstance(objective, Kinds):
        of_each = objective.probabilities(total * mixture.weights, mixture.covariances)
    return Evidence(
        of_components / math.log(10.0),
        of_field / math.log(10.0),
        of_each.argmax(1),
        of_each.max(1),
    )
