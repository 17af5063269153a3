"""Points with noise of their own: the shapes without it come back."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracles import hold, random_mixture
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import multivariate_normal, norm

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.fitting.mm import descend, m_step
from napari_sparse_gmm.fitting.problem import Problem
from napari_sparse_gmm.objectives import FULL, NoPenalty, PenalisedLikelihood


def single(**parameters):
    parameters = {"prior": "none", "background": False, **parameters}
    return SparseGaussianMixture(1, tol=1e-10, random_state=0, **parameters)


@pytest.mark.parametrize("solver", ["mm", "adam"])
@pytest.mark.parametrize("noise_std", [0.5, [0.3, 0.8], [1.5, 2.5]], ids=str)
def test_equal_noise_is_taken_off_the_covariance(solver, noise_std):
    """Closed form: the covariance of the points less that of the noise."""
    rng = np.random.default_rng(0)
    points = rng.multivariate_normal([3.0, -1.0], [[4.0, 1.5], [1.5, 9.0]], 2000)
    std = np.broadcast_to(noise_std, points.shape)
    model = single(solver=solver, max_iter=2000).fit(points, noise_std=std)
    expected = np.cov(points.T, bias=True) - np.diag(std[0] ** 2)
    atol = 1e-3 if solver == "mm" else 0.05
    np.testing.assert_allclose(model.covariances_[0], expected, atol=atol)
    np.testing.assert_allclose(model.means_[0], points.mean(0), atol=atol)


@pytest.mark.parametrize("sigma", [0.2, 1.0, 5.0])
def test_one_component_is_the_likeliest(sigma):
    """In one dimension, against a general optimiser of the likelihood itself."""
    rng = np.random.default_rng(1)
    std = rng.lognormal(0.0, 0.8, 300)
    points = 7.0 + sigma * rng.standard_normal(300) + std * rng.standard_normal(300)

    def loss(parameters):
        mean, log_sigma = parameters
        return -norm(mean, np.hypot(np.exp(log_sigma), std)).logpdf(points).sum()

    best = minimize(loss, [points.mean(), np.log(sigma)], method="Nelder-Mead", tol=1e-10)
    model = single(max_iter=2000).fit(points[:, None], noise_std=std)
    assert model.cost_ * 300 == pytest.approx(best.fun, abs=1e-4)
    assert model.means_[0, 0] == pytest.approx(best.x[0], abs=1e-2)
    assert model.covariances_[0, 0, 0] ** 0.5 == pytest.approx(np.exp(best.x[1]), rel=0.02)


def test_the_default_floor_is_a_tenth_of_the_precision():
    """Points that scatter less than their noise says: as narrow as the floor lets them be."""
    points = np.random.default_rng(0).standard_normal((200, 2))
    model = single().fit(points, noise_std=np.full(200, 3.0))
    np.testing.assert_allclose(model.covariances_[0], 0.09 * np.eye(2), atol=1e-6)
    assert single(covariance_floor=0.05).fit(points, noise_std=3.0).covariances_[0, 0, 0] < 0.003


def noisy_clusters(seed, background=0.3, *, sigma=3.0, side=400.0):
    """20 clusters, points of which have noise from less to more than their sizes."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*2 * [(np.arange(5) + 0.5) * side / 5]), axis=2).reshape(-1, 2)
    means = rng.permutation(places)[:20] + rng.uniform(-10, 10, (20, 2))
    factors = sigma * (0.3 * rng.standard_normal((20, 2, 2)) + np.eye(2))
    truth = GaussianMixture(
        np.full(20, (1 - background) / 20),
        means,
        factors @ factors.swapaxes(1, 2),
        background,
        [[0.0, 0.0], [side, side]],
    )
    points, labels = truth.sample(6000, seed)
    std = np.minimum(4.0 * rng.lognormal(0.0, 0.4, len(points)), 12.0)
    noisy = points + std[:, None] * rng.standard_normal(points.shape)
    inside = ((noisy >= 0.0) & (noisy <= side)).all(1)  # so that the box is what it was
    return truth, noisy[inside], std[inside], labels[inside]


def of_truth(truth, model):
    """The fitted component nearest to each true one."""
    return np.linalg.norm(truth.means[:, None] - model.means_, axis=2).argmin(1)


def log_sizes(covariances):
    """Log of the root mean square of the axes' standard deviations."""
    return 0.5 * np.log(np.trace(covariances, axis1=1, axis2=2) / 2)


@pytest.mark.parametrize("prior", ["none", "mml", "bayes"])
def test_true_covariances_come_back_where_plain_em_is_biased(prior):
    plain, deconvolved, entries = [], [], []
    for seed in range(4):
        truth, points, std, _ = noisy_clusters(seed)
        model = SparseGaussianMixture(
            20 if prior == "none" else 60,
            prior=prior,
            init=truth.means if prior == "none" else "density",
            background=True,
            random_state=0,
        )
        true_sizes = log_sizes(truth.covariances)
        model.fit(points)
        plain.append(log_sizes(model.covariances_[of_truth(truth, model)]) - true_sizes)
        model.fit(points, noise_std=std)
        assert model.n_components_ == 20
        found = model.covariances_[of_truth(truth, model)]
        deconvolved.append(log_sizes(found) - true_sizes)
        scale = np.trace(truth.covariances, axis1=1, axis2=2)[:, None, None] / 2
        entries.append((found - truth.covariances) / scale)
    assert np.mean(plain) > 0.4  # 50% too large
    assert abs(np.mean(deconvolved)) < 0.03
    # 210 points each, two fifths of the variance: 0.1 of it is the standard error of an entry.
    assert np.abs(np.mean(entries, axis=(0, 1))).max() < 0.05
    assert np.std(entries) < 0.3


@pytest.mark.parametrize("prior", ["mml", "bayes"])
@pytest.mark.parametrize("background", [0.1, 0.5, 0.8])
def test_the_background_fraction_comes_back(prior, background):
    for seed in range(2):
        _, points, std, labels = noisy_clusters(seed, background)
        model = SparseGaussianMixture(
            60, prior=prior, init="density", background=True, random_state=0
        ).fit(points, noise_std=std)
        assert model.background_weight_ == pytest.approx((labels == -1).mean(), abs=0.03)


def test_precision_along_each_axis():
    """In 3D, three times worse along z: round clusters come back round."""
    rng = np.random.default_rng(0)
    means = rng.uniform(0, 300, (8, 3))
    points = np.repeat(means, 300, axis=0) + 5.0 * rng.standard_normal((2400, 3))
    std = rng.uniform(3.0, 6.0, (2400, 1)) * [3.0, 1.0, 1.0]
    points += std * rng.standard_normal(points.shape)
    truth = GaussianMixture(np.full(8, 1 / 8), means, np.tile(25.0 * np.eye(3), (8, 1, 1)))
    model = SparseGaussianMixture(8, prior="none", init=means, background=False)
    stretched = np.sqrt(np.diagonal(model.fit(points).covariances_.mean(0)))
    assert stretched[0] > 2 * stretched[1]
    model.fit(points, noise_std=std)
    assert model.n_components_ == truth.n_components
    sizes = np.sqrt(np.diagonal(model.covariances_.mean(0)))
    np.testing.assert_allclose(sizes, 5.0, rtol=0.1)


def test_what_blinks_in_one_place_is_a_place():
    """Molecules seen ten times each, with known precision: found, and smaller than it."""
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*2 * [np.arange(6) * 200.0]), axis=2).reshape(-1, 2)
    points = np.repeat(places, 10, axis=0)
    std = np.append(rng.uniform(8.0, 20.0, len(points)), np.full(200, 12.0))
    points = np.concatenate([points, rng.uniform(-100, 1100, (200, 2))])
    points += std[:, None] * rng.standard_normal(points.shape)
    model = SparseGaussianMixture(200, repeats=1.0).fit(points, noise_std=std)
    assert abs(model.n_components_ - 36) <= 2
    errors = np.linalg.norm(model.means_[:, None] - places, axis=2).min(1)
    assert np.median(errors) < 6.0  # 13 / sqrt(10) along each axis
    assert np.median(np.exp(log_sizes(model.covariances_))) < 0.6 * np.median(std)


def test_integer_weights_are_repeated_points():
    truth, points, std, _ = noisy_clusters(0)
    points, std = points[:600], std[:600]
    counts = np.random.default_rng(0).integers(0, 4, 600)
    model = SparseGaussianMixture(20, prior="none", init=truth.means, background=True, tol=1e-9)
    weighted = model.fit(points, sample_weight=counts, noise_std=std).mixture_
    repeated = model.fit(points.repeat(counts, axis=0), noise_std=std.repeat(counts)).mixture_
    np.testing.assert_allclose(weighted.means, repeated.means, atol=0.05)
    np.testing.assert_allclose(weighted.covariances, repeated.covariances, atol=0.5)
    assert weighted.background_weight == pytest.approx(repeated.background_weight, abs=1e-3)


def test_bold_steps_are_fewer_and_lead_to_the_same(monkeypatch):
    """Where there is more noise than component; the cost of both ends there."""
    truth, points, std, _ = noisy_clusters(0, sigma=0.7)
    # Of a tolerance of 1e-8 single precision would make something else.
    variances = np.repeat(std[:, None] ** 2, 2, axis=1)
    engine = hold(points, noise=variances, dtype=np.float64)
    problem = Problem(engine, PenalisedLikelihood(NoPenalty()), 0.1, 20)
    start = GaussianMixture(
        truth.weights, truth.means + 1.0, 9.0 * truth.covariances, 0.3, truth.background_region
    )

    def costs():
        return [state.cost for state in descend(problem, problem.evaluate(start), 1e-8)]

    bold = costs()
    monkeypatch.setattr(
        "napari_sparse_gmm.fitting.mm.m_step",
        lambda problem, state, *, bold=True: m_step(problem, state, bold=False),
    )
    plain = costs()
    assert bold[-1] == pytest.approx(plain[-1], abs=1e-4)
    assert len(bold) < 0.7 * len(plain)


@given(seed=st.integers(0, 10**6), d=st.integers(1, 4))
def test_quadratic_root(seed, d):
    a, c = random_mixture(10, d, seed=seed).covariances, random_mixture(10, d, seed=seed + 1)
    assume(np.linalg.cond(a).max() < 1e9)  # one in many is flat as a sheet, to the last digits
    x = FULL.quadratic_root(a, c.covariances)
    np.testing.assert_allclose(x @ a @ x, c.covariances, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(x, x.swapaxes(1, 2))


def test_the_fast_covariance_is_the_minimum_of_its_bound():
    """One component, one dimension: the bound is written out, and lies above the likelihood."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.5, 4.0, (200, 1))
    points = rng.standard_normal((200, 1)) * np.sqrt(0.2 + noise)
    problem = Problem(hold(points, noise=noise), PenalisedLikelihood(NoPenalty()), 1e-6, 1)
    old = GaussianMixture([1.0], [[points.mean()]], [[[0.5]]])
    new, _ = m_step(problem, problem.evaluate(old))
    t = 0.5 + noise[:, 0]
    u = (points[:, 0] - old.means[0, 0]) / t
    # Of the squares about the new mean, which takes off what the old one was beside it.
    squares = (u**2).sum() - u.sum() ** 2 / 200

    def bound(variance):
        return 0.5 * (variance / t).sum() + 0.5 * 0.25 * squares / variance

    best = minimize_scalar(bound, bounds=(1e-3, 5.0), method="bounded", options={"xatol": 1e-9})
    assert new.covariances[0, 0, 0] == pytest.approx(best.x, rel=1e-5)


def test_every_answer_considers_the_noise():
    truth, points, std, _ = noisy_clusters(0)
    model = SparseGaussianMixture(20, prior="none", init=truth.means, background=True)
    labels = model.fit_predict(points, noise_std=std)
    mixture = model.mixture_
    np.testing.assert_array_equal(labels, mixture.predict(points, noise_std=std))
    expected = mixture.log_density(points, noise_std=std)
    np.testing.assert_allclose(model.score_samples(points, noise_std=std), expected, atol=1e-6)
    assert model.score(points, noise_std=std) == pytest.approx(expected.mean())
    np.testing.assert_allclose(
        model.predict_proba(points, noise_std=std), mixture.responsibilities(points, noise_std=std)
    )
    gain = 2 * len(points) * (expected.mean() - mixture.log_density(points).mean())
    assert model.bic(points) - model.bic(points, noise_std=std) == pytest.approx(gain)
    assert model.aic(points) - model.aic(points, noise_std=std) == pytest.approx(gain)


def test_the_density_as_seen_is_that_of_the_points():
    """Convolved with a precision that all points share, it is the density of what is seen."""
    seen = GaussianMixture([1.0], [[0.0, 0.0]], [[[4.0, 1.0], [1.0, 2.0]]]).convolved([1.0, 2.0])
    expected = multivariate_normal([0.0, 0.0], [[5.0, 1.0], [1.0, 6.0]])
    points = np.random.default_rng(0).normal(size=(20, 2))
    np.testing.assert_allclose(seen.density(points), expected.pdf(points))


@pytest.mark.parametrize(
    ("noise_std", "message"),
    [
        (np.ones(9), "shape"),
        (np.ones((10, 3)), "shape"),
        (-1.0, "not negative"),
        (np.full(10, np.nan), "finite"),
    ],
)
def test_noise_of_no_use_is_refused(noise_std, message):
    points = np.random.default_rng(0).normal(size=(10, 2))
    with pytest.raises(ValueError, match=message):
        SparseGaussianMixture(2, prior="sqrt", background=False).fit(points, noise_std=noise_std)
