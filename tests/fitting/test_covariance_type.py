"""Round components: closed forms, and where the points as a whole want them."""

import numpy as np
import pytest
from oracles import hold
from scipy import stats
from sklearn.mixture import GaussianMixture as OfScikitLearn

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.fitting.problem import Problem
from napari_sparse_gmm.objectives import SPHERICAL, VariationalPoisson
from napari_sparse_gmm.uncertainty import standard_errors


def round_ones(covariances: np.ndarray) -> bool:
    variances = np.trace(covariances, axis1=1, axis2=2) / covariances.shape[1]
    return np.array_equal(covariances, variances[:, None, None] * np.eye(covariances.shape[1]))


def clusters(sigmas, seed: int = 0, aspect: float = 1.0, n: int = 15, d: int = 2) -> np.ndarray:
    """Clusters of n points and as many scattered ones in 2000."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(100.0, 1900.0, (len(sigmas), d)).repeat(n, axis=0)
    lengths = np.append(aspect, np.ones(d - 1)) * np.repeat(sigmas, n)[:, None]
    own = lengths * rng.standard_normal(means.shape)
    return np.concatenate([means + own, rng.uniform(0.0, 2000.0, means.shape)])


def test_the_bound_of_one_cluster_is_its_evidence():
    """Posterior and prior are conjugate: against the integrals, done numerically."""
    points = np.array([[-0.7, 0.3], [0.2, -0.9], [0.4, 1.1], [1.3, 0.2], [2.0, -0.4]])
    prior = VariationalPoisson(
        2, 50.0, 1.0, shape=2.0, rate=0.3, degrees=5.0, scale=1.5, covariance_type=SPHERICAL
    )
    # The mean integrated out: n points about their own, of N D - D degrees.
    variances = np.exp(np.linspace(-8.0, 8.0, 4001))
    squares = ((points - points.mean(0)) ** 2).sum()
    likelihood = (2 * np.pi * variances) ** -4.0 * np.exp(-0.5 * squares / variances) / 5.0
    inverse_gamma = stats.invgamma(0.5 * 5.0, scale=0.5 * 1.5).pdf(variances)
    of_shape = (likelihood * inverse_gamma * variances).sum() * 0.004 / 50.0
    weights = np.linspace(0.0, 100.0, 100_001)
    of_number = (stats.gamma(2.0, scale=1 / 0.3).pdf(weights) * np.exp(-weights) * weights**5).sum()
    evidence = np.log(of_shape) + np.log(of_number * 0.001) - 1.0 - (5 * np.log(5) - 5)
    hyperprior = -0.5 * (np.log((5.0 - 1.0) / 4.0) / 2.0) ** 2

    mean, n = points.mean(0), np.array([5.0])
    covariance = prior.updated_covariances(n, ((points - mean).T @ (points - mean))[None])
    assert round_ones(covariance)
    problem = Problem(hold(points), prior, 1e-9, 1)
    cost = problem.evaluate(GaussianMixture([1.0], mean[None], covariance)).cost
    assert -5 * cost == pytest.approx(evidence + hyperprior + VariationalPoisson.keeping, abs=1e-5)


def test_hyperparameters_are_learnt():
    """From 2000 clusters drawn with known ones."""
    rng = np.random.default_rng(1)
    counts = 2.0 + rng.poisson(28.0, 2000)
    variances = stats.invgamma(0.5 * 9.0, scale=0.5 * 25.0).rvs(2000, random_state=1)
    seen = variances * rng.chisquare(2 * (counts - 1)) / (2 * counts)
    prior = VariationalPoisson(2, 1e6, covariance_type=SPHERICAL)
    for _ in range(3):  # covariances are those of a step under what is known
        covariances = prior.updated_covariances(counts, (counts * seen)[:, None, None] * np.eye(2))
        prior = prior.learnt(counts, covariances)
    assert prior.degrees == pytest.approx(9.0, rel=0.1)
    assert prior.scale == pytest.approx(25.0, rel=0.1)


def test_maximum_likelihood_is_scikit_learns():
    points, _ = GaussianMixture(
        [0.5, 0.3, 0.2], [[0, 0], [4, 1], [1, 5]], [np.diag([1, 2]), np.eye(2), 0.5 * np.eye(2)]
    ).sample(500, 0)
    means = np.array([[0.5, 0.0], [4.0, 0.0], [0.0, 4.0]])
    theirs = OfScikitLearn(
        3, covariance_type="spherical", means_init=means, tol=1e-10, max_iter=2000
    ).fit(points)
    ours = SparseGaussianMixture(
        3, prior="none", background=False, covariance_type="spherical", init=means, tol=1e-12
    ).fit(points)
    assert ours.covariance_type_ == "spherical"
    assert round_ones(ours.covariances_)
    assert ours.score(points) == pytest.approx(theirs.score(points), abs=1e-6)
    np.testing.assert_allclose(
        np.sort(ours.covariances_[:, 0, 0]), np.sort(theirs.covariances_), rtol=1e-3
    )
    assert ours.bic(points) == pytest.approx(theirs.bic(points), abs=1e-2)


@pytest.mark.parametrize("prior", ["bayes", "mml", "sqrt", "none"])
@pytest.mark.parametrize("noise", [None, 12.0])
def test_round_ones_stay_so_and_the_cost_never_rises(prior, noise):
    points = clusters([25.0] * 8, d=3 if noise else 2)
    model = SparseGaussianMixture(
        12,
        prior=prior,
        background=prior == "bayes",
        covariance_type="spherical",
        init=points[::20],
    ).fit(points, noise_std=noise)
    assert model.n_components_ > 0
    assert round_ones(model.covariances_)
    assert (np.diff(model.cost_history_) <= 1e-9).all()


@pytest.mark.parametrize("seed", range(2))
def test_the_points_choose_the_shape(seed):
    sizes = np.resize([20.0, 30.0, 45.0, 65.0, 90.0], 20)
    assert SparseGaussianMixture().fit(clusters(sizes, seed)).covariance_type_ == "spherical"
    long = SparseGaussianMixture().fit(clusters([15.0] * 12, seed, aspect=6.0, n=40))
    assert long.covariance_type_ == "full"


@pytest.mark.parametrize("d", [2, 3])
def test_what_is_wider_than_the_field_is_thick_is_not_round(d):
    """Points on a line, and clusters through all of a thin section."""
    points = clusters([30.0] * 6, n=60, d=d)
    points[:, 0] = np.random.default_rng(1).uniform(0.0, 10.0 if d == 3 else 0.0, len(points))
    model = SparseGaussianMixture(background=d == 3).fit(points)
    assert model.covariance_type_ == "full"
    low, high = points.min(0), points.max(0)
    assert ((model.means_ >= low - 1e-9) & (model.means_ <= high + 1e-9)).all()


def test_any_shape_stays_to_the_last_digit():
    points = clusters([20.0] * 8, aspect=5.0, n=40)
    chosen, full = (
        SparseGaussianMixture(covariance_type=each).fit(points) for each in ("auto", "full")
    )
    assert chosen.cost_ == full.cost_
    np.testing.assert_array_equal(chosen.covariances_, full.covariances_)


def test_a_fit_that_goes_on_keeps_round_ones():
    points = clusters([25.0] * 8)
    model = SparseGaussianMixture(covariance_type="spherical").fit(points)
    again = SparseGaussianMixture(init=model.mixture_).fit(points)
    assert again.covariance_type_ == "spherical"
    assert again.cost_ == pytest.approx(model.cost_, abs=1e-4)


def test_one_component_has_the_errors_of_textbooks():
    """Of a standard deviation sigma / sqrt(2 D n)."""
    points = np.random.default_rng(0).standard_normal((400, 3))
    model = SparseGaussianMixture(
        1, prior="none", background=False, covariance_type="spherical"
    ).fit(points)
    sigma = model.covariances_[0, 0, 0] ** 0.5
    engine = hold(points, dtype=np.float64)
    errors = standard_errors(model.mixture_, engine, covariance_type=SPHERICAL)
    np.testing.assert_allclose(errors.stds[0], sigma / np.sqrt(6 * 400), rtol=1e-6)
    np.testing.assert_allclose(errors.means[0], sigma / np.sqrt(400), rtol=1e-6)
    np.testing.assert_allclose(model.standard_errors(points).stds[0], errors.stds[0], rtol=1e-3)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"covariance_type": "diag"}, "covariance_type must be one of"),
        ({"covariance_type": "spherical", "prior": "none", "solver": "adam"}, "no round"),
    ],
)
def test_what_does_not_go_together_is_refused(parameters, said):
    with pytest.raises(InputError, match=said):
        SparseGaussianMixture(**parameters).fit(clusters([25.0] * 3))
