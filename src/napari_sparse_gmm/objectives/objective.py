"""What a fit minimises beside the likelihood, and the closed forms of its steps."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives.covariance_type import FULL, CovarianceType

if TYPE_CHECKING:
    from napari_sparse_gmm.objectives.declaration import Declaration


class Objective(ABC):
    """What components cost, and what becomes of a step of the solver.

    Weights are those of the components, (K,) float64, covariances (K, D, D). `total` is the total
    weight of the points: their number where all weigh 1. Two kinds exist: `PenalisedLikelihood`,
    which a `WeightPenalty` in a file of its own extends, and `VariationalPoisson`, which learns.
    """

    # By how many nats each component is favoured, where the cost is else minus a bound on the log
    # evidence of the points; None where it is no such bound.
    keeping: ClassVar[float | None] = None

    @property
    def covariance_type(self) -> CovarianceType:
        """What covariances may be like."""
        return FULL

    def of_type(self, covariance_type: CovarianceType) -> "Objective":
        """With other covariances; what was learnt of sizes is forgotten. An InputError where it
        has none of that type.
        """
        if covariance_type is not self.covariance_type:
            raise InputError(
                f"{type(self).__name__} has no covariance_type={covariance_type.name!r}."
            )
        return self

    def declaration(self) -> "Declaration":
        """That of a kind of prior of which there is only this instance."""
        from napari_sparse_gmm.objectives.declaration import Declaration

        return Declaration("", "", "", lambda context: self)

    @abstractmethod
    def costs(self, weights: FloatArray, covariances: FloatArray, total: float) -> FloatArray:
        """What each component costs, (K,), in nats per point."""

    def constant(self, total: float) -> float:
        """What there is to add to the costs of the components, in nats per point."""
        return 0.0

    @abstractmethod
    def multiplier(self, weights: FloatArray, total: float) -> float:
        """The Lagrange multiplier lambda of the constraint sum W = 1 at an optimum."""

    @abstractmethod
    def update_weights(
        self, counts: FloatArray, background_count: float, weights: FloatArray, total: float
    ) -> tuple[FloatArray, float]:
        """The weights after a step, the background's apart; 0 for a component that is pruned.

        Parameters
        ----------
        counts : (K,) array
            Expected number of points of each component.
        background_count : float
            Expected number of background points.
        weights : (K,) array
            The present weights, positive.
        total : float
        """

    @abstractmethod
    def proportions(
        self, shares: FloatArray, weights: FloatArray, multiplier: float, total: float
    ) -> FloatArray:
        """The weights that `update_weights` would give, up to a common factor, (K,).

        For a step on some components alone, with lambda held; `shares` are counts / total.
        """

    def pseudo_points(
        self, counts: FloatArray, covariances: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """The conjugate prior on each covariance (inverse Wishart) of components of so many points,
        as so many more points, (K,), with so much more scatter along every axis, (K,).
        """
        return np.zeros(len(counts)), np.zeros(len(counts))

    @abstractmethod
    def surplus(self, counts: FloatArray, covariances: FloatArray) -> FloatArray:
        """The part of the expected scatter of points with noise that is attributed to the
        uncertainty of mean and covariance, (K, D, D).
        """

    def updated_covariances(self, counts: FloatArray, scatters: FloatArray) -> FloatArray:
        """The covariances after a step, (K, D, D), from the scatter about each mean, (K, D, D)."""
        scatters = self.covariance_type.nearest(scatters)
        more, scatter = self.pseudo_points(counts, scatters / counts[:, None, None])
        scatters = scatters + scatter[:, None, None] * np.eye(scatters.shape[1])
        return np.asarray(scatters / (counts + more)[:, None, None])

    def learnt(self, counts: FloatArray, covariances: FloatArray) -> "Objective":
        """With hyperparameters updated from the components (empirical Bayes); `covariances` are
        those of a step under this objective.
        """
        return self

    def relaxed(self, old: "Objective", factor: float) -> "Objective":
        """With hyperparameters `factor` times as far from those of `old`."""
        return self

    def expected(self, mixture: GaussianMixture, mass: float) -> tuple[GaussianMixture, float]:
        """The intensity of the points, mass x p(x), as a mixture and its mass.

        That of `mixture` where components are known. Where there is a posterior of each, the
        exponential of the expected log intensity.
        """
        return mixture, mass
