"""A Gaussian mixture as a value.

The density of a point x in R^D is

    p(x) = W_0 b(x) / |B|  +  sum_j W_j N(x; mu_j, Sigma_j),     W_0 + sum_j W_j = 1,

with an optional background of weight W_0 on a region B (`regions`), which says how it fills it: b
is 1 in B, or of mean 1, and 0 outside. Where points have
noise of known standard deviations s_i along the axes, `noise_std`, component j is N(x_i; mu_j,
Sigma_j + diag(s_i^2)) to point i: Sigma_j is the shape without the noise. The background is taken
to be so wide that noise does not matter to it. A mixture never changes; what would change it
returns another one::

    >>> mixture = GaussianMixture([1.0], [[0.0, 0.0]], [[[1.0, 0.0], [0.0, 4.0]]])
    >>> float(mixture.density([[0.0, 0.0]])[0])  # 1 / (2 pi sqrt(det Sigma))
    0.07957747154594767

Everything here is plain float64 NumPy, computed directly from the formula in
blocks of points. It is the reference; the engines are the fast way.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.arrays import float_array
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.factored import Factored, cholesky, inverse_of_lower, lower_triangle
from napari_sparse_gmm.observations import FloatArray as FloatArray
from napari_sparse_gmm.observations import noise_variances
from napari_sparse_gmm.regions import Box, Region, region_from_dict
from napari_sparse_gmm.regions.region import frozen

LOG_2PI = float(np.log(2.0 * np.pi))

# Points times components in one block: temporaries that stay in the cache.
_BLOCK = 1 << 16


class PrincipalAxes(NamedTuple):
    """The axes of the ellipsoid of each component, the longest first.

    Parameters
    ----------
    std : (K, D) array
        Standard deviations along them.
    directions : (K, D, D) array
        Unit vectors in the columns, ``directions[k, :, i]`` that of ``std[k, i]``.
    """

    std: FloatArray
    directions: FloatArray


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Gaussian mixture with full covariances and an optional background.

    Parameters
    ----------
    weights : (K,) array
        Share of each component. Together with `background_weight` they sum to 1.
    means : (K, D) array
        Centres, in the units of the points.
    covariances : (K, D, D) array
        Symmetric positive definite covariance matrices, in squared units.
    background_weight : float
        Share of the background.
    background_region : Region or (2, D) array, optional
        What the background fills; an array gives the lower and upper corner of a box. Needed
        where `background_weight` is positive.

    Raises
    ------
    InputError
        Where shapes disagree, a value is not finite, weights are negative or do not sum
        to 1, a covariance is not positive definite, or a background lacks its region.
    """

    weights: FloatArray
    means: FloatArray
    covariances: FloatArray
    background_weight: float = 0.0
    background_region: Region | None = None

    def __post_init__(self) -> None:
        for name in ("weights", "means", "covariances"):
            object.__setattr__(self, name, frozen(getattr(self, name), name))
        object.__setattr__(self, "background_weight", float(self.background_weight))
        if not isinstance(self.background_region, Region | None):
            object.__setattr__(self, "background_region", Box(self.background_region))
        self._check()

    @classmethod
    def unchecked(
        cls,
        weights: FloatArray,
        means: FloatArray,
        covariances: FloatArray,
        background_weight: float = 0.0,
        background_region: Region | None = None,
    ) -> "GaussianMixture":
        """Without checks or copies: of valid float64 arrays that are not changed later."""
        mixture = object.__new__(cls)
        for name, value in (
            ("weights", weights),
            ("means", means),
            ("covariances", covariances),
            ("background_weight", float(background_weight)),
            ("background_region", background_region),
        ):
            object.__setattr__(mixture, name, value)
        return mixture

    def checked(self) -> "GaussianMixture":
        """The same, checked; covariances that rounding has made uneven are evened out."""
        return replace(self, covariances=0.5 * (self.covariances + self.covariances.swapaxes(1, 2)))

    def _check(self) -> None:
        if self.means.ndim != 2 or self.means.shape[1] < 1:
            raise InputError(f"means must have shape (K, D) with D >= 1, not {self.means.shape}.")
        k, d = self.means.shape
        if self.weights.shape != (k,):
            raise InputError(f"weights must have shape ({k},), not {self.weights.shape}.")
        if self.covariances.shape != (k, d, d):
            raise InputError(
                f"covariances must have shape ({k}, {d}, {d}), not {self.covariances.shape}."
            )
        if (self.weights < 0).any() or not self.background_weight >= 0:
            raise InputError("weights and background_weight must not be negative.")
        total = self.weights.sum() + self.background_weight
        if abs(total - 1.0) > 1e-6:
            raise InputError(f"weights and background_weight must sum to 1, not {total:.8g}.")
        sizes = np.sqrt(np.abs(np.diagonal(self.covariances, axis1=1, axis2=2)))  # (K, D)
        asymmetry = np.abs(self.covariances - self.covariances.swapaxes(1, 2))
        if (asymmetry > 1e-6 * sizes[:, :, None] * sizes[:, None, :]).any():
            raise InputError("covariances must be symmetric.")
        try:
            _ = self.covariance_factors
        except np.linalg.LinAlgError:
            raise InputError("covariances must be positive definite.") from None
        if self.background_weight > 0:
            region = self.background_region
            if region is None or region.n_dimensions != d:
                raise InputError(
                    f"A background of positive weight needs background_region, of {d} dimensions."
                )

    @property
    def n_components(self) -> int:
        """Number of Gaussian components, K. The background is not counted."""
        return len(self.weights)

    @property
    def n_dimensions(self) -> int:
        """Number of dimensions, D."""
        return self.means.shape[1]

    @cached_property
    def covariance_factors(self) -> FloatArray:
        """Lower triangular L_j with Sigma_j = L_j L_j^T, (K, D, D)."""
        return cholesky(self.covariances)

    @cached_property
    def principal_axes(self) -> PrincipalAxes:
        """Axes of each component, and the standard deviations along them."""
        # From the triangular factor, not from the eigenvalues of the covariance: squaring would
        # cost a long thin component the digits of its short axis.
        directions, std, _ = np.linalg.svd(self.covariance_factors)
        return PrincipalAxes(std, directions)

    @cached_property
    def precision_factors(self) -> FloatArray:
        """Upper triangular A_j with Sigma_j^-1 = A_j A_j^T, (K, D, D).

        A_j^T = L_j^-1 whitens: A_j^T (x - mu_j) is standard normal.
        """
        return inverse_of_lower(self.covariance_factors).swapaxes(1, 2)

    @cached_property
    def packed_covariances(self) -> FloatArray:
        """Their lower triangles, row by row, (K, D (D + 1) / 2)."""
        return np.ascontiguousarray(self.covariances[:, *lower_triangle(self.n_dimensions)])

    @cached_property
    def packed_whitening(self) -> FloatArray:
        """Lower triangles of A_j^T times 0.5^0.5, the factor of half of the precision, likewise."""
        whitening = self.precision_factors.swapaxes(1, 2)
        return np.ascontiguousarray(whitening[:, *lower_triangle(self.n_dimensions)]) * 0.5**0.5

    @cached_property
    def halved_precisions(self) -> FloatArray:
        """Half of Sigma_j^-1, (K, D, D)."""
        factors = self.precision_factors
        return np.asarray(0.5 * factors @ factors.swapaxes(1, 2), dtype=np.float64)

    @cached_property
    def log_constants(self) -> FloatArray:
        """Log of W_j (2 pi)^(-D/2), what a component's density has beside its shape, (K,)."""
        with np.errstate(divide="ignore"):
            return np.log(self.weights) - 0.5 * self.n_dimensions * LOG_2PI

    @cached_property
    def log_amplitudes(self) -> FloatArray:
        """Log of W_j N(mu_j; mu_j, Sigma_j), each component's peak density, (K,).

        The determinant comes from the triangular factor: as a difference of products it
        loses all digits for long thin components.
        """
        log_diagonal = np.log(np.diagonal(self.covariance_factors, axis1=1, axis2=2)).sum(1)
        return np.asarray(self.log_constants - log_diagonal)

    @cached_property
    def log_background_density(self) -> float:
        """Log of W_0 / |B|, the mean over B; minus infinity without a background."""
        if self.background_weight == 0 or self.background_region is None:
            return -np.inf
        return float(np.log(self.background_weight) - np.log(self.background_region.volume))

    def beyond(self, points: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
        """Which points (N, D) lie outside of the background where that fills a bounding box, (n,),
        and its log density there, (n,); none where its region is known for sure.

        With n points of the background in the box, at a distance of t sides from it the density is
        lower by (1 + t)^(n + 1), on each axis: the posterior predictive of a uniform distribution
        whose limits a < b have the prior (b - a)^-2.
        """
        region = self.background_region
        if region is None or region.n_points is None or self.background_weight == 0:
            return np.empty(0, dtype=np.intp), np.empty(0)
        rows = np.flatnonzero(~region.contains(points))
        lower, upper = region.box
        nearest = np.clip(points[rows], lower, upper)
        distance = np.abs(points[rows] - nearest)
        n = self.background_weight * region.n_points
        decay = (n + 1.0) * np.log1p(distance / (upper - lower)).sum(1)
        return rows, self.log_background_density + region.log_intensity(nearest) - decay

    def log_density(self, points: ArrayLike, *, noise_std: ArrayLike | None = None) -> FloatArray:
        """Natural log of p(x), per unit^D, for points (N, D). Returns (N,).

        `noise_std` is what `noise_variances` takes.
        """
        x, noise = self._points(points, noise_std)
        out = np.empty(len(x))
        for rows in self._blocks(len(x)):
            out[rows] = _log_sum_exp(self._joint_log_density(x, noise, rows))
        return out

    def density(self, points: ArrayLike, *, noise_std: ArrayLike | None = None) -> FloatArray:
        """p(x), per unit^D, for points (N, D). Returns (N,)."""
        return np.exp(self.log_density(points, noise_std=noise_std))

    def responsibilities(
        self, points: ArrayLike, *, noise_std: ArrayLike | None = None
    ) -> FloatArray:
        """Probability that each point belongs to each component.

        Returns
        -------
        (N, K) array, or (N, K + 1) with a background, which comes last. Rows sum to 1.
        """
        x, noise = self._points(points, noise_std)
        if self.n_components == 0:  # the background has all of it, outside of its region, too
            return np.ones((len(x), 1))
        with_background = self.background_weight > 0
        out = np.empty((len(x), self.n_components + with_background))
        for rows in self._blocks(len(x)):
            joint = self._joint_log_density(x, noise, rows)
            posterior = np.exp(joint - _log_sum_exp(joint)).T
            out[rows] = posterior if with_background else posterior[:, :-1]
        return out

    def predict(self, points: ArrayLike, *, noise_std: ArrayLike | None = None) -> NDArray[np.intp]:
        """Index of the most probable component of each point, (N,); -1 is the background."""
        x, noise = self._points(points, noise_std)
        out = np.empty(len(x), dtype=np.intp)
        for rows in self._blocks(len(x)):
            out[rows] = self._joint_log_density(x, noise, rows).argmax(0)
        out[out == self.n_components] = -1
        return out

    def sample(
        self, n: int = 1, random_state: int | np.random.Generator | None = None
    ) -> tuple[FloatArray, NDArray[np.intp]]:
        """Draw `n` points.

        Returns
        -------
        points : (n, D) array
        labels : (n,) array of int
            The component that each point was drawn from; -1 is the background.
        """
        if n < 1:
            raise InputError(f"n must be at least 1 to draw a sample, not {n}.")
        rng = np.random.default_rng(random_state)
        shares = np.append(self.weights, self.background_weight)
        labels = rng.choice(len(shares), size=n, p=shares / shares.sum())
        points = rng.standard_normal((n, self.n_dimensions))
        clustered = labels < self.n_components
        own = labels[clustered]
        points[clustered] = self.means[own] + np.einsum(
            "nij,nj->ni", self.covariance_factors[own], points[clustered]
        )
        if self.background_region is not None:
            scattered = ~clustered
            points[scattered] = self.background_region.sample(int(scattered.sum()), rng)
        labels[~clustered] = -1
        return points, labels

    def transformed(self, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> "GaussianMixture":
        """The mixture of y = scale * x + offset, `scale` positive, each a number or (D,)."""
        s = np.broadcast_to(np.asarray(scale, dtype=float), self.n_dimensions)
        region = self.background_region
        return GaussianMixture(
            self.weights,
            self.means * s + offset,
            self.covariances * (s[:, None] * s),
            self.background_weight,
            None if region is None else region.transformed(s, offset),
        )

    def convolved(self, noise_std: ArrayLike) -> "GaussianMixture":
        """The mixture as points with noise of one standard deviation, a number or (D,), see it."""
        std = np.broadcast_to(np.asarray(noise_std, dtype=float), self.n_dimensions)
        return replace(self, covariances=self.covariances + np.diag(std**2))

    def subset(self, kept: NDArray[np.bool_]) -> "GaussianMixture":
        """The components where `kept` (K,) is true, all weights raised in proportion."""
        total = self.weights[kept].sum() + self.background_weight
        return GaussianMixture(
            self.weights[kept] / total,
            self.means[kept],
            self.covariances[kept],
            self.background_weight / total,
            self.background_region,
        )

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists only, ready for JSON."""
        region = self.background_region
        return {
            "n_dimensions": self.n_dimensions,
            "weights": self.weights.tolist(),
            "means": self.means.tolist(),
            "covariances": self.covariances.tolist(),
            "background_weight": self.background_weight,
            "background_region": None if region is None else region.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "GaussianMixture":
        """The inverse of `to_dict`."""
        d, region = values["n_dimensions"], values["background_region"]
        return cls(
            values["weights"],
            np.reshape(values["means"], (-1, d)),
            np.reshape(values["covariances"], (-1, d, d)),
            values["background_weight"],
            None if region is None else region_from_dict(region),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Made anew, so that what comes out of a pickle is checked and frozen too.
        return GaussianMixture, (
            self.weights,
            self.means,
            self.covariances,
            self.background_weight,
            self.background_region,
        )

    def _points(
        self, points: ArrayLike, noise_std: ArrayLike | None
    ) -> tuple[FloatArray, FloatArray | None]:
        """Points (N, D) and the variances of their noise (N, D), checked."""
        x = float_array(points, "points", finite=True)
        if x.ndim != 2 or x.shape[1] != self.n_dimensions:
            raise InputError(f"points must have shape (N, {self.n_dimensions}), not {x.shape}.")
        return x, noise_variances(noise_std, x.shape)

    def _blocks(self, n: int) -> Iterator[slice]:
        step = max(1, _BLOCK // (self.n_components + 1))
        return (slice(start, start + step) for start in range(0, n, step))

    def _joint_log_density(
        self, points: FloatArray, noise: FloatArray | None, rows: slice
    ) -> FloatArray:
        """Log of each component's share of the density of some points, background last, (K + 1, n).

        `noise` holds variances, (N, D).
        """
        x = points[rows]
        joint = np.empty((self.n_components + 1, len(x)))
        d = [x[:, k] - self.means[:, k, None] for k in range(self.n_dimensions)]  # (K, n) each
        if noise is None:
            joint[:-1] = self.log_amplitudes[:, None] - 0.5 * self._squared_distances(d)
        else:
            convolved = Factored.of_sum(self.packed_covariances.T[:, :, None], noise[rows].T)
            log_determinants = sum(np.log(pivot) for pivot in convolved.pivots)
            forms = convolved.form(convolved.forward(d)) + log_determinants
            joint[:-1] = self.log_constants[:, None] - 0.5 * forms
        joint[-1] = self.log_background_density
        if self.background_weight > 0 and self.background_region is not None:
            joint[-1] += self.background_region.log_intensity(x)
        return joint

    def _squared_distances(self, d: list[FloatArray]) -> FloatArray:
        """d^T Sigma_j^-1 d of differences d, D arrays (K, n), for each component, (K, n)."""
        distances = np.zeros(d[0].shape)
        whitening = self.precision_factors.swapaxes(1, 2)  # (K, D, D), lower triangular
        for row in range(self.n_dimensions):
            y = d[row] * whitening[:, row, row, None]
            for column in range(row):
                y += d[column] * whitening[:, row, column, None]
            distances += np.square(y, out=y)
        return distances


def _log_sum_exp(values: FloatArray) -> FloatArray:
    """Log of the sum of exp(values) over the first axis."""
    peak = values.max(0)
    # Where all are minus infinity (outside the region, no component), so is the sum.
    shift = np.where(np.isfinite(peak), peak, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(values - shift).sum(0)) + shift
