"""Variational Bayes: the bound against the evidence itself, and what comes out of it."""

import numpy as np
import pytest
from oracles import hold, random_mixture
from scipy import stats
from scipy.integrate import quad
from sklearn.metrics import adjusted_rand_score

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.fitting.problem import Problem
from napari_sparse_gmm.objectives import VariationalPoisson


def fields(counts, sigma, n_scattered, seed, n_dimensions=2, side=2000.0):
    """Round clusters on scattered points: points (N, D) and labels (N,), 0 for the scattered."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(0.05 * side, 0.95 * side, (len(counts), n_dimensions))
    clustered = np.repeat(means, counts, axis=0)
    clustered += sigma * rng.standard_normal(clustered.shape)
    scattered = rng.uniform(0, side, (n_scattered, n_dimensions))
    labels = np.append(np.repeat(np.arange(1, len(counts) + 1), counts), np.zeros(n_scattered))
    return np.concatenate([clustered, scattered]), labels


def one_cluster(prior: VariationalPoisson, points: np.ndarray) -> GaussianMixture:
    """The posterior of the cluster that has all points."""
    mean, n = points.mean(0), len(points)
    difference = points - mean
    covariance = prior.updated_covariances(np.array([float(n)]), (difference.T @ difference)[None])
    return GaussianMixture([1.0], mean[None], covariance)


def test_the_bound_of_one_cluster_is_its_evidence():
    """Posterior and prior are conjugate, so nothing is lost: the integrals done numerically."""
    points = np.array([[-0.7], [0.2], [0.4], [1.3], [2.0]])
    prior = VariationalPoisson(
        1, volume=50.0, number=1.0, shape=2.0, rate=0.3, degrees=5.0, scale=1.5
    )

    # On a grid of means and log variances; the integrand falls off fast, so the sum is exact.
    means = np.linspace(-8.0, 10.0, 1801)[:, None]
    variances = np.exp(np.linspace(-6.0, 6.0, 1201))
    likelihood = stats.norm(means[None], variances[:, None, None] ** 0.5).pdf(points[:, 0]).prod(2)
    inverse_wishart = stats.invgamma(0.5 * 5.0, scale=0.5 * 1.5).pdf(variances)
    of_shape = (likelihood.sum(1) * inverse_wishart * variances).sum() * 0.01 * 0.01 / 50.0
    of_number = quad(lambda w: stats.gamma(2.0, scale=1 / 0.3).pdf(w) * np.exp(-w) * w**5, 0, 200)
    # One cluster is expected; the cost counts from n log n - n, as that of a density does.
    evidence = np.log(of_shape) + np.log(of_number[0]) - 1.0 - (5 * np.log(5) - 5)
    hyperprior = -0.5 * (np.log((5.0 - 1.0) / 4.0) / 2.0) ** 2
    problem = Problem(hold(points), prior, 1e-9, 1)
    cost = problem.evaluate(one_cluster(prior, points)).cost
    assert -5 * cost == pytest.approx(evidence + hyperprior + VariationalPoisson.keeping, abs=1e-6)


@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
def test_no_other_posterior_bounds_the_evidence_as_well(n_dimensions):
    rng = np.random.default_rng(0)
    points = rng.standard_normal((12, n_dimensions))
    prior = VariationalPoisson(n_dimensions, 100.0, 1.0, scale=3.0)
    problem = Problem(hold(points), prior, 1e-9, 1)
    best = one_cluster(prior, points)
    lowest = problem.evaluate(best).cost
    for factor in (0.8, 1.2):
        other = GaussianMixture([1.0], best.means, factor * best.covariances)
        assert problem.evaluate(other).cost > lowest
    other = GaussianMixture([1.0], best.means + 0.1, best.covariances)
    assert problem.evaluate(other).cost > lowest


def test_hyperparameters_are_learnt():
    """From 2000 clusters drawn with known ones."""
    rng = np.random.default_rng(1)
    counts = rng.poisson(rng.gamma(3.0, 10.0, 2000)).astype(float)
    counts = counts[counts > 1]
    covariances = stats.invwishart(9.0, 25.0 * np.eye(2)).rvs(len(counts), random_state=1)
    seen = np.array(
        [
            np.cov(rng.multivariate_normal([0, 0], c, int(n)).T, bias=True)
            for c, n in zip(covariances, counts, strict=True)
        ]
    )
    prior = VariationalPoisson(2, 1e6).learnt(counts, seen)
    assert prior.number == len(counts)
    assert prior.shape == pytest.approx(3.0, rel=0.1)
    assert prior.shape / prior.rate == pytest.approx(30.0, rel=0.05)
    assert prior.degrees == pytest.approx(9.0, rel=0.1)
    assert prior.scale == pytest.approx(25.0, rel=0.1)


@pytest.mark.parametrize("n", [8.0, 50.0, 500.0])
@pytest.mark.parametrize("noise", [(4.0, 4.0), (100.0, 9.0)])
def test_the_surplus_is_the_derivative_of_what_noise_adds(n, noise):
    """By Sigma, of the cost and of what points lose by not knowing Sigma; by differences."""
    prior = VariationalPoisson(2, 1e4, 5.0, rate=0.1, degrees=7.0, scale=60.0, noise=noise)
    counts, sigma = np.array([n]), np.array([[[9.0, 3.0], [3.0, 5.0]]])

    def added(covariance):
        slack = prior._posterior_degrees(counts, covariance)[1][0]
        return prior.costs(counts / 1000, covariance, 1000.0)[0] * 1000 + n * slack

    inverse = np.linalg.inv(sigma)
    slope = 6.0 * inverse - 60.0 * inverse @ inverse  # of nu - 1 degrees, and of psi
    slope = 0.5 * (slope + inverse @ prior.surplus(counts, sigma) @ inverse)[0]
    steps = 1e-4 * np.array([[[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]])
    found = [(added(sigma + step) - added(sigma - step)) / 2e-4 for step in steps]
    expected = [slope[0, 0], 2 * slope[0, 1], slope[1, 1]]
    # That v is nearly the best one is taken for granted.
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.parametrize("seed", range(3))
def test_the_cost_never_rises(seed):
    points = random_mixture(6, 2, background_weight=0.3, field=40.0, seed=seed).sample(400, 0)[0]
    start = random_mixture(12, 2, background_weight=0.2, field=40.0, seed=seed + 10)
    model = SparseGaussianMixture(
        30, prior="bayes", background=True, init=start, random_state=0
    ).fit(points)
    assert model.converged_
    assert (np.diff(model.cost_history_) <= 1e-9).all()


def test_integer_weights_are_repeated_points():
    points, _ = fields([20] * 5, 25.0, 100, seed=0)
    weight = np.random.default_rng(0).integers(1, 4, len(points))
    start = random_mixture(5, 2, background_weight=0.3, field=2000.0, sigma=60.0)
    weighted, repeated = (
        SparseGaussianMixture(
            prior="bayes", background=True, init=start, covariance_floor=1.0, engine="torch"
        ).fit(*arguments, sample_weight=w)
        for arguments, w in (([points], weight), ([np.repeat(points, weight, axis=0)], None))
    )
    assert weighted.cost_ == pytest.approx(repeated.cost_, abs=1e-6)
    assert weighted.n_components_ == repeated.n_components_


def test_units_do_not_matter():
    points, _ = fields([15] * 10, 25.0, 150, seed=2)
    labels = [
        SparseGaussianMixture(100, prior="bayes", background=True, random_state=0).fit_predict(
            unit * points + 7.0 * unit
        )
        for unit in (1.0, 1e-3)
    ]
    assert adjusted_rand_score(*labels) > 0.98


@pytest.mark.parametrize(
    ("counts", "sigma", "n_scattered", "n_dimensions"),
    [
        pytest.param([5] * 20, 15.0, 200, 2, id="of five points"),
        pytest.param([5, 15] * 10, 20.0, 200, 2, id="of five and fifteen"),
        pytest.param([40] * 12, 30.0, 120, 2, id="of forty"),
        pytest.param([12] * 20, 40.0, 240, 3, id="3D"),
    ],
)
def test_clusters_are_found(counts, sigma, n_scattered, n_dimensions):
    points, labels = fields(counts, sigma, n_scattered, 3, n_dimensions)
    model = SparseGaussianMixture(200, prior="bayes", background=True, random_state=0).fit(points)
    assert model.n_components_ == pytest.approx(len(counts), abs=2)
    assert adjusted_rand_score(labels, model.predict(points)) > 0.8
    assert model.background_weight_ == pytest.approx(n_scattered / len(points), abs=0.06)


@pytest.mark.parametrize("seed", range(3))
def test_scattered_points_are_no_cluster(seed):
    points = np.random.default_rng(seed).uniform(0, 1000, (400, 2))
    model = SparseGaussianMixture(200, prior="bayes", background=True, random_state=0).fit(points)
    assert model.n_components_ == 0
    assert model.background_weight_ == 1.0


def test_points_in_one_place_are_no_cluster():
    """Scattered points of coarse coordinates: two or three in a place are chance."""
    points = np.random.default_rng(0).uniform(0, 60, (600, 2)).round()
    assert len(np.unique(points, axis=0)) < 570
    model = SparseGaussianMixture(200, prior="bayes", background=True, random_state=0).fit(points)
    assert model.n_components_ == 0


def test_components_without_a_background():
    points, _ = fields([60] * 4, 20.0, 0, seed=1)
    model = SparseGaussianMixture(50, prior="bayes", random_state=0, background=False).fit(points)
    assert model.n_components_ == 4
    assert model.background_weight_ == 0


def test_n_components_is_the_most():
    points, _ = fields([30] * 12, 20.0, 100, seed=1)
    model = SparseGaussianMixture(8, prior="bayes", background=True, random_state=0).fit(points)
    assert model.n_components_ == 8


def test_adam_needs_a_gradient():
    points, _ = fields([30], 20.0, 20, seed=0)
    with pytest.raises(ValueError, match="gradient"):
        SparseGaussianMixture(prior="bayes", solver="adam", background=False).fit(points)


def test_what_was_learnt_is_told():
    points, _ = fields([20] * 15, 25.0, 100, seed=4)
    prior = SparseGaussianMixture(100, prior="bayes", background=True).fit(points).prior_
    assert prior.shape / prior.rate == pytest.approx(20.0, rel=0.15)
    assert np.sqrt(prior.scale / prior.degrees) == pytest.approx(25.0, rel=0.2)


@pytest.mark.parametrize("points", [1e-12, 1e-6, 1e-3, 0.1, 1.0])
def test_a_cluster_of_hardly_a_point_costs_more_than_none(points):
    """Its mean may be anywhere, in a posterior that would be wider than the field."""
    covariances = np.tile(90.0**2 * np.eye(2), (3, 1, 1))
    objective = VariationalPoisson(2, 2000.0**2).learnt(np.full(3, 4.0), covariances)
    total = 600.0
    assert objective.costs(np.array([points / total]), covariances[:1], total)[0] > 0
