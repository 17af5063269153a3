"""Points with noise of their own, against a matrix for every pair of a point and a component."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import ENGINES_AND_DEVICES, hold, posterior_of_true_places, random_mixture

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.engines import TorchTiles
from napari_sparse_gmm.engines.fused import Fused
from napari_sparse_gmm.engines.keops import KeOps

ENGINES = [
    pytest.param(TorchTiles, id="torch"),
    pytest.param(KeOps, id="keops"),
    pytest.param(Fused, id="fused"),
]
DIMENSIONS = [1, 2, 3, 4]


def noisy_case(n_dimensions, background_weight=0.2, *, n=400, field=30.0, seed=1):
    """Components, and points whose noise is from none at all to far wider than they are."""
    mixture = random_mixture(6, n_dimensions, background_weight=background_weight, field=field)
    points, _ = mixture.sample(n, random_state=seed)
    rng = np.random.default_rng(seed)
    std = rng.lognormal(-0.5, 1.0, points.shape)
    std[rng.random(std.shape) < 0.1] = 0.0
    return mixture, points + std * rng.standard_normal(points.shape), std


def direct(mixture, points, std):
    """Log density and responsibilities of the components."""
    densities, means, covariances = posterior_of_true_places(mixture, points, std)
    region, background = mixture.background_region, 0.0
    if region is not None:
        background = region.contains(points) * mixture.background_weight / region.volume
    density = densities.sum(1) + background
    return np.log(density), densities / density[:, None], means, covariances


@pytest.mark.parametrize("n_dimensions", DIMENSIONS)
def test_the_reference_is_the_convolution(n_dimensions):
    mixture, points, std = noisy_case(n_dimensions)
    log_density, r, _, _ = direct(mixture, points, std)
    np.testing.assert_allclose(mixture.log_density(points, noise_std=std), log_density, rtol=1e-9)
    np.testing.assert_allclose(
        mixture.responsibilities(points, noise_std=std)[:, :-1], r, atol=1e-10
    )
    shares = np.column_stack([r, 1 - r.sum(1)])
    labels = np.where(shares.argmax(1) == 6, -1, shares.argmax(1))
    np.testing.assert_array_equal(mixture.predict(points, noise_std=std), labels)


def test_noise_of_all_points_alike_widens_the_components():
    mixture, points, _ = noisy_case(3)
    widened = mixture.convolved([0.3, 0.5, 2.0])
    expected = widened.log_density(points)
    for std in ([0.3, 0.5, 2.0], [[0.3, 0.5, 2.0]]):
        std = np.broadcast_to(std, points.shape)
        np.testing.assert_allclose(mixture.log_density(points, noise_std=std), expected, rtol=1e-12)
    one = mixture.convolved(0.7).log_density(points)
    for std in (0.7, np.full(len(points), 0.7)):
        np.testing.assert_allclose(mixture.log_density(points, noise_std=std), one, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("background_weight", [0.0, 0.2], ids=["pure", "background"])
@pytest.mark.parametrize("n_dimensions", DIMENSIONS)
@pytest.mark.parametrize(("engine", "device"), ENGINES_AND_DEVICES)
def test_statistics_are_the_expected_ones_of_the_true_places(
    engine, n_dimensions, background_weight, device, dtype
):
    mixture, points, std = noisy_case(n_dimensions, background_weight)
    weight = np.random.default_rng(2).uniform(0.0, 3.0, len(points))
    held = hold(
        points, weight, engine=engine, noise=std**2, device=device, dtype=dtype, block_size=32
    )
    log_density, r, means, covariances = direct(mixture, points, std)
    w_r = weight[:, None] * r
    d = means - mixture.means
    inverses = np.linalg.inv(
        mixture.covariances + (std**2)[:, None, :, None] * np.eye(n_dimensions)
    )
    single = dtype == np.float32
    tolerance = 2e-5 if single else 1e-9
    np.testing.assert_allclose(held.log_density(mixture), log_density, atol=tolerance)
    assigned, shares = held.assign(mixture), np.column_stack([r, 1 - r.sum(1)])
    np.testing.assert_allclose(assigned.log_density, log_density, atol=tolerance)
    np.testing.assert_allclose(assigned.probability, shares.max(1), atol=tolerance)
    taken = np.take_along_axis(shares, assigned.component[:, None], 1)[:, 0]
    np.testing.assert_allclose(taken, shares.max(1), atol=tolerance)
    statistics = held.expectation(mixture, removal=True)
    expected = {
        "counts": w_r.sum(0),
        "shifts": np.einsum("nj,njk->jk", w_r, d),
        "scatters": np.einsum("nj,njk,njl->jkl", w_r, d, d)
        + np.einsum("nj,njkl->jkl", w_r, covariances),
        "log_likelihood": weight @ log_density,
        "background_count": (weight * (1 - r.sum(1))).sum(),
        "removal": (weight[:, None] * np.log(np.maximum(1 - r, 1e-7))).sum(0),
        "informations": np.einsum("nj,njkl->jkl", w_r, inverses),
    }
    for name, values in expected.items():
        # The logarithm of what hardly remains is only good for a ranking.
        share = 1e-2 if name == "removal" else 1e-4 if single else 1e-9
        allowed = share * np.abs(values).max() + 1e-9
        np.testing.assert_allclose(getattr(statistics, name), values, atol=allowed, err_msg=name)


@pytest.mark.parametrize("engine", ENGINES)
def test_points_without_noise_are_as_before(engine):
    mixture, points, std = noisy_case(2)
    without, zero = (
        hold(points, engine=engine),
        hold(points, engine=engine, noise=np.zeros_like(std)),
    )
    a, b = without.expectation(mixture), zero.expectation(mixture)
    for name in ("counts", "shifts", "scatters", "log_likelihood"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_lengths_of_any_size(engine, scale):
    mixture, points, std = noisy_case(2)
    expected = mixture.log_density(points, noise_std=std) - 2 * np.log(scale)
    held = hold(points * scale, engine=engine, noise=(std * scale) ** 2)
    found = held.log_density(mixture.transformed(scale))
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("engine", [TorchTiles, Fused], ids=["torch", "fused"])
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_dimensions=st.integers(1, 4),
    background=st.sampled_from([0.0, 0.3]),
    field=st.sampled_from([3.0, 300.0]),
    tolerance=st.sampled_from([1e-2, 1e-5]),
)
def test_what_is_left_out_is_below_the_tolerance(
    engine, seed, n_dimensions, background, field, tolerance
):
    mixture, points, std = noisy_case(n_dimensions, background, n=2000, field=field, seed=seed)
    held = hold(points, engine=engine, noise=std**2, tolerance=tolerance, block_size=16)
    expected = mixture.log_density(points, noise_std=std)
    error = np.abs(held.log_density(mixture) - expected)
    assert error.max() < 1.5 * tolerance


def test_far_components_are_left_out():
    """The bounds are good for something: of 400 places a block meets a few."""
    mixture = random_mixture(400, 2, background_weight=0.2, field=400.0)
    points, _ = mixture.sample(20_000, random_state=0)
    std = np.random.default_rng(0).lognormal(-0.5, 0.3, len(points))
    held = hold(points, noise=np.repeat(std[:, None] ** 2, 2, axis=1))
    found = held.touched(mixture)
    assert len(found) < 0.1 * 400 * len(held.blocks)


@pytest.mark.parametrize(
    ("noise_std", "message"),
    [
        (np.ones(3), "shape"),
        (np.ones((5, 3)), "shape"),
        (-np.ones(5), "not negative; 5 of 5"),
        ([1.0, np.nan, 1.0, np.inf, 1.0], "finite and not negative; 2 of 5"),
    ],
)
def test_noise_of_no_use_is_refused(noise_std, message):
    mixture = GaussianMixture([1.0], [[0.0, 0.0]], [np.eye(2)])
    with pytest.raises(ValueError, match=message):
        mixture.log_density(np.zeros((5, 2)), noise_std=noise_std)
