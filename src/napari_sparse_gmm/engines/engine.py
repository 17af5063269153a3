"""What an engine is: the heavy sums of one set of points, for any mixture.

An engine holds the points where it computes (memory of the processor or of a
graphics card) and answers two questions, `expectation` and `log_density`. All that
a solver, a move or a heatmap needs of the data goes through them::

    >>> engine = TorchTiles(points)
    >>> statistics = engine.expectation(mixture)

Single precision, without its pitfalls: in a field 10^4 times wider than a component,
a float32 coordinate is good to 1e-3 standard deviations only. So every coordinate is
kept as the sum of two float32 (`high` + `low`), and a difference to a mean is taken as
(x_high - mu_high) + (x_low - mu_low): nearby numbers subtract exactly, and the result
is good to the last digit of the *difference*. It costs a tenth of the time of a pair.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from napari_sparse_gmm.engines.statistics import Statistics
from napari_sparse_gmm.engines.threads import a_core_to_spare
from napari_sparse_gmm.mixture import LOG_2PI, FloatArray, GaussianMixture

# Smaller shares of a density, relative to its largest, are taken for exp(-70) = 4e-31: nothing
# beside 1, but far from the denormal numbers with which a processor computes far more slowly.
LEAST_LOG_SHARE = -70


class EngineUnavailable(Exception):
    """An engine that cannot run here. The message is a sentence that says why."""


@dataclass(frozen=True, eq=False)
class Components:
    """The components of a mixture, as the engines' kernels read them.

    The log of component j's share of the density at x is
    offset_j - |factor_j (x - mean_j)|^2, mean_j = mean_high_j + mean_low_j.
    """

    offset: Tensor  # (K,)
    mean_high: Tensor  # (K, D)
    mean_low: Tensor  # (K, D)
    factor: Tensor  # (K, D, D), lower triangular: A^T / sqrt(2)

    @classmethod
    def from_parameters(
        cls, log_weights: Tensor, means: Tensor, precision_factors: Tensor, dtype: torch.dtype
    ) -> "Components":
        """From float64 tensors: log W_j (K,), mu_j (K, D), A_j (K, D, D) of any shape.

        Differentiable. Only A A^T counts: A is first made upper triangular by a rotation,
        A^T = Q L with Q orthogonal, an ordinary QR decomposition with the axes reversed.
        """
        reversed_columns = precision_factors.transpose(1, 2).flip(2)
        lower = torch.linalg.qr(reversed_columns)[1].flip(1, 2)
        return cls._from_lower(log_weights, means, lower, dtype)

    @classmethod
    def from_mixture(
        cls, mixture: GaussianMixture, centre: FloatArray, device: str, dtype: torch.dtype
    ) -> "Components":
        """The components of `mixture` in coordinates relative to `centre`."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(mixture.weights)
        lower = mixture.precision_factors.swapaxes(1, 2)
        log_weights, means, lower = (
            torch.tensor(values, device=device)
            for values in (log_weights, mixture.means - centre, lower)
        )
        return cls._from_lower(log_weights, means, lower, dtype)

    @classmethod
    def _from_lower(
        cls, log_weights: Tensor, means: Tensor, lower: Tensor, dtype: torch.dtype
    ) -> "Components":
        log_determinants = lower.diagonal(dim1=1, dim2=2).abs().log().sum(1)
        offset = log_weights + log_determinants - 0.5 * means.shape[1] * LOG_2PI
        high, low = split(means, dtype)
        return cls(offset.to(dtype), high, low, (lower * 0.5**0.5).to(dtype))


def split(values: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """`values` (float64) as a sum of two tensors of `dtype`; gradients flow through the first."""
    high = values.to(dtype)
    return high, (values.detach() - high.detach().double()).to(dtype)


class Engine(ABC):
    """The sums over one set of points.

    Parameters
    ----------
    points : (N, D) array
        Finite coordinates, in any units.
    sample_weight : (N,) array, optional
        Non-negative weight of each point; 1 where it is not given.
    device : str
        "cpu" or a CUDA device.
    dtype : torch.dtype
        Precision of the kernels. Sums over blocks of points are float64 in any case.
    """

    name: ClassVar[str]
    # Points x components up to which double precision costs no time.
    small: ClassVar[int] = 0

    def __init__(
        self,
        points: FloatArray,
        sample_weight: FloatArray | None = None,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.n_points, self.n_dimensions = points.shape
        self.device, self.dtype = device, dtype
        self.box = np.stack([points.min(0), points.max(0)])
        self.centre = self.box.mean(0)
        self._points = points
        relative = torch.from_numpy(np.ascontiguousarray(points - self.centre)).to(device)
        self.high, self.low = split(relative, dtype)  # (N, D) each
        self.weight: Tensor | None = None  # (N,)
        self.total_weight = float(self.n_points)
        if sample_weight is not None:
            self.weight = torch.from_numpy(sample_weight).to(device, dtype)
            self.total_weight = float(sample_weight.sum())

    def expectation(self, mixture: GaussianMixture, *, removal: bool = False) -> Statistics:
        """The statistics of `mixture` on all points; with `removal` if asked."""
        with torch.no_grad(), a_core_to_spare():
            components = Components.from_mixture(mixture, self.centre, self.device, self.dtype)
            return self._expectation(mixture, components, self._log_background(mixture), removal)

    @abstractmethod
    def _expectation(
        self,
        mixture: GaussianMixture,
        components: Components,
        background: Tensor,  # (N,) log density
        removal: bool,
    ) -> Statistics:
        """The sums, without gradients."""

    @abstractmethod
    def components_log_density(self, components: Components) -> Tensor:
        """Log density of the components alone, without background, (N,), differentiable.

        `components` are in coordinates relative to `centre`.
        """

    def log_density(self, mixture: GaussianMixture) -> FloatArray:
        """Natural log of the density of `mixture` at the points, (N,)."""
        with torch.no_grad(), a_core_to_spare():
            values = self._log_background(mixture)
            if mixture.n_components > 0:
                components = Components.from_mixture(mixture, self.centre, self.device, self.dtype)
                values = torch.logaddexp(self.components_log_density(components), values)
            return values.double().cpu().numpy()

    def log_uniform_density(self, box: FloatArray) -> Tensor:
        """Log of 1_B(x) / |B| at each point, (N,), for a box B (2, D)."""
        value = -float(np.log(box[1] - box[0]).sum())
        out = torch.full((self.n_points,), value, dtype=self.dtype)
        if ((self.box[0] < box[0]) | (self.box[1] > box[1])).any():
            inside = ((self._points >= box[0]) & (self._points <= box[1])).all(1)
            out[torch.from_numpy(~inside)] = -torch.inf
        return out.to(self.device)

    def _log_background(self, mixture: GaussianMixture) -> Tensor:
        """Log of the background's density at each point, (N,)."""
        if mixture.background_weight == 0 or mixture.background_box is None:
            return torch.full_like(self.high[:, 0], -torch.inf)
        return self.log_uniform_density(mixture.background_box) + np.log(mixture.background_weight)

    def _weighted_sum(self, values: Tensor, rows: slice) -> float:
        """sum_i omega_i values_i over a block of points, in float64."""
        if self.weight is not None:
            values = values * self.weight[rows]
        return float(values.sum(dtype=torch.float64))

    def _statistics(
        self,
        mixture: GaussianMixture,
        moments: Tensor,  # (K, 1 + D + D (D + 1) / 2) float64
        background_count: float,
        log_likelihood: float,
        removal: Tensor | None,
    ) -> Statistics:
        """From sums of r (1, y, y y^T) with y = factor (x - mean), y y^T as its lower triangle.

        The kernels sum whitened differences, numbers of the order of 1 in any units;
        here they become differences again: x - mu = sqrt(2) L y, Sigma = L L^T.
        """
        d = self.n_dimensions
        sums = moments.cpu().numpy()
        unwhiten = 2**0.5 * mixture.covariance_factors  # (K, D, D)
        rows, columns = np.tril_indices(d)
        products = np.empty((len(sums), d, d))
        products[:, rows, columns] = sums[:, 1 + d :]
        products[:, columns, rows] = sums[:, 1 + d :]
        return Statistics(
            counts=sums[:, 0],
            shifts=np.einsum("jkl,jl->jk", unwhiten, sums[:, 1 : 1 + d]),
            scatters=unwhiten @ products @ unwhiten.swapaxes(1, 2),
            background_count=background_count,
            log_likelihood=log_likelihood,
            total_weight=self.total_weight,
            removal=None if removal is None else removal.cpu().numpy(),
        )
