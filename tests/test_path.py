"""The path of solutions along a rising sparsity."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from oracles import random_mixture

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.density_model import part_of
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.path import PathPoint, SparsityPath, iter_path


def three_clusters(n=900, seed=0):
    rng = np.random.default_rng(seed)
    means = np.array([[0.0, 0.0], [12.0, 0.0], [0.0, 12.0]])
    labels = rng.integers(0, 3, n)
    return means[labels] + rng.standard_normal((n, 2)), labels


@pytest.fixture(scope="module")
def path() -> SparsityPath:
    model = SparseGaussianMixture(12, random_state=0, prior="sqrt", background=False)
    return model.sparsity_path(three_clusters()[0], X_held_out=three_clusters(seed=1)[0])


def test_components_vanish_and_the_cost_rises(path):
    assert path.n_components[0] > 6
    assert path.n_components[-1] <= 2
    assert (np.diff(path.n_components) <= 0).all()
    assert (np.diff(path.sparsity) > 0).all()
    # At the same mixture a larger penalty costs more, and each is the best that was found.
    assert (np.diff(path.cost) > -1e-5).all()


def test_each_starts_from_the_one_before():
    """No worse than a fit of its own; and from one solution on, without a step."""
    points, _ = three_clusters()
    model = SparseGaussianMixture(12, random_state=0, prior="sqrt", background=False)
    path = model.sparsity_path(points, [1.0, 2.0, 4.0, 8.0])
    for point in path:
        alone = SparseGaussianMixture(
            12, sparsity=point.sparsity, random_state=0, prior="sqrt", background=False
        ).fit(points)
        assert point.cost < alone.cost_ + 1e-4
    once_more = SparseGaussianMixture(
        12, sparsity=8.0, init=path[-1].mixture, prior="sqrt", background=False
    ).fit(points)
    assert once_more.cost_ == pytest.approx(path[-1].cost, abs=1e-5)


def test_the_order_of_sparsities_does_not_matter():
    points, _ = three_clusters()
    model = SparseGaussianMixture(6, random_state=0, prior="sqrt", background=False)
    mixed, sorted_ = (model.sparsity_path(points, s) for s in ([8.0, 1.0], [1.0, 8.0]))
    np.testing.assert_array_equal(mixed.cost, sorted_.cost)


def test_a_point_of_weight_0_counts_for_nothing():
    """Outside of the box of the others it has no density."""
    points = np.append(np.random.default_rng(1).uniform(0, 0.1, (100, 2)) + 0.3, [[5.0, 5.0]], 0)
    points = np.append(np.random.default_rng(1).uniform(0, 1, (200, 2)), points, axis=0)
    weight = np.append(np.ones(300), 0.0)
    model = SparseGaussianMixture(8, background=True, random_state=0, prior="sqrt")
    sparsities = [1.0, 5.0, 20.0, 100.0]
    without = model.sparsity_path(points[:-1], sparsities)
    with_it = model.sparsity_path(points, sparsities, sample_weight=weight)
    assert with_it.suggested.sparsity == without.suggested.sparsity
    assert np.isfinite(without.bic).all()
    np.testing.assert_allclose(with_it.bic, without.bic)
    np.testing.assert_allclose(with_it.icl, without.icl)
    plain = part_of(without.suggested.model, model.open(points[:-1]))
    weighted = part_of(with_it.suggested.model, model.open(points, sample_weight=weight))
    assert weighted.mean_log_density == pytest.approx(plain.mean_log_density)
    np.testing.assert_allclose(weighted.errors.means, plain.errors.means)
    np.testing.assert_allclose(weighted.errors.weights, plain.errors.weights)


def test_points_far_outside_make_a_model_worth_little():
    points = np.random.default_rng(0).random((100, 2))
    model = SparseGaussianMixture(
        1, background=True, sparsity=200.0, init="density", prior="sqrt"
    ).fit(points)
    assert model.n_components_ == 0
    assert model.criteria(points + 5.0)[0] > 1000.0 * model.criteria(points)[0]


@pytest.mark.parametrize("sparsities", [[], ["low"], [1.0, np.nan], [-1.0], 3.0, [1e300]])
def test_sparsities_of_no_use_are_refused(sparsities):
    with pytest.raises(InputError, match="sparsit"):
        SparseGaussianMixture(2, prior="sqrt", background=False).sparsity_path(
            three_clusters()[0], sparsities
        )


def test_what_is_not_known_is_not_suggested(path):
    points = [PathPoint(p.model, p.bic, p.icl, np.nan) for p in path]
    best = SparsityPath(tuple(points)).suggested
    unknown = [PathPoint(path[0].model, np.nan, np.nan, np.nan), *points]
    assert SparsityPath(tuple(unknown)).suggested.model is best.model


def test_three_clusters_are_suggested(path):
    """A fourth component may hold a share of a single point."""
    by_bic = SparsityPath(tuple(PathPoint(p.model, p.bic, p.icl, np.nan) for p in path))
    for one in (path, by_bic):
        mixture = one.suggested.mixture
        assert (mixture.weights * 900 > 1).sum() == 3
        assert f"{mixture.n_components} components" in one.why
    assert "not fitted are the likeliest" in path.why
    assert "information criterion is the lowest" in by_bic.why


@pytest.mark.parametrize("held_out", [False, True])
def test_a_suggestion_that_keeps_all_that_there_may_be_says_so(held_out):
    """Of ten clusters that lie apart, where five components may be."""
    rng = np.random.default_rng(0)
    points, others = (
        np.concatenate([rng.normal(100.0 * i, 1.0, (60, 2)) for i in range(10)]) for _ in range(2)
    )
    for most, told in ((5, True), (40, False)):
        model = SparseGaussianMixture(most, prior="sqrt", background=False, random_state=0)
        path = model.sparsity_path(points, [0.5, 2.0, 8.0], X_held_out=others if held_out else None)
        assert (path.suggested.mixture.n_components == most) is told
        assert ("no more components than these: allow more" in path.why) is told
        assert "would not pay" not in path.why or not (told or held_out)


def test_criteria_are_what_they_are_called():
    """From the responsibilities directly, with weights; far clusters have no price of overlap."""
    mixture = random_mixture(4, 2, background_weight=0.2, field=6.0)
    points, _ = mixture.sample(500, 0)
    counts = np.random.default_rng(0).integers(1, 4, 500)
    model = SparseGaussianMixture(4, init=mixture, background=True, prior="none")
    model.fit(points, sample_weight=counts)
    bic, icl = model.criteria(points, sample_weight=counts)
    repeated = points.repeat(counts, axis=0)
    assert bic == pytest.approx(model.bic(repeated))
    r = model.predict_proba(repeated)
    assert icl == pytest.approx(bic - 2 * np.log(r.max(1)).sum(), rel=1e-6)
    apart, _ = three_clusters()
    model = SparseGaussianMixture(
        3, init=[[0, 0], [12, 0], [0, 12]], prior="none", background=False
    ).fit(apart)
    bic, icl = model.criteria(apart)
    assert icl == pytest.approx(bic, rel=1e-6)


def test_held_out_points_are_scored(path):
    held_out = three_clusters(seed=1)[0]
    expected = [point.mixture.log_density(held_out).mean() for point in path]
    np.testing.assert_allclose(path.held_out, expected, rtol=1e-6)


def test_noise_is_considered_along_the_path():
    points, _ = three_clusters()
    std = np.full(len(points), 2.0)
    points = points + 2.0 * np.random.default_rng(2).standard_normal(points.shape)
    path = SparseGaussianMixture(8, random_state=0, prior="sqrt", background=False).sparsity_path(
        points, [1.0, 3.0], noise_std=std, X_held_out=points, noise_std_held_out=std
    )
    last = path[-1]
    expected = last.mixture.log_density(points, noise_std=std).mean()
    assert last.held_out == pytest.approx(expected)
    large = last.mixture.covariances[last.mixture.weights > 0.1]
    assert np.sqrt(np.linalg.det(large)).max() < 2.0  # 5 as they are seen


def test_with_a_background_it_ends_where_nothing_is_left():
    points = np.random.default_rng(0).random((300, 2))
    path = SparseGaussianMixture(5, background=True, random_state=0, prior="sqrt").sparsity_path(
        points
    )
    assert path.n_components[-1] <= 1
    assert np.isfinite(path.bic).all()


def test_the_model_is_left_as_it_is():
    model = SparseGaussianMixture(5, sparsity=7.0, random_state=0, prior="sqrt", background=False)
    model.sparsity_path(three_clusters()[0], [1.0, 2.0])
    assert model.sparsity == 7.0
    assert model.init == "auto"
    assert not hasattr(model, "mixture_")


def test_the_plot_shows_what_was_found(path):
    axes = Figure().add_subplot()
    assert path.plot(axes) is axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), path.n_components)
    assert axes.lines[1].get_xdata()[0] == path.suggested.sparsity
    other = axes.figure.axes[1]
    np.testing.assert_array_equal(other.lines[0].get_ydata(), path.bic)


@pytest.mark.parametrize(
    ("model", "sparsities", "message"),
    [
        (
            SparseGaussianMixture(prior="mml", background=False),
            [1.0],
            "prior='sqrt', not of prior='mml'",
        ),
        (SparseGaussianMixture(prior="sqrt", background=False), [], "one sparsity"),
        (SparseGaussianMixture(prior="sqrt", background=False), [-1.0], "sparsity must be"),
    ],
)
def test_what_makes_no_path_is_refused(model, sparsities, message):
    with pytest.raises(InputError, match=message):
        list(iter_path(model, three_clusters()[0], sparsities))


def test_a_mixture_may_be_where_it_starts():
    start = GaussianMixture([1.0], [[4.0, 4.0]], [30 * np.eye(2)])
    path = SparseGaussianMixture(5, init=start, prior="sqrt", background=False).sparsity_path(
        three_clusters()[0], [0.5]
    )
    assert path.n_components[0] >= 3
