"""Clusters of several kinds, each with its own numbers of points and sizes.

    kind of a cluster = g with rate lambda_g,     points and covariance given g as in `bayes`.

The number of kind g is Poisson(lambda_g), so of K clusters to be told apart costs K times the
entropy of their shares. A cluster is of the kind under which the bound on the evidence is highest
(a point mass as the posterior of g), its hyperparameters are learnt from the clusters of that
kind, and a kind that has too few goes: they are as many as the evidence wants. Each further one
costs half the logarithm of the number of clusters for each of lambda, b and psi, whose own prior is
flat (Schwarz, Annals of Statistics 6, 1978).

Steps from clusters of one kind do not come to two, for what is learnt from all is wide enough for
all. So there are steps besides, from the solution of one kind and births everywhere, under kinds
that are held at first (`several`): clusters as they were learnt, smaller ones of fewer points, and
wider ones.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.objectives.bayes import VariationalPoisson
from napari_sparse_gmm.objectives.covariance_type import CovarianceType
from napari_sparse_gmm.objectives.declaration import Context, Declaration
from napari_sparse_gmm.objectives.objective import Objective
from napari_sparse_gmm.objectives.poisson import LEAST, PoissonProcess

# From so many clusters on they can be of several kinds, and so many make one.
_FEWEST_CLUSTERS = 4
_FEWEST = 3

# Hyperparameters without a prior of their own: lambda, b and psi.
_FLAT = 3

# Points and sizes of the kinds to start from, in terms of what was learnt from all, and the least
# shape a and degrees of freedom, nu - D.
_STARTS = (
    (0.2, 0.4, 2.0, 12.0),
    (1.0, 0.77, 2.0, 30.0),
    (1.0, 2.5, 2.0, 30.0),
)


@dataclass(frozen=True)
class Kinds(PoissonProcess):
    """A mixture of `VariationalPoisson`, one for each kind; see the module.

    Parameters
    ----------
    kinds : tuple of VariationalPoisson
        One or more.
    held : bool
        Whether the hyperparameters stay as they are.
    """

    kinds: tuple[VariationalPoisson, ...]
    held: bool = False

    @property
    def covariance_type(self) -> CovarianceType:
        return self.kinds[0].covariance_type

    def of_type(self, covariance_type: CovarianceType) -> Self:
        return replace(self, kinds=tuple(kind.of_type(covariance_type) for kind in self.kinds))

    def declaration(self) -> Declaration:
        """That of "bayes", with these kinds, but for the noise."""
        one = self.kinds[0].declaration()

        def make(context: Context) -> Kinds:
            made = (kind.declaration().make(context) for kind in self.kinds)
            return replace(self, kinds=tuple(made))  # type: ignore[arg-type]

        return replace(one, make=make)

    def of(self, counts: FloatArray, covariances: FloatArray) -> NDArray[np.intp]:
        """Which kind clusters of so many expected points are of, (K,)."""
        return np.argmin(self._bounds(counts, covariances), axis=0)

    def probabilities(self, counts: FloatArray, covariances: FloatArray) -> FloatArray:
        """That a cluster of so many expected points is of each kind, (K, G)."""
        costs = self._bounds(counts, covariances)
        shares = np.exp(costs.min(0) - costs)
        return (shares / shares.sum(0)).T

    def costs(self, weights: FloatArray, covariances: FloatArray, total: float) -> FloatArray:
        counts = np.maximum(weights * total, 1e-9)
        of_each = np.array([kind.costs(weights, covariances, total) for kind in self.kinds])
        return self._chosen(self.of(counts, covariances), of_each)

    def constant(self, total: float) -> float:
        n = sum(kind.number for kind in self.kinds)
        more = 0.5 * _FLAT * (len(self.kinds) - 1) * np.log(max(n, 1.0))
        return float(sum(kind.constant(total) for kind in self.kinds) + more / total)

    def log_masses(self, counts: FloatArray, covariances: FloatArray) -> FloatArray:
        of_each = np.array([kind.log_masses(counts, covariances) for kind in self.kinds])
        return self._chosen(self.of(counts, covariances), of_each)

    def pseudo_points(
        self, counts: FloatArray, covariances: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        known = [np.array(kind.pseudo_points(counts, covariances)).T for kind in self.kinds]
        more, scatter = self._chosen(self.of(counts, covariances), np.array(known)).T
        return more, scatter

    def surplus(self, counts: FloatArray, covariances: FloatArray) -> FloatArray:
        of_each = np.array([kind.surplus(counts, covariances) for kind in self.kinds])
        return self._chosen(self.of(counts, covariances), of_each)

    def updated_covariances(self, counts: FloatArray, scatters: FloatArray) -> FloatArray:
        """Those of the kind under which the points of each component are likeliest."""
        updated = np.array([kind.updated_covariances(counts, scatters) for kind in self.kinds])
        costs = [
            kind.bound(counts, own) + 0.5 * np.einsum("kij,kji->k", np.linalg.inv(own), scatters)
            for kind, own in zip(self.kinds, updated, strict=True)
        ]
        log_dets = np.linalg.slogdet(updated)[1]  # (G, K)
        return self._chosen(np.argmin(costs + 0.5 * counts * log_dets, axis=0), updated)

    def learnt(self, counts: FloatArray, covariances: FloatArray) -> PoissonProcess:
        """Each kind from its clusters; without those that have too few."""
        if self.held:
            return self
        kinds = self.of(counts, covariances)
        sizes = np.bincount(kinds[counts > LEAST], minlength=len(self.kinds))
        kept = np.flatnonzero(sizes >= _FEWEST).tolist()
        if len(kept) < 2:
            return self.kinds[int(np.argmax(sizes))].learnt(counts, covariances)
        learnt = (self.kinds[g].learnt(counts[kinds == g], covariances[kinds == g]) for g in kept)
        return replace(self, kinds=tuple(learnt))

    def relaxed(self, old: Objective, factor: float) -> Self:
        """Each kind by itself, where they are the same ones."""
        if self.held or not isinstance(old, Kinds) or len(old.kinds) != len(self.kinds):
            return self
        pairs = zip(self.kinds, old.kinds, strict=True)
        return replace(self, kinds=tuple(new.relaxed(before, factor) for new, before in pairs))

    def _bounds(self, counts: FloatArray, covariances: FloatArray) -> FloatArray:
        """What clusters would cost as each kind, but for what is the same, (G, K)."""
        return np.array([kind.bound(counts, covariances) for kind in self.kinds])

    def _chosen(self, kinds: NDArray[np.intp], of_each: FloatArray) -> FloatArray:
        """Of values (G, K, ...) those of the kind of each component, (K, ...)."""
        return np.asarray(of_each[kinds, np.arange(len(kinds))])


def several(objective: Objective, n_clusters: int) -> Kinds | None:
    """The kinds to start from, held, where so many clusters have taught an objective; or None."""
    if not isinstance(objective, VariationalPoisson) or n_clusters < _FEWEST_CLUSTERS:
        return None
    points, variance = objective.shape / objective.rate, objective.typical_variance
    kinds = []
    for of_points, of_sizes, shape, excess in _STARTS:
        shape, degrees = max(shape, objective.shape), objective.order + excess
        kinds.append(
            replace(
                objective,
                shape=shape,
                rate=shape / (of_points * points),
                degrees=degrees,
                scale=of_sizes**2 * variance * degrees,
            )
        )
    return Kinds(tuple(kinds), held=True)
