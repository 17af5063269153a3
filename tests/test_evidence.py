"""Bayes factors of components: a bound that holds among scattered points, and what they say of
clusters.
"""

import numpy as np
import pytest
from scipy.special import gammaln

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.density_model import DensityModel, part_of
from napari_sparse_gmm.io.models import load_model, save_model


def field(seed: int, n_each: int, n_clusters: int = 20, n_scattered: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(100.0, 1900.0, (n_clusters, 2)).repeat(n_each, axis=0)
    clustered = centres + 25.0 * rng.standard_normal(centres.shape)
    return np.concatenate([clustered, rng.uniform(0.0, 2000.0, (n_scattered, 2))])


def test_among_scattered_points_hardly_anything_is_sure() -> None:
    """The bound of Markov: a Bayes factor of 20 in one field of twenty at most."""
    of_fields, of_components = [], []
    for seed in range(40):
        n = (200, 400, 1000, 2000)[seed % 4]
        points = np.random.default_rng(seed).uniform(0.0, 2000.0, (n, 2))
        model = SparseGaussianMixture(random_state=0).fit(points)
        found = model.evidence(points)
        of_fields.append(found.field)
        of_components += found.components.tolist()
    assert np.mean(np.array(of_fields) > np.log10(20.0)) <= 0.05
    assert np.mean(np.array(of_fields) > 0.0) <= 0.2
    assert sum(value > np.log10(19.0) for value in of_components) <= 2


def test_clusters_of_more_points_are_surer() -> None:
    medians = []
    for n_each in (5, 10, 20, 40):
        points = field(0, n_each)
        model = SparseGaussianMixture(random_state=0).fit(points)
        medians.append(float(np.median(model.evidence(points).components)))
    assert (np.diff(medians) > 0).all()
    assert medians[0] < 3.0
    assert medians[-1] > 15.0


def test_the_field_has_about_the_evidence_of_its_clusters_together() -> None:
    points = field(1, 20)
    model = SparseGaussianMixture(random_state=0).fit(points)
    found = model.evidence(points)
    assert found.field == pytest.approx(found.components.sum(), rel=0.15)


def test_one_cluster_has_the_evidence_of_the_closed_form() -> None:
    """A single far cluster: the evidence of its points under Normal and inverse Wishart with the
    learnt hyperparameters (Murphy, Conjugate Bayesian analysis of the Gaussian, 2007, eq. 266),
    against as many points of the background.
    """
    rng = np.random.default_rng(3)
    n = 60
    own = [1500.0, 500.0] + 20.0 * rng.standard_normal((n, 2))
    points = np.concatenate([own, rng.uniform(0.0, 2000.0, (200, 2))])
    model = SparseGaussianMixture(random_state=0).fit(points)
    assert model.n_components_ == 1
    prior, d = model.prior_, 2
    nu, psi, a, b = prior.degrees, prior.scale, prior.shape, prior.rate
    scatter = (own - own.mean(0)).T @ (own - own.mean(0))
    v = nu + n - 1

    def log_multigamma(x: float) -> float:
        return float(gammaln(x) + gammaln(x - 0.5))

    log_sizes = (
        0.5 * nu * d * np.log(psi)
        - 0.5 * v * np.linalg.slogdet(psi * np.eye(d) + scatter)[1]
        + log_multigamma(0.5 * v)
        - log_multigamma(0.5 * nu)
    )
    log_places = -0.5 * (n - 1) * d * np.log(np.pi) - 0.5 * d * np.log(n) - np.log(prior.volume)
    log_numbers = a * np.log(b) - gammaln(a) + gammaln(a + n) - (a + n) * np.log1p(b)
    intensity = model.background_weight_ * len(points) / prior.volume
    log_cluster = np.log(prior.number) + log_sizes + log_places + log_numbers
    expected = (log_cluster - n * np.log(intensity)) / np.log(10.0)
    # Of the scattered points one or two lie in the cluster, and the bound is a little lower.
    assert model.evidence(points).components[0] == pytest.approx(expected, abs=1.0)


def test_neither_unit_nor_repeats_of_points_matter() -> None:
    points = field(2, 15)
    model = SparseGaussianMixture(random_state=0, repeats=1.0).fit(points)
    found = model.evidence(points)
    smaller = SparseGaussianMixture(random_state=0, repeats=1.0).fit(1e-9 * points)
    np.testing.assert_allclose(
        np.sort(smaller.evidence(1e-9 * points).components), np.sort(found.components), atol=1e-2
    )
    thrice = np.repeat(points, 3, axis=0)
    again = SparseGaussianMixture(random_state=0, repeats=3.0).fit(thrice)
    np.testing.assert_allclose(again.evidence(thrice).components, found.components, rtol=1e-6)


@pytest.mark.parametrize("prior", ["sqrt", "mml", "none"])
def test_the_cost_of_other_priors_is_no_evidence(prior: str) -> None:
    points = field(2, 15)
    assert SparseGaussianMixture(5, prior=prior).fit(points).evidence(points) is None


def test_without_a_background_there_is_nothing_to_compare_the_field_with() -> None:
    points = field(2, 15)
    model = SparseGaussianMixture(background=False, random_state=0).fit(points)
    found = model.evidence(points)
    assert np.isnan(found.field)
    assert len(found.components) == model.n_components_


def test_models_keep_it(tmp_path) -> None:
    points = field(2, 15)
    estimator = SparseGaussianMixture(random_state=0).fit(points)
    model = DensityModel((part_of(estimator, estimator.open(points)),), ("y", "x"), "nm")
    save_model(tmp_path / "model.json", model)
    before, after = model.fitted[0], load_model(tmp_path / "model.json").fitted[0]
    np.testing.assert_array_equal(after.evidence.components, before.evidence.components)
    assert (after.evidence.field, after.repeats) == (before.evidence.field, before.repeats)
