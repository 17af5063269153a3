"""What covariances may be like: any, or round.

A covariance of which n points about a known mean say all that is known is distributed as an inverse
Wishart matrix: of order D with n degrees of freedom where it may be any, and of order 1 with D n,
an inverse gamma variable, where it is s^2 1. So one formula does for both
(`objectives.bayes`), and the likeliest round one is the mean along the axes of the likeliest of any
shape.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from napari_sparse_gmm.mixture import FloatArray


class CovarianceType(ABC):
    """A family of covariances; by the names that scikit-learn has for them."""

    name: ClassVar[str]

    @abstractmethod
    def order(self, n_dimensions: int) -> int:
        """Of its inverse Wishart distribution."""

    def degrees(self, n_dimensions: int) -> int:
        """Degrees of freedom that a point adds."""
        return n_dimensions // self.order(n_dimensions)

    @abstractmethod
    def nearest(self, covariances: FloatArray) -> FloatArray:
        """Those of the family that are likeliest where these are of any shape, (K, D, D)."""

    @abstractmethod
    def eigenvalues(self, covariances: FloatArray) -> FloatArray:
        """Those of covariances of the family, each once, (K, order)."""

    @abstractmethod
    def slopes(self, n_dimensions: int) -> FloatArray:
        """Of the lower triangle, row by row, by what is free of it, (D (D + 1) / 2, P)."""

    def holds(self, covariances: FloatArray) -> bool:
        """Whether these (K, D, D) are all of the family, to rounding."""
        off = np.abs(self.nearest(covariances) - covariances).max((1, 2))
        return bool((off <= 1e-9 * np.trace(covariances, axis1=1, axis2=2)).all())

    @abstractmethod
    def quadratic_root(self, a: FloatArray, c: FloatArray) -> FloatArray:
        """The covariances X of the family, (k, D, D), of least tr A X + tr C X^-1; A is positive
        definite, C as far as it is.
        """


class Full(CovarianceType):
    """Of any shape."""

    name = "full"

    def order(self, n_dimensions: int) -> int:
        return n_dimensions

    def nearest(self, covariances: FloatArray) -> FloatArray:
        return covariances

    def eigenvalues(self, covariances: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.eigvalsh(covariances))

    def slopes(self, n_dimensions: int) -> FloatArray:
        return np.eye(n_dimensions * (n_dimensions + 1) // 2)

    def quadratic_root(self, a: FloatArray, c: FloatArray) -> FloatArray:
        # Where X A X = C. X = L^-T Y L^-1 with A = L L^T and Y^2 = L^T C L. In units in which the
        # diagonal of A is 1, and as far as A is positive definite after rounding.
        units = np.sqrt(np.diagonal(a, axis1=1, axis2=2))[:, :, None]
        values, vectors = np.linalg.eigh(a / (units * units.swapaxes(1, 2)))
        roots = np.sqrt(np.maximum(values, np.finfo(float).eps))[:, None, :]
        factor = units * vectors * roots
        values, turned = np.linalg.eigh(factor.swapaxes(1, 2) @ c @ factor)
        quarter = turned * np.maximum(values, 0.0)[:, None, :] ** 0.25
        inverse = (vectors / (units * roots)) @ quarter
        return np.asarray(inverse @ inverse.swapaxes(1, 2))


class Spherical(CovarianceType):
    """s^2 1."""

    name = "spherical"

    def order(self, n_dimensions: int) -> int:
        return 1

    def nearest(self, covariances: FloatArray) -> FloatArray:
        d = covariances.shape[-1]
        variances = np.trace(covariances, axis1=-2, axis2=-1) / d
        return np.asarray(variances[..., None, None] * np.eye(d))

    def eigenvalues(self, covariances: FloatArray) -> FloatArray:
        return np.asarray(covariances[:, :1, 0])

    def slopes(self, n_dimensions: int) -> FloatArray:
        return np.eye(n_dimensions)[np.tril_indices(n_dimensions)][:, None]

    def quadratic_root(self, a: FloatArray, c: FloatArray) -> FloatArray:
        squares = np.trace(c, axis1=1, axis2=2) / np.trace(a, axis1=1, axis2=2)
        return np.asarray(np.sqrt(np.maximum(squares, 0.0))[:, None, None] * np.eye(a.shape[1]))


FULL, SPHERICAL = Full(), Spherical()
COVARIANCE_TYPES = {each.name: each for each in (FULL, SPHERICAL)}
