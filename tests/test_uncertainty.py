"""Standard errors: closed forms, the Hessian by autograd, and how often they hold."""

import numpy as np
import pytest
import torch
from oracles import hold, random_mixture

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.observations import noise_variances
from napari_sparse_gmm.uncertainty import _inverses, _of_axes, standard_errors

NEAR = np.array([[41.0, 41.0], [41.0, 59.0], [59.0, 41.0], [59.0, 59.0], [50.0, 50.0]])
FACTORS = np.array(
    [[[6, 0], [0, 3]], [[5, 2], [0, 4]], [[4, 0], [1, 7]], [[5, 0], [0, 4]], [[3, 1], [1, 5]]]
)


def five(means) -> GaussianMixture:
    covariances = (FACTORS @ FACTORS.swapaxes(1, 2)).astype(float)
    return GaussianMixture(np.full(5, 0.14), means, covariances, 0.3, [[0, 0], [100, 100]])


@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
@pytest.mark.parametrize("noise", [None, 1.5])
def test_one_component_has_the_errors_of_textbooks(n_dimensions, noise):
    """Of a mean sigma / sqrt(n), of a standard deviation sigma / sqrt(2 n), as it is seen."""
    n = 400
    points = (
        np.random.default_rng(0).standard_normal((n, n_dimensions)) * [3.0, 2.0, 5.0][:n_dimensions]
    )
    mixture = (
        SparseGaussianMixture(1, prior="none", background=False)
        .fit(points, noise_std=noise)
        .mixture_
    )
    errors = standard_errors(
        mixture, hold(points, noise=noise_variances(noise, points.shape), dtype=np.float64)
    )
    own, seen = mixture.covariances[0], mixture.convolved(noise or 0.0).covariances[0]
    np.testing.assert_allclose(errors.weights, 0.0, atol=1e-7)
    np.testing.assert_allclose(errors.means[0], np.sqrt(np.diag(seen) / n), rtol=1e-6)
    # d sigma = d sigma^2 / (2 sigma), and that of a variance is sqrt(2 / n) of what is seen.
    of_own, of_seen = (np.linalg.eigvalsh(c)[::-1] for c in (own, seen))
    expected = np.sqrt(2 / n) * of_seen / (2 * np.sqrt(of_own))
    np.testing.assert_allclose(errors.stds[0], expected, rtol=1e-6)


def test_weights_are_repeated_points():
    truth = five(NEAR)
    points, _ = truth.sample(3000, 0)
    counts = np.random.default_rng(0).integers(0, 4, 3000)
    model = SparseGaussianMixture(5, prior="none", init=truth, background=True)
    model.fit(points, sample_weight=counts)
    weighted = model.standard_errors(points, sample_weight=counts)
    repeated = model.standard_errors(points.repeat(counts, axis=0))
    for name in ("weights", "means", "stds"):
        assert np.isfinite(getattr(weighted, name)).all()
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-5)


def test_a_background_that_is_not_known_costs_information():
    """A broad cluster, which the background may stand in for: against the bootstrap."""
    truth = GaussianMixture([0.5], [[50.0, 50.0]], [400 * np.eye(2)], 0.5, [[0, 0], [100, 100]])
    points, _ = truth.sample(2000, 0)
    inside = ((points > 0) & (points < 100)).all(1)
    points = points[inside]
    model = SparseGaussianMixture(1, prior="none", init=truth, background=True)
    fitted = model.fit(points).mixture_
    errors = model.standard_errors(points)
    rng = np.random.default_rng(0)
    weights = []
    for _ in range(60):
        counts = rng.multinomial(len(points), np.full(len(points), 1 / len(points)))
        model = SparseGaussianMixture(1, prior="none", init=fitted, background=True)
        weights.append(model.fit(points, sample_weight=counts).weights_[0])
    assert errors.weights[0] == pytest.approx(np.std(weights), rel=0.3)


@pytest.mark.parametrize("noisy", [False, True])
def test_they_are_those_of_the_hessian(noisy):
    """By autograd through the log-likelihood of a Poisson process, at its optimum."""
    truth = five(NEAR)
    points, _ = truth.sample(20_000, 0)
    std = (
        np.random.default_rng(1).uniform(1.0, 4.0, len(points)) if noisy else np.zeros(len(points))
    )
    points = points + std[:, None] * np.random.default_rng(2).standard_normal(points.shape)
    inside = ((points > 0) & (points < 100)).all(1)
    points, std = points[inside], std[inside]
    model = SparseGaussianMixture(5, prior="none", init=truth, background=True, tol=1e-9)
    mixture = model.fit(points, noise_std=std).mixture_
    ours = model.standard_errors(points, noise_std=std)

    n, x = len(points), torch.tensor(points)
    noise = torch.diag_embed(torch.tensor(std)[:, None].expand(-1, 2) ** 2)
    rows, columns = np.tril_indices(2)
    area = mixture.background_region.volume

    def log_likelihood(parameters):
        own, log_background = parameters[:-1].reshape(5, 6), parameters[-1]
        sigma = own[:, [3, 4, 4, 5]].reshape(5, 2, 2)
        parts = [
            own[j, 0]
            + torch.distributions.MultivariateNormal(own[j, 1:3], sigma[j] + noise).log_prob(x)
            for j in range(5)
        ]
        parts.append((log_background - np.log(area)).expand(n))
        total = own[:, 0].exp().sum() + log_background.exp()
        return torch.stack(parts).logsumexp(0).sum() - total

    own = np.column_stack(
        [np.log(n * mixture.weights), mixture.means, mixture.covariances[:, rows, columns]]
    )
    at = torch.tensor(np.append(own.ravel(), np.log(n * mixture.background_weight)))
    hessian = torch.autograd.functional.hessian(log_likelihood, at).numpy()
    inverse = np.linalg.inv(-hessian)
    blocks = np.array([inverse[6 * j : 6 * j + 6, 6 * j : 6 * j + 6] for j in range(5)])
    variances = np.diagonal(blocks, axis1=1, axis2=2)
    weights = mixture.weights * np.sqrt(variances[:, 0] * (1 - mixture.weights))
    # The complete information is expected, not observed: it differs by some per cent.
    np.testing.assert_allclose(ours.weights, weights, rtol=0.15)
    np.testing.assert_allclose(ours.means, np.sqrt(variances[:, 1:3]), rtol=0.15)
    np.testing.assert_allclose(ours.stds, _of_axes(mixture, blocks[:, 3:, 3:]), rtol=0.15)


@pytest.mark.parametrize(
    "truth",
    [pytest.param(five(50 + 3 * (NEAR - 50)), id="apart"), pytest.param(five(NEAR), id="near")],
)
def test_ninety_five_of_a_hundred_hold_the_truth(truth):
    """Within 1.96 standard errors, over 40 samples: 200 weights, 400 means and sizes."""
    sizes = np.sqrt(np.linalg.eigvalsh(truth.covariances)[:, ::-1])
    off: dict[str, list[np.ndarray]] = {"weights": [], "means": [], "sizes": []}
    for seed in range(40):
        points, _ = truth.sample(3000, seed)
        model = SparseGaussianMixture(5, prior="none", init=truth, background=True).fit(points)
        errors = model.standard_errors(points)
        found = np.sqrt(np.linalg.eigvalsh(model.covariances_)[:, ::-1])
        off["weights"].append((model.weights_ - truth.weights) / errors.weights)
        off["means"].append((model.means_ - truth.means) / errors.means)
        off["sizes"].append((found - sizes) / errors.stds)
    for name, values in off.items():
        held = np.mean(np.abs(np.array(values)) < 1.96)
        assert held == pytest.approx(0.95, abs=0.04), name


def test_a_component_without_points_is_not_determined():
    mixture = GaussianMixture([0.5, 0.5], [[0.0, 0.0], [1e3, 1e3]], [np.eye(2)] * 2)
    points = np.random.default_rng(0).normal(size=(100, 2))
    errors = standard_errors(mixture, hold(points))
    assert np.isfinite(errors.means[0]).all()
    assert np.isinf(errors.means[1]).all()
    assert np.isinf(errors.stds[1]).all()


def test_no_component_has_no_errors():
    box = np.array([[0.0, 0.0], [1.0, 1.0]])
    nothing = GaussianMixture(np.empty(0), np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, box)
    errors = standard_errors(nothing, hold(np.random.default_rng(0).random((50, 2))))
    assert errors.means.shape == errors.stds.shape == (0, 2)


def test_many_components_in_blocks_of_their_own():
    """Of 300 clusters far apart each has the errors that it has alone."""
    rng = np.random.default_rng(0)
    means = np.stack(np.meshgrid(np.arange(20) * 50.0, np.arange(15) * 50.0), axis=2).reshape(-1, 2)
    shapes = random_mixture(300, 2).covariances
    mixture = GaussianMixture(np.full(300, 1 / 300), means, shapes)
    points, labels = mixture.sample(30_000, rng)
    errors = standard_errors(mixture, hold(points))
    counts = np.bincount(labels, minlength=300)
    expected = np.sqrt(np.diagonal(shapes, axis1=1, axis2=2) / counts[:, None])
    np.testing.assert_allclose(errors.means, expected, rtol=1e-4)


ALONE = {
    "normal": np.random.default_rng(0).normal(size=(50, 2)),
    "on a line": np.linspace(0, 1, 50)[:, None] * [1.0, 2.0],
    "flat": np.column_stack([np.arange(50.0), np.zeros(50)]),
    "two places": np.repeat([[0.0, 0.0], [1.0, 0.0]], 20, axis=0),
    "two points": np.array([[0.0, 0.0], [1.0, 1.0]]),
    "tiny": 1e-12 * np.random.default_rng(0).normal(size=(50, 2)),
    "huge": 1e12 * np.random.default_rng(0).normal(size=(50, 2)),
    "one outlier": np.append(
        np.random.default_rng(0).normal(size=(20, 4)), np.full((1, 4), 1e9), 0
    ),
    "of many scales": np.random.default_rng(0).normal(size=(50, 3)) * [1e-9, 1.0, 1e9],
}


@pytest.mark.parametrize("points", ALONE.values(), ids=ALONE)
def test_the_weight_of_an_only_component_is_known(points):
    model = SparseGaussianMixture(1, prior="none", background=False).fit(points)
    errors = model.standard_errors(points)
    assert errors.weights[0] == 0.0
    assert (errors.means > 0).all()
    assert (errors.stds > 0).all()


def test_the_weight_of_one_component_beside_a_background_is_not_known():
    """Far apart from the background it is binomial."""
    truth = GaussianMixture([0.5], [[0.5, 0.5]], [1e-8 * np.eye(2)], 0.5, [[0, 0], [1, 1]])
    points, _ = truth.sample(1000, 0)
    model = SparseGaussianMixture(1, prior="none", init=truth, background=True).fit(points)
    share = model.weights_[0]
    expected = np.sqrt(share * (1 - share) / 1000)
    assert model.standard_errors(points).weights[0] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("weights", [[1.0, 0.0], [0.5, 0.5]])
def test_where_the_points_tell_nothing_errors_are_infinite(weights):
    """Of a component that no point is near."""
    mixture = GaussianMixture(weights, [[0.0, 0.0], [1e3, 1e3]], [np.eye(2)] * 2)
    errors = standard_errors(mixture, hold(np.zeros((10, 2))))
    for values in (errors.weights, errors.means, errors.stds):
        assert (values >= 0).all()  # no NaN
    for values in (errors.weights, errors.means, errors.stds):
        assert np.isinf(values[1]).all()


def test_one_outlier_loses_no_errors():
    points = np.random.default_rng(0).normal(size=(300, 2))
    points[0] = 1e6
    model = SparseGaussianMixture(5, random_state=0, prior="sqrt", background=False).fit(points)
    errors = model.standard_errors(points)
    largest = model.weights_.argmax()
    sigma = np.sqrt(np.diag(model.covariances_[largest]))
    np.testing.assert_allclose(errors.means[largest], sigma / np.sqrt(299), rtol=0.2)
    assert not np.isnan(errors.weights).any()


def test_they_do_not_depend_on_how_many_are_inverted_at_a_time(monkeypatch):
    truth = five(NEAR)
    points, _ = truth.sample(1000, 0)
    together = standard_errors(truth, hold(points))
    monkeypatch.setattr("napari_sparse_gmm.uncertainty._AT_ONCE", 1)
    alone = standard_errors(truth, hold(points))
    np.testing.assert_array_equal(together.stds, alone.stds)


def test_only_positive_definite_matrices_have_an_inverse():
    """Against NumPy, whatever the scales of the parameters; and each by itself."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((6, 7, 7)) * 10.0 ** rng.uniform(-6, 6, (6, 7, 1))
    matrices = factors @ factors.swapaxes(1, 2)
    good = matrices.copy()
    singular = rng.standard_normal((7, 6))
    matrices[1] = singular @ singular.T
    matrices[2, 3, 3] *= -1.0
    # Its diagonal is positive, one of its eigenvalues is not.
    matrices[3] = np.eye(7) - 0.5 * np.ones((7, 7)) + 0.5 * np.eye(7)
    matrices[4, 0, 0] = np.nan
    found = _inverses(matrices, 3)
    np.testing.assert_allclose(found[[0, 5]], np.linalg.inv(good[[0, 5]])[:, :3, :3], rtol=1e-6)
    assert np.isinf(found[1:5]).all()
    assert _inverses(matrices[:0], 3).shape == (0, 3, 3)
