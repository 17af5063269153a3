"""Points in partitions: the answers of all together, and fits that know nothing else."""

import warnings
from dataclasses import fields

import numpy as np
import pytest
from oracles import random_mixture
from partitions import in_their_order, partitioned
from scipy.spatial import cKDTree
from sklearn.exceptions import ConvergenceWarning

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.density_model import part_of
from napari_sparse_gmm.engines import TorchTiles
from napari_sparse_gmm.engines.fused import Fused
from napari_sparse_gmm.engines.overdensity import Balls, Boxes
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Box

DOUBLE = {"dtype": np.float64, "block_size": 64}


def field_of_clusters(*, weights=False, noise=False, n=6000, seed=0):
    """25 clusters on a background, 9 of them across the lines that halve the field."""
    rng = np.random.default_rng(seed)
    means = np.stack(np.meshgrid(*2 * [np.linspace(10, 90, 5)]), axis=2).reshape(-1, 2)
    clustered = means[rng.integers(len(means), size=n)] + 2.0 * rng.standard_normal((n, 2))
    points = np.concatenate([clustered, rng.uniform(0, 100, (n // 4, 2))])
    std = rng.uniform(0.5, 1.5, points.shape)
    if noise:
        points += std * rng.standard_normal(points.shape)
    weight = rng.uniform(0.5, 1.5, len(points)) if weights else None
    return Observations.of(points, weight, std if noise else None), means


def quarters(observations):
    """The parts of points that lie in the quarters of the field."""
    left = observations.points < observations.points.mean(0)
    return left[:, 0] + 2 * left[:, 1]


def shuffled(observations):
    return np.random.default_rng(1).integers(0, 3, len(observations))


def the_same(a, b):
    for field in fields(a):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if one is None:
            assert other is None
        else:
            scale = np.abs(one).max(initial=1e-300)
            np.testing.assert_allclose(other, one, rtol=0, atol=1e-6 * scale, err_msg=field.name)


@pytest.mark.parametrize("noise", [False, True], ids=["exact", "noisy"])
@pytest.mark.parametrize("weights", [False, True], ids=["alike", "weighted"])
@pytest.mark.parametrize("split", [quarters, shuffled])
@pytest.mark.parametrize("engine", [TorchTiles, Fused], ids=["torch", "fused"])
def test_parts_answer_as_the_whole(engine, split, weights, noise):
    seen, _ = field_of_clusters(weights=weights, noise=noise, n=2000)
    parts = partitioned(seen, split(seen), engine, **DOUBLE)
    whole = engine(in_their_order(seen, split(seen)), **DOUBLE)
    mixture = random_mixture(20, 2, background_weight=0.2, field=100.0, sigma=4.0)
    near = cKDTree(mixture.means).query(mixture.means, 2)[1]
    pairs = np.unique(np.sort(near, axis=1), axis=0)

    the_same(whole.summary, parts.summary)
    np.testing.assert_array_equal(whole.typical_noise, parts.typical_noise)
    for n in (50, 10**6):
        the_same(*(own.sample(n, np.random.default_rng(2)) for own in (whole, parts)))
    region = Box([[20.0, 30.0], [70.0, 90.0]])
    assert whole.n_outside(region) == parts.n_outside(region)
    of_whole, of_parts = (own.expectation(mixture, removal=True) for own in (whole, parts))
    likelihoods = of_whole.log_likelihood, of_parts.log_likelihood
    assert likelihoods[1] == pytest.approx(likelihoods[0], rel=1e-6)
    for statistics in (of_whole, of_parts):
        object.__setattr__(statistics, "cell_log_likelihoods", None)
    the_same(of_whole, of_parts)
    the_same(whole.information(mixture, pairs), parts.information(mixture, pairs))
    the_same(whole.scores(mixture), parts.scores(mixture))
    the_same(whole.assign(mixture), parts.assign(mixture))
    np.testing.assert_allclose(parts.log_density(mixture), whole.log_density(mixture), atol=1e-6)
    if noise:
        the_same(*(own.without_noise().scores(mixture) for own in (whole, parts)))


def test_cells_of_parts_are_those_of_a_whole():
    """What is said of them agrees: some cells alone, those that components touch, those near."""
    seen, means = field_of_clusters(n=2000)
    parts = partitioned(seen, quarters(seen), Fused, **DOUBLE)
    mixture = random_mixture(20, 2, background_weight=0.2, field=100.0, sigma=4.0)
    weights = parts.cell_weights
    whole, cells = parts.expectation(mixture), np.array([0, 3, 4, len(weights) - 1])
    some = parts.expectation(mixture, cells=cells)
    np.testing.assert_allclose(
        some.cell_log_likelihoods[cells], whole.cell_log_likelihoods[cells], rtol=1e-9
    )
    assert some.counts.sum() + some.background_count == pytest.approx(weights[cells].sum())
    touched = parts.touched(mixture)
    for j in range(3):  # of a component, all its points are in the cells that it touches
        own = np.unique(touched.blocks[touched.components == j])
        count = parts.expectation(mixture, cells=own).counts[j]
        assert count == pytest.approx(whole.counts[j], rel=1e-6)
    near = parts.near(means, np.full(len(means), 16.0))
    assert len(near.starts) == len(means) + 1
    inside = (np.abs(seen.points - means[12]) < 2.0).all(1)  # in all four partitions
    own = near.cells[near.starts[12] : near.starts[13]]
    assert weights[own].sum() > inside.sum()
    assert len(np.unique(np.searchsorted(parts.first_cells, own, side="right"))) == 4
    # As those of the whole: of all partitions together one is nearest.
    (nearest,) = parts.near(means[12:13], np.zeros(1)).cells
    centres = np.concatenate([blocks.boxes.centre for blocks in parts.layout.blocks])
    assert nearest == np.argmin(np.linalg.norm(centres - means[12], axis=1))


@pytest.mark.parametrize("search", [Boxes(15.0, 0.1), Balls(0.1)], ids=["boxes", "balls"])
def test_overdensities_are_found_in_parts_as_well(search):
    seen, means = field_of_clusters(n=2000)
    flat = GaussianMixture(
        [], np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, Box([[0, 0], [100, 100]])
    )
    parts = partitioned(seen, quarters(seen), Fused, **DOUBLE)
    found = parts.overdensities(flat, search)
    away = np.linalg.norm(found.means[:, None] - means, axis=2)
    assert (away.min(0) < 4.0).mean() > 0.8  # a box that cuts through a cluster may miss it
    assert (np.diff(found.evidence) <= 0).all()


def fitted(engine, **parameters):
    model = SparseGaussianMixture(**{"background": False, "random_state": 0, **parameters})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(engine)


STARTS = {
    "none": {"prior": "none", "n_components": 25},
    "sqrt": {"prior": "sqrt", "sparsity": 1.0, "n_components": 25},
    "background": {"prior": "mml", "n_components": 25, "background": True},
    "adam": {"prior": "mml", "n_components": 25, "background": True, "solver": "adam"},
    "bayes": {"prior": "bayes", "n_components": 25, "background": True},
}


@pytest.mark.parametrize("noise", [False, True], ids=["exact", "noisy"])
@pytest.mark.parametrize("weights", [False, True], ids=["alike", "weighted"])
@pytest.mark.parametrize("name", STARTS)
def test_a_fit_from_given_means_ends_as_on_the_whole(name, weights, noise):
    """As many as there may be, so that none is born."""
    seen, means = field_of_clusters(weights=weights, noise=noise, n=2000)
    init = means + np.random.default_rng(0).normal(0.0, 2.0, means.shape)
    parameters = {"init": init, "max_iter": 100, "tol": 1e-8, **STARTS[name]}
    whole = fitted(Fused(seen, **DOUBLE), **parameters)
    for split in (quarters, shuffled):
        found = fitted(partitioned(seen, split(seen), Fused, **DOUBLE), **parameters)
        assert found.n_components_ == whole.n_components_
        assert found.cost_ == pytest.approx(whole.cost_, abs=1e-6)


@pytest.mark.parametrize(
    ("prior", "weights", "noise"),
    [
        ("mml", True, True),
        ("bayes", False, False),
        pytest.param("bayes", True, True, marks=pytest.mark.long),
    ],
)
def test_clusters_across_the_border_of_parts_are_found_once(prior, weights, noise):
    """A fit with births from the density, and what is told of it."""
    seen, means = field_of_clusters(weights=weights, noise=noise)
    parameters = {"prior": prior, "n_components": 60, "init": "density", "background": True}
    whole = Fused(seen, **DOUBLE)
    of_whole = fitted(whole, **parameters)
    assert of_whole.n_components_ == len(means)
    for split in (quarters, shuffled):
        parts = partitioned(seen, split(seen), Fused, **DOUBLE)
        found = fitted(parts, **parameters)
        assert found.n_components_ == len(means)
        assert found.cost_ == pytest.approx(of_whole.cost_, abs=1e-4)
        told, expected = part_of(found, parts), part_of(found, whole)
        the_same(expected.errors, told.errors)
        assert told.mean_log_density == pytest.approx(expected.mean_log_density, abs=1e-6)
