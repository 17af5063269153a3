"""Gradient descent with Adam: the way of the KeOps tutorial.

The parameters are (A, mu, w), with Sigma^-1 = A A^T and weights W = softmax(w); Adam
(Kingma & Ba, ICLR 2015) takes steps of 0.1 in coordinates scaled to the unit box. With
the tutorial's points and start it retraces the tutorial's costs, but for the constant
(D/2) log(pi) that the tutorial leaves out. The cost may rise and swing; `mm` is the
solver for results, this one the reference, and the one for penalties that are not concave.

The gradient of the log-likelihood comes from the same sums as a step of `mm`, by Fisher's
identity (Dempster, Laird & Rubin, JRSS B 39, 1977, eq. 2.14 ff.): at the present parameters it is
the gradient of the expected complete log-likelihood, with the responsibilities held. It is
exact, needs no backward pass through points x components, and every engine has it.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from napari_sparse_gmm.engines import Statistics
from napari_sparse_gmm.fitting.initial import box_side
from napari_sparse_gmm.fitting.problem import Problem, State
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import PenalisedLikelihood

LEARNING_RATE = 0.1

# The cost swings: it has settled when its lowest value did not fall in so many steps.
_PATIENCE = 100


def adam(problem: Problem, start: GaussianMixture, tol: float) -> Iterator[State]:
    """States along the descent, the start first; each has cost one gradient.

    Ends where the lowest cost has not fallen by more than `tol` in 100 steps.
    """
    parameters = _Parameters(problem, start)
    optimizer = torch.optim.Adam(parameters.tensors, lr=LEARNING_RATE)
    lowest: list[float] = []
    while True:
        optimizer.zero_grad()
        state = problem.evaluate(parameters.mixture())
        parameters.objective(state.statistics, state.mixture.weights).backward()
        cost = state.cost
        lowest.append(min(cost, lowest[-1]) if lowest else cost)
        yield State(state.mixture, cost, state.objective)
        if len(lowest) > _PATIENCE and lowest[-1 - _PATIENCE] - lowest[-1] < tol:
            return
        optimizer.step()
        parameters.project()


class _Parameters:
    """(A, mu, w) of a mixture, as float64 tensors in coordinates scaled to the unit box."""

    def __init__(self, problem: Problem, start: GaussianMixture) -> None:
        box = problem.engine.summary.box
        self.problem, self.region = problem, start.background_region
        assert isinstance(problem.objective, PenalisedLikelihood)  # `FitSettings` refuses others
        self.penalised = problem.objective
        self.centre = box.mean(0)
        self.unit = box_side(box)
        with_background = start.background_weight > 0
        shares = np.append(start.weights, [start.background_weight] * with_background)
        self.w = self._leaf(np.log(shares))  # (K [+ 1],), the background last
        self.mu = self._leaf((start.means - self.centre) / self.unit)  # (K, D)
        self.a = self._leaf(start.precision_factors * self.unit)  # (K, D, D)

    def _leaf(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, requires_grad=True)

    @property
    def tensors(self) -> list[Tensor]:
        return [self.a, self.w, self.mu]

    def objective(self, statistics: Statistics, weights: FloatArray) -> Tensor:
        """A tensor whose gradient is that of the cost; the statistics are of `mixture()`."""
        k, total = len(self.mu), statistics.total_weight
        counts, shifts, scatters = (
            torch.from_numpy(values)
            for values in (
                np.append(statistics.counts, statistics.background_count)[: len(self.w)],
                statistics.shifts / self.unit,
                statistics.scatters / self.unit**2,
            )
        )
        n = counts[:k, None, None]
        moved = self.mu - self.mu.detach()  # (K, D), zero, with a gradient
        cross = shifts[:, :, None] * moved[:, None, :]
        about_mu = scatters - cross - cross.mT + n * moved[:, :, None] * moved[:, None, :]
        squares = torch.einsum("jkl,jkm,jml->j", self.a, about_mu, self.a)  # tr A^T S A
        log_determinants = torch.linalg.slogdet(self.a).logabsdet
        log_shares = torch.log_softmax(self.w, 0)
        expected = (counts * log_shares).sum() + (
            counts[:k] * log_determinants - 0.5 * squares
        ).sum()
        # What is known of covariances beforehand, as so many more points with so much scatter.
        if (prior := self.penalised.covariance_prior) is not None:
            strain = 0.5 * (prior.size / self.unit) ** 2 * self.a.square().sum((1, 2))
            expected = expected + prior.points * (log_determinants - strain).sum()
        # Priors know their gradient, not autograd: <slopes, W> has the penalty's gradient.
        slopes = torch.from_numpy(self.penalised.gradient(weights, total))
        return (slopes * log_shares[:k].exp()).sum() - expected / total

    def project(self) -> None:
        """Keep every standard deviation at or above the floor: singular values of A."""
        largest = self.unit / self.problem.least_floor
        with torch.no_grad():
            u, s, v = torch.linalg.svd(self.a)
            if (s > largest).any():
                self.a.copy_(u @ torch.diag_embed(s.clamp(max=largest)) @ v)

    def mixture(self) -> GaussianMixture:
        """The mixture of the parameters."""
        k = len(self.mu)
        shares = torch.softmax(self.w, 0).detach().numpy()
        inverse = np.linalg.inv(self.a.detach().numpy()) * self.unit
        return GaussianMixture(
            shares[:k],
            self.mu.detach().numpy() * self.unit + self.centre,
            inverse.swapaxes(1, 2) @ inverse,
            float(shares[k:].sum()),
            self.region,
        )
