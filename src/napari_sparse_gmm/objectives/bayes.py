"""Variational Bayes: how many clusters, without a knob.

Points are a Poisson process: a background of constant intensity, and a number of clusters,

    number of clusters ~ Poisson(lambda),     mean of each ~ uniform in the volume A,
    points w_j of each ~ Gamma(a, b),         covariance of each ~ inverse Wishart(nu, psi 1).

No cluster takes weight from another, as they would on a simplex. The posterior of each is
approximated by the conjugate one of n_j expected points with scatter S_j about their mean
(Bishop, Pattern recognition and machine learning, 2006, section 10.2), v = nu + n_j - 1:

    w_j ~ Gamma(a + n_j, 1 + b),     covariance ~ inverse Wishart(v, psi 1 + S_j),
    mean given the covariance ~ Normal(m_j, covariance / n_j).

The mixture of a fit holds W_j = n_j / n, m_j and Sigma_j = (psi 1 + S_j) / v. The points see the
exponential of the expected log intensity of a cluster (`expected`), T_i at point i, and a cluster
costs as many nats as its posterior is away from the prior, its Kullback-Leibler divergence:

    n cost = sum_j KL_j - sum_i log T_i + ...

is minus a lower bound of the evidence. The hyperparameters a, b, psi and nu are learnt from all
clusters of the image together (empirical Bayes): fifty clusters of five points show what a cluster
is, though one alone does not. They are what DBSCAN needs as parameters for each image.

Round clusters, s^2 1, are alike: inverse Wishart of order 1, tr S_j for S_j and D n_j for n_j, as
each point says D times as much about s^2 (`covariance_type`).

Of points with noise, S_j is the expected scatter of their true positions, S the typical noise, and
M = Sigma (Sigma + S)^-1 the cluster's own part of the observed covariance. Such points say less,
so the posterior is wider: of the mean, covariance (Sigma + S) / n; of the covariance,
v = nu + tr(M^2) / D (n - 1). With the width that true positions would allow, narrow clusters would
cost too much, and most of all those that differ from the others. What this adds to the cost
depends on Sigma; `surplus` is its derivative. (It is a bound no longer, but near to the evidence.)
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import scipy

from napari_sparse_gmm.factored import log_determinants, traces_of_inverses
from napari_sparse_gmm.mixture import LOG_2PI, FloatArray
from napari_sparse_gmm.objectives.covariance_type import FULL, CovarianceType
from napari_sparse_gmm.objectives.declaration import Context, Declaration, Start
from napari_sparse_gmm.objectives.objective import Objective
from napari_sparse_gmm.objectives.poisson import LEAST, PoissonProcess

if TYPE_CHECKING:
    from napari_sparse_gmm.objectives.kinds import Kinds

# log a and log(nu - D) are Normal with these medians and this standard deviation.
_MEDIAN_SHAPE, _MEDIAN_EXCESS, _SPREAD = 2.0, 4.0, 2.0
_RANGE = (np.log(0.05), np.log(1e4))
# By how much the logarithm of a hyperparameter may change in an over-relaxed step.
_LARGEST_STEP = (-np.log(10.0), np.log(10.0))
_TINY = 1e-300
# Turns to find the two of the sizes, from known ones or at first, and steps in each.
_TURNS, _FIRST_TURNS, _STEPS = 2, 10, 5


@dataclass(frozen=True)
class VariationalPoisson(PoissonProcess):
    """Gamma and inverse Wishart priors of clusters, learnt from them; see the module.

    Parameters
    ----------
    n_dimensions : int
        D, the dimensions of the points.
    volume : float
        A, where the means of clusters may be, in data units^D.
    number : float
        lambda, how many clusters are expected.
    shape, rate : float
        a and b of the number of points in a cluster: a / b on average.
    degrees : float
        nu, the degrees of freedom of the inverse Wishart, more than its order.
    scale : float
        psi, in squared data units, 0 where no cluster is known yet. A typical variance is
        psi / nu.
    noise : tuple of D float
        Typical variances of the noise of points, where they have some.
    covariance_type : CovarianceType
        Whether clusters are of any shape, or round.
    """

    n_dimensions: int
    volume: float
    number: float = 1.0
    shape: float = _MEDIAN_SHAPE
    rate: float = 0.1
    degrees: float = 0.0
    scale: float = 0.0
    noise: tuple[float, ...] | None = None
    covariance_type: CovarianceType = FULL

    def __post_init__(self) -> None:
        if not self.degrees:
            object.__setattr__(self, "degrees", self.order + _MEDIAN_EXCESS)

    @property
    def order(self) -> int:
        """That of the inverse Wishart."""
        return self.covariance_type.order(self.n_dimensions)

    @property
    def typical_variance(self) -> float:
        """psi / nu."""
        return self.scale / self.degrees

    @property
    def kinds(self) -> "tuple[VariationalPoisson, ...]":
        """Itself: all clusters are of one kind; see `objectives.kinds`."""
        return (self,)

    def declaration(self) -> Declaration:
        """That of "bayes", with these hyperparameters, but for the noise."""

        def make(context: Context) -> VariationalPoisson:
            return replace(self, noise=_make(context).noise)

        return replace(DECLARATION, name="", make=make)

    def of_type(self, covariance_type: CovarianceType) -> Self:
        # What is known of sizes are degrees of freedom of the other type.
        return replace(self, covariance_type=covariance_type, degrees=0.0, scale=0.0)

    def costs(self, weights: FloatArray, covariances: FloatArray, total: float) -> FloatArray:
        """How far the posterior of each cluster is from the prior."""
        if not len(weights):
            return np.zeros(0)
        # Below that the posterior of the mean is wider than the region, and the bound none.
        n = np.maximum(weights * total, LEAST)
        d, order, nu = self.n_dimensions, self.order, self.degrees
        v, slack = self._posterior_degrees(n, covariances)
        log_own = log_determinants(covariances)
        log_convolved = (
            log_own if self.noise is None else log_determinants(self._convolved(covariances))
        )
        of_mean = np.log(self.volume / self.number) - slack
        of_mean = of_mean - 0.5 * (d * (LOG_2PI + 1.0) + log_convolved - d * np.log(n))
        traces = order / d * traces_of_inverses(covariances)
        log_scales = order * np.log(v) + order / d * log_own  # of v Sigma
        of_size = _log_multigamma(0.5 * nu, order) - _log_multigamma(0.5 * v, order)
        of_size = of_size + 0.5 * nu * (log_scales - order * np.log(self.scale))
        of_size += 0.5 * (v - nu) * (_digammas(v, order) - order * np.log(2.0))
        of_size += 0.5 * (self.scale * traces - v * order)
        of_number = n * self._log_points(n) - _numbers(n, self.shape, self.rate)
        # n_j nats of it belong to its weight (`multiplier`); the solver adds them.
        return (of_number + of_mean + of_size - self.keeping) / total - weights

    def constant(self, total: float) -> float:
        return (self.number - self._log_hyperprior()) / total

    def pseudo_points(
        self, counts: FloatArray, covariances: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        # Without a scale nothing is known yet.
        each = self.covariance_type.degrees(self.n_dimensions)
        if not self.scale:
            return np.zeros(len(counts)), np.zeros(len(counts))
        more = np.maximum(self.degrees / each - 1, (self.degrees - 1) / each - counts)
        return more, np.full(len(counts), self.scale / each)

    def surplus(self, counts: FloatArray, covariances: FloatArray) -> FloatArray:
        """2 Sigma G Sigma, with G the derivative by Sigma of what noise adds to the cost: (1 - M)
        Sigma from the mean, and M^2 (1 - M) Sigma times what a degree of freedom is worth from v.
        """
        if self.noise is None:
            return np.zeros_like(covariances)
        d = self.n_dimensions
        own = self._own(covariances)
        rest = np.eye(d) - own
        worth = 4.0 / d * counts * self._lost(self._posterior_degrees(counts, covariances)[0])
        return rest @ covariances + worth[:, None, None] * (own @ own @ rest @ covariances)

    def _own(self, covariances: FloatArray) -> FloatArray:
        """M of the module: a cluster's own part of the observed covariance, (K, D, D)."""
        return covariances @ np.linalg.inv(self._convolved(covariances))

    def _posterior_degrees(
        self, n: FloatArray, covariances: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """v of clusters of n points, (K,), and the nats that each point loses in expectation, as
        the covariance is not known, (K,).
        """
        d = self.n_dimensions
        worth = np.ones(len(n))
        if self.noise is not None:
            own = self._own(covariances)
            worth = np.einsum("jkl,jlk->j", own, own) / d
        # A round cluster of less than a point takes no more than one of any shape would.
        v = np.maximum(
            self.degrees + self.covariance_type.degrees(d) * worth * (n - 1), self.degrees - 1
        )
        return v, worth * self._lost(v)

    def _lost(self, v: FloatArray) -> FloatArray:
        """What a point loses in expectation as its cluster's covariance is known by v degrees of
        freedom, in nats.
        """
        order = self.order
        each = self.covariance_type.degrees(self.n_dimensions)
        return np.asarray(0.5 * each * (order * np.log(v) - _digammas(v, order)))

    def _convolved(self, covariances: FloatArray) -> FloatArray:
        """Covariances convolved with the typical noise."""
        return covariances if self.noise is None else covariances + np.diag(self.noise)

    def log_masses(self, counts: FloatArray, covariances: FloatArray) -> FloatArray:
        slack = self._posterior_degrees(counts, covariances)[1]
        return self._log_points(counts) - slack - 0.5 * self.n_dimensions / counts

    def bound(self, counts: FloatArray, covariances: FloatArray) -> FloatArray:
        """What clusters of so many points cost, less what their points gain by the mass, (K,), in
        nats: that and what is the same under all hyperparameters is minus the bound.
        """
        costs = self.costs(counts, covariances, 1.0)
        return np.asarray(costs - counts * self.log_masses(counts, covariances))

    def learnt(self, counts: FloatArray, covariances: FloatArray) -> Self:
        """With the most likely hyperparameters, their own priors considered."""
        kept = counts > LEAST
        if not len(counts):
            return replace(self, number=1.0, shape=_MEDIAN_SHAPE, degrees=0.0, scale=0.0)
        if not kept.any():
            kept = counts == counts.max()
        n, covariances = counts[kept], covariances[kept]
        v, _ = self._posterior_degrees(n, covariances)
        of_points = v - self.degrees  # (n - 1) that each point adds, without noise
        squares = (v if self.scale else of_points + 1)[:, None]
        squares = squares * self.covariance_type.eigenvalues(covariances) - self.scale
        shape, rate = _likeliest_numbers(n)
        degrees, scale = _likeliest_sizes(
            of_points, np.maximum(squares, 0.0), self.degrees, self.scale
        )
        return replace(
            self, number=float(len(n)), shape=shape, rate=rate, degrees=degrees, scale=scale
        )

    def relaxed(self, old: Objective, factor: float) -> Self:
        """On straight lines of the logarithms, no further than the ranges of the learnt."""
        if not isinstance(old, VariationalPoisson) or not (old.scale and self.scale):
            return self

        def further(before: float, now: float) -> float:
            return before * float(np.exp(np.clip(factor * np.log(now / before), *_LARGEST_STEP)))

        order = self.order
        return replace(
            self,
            number=further(old.number, self.number),
            shape=float(np.clip(further(old.shape, self.shape), *np.exp(_RANGE))),
            rate=further(old.rate, self.rate),
            degrees=order
            + float(np.clip(further(old.degrees - order, self.degrees - order), *np.exp(_RANGE))),
            scale=further(old.scale, self.scale),
        )

    def _log_points(self, n: FloatArray) -> FloatArray:
        """The expected logarithm of the number of points that is expected of a cluster of n."""
        return np.asarray(scipy.special.digamma(n + self.shape) - np.log1p(self.rate))

    def _log_hyperprior(self) -> float:
        excess = self.degrees - self.order
        return -_normal(np.log(self.shape), _MEDIAN_SHAPE) - _normal(np.log(excess), _MEDIAN_EXCESS)


def _normal(log_value: float, median: float) -> float:
    """Minus the log density of a log-normal hyperprior, but for a constant."""
    return float(0.5 * ((log_value - np.log(median)) / _SPREAD) ** 2)


def _log_multigamma(a: FloatArray | float, d: int) -> FloatArray:
    """Log of the multivariate gamma function of order D, but for its constant."""
    return np.asarray(sum(scipy.special.gammaln(a - 0.5 * i) for i in range(d)))


def _digammas(v: FloatArray | float, d: int) -> FloatArray:
    """sum_i digamma((v + 1 - i) / 2) + D log 2: the expected log determinant of Wishart(v, 1)."""
    terms = [scipy.special.digamma(0.5 * (v + 1 - i)) for i in range(1, d + 1)]
    return np.asarray(sum(terms) + d * np.log(2.0))


def _numbers(n: FloatArray, shape: float, rate: float) -> FloatArray:
    """The part of the log evidence that comes from how many points there are, (K,)."""
    return np.asarray(
        shape * np.log(rate)
        - scipy.special.gammaln(shape)
        + scipy.special.gammaln(shape + n)
        - (shape + n) * np.log1p(rate)
    )


def _sizes(
    of_points: FloatArray, log_det: FloatArray, degrees: float, scale: float, d: int
) -> FloatArray:
    """The part that comes from the covariances, (K,); `log_det` is of psi 1 + S."""
    v = degrees + of_points
    before = 0.5 * degrees * d * np.log(scale) - _log_multigamma(0.5 * degrees, d)
    return np.asarray(before - 0.5 * v * log_det + _log_multigamma(0.5 * v, d))


def _likeliest_numbers(n: FloatArray) -> tuple[float, float]:
    """a and b of clusters of n points, (K,). At the most likely b, a / b is the mean of n."""
    mean = float(n.mean())

    def loss(log_shape: float) -> float:
        shape = float(np.exp(log_shape))
        return _normal(log_shape, _MEDIAN_SHAPE) - float(_numbers(n, shape, shape / mean).sum())

    found = scipy.optimize.minimize_scalar(
        loss, bounds=_RANGE, method="bounded", options={"xatol": 0.01}
    )
    shape = float(np.exp(found.x))
    return shape, shape / mean


def _likeliest_sizes(
    of_points: FloatArray, squares: FloatArray, degrees: float, scale: float
) -> tuple[float, float]:
    """nu and psi of clusters whose scatters have the eigenvalues `squares`, (K, order), and whose
    points add `of_points` degrees of freedom, (K,).

    Better than `degrees` and `scale`, where a scale is known: a few turns of nu with psi / nu
    held, and of psi with nu held, whose stationarity nu K D = sum_j v_j tr(1 + S_j / psi)^-1 is
    solved step by step.
    """
    k, d = squares.shape
    turns = _TURNS if scale else _FIRST_TURNS
    size = (
        scale / degrees if scale else float(squares.sum() / max(d * (of_points + 1).sum(), _TINY))
    )
    size = max(size, _TINY)

    def loss(log_excess: float) -> float:
        degrees = d + float(np.exp(log_excess))
        scale = size * degrees
        log_det = np.log(scale + squares).sum(1)
        return _normal(log_excess, _MEDIAN_EXCESS) - float(
            _sizes(of_points, log_det, degrees, scale, d).sum()
        )

    for _ in range(turns):
        found = scipy.optimize.minimize_scalar(
            loss, bounds=_RANGE, method="bounded", options={"xatol": 0.01}
        )
        degrees = d + float(np.exp(found.x))
        scale = size * degrees
        v = degrees + of_points
        for _ in range(_STEPS):
            scale = degrees * k * d / float((v / (scale + squares).T).sum())
        size = scale / degrees
    return degrees, scale


def _make(context: Context) -> VariationalPoisson:
    noise = None if context.noise is None else tuple(context.noise.tolist())
    region = context.region
    return VariationalPoisson(region.n_dimensions, region.volume, noise=noise)


def _several(objective: Objective, n_clusters: int) -> "Kinds | None":
    from napari_sparse_gmm.objectives.kinds import several

    return several(objective, n_clusters)


DECLARATION = Declaration(
    name="bayes",
    label="Bayes (learns sizes)",
    help="What is learnt from the points about how large clusters are and how many points they "
    "have, so that small ones are found, too; use it with Background.",
    make=_make,
    uses=frozenset({"smooth_background"}),
    solvers=("mm",),
    # From large clusters; and from small ones, too, which cannot be learnt from large ones alone.
    starts=(Start("density", ("boxes",)), Start("density", ("boxes", "balls"))),
    components=None,
    births=("boxes", "balls"),
    several=_several,
    # Where sizes have a prior nothing collapses, and among scattered points a cluster may be
    # smaller than the distance between neighbours.
    needs_floor=False,
    evidence=True,
    counts=True,
)
