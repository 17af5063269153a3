import inspect
import pickle
import warnings

import numpy as np
import pytest
from oracles import hold, random_mixture
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from napari_sparse_gmm import FitStep, GaussianMixture, SparseGaussianMixture, parameters
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.fitting import SOLVERS
from napari_sparse_gmm.fitting.problem import Problem
from napari_sparse_gmm.objectives import NoPenalty, PenalisedLikelihood
from napari_sparse_gmm.parameters import Parameter


# Of 15 points in 30 dimensions, some of them repeated, births look at other boxes than of points
# with weights; see also `test_a_weight_of_2_is_the_point_twice`.
# The one check that is skipped, of array API input, needs SCIPY_ARRAY_API in the environment.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        SparseGaussianMixture(),
        SparseGaussianMixture(prior="mml"),
        SparseGaussianMixture(prior="sqrt", background=False),
        SparseGaussianMixture(solver="adam", max_iter=20, prior="sqrt", background=False),
    ],
)
def test_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return random_mixture(3, 2, background_weight=0.2, field=30.0, seed=5).sample(1500, 0)[0]


@pytest.fixture(scope="module")
def model(points) -> SparseGaussianMixture:
    return SparseGaussianMixture(10, background=True, random_state=0, prior="sqrt").fit(points)


def test_attributes_have_the_shapes_of_the_contract(model):
    k = model.n_components_
    assert model.weights_.shape == (k,)
    assert model.means_.shape == (k, 2)
    assert model.covariances_.shape == (k, 2, 2)
    assert isinstance(model.mixture_, GaussianMixture)
    assert model.weights_.sum() + model.background_weight_ == pytest.approx(1.0)
    assert len(model.cost_history_) == model.n_iter_ + 1
    assert model.cost_ == model.cost_history_[-1] == model.cost_history_.min()
    assert model.converged_
    assert model.engine_ in ("fused", "keops")
    assert model.engine_reason_.endswith(".")


def test_cost_is_the_formula(model, points):
    penalty = 20.0 / 10 * np.sqrt(model.weights_).sum()
    assert model.cost_ == pytest.approx(penalty - model.score(points), abs=1e-8)


def test_predictions_agree_with_the_mixture(model, points):
    probability = model.predict_proba(points)
    assert probability.shape == (len(points), model.n_components_ + 1)
    labels = model.predict(points)
    assert set(np.unique(labels)) == set(range(-1, model.n_components_))
    best = probability.argmax(1)
    np.testing.assert_array_equal(labels, np.where(best == model.n_components_, -1, best))
    np.testing.assert_allclose(model.score_samples(points), model.mixture_.log_density(points))


def test_outside_of_the_bounding_box_the_background_falls_off(model, points):
    """Its predictive density: against the integral over the limits that it may have."""
    n = model.background_weight_ * len(points)
    limits = np.linspace(0.0, 60.0 / n, 4001)  # beyond the outermost points, in sides of the box
    weight = (1.0 + limits[:, None] + limits) ** -(n + 2.0)  # n points and the prior
    t = 1.0 / n
    reached = limits[:, None] >= t
    ratio = (weight / (1.0 + limits[:, None] + limits) * reached).sum() / (
        weight / (1.0 + limits[:, None] + limits)
    ).sum()
    lower, upper = points.min(0), points.max(0)
    others = np.array([[upper[0] + t * (upper[0] - lower[0]), lower[1]], [300.0, 400.0], points[0]])
    log_density = model.score_samples(others)
    inside = model.mixture_.log_background_density
    assert log_density[0] - inside == pytest.approx(np.log(ratio), abs=0.02)
    np.testing.assert_array_equal(model.score_samples(others[1:]), log_density[1:])
    shares = model.predict_proba(others)
    np.testing.assert_allclose(shares.sum(1), 1.0)
    np.testing.assert_allclose(shares[:2, -1], 1.0)
    np.testing.assert_array_equal(model.predict(others)[:2], [-1, -1])
    assert model.score(others) == pytest.approx(log_density.mean())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_beside_a_component_the_background_adds_to_it(points):
    at_corner = GaussianMixture([0.7], [[30.0, 30.0]], np.eye(2)[None], 0.3, [[0, 0], [30, 30]])
    model = SparseGaussianMixture(1, background=True, init=at_corner, prior="none", max_iter=1)
    model.fit(at_corner.sample(1000, 0)[0])
    box, step = model.mixture_.background_region.box, np.array([0.5, 0.2])
    outside = box[1] + step
    own = np.exp(model.mixture_.log_density([outside])[0])
    decay = (1.0 + step / (box[1] - box[0])) ** -(1000 * model.background_weight_ + 1)
    behind = np.exp(model.mixture_.log_background_density) * decay.prod()
    assert np.exp(model.score_samples([outside])[0]) == pytest.approx(own + behind)
    share = model.predict_proba([outside])[0]
    np.testing.assert_allclose(share, [own / (own + behind), behind / (own + behind)])


def test_a_search_with_a_background_is_not_decided_by_points_at_the_border():
    rng = np.random.default_rng(0)
    centres = rng.permutation(np.repeat([[0.3, 0.3], [0.7, 0.7]], 150, axis=0))
    x = np.concatenate([centres + rng.normal(0.0, 0.02, centres.shape), rng.uniform(size=(200, 2))])
    estimator = SparseGaussianMixture(8, background=True, random_state=0, prior="sqrt")
    search = GridSearchCV(estimator, {"sparsity": [0.0, 1.0, 5.0, 20.0]}, cv=5)
    scores = search.fit(rng.permutation(x)).cv_results_["mean_test_score"]
    assert np.ptp(scores[:3]) < 1.0  # nats for a point; where 1 in 100 had no density, infinite
    assert search.best_params_["sparsity"] > 0


def test_outside_of_a_region_that_was_given_there_is_no_background(points):
    box = np.array([points.min(0), points.max(0)])
    model = SparseGaussianMixture(5, background=box, random_state=0, prior="sqrt").fit(points)
    far = box[1] + 1000.0
    assert model.score_samples([far])[0] < -1000.0


def test_samples_are_those_of_the_mixture(model):
    drawn, labels = model.sample(50_000)
    assert drawn.shape == (50_000, 2)
    shares = np.bincount(labels + 1, minlength=model.n_components_ + 1) / 50_000
    expected = np.append(model.background_weight_, model.weights_)
    np.testing.assert_allclose(shares, expected, atol=0.01)
    inside = drawn[model.mixture_.background_region.contains(drawn)]
    assert model.score(inside) == pytest.approx(model.mixture_.log_density(inside).mean())


def test_steps_are_progress_and_the_last_one_is_the_result(points):
    model = SparseGaussianMixture(10, random_state=0, prior="sqrt", background=False)
    steps = list(model.iter_fit(points))
    assert all(isinstance(step, FitStep) for step in steps)
    assert [step.iteration for step in steps] == list(range(len(steps)))
    assert steps[0].n_components == 10
    assert steps[-1].cost == model.cost_
    np.testing.assert_array_equal(steps[-1].mixture.means, model.means_)


def test_closing_the_steps_cancels_the_fit(points):
    model = SparseGaussianMixture(10, random_state=0, prior="sqrt", background=False)
    steps = model.iter_fit(points)
    next(steps)
    steps.close()
    assert not hasattr(model, "mixture_")


def test_stops_at_max_iter_and_says_what_to_do(points):
    model = SparseGaussianMixture(10, max_iter=3, random_state=0, prior="sqrt", background=False)
    with pytest.warns(ConvergenceWarning, match="raise max_iter or tol, or go on with warm_start"):
        model.fit(points)
    assert model.n_iter_ == 3
    assert not model.converged_


def test_warm_start_goes_on_from_the_last_solution(points):
    model = SparseGaussianMixture(
        10, max_iter=5, random_state=0, warm_start=True, prior="sqrt", background=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first = model.fit(points).cost_
        assert model.fit(points).cost_history_[0] == pytest.approx(first, abs=1e-9)
    assert model.cost_ < first


def test_warm_start_of_a_finished_fit_stays_where_it_is(points):
    """M of the prior is that of the first start, not the components that it left."""
    model = SparseGaussianMixture(
        10, random_state=0, warm_start=True, prior="sqrt", background=False
    ).fit(points)
    cost, k = model.cost_, model.n_components_
    assert k < 10
    model.fit(points)
    assert model.cost_history_[0] == pytest.approx(cost, abs=1e-9)
    assert model.n_components_ == k
    assert model.cost_ == pytest.approx(cost, abs=1e-4)


@pytest.mark.parametrize("background", [False, True])
def test_warm_start_has_the_background_that_is_asked_for(points, background):
    model = SparseGaussianMixture(8, background=not background, random_state=0, prior="sqrt").fit(
        points
    )
    model.set_params(background=background, warm_start=True).fit(points + 5.0)
    assert (model.background_weight_ > 0) == background
    if background:
        np.testing.assert_allclose(model.mixture_.background_region.box[0], points.min(0) + 5.0)


@pytest.mark.parametrize("solver", ["mm", "adam"])
def test_a_background_region_that_points_lie_outside_of(points, solver):
    box = np.stack([points.min(0), np.median(points, axis=0)])
    start = GaussianMixture([0.7], [points.mean(0)], [np.cov(points.T)], 0.3, box)
    problem = Problem(hold(points), PenalisedLikelihood(NoPenalty()), 1e-3, 1)
    state = next(SOLVERS[solver](problem, start, 1e-6))
    assert state.cost == pytest.approx(-start.log_density(points).mean(), abs=1e-5)


def test_a_cancelled_fit_leaves_a_fitted_estimator_as_it_was(points):
    model = SparseGaussianMixture(3, random_state=0, prior="sqrt", background=False).fit(points)
    before = model.predict(points)
    steps = model.iter_fit(np.random.default_rng(0).normal(size=(50, 3)))
    next(steps)
    steps.close()
    np.testing.assert_array_equal(model.predict(points), before)


def test_more_starts_are_no_worse(points):
    one = SparseGaussianMixture(
        6, init="random", prior="none", random_state=3, background=False
    ).fit(points)
    four = SparseGaussianMixture(
        6, init="random", prior="none", n_init=4, random_state=3, background=False
    ).fit(points)
    assert four.cost_ <= one.cost_


def test_given_means_are_one_start(points):
    model = SparseGaussianMixture(6, init=points[:6], n_init=3, prior="sqrt", background=False)
    assert {step.start for step in model.iter_fit(points)} == {0}


@pytest.mark.parametrize("init", ["kmeans++", "random"])
def test_same_seed_same_solution(points, init):
    first, second = (
        SparseGaussianMixture(8, init=init, random_state=1, prior="sqrt", background=False).fit(
            points
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.means_, second.means_)


def test_verbose_prints_progress(points, capsys):
    SparseGaussianMixture(5, random_state=0, verbose=10, prior="sqrt", background=False).fit(points)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("iteration    0  cost")
    assert lines[1].startswith("iteration   10  cost")


def test_quiet_by_default(points, capsys):
    SparseGaussianMixture(5, random_state=0, prior="sqrt", background=False).fit(points)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_works_in_a_pipeline_a_search_and_a_pickle(points):
    pipeline = make_pipeline(
        StandardScaler(), SparseGaussianMixture(prior="none", random_state=0, background=False)
    )
    search = GridSearchCV(pipeline, {"sparsegaussianmixture__n_components": [1, 5]}, cv=2)
    search.fit(points)
    assert search.best_params_ == {"sparsegaussianmixture__n_components": 5}
    fitted = search.best_estimator_
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(points), fitted.predict(points))
    assert clone(fitted[-1]).get_params() == fitted[-1].get_params()


def test_defaults_come_from_one_place():
    signature = inspect.signature(SparseGaussianMixture).parameters
    for value in vars(parameters).values():
        if isinstance(value, Parameter) and value.name in signature:
            assert signature[value.name].default == value.default


@pytest.mark.parametrize("prior", ["sqrt", "mml", "none", "bayes"])
def test_a_tolerance_of_zero_ends_too(points, prior):
    model = SparseGaussianMixture(
        3, tol=0.0, prior=prior, max_iter=50, random_state=0, background=False
    )
    assert sum(1 for _ in model.iter_fit(points)) < 2000


def test_a_start_below_the_floor_is_raised_to_it(points):
    model = SparseGaussianMixture(
        5, covariance_floor=1e-3, random_state=0, prior="sqrt", background=False
    ).fit(points)
    model.set_params(covariance_floor=1.0, warm_start=True).fit(points)
    assert np.linalg.eigvalsh(model.covariances_).min() >= 1.0 - 1e-9


def test_births_with_an_outlier_far_from_everything():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0, 1e-3, (5000, 2)), [[1e3, 1e3]]])
    model = SparseGaussianMixture(
        10, prior="mml", init="density", random_state=0, background=False
    ).fit(points)
    assert np.isfinite(model.cost_)


def three_clusters(rng):
    centres = np.array([[0.0, 0.0], [400.0, 100.0], [150.0, 500.0]])
    return (centres[:, None] + 18.0 * rng.standard_normal((3, 60, 2))).reshape(-1, 2)


@pytest.mark.parametrize("prior", ["mml", "bayes"])
@pytest.mark.parametrize("away", [2.0**31, 1e10])
def test_one_stray_point_makes_the_others_no_coarser(prior, away):
    points = three_clusters(np.random.default_rng(0))
    model = SparseGaussianMixture(20, prior=prior, background=True, random_state=0)
    model.fit(np.vstack([points, [[away, away]]]))
    assert model.n_components_ == 3
    sizes = np.sqrt(np.diagonal(model.covariances_, axis1=1, axis2=2))
    np.testing.assert_allclose(sizes, 18.0, rtol=0.3)


@pytest.mark.parametrize("prior", ["sqrt", "mml", "bayes"])
def test_an_axis_in_another_unit_does_not_widen_the_others(prior):
    """The distances between points are then those along that axis, wider than a cluster is."""
    units = np.array([300.0, 1.0, 1.0])
    points = units * 18.0 * np.random.default_rng(1).standard_normal((200, 3))
    model = SparseGaussianMixture(1, prior=prior, random_state=0, background=False).fit(points)
    expected = np.cov(points.T, bias=True) / np.multiply.outer(units, units)
    found = model.covariances_[0] / np.multiply.outer(units, units)
    np.testing.assert_allclose(found, expected, atol=0.05 * 18.0**2)


def test_density_needs_moves(points):
    with pytest.raises(InputError, match="init='density' finds its components by moves"):
        SparseGaussianMixture(5, init="density", solver="adam", prior="sqrt", background=False).fit(
            points
        )


@pytest.mark.parametrize("n_components", [12, 300])
def test_small_clusters_are_found_however_many_are_allowed(n_components):
    """Eight clusters of 40 points in 20,000: what is found does not hang on the size of blocks."""
    rng = np.random.default_rng(3)
    centres = rng.random((8, 2))
    clusters = centres.repeat(40, axis=0) + rng.normal(0, 8e-4, (320, 2))
    points = np.concatenate([rng.random((20_000, 2)), clusters])
    model = SparseGaussianMixture(
        n_components, prior="mml", background=True, init="density", random_state=0
    ).fit(points)
    assert model.n_components_ == 8


def test_a_background_is_compared_on_points_that_it_was_not_fitted_to() -> None:
    """Points that lie a little outside of the fitted ones have a density, and a search prefers the
    background where there is one, and none where there is none.
    """
    rng = np.random.default_rng(0)
    scattered = rng.uniform(0.0, 100.0, (240, 2))
    clusters = rng.uniform(20.0, 80.0, (4, 2)).repeat(40, axis=0) + rng.standard_normal((160, 2))
    with_scattered = rng.permutation(np.concatenate([scattered, clusters]))
    model = SparseGaussianMixture(random_state=0)
    assert np.isfinite(cross_val_score(model, with_scattered, cv=5)).all()
    for points, expected in ((with_scattered, True), (rng.permutation(clusters), False)):
        search = GridSearchCV(model, {"background": [True, False]}, cv=5).fit(points)
        assert search.best_params_["background"] is expected
