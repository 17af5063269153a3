"""Clusters of several kinds: the bound, the search, and what is told of them."""

import numpy as np
import pytest
from oracles import hold, random_mixture
from scipy import stats

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.components import component_table
from napari_sparse_gmm.fitting.problem import Problem
from napari_sparse_gmm.objectives import Kinds, VariationalPoisson

NARROW = VariationalPoisson(2, 4e6, 10.0, shape=3.0, rate=0.2, degrees=12.0, scale=12 * 25.0**2)
WIDE = VariationalPoisson(2, 4e6, 10.0, shape=3.0, rate=0.02, degrees=12.0, scale=12 * 75.0**2)


def two_kinds(seed: int, counts=(15, 135), sigmas=(25.0, 75.0)) -> tuple[np.ndarray, np.ndarray]:
    """Ten clusters of 15 points and 25 nm, ten of 135 and 75, and as many points scattered; and
    the kind of each point.
    """
    rng = np.random.default_rng(seed)
    counts, sigmas = np.repeat(counts, 10), np.repeat(sigmas, 10)
    means = rng.uniform(200.0, 1800.0, (20, 2))
    kind = np.repeat(np.repeat([0, 1], 10), counts)
    points = np.repeat(means, counts, axis=0)
    points += np.repeat(sigmas, counts)[:, None] * rng.standard_normal(points.shape)
    scattered = rng.uniform(0.0, 2000.0, points.shape)
    return np.concatenate([points, scattered]), np.append(kind, np.full(len(points), -1))


@pytest.fixture(scope="module")
def fitted() -> tuple[SparseGaussianMixture, np.ndarray]:
    points = two_kinds(0)[0]
    return SparseGaussianMixture(random_state=0).fit(points), points


def test_one_kind_is_the_same_as_none():
    points = random_mixture(6, 2, background_weight=0.3, field=2000.0, seed=1).sample(400, 0)[0]
    mixture = random_mixture(6, 2, background_weight=0.3, field=2000.0, sigma=40.0, seed=1)
    problem = Problem(hold(points), NARROW, 1e-9, 6)
    alone, of_one = problem.evaluate(mixture, NARROW), problem.evaluate(mixture, Kinds((NARROW,)))
    assert of_one.cost == pytest.approx(alone.cost, rel=1e-12)
    np.testing.assert_allclose(of_one.statistics.counts, alone.statistics.counts)


@pytest.mark.parametrize("sigma", [15.0, 30.0, 45.0, 60.0, 90.0])
@pytest.mark.parametrize("n", [8, 40, 200])
def test_a_cluster_is_of_the_kind_of_more_evidence(sigma, n):
    """Of one cluster the bound is the evidence (test_bayes)."""
    points = sigma * np.random.default_rng(n).standard_normal((n, 2))
    centred = points - points.mean(0)
    scatter = (centred.T @ centred)[None]
    counts, costs, covariances = np.array([float(n)]), [], []
    for kind in (NARROW, WIDE):
        covariances.append(kind.updated_covariances(counts, scatter))
        mixture = GaussianMixture([1.0], points.mean(0)[None], covariances[-1])
        costs.append(n * Problem(hold(points), kind, 1e-9, 1).evaluate(mixture).cost)
    better = int(np.argmin(costs))
    kinds = Kinds((NARROW, WIDE))
    updated = kinds.updated_covariances(counts, scatter)
    np.testing.assert_allclose(updated, covariances[better])
    assert kinds.of(counts, updated).tolist() == [better]
    share = kinds.probabilities(counts, updated)
    assert share.sum() == pytest.approx(1.0)
    assert share.argmax() == better


def test_hyperparameters_of_each_kind_are_learnt():
    """From 2000 clusters drawn with known ones."""
    rng = np.random.default_rng(1)
    counts, covariances = [], []
    for kind in (NARROW, WIDE):
        n = rng.poisson(rng.gamma(kind.shape, 1.0 / kind.rate, 1000)).astype(float)
        wishart = stats.invwishart(kind.degrees, kind.scale * np.eye(2))
        drawn = wishart.rvs(len(n), random_state=1)
        seen = [
            np.cov(rng.multivariate_normal([0, 0], c, int(m)).T, bias=True) * m
            for c, m in zip(drawn[n > 5], n[n > 5], strict=True)
        ]
        counts.append(n[n > 5])
        covariances.append(kind.updated_covariances(n[n > 5], np.array(seen)))
    learnt = Kinds((NARROW, WIDE)).learnt(np.concatenate(counts), np.concatenate(covariances))
    assert isinstance(learnt, Kinds)
    for kind, drawn, n in zip(learnt.kinds, (NARROW, WIDE), counts, strict=True):
        assert kind.number == pytest.approx(len(n), rel=0.05)
        assert kind.shape / kind.rate == pytest.approx(n.mean(), rel=0.1)
        size = (drawn.scale / drawn.degrees) ** 0.5
        assert (kind.scale / kind.degrees) ** 0.5 == pytest.approx(size, rel=0.1)


def test_a_kind_of_one_cluster_goes():
    counts, covariances = np.array([15.0] * 8 + [140.0]), 25.0**2 * np.tile(np.eye(2), (9, 1, 1))
    covariances[8] *= 9.0
    learnt = Kinds((NARROW, WIDE)).learnt(counts, covariances)
    assert isinstance(learnt, VariationalPoisson)
    assert learnt.number == 9
    assert isinstance(Kinds((NARROW, WIDE)).learnt(counts[:0], covariances[:0]), VariationalPoisson)


@pytest.mark.parametrize("seed", range(3))
def test_two_kinds_are_found(seed):
    points, kind = two_kinds(seed)
    model = SparseGaussianMixture(random_state=0).fit(points)
    assert isinstance(model.prior_, Kinds)
    narrow, wide = model.prior_.kinds[0], model.prior_.kinds[-1]
    assert (narrow.scale / narrow.degrees) ** 0.5 == pytest.approx(25.0, rel=0.3)
    assert (wide.scale / wide.degrees) ** 0.5 == pytest.approx(75.0, rel=0.15)
    found = model.evidence(points)
    labels = model.predict(points)
    of_clusters = (kind >= 0) & (labels >= 0)
    last = found.kinds[labels[of_clusters]] == len(model.prior_.kinds) - 1
    assert np.mean(last == (kind[of_clusters] == 1)) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_alike_clusters_are_of_one_kind(seed):
    points = two_kinds(seed, (15, 15), (25.0, 25.0))[0]
    assert isinstance(SparseGaussianMixture(random_state=0).fit(points).prior_, VariationalPoisson)


def test_the_cost_never_rises(fitted):
    model, _ = fitted
    assert isinstance(model.prior_, Kinds)
    assert (np.diff(model.cost_history_) <= 1e-9).all()


def test_a_warm_start_goes_on_with_the_kinds(fitted):
    model, points = fitted
    cost = model.cost_
    again = SparseGaussianMixture(random_state=0, warm_start=True).fit(points).fit(points)
    assert again.cost_ <= cost + 1e-9
    assert isinstance(again.prior_, Kinds)
    assert again.n_iter_ < model.n_iter_


def test_kinds_with_a_precision(fitted):
    points = fitted[1]
    std = np.full(len(points), 12.0)
    noisy = points + std[:, None] * np.random.default_rng(0).standard_normal(points.shape)
    model = SparseGaussianMixture(random_state=0, repeats=1.0).fit(noisy, noise_std=std)
    assert isinstance(model.prior_, Kinds)
    wide = model.prior_.kinds[-1]
    assert (wide.scale / wide.degrees) ** 0.5 == pytest.approx(75.0, rel=0.15)


def test_the_table_says_the_kind(fitted):
    model, points = fitted
    found = model.evidence(points)
    table = component_table(model.mixture_, len(points), ("y", "x"), evidence=found)
    assert set(table["kind"]) == set(range(len(model.prior_.kinds)))
    assert ((table["kind_probability"] > 0.3) & (table["kind_probability"] <= 1.0)).all()
    sizes = [np.median(table["std_major"][table["kind"] == kind]) for kind in set(table["kind"])]
    assert (np.diff(sizes) > 0).all()
