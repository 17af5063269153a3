"""What the solvers ask of a prior."""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np

from napari_sparse_gmm.mixture import FloatArray, GaussianMixture


class ComponentPrior(ABC):
    """What components cost, and what becomes of a step of the solver under it.

    Weights are those of the components, (K,) float64, covariances (K, D, D). `total` is the total
    weight of the points: their number where all weigh 1. `Prior`, a penalty on the weights, is the
    simple case; most new priors start from there.
    """

    # Whether it judges clusters of a few points, so that it pays to look around each point.
    finds_small_clusters: ClassVar[bool] = False

    @abstractmethod
    def costs(self, weights: FloatArray, covariances: FloatArray, total: float) -> FloatArray:
        """What each component costs, (K,), in nats per point."""

    def constant(self, total: float) -> float:
        """What the prior costs beside its components, in nats per point."""
        return 0.0

    @abstractmethod
    def multiplier(self, weights: FloatArray, total: float) -> float:
        """lambda of the constraint sum W = 1 at an optimum: the price of weight."""

    @abstractmethod
    def update_weights(
        self,
        counts: FloatArray,
        background_count: float,
        weights: FloatArray,
        total: float,
    ) -> tuple[FloatArray, float]:
        """The weights after a step, the background's apart; 0 for a component that goes.

        Parameters
        ----------
        counts : (K,) array
            Expected number of points of each component.
        background_count : float
            Expected number of background points.
        weights : (K,) array
            The present weights, positive.
        """

    @abstractmethod
    def proportions(
        self, shares: FloatArray, weights: FloatArray, multiplier: float, total: float
    ) -> FloatArray:
        """The weights that `update_weights` would give, up to a common factor, (K,).

        For a step on some components alone, with lambda held; `shares` are counts / total.
        """

    @property
    def pseudo_points(self) -> tuple[float, float]:
        """What is known of covariances beforehand, as if each component had so many more points
        with so much more scatter along every axis: a conjugate prior, inverse Wishart.
        """
        return 0.0, 0.0

    def surplus(self, counts: FloatArray, covariances: FloatArray) -> FloatArray:
        """What of the expected scatter of points with noise the prior does not put down to the
        covariance, (K, D, D); none where means and covariances are taken as known.
        """
        return np.zeros_like(covariances)

    def updated_covariances(self, counts: FloatArray, scatters: FloatArray) -> FloatArray:
        """The covariances after a step, (K, D, D), from the scatter about each mean, (K, D, D)."""
        more, scatter = self.pseudo_points
        scatters = scatters + scatter * np.eye(scatters.shape[1])
        return np.asarray(scatters / (counts + more)[:, None, None])

    def learnt(self, counts: FloatArray, covariances: FloatArray) -> Self:
        """The prior with what components of such counts have taught it; covariances are those
        that came of a step under this prior.
        """
        return self

    def relaxed(self, old: Self, factor: float) -> Self:
        """The prior that is `factor` times as far from `old` as this one is."""
        return self

    def expected(self, mixture: GaussianMixture, mass: float) -> tuple[GaussianMixture, float]:
        """The intensity mass x p(x) that the points see, as a mixture and its mass.

        It is that of `mixture` where components are known. Where the prior only has a distribution
        of each, it is the exponential of the expected log intensity.
        """
        return mixture, mass
