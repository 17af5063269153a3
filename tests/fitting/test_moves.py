import numpy as np
import pytest
from oracles import random_mixture, tutorial_spiral

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.engines import TorchTiles
from napari_sparse_gmm.fitting import FlatPrior, MessageLengthPrior, SqrtPrior
from napari_sparse_gmm.fitting.mm import descend
from napari_sparse_gmm.fitting.moves import deletion_costs, merges
from napari_sparse_gmm.fitting.problem import Problem


@pytest.mark.parametrize(
    "prior",
    [SqrtPrior(20.0, 6), MessageLengthPrior(2, 6), FlatPrior()],
    ids=["sqrt", "mml", "none"],
)
def test_cost_of_a_deletion_is_predicted(prior):
    mixture = random_mixture(6, 2, background_weight=0.2, field=5.0)
    points = mixture.sample(2000, 0)[0]
    problem = Problem(TorchTiles(points), prior, 1e-3)
    state = problem.evaluate(mixture, removal=True)
    predicted = deletion_costs(problem, state)
    for j in range(6):
        actual = problem.evaluate(mixture.subset(np.arange(6) != j)).cost
        assert predicted[j] == pytest.approx(actual, abs=2e-4)


def test_moves_lead_out_of_a_local_optimum():
    """Two components on one cluster: steps alone keep both, the cost without one is lower."""
    points = np.random.default_rng(0).normal(size=(1000, 2))
    start = GaussianMixture([0.5, 0.5], [[-0.3, 0.0], [0.3, 0.0]], [np.eye(2)] * 2)
    problem = Problem(TorchTiles(points), MessageLengthPrior(2, 6), 1e-3)
    *_, stuck = descend(problem, problem.evaluate(start), 1e-7)
    assert stuck.mixture.n_components == 2
    model = SparseGaussianMixture(prior="mml", init=start).fit(points)
    assert model.n_components_ == 1
    assert model.cost_ < stuck.cost


def test_merging_keeps_the_moments():
    """The merged mixture has the mean and the covariance of the one it came from."""

    def moments(mixture):
        mean = mixture.weights @ mixture.means
        d = mixture.means - mean
        spread = mixture.covariances + d[:, :, None] * d[:, None, :]
        return mean, np.tensordot(mixture.weights, spread, 1)

    mixture = random_mixture(5, 3, field=3.0)
    proposals = list(merges(mixture))
    assert proposals
    for merged in proposals:
        assert merged.n_components == 4
        for ours, theirs in zip(moments(merged), moments(mixture), strict=True):
            np.testing.assert_allclose(ours, theirs)


def test_only_near_components_are_merged():
    apart = GaussianMixture([0.5, 0.5], [[0.0, 0.0], [5.0, 0.0]], [np.eye(2)] * 2)
    near = GaussianMixture([0.5, 0.5], [[0.0, 0.0], [3.0, 0.0]], [np.eye(2)] * 2)
    assert [len(list(merges(mixture))) for mixture in (apart, near)] == [0, 1]


def test_components_in_one_place_are_merged():
    same = GaussianMixture([0.3, 0.3, 0.4], [[1.0, 2.0]] * 3, [np.eye(2)] * 3)
    proposals = list(merges(same))
    assert len(proposals) == 3
    for merged in proposals:
        assert merged.n_components == 2
        np.testing.assert_allclose(merged.covariances, [np.eye(2)] * 2)


def test_every_seed_of_the_spiral_ends_as_low():
    points = tutorial_spiral(2000)
    costs = [
        SparseGaussianMixture(30, init="random", random_state=seed).fit(points).cost_
        for seed in range(5)
    ]
    assert max(costs) - min(costs) < 0.005
