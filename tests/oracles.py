"""What the tests hold the code against: the formulas written directly, and other libraries."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.engines import TorchTiles
from napari_sparse_gmm.engines.fused import Fused
from napari_sparse_gmm.engines.in_memory import InMemory
from napari_sparse_gmm.engines.keops import KeOps
from napari_sparse_gmm.observations import Observations

ENGINES_AND_DEVICES = [
    pytest.param(TorchTiles, "cpu", id="torch-cpu"),
    pytest.param(KeOps, "cpu", id="keops-cpu"),
    pytest.param(Fused, "cpu", id="fused-cpu"),
    pytest.param(TorchTiles, "cuda", id="torch-cuda", marks=pytest.mark.cuda),
    pytest.param(KeOps, "cuda", id="keops-cuda", marks=pytest.mark.cuda),
]


def hold(points, weights=None, *, noise=None, engine=TorchTiles, **keywords) -> InMemory:
    """An engine that holds points (N, D), with weights (N,) and variances of their noise (N, D)."""
    return engine(Observations(np.asarray(points), weights, noise), **keywords)


def random_mixture(
    n_components: int,
    n_dimensions: int,
    *,
    background_weight: float = 0.0,
    field: float = 10.0,
    sigma: float = 1.0,
    offset: float = 0.0,
    seed: int = 0,
) -> GaussianMixture:
    """A mixture with tilted covariances in a box of side `field` that starts at `offset`."""
    rng = np.random.default_rng(seed)
    k, d = n_components, n_dimensions
    factors = 0.5 * rng.standard_normal((k, d, d)) + np.eye(d)
    weights = rng.uniform(0.5, 1.5, k)
    weights *= (1 - background_weight) / weights.sum()
    box = np.stack([np.full(d, offset), np.full(d, offset + field)])
    return GaussianMixture(
        weights,
        rng.uniform(box[0], box[1], (k, d)),
        sigma**2 * factors @ factors.swapaxes(1, 2),
        background_weight,
        box if background_weight else None,
    )


def direct_density(mixture: GaussianMixture, points: np.ndarray) -> np.ndarray:
    """The density from SciPy's multivariate normal, one component after the other."""
    density = np.zeros(len(points))
    for weight, mean, covariance in zip(
        mixture.weights, mixture.means, mixture.covariances, strict=True
    ):
        density += weight * multivariate_normal(mean, covariance).pdf(points).reshape(-1)
    if mixture.background_weight:
        lower, upper = mixture.background_region.box
        inside = ((points >= lower) & (points <= upper)).all(1)
        density += inside * mixture.background_weight / np.prod(upper - lower)
    return density


def posterior_of_true_places(
    mixture: GaussianMixture, points: np.ndarray, noise_std: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of points (N, D) seen with noise (N, D): densities of each component (N, K), background
    left out; and mean (N, K, D) and covariance (N, K, D, D) of the true place in each.

    By conditioning the joint normal distribution of the true place and the seen one, with a matrix
    for every pair.
    """
    seen = mixture.covariances + np.stack([np.diag(row**2) for row in noise_std])[:, None]
    densities = np.array(
        [
            [
                weight * multivariate_normal(mean, covariance).pdf(point)
                for weight, mean, covariance in zip(
                    mixture.weights, mixture.means, of_point, strict=True
                )
            ]
            for point, of_point in zip(points, seen, strict=True)
        ]
    )
    gain = mixture.covariances @ np.linalg.inv(seen)  # (N, K, D, D)
    difference = points[:, None] - mixture.means
    means = mixture.means + np.einsum("njkl,njl->njk", gain, difference)
    return densities, means, mixture.covariances - gain @ mixture.covariances


def tutorial_spiral(n: int = 10_000, seed: int = 0) -> np.ndarray:
    """The points of the KeOps tutorial "Fitting a Gaussian Mixture Model"."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.linspace(0, 2 * torch.pi, n + 1, dtype=torch.float64)[:-1]
    curve = torch.stack((0.5 + 0.4 * (t / 7) * t.cos(), 0.5 + 0.3 * t.sin()), dim=1)
    return (curve + 0.02 * torch.randn(n, 2, generator=generator)).numpy()


def tutorial_costs(
    points: np.ndarray, means: np.ndarray, *, sparsity: float, n_steps: int
) -> np.ndarray:
    """The tutorial's costs before each of `n_steps` Adam steps, in float64, without KeOps.

    The tutorial's density lacks the factor pi^(-D/2): its cost is ours less (D/2) log(pi).
    """
    x = torch.tensor(points)
    mu = torch.tensor(means, requires_grad=True)
    a = (15 * torch.eye(2, dtype=torch.float64)).repeat(len(means), 1, 1).requires_grad_()
    w = torch.ones(len(means), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([a, w, mu], lr=0.1)
    costs = []
    for _ in range(n_steps):
        optimizer.zero_grad()
        gamma = a @ a.mT / 2  # (M, 2, 2)
        d = x[:, None] - mu  # (N, M, 2)
        quadratic = (d[:, :, None, :] @ gamma @ d[..., None])[:, :, 0, 0]  # (N, M)
        logits = torch.log_softmax(w, 0) + 0.5 * torch.logdet(gamma) - quadratic
        cost = -logits.logsumexp(1).mean() + sparsity * torch.softmax(w, 0).sqrt().mean()
        cost.backward()
        optimizer.step()
        costs.append(cost.item())
    return np.array(costs)


def rotation(degrees: float) -> np.ndarray:
    """Turns (y, x) vectors so that the x axis moves towards the y axis."""
    a = np.radians(degrees)
    return np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])


def lying_along(degrees: float, std_major: float = 3.0, std_minor: float = 1.0) -> np.ndarray:
    """Covariance of an ellipse whose long axis lies so many degrees from the x axis."""
    turn = rotation(degrees)
    return turn @ np.diag([std_minor**2, std_major**2]) @ turn.T
