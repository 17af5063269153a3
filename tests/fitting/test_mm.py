import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import hold, random_mixture, tutorial_spiral
from sklearn.mixture import GaussianMixture as ScikitLearnMixture

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.fitting import (
    FitSettings,
    fit_steps,
    mm,
    open_engine,
)
from napari_sparse_gmm.fitting.initial import box_side, start_mixture
from napari_sparse_gmm.fitting.problem import Problem
from napari_sparse_gmm.fitting.step import raise_eigenvalues
from napari_sparse_gmm.objectives import NoPenalty, PenalisedLikelihood, WeightPenalty
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.samples import smlm_clusters


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31),
    n_dimensions=st.integers(1, 3),
    n_points=st.integers(10, 400),
    n_start=st.integers(1, 12),
    sparsity=st.floats(0, 100),
    background=st.booleans(),
    weighted=st.booleans(),
    noise=st.sampled_from([0.0, 0.3, 3.0]),
    init=st.sampled_from(["kmeans++", "random"]),
    decimals=st.sampled_from([0, 1, 12]),
)
@pytest.mark.parametrize("prior", ["sqrt", "mml", "none", "bayes"])
def test_cost_never_rises(
    prior,
    seed,
    n_dimensions,
    n_points,
    n_start,
    sparsity,
    background,
    weighted,
    noise,
    init,
    decimals,
):
    """Rounded coordinates put many points in one place: components shrink to the floor there."""
    rng = np.random.default_rng(seed)
    mixture = random_mixture(4, n_dimensions, background_weight=0.2, seed=seed)
    points = mixture.sample(n_points, rng)[0].round(decimals)
    chosen = FitSettings(
        n_components=n_start,
        sparsity=sparsity,
        prior=prior,
        background=background,
        init=init,
        max_iter=60,
        rng=rng,
    )
    weight = rng.uniform(0.1, 3.0, n_points) if weighted else None
    variances = (noise * rng.lognormal(0.0, 0.7, points.shape)) ** 2 if noise else None
    seen = Observations(points, weight, variances)
    steps = list(fit_steps(open_engine(seen, chosen), chosen))
    for start in range(steps[-1].start + 1):
        costs = np.array([step.cost for step in steps if step.start == start])
        assert np.isfinite(costs).all()
        assert (np.diff(costs) <= 1e-6 * np.abs(costs[:-1])).all()


def test_maximum_likelihood_is_scikit_learns():
    truth = random_mixture(3, 2, field=15.0, seed=3)
    points = truth.sample(2000, 0)[0]
    start = points[:3]
    sigma = box_side(np.stack([points.min(0), points.max(0)])) / 15
    theirs = ScikitLearnMixture(
        3,
        means_init=start,
        weights_init=np.full(3, 1 / 3),
        precisions_init=np.broadcast_to(np.eye(2) / sigma**2, (3, 2, 2)),
        reg_covar=0,
        tol=1e-10,
        max_iter=2000,
    ).fit(points)
    ours = SparseGaussianMixture(
        3, prior="none", sparsity=0, init=start, tol=1e-10, max_iter=2000, background=False
    ).fit(points)
    order, their_order = np.argsort(ours.means_[:, 0]), np.argsort(theirs.means_[:, 0])
    np.testing.assert_allclose(ours.weights_[order], theirs.weights_[their_order], atol=1e-4)
    np.testing.assert_allclose(ours.means_[order], theirs.means_[their_order], atol=1e-3)
    np.testing.assert_allclose(
        ours.covariances_[order], theirs.covariances_[their_order], atol=2e-3
    )
    np.testing.assert_allclose(ours.score_samples(points), theirs.score_samples(points), atol=1e-3)
    assert ours.bic(points) == pytest.approx(theirs.bic(points), rel=1e-6)
    assert ours.aic(points) == pytest.approx(theirs.aic(points), rel=1e-6)


@pytest.mark.parametrize("engine", ["torch", "keops"])
def test_both_engines_find_the_same(engine):
    points = tutorial_spiral(3000)
    model = SparseGaussianMixture(
        20, engine=engine, random_state=0, prior="sqrt", background=False
    ).fit(points)
    reference = SparseGaussianMixture(
        20, engine="torch", random_state=0, prior="sqrt", background=False
    ).fit(points)
    assert model.engine_ == engine
    assert model.n_components_ == reference.n_components_
    assert model.cost_ == pytest.approx(reference.cost_, abs=1e-4)


@pytest.mark.parametrize("prior", ["sqrt", "mml"])
@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
def test_separate_clusters_are_found_without_being_counted(prior, n_dimensions):
    rng = np.random.default_rng(0)
    centres = 10.0 * np.indices((2,) * n_dimensions).reshape(n_dimensions, -1).T
    points = np.concatenate([rng.normal(c, 0.5, (300, n_dimensions)) for c in centres])
    model = SparseGaussianMixture(
        20, prior=prior, max_iter=2000, random_state=0, background=False
    ).fit(points)
    assert (model.weights_ > 0.02).sum() == len(centres)
    nearest = np.linalg.norm(model.means_[:, None] - centres, axis=2).min(0)
    assert nearest.max() < 0.3


def test_message_length_counts_clusters_in_noise_whatever_the_start():
    sample = smlm_clusters()
    for n_start in (30, 60):
        model = SparseGaussianMixture(
            n_start, prior="mml", background=True, max_iter=1000, random_state=0
        ).fit(sample.points)
        assert 14 <= model.n_components_ <= 22  # 20 clusters, of which some overlap
        assert model.background_weight_ == pytest.approx(0.5, abs=0.12)


def test_background_takes_the_scattered_points():
    truth = random_mixture(3, 2, background_weight=0.4, field=40.0, seed=5)
    points = truth.sample(4000, 0)[0]
    model = SparseGaussianMixture(10, prior="mml", background=True, random_state=0).fit(points)
    assert model.background_weight_ == pytest.approx(0.4, abs=0.04)
    assert (model.predict(points) == -1).mean() == pytest.approx(0.4, abs=0.05)


def test_weights_of_two_are_points_twice():
    points = random_mixture(3, 2).sample(500, 0)[0]
    weight = np.random.default_rng(0).integers(0, 3, 500)
    weighted = SparseGaussianMixture(8, random_state=0, prior="sqrt", background=False).fit(
        points, sample_weight=weight
    )
    repeated = SparseGaussianMixture(8, random_state=0, prior="sqrt", background=False).fit(
        points.repeat(weight, axis=0)
    )
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-6)
    assert weighted.cost_ == pytest.approx(repeated.cost_, rel=1e-8)


@pytest.mark.parametrize("factor", [1.0, 1.5, 3.0])
def test_over_relaxed_weights_and_means(factor):
    old, new = two_mixtures()
    relaxed = mm.relaxed(nothing_to_fit(), old, new, factor)
    np.testing.assert_allclose(relaxed.means, old.means + factor * (new.means - old.means))
    a, b = (np.append(m.weights, m.background_weight) for m in (old, new))
    power = a * (b / a) ** factor
    np.testing.assert_allclose(
        np.append(relaxed.weights, relaxed.background_weight), power / power.sum()
    )


def test_an_over_relaxed_covariance_is_a_geodesic_away():
    """Twice as far as B from A is B A^-1 B."""
    old, new = two_mixtures()
    relaxed = mm.relaxed(nothing_to_fit(), old, new, 2.0)
    for a, b, c in zip(old.covariances, new.covariances, relaxed.covariances, strict=True):
        np.testing.assert_allclose(c, b @ np.linalg.inv(a) @ b, rtol=1e-10)


@pytest.mark.parametrize("ratio", [1e2, 1e6, 1e12])
def test_over_relaxation_has_a_limit(ratio):
    old, _ = two_mixtures()
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    thin = np.tile(turn @ np.diag([ratio**0.5, ratio**-0.5]) @ turn.T, (3, 1, 1))
    new = GaussianMixture(old.weights, old.means, thin, 0.1, old.background_region)
    relaxed = mm.relaxed(nothing_to_fit(), old, new, 8.0)
    values = np.linalg.eigvalsh(relaxed.covariances)
    assert (values[:, 1] <= 10.1 * ratio**0.5 * 2).all()
    assert (values[:, 0] >= 0.999e-3**2).all()


def two_mixtures():
    """The first and the second of two steps, each of three components and a background."""
    rng = np.random.default_rng(0)

    def mixture(weights, background):
        roots = rng.normal(size=(3, 2, 2))
        return GaussianMixture(
            weights,
            rng.normal(size=(3, 2)),
            np.eye(2) + 0.1 * roots @ roots.swapaxes(1, 2),
            background,
            [[-9, -9], [9, 9]],
        )

    return mixture([0.2, 0.3, 0.4], 0.1), mixture([0.3, 0.35, 0.25], 0.1)


def nothing_to_fit():
    return Problem(
        hold(np.zeros((10, 2)) + np.arange(10)[:, None]), PenalisedLikelihood(NoPenalty()), 1e-3, 3
    )


def test_over_relaxation_takes_fewer_steps_and_ends_as_low():
    """Two broad components that overlap: EM is slow there."""
    rng = np.random.default_rng(0)
    points = rng.normal(np.repeat([[0.0, 0.0], [1.5, 0.0]], 1500, axis=0))
    start = GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [3.0, 0.0]], [np.eye(2)] * 2)
    problem = Problem(hold(points), PenalisedLikelihood(NoPenalty()), 1e-3, 2)

    def descent(furthest):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mm, "_FURTHEST", furthest)
            return [s.cost for s in mm.descend(problem, problem.evaluate(start), 1e-7)]

    plain, faster = descent(1.0), descent(mm._FURTHEST)
    assert len(faster) < 0.6 * len(plain)
    assert faster[-1] < plain[-1] + 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_a_descent_ends_only_where_a_step_of_em_gains_little(seed):
    mixture = random_mixture(4, 2, field=5.0, seed=seed)
    points = mixture.sample(200, seed)[0]
    problem = Problem(hold(points), PenalisedLikelihood(NoPenalty()), 1e-3, 6)
    start = start_mixture(
        problem.engine,
        "random",
        6,
        floor=np.full(2, 1e-3),
        region=None,
        rng=np.random.default_rng(seed),
    )
    *_, last = mm.descend(problem, problem.evaluate(start), 1e-5)
    assert last.cost - problem.evaluate(*mm.m_step(problem, last)).cost < 1e-5


def test_raised_eigenvalues():
    covariances = np.stack([np.diag([4.0, 1e-9]), np.array([[2.0, 0.5], [0.5, 1.0]])])
    raised = raise_eigenvalues(covariances, 0.01)
    np.testing.assert_allclose(raised[0], np.diag([4.0, 0.01]))
    np.testing.assert_array_equal(raised[1], covariances[1])


def test_no_component_is_smaller_than_the_floor():
    points = np.repeat(np.random.default_rng(0).normal(size=(20, 2)), 30, axis=0)
    model = SparseGaussianMixture(
        20, prior="none", covariance_floor=0.05, random_state=0, background=False
    ).fit(points)
    assert np.linalg.eigvalsh(model.covariances_).min() == pytest.approx(0.05**2)


def test_a_penalty_of_your_own_needs_only_its_gradient():
    class Logarithmic(WeightPenalty):
        """0.05 sum_j log(1 + 1000 W_j)."""

        def penalties(self, weights, total):
            return 0.05 * np.log1p(1e3 * weights)

        def gradient(self, weights, total):
            return 0.05 / (weights + 1e-3)

    points = random_mixture(3, 2, field=30.0, seed=5).sample(600, 0)[0]
    model = SparseGaussianMixture(10, prior=Logarithmic(), random_state=0, background=False).fit(
        points
    )
    assert (np.diff(model.cost_history_) <= 1e-6).all()
    assert model.n_components_ < 10
