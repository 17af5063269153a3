"""Gradient descent with Adam: the way of the KeOps tutorial.

The parameters are (A, mu, w), with Sigma^-1 = A A^T and weights W = softmax(w); Adam
(Kingma & Ba, ICLR 2015) takes steps of 0.1 in coordinates scaled to the unit box. With
the tutorial's points and start it retraces the tutorial's costs, but for the constant
(D/2) log(pi) that the tutorial leaves out. The cost may rise and swing; `mm` is the
solver for results, this one the reference, and the one for penalties that are not concave.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from napari_sparse_gmm.engines import Components
from napari_sparse_gmm.engines.threads import a_core_to_spare
from napari_sparse_gmm.fitting.initial import box_side
from napari_sparse_gmm.fitting.problem import Problem, State
from napari_sparse_gmm.mixture import GaussianMixture

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
        with a_core_to_spare():
            objective, cost = parameters.cost()
            objective.backward()
        lowest.append(min(cost, lowest[-1]) if lowest else cost)
        yield State(parameters.mixture(), cost)
        if len(lowest) > _PATIENCE and lowest[-1 - _PATIENCE] - lowest[-1] < tol:
            return
        optimizer.step()
        parameters.project()


class _Parameters:
    """(A, mu, w) of a mixture, as float64 tensors in coordinates scaled to the unit box."""

    def __init__(self, problem: Problem, start: GaussianMixture) -> None:
        engine = problem.engine
        self.problem, self.box = problem, start.background_box
        self.unit = box_side(engine.box)
        with_background = start.background_weight > 0
        shares = np.append(start.weights, [start.background_weight] * with_background)
        self.w = self._leaf(np.log(shares))  # (K [+ 1],), the background last
        self.mu = self._leaf((start.means - engine.centre) / self.unit)  # (K, D)
        self.a = self._leaf(start.precision_factors * self.unit)  # (K, D, D)
        self.uniform: Tensor | None = None  # (N,) log density
        if with_background and self.box is not None:
            self.uniform = engine.log_uniform_density(self.box).double()

    def _leaf(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, device=self.problem.engine.device, requires_grad=True)

    @property
    def tensors(self) -> list[Tensor]:
        return [self.a, self.w, self.mu]

    def cost(self) -> tuple[Tensor, float]:
        """A tensor whose gradient is that of the cost, and the cost."""
        engine, k = self.problem.engine, len(self.mu)
        log_shares = torch.log_softmax(self.w, 0)
        components = Components.from_parameters(
            log_shares[:k], self.mu * self.unit, self.a / self.unit, engine.dtype
        )
        log_p = engine.components_log_density(components).double()
        if self.uniform is not None:
            log_p = torch.logaddexp(log_p, log_shares[k] + self.uniform)
        log_likelihood = log_p.sum() if engine.weight is None else (engine.weight * log_p).sum()
        shares = log_shares[:k].exp()
        weights = shares.detach().cpu().numpy()
        slopes = torch.from_numpy(self.problem.prior.gradient(weights, engine.total_weight))
        # Priors know their gradient, not autograd: <slopes, W> has the penalty's gradient.
        penalty = (slopes.to(shares.device) * shares).sum()
        cost = float(-log_likelihood.detach() / engine.total_weight)
        cost += self.problem.prior.penalty(weights, engine.total_weight)
        return -log_likelihood / engine.total_weight + penalty, cost

    def project(self) -> None:
        """Keep every standard deviation at or above the floor: singular values of A."""
        largest = self.unit / self.problem.covariance_floor
        with torch.no_grad():
            u, s, v = torch.linalg.svd(self.a)
            if (s > largest).any():
                self.a.copy_(u @ torch.diag_embed(s.clamp(max=largest)) @ v)

    def mixture(self) -> GaussianMixture:
        """The mixture of the parameters."""
        k = len(self.mu)
        shares = torch.softmax(self.w, 0).detach().cpu().numpy()
        inverse = np.linalg.inv(self.a.detach().cpu().numpy()) * self.unit
        return GaussianMixture(
            shares[:k],
            self.mu.detach().cpu().numpy() * self.unit + self.problem.engine.centre,
            inverse.swapaxes(1, 2) @ inverse,
            float(shares[k:].sum()),
            self.box,
        )
