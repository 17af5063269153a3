import numpy as np
import pytest
import torch
from oracles import hold, random_mixture, tutorial_costs, tutorial_spiral

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.fitting.adam import _Parameters
from napari_sparse_gmm.fitting.problem import Problem
from napari_sparse_gmm.objectives import PRIORS, Context, PenalisedLikelihood, SqrtPenalty
from napari_sparse_gmm.regions import Box


@pytest.mark.parametrize("engine", ["torch", "keops", "fused"])
@pytest.mark.parametrize("seed", [0, 1])
def test_retraces_the_tutorial(engine, seed):
    points = tutorial_spiral()
    means = np.random.default_rng(seed).random((30, 2))
    expected = tutorial_costs(points, means, sparsity=20.0, n_steps=51) + np.log(np.pi)
    model = SparseGaussianMixture(
        30,
        sparsity=20.0,
        solver="adam",
        init=means,
        engine=engine,
        max_iter=50,
        prior="sqrt",
        background=False,
    )
    costs = np.array([step.cost for step in model.iter_fit(points)])
    assert model.engine_ == engine
    np.testing.assert_allclose(costs, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("noisy", [False, True])
def test_gradient_is_that_of_the_cost_by_autograd(noisy):
    """Fisher's identity against backpropagation through the direct sum, with a background."""
    mixture = random_mixture(4, 2, background_weight=0.2, field=8.0)
    points, _ = mixture.sample(500, random_state=1)
    weight = np.random.default_rng(2).uniform(0.5, 2.0, 500)
    noise = np.random.default_rng(3).uniform(0.1, 4.0, (500, 2)) if noisy else None
    engine = hold(points, weight, noise=noise, dtype=np.float64)
    problem = Problem(engine, PenalisedLikelihood(SqrtPenalty(20.0, 4)), 1e-6, 4)
    start = GaussianMixture(
        mixture.weights,
        mixture.means + 0.3,
        1.5 * mixture.covariances,
        0.2,
        mixture.background_region,
    )
    parameters = _Parameters(problem, start)
    with torch.no_grad():  # any A of that A A^T: not a triangular one
        turn = torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
        parameters.a.copy_(parameters.a @ turn)
    state = problem.evaluate(parameters.mixture())
    parameters.objective(state.statistics, state.mixture.weights).backward()

    a, w, mu = direct = [t.detach().clone().requires_grad_() for t in parameters.tensors]
    x = torch.tensor((points - parameters.centre) / parameters.unit)
    shares = torch.log_softmax(w, 0)
    seen = torch.linalg.inv(a @ a.mT).expand(500, 4, 2, 2)
    if noisy:
        seen = seen + torch.diag_embed(torch.tensor(noise / parameters.unit**2))[:, None]
    logits = shares[:4] + torch.distributions.MultivariateNormal(mu, seen).log_prob(x[:, None])
    lower, upper = mixture.background_region.box
    inside = torch.tensor(((points >= lower) & (points <= upper)).all(1))
    flat = shares[4] - np.log((upper - lower) / parameters.unit).sum()
    flat = torch.where(inside, flat, -torch.inf)
    log_p = torch.cat([logits, flat[:, None]], 1).logsumexp(1)
    cost = -(torch.tensor(weight) * log_p).sum() / weight.sum()
    (cost + 20.0 / 4 * shares[:4].exp().sqrt().sum()).backward()
    for mine, theirs in zip(parameters.tensors, direct, strict=True):
        np.testing.assert_allclose(mine.grad, theirs.grad, rtol=1e-8, atol=1e-10)


def test_units_do_not_matter_to_the_descent():
    """Nanometres or metres, a field of 2^k units: the same path, but for the density's unit."""
    points = tutorial_spiral(1000)
    costs = []
    for scale in (1.0, 2.0**-30):
        model = SparseGaussianMixture(
            8,
            solver="adam",
            init="random",
            random_state=0,
            max_iter=30,
            prior="sqrt",
            background=False,
        )
        steps = [step.cost for step in model.iter_fit(points * scale + 5 * scale)]
        costs.append(np.array(steps) - 2 * np.log(scale))
    np.testing.assert_allclose(costs[0], costs[1], atol=1e-5)


@pytest.mark.parametrize("prior", ["sqrt", "mml", "none"])
def test_descends_with_every_prior_background_and_weights(prior):
    points = random_mixture(3, 2, background_weight=0.3, field=30.0).sample(1000, 0)[0]
    weight = np.random.default_rng(0).uniform(0.5, 2.0, 1000)
    model = SparseGaussianMixture(
        6, prior=prior, solver="adam", background=True, random_state=0, max_iter=200
    )
    *_, last = model.iter_fit(points, sample_weight=weight)
    assert model.cost_ <= last.cost
    assert model.cost_ < model.cost_history_[0] - 0.05
    # The reported cost is that of the mixture: by the direct sum and the prior's own formula.
    made = PRIORS[prior].make(Context(20.0, 6, Box([[0.0, 0.0], [1.0, 1.0]])))
    expected = -np.average(model.mixture_.log_density(points), weights=weight)
    expected += made.penalty.penalty(model.weights_, weight.sum())
    assert model.cost_ == pytest.approx(expected, abs=1e-5)


def test_components_do_not_shrink_below_the_floor():
    points = np.repeat(np.random.default_rng(0).normal(size=(10, 2)), 50, axis=0)
    model = SparseGaussianMixture(
        10,
        prior="none",
        solver="adam",
        covariance_floor=0.03,
        random_state=0,
        max_iter=300,
        background=False,
    )
    *_, last = model.iter_fit(points)
    sizes = np.sqrt(np.linalg.eigvalsh(last.mixture.covariances))
    assert sizes.min() == pytest.approx(0.03, rel=1e-3)


def test_settles():
    points = random_mixture(2, 2, field=30.0).sample(400, 0)[0]
    model = SparseGaussianMixture(
        2, prior="none", solver="adam", random_state=0, max_iter=3000, tol=1e-5, background=False
    )
    model.fit(points)
    assert model.converged_
    assert model.n_iter_ < 3000
