"""Pairs of a block of points and a component, as the kernels read them, and what they sum.

Coordinates x are relative to the centre of the block and in the engine's unit of length. The log
of the density of a pair's component, per data unit^D, is in one of three forms:

- expanded, theta^T phi(x): the natural parameters of a Gaussian and its sufficient statistics
  phi(x) = (1, x, lower triangle of x x^T). One product of matrices for a whole block.
- whitened, offset - |f (x - mean)|^2: about as exact as the coordinates themselves.
- noisy, constant - (log det T + d^T T^-1 d) / 2, with d = x - mean and T = Sigma + S: every point
  has its own T. In double precision throughout: there is no factor to whiten by beforehand.

The first two sum moments of the points, omega r phi(x), over each pair. The third sums omega r
(1, u, lower triangles of u u^T and T^-1), with u = T^-1 d the derivative of the log density by the
mean; that by Sigma is half of u u^T - T^-1. From either the statistics follow (`moments`).
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_sparse_gmm.engines.pattern import Pattern
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

Form = Enum("Form", ["EXPANDED", "WHITENED", "NOISY"])


@dataclass(frozen=True, eq=False)
class Pairs:
    """Blocks and the components that matter in them, in one form and precision.

    Parameters
    ----------
    pattern : Pattern
    form : Form
    table : Tensor
        What `natural_parameters`, `whitening_maps` or `shapes` gives.
    background : Tensor or None
        Log density of the background in each block, (n, 1), or at each of its points, (n, B).
    """

    pattern: Pattern
    form: Form
    table: Tensor
    background: Tensor | None


@dataclass(frozen=True, eq=False)
class PairSums:
    """What the kernels sum over the points of each block, in double precision.

    What `moments` are, the form of the pairs says.
    """

    moments: Tensor  # (P, 1 + D + D (D + 1) / 2), or (P, 1 + D + D (D + 1)) with noise
    background_count: float
    log_likelihoods: Tensor  # (n,)
    removal: Tensor | None  # (P,)


def natural_parameters(
    mixture: GaussianMixture, j: NDArray[np.intp], means: FloatArray, unit: float
) -> FloatArray:
    """theta of components j (P,) about other origins, (P, 1 + D + D (D + 1) / 2).

    `means` (D, P) are seen from there, in lengths of `unit`.
    """
    d = mixture.n_dimensions
    forms = mixture.halved_precisions * unit**2
    slopes = [sum(forms[:, k, c][j] * means[c] for c in range(d)) for k in range(d)]
    constant = mixture.log_amplitudes[j] - sum(means[k] * slopes[k] for k in range(d))
    columns = [constant, *(2.0 * slope for slope in slopes)]
    for row in range(d):
        # Both halves of the symmetric form count for its lower triangle.
        columns += [-2.0 * forms[:, row, column][j] for column in range(row)]
        columns.append(-forms[:, row, row][j])
    return np.stack(columns, axis=1)


def whitening_maps(
    mixture: GaussianMixture, j: NDArray[np.intp], means: FloatArray, unit: float
) -> FloatArray:
    """Offsets of components j (P,), and the rows of the affine maps x -> f (x - mean), each as its
    value at 0 and its slopes, (P, 1 + D (1 + D)). Takes what `natural_parameters` takes.
    """
    d = mixture.n_dimensions
    factors = mixture.precision_factors.swapaxes(1, 2) * (0.5**0.5 * unit)
    columns = [mixture.log_amplitudes[j]]
    for row in range(d):
        slopes = [factors[:, row, column][j] for column in range(d)]
        columns += [-sum(slopes[c] * means[c] for c in range(row + 1)), *slopes]
    return np.stack(columns, axis=1)


def shapes(
    mixture: GaussianMixture, j: NDArray[np.intp], means: FloatArray, unit: float
) -> FloatArray:
    """Constants, means and lower triangles of the covariances of components j (P,), in lengths of
    `unit`, (P, 1 + D + D (D + 1) / 2). Takes what `natural_parameters` takes.
    """
    d = mixture.n_dimensions
    columns = [mixture.log_constants[j] - d * np.log(unit), *means]
    for row in range(d):
        columns += [mixture.covariances[:, row, k][j] / unit**2 for k in range(row + 1)]
    return np.stack(columns, axis=1)


def n_moments(form: Form, n_dimensions: int) -> int:
    """How many moments there are of a pair of that form."""
    triangle = n_dimensions * (n_dimensions + 1) // 2
    return 1 + n_dimensions + (2 * triangle if form is Form.NOISY else triangle)


TABLES = {
    Form.EXPANDED: natural_parameters,
    Form.WHITENED: whitening_maps,
    Form.NOISY: shapes,
}
