"""Moves: what they propose, how they are judged, and where they lead."""

import numpy as np
import pytest
from oracles import hold, random_mixture, tutorial_spiral

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.fitting.births import Births
from napari_sparse_gmm.fitting.claims import candidates_of, conflict_free
from napari_sparse_gmm.fitting.mm import descend
from napari_sparse_gmm.fitting.moves import Tried, improve, kinds_of_moves
from napari_sparse_gmm.fitting.problem import Problem
from napari_sparse_gmm.fitting.proposals import (
    Proposals,
    deletion_costs,
    merge_costs,
    near_pairs,
    reductions,
    splits,
)
from napari_sparse_gmm.fitting.trial import try_out
from napari_sparse_gmm.objectives import (
    MessageLength,
    NoPenalty,
    PenalisedLikelihood,
    SqrtPenalty,
    VariationalPoisson,
)

NONE, MML = PenalisedLikelihood(NoPenalty()), PenalisedLikelihood(MessageLength(2))
OBJECTIVES = [
    pytest.param(PenalisedLikelihood(SqrtPenalty(20.0, 6)), id="sqrt"),
    pytest.param(MML, id="mml"),
    pytest.param(NONE, id="none"),
    pytest.param(VariationalPoisson(2, 100.0, number=6.0, rate=0.01, scale=4.0), id="bayes"),
]


def tried_out(problem, state, proposals):
    """What came of all proposals that can be tried together, and which those are."""
    touched = problem.engine.touched(state.mixture)
    candidates = candidates_of(problem, state.mixture, touched, proposals)
    chosen = conflict_free(problem, state, candidates)
    steps = try_out(problem, state, candidates.subset(chosen), touched, 1e-6)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value, chosen


def many_clusters(n_clusters: int = 30, n_points: int = 6000) -> tuple[GaussianMixture, np.ndarray]:
    """Clusters apart on a background, up to 4 times longer than wide; the truth and the points."""
    mixture = random_mixture(n_clusters, 2, background_weight=0.2, field=300.0)
    values, vectors = np.linalg.eigh(mixture.covariances)
    values = np.maximum(values, values[:, -1:] / 16)
    mixture = GaussianMixture(
        mixture.weights,
        mixture.means,
        (vectors * values[:, None, :]) @ vectors.swapaxes(1, 2),
        mixture.background_weight,
        mixture.background_region,
    )
    return mixture, mixture.sample(n_points, 0)[0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_cost_of_a_deletion_is_predicted(objective):
    """For a component of little weight: to first order, as the price of weight is."""
    mixture = random_mixture(6, 2, background_weight=0.2, field=5.0)
    weights = np.append(mixture.weights[:5], 0.02)
    weights *= 0.8 / weights.sum()
    mixture = GaussianMixture(
        weights, mixture.means, mixture.covariances, 0.2, mixture.background_region
    )
    points = mixture.sample(2000, 0)[0]
    problem = Problem(hold(points), objective, 1e-3, 6)
    *_, state = descend(problem, problem.evaluate(mixture), 1e-9)
    state = problem.evaluate(state.mixture, state.objective, removal=True)
    j = int(state.mixture.weights.argmin())
    others = state.mixture.subset(np.arange(state.mixture.n_components) != j)
    actual = problem.evaluate(others, state.objective).cost
    predicted = deletion_costs(state)[j]
    assert predicted == pytest.approx(actual - state.cost, rel=0.1, abs=2e-4)


def test_moves_lead_out_of_a_local_optimum():
    """Two components on one cluster: steps alone keep both, the cost without one is lower."""
    points = np.random.default_rng(0).normal(size=(1000, 2))
    start = GaussianMixture([0.5, 0.5], [[-0.3, 0.0], [0.3, 0.0]], [np.eye(2)] * 2)
    problem = Problem(hold(points), MML, 1e-3, 2)
    *_, stuck = descend(problem, problem.evaluate(start), 1e-7)
    assert stuck.mixture.n_components == 2
    model = SparseGaussianMixture(prior="mml", init=start, background=False).fit(points)
    assert model.n_components_ == 1
    assert model.cost_ < stuck.cost


def test_merging_and_splitting_keep_the_moments():
    mixture = random_mixture(5, 3, field=3.0)
    problem = Problem(hold(mixture.sample(500, 0)[0]), NONE, 1e-3, 10)
    state = problem.evaluate(mixture, removal=True)

    def moments(weights, means, covariances):
        share = weights / weights.sum()
        mean = share @ means
        d = means - mean
        spread = covariances + d[:, :, None] * d[:, None, :]
        return weights.sum(), mean, np.tensordot(share, spread, 1)

    proposals = Proposals.joining([reductions(problem, state), splits(problem, state)])
    kept = proposals.subset(proposals.added.any(1))
    assert {1, 2} == set(kept.n_removed.tolist())
    for removed, added, *new in zip(
        kept.removed, kept.added, kept.weights, kept.means, kept.covariances, strict=True
    ):
        j = removed[removed >= 0]
        old = moments(mixture.weights[j], mixture.means[j], mixture.covariances[j])
        for ours, theirs in zip(moments(*(values[added] for values in new)), old, strict=True):
            np.testing.assert_allclose(ours, theirs)


def test_only_near_components_are_merged():
    apart = GaussianMixture([0.5, 0.5], [[0.0, 0.0], [5.0, 0.0]], [np.eye(2)] * 2)
    near = GaussianMixture([0.5, 0.5], [[0.0, 0.0], [3.0, 0.0]], [np.eye(2)] * 2)
    same = GaussianMixture([0.3, 0.3, 0.4], [[1.0, 2.0]] * 3, [np.eye(2)] * 3)
    problem = Problem(hold(apart.means), NONE, 1e-3, 4)
    assert [len(near_pairs(problem, mixture)) for mixture in (apart, near, same)] == [0, 1, 3]


def test_merging_is_dear_for_what_is_apart():
    mixture = GaussianMixture(
        [0.25] * 4, [[0.0, 0.0], [0.5, 0.0], [20.0, 0.0], [23.0, 0.0]], [np.eye(2)] * 4
    )
    problem = Problem(hold(mixture.sample(500, 0)[0]), NONE, 1e-3, 4)
    pairs, costs = merge_costs(problem, problem.evaluate(mixture))
    assert pairs[np.argmin(costs)].tolist() == [0, 1]


def test_births_find_every_cluster_and_no_noise():
    """From the background alone, with clusters of any size: one birth or a few for each."""
    truth, points = many_clusters()
    box = np.stack([points.min(0), points.max(0)])
    background = GaussianMixture(np.empty(0), np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, box)
    problem = Problem(hold(points), NONE, 1e-3, 1000)
    found = Births()(problem, problem.evaluate(background))
    means = found.means[found.added]
    assert len(means) < 3 * truth.n_components
    nearest = np.linalg.norm(truth.means[:, None] - means, axis=2).min(1)
    assert (nearest < 3.0).mean() > 0.95
    noise = np.random.default_rng(0).uniform(box[0], box[1], (6000, 2))
    problem = Problem(hold(noise), NONE, 1e-3, 1000)
    assert not len(Births()(problem, problem.evaluate(background)))


def test_births_choose_the_scale():
    """Two clusters, one a hundred times wider: two births, each as wide as its cluster."""
    rng = np.random.default_rng(0)
    points = np.concatenate(
        [
            rng.normal(0, 0.1, (3000, 2)),
            rng.normal(50, 10.0, (3000, 2)),
            rng.uniform(-50, 150, (2000, 2)),
        ]
    )
    box = np.stack([points.min(0), points.max(0)])
    background = GaussianMixture(np.empty(0), np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, box)
    problem = Problem(hold(points), NONE, 1e-3, 1000)
    found = Births()(problem, problem.evaluate(background))
    assert 2 <= len(found) <= 8
    sizes = np.sqrt(np.trace(found.covariances[found.added], axis1=1, axis2=2) / 2)
    assert min(sizes) < 0.3
    assert max(sizes) > 3.0


def test_a_trial_changes_the_cost_by_what_it_says():
    """Many moves at once, each judged on its own points: their sum is the change of the cost."""
    truth, points = many_clusters(n_points=60_000)
    # Each cluster with two components, so that there is much to merge.
    v = np.sqrt(np.linalg.eigvalsh(truth.covariances)[:, :1]) * 0.5
    doubled = GaussianMixture(
        np.tile(truth.weights / 2, 2),
        np.concatenate([truth.means - v, truth.means + v]),
        np.concatenate([truth.covariances] * 2),
        0.2,
        truth.background_region,
    )
    problem = Problem(hold(points), MML, 1e-3, 60)
    *_, state = descend(problem, problem.evaluate(doubled), 1e-5)
    state = problem.evaluate(state.mixture, removal=True)
    outcome, chosen = tried_out(problem, state, reductions(problem, state))
    assert chosen.sum() > 15  # far apart: most clusters at once
    assert not chosen.all()
    after = problem.evaluate(outcome.mixture(state.mixture))
    expected = outcome.change[outcome.accepted].sum()
    assert outcome.accepted.sum() > 10
    assert after.cost - state.cost == pytest.approx(expected, rel=0.02)


def test_a_trial_looks_at_the_touched_points_only(monkeypatch):
    truth, points = many_clusters()
    problem = Problem(hold(points), NONE, 1e-3, 100)
    state = problem.evaluate(truth, removal=True)
    seen = []
    expectation = problem.engine.expectation

    def watched(mixture, *, cells=None, removal=False):
        seen.append(len(cells))
        return expectation(mixture, cells=cells, removal=removal)

    monkeypatch.setattr(problem.engine, "expectation", watched)
    tried_out(problem, state, splits(problem, state).subset(slice(1)))
    assert max(seen) < 0.2 * len(problem.engine.cell_weights)


def test_what_failed_is_not_tried_again_where_nothing_changed():
    truth, points = many_clusters(5, 1000)
    problem = Problem(hold(points), NONE, 1e-3, 100)
    proposals = splits(problem, problem.evaluate(truth))
    tried = Tried(problem)
    tried.add(truth, proposals.subset(slice(2)))
    fresh = tried.fresh(truth, proposals)
    np.testing.assert_array_equal(fresh.removed, proposals.removed[2:])
    moved = GaussianMixture(
        truth.weights, truth.means + 5.0, truth.covariances, 0.2, truth.background_region
    )
    assert len(tried.fresh(moved, proposals)) == len(proposals)


def test_a_turned_tree_finds_faint_clusters_that_the_first_one_cuts():
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 100, (60, 2))
    clusters = np.repeat(centres, 12, axis=0) + 0.3 * rng.standard_normal((720, 2))
    points = np.concatenate([clusters, rng.uniform(0, 100, (10_000, 2))])
    background = GaussianMixture(
        [], np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, [points.min(0), points.max(0)]
    )
    problem = Problem(hold(points), NONE, 1e-3, 1000)

    def found(proposals):
        means = proposals.means[proposals.added]
        return np.linalg.norm(means[:, None] - centres, axis=2).min(0) < 0.5  # (60,)

    faint = Births(faint=True)
    nothing = problem.evaluate(background)
    first = found(faint(problem, nothing))
    np.testing.assert_array_equal(found(faint(problem, nothing)), first)
    # More components than the last time: another direction.
    one = GaussianMixture(
        [1e-9], [[50.0, 50.0]], [np.eye(2)], 1 - 1e-9, background.background_region
    )
    second = found(faint(problem, problem.evaluate(one)))
    assert 20 < first.sum() < 50
    assert (first | second).sum() > first.sum() + 3


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_move_lowers_the_cost_or_changes_nothing(objective, kind):
    points = tutorial_spiral(1000)
    mixture = random_mixture(8, 2, field=1.0, sigma=0.1)
    problem = Problem(hold(points), objective, 1e-3, 12, ("boxes", "balls"))
    moves, more = kinds_of_moves(problem)
    propose = (*moves, *more)[kind]
    state = problem.evaluate(mixture)
    ended = []

    def run():
        ended.append((yield from improve(problem, state, 1e-6, propose, Tried(problem))))

    for shown in run():
        assert shown.cost == pytest.approx(state.cost, abs=1e-9)
    assert ended[0] is None or ended[0].cost < state.cost - 1e-6


def test_no_move_leads_to_more_components_than_allowed():
    _, points = many_clusters()
    model = SparseGaussianMixture(
        7, prior="none", init="density", background=True, random_state=0
    ).fit(points)
    assert model.n_components_ == 7


@pytest.mark.parametrize("init", ["density", "kmeans++", "random"])
def test_every_start_ends_at_the_truth(init):
    truth, points = many_clusters()
    model = SparseGaussianMixture(60, prior="mml", init=init, background=True, random_state=0).fit(
        points
    )
    # A lower cost with a component or three more is an optimum, too.
    best = SparseGaussianMixture(prior="mml", init=truth, background=True).fit(points)
    assert model.cost_ <= best.cost_ + 1e-4
    assert abs(model.n_components_ - truth.n_components) <= 3
    assert model.score(points) > truth.log_density(points).mean() - 0.005


def test_every_seed_of_the_spiral_ends_as_low():
    points = tutorial_spiral(2000)
    costs = [
        SparseGaussianMixture(30, init="random", random_state=seed, prior="sqrt", background=False)
        .fit(points)
        .cost_
        for seed in range(5)
    ]
    assert max(costs) - min(costs) < 0.005
