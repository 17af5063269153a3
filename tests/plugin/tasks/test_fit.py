"""The work as plain generators: no Qt, no window."""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from napari.layers import Points, Shapes
from oracles import random_mixture
from plugin.fakes import FakeFit, HandClock, SlowKeOps, model_of
from scipy.spatial import ConvexHull

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture, parameters
from napari_sparse_gmm.components import component_table
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.numbers import region_table
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.points.source import Apart, Cloud, Source
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.space.slices import Layout
from napari_sparse_gmm.plugin.tasks import render as picturing
from napari_sparse_gmm.plugin.tasks.fit import fit, fit_path, refit, starts_for
from napari_sparse_gmm.plugin.tasks.pacing import Pacing
from napari_sparse_gmm.plugin.tasks.render import assign_points, draw
from napari_sparse_gmm.plugin.tasks.task import FitFailed, Pass, Progress, Refusal
from napari_sparse_gmm.plugin.tasks.values import FitRequest, HeatmapChoice, Outcome
from napari_sparse_gmm.shapes.grid import heatmap

CHOICE = HeatmapChoice("density", 24, None, engine="torch", device="cpu")
TALKATIVE = Pacing(progress=0.0)  # tells of every step
SHOWN = Pacing(preview=0.0)  # has previews, however little time it takes


@pytest.fixture
def request_() -> FitRequest:
    points = np.random.default_rng(0).uniform(0, 100, (300, 2))
    settings = {
        **parameters.PRESETS[2].values,
        parameters.N_COMPONENTS.name: 8,
        parameters.MAX_ITER.name: 50,
        parameters.ENGINE.name: "torch",
        parameters.DEVICE.name: "cpu",
        parameters.RANDOM_STATE.name: 0,
    }
    return FitRequest(cloud_of(Observations(points), frame_of(points)), settings, CHOICE)


def cloud_of(seen: Observations, frame: Frame, groups: np.ndarray | None = None) -> Cloud:
    n = len(seen)
    groups = np.zeros(n, dtype=int) if groups is None else groups
    return Cloud(seen, frame, np.ones(n, dtype=bool), groups, None, 0, 0, 0)


def of_other(
    request: FitRequest, observations: Observations | None = None, **changes: Any
) -> FitRequest:
    """The request for other points, all together where nothing else is said."""
    if observations is not None:
        changes = {"groups": np.zeros(len(observations), dtype=int), **changes}
        changes["observations"] = observations
    return replace(request, cloud=replace(request.cloud, **changes))


def frame_of(points: np.ndarray, groups: np.ndarray | None = None) -> Frame:
    """Where points lie, those of each group in a slice of its own along t."""
    layer = Points(points, features={} if groups is None else {"t": groups})
    return modelled_points(layer, (0, 1), None if groups is None else "t")[1]


def run(work: Generator[Progress, None, Any]) -> tuple[list[Progress], Any]:
    """What a generator yields, and what it returns."""
    yielded = []
    while True:
        try:
            yielded.append(next(work))
        except StopIteration as stop:
            return yielded, stop.value


def test_fit_returns_the_mixture_and_its_heatmap(request_: FitRequest) -> None:
    _, result = run(fit(request_))
    assert isinstance(result, Outcome)
    (part,) = result.model.parts
    assert 1 <= part.mixture.n_components <= 8
    assert part.n_points == 300
    assert part.n_iter <= 50
    assert result.model.engine_reason
    grid = result.heatmap.grid
    assert max(grid.shape) == 24
    expected = part.mixture.density(grid.coordinates(np.argwhere(np.ones(grid.shape))))
    np.testing.assert_allclose(result.heatmap.values.ravel(), expected, rtol=1e-3)


def test_parameters_reach_the_estimator(request_: FitRequest, fake_fit: FakeFit) -> None:
    run(fit(request_))
    assert fake_fit.parameters == [request_.parameters]


def test_progress_shows_iteration_cost_and_components(
    request_: FitRequest, fake_fit: FakeFit
) -> None:
    yielded, _ = run(fit(replace(request_, pacing=TALKATIVE)))
    step = next(p for p in yielded if p.text.startswith("Iteration 3"))
    assert step == Progress(3, 50, "Iteration 3, 3 components", passes=(Pass(3, 6.0, 3),))


def test_yields_are_throttled(request_: FitRequest, fake_fit: FakeFit) -> None:
    fake_fit.n_steps = 100
    yielded, _ = run(fit(timed(request_, fake_fit, 0.01)))
    steps = [p.value for p in yielded if p.text.startswith("Iteration")]
    # One each 250 ms; time goes on by 10 ms whenever somebody looks.
    assert len(steps) in (5, 6, 7)
    assert np.diff(steps).min() >= 10


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("broken"),
        KeyError("broken"),
        ValueError("broken"),
        np.linalg.LinAlgError("broken"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_arrives_as_one_that_is_no_runtime_error(
    request_: FitRequest, fake_fit: FakeFit, error: Exception
) -> None:
    fake_fit.error = error
    with pytest.raises(FitFailed, match=rf"The fit failed with {type(error).__name__}: .*broken"):
        run(fit(request_))
    assert not issubclass(FitFailed, RuntimeError)
    assert fake_fit.closed


def test_out_of_memory_has_a_remedy(request_: FitRequest, fake_fit: FakeFit) -> None:
    fake_fit.error = MemoryError()
    with pytest.raises(FitFailed, match="ran out of memory: choose fewer"):
        run(fit(request_))


def test_wrong_input_is_refused_in_the_words_of_the_estimator(
    request_: FitRequest, fake_fit: FakeFit
) -> None:
    fake_fit.error = InputError("Give it more points.")
    assert run(fit(request_))[1] == Refusal("Give it more points.")


@pytest.mark.parametrize(
    ("points", "words"),
    [
        pytest.param(np.zeros((1, 2)), "single point is too few", id="one point"),
        pytest.param(np.ones((50, 2)), "one place", id="all points equal"),
    ],
)
def test_points_without_a_density_are_refused(
    request_: FitRequest, points: np.ndarray, words: str
) -> None:
    _, refusal = run(fit(of_other(request_, observations=Observations(points))))
    assert isinstance(refusal, Refusal)
    assert words in refusal.sentence


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(np.arange(10.0).reshape(5, 2) ** 2, id="fewer points than components"),
        pytest.param(np.stack([np.arange(60.0)] * 2, axis=1), id="all on a line"),
        pytest.param(np.random.default_rng(0).normal(size=(99, 2)) + 1e9, id="around 1e9"),
        pytest.param(np.random.default_rng(0).normal(size=(99, 2)) * 1e-9, id="nanometres in m"),
    ],
)
def test_odd_points_have_a_density(request_: FitRequest, points: np.ndarray) -> None:
    _, result = run(fit(of_other(request_, observations=Observations(points))))
    assert isinstance(result, Outcome)
    assert np.isfinite(result.heatmap.values).all()
    assert result.heatmap.values.max() > 0


def test_absurd_pixel_size_is_refused_before_the_fit(
    request_: FitRequest, fake_fit: FakeFit
) -> None:
    _, refusal = run(fit(replace(request_, heatmap=HeatmapChoice("density", 24, 1e-6))))
    assert isinstance(refusal, Refusal)
    assert "larger pixel size" in refusal.sentence
    assert fake_fit.parameters == []


def test_closing_the_work_closes_the_fit(request_: FitRequest, fake_fit: FakeFit) -> None:
    fake_fit.endless = True
    work = fit(request_)
    while not next(work).text.startswith("Iteration"):
        pass
    assert not fake_fit.closed
    work.close()
    assert fake_fit.closed


def test_compilers_are_waited_for_before_the_fit(
    request_: FitRequest, fake_fit: FakeFit, slow_keops: SlowKeOps
) -> None:
    yielded, _ = run(fit(request_))
    waiting = [p for p in yielded if p.sentence is not None]
    told = "Compiling KeOps kernels for 2D points, first time only"
    of_fit = [
        Progress(0, 50, "Compiling", f"{told} (1 s)."),
        Progress(0, 50, "Compiling", f"{told} (2 s)."),
        Progress(0, 50, "Starting", ""),
    ]
    assert waiting[:3] == of_fit
    first = next(n for n, p in enumerate(yielded) if p.text.startswith("Iteration"))
    assert first > yielded.index(of_fit[-1])
    # The heatmap may be drawn by another engine, whose turn comes after the fit.
    assert slow_keops.asked == [("torch", "cpu", 2), ("torch", "cpu", 2)]


def test_closing_the_work_waits_for_no_compiler(
    request_: FitRequest, fake_fit: FakeFit, slow_keops: SlowKeOps
) -> None:
    slow_keops.n_waits = np.inf
    work = fit(request_)
    while next(work).text != "Compiling":
        pass
    work.close()
    assert slow_keops.closed
    assert not hasattr(fake_fit, "mixture_")  # the fit was not begun


def test_unknown_engine_is_refused(request_: FitRequest) -> None:
    settings = {**request_.parameters, parameters.ENGINE.name: "abacus"}
    _, refusal = run(fit(replace(request_, parameters=settings)))
    assert isinstance(refusal, Refusal)
    assert "engine must be one of" in refusal.sentence


def test_heatmap_takes_as_many_threads_as_the_fit(
    request_: FitRequest, fake_fit: FakeFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def spy(*arguments: Any, **keywords: Any) -> np.ndarray:
        seen.append(torch.get_num_threads())
        return heatmap(*arguments, **keywords)

    monkeypatch.setattr(picturing, "heatmap", spy)
    monkeypatch.setattr("napari_sparse_gmm.engines.threads.n_cores", lambda: 8)
    run(fit(replace(request_, heatmap=replace(CHOICE, n_threads=3))))
    assert set(seen) == {3}


@pytest.mark.parametrize("quantity", parameters.QUANTITY.choices)
@pytest.mark.parametrize("n_dimensions", [2, 3])
def test_heatmap_in_slabs_is_the_whole_heatmap(
    quantity: str, n_dimensions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picturing, "_SLAB", 200)
    mixture = random_mixture(3, n_dimensions)
    box = np.array([[0.0] * n_dimensions, [10.0, 7.0, 5.0][:n_dimensions]])
    choice = HeatmapChoice(quantity, 17, None, engine="torch", device="cpu")
    model = model_of(mixture, n_points=40)
    yielded, drawn = run(draw(model, box, choice, Layout()))
    assert len(yielded) > 1
    grid = choice.grid(box, 1)
    assert drawn.values.shape == (1, *grid.shape)
    whole = heatmap(mixture, grid, quantity, n_points=40, engine="torch", device="cpu")
    np.testing.assert_allclose(drawn.values[0], whole, rtol=1e-4, atol=1e-30)


@pytest.fixture
def in_groups(request_: FitRequest) -> FitRequest:
    """Three groups: of many points, of one, and of many others further down."""
    groups = np.repeat([0, 1, 2], [150, 1, 149])
    seen = Observations(request_.points + np.where(groups == 2, 500.0, 0.0)[:, None])
    frame = frame_of(seen.points, groups)
    return replace(request_, cloud=cloud_of(seen, frame, groups))


def test_groups_are_fitted_apart(in_groups: FitRequest) -> None:
    yielded, result = run(fit(replace(in_groups, pacing=TALKATIVE)))
    first, none, last = result.model.parts
    assert none is None
    assert "single point is too few" in result.model.problem
    assert (first.n_points, last.n_points) == (150, 149)
    alone = SparseGaussianMixture(**in_groups.parameters).fit(in_groups.points[:150])
    np.testing.assert_allclose(first.mixture.means, alone.means_)
    assert (last.mixture.means > 490).all()
    values = result.heatmap.values
    assert values.shape == (3, *result.heatmap.grid.shape)
    assert values[0].max() > 0
    assert values[1].max() == 0
    assert {"t 0", "t 2"} <= {p.text.partition(":")[0] for p in yielded}
    progress = [p.value for p in yielded if p.text.startswith("t ")]
    assert (np.diff(progress) >= 0).all()


def test_each_region_has_a_background_and_numbers_of_its_own(request_: FitRequest) -> None:
    """Two fields beside each other, one of them twice as dense."""
    rng = np.random.default_rng(0)
    sides = np.array([[0.0, 0.0], [0.0, 50.0], [100.0, 50.0], [100.0, 0.0]])
    shapes = Shapes([sides, sides + np.array([0.0, 50.0])], shape_type="polygon")
    points = np.concatenate(
        [rng.uniform(0, [100, 50], (200, 2)), rng.uniform([0, 50], 100, (400, 2))]
    )
    layer = Points(points, units="um")
    cloud = Source(layer, (0, 1), each=Apart.REGION, region=shapes).read()
    settings = {**request_.parameters, **parameters.PRESETS[0].values, "background": True}
    _, result = run(fit(replace(request_, cloud=cloud, parameters=settings)))
    assert isinstance(result, Outcome), result
    assert [part.mixture.background_region.volume for part in result.model.parts] == [5000, 5000]
    table = region_table(result.model)
    assert table["region"].tolist() == ["0", "1"]
    np.testing.assert_allclose(table["area [µm²]"], 5000.0)
    assert table["points"].tolist() == [200, 400]
    np.testing.assert_allclose(table["background per area [1/µm²]"], [0.04, 0.08], rtol=0.1)


def test_clusters_have_their_hull_and_their_frames(in_groups: FitRequest) -> None:
    """Previews, too, so that a table does not change its columns when a fit ends."""
    frames = np.random.default_rng(1).permutation(300).astype(float)
    yielded, result = run(fit(of_other(replace(in_groups, pacing=SHOWN), frames=frames)))
    for group, rows in ((0, slice(0, 150)), (2, slice(151, 300))):
        part = result.model.parts[group]
        points, own = in_groups.points[rows], frames[rows]
        assigned = part.mixture.predict(points)
        for k, hull in enumerate(part.members.hull):
            mine = points[assigned == k]
            expected = ConvexHull(mine).volume if len(mine) > 2 else 0.0
            assert hull == pytest.approx(expected)
            if len(mine):
                assert part.members.first_frame[k] == own[assigned == k].min()
                assert part.members.last_frame[k] == own[assigned == k].max()
    previews = [p.preview.result for p in yielded if p.preview is not None]
    assert previews
    for shown in previews:
        for part in shown.model.fitted:
            tables = [
                component_table(one.mixture, 9, "yx", members=one.members)
                for one in (part, result.model.fitted[0])
            ]
            assert list(tables[0]) == list(tables[1])


def test_points_are_assigned_within_their_group(in_groups: FitRequest) -> None:
    _, result = run(fit(in_groups))
    asked = (result.model.parts, in_groups.cloud.observations, in_groups.cloud.groups, CHOICE)
    _, assignment = run(assign_points(*asked))
    first, _, last = result.model.parts
    labels = first.mixture.predict(in_groups.points[:150])
    np.testing.assert_array_equal(assignment.component[:150], labels)
    assert (assignment.component[150], np.isnan(assignment.probability[150])) == (-1, True)
    labels = last.mixture.predict(in_groups.points[151:])
    np.testing.assert_array_equal(assignment.component[151:], labels)


def test_one_group_of_all_that_fails_is_told(in_groups: FitRequest) -> None:
    three = Observations(in_groups.points[:3])
    alone = of_other(in_groups, observations=three, groups=np.arange(3))
    _, refusal = run(fit(alone))
    assert isinstance(refusal, Refusal)
    assert "single point is too few" in refusal.sentence


def test_too_many_pixels_in_all_are_refused_before_the_fit(
    in_groups: FitRequest, fake_fit: FakeFit
) -> None:
    huge = replace(in_groups, heatmap=HeatmapChoice("density", 2**13, None))
    stack = replace(huge.frame.stack, slices=np.array([0, 1, 99]))  # only some have a group
    many = of_other(huge, frame=replace(huge.frame, stack=stack))
    _, refusal = run(fit(many))
    assert isinstance(refusal, Refusal)
    assert "each of 100 slices" in refusal.sentence
    assert fake_fit.parameters == []


def test_a_path_has_a_solution_for_each_sparsity(request_: FitRequest) -> None:
    yielded, result = run(fit_path(replace(request_, pacing=TALKATIVE)))
    assert len(result.models) == len(result.path) > 3
    assert result.path[result.chosen] is result.path.suggested
    for model, point in zip(result.models, result.path, strict=True):
        assert model.parts[0].mixture is point.mixture
        assert model.parameters["sparsity"] == point.sparsity
        assert len(model.parts[0].errors.weights) == point.mixture.n_components
    expected = heatmap(result.path.suggested.mixture, result.heatmap.grid, engine="torch")
    np.testing.assert_allclose(result.heatmap.values[0], expected, rtol=1e-4)
    assert any(p.text.startswith("Sparsity 0.5: Iteration") for p in yielded)


def test_a_path_of_another_prior_is_refused(request_: FitRequest) -> None:
    settings = {**request_.parameters, "prior": "mml"}
    _, refusal = run(fit_path(replace(request_, parameters=settings)))
    assert isinstance(refusal, Refusal)
    assert "prior='sqrt'" in refusal.sentence


def test_a_refit_is_no_worse_than_a_fresh_fit_and_than_going_on(request_: FitRequest) -> None:
    settings = {**request_.parameters, "max_iter": 1000}
    request_ = replace(request_, parameters=settings, pacing=SHOWN)
    before = run(fit(request_))[1].model.parts[0].mixture
    for sparsity in (60.0, 2.0):  # fewer components, and more
        settings = {**request_.parameters, "sparsity": sparsity}
        yielded, result = run(refit(replace(request_, parameters=settings), [before]))
        (part,) = result.model.parts
        model = SparseGaussianMixture(**settings).fit(request_.points)
        gone_on = SparseGaussianMixture(**{**settings, "init": before}).fit(request_.points)
        assert part.cost == pytest.approx(min(model.cost_, gone_on.cost_), abs=1e-5)
        taken = (before if gone_on.cost_ < model.cost_ - 1e-6 else None,)
        assert result.starts == (taken if taken != (None,) else ())
        # What is good enough to look at comes before the end, complete but for the errors.
        place, first = next(
            (n, p.preview.result) for n, p in enumerate(yielded) if p.preview and p.preview.settled
        )
        assert place < len(yielded) - 2
        assert first.heatmap.choice == request_.heatmap
        assert np.isnan(first.model.parts[0].errors.means).all()
        assert first.model.parts[0].total_weight == 300
        seen = first.model.parts[0].mixture
        assert -seen.log_density(request_.points).mean() == pytest.approx(
            -part.mixture.log_density(request_.points).mean(), abs=0.2
        )


def test_a_refit_keeps_a_good_start(request_: FitRequest) -> None:
    """Where a fit from scratch gets stuck in a worse solution."""
    rng = np.random.default_rng(0)
    means = rng.uniform(0, 100, (8, 2))
    truth = GaussianMixture(np.full(8, 1 / 8), means, np.tile(np.eye(2), (8, 1, 1)))
    points = truth.sample(400, 0)[0]
    settings = {**request_.parameters, "prior": "none", "init": "random", "max_iter": 1000}
    request = of_other(request_, observations=Observations(points))
    request = replace(request, parameters=settings)
    _, result = run(refit(request, [truth]))
    anew = SparseGaussianMixture(**settings).fit(points)
    near = SparseGaussianMixture(**{**settings, "init": truth}).fit(points)
    assert near.cost_ < anew.cost_ - 0.05
    assert result.model.parts[0].cost == pytest.approx(near.cost_, abs=1e-5)


def test_a_refit_begins_where_it_is_told(request_: FitRequest, fake_fit: FakeFit) -> None:
    start = random_mixture(2, 2)
    run(refit(request_, [start]))
    assert fake_fit.starts[0] is start
    assert fake_fit.starts[1:] == [fake_fit.init]  # as the parameters say


def test_a_refit_of_groups_of_which_one_has_no_points(in_groups: FitRequest) -> None:
    """All points of a group may lie outside of the region."""
    cloud = in_groups.cloud
    left = cloud.groups != 1
    observations, groups = cloud.observations.subset(left), cloud.groups[left]
    request = of_other(in_groups, observations=observations, groups=groups)
    request = replace(request, pacing=SHOWN)
    _, before = run(fit(request))
    starts = [None if part is None else part.mixture for part in before.model.parts]
    assert [start is None for start in starts] == [False, True, False]
    settings = {**request.parameters, "sparsity": 5.0}
    yielded, result = run(refit(replace(request, parameters=settings), starts))
    assert isinstance(result, Outcome), result
    so_far = [p.preview.result for p in yielded if p.preview and p.preview.settled][-1]
    for one in (so_far, result):
        first, none, last = one.model.parts
        assert none is None
        assert (first.n_points, last.n_points) == (150, 149)
        assert (first.mixture.means < 110).all()
        assert (last.mixture.means > 490).all()
        assert one.heatmap.values.shape[0] == 3
        assert one.heatmap.values[1].max() == 0


def test_a_refit_of_groups_of_which_one_cannot_be_fitted(in_groups: FitRequest) -> None:
    _, before = run(fit(in_groups))
    starts = [None if part is None else part.mixture for part in before.model.parts]
    _, result = run(refit(in_groups, starts))
    assert [part is None for part in result.model.parts] == [False, True, False]
    assert "single point is too few" in result.model.problem


@pytest.fixture
def in_three(request_: FitRequest) -> FitRequest:
    """Three groups that can be fitted."""
    groups = np.arange(300) % 3
    return of_other(request_, groups=groups, frame=frame_of(request_.points, groups))


def timed(request: FitRequest, fake_fit: FakeFit, seconds: float) -> FitRequest:
    """Each step of a fit takes so long, and nothing else takes time."""
    clock = HandClock()
    fake_fit.on_step = lambda _: clock.let_pass(seconds)
    return replace(request, pacing=Pacing(now=clock.now))


def test_previews_come_five_times_a_second(request_: FitRequest, fake_fit: FakeFit) -> None:
    fake_fit.n_steps = 200  # two seconds
    yielded, result = run(fit(timed(request_, fake_fit, 0.01)))
    at = [0.01 * p.value for p in yielded if p.preview is not None]
    assert 0.1 <= at[0] <= 0.21
    assert np.diff(at).min() >= 0.2 - 1e-6
    assert len(at) >= 6
    preview = next(p.preview.result for p in yielded if p.preview is not None)
    assert preview.model.parts[0].mixture is fake_fit.mixture_
    assert preview.heatmap.grid.shape == result.heatmap.grid.shape  # 24 pixels are few already


def test_a_preview_is_a_small_picture(request_: FitRequest, fake_fit: FakeFit) -> None:
    large = replace(CHOICE, longest_side=700, contours=True, sharpen=True)
    yielded, _ = run(fit(timed(replace(request_, heatmap=large), fake_fit, 0.15)))
    previews = [p.preview.result for p in yielded if p.preview is not None]
    assert previews
    for preview in previews:
        assert max(preview.heatmap.grid.shape) == 128
        assert preview.heatmap.contours == ()
        assert preview.heatmap.pyramid is None


def test_a_short_fit_has_no_preview(request_: FitRequest, fake_fit: FakeFit) -> None:
    fake_fit.n_steps = 9
    yielded, _ = run(fit(timed(request_, fake_fit, 0.01)))
    assert all(p.preview is None for p in yielded)


def test_previews_have_the_groups_that_are_done(in_three: FitRequest, fake_fit: FakeFit) -> None:
    yielded, _ = run(fit(timed(in_three, fake_fit, 0.15)))
    done = [
        tuple(part is not None for part in p.preview.result.model.parts)
        for p in yielded
        if p.preview is not None
    ]
    assert (True, False, False) in done
    assert done[-1] == (True, True, True)
    assert {tuple(sorted(each, reverse=True)) == each for each in done} == {True}


@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.2], ids="a step of {} s".format)
def test_passes_are_all_steps_of_all_fits(
    in_three: FitRequest, fake_fit: FakeFit, seconds: float
) -> None:
    in_three = timed(in_three, fake_fit, seconds)
    steps = [(n, 9.0 - n, fake_fit.components) for n in range(fake_fit.n_steps + 1)]
    yielded, _ = run(fit(in_three))
    assert [a for p in yielded for a in p.passes] == 3 * steps
    yielded, _ = run(refit(in_three, [None] * 3))
    assert [a for p in yielded for a in p.passes] == 6 * steps


def test_passes_of_a_path_are_those_of_its_fits(request_: FitRequest) -> None:
    yielded, result = run(fit_path(request_))
    passes = [one for p in yielded for one in p.passes]
    begins = np.flatnonzero(np.diff([one.iteration for one in passes]) < 0)
    assert len(begins) + 1 >= len(result.path)


START = random_mixture(8, 2)


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        pytest.param({"sparsity": 3.0}, True, id="sparsity"),
        pytest.param({"background": True}, True, id="background"),
        pytest.param({"n_components": 8}, True, id="as many components as may be"),
        pytest.param({"n_components": 7}, False, id="more components than may be"),
        pytest.param({"n_components": 9}, True, id="a prior that adds some"),
        pytest.param({"n_components": 9, "prior": "bayes"}, True, id="bayes, which adds some"),
        pytest.param({"n_components": 9, "prior": "none"}, False, id="no prior would add some"),
        pytest.param({"n_components": 8, "prior": "none"}, True, id="no prior, but all are there"),
        pytest.param({"n_components": 9, "solver": "adam"}, False, id="Adam would add none"),
        pytest.param({"n_components": 8, "solver": "adam"}, True, id="Adam, but all are there"),
        pytest.param({"init": "random"}, False, id="another start"),
        pytest.param({"random_state": 1}, False, id="another random start"),
    ],
)
def test_where_a_fit_can_start_from_an_earlier_one(
    request_: FitRequest, changes: dict[str, Any], given: bool
) -> None:
    default = {p.name: p.default for p in vars(parameters).values() if hasattr(p, "default")}
    before = replace(request_, parameters={**default, **request_.parameters})
    after = replace(before, parameters={**before.parameters, **changes})
    expected = [START] if given else None
    assert starts_for(after, before, [START]) == expected


def test_no_start_from_other_dimensions_or_groups(in_groups: FitRequest) -> None:
    default = {p.name: p.default for p in vars(parameters).values() if hasattr(p, "default")}
    before = replace(in_groups, parameters={**default, **in_groups.parameters})
    starts = [START, None, START]
    assert starts_for(before, before, starts) is starts
    groups = before.cloud.groups
    others = frame_of(before.points, np.where(groups == 2, 3, groups))
    assert starts_for(of_other(before, frame=others), before, starts) is None
    flat = of_other(before, observations=Observations(before.points[:, :1]))
    assert starts_for(flat, before, starts) is None
    half = before.cloud.observations.subset(slice(None, None, 2))
    fewer = of_other(before, observations=half, groups=groups[::2])
    assert starts_for(fewer, before, starts) is starts
    # One group has fewer components than there may be.
    unpenalized = {**before.parameters, "prior": "none", "n_components": 8}
    after = replace(before, parameters=unpenalized)
    assert starts_for(after, before, starts) is starts
    assert starts_for(after, before, [START, None, random_mixture(3, 2)]) is None
    assert starts_for(after, before, [None] * 3) is None


def test_closing_a_refit_closes_its_fit(request_: FitRequest, fake_fit: FakeFit) -> None:
    fake_fit.endless = True
    work = refit(request_, [None])
    while not next(work).text.startswith("Iteration"):
        pass
    work.close()
    assert fake_fit.closed
