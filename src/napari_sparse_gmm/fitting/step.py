"""The closed forms of a step: means and covariances of components, from their statistics."""

from dataclasses import dataclass

import numpy as np

from napari_sparse_gmm.factored import above
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.objectives import Objective

# Where so small a share of the observed variance is a component's own, EM's step is short.
_NARROW = 0.5

# Eigenvalues of a matrix are known up to so much of the largest.
_ROUNDING = 32 * np.finfo(float).eps


@dataclass(frozen=True, eq=False)
class Step:
    """From the statistics of k components to what minimises a bound on the cost.

    Parameters
    ----------
    old_means, old_covariances : (k, D) and (k, D, D) arrays
    counts : (k,) array
        Expected points.
    shifts : (k, D) array
        The mean of their positions, from the old mean.
    scatters : (k, D, D) array
        Of their positions, about that.
    surplus : (k, D, D) array
        The part of it attributed to the uncertainty of the mean; see `Objective.surplus`.
    informations : (k, D, D) array or None
        On each mean, of points with noise.
    floor : float
        The smallest standard deviation.
    """

    old_means: FloatArray
    old_covariances: FloatArray
    counts: FloatArray
    shifts: FloatArray
    scatters: FloatArray
    surplus: FloatArray
    informations: FloatArray | None
    floor: FloatArray | float

    def means(self, *, fast: bool) -> FloatArray:
        """Those of EM; or, with `fast`, the likeliest ones with all else held.

        They are the same without noise. With much, EM goes a small part of the way, Sigma T^-1.
        """
        if not fast or self.informations is None:
            return self.old_means + self.shifts
        slopes = np.linalg.solve(self.old_covariances, self.shifts[:, :, None])
        slopes *= self.counts[:, None, None]
        return self.old_means + np.linalg.solve(self.informations, slopes)[:, :, 0]

    def covariances(self, objective: Objective, *, fast: bool) -> FloatArray:
        """Those of EM, no narrower than the floor; with `fast`, of components narrower than the
        noise, those of another bound (Zhou, Hu, Zhou & Lange, JCGS 28, 2019).

        EM is slow there, for it takes the true positions as data. This bound takes log det T
        by its tangent. With u and T as in `engines.pairs`, its minimum is where

            Sigma A Sigma = C,    A = sum r T^-1,    C = Sigma_old (sum r u u^T) Sigma_old,

        what the objective knows beforehand added to both.
        """
        updated = objective.updated_covariances(self.counts, self.scatters - self.surplus)
        if fast and self.informations is not None:
            more, scatter = (
                each[:, None, None] for each in objective.pseudo_points(self.counts, updated)
            )
            old, n = self.old_covariances, self.counts[:, None, None]
            own = old @ self.informations  # n 1 where there is no noise
            inverse = np.linalg.inv(old)
            a = self.informations + more * inverse + inverse @ self.surplus @ inverse
            c = self.scatters - n * old + own @ old + scatter * np.eye(old.shape[1])
            narrow = np.linalg.eigvals(own).real.min(1, initial=np.inf) < _NARROW * self.counts
            root = objective.covariance_type.quadratic_root(a, c)
            updated = np.where(narrow[:, None, None], root, updated)
        return objective.covariance_type.nearest(raise_eigenvalues(updated, self.floor**2))


def raise_eigenvalues(covariances: FloatArray, least: FloatArray | float) -> FloatArray:
    """The nearest covariances (K, D, D) without an eigenvalue below `least`; where that is one for
    each axis, (D,), in lengths in which it is 1.

    Symmetric, which sums over points far apart are only up to their rounding; and without one that
    is lost in the rounding of the largest.
    """
    if np.ptp(least) > 0:
        units = np.sqrt(np.multiply.outer(least, least))
        return raise_eigenvalues(covariances / units, 1.0) * units
    least = float(np.max(least))
    covariances = 0.5 * (covariances + covariances.swapaxes(1, 2))
    traces = np.trace(covariances, axis1=1, axis2=2)
    low = np.flatnonzero(~above(covariances, np.maximum(least, _ROUNDING * traces)))
    if not len(low):
        return covariances
    values, vectors = np.linalg.eigh(covariances[low])
    lowest = np.maximum(least, _ROUNDING * values[:, -1:])  # (L, 1)
    roots = vectors * np.sqrt(np.maximum(values, lowest))[:, None, :]
    raised = roots @ roots.swapaxes(1, 2)
    raised = 0.5 * (raised + raised.swapaxes(1, 2))
    # Those that need no change keep all their digits.
    change = (values[:, :1] < lowest)[:, :, None]
    covariances[low] = np.where(change, raised, covariances[low])
    return covariances
