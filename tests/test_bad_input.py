"""Input that is invalid or nearly so: a result where one makes sense, else one clear sentence."""

import numpy as np
import pytest
from oracles import random_mixture

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.objectives import MessageLength


def fitted(points, **settings) -> SparseGaussianMixture:
    return SparseGaussianMixture(
        **{"prior": "sqrt", "background": False, "random_state": 0, "max_iter": 2000, **settings}
    ).fit(points)


@pytest.mark.parametrize("background", [False, True], ids=["pure", "background"])
@pytest.mark.parametrize("prior", ["sqrt", "mml", "none", "bayes"])
@pytest.mark.parametrize(
    "points",
    [
        pytest.param([[0.0, 0.0], [1.0, 1.0]], id="two points"),
        pytest.param(np.random.default_rng(0).normal(size=(7, 2)), id="fewer than components"),
        pytest.param(np.linspace(0, 1, 50)[:, None] * [1.0, 2.0], id="on a line"),
        pytest.param(np.column_stack([np.arange(50.0), np.zeros(50)]), id="flat in one axis"),
        pytest.param(np.arange(60).reshape(-1, 2), id="integers"),
        pytest.param([[0.0, 0.0]] * 20 + [[1.0, 0.0]] * 20, id="two places"),
        pytest.param(
            np.repeat(np.random.default_rng(0).random((60, 2)), 2, axis=0)
            + np.tile([[0.0], [1e-10]], (60, 2)),
            id="saved twice with rounding",
        ),
    ],
)
def test_scarce_points_give_a_finite_mixture_among_them(points, prior, background):
    model = fitted(points, prior=prior, background=background)
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    assert ((model.means_ >= low - 1e-9) & (model.means_ <= high + 1e-9)).all()
    assert np.isfinite(model.score_samples(points)).all()
    assert (np.diff(model.cost_history_) <= 1e-6 * np.abs(model.cost_history_[:-1])).all()


@pytest.mark.parametrize("n_dimensions", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_an_outlier_far_away_is_no_obstacle(seed, n_dimensions):
    """The sums over points a million apart are symmetric only up to their rounding."""
    points = np.random.default_rng(seed).normal(size=(300, n_dimensions))
    points[0] = 1e6
    model = fitted(points, init="random", prior="none", background=True, random_state=seed)
    np.linalg.cholesky(model.covariances_)
    np.testing.assert_array_equal(model.covariances_, model.covariances_.swapaxes(1, 2))


@pytest.mark.parametrize("noise", [1e-300, 2e-9, 1e-6])
@pytest.mark.parametrize("background", [False, True], ids=["pure", "background"])
@pytest.mark.parametrize("prior", ["sqrt", "mml", "none", "bayes"])
def test_noise_far_below_the_distances(prior, background, noise):
    """Three places, five times each."""
    points = np.repeat([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 5, axis=0)
    model = SparseGaussianMixture(prior=prior, background=background, random_state=0)
    model.set_params(max_iter=2000, covariance_floor=None).fit(points, noise_std=noise)
    assert np.isfinite(model.score_samples(points, noise_std=noise)).all()


@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1.0, 1e9), (1e-9, 0.0), (1e-9, 1e-3), (1e9, -1e12)],
    ids=["far away", "tiny", "tiny and away", "huge and away"],
)
def test_units_and_origin_do_not_matter(scale, offset):
    points = random_mixture(3, 2, field=30.0, seed=5).sample(1000, 0)[0]
    plain = fitted(points, n_components=8)
    moved = fitted(points * scale + offset, n_components=8)
    assert moved.n_components_ == plain.n_components_
    np.testing.assert_allclose((moved.means_ - offset) / scale, plain.means_, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        moved.covariances_ / scale**2, plain.covariances_, rtol=2e-2, atol=1e-3
    )
    assert moved.cost_ - 2 * np.log(scale) == pytest.approx(plain.cost_, abs=1e-3)


def test_all_points_in_one_place_need_a_size():
    points = np.full((12, 2), 3.0)
    with pytest.raises(InputError, match=r"All points lie in one place.*covariance_floor"):
        fitted(points)
    model = fitted(points, covariance_floor=0.5)
    np.testing.assert_allclose(model.means_, [[3.0, 3.0]])
    np.testing.assert_allclose(model.covariances_, [0.25 * np.eye(2)])


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.empty((0, 2)), "0 sample"),
        ([[1.0, 2.0]], "1 sample.*minimum of 2"),
        ([[0.0, 0.0], [np.nan, 1.0], [1.0, 1.0]], "contains NaN"),
        ([[0.0, 0.0], [np.inf, 1.0], [1.0, 1.0]], "infinity"),
        ([1.0, 2.0, 3.0], "Reshape your data"),
        ([["a", "b"], ["c", "d"]], "could not convert|Unable to convert"),
    ],
    ids=["empty", "one point", "nan", "infinite", "one axis missing", "text"],
)
def test_points_of_no_use_are_refused(points, message):
    with pytest.raises(InputError, match=message):
        fitted(points)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-np.ones(20), "sample_weight must not be negative; 20 of 20"),
        (np.zeros(20), "at least one non-zero"),
        (np.eye(20)[0], "sample_weight must be positive for at least 2 points"),
        (np.full(20, np.nan), "NaN"),
        (np.ones(3), "inconsistent|Sample weights|sample_weight"),
        (np.full(20, 1e307), r"at most 1e\+30, not 1e\+307"),
    ],
    ids=["negative", "zero", "one", "nan", "too few", "too large"],
)
def test_weights_of_no_use_are_refused(weight, message):
    points = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(InputError, match=message):
        SparseGaussianMixture(prior="sqrt", background=False).fit(points, sample_weight=weight)


def test_the_scale_of_the_weights_does_not_matter():
    points = random_mixture(2, 2).sample(200, 0)[0]
    plain, small = (
        SparseGaussianMixture(5, random_state=0, prior="sqrt", background=False).fit(
            points, sample_weight=np.full(200, weight)
        )
        for weight in (1.0, 1e-8)
    )
    np.testing.assert_allclose(small.means_, plain.means_, rtol=1e-6)


@pytest.mark.parametrize("prior", ["bayes", "mml", MessageLength(2)])
@pytest.mark.parametrize("total", [5e-4, 1.0, 1.9])
def test_weights_that_cannot_be_counts_are_refused(prior, total):
    """To these priors two points are something else than two thousand."""
    points = random_mixture(2, 2).sample(200, 0)[0]
    model = SparseGaussianMixture(5, prior=prior, random_state=0, background=False)
    with pytest.raises(InputError, match=rf"how often each point counts.*sum to {total:.3g}\."):
        model.fit(points, sample_weight=np.full(200, total / 200))
    model.fit(points, sample_weight=np.ones(200))


@pytest.mark.parametrize("prior", ["sqrt", "none"])
def test_weights_may_be_shares_where_only_their_proportions_count(prior):
    points = random_mixture(2, 2).sample(200, 0)[0]
    weight = np.random.default_rng(0).random(200)
    plain, shares = (
        SparseGaussianMixture(5, prior=prior, random_state=0, background=False).fit(
            points, sample_weight=w
        )
        for w in (weight, weight / weight.sum())
    )
    np.testing.assert_allclose(shares.means_, plain.means_, rtol=1e-5)
    assert shares.cost_ == pytest.approx(plain.cost_, rel=1e-6)


@pytest.mark.parametrize("prior", ["bayes", "mml", "sqrt", "none"])
def test_equal_starting_means_are_one(prior):
    points = random_mixture(2, 2).sample(150, 0)[0]
    model = SparseGaussianMixture(2, prior=prior, random_state=0, background=False)
    two = model.set_params(init=points[:2]).fit(points).cost_
    many = model.set_params(init=np.repeat(points[:2], 500, axis=0)).fit(points)
    assert many.cost_ == two
    assert many.n_components_ <= 2


@pytest.mark.parametrize("seed", range(10))
def test_kmeans_in_places_that_differ_by_rounding(seed):
    """Where one is drawn twice, none is nearest to the second."""
    rng = np.random.default_rng(seed)
    points = 1e9 + 1e-6 * rng.integers(0, 5, (60, 3))
    points[0] = 1e9 + 1e6
    model = fitted(points, n_components=20, prior="none", covariance_floor=1e-7)
    assert np.isfinite(model.means_).all()


@pytest.mark.parametrize("prior", ["bayes", "mml", "sqrt", "none"])
def test_a_weight_of_2_is_the_point_twice(prior):
    """The same steps; births, which look at boxes of so many points, may come elsewhere."""
    points = random_mixture(2, 2).sample(100, 0)[0]
    model = SparseGaussianMixture(
        5, prior=prior, init=points[:5], covariance_floor=0.1, background=False
    )
    weighted = model.fit(points, sample_weight=np.full(100, 2.0)).cost_history_
    repeated = model.fit(np.repeat(points, 2, axis=0)).cost_history_
    np.testing.assert_allclose(weighted[:6], repeated[:6], rtol=1e-9)


def test_a_start_of_other_dimensions_is_refused():
    with pytest.raises(InputError, match="start from has 3 dimensions, the points have 2"):
        fitted(np.random.default_rng(0).normal(size=(20, 2)), init=random_mixture(2, 3))


def test_points_of_weight_zero_do_not_count():
    points = random_mixture(2, 2).sample(200, 0)[0]
    weight = np.ones(200)
    weight[150:] = 0
    with_zeros = SparseGaussianMixture(5, random_state=0, prior="sqrt", background=False).fit(
        points, sample_weight=weight
    )
    without = SparseGaussianMixture(5, random_state=0, prior="sqrt", background=False).fit(
        points[:150]
    )
    np.testing.assert_allclose(with_zeros.means_, without.means_, rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": 0}, "n_components must be an integer of at least 1, not 0"),
        ({"n_components": 2.5}, "n_components must be an integer"),
        ({"sparsity": -1}, "sparsity must be a number of at least 0"),
        ({"sparsity": float("nan")}, "sparsity must be a number"),
        ({"prior": "bayesian"}, "prior must be one of"),
        ({"solver": "newton"}, "solver must be one of"),
        ({"engine": "jax"}, "engine must be one of"),
        ({"device": "tpu"}, "device must be one of"),
        ({"init": "grid"}, "init must be one of"),
        ({"init": np.zeros((3, 5))}, r"init must be finite means of shape \(M, 2\)"),
        ({"max_iter": 0}, "max_iter must be an integer"),
        ({"tol": "small"}, "tol must be a number"),
        ({"covariance_floor": -1.0}, "covariance_floor must be a number"),
        ({"n_init": 0}, "n_init must be an integer"),
        ({"n_threads": 0}, "n_threads must be an integer of at least 1"),
        ({"n_threads": 2.0}, "n_threads must be an integer"),
        ({"sparsity": float("inf")}, "sparsity must be a number"),
        ({"covariance_floor": float("inf")}, "covariance_floor must be a number"),
        ({"init": np.empty((0, 2))}, "init must be finite means"),
        ({"n_components": 10**9}, r"n_components must be an integer of at most 1e\+06, not 10"),
        ({"n_components": 10**400}, r"n_components must be an integer of at most 1e\+06, not 10"),
        ({"n_init": 10**6}, "n_init must be an integer of at most 10000"),
        ({"max_iter": 10**30}, r"max_iter must be an integer of at most 1e\+09"),
        ({"n_threads": 50_000}, "n_threads must be an integer of at most 1024, not 50000"),
        ({"typical_size": 1e200}, r"typical_size must be a number of at most 1e\+30"),
        ({"typical_size": 1e-200}, "typical_size must be a number that is 0 or at least 1e-30"),
        ({"covariance_floor": 1e300}, r"covariance_floor must be a number of at most 1e\+30"),
        ({"covariance_floor": 1e-300}, "covariance_floor must be a number that is 0 or at least"),
        ({"covariance_prior": 1e300}, r"covariance_prior must be a number of at most 1e\+30"),
        ({"sparsity": 1e300}, r"sparsity must be a number of at most 1e\+30"),
        ({"sparsity": 10**400}, r"sparsity must be a number of at most 1e\+30, not 1000"),
        ({"tol": 1e300}, r"tol must be a number of at most 1e\+30"),
        ({"random_state": -1}, "random_state|Seed|seed|cannot be used"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_parameters_of_no_use_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        fitted(np.random.default_rng(0).normal(size=(20, 2)), **settings)


@pytest.mark.parametrize("noise", [1e154, 1e200, [1.0] * 19 + [np.inf], -1.0])
def test_noise_of_no_use_is_refused(noise):
    with pytest.raises(InputError, match="noise_std must be finite and not negative; 1 of"):
        fitted_with_noise(np.random.default_rng(0).normal(size=(20, 2)), noise)


def fitted_with_noise(points, noise) -> SparseGaussianMixture:
    return SparseGaussianMixture(3, random_state=0, prior="sqrt", background=False).fit(
        points, noise_std=noise
    )


@pytest.mark.parametrize("prior", ["sqrt", "mml", "none", "bayes"])
@pytest.mark.parametrize("solver", ["mm", "adam"])
@pytest.mark.parametrize("n_dimensions", [2, 6])
@pytest.mark.parametrize("scale", [0.9e30, 1e-29])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_largest_and_the_smallest_numbers_are_numbers(scale, n_dimensions, solver, prior):
    """Whatever is allowed is fitted, each at the end of its range."""
    if solver == "adam" and prior == "bayes":
        return
    points = np.random.default_rng(0).uniform(-1, 1, (60, n_dimensions)) * scale
    sizes = {"covariance_prior": 1e30, "typical_size": 1e30 if scale > 1 else 1e-30}
    for settings in ({}, {} if prior == "bayes" else sizes, {"sparsity": 1e30}, {"tol": 1e30}):
        model = SparseGaussianMixture(
            3, prior=prior, solver=solver, background=True, random_state=0, max_iter=20, **settings
        )
        noise = scale * 1e-3 if solver == "mm" else None
        model = model.set_params(tol=max(model.tol, 1e-3)).fit(points, noise_std=noise)
        assert np.isfinite(model.score_samples(points, noise_std=noise)).all()
        assert np.isfinite(model.cost_)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.array([[0.0, 0.0], [1.0, 2e30], [3.0, 1.0]]), "X has coordinates from 0 to 2e.30"),
        (np.array([[0.0, 0.0], [1.0, 2.0], [-1e300, 1.0]]), "X has coordinates from -1e.300 to 2"),
        (np.random.default_rng(0).normal(size=(20, 2)) * 1e-200, "X has points within"),
    ],
)
def test_units_of_no_use_are_told(points, words):
    with pytest.raises(InputError, match=words):
        fitted(points)


@pytest.mark.parametrize("floor", [1e-30, 1e30])
def test_one_place_of_any_size(floor):
    model = fitted(np.full((12, 2), 3.0), covariance_floor=floor)
    np.testing.assert_allclose(model.covariances_, [floor**2 * np.eye(2)])
