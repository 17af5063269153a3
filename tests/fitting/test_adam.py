import numpy as np
import pytest
from oracles import random_mixture, tutorial_costs, tutorial_spiral

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.fitting.priors import make_prior


@pytest.mark.parametrize("engine", ["torch", "keops"])
@pytest.mark.parametrize("seed", [0, 1])
def test_retraces_the_tutorial(engine, seed):
    points = tutorial_spiral()
    means = np.random.default_rng(seed).random((30, 2))
    expected = tutorial_costs(points, means, sparsity=20.0, n_steps=51) + np.log(np.pi)
    model = SparseGaussianMixture(
        30, sparsity=20.0, solver="adam", init=means, engine=engine, max_iter=50
    )
    costs = np.array([step.cost for step in model.iter_fit(points)])
    assert model.engine_ == engine
    np.testing.assert_allclose(costs, expected, rtol=0, atol=1e-4)


def test_units_do_not_matter_to_the_descent():
    """Nanometres or metres, a field of 2^k units: the same path, but for the density's unit."""
    points = tutorial_spiral(1000)
    costs = []
    for scale in (1.0, 2.0**-30):
        model = SparseGaussianMixture(8, solver="adam", init="random", random_state=0, max_iter=30)
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
    made = make_prior(prior, sparsity=20.0, n_start=6, n_dimensions=2)
    expected = -np.average(model.mixture_.log_density(points), weights=weight)
    expected += made.penalty(model.weights_, weight.sum())
    assert model.cost_ == pytest.approx(expected, abs=1e-5)


def test_components_do_not_shrink_below_the_floor():
    points = np.repeat(np.random.default_rng(0).normal(size=(10, 2)), 50, axis=0)
    model = SparseGaussianMixture(
        10, prior="none", solver="adam", covariance_floor=0.03, random_state=0, max_iter=300
    )
    *_, last = model.iter_fit(points)
    sizes = np.sqrt(np.linalg.eigvalsh(last.mixture.covariances))
    assert sizes.min() == pytest.approx(0.03, rel=1e-3)


def test_settles():
    points = random_mixture(2, 2, field=30.0).sample(400, 0)[0]
    model = SparseGaussianMixture(
        2, prior="none", solver="adam", random_state=0, max_iter=3000, tol=1e-5
    )
    model.fit(points)
    assert model.converged_
    assert model.n_iter_ < 3000
