"""What an engine answers to `expectation` and `assign`.

Statistics are sums over points, additive over any partition of them::

    total = Statistics.joining([engine.expectation(mixture) for engine in parts])
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.factored import lower_triangle
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

_Array = TypeVar("_Array", bound=FloatArray | None)


@dataclass(frozen=True, eq=False)
class Sums:
    """What kernels sum over the points of some cells, in the engine's unit of length.

    Parameters
    ----------
    moments : (K, F) array
        Of each component. Without noise the sums of omega r (1, d, lower triangle of d d^T), with
        d = x - mean; with noise those of omega r (1, u, lower triangles of u u^T and T^-1), with
        u = T^-1 d and T = Sigma + S: the derivative of the log density by the mean, and what that
        by Sigma is made from.
    background_count : float
    log_likelihoods : (n,) array
        Of each of the cells.
    removal : (K,) array or None
    """

    moments: FloatArray
    background_count: float
    log_likelihoods: FloatArray
    removal: FloatArray | None

    @classmethod
    def joining(cls, parts: Sequence["Sums"]) -> "Sums":
        """Those of all cells of several parts, one part after the other."""
        if len(parts) == 1:
            return parts[0]
        removals = [part.removal for part in parts if part.removal is not None]
        return cls(
            np.sum([part.moments for part in parts], axis=0),
            sum(part.background_count for part in parts),
            np.concatenate([part.log_likelihoods for part in parts]),
            np.sum(removals, axis=0) if removals else None,
        )


@dataclass(frozen=True, eq=False)
class Statistics:
    """Expected sufficient statistics of a mixture on weighted points.

    With omega_i the weight of point i, z_i its position and r_ij its responsibility for
    component j.

    Parameters
    ----------
    counts : (K,) array
        sum_i omega_i r_ij, the expected number of points of each component.
    shifts : (K, D) array
        sum_i omega_i r_ij (z_i - mu_j), about the *current* mean: near it, so that no
        digits cancel.
    scatters : (K, D, D) array
        sum_i omega_i r_ij (z_i - mu_j)(z_i - mu_j)^T.
    background_count : float
        Expected number of background points.
    cell_log_likelihoods : (C,) array
        sum_i omega_i log p(x_i) over each cell of points; 0 for one that was not looked at.
    total_weight : float
        sum_i omega_i over all points of the engine, looked at or not.
    removal : (K,) array, optional
        sum_i omega_i log(1 - r_ij): what the log-likelihood would lose without component j,
        the other weights left as they are. Only where requested.
    informations : (K, D, D) array, optional
        sum_i omega_i r_ij (Sigma_j + S_i)^-1, Fisher's information on each mean, of points with
        noise. Without noise it is counts Sigma_j^-1.

    Of a point with noise the position z_i is the true one, and the sums are expected ones.
    """

    counts: FloatArray
    shifts: FloatArray
    scatters: FloatArray
    background_count: float
    cell_log_likelihoods: FloatArray
    total_weight: float
    removal: FloatArray | None = None
    informations: FloatArray | None = None

    @property
    def log_likelihood(self) -> float:
        """sum_i omega_i log p(x_i) over the points that were looked at."""
        return float(self.cell_log_likelihoods.sum())

    @classmethod
    def joining(cls, parts: Sequence["Statistics"]) -> "Statistics":
        """Those of all points of several sets, their cells one set after the other."""
        removals = [part.removal for part in parts if part.removal is not None]
        informations = [part.informations for part in parts if part.informations is not None]
        return cls(
            np.sum([part.counts for part in parts], axis=0),
            np.sum([part.shifts for part in parts], axis=0),
            np.sum([part.scatters for part in parts], axis=0),
            sum(part.background_count for part in parts),
            np.concatenate([part.cell_log_likelihoods for part in parts]),
            sum(part.total_weight for part in parts),
            np.sum(removals, axis=0) if len(removals) == len(parts) else None,
            np.sum(informations, axis=0) if len(informations) == len(parts) else None,
        )

    def subset(self, components: NDArray[np.intp]) -> "Statistics":
        """Those of some components."""
        return replace(
            self,
            counts=self.counts[components],
            shifts=self.shifts[components],
            scatters=self.scatters[components],
            removal=None if self.removal is None else self.removal[components],
            informations=None if self.informations is None else self.informations[components],
        )

    def spread(self, components: NDArray[np.intp], n: int) -> "Statistics":
        """Those of n components, of which these are `components` (K,) and the others have none."""
        return replace(
            self,
            counts=spread(self.counts, components, n),
            shifts=spread(self.shifts, components, n),
            scatters=spread(self.scatters, components, n),
            removal=spread(self.removal, components, n),
            informations=spread(self.informations, components, n),
        )

    @classmethod
    def of(
        cls,
        sums: Sums,
        mixture: GaussianMixture,
        *,
        noise: bool,
        unit: float,
        weight_unit: float,
        cell_log_likelihoods: FloatArray,
        total_weight: float,
    ) -> Self:
        """From sums of kernels, with lengths in `unit` and weights in `weight_unit`.

        With `noise` positions are the true ones: a point of component j, observed at x, has the
        mean mu + Sigma u and the covariance Sigma - Sigma T^-1 Sigma (Bovy, Hogg & Roweis, 2011,
        eq. 16).
        """
        d, sigma = mixture.n_dimensions, mixture.covariances
        moments = sums.moments * weight_unit
        counts, first, second = moments[:, 0], moments[:, 1 : 1 + d], moments[:, 1 + d :]
        informations = None
        if noise:
            products, entries = np.split(second / unit**2, 2, axis=1)
            informations = _symmetric(entries, d)
            shifts = np.einsum("jkl,jl->jk", sigma, first / unit)
            scatters = sigma @ (_symmetric(products, d) - informations) @ sigma
            scatters += counts[:, None, None] * sigma
        else:
            shifts, scatters = first * unit, _symmetric(second * unit**2, d)
        return cls(
            counts,
            shifts,
            scatters,
            background_count=sums.background_count * weight_unit,
            cell_log_likelihoods=cell_log_likelihoods * weight_unit,
            total_weight=total_weight,
            removal=None if sums.removal is None else sums.removal * weight_unit,
            informations=informations,
        )


def spread(values: _Array, rows: NDArray[np.intp], n: int) -> _Array:
    """Values (K, ...) as `rows` (K,) of n, the others 0; None stays None."""
    if values is None:
        return values
    out = np.zeros((n, *values.shape[1:]))
    out[rows] = values
    return out  # type: ignore[return-value]


def _symmetric(triangles: FloatArray, d: int) -> FloatArray:
    """Matrices (K, D, D) from the rows of their lower triangles, (K, D (D + 1) / 2)."""
    matrices = np.empty((len(triangles), d, d))
    rows, columns = lower_triangle(d)
    matrices[:, rows, columns] = triangles
    matrices[:, columns, rows] = triangles
    return matrices


@dataclass(frozen=True)
class Scores:
    """Sums over all points, with their weights.

    Parameters
    ----------
    log_likelihood : float
        Of the log density.
    log_certainty : float
        Of the log probability of the most probable component, or the background.
    """

    log_likelihood: float
    log_certainty: float

    @classmethod
    def joining(cls, parts: Sequence["Scores"]) -> "Scores":
        """Those of all points of several sets."""
        return cls(
            sum(part.log_likelihood for part in parts), sum(part.log_certainty for part in parts)
        )


@dataclass(frozen=True, eq=False)
class Assignment:
    """Which component each point belongs to.

    Parameters
    ----------
    component : (N,) array of int
        The most probable component; -1 is the background.
    probability : (N,) array
        That the point belongs there, its responsibility.
    log_density : (N,) array
        Natural log of the density of the mixture, per data unit^D.
    """

    component: NDArray[np.intp]
    probability: FloatArray
    log_density: FloatArray

    @classmethod
    def joining(cls, parts: Sequence["Assignment"]) -> "Assignment":
        """Those of several sets of points, one set after the other."""
        return cls(
            np.concatenate([part.component for part in parts]),
            np.concatenate([part.probability for part in parts]),
            np.concatenate([part.log_density for part in parts]),
        )

    def with_background_beyond(self, mixture: GaussianMixture, points: FloatArray) -> "Assignment":
        """With the background outside of its bounding box; see `GaussianMixture.beyond`."""
        rows, behind = mixture.beyond(points)
        if not len(rows):
            return self
        component, probability = self.component.copy(), self.probability.copy()
        log_density = self.log_density.copy()
        own = log_density[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            best = np.where(own == -np.inf, own, own + np.log(probability[rows]))
        total = np.logaddexp(own, behind)
        component[rows[behind > best]] = -1
        probability[rows] = np.exp(np.maximum(best, behind) - total)
        log_density[rows] = total
        return Assignment(component, probability, log_density)

    def scores(self, weights: FloatArray | None) -> Scores:
        """The sums over points of these weights (N,), or of 1."""
        weights = np.ones(len(self.component)) if weights is None else weights
        counted = weights > 0  # of a point that weighs nothing it is no matter
        with np.errstate(divide="ignore"):
            certainty = np.log(self.probability[counted])
        return Scores(
            float(weights[counted] @ self.log_density[counted]),
            float(weights[counted] @ certainty),
        )
