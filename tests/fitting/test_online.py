"""Points that come in batches: once, or again and again."""

import numpy as np
import pytest
from oracles import random_mixture

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.engines import Statistics, TorchTiles
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.fitting.online import about
from napari_sparse_gmm.fitting.problem import Problem
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Box

MEANS = np.array([[20.0, 20.0], [20.0, 80.0], [50.0, 50.0], [80.0, 30.0], [85.0, 85.0]])


def batch(k, n=600, means=MEANS, d=2):
    rng = np.random.default_rng(k)
    own = means[:, :d]
    clustered = own[rng.integers(len(own), size=n)] + 2.0 * rng.standard_normal((n, d))
    return np.concatenate([clustered, rng.uniform(0, 100, (n // 4, d))])


def cost_of_all(model, points, objective):
    """The cost of a model on all points under its own prior."""
    problem = Problem(TorchTiles(Observations(points), dtype=np.float64), objective, 1e-3, 100)
    return problem.evaluate(model.mixture_, objective).cost


def test_statistics_about_other_means_are_those_of_the_points():
    mixture = random_mixture(6, 2, background_weight=0.1, field=50.0, sigma=5.0)
    points = mixture.sample(500, 0)[0]
    statistics = TorchTiles(Observations(points), dtype=np.float64).expectation(mixture)
    r = mixture.responsibilities(points)[:, :6]
    moved = np.random.default_rng(0).normal(0.0, 2.0, (6, 2))
    found = about(statistics, moved)
    apart = points[:, None] - (mixture.means + moved)  # (N, K, D)
    np.testing.assert_allclose(found.shifts, np.einsum("ij,ijk->jk", r, apart), atol=1e-6)
    scatters = np.einsum("ij,ijk,ijl->jkl", r, apart, apart)
    np.testing.assert_allclose(found.scatters, scatters, atol=1e-5)


@pytest.mark.parametrize("prior", ["bayes", "mml", "none"])
@pytest.mark.parametrize("noise", [None, 0.5], ids=["exact", "noisy"])
def test_batches_that_come_again_end_where_a_fit_of_all_does(prior, noise):
    """At a point that a step on all points at once does not leave."""
    batches = [batch(k) for k in range(4)]
    points = np.concatenate(batches)
    model = SparseGaussianMixture(
        5,
        prior=prior,
        init=MEANS,
        covariance_floor=1e-3,
        covariance_type="full",
        repeats=1.0,
        random_state=0,
    )
    for _ in range(60):
        for k, own in enumerate(batches):
            model.partial_fit(own, noise_std=noise, batch=k)
    again = SparseGaussianMixture(
        5,
        prior=model.prior_,
        init=model.mixture_,
        background=Box(model.mixture_.background_region.box, len(points)),
        covariance_floor=1e-3,
        covariance_type="full",
        repeats=1.0,
        smooth_background=False,
        tol=1e-12,
        random_state=0,
    ).fit(points, noise_std=noise)
    assert model.n_components_ == again.n_components_ == 5
    np.testing.assert_allclose(model.means_, again.means_, atol=1e-3)
    np.testing.assert_allclose(model.weights_, again.weights_, atol=1e-5)
    np.testing.assert_allclose(model.covariances_, again.covariances_, atol=1e-2)


def test_what_a_batch_said_before_is_replaced():
    batches = [batch(k) for k in range(3)]
    model = SparseGaussianMixture(prior="mml", random_state=0)
    for _ in range(5):
        for k, own in enumerate(batches):
            model.partial_fit(own, batch=k)
    assert model._online.total_weight == pytest.approx(sum(map(len, batches)))
    costs = model.cost_history_
    assert np.ptp(costs[-3:]) < 1e-3
    assert len(costs) == model.n_iter_ == 15


def test_a_stream_is_learnt_better_than_its_first_batch():
    model = SparseGaussianMixture(prior="mml", random_state=0)
    held_out = np.concatenate([batch(1000 + k) for k in range(5)])
    model.partial_fit(batch(0))
    first = model.score(held_out)
    for k in range(1, 40):
        model.partial_fit(batch(k))
    whole = SparseGaussianMixture(prior="mml", random_state=0)
    whole.fit(np.concatenate([batch(k) for k in range(40)]))
    assert model.n_components_ == whole.n_components_ == 5
    assert model.score(held_out) > first
    assert model.score(held_out) == pytest.approx(whole.score(held_out), abs=5e-3)
    order = np.lexsort(model.means_.T)
    np.testing.assert_allclose(
        model.means_[order], whole.means_[np.lexsort(whole.means_.T)], atol=0.3
    )


def test_a_cluster_that_comes_later_is_born():
    model = SparseGaussianMixture(prior="mml", random_state=0)
    for k in range(5):
        model.partial_fit(batch(k, means=MEANS[:3]))
    assert model.n_components_ == 3
    for k in range(5, 20):
        model.partial_fit(batch(k))
    assert model.n_components_ == 5
    away = np.linalg.norm(model.means_[:, None] - MEANS, axis=2).min(0)
    assert (away < 1.0).all()


def test_the_background_reaches_as_far_as_the_points():
    model = SparseGaussianMixture(prior="mml", random_state=0)
    model.partial_fit(batch(0))
    wider = np.concatenate([batch(1), [[150.0, -40.0]]])
    model.partial_fit(wider)
    assert model.mixture_.background_region.contains(wider).all()
    assert np.isfinite(model.cost_)


@pytest.mark.parametrize("d", [1, 3])
def test_weights_and_dimensions(d):
    means = np.column_stack([MEANS, MEANS[:, 0]])
    model = SparseGaussianMixture(prior="mml", random_state=0)
    for k in range(3):
        own = batch(k, means=means, d=d)
        model.partial_fit(own, sample_weight=np.full(len(own), 2.0))
    assert model.mixture_.n_dimensions == d
    assert model._online.total_weight * model.repeats_ == pytest.approx(3 * 2 * 750)
    assert model.weights_.sum() + model.background_weight_ == pytest.approx(1.0)


def test_a_fit_begins_anew():
    model = SparseGaussianMixture(prior="mml", random_state=0)
    model.partial_fit(batch(0)).fit(batch(1))
    alone = SparseGaussianMixture(prior="mml", random_state=0).fit(batch(1))
    assert model.cost_ == alone.cost_
    model.partial_fit(batch(2))
    assert model.n_iter_ == 1


def test_what_cannot_be_learnt_is_said():
    model = SparseGaussianMixture(prior="mml", random_state=0).partial_fit(batch(0))
    with pytest.raises(InputError, match="Give all batches a name, or none"):
        model.partial_fit(batch(1), batch="b")
    with pytest.raises(InputError, match="noise_std for all batches, or for none"):
        model.partial_fit(batch(1), noise_std=1.0)
    with pytest.raises(InputError, match="X has 3 features, but SparseGaussian"):
        model.partial_fit(np.zeros((5, 3)) + np.arange(5)[:, None])
    within = SparseGaussianMixture(background=Box([[-20, -20], [120, 120]]), random_state=0)
    within.partial_fit(batch(0))
    with pytest.raises(InputError, match="1 of the 3 points of a batch lie outside of the region"):
        within.partial_fit([[0.0, 0.0], [1.0, 1.0], [500.0, 0.0]])
    assert not hasattr(SparseGaussianMixture(prior="none", solver="adam"), "partial_fit")


def test_statistics_are_kept_of_components_that_are_left():
    """Those that vanish take theirs along; what is left still says how many points there were."""
    model = SparseGaussianMixture(prior="mml", init="density", random_state=0)
    for k in range(6):
        model.partial_fit(batch(k), batch=k)
    known = Statistics.joining(list(model._online._known.values()))
    assert len(known.counts) == model.n_components_
    assert known.counts.sum() + known.background_count == pytest.approx(6 * 750, rel=1e-3)
