import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import random_mixture
from scipy.optimize import minimize

from napari_sparse_gmm import SparseGaussianMixture, parameters
from napari_sparse_gmm.objectives import (
    PRIORS,
    Context,
    MessageLength,
    NoPenalty,
    PenalisedLikelihood,
    SqrtPenalty,
    declaration_of,
)
from napari_sparse_gmm.objectives.weight_penalty import minimise_on_simplex
from napari_sparse_gmm.regions import Box

PENALTIES = [
    pytest.param(SqrtPenalty(20.0, 30), id="sqrt"),
    pytest.param(MessageLength(2), id="mml"),
    pytest.param(NoPenalty(), id="none"),
]


@pytest.mark.parametrize("prior", PENALTIES)
def test_gradient_is_the_slope_of_the_penalty(prior):
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    step = 1e-6
    for j in range(4):  # each of them more than 12 of the 1000 points
        above, below = weights.copy(), weights.copy()
        above[j] += step
        below[j] -= step
        slope = (prior.penalty(above, 1e3) - prior.penalty(below, 1e3)) / (2 * step)
        assert prior.gradient(weights, 1e3)[j] == pytest.approx(slope, rel=1e-5, abs=1e-12)


def test_the_multiplier_may_be_negative():
    """s = 20, M = 30 from equal weights: lambda = 1 - 20 / (2 * 30 * sqrt(1 / 30)) = -0.826."""
    shares = np.full(30, 1 / 30)
    slopes = SqrtPenalty(20.0, 30).gradient(shares, 1.0)
    weights = minimise_on_simplex(shares, slopes)
    multiplier = shares / weights - slopes
    np.testing.assert_allclose(multiplier, -0.8257, atol=1e-4)


@given(
    shares=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12),
    slopes=st.data(),
)
def test_weights_solve_the_stationarity_equations(shares, slopes):
    shares = np.array(shares) / np.sum(shares)
    slopes = np.array([slopes.draw(st.floats(0.0, 1e3)) for _ in shares])
    weights = minimise_on_simplex(shares, slopes)
    assert weights.sum() == pytest.approx(1.0)
    multiplier = shares / weights - slopes
    np.testing.assert_allclose(multiplier, multiplier[0], rtol=1e-6, atol=1e-6 * (1 + slopes.max()))


@pytest.mark.parametrize("prior", PENALTIES)
def test_weights_minimise_the_bound(prior):
    """SciPy finds nothing lower on the simplex."""
    total, counts, background = 200.0, np.array([90.0, 60.0, 4.0, 1.0]), 45.0
    present = np.array([0.3, 0.3, 0.1, 0.1])
    weights, background_weight = prior.update_weights(counts, background, present, total)

    def bound(values: np.ndarray) -> float:
        if isinstance(prior, MessageLength):
            penalty = prior.penalty(values[:4], total)
        else:
            penalty = (prior.gradient(present, total) * values[:4]).sum()
        return penalty - (np.append(counts, background) * np.log(values)).sum() / total

    found = minimize(
        bound,
        np.full(5, 0.2),
        bounds=[(1e-9, 1)] * 5,
        constraints={"type": "eq", "fun": lambda values: values.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    ours = np.append(weights, background_weight)
    assert ours.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(ours, found.x, atol=2e-4)
    assert bound(ours) <= found.fun + 1e-9


def test_mml_weights_are_figueiredo_and_jains():
    counts = np.array([250.0, 150.0, 100.0])
    weights, _ = MessageLength(2).update_weights(counts, 0.0, np.full(3, 1 / 3), 500.0)
    np.testing.assert_allclose(weights, (counts - 2.5) / (counts - 2.5).sum())


@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
def test_the_message_length_is_concave_and_smooth(n_dimensions):
    prior, total = MessageLength(n_dimensions), 1000.0
    weights = np.linspace(0.0, 0.06, 601)  # up to 60 points
    values, slopes = prior.penalties(weights, total), prior.gradient(weights, total)
    assert (np.diff(slopes) <= 1e-15).all()
    middle = 0.5 * (slopes[1:] + slopes[:-1])
    np.testing.assert_allclose(np.diff(values), middle * 1e-4, rtol=1e-4)
    # Fifty points cost what minimum message length says; none cost less, but not nothing.
    t = 0.5 * prior.n_parameters
    assert values[500] * total == pytest.approx(t * np.log(50) + 0.5 * np.log(1000))
    assert 0.5 * np.log(1000) < values[0] * total < values[500] * total


@pytest.mark.parametrize("n_dimensions", [2, 3])
@pytest.mark.parametrize("init", ["kmeans++", "random"])
def test_mml_finds_the_clusters_where_each_component_starts_with_few_points(n_dimensions, init):
    """Ten clusters of 20 points, 60 components at the start: three points each."""
    rng = np.random.default_rng(3)
    means = 30.0 * np.array([[i % 4, i // 4, i % 3] for i in range(10)])[:, :n_dimensions]
    points = (means[:, None] + rng.normal(size=(10, 20, n_dimensions))).reshape(-1, n_dimensions)
    model = SparseGaussianMixture(60, prior="mml", init=init, random_state=0, background=False).fit(
        points
    )
    assert 9 <= model.n_components_ <= 12
    labels = model.predict(points).reshape(10, 20)
    assert len(set(labels[:, 0])) >= 9


CONTEXT = Context(sparsity=1.0, n_start=2, region=Box([[0.0, 0.0], [1.0, 1.0]]))


def test_an_instance_is_taken_as_it_is():
    penalty = NoPenalty()
    made = declaration_of(penalty).make(CONTEXT)
    assert isinstance(made, PenalisedLikelihood)
    assert made.penalty is penalty
    assert declaration_of(made).make(CONTEXT) is made


def test_an_unknown_prior_is_refused():
    with pytest.raises(ValueError, match="prior must be one of"):
        declaration_of("ridge")


@pytest.mark.parametrize("name", PRIORS)
def test_a_named_prior_declares_what_a_form_needs(name):
    declared = declaration_of(name)
    assert declared.label
    assert declared.help.endswith(".")
    assert declared.uses <= {
        parameter.name for parameter in vars(parameters).values() if hasattr(parameter, "help")
    }
    known = declared.make(CONTEXT).pseudo_points(np.ones(1), np.ones((1, 2, 2)))
    assert np.array_equal(known, [[0.0], [0.0]]) or name == "bayes"


@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
def test_a_prior_on_covariances_is_so_many_more_points(n_dimensions):
    """One component: its covariance in closed form, whatever the solver."""
    points = np.random.default_rng(0).normal(size=(40, n_dimensions))
    m, s = 7.0, 2.0
    scatter = 40 * np.cov(points.T, bias=True).reshape(n_dimensions, n_dimensions)
    expected = (scatter + m * s**2 * np.eye(n_dimensions)) / (40 + m)
    for solver in ("mm", "adam"):
        model = SparseGaussianMixture(
            1,
            prior="none",
            solver=solver,
            covariance_prior=m,
            typical_size=s,
            max_iter=2000,
            random_state=0,
            background=False,
        ).fit(points)
        found = model.covariances_[0]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
        strain = np.linalg.slogdet(found / s**2)[1] + np.trace(np.linalg.inv(found)) * s**2
        cost = -model.score(points) + m / 80 * (strain - n_dimensions)
        assert model.cost_ == pytest.approx(cost, abs=1e-5)


@pytest.mark.parametrize("of_weights", PENALTIES)
@pytest.mark.parametrize("noise", [None, 0.3])
def test_steps_under_a_prior_on_covariances_go_downhill(of_weights, noise):
    points = random_mixture(4, 2).sample(300, 0)[0]
    model = SparseGaussianMixture(
        12,
        prior=of_weights,
        covariance_prior=10.0,
        typical_size=3.0,
        random_state=0,
        background=False,
    ).fit(points, noise_std=noise)
    assert (np.diff(model.cost_history_) <= 1e-9).all()
    best = SparseGaussianMixture(
        prior=of_weights,
        covariance_prior=10.0,
        typical_size=3.0,
        init=model.mixture_,
        background=False,
    ).fit(points, noise_std=noise)
    assert best.cost_ == pytest.approx(model.cost_, abs=1e-4)


def test_the_typical_size_is_that_of_balls_that_fill_the_field():
    points = np.random.default_rng(0).uniform(0.0, 12.0**0.5, (100_000, 2))  # of variance 1
    model = SparseGaussianMixture(
        4, prior="none", covariance_prior=5.0, max_iter=1, background=False
    )
    for _ in model.iter_fit(points):
        pass
    assert model.prior_.covariance_prior.size == pytest.approx(0.5, rel=0.01)
    # Of weighted points, that of the points as often as they count.
    weight = np.where(points[:, 0] < 6.0**0.5 / 2**0.5, 1e-9, 1.0)
    for _ in model.iter_fit(points, sample_weight=weight):
        pass
    assert model.prior_.covariance_prior.size == pytest.approx(
        0.5 * np.sqrt((1 + 1 / 4) / 2), rel=0.01
    )


def test_needles_through_a_few_points_are_taken_away():
    points = np.random.default_rng(0).uniform(0.0, 10.0, (200, 2))
    thinnest = {}
    for m in (0.0, 5.0):
        model = SparseGaussianMixture(
            20, prior="none", covariance_prior=m, typical_size=1.0, random_state=0, background=False
        ).fit(points)
        std = np.sqrt(np.linalg.eigvalsh(model.covariances_))
        thinnest[m] = std.min()
    assert thinnest[0.0] < 0.2
    # No component of n points is thinner than sqrt(m / (n + m)).
    counts = model.weights_ * 200
    assert (std[:, 0] > 0.99 * np.sqrt(5.0 / (counts + 5.0))).all()
    assert thinnest[5.0] > 0.4


def test_a_prior_that_learns_its_own_takes_no_other():
    points = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(ValueError, match="leave covariance_prior at 0"):
        SparseGaussianMixture(prior="bayes", covariance_prior=1.0, background=True).fit(points)
