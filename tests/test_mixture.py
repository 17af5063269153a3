import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import direct_density, random_mixture
from scipy import integrate

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.errors import InputError


@pytest.mark.parametrize("background_weight", [0.0, 0.3], ids=["pure", "background"])
@pytest.mark.parametrize("n_dimensions", [1, 2, 3, 5])
def test_density_is_the_sum_of_scipys_normals(n_dimensions, background_weight):
    mixture = random_mixture(4, n_dimensions, background_weight=background_weight)
    points = np.random.default_rng(1).uniform(-2, 12, (500, n_dimensions))
    np.testing.assert_allclose(mixture.density(points), direct_density(mixture, points), rtol=1e-8)


@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
def test_density_integrates_to_one(n_dimensions):
    mixture = random_mixture(2, n_dimensions, background_weight=0.2, field=3.0, sigma=0.7)
    axis = np.linspace(-6, 9, 601 if n_dimensions < 3 else 151)
    # Nodes on the background's edges, at 0 and 3, would count them half.
    axis = axis + 0.37 * (axis[1] - axis[0])
    grid = np.stack(np.meshgrid(*[axis] * n_dimensions, indexing="ij"), -1)
    values = mixture.density(grid.reshape(-1, n_dimensions)).reshape(grid.shape[:-1])
    for _ in range(n_dimensions):
        values = integrate.trapezoid(values, axis, axis=-1)
    assert values == pytest.approx(1.0, abs=0.01 if n_dimensions < 3 else 0.03)


def test_long_thin_component_keeps_its_determinant():
    # By a difference of products in float64, a c - b^2 would have no correct digit left.
    angle = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    covariance = angle @ np.diag([1e6, 1e-6]) @ angle.T
    covariance = 0.5 * (covariance + covariance.T)
    mixture = GaussianMixture([1.0], [[0.0, 0.0]], [covariance])
    assert mixture.density([[0.0, 0.0]])[0] == pytest.approx(1 / (2 * np.pi), rel=1e-3)


@given(seed=st.integers(0, 10_000), n_dimensions=st.integers(1, 5))
def test_principal_axes_put_the_covariance_together_again(seed, n_dimensions):
    factors = np.random.default_rng(seed).standard_normal((4, n_dimensions, 2 * n_dimensions))
    covariances = factors @ factors.swapaxes(1, 2)
    mixture = GaussianMixture([0.25] * 4, np.zeros((4, n_dimensions)), covariances)
    std, directions = mixture.principal_axes
    assert (np.diff(std, axis=1) <= 0).all()
    np.testing.assert_allclose(
        np.einsum("kij,kj,klj->kil", directions, std**2, directions), covariances, atol=1e-10
    )
    orthonormal = np.tile(np.eye(n_dimensions), (4, 1, 1))
    np.testing.assert_allclose(directions.swapaxes(1, 2) @ directions, orthonormal, 0, 1e-12)


def test_short_axis_of_a_needle_keeps_its_digits():
    # Sheared by a power of two, so that the covariance is exact in float64. Its
    # determinant is 1, so the axes are 1 / each other.
    shear = np.array([[1.0, 0.0], [2.0**22, 1.0]])
    std = GaussianMixture([1.0], [[0.0, 0.0]], [shear @ shear.T]).principal_axes.std
    assert std[0, 1] * std[0, 0] == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
def test_samples_give_back_the_parameters(n_dimensions):
    mixture = random_mixture(3, n_dimensions, background_weight=0.25, field=20.0)
    points, labels = mixture.sample(200_000, random_state=0)
    assert (labels == -1).mean() == pytest.approx(0.25, abs=0.005)
    for j in range(3):
        own = points[labels == j]
        assert len(own) / len(points) == pytest.approx(mixture.weights[j], abs=0.005)
        np.testing.assert_allclose(own.mean(0), mixture.means[j], atol=0.05)
        covariance = np.cov(own.T).reshape(n_dimensions, n_dimensions)
        np.testing.assert_allclose(covariance, mixture.covariances[j], atol=0.1)
    scattered = points[labels == -1]
    assert scattered.min() >= 0
    assert scattered.max() <= 20
    np.testing.assert_allclose(scattered.var(0), 20**2 / 12, rtol=0.03)


def test_responsibilities_are_bayes_rule_and_background_comes_last():
    mixture = random_mixture(3, 2, background_weight=0.2)
    points = np.random.default_rng(0).uniform(-1, 11, (300, 2))
    responsibilities = mixture.responsibilities(points)
    assert responsibilities.shape == (300, 4)
    np.testing.assert_allclose(responsibilities.sum(1), 1.0)
    inside = ((points >= 0) & (points <= 10)).all(1)
    density = mixture.density(points)
    np.testing.assert_allclose(responsibilities[:, 3], inside * 0.2 / 100 / density, rtol=1e-10)
    np.testing.assert_array_equal(
        mixture.predict(points),
        np.where(responsibilities.argmax(1) == 3, -1, responsibilities.argmax(1)),
    )


def test_change_of_units_changes_the_density_by_the_volume():
    mixture = random_mixture(3, 2, background_weight=0.1)
    scale, offset = np.array([100.0, 0.1]), np.array([5.0, -3.0])
    points = np.random.default_rng(0).uniform(0, 10, (50, 2))
    moved = mixture.transformed(scale, offset)
    np.testing.assert_allclose(
        moved.density(points * scale + offset) * scale.prod(), mixture.density(points)
    )


def test_survives_json_to_the_last_digit():
    mixture = random_mixture(3, 2, background_weight=0.1)
    again = GaussianMixture.from_dict(json.loads(json.dumps(mixture.to_dict())))
    for name in ("weights", "means", "covariances", "background_weight"):
        np.testing.assert_array_equal(getattr(again, name), getattr(mixture, name))
    assert again.background_region.to_dict() == mixture.background_region.to_dict()


def test_background_alone_survives_json():
    mixture = GaussianMixture([], np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, [[0, 0], [2, 5]])
    again = GaussianMixture.from_dict(json.loads(json.dumps(mixture.to_dict())))
    assert again.means.shape == (0, 2)
    assert again.density([[1.0, 1.0]])[0] == pytest.approx(0.1)


@pytest.mark.parametrize("copied", [False, True], ids=["made", "unpickled"])
def test_is_frozen(copied):
    mixture = random_mixture(2, 2)
    if copied:
        mixture = pickle.loads(pickle.dumps(mixture))
    with pytest.raises(AttributeError):
        mixture.weights = np.array([1.0])
    with pytest.raises(ValueError, match="read-only"):
        mixture.means[0] = 0


def test_background_alone_is_a_mixture():
    mixture = GaussianMixture([], np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, [[0, 0], [2, 5]])
    np.testing.assert_allclose(mixture.density([[1.0, 1.0], [3.0, 1.0]]), [0.1, 0.0])
    assert (mixture.sample(10, 0)[1] == -1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [0.5]}, "weights must have shape"),
        ({"weights": [0.9, 0.9]}, "sum to 1"),
        ({"weights": [1.5, -0.5]}, "not be negative"),
        ({"means": [[0.0, np.nan], [1.0, 1.0]]}, "means must be finite"),
        ({"covariances": np.zeros((2, 2, 2))}, "positive definite"),
        ({"covariances": [[[1, 0.5], [0, 1]]] * 2}, "symmetric"),
        ({"weights": [0.4, 0.4], "background_weight": 0.2}, "needs background_region"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_refuses_what_is_no_mixture(change, message):
    right = {
        "weights": [0.5, 0.5],
        "means": [[0.0, 0.0], [1.0, 1.0]],
        "covariances": [np.eye(2)] * 2,
    }
    with pytest.raises(InputError, match=message):
        GaussianMixture(**{**right, **change})


def test_a_background_alone_has_every_point():
    alone = GaussianMixture(
        np.empty(0), np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, [[0, 0], [1, 1]]
    )
    points = [[0.5, 0.5], [7.0, 7.0]]
    np.testing.assert_array_equal(alone.responsibilities(points), [[1.0], [1.0]])
    np.testing.assert_array_equal(alone.predict(points), [-1, -1])
