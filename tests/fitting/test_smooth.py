"""Smooth backgrounds, against the densities that points were drawn from."""

from collections.abc import Callable

import numpy as np
import pytest
from oracles import hold
from sklearn.metrics import adjusted_rand_score

from napari_sparse_gmm import Box, Intensity, Polygon, SparseGaussianMixture
from napari_sparse_gmm.fitting.smooth import SmoothBackgrounds

SIDE = 2000.0
DENSITIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # on the unit square, at most 1
    "gradient": lambda x: (1 + 4 * x[:, 0]) / 5,
    "exponential": lambda x: np.exp(3 * (x[:, 1] - 1)),
    "dome": lambda x: 1 - 1.9 * np.square(x - 0.5).sum(1),
}


def scattered(density, n: int, seed: int = 0, d: int = 2) -> np.ndarray:
    """n points on the unit cube, (n, D)."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(40 * n, d))
    return x[rng.uniform(size=len(x)) < density(x)][:n]


def fit(points, *, sample_weight=None, noise_std=None, **parameters) -> SparseGaussianMixture:
    model = SparseGaussianMixture(random_state=0, **parameters)
    return model.fit(points, sample_weight=sample_weight, noise_std=noise_std)


def clustered(seed: int, scatter: np.ndarray, n: int = 15, sigma: float = 25.0):
    """20 clusters on scattered points, and their labels."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(0.05 * SIDE, 0.95 * SIDE, (20, 2))
    labels = np.repeat(np.arange(20), n)
    points = means[labels] + sigma * rng.standard_normal((len(labels), 2))
    return np.concatenate([points, scatter]), np.append(labels, np.full(len(scatter), -1))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES)
def test_what_is_scattered_smoothly_is_no_cluster(density):
    points = SIDE * scattered(density, 1000)
    assert fit(points).n_components_ == 0
    assert fit(points, smooth_background=False, max_iter=50).n_components_ > 0


@pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES)
def test_the_density_comes_back(density):
    model = fit(SIDE * scattered(density, 4000))
    region = model.mixture_.background_region
    places = np.random.default_rng(1).uniform(0.02, 0.98, (4000, 2))
    wanted = np.log(density(places))
    wanted -= np.log(np.exp(wanted).mean())
    assert np.std(region.log_intensity(SIDE * places) - wanted) < 0.15
    # Normalised on the region.
    assert np.exp(
        region.log_intensity(region.box[0] + places * np.ptp(region.box, axis=0))
    ).mean() == pytest.approx(1.0, abs=0.05)


def test_clusters_on_a_gradient_are_found():
    found, even = [], []
    for seed in range(3):
        points, labels = clustered(seed, SIDE * scattered(DENSITIES["exponential"], 900, seed))
        for scores, smooth in ((found, True), (even, False)):
            model = fit(points, smooth_background=smooth)
            scores.append(adjusted_rand_score(labels, model.predict(points)))
            if smooth:
                assert abs(model.n_components_ - 20) <= 3
                assert not model.mixture_.background_region.is_even
    assert np.mean(found) > np.mean(even) + 0.05


def test_an_even_background_stays_to_the_last_digit():
    points, _ = clustered(0, np.random.default_rng(0).uniform(0.0, SIDE, (300, 2)))
    smooth, even = fit(points), fit(points, smooth_background=False)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_array_equal(getattr(smooth, name), getattr(even, name))
    assert isinstance(smooth.mixture_.background_region, Box)


def test_clusters_that_reach_further_than_what_is_scattered():
    """The sides of the box are theirs: between them and what is scattered is nearly nothing."""
    rng = np.random.default_rng(0)
    inner = rng.uniform(300.0, SIDE - 300.0, (2000, 2))
    corners = np.array([[0.0, 0.0], [0.0, SIDE], [SIDE, 0.0], [SIDE, SIDE]])
    ends = np.repeat(corners, 20, axis=0) + 20.0 * rng.standard_normal((80, 2))
    model = fit(np.concatenate([inner, ends]))
    assert model.n_components_ == 4
    region = model.mixture_.background_region
    beside = region.log_intensity([[150.0, 1000.0], [1000.0, 1850.0], [1850.0, 700.0]])
    assert (beside < np.log(0.1)).all()
    middle = region.log_intensity(rng.uniform(400.0, SIDE - 400.0, (500, 2)))
    np.testing.assert_allclose(middle, np.log(2000**2 / 1400**2), atol=0.1)


@pytest.mark.parametrize("d", [1, 3])
def test_in_one_dimension_and_in_three(d):
    points = scattered(lambda x: (1 + 9 * x[:, -1]) / 10, 2000, d=d)
    model = fit(points)
    assert model.n_components_ == 0
    places = np.full((2, d), 0.5)
    places[:, -1] = 0.1, 0.9
    low, high = model.mixture_.background_region.log_intensity(places)
    assert high - low == pytest.approx(np.log(9.1 / 1.9), abs=0.35)
    if d == 1:  # of weights and of points in another unit, the same
        weighted = fit(np.concatenate([points, points]), sample_weight=np.full(4000, 0.5))
        moved = fit(1e6 * points - 3e8)
        for other, at in ((weighted, places), (moved, 1e6 * places - 3e8)):
            again = other.mixture_.background_region.log_intensity(at)
            np.testing.assert_allclose(again, [low, high], rtol=1e-4)


def test_within_a_region():
    triangle = Polygon([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    points = scattered(DENSITIES["gradient"], 4000)
    points = points[triangle.contains(points)]
    model = fit(points, background=triangle)
    region = model.mixture_.background_region
    assert model.n_components_ == 0
    assert isinstance(region, Intensity)
    assert region.volume == triangle.volume
    assert model.score_samples([[0.5, 0.4]]) == -np.inf
    low, high = region.log_intensity([[0.1, 0.9], [0.9, 0.95]])
    assert high - low == pytest.approx(np.log(4.6 / 1.4), abs=0.3)


def in_disc(n: int, seed: int = 0) -> np.ndarray:
    """n points on the disc of diameter `SIDE`, (n, 2)."""
    return SIDE * scattered(lambda x: np.square(x - 0.5).sum(1) < 0.25, n, seed)


def test_a_field_that_is_no_box_is_filled_by_its_hull():
    model = fit(in_disc(1000))
    assert model.n_components_ == 0
    region = model.mixture_.background_region
    angle = np.linspace(0.0, 2 * np.pi, 30)
    circle = 0.5 * SIDE * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inside = region.log_intensity(0.5 * SIDE + 0.9 * circle)
    np.testing.assert_allclose(inside, np.log(4 / np.pi), atol=0.3)
    corners = region.log_intensity(region.box[[0, 1, 0, 1], [0, 1, 1, 0]].reshape(2, 2))
    assert (corners < np.log(0.2)).all()
    # There might be points all the same.
    assert np.isfinite(model.score_samples(in_disc(1000, seed=1))).all()
    assert np.isfinite(corners).all()


def test_clusters_in_a_field_that_is_no_box():
    angles = np.arange(20) * 2.4
    means = 0.5 * SIDE + 0.45 * SIDE * np.sqrt(np.arange(20)[:, None] / 20) * np.stack(
        [np.cos(angles), np.sin(angles)], axis=1
    )
    labels = np.repeat(np.arange(20), 15)
    points = means[labels] + 20.0 * np.random.default_rng(0).standard_normal((300, 2))
    points = np.concatenate([points, in_disc(700)])
    labels = np.append(labels, np.full(700, -1))
    found = fit(points)
    assert abs(found.n_components_ - 20) <= 1
    assert adjusted_rand_score(labels, found.predict(points)) > 0.85
    assert found.background_weight_ == pytest.approx(0.7, abs=0.04)


def test_a_given_image_is_taken_as_it_is():
    image = Intensity(1 + 4 * (np.arange(20) + 0.5)[:, None] / 20 * np.ones((1, 20)), 0.05, 0.025)
    model = fit(scattered(DENSITIES["gradient"], 2000), background=image)
    assert model.n_components_ == 0
    assert model.mixture_.background_region is image


def test_a_fit_that_goes_on_keeps_what_was_learnt():
    points, _ = clustered(1, SIDE * scattered(DENSITIES["exponential"], 900, 1))
    model = fit(points, warm_start=True)
    first = model.mixture_
    model.fit(points)
    assert model.mixture_.background_region is first.background_region
    assert model.n_components_ == first.n_components
    # But not for other points, nor where it is not wanted.
    model.set_params(smooth_background=False).fit(points)
    assert model.mixture_.background_region.is_even


def test_points_with_noise_have_it_too():
    points = SIDE * scattered(DENSITIES["exponential"], 1000)
    model = fit(points, noise_std=20.0, repeats=1.0)
    assert model.n_components_ == 0
    assert not model.mixture_.background_region.is_even


def test_even_points_hardly_ever_give_hope():
    hopes = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        engine = hold(rng.uniform(size=(int(10 ** rng.uniform(2, 4)), 2)))
        hopes += len(SmoothBackgrounds(engine, Box([[0.0, 0.0], [1.0, 1.0]]), rng).first()) > 0
    assert hopes <= 2


def test_progress_tells_which_start_it_is():
    points, _ = clustered(0, SIDE * scattered(DENSITIES["gradient"], 500))
    steps = list(SparseGaussianMixture(random_state=0).iter_fit(points))
    numbers = [step.start for step in steps]
    assert len({step.n_starts for step in steps}) == 1
    assert numbers == sorted(numbers)
    assert numbers[0] == 0
    assert numbers[-1] < steps[0].n_starts
