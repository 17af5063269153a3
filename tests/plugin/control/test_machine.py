"""What happens when: the dock widget's decisions, without a window, layers or time."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_sparse_gmm.plugin.control.effects import (
    Ask,
    BeginPlot,
    ClearAssignment,
    FinishPlot,
    GrowPlot,
    Restore,
    Say,
    ShowAssignment,
    ShowComponents,
    ShowEllipses,
    ShowPath,
    ShowPicture,
    ShowPreview,
    ShowSettings,
    ShowSparsity,
    StartAssigning,
    StartDrawing,
    StartFit,
    Stop,
    Summarize,
)
from napari_sparse_gmm.plugin.control.events import (
    AnnotateChanged,
    Assigned,
    Began,
    Cancel,
    Closed,
    Drawn,
    Due,
    Ended,
    Event,
    Failed,
    FitChanged,
    Found,
    LayerChosen,
    LayerRemoved,
    PreviewDrawn,
    Progressed,
    Read,
    Refused,
    Run,
    SolutionChosen,
    SourceChanged,
    Undo,
    UseChanged,
    ViewChanged,
)
from napari_sparse_gmm.plugin.control.machine import (
    Change,
    Drawing,
    Ending,
    Fitting,
    Inputs,
    State,
    step,
)
from napari_sparse_gmm.plugin.control.state import Fit, Shown
from napari_sparse_gmm.plugin.tasks.values import Heatmap, HeatmapChoice

PICTURE = HeatmapChoice("density", 64, None)
OTHER = HeatmapChoice("log_density", 64, None)


@dataclass(frozen=True)
class Wish:
    """Stands in for what a fit is asked for."""

    key: str = "L"
    sparsity: float = 10.0

    def same_as(self, other: "Wish") -> bool:
        return self == other

    def for_model(self, model: Any) -> "Wish":
        return replace(self, sparsity=model)

    def starts_from(self, other: "Wish", model: Any) -> Any:
        return f"starts of {other.key} at {model:g}"


HEATMAP = Heatmap(np.zeros((1, 2, 2), np.float32), None, PICTURE)
WISH, NEXT, THEIRS = Wish(), Wish(sparsity=11.0), Wish("M")


def fit_of(wish: Any = WISH, **changes: Any) -> Fit:
    values = {"path": None, "heatmap": None, "picture": PICTURE, "drawn": 0, "coverage": 95.0}
    return Fit(**{"asked": wish, "models": (wish.sparsity,), "chosen": 0, **values, **changes})


DONE = fit_of()
FITTED = State(fits={"L": DONE})


def at(now: float = 0.0, **fields: Any) -> Inputs:
    """The fields, where L is chosen and nothing else is said."""
    return replace(Inputs(now, PICTURE, 95.0, "L", live=True), **fields)


def fitting(wish: Any = NEXT, **changes: Any) -> Fitting:
    """A live fit that began at 0 s."""
    before = DONE if wish.key == "L" else None
    return replace(Fitting(wish, before, True, True, 0.0), **changes)


def preview(model: float, *, settled: bool = False) -> Any:
    return SimpleNamespace(result=SimpleNamespace(model=model), settled=settled)


def shown(wish: Any = NEXT) -> Shown:
    return Shown(wish, wish.sparsity)


def play(state: State, *steps: tuple[Event, Inputs]) -> Change:
    """The state after some events, and the effects of the last one."""
    effects: Any = ()
    for event, inputs in steps:
        state, effects = step(state, event, inputs)
    return state, effects


# Run


@pytest.mark.parametrize("path", [False, True])
def test_run_reads_the_points_and_starts(path: bool) -> None:
    assert step(State(), Run(path), at()) == (State(), (Ask(path),))
    state, effects = step(State(), Read(Ask(path), WISH, False), at(5.0))
    assert effects == (Say(""), BeginPlot(), StartFit(WISH, path))
    assert state.work == Fitting(WISH, None, live=False, shows=True, began=5.0)


@pytest.mark.parametrize(
    ("work", "obstacle"), [(fitting(), ""), (Ending("L"), ""), (None, "No points.")]
)
def test_run_waits_for_work_and_obstacles(work: Any, obstacle: str) -> None:
    state = State(work=work)
    assert step(state, Run(), at(obstacle=obstacle)) == (state, ())


def test_layers_that_could_not_come_back_show_no_preview() -> None:
    """Those of another widget, or of one that is gone."""
    state, _ = step(State(), Read(Ask(), WISH, True), at())
    state, effects = step(state, Progressed(WISH, preview(1.0), ("steps",)), at(9.0))
    assert effects == (GrowPlot(("steps",)),)
    assert state.fitting.shown is None


def test_a_result_is_shown_and_told() -> None:
    result: Any = SimpleNamespace(
        models=(10.0,), chosen=0, path=None, heatmap=SimpleNamespace(choice=PICTURE), starts=()
    )
    state, effects = step(State(work=fitting(WISH)), Found(WISH, result), at(coverage=50.0))
    done = fit_of(heatmap=result.heatmap, coverage=50.0)
    assert state == State(fits={"L": done}, work=Ending("L"))
    assert effects == (
        ShowSparsity(done),
        ShowPath(done),
        ShowPicture(done),
        ShowComponents(done),
        Summarize(done),
    )
    state, effects = step(state, Ended(), at(1.0))
    assert (state.work, state.redraw_at, effects) == (None, 1.06, (FinishPlot(),))


def test_news_of_a_fit_that_had_to_make_way_are_not_heard() -> None:
    state = State(work=fitting(NEXT, waits=True))
    assert step(state, Found(WISH, None), at()) == (state, ())
    assert step(state, Progressed(WISH, preview(1.0)), at()) == (state, ())


# Live fits


def test_a_live_fit_is_due_from_the_first_change_on() -> None:
    """A slider that moves may do so for long."""
    state, _ = play(FITTED, (FitChanged(), at(1.0)), (FitChanged(), at(1.02)))
    assert state.refit_at == 1.03
    assert step(state, Due(), at(1.02)) == (state, ())
    assert step(state, Due(), at(1.03)) == (FITTED, (Ask(before=WISH),))


@pytest.mark.parametrize(
    ("state", "fields"), [(FITTED, {"live": False}), (State(), {}), (FITTED, {"layer": "M"})]
)
def test_nothing_is_fitted_again_without_live_and_a_first_run(state: State, fields: Any) -> None:
    assert step(state, FitChanged(), at(**fields)) == (state, ())


def test_what_is_asked_for_already_is_not_fitted_again() -> None:
    ask = Ask(before=WISH)
    assert step(FITTED, Read(ask, WISH, True), at()) == (FITTED, (Summarize(DONE),))
    running = replace(FITTED, work=fitting())
    assert step(running, Read(Ask(before=NEXT), NEXT, True), at()) == (running, ())


def test_a_solution_along_a_path_is_what_was_asked_for() -> None:
    along = fit_of(models=(10.0, 3.0), chosen=1, path=("a", "path"))
    _, effects = step(State(fits={"L": along}, refit_at=0.0), Due(), at())
    assert effects == (Ask(before=Wish(sparsity=3.0)),)


def test_a_live_fit_goes_on_from_the_last_solution() -> None:
    state, effects = step(FITTED, Read(Ask(before=WISH), NEXT, True), at(2.0))
    assert effects == (BeginPlot(), StartFit(NEXT, starts="starts of L at 10"))
    assert state.work == fitting(began=2.0)


def test_the_newest_goes_on_from_what_is_shown() -> None:
    newest = Wish(sparsity=12.0)
    state = replace(FITTED, work=fitting(shown=shown(), previewed=True))
    state, effects = step(state, Read(Ask(before=NEXT), newest, True), at(2.0))
    assert effects == (BeginPlot(), StartFit(newest, starts="starts of L at 11"))
    # What is on the screen is of the one before, until this one shows something.
    assert state.work == fitting(newest, began=2.0, waits=True, shown=shown())
    assert step(state, Began(), at())[0].fitting.waits is False


def test_what_runs_may_show_a_picture_first() -> None:
    """Otherwise there would be none as long as a slider moves."""
    state, effects = step(replace(FITTED, work=fitting(), refit_at=0.5), Due(), at(0.5))
    assert (state.refit_at, effects) == (1.5, ())  # no longer than that
    state, _ = step(state, Progressed(NEXT, preview(11.0)), at(0.7))
    assert state.refit_at == pytest.approx(0.8)
    assert step(state, Due(), at(0.8))[1] == (Ask(before=NEXT),)


def test_what_shows_nothing_has_to_make_way() -> None:
    state = replace(FITTED, work=fitting(), refit_at=1.5)
    assert step(state, Due(), at(1.5))[1] == (Ask(before=NEXT),)


def test_what_has_not_begun_has_to_make_way_at_once() -> None:
    state = replace(FITTED, work=fitting(waits=True), refit_at=0.1)
    assert step(state, Due(), at(0.1))[1] == (Ask(before=NEXT),)


def test_a_run_of_another_layer_is_waited_for() -> None:
    theirs = fitting(THEIRS, live=False, previewed=True)
    state, effects = step(replace(FITTED, work=theirs, refit_at=4.0), Due(), at(4.0))
    assert (state.refit_at, effects) == (5.5, ())
    state, _ = step(state, Ended(), at(5.0))
    assert state.refit_at == 5.03


def test_a_live_fit_of_another_layer_makes_way_and_leaves_the_last_picture() -> None:
    theirs, before = fitting(THEIRS, shown=shown(THEIRS), previewed=True), fit_of(THEIRS)
    state = State(fits={"L": DONE, "M": before}, work=theirs)
    state, effects = step(state, Read(Ask(before=WISH), NEXT, True), at(1.0))
    assert effects[0] == Restore(THEIRS, before)
    assert effects[-1] == StartFit(NEXT, starts="starts of L at 10")
    assert state.fitting.shown is None


def test_other_points_are_used_when_that_is_chosen() -> None:
    state, _ = step(FITTED, UseChanged(), at())
    assert step(state, Due(), at(1.0))[1] == (Ask(before=WISH, others=True),)
    state, _ = step(state, LayerChosen(), at())
    assert state == FITTED  # which changes fields, but asks for nothing
    state, _ = step(replace(FITTED, uses_others=True), Read(Ask(before=WISH), NEXT, True), at())
    assert not state.uses_others


# Previews


def test_previews_leave_the_window_time() -> None:
    state, shows = replace(FITTED, work=fitting()), []

    def progress(now: float, *, settled: bool = False) -> None:
        nonlocal state
        state, effects = step(state, Progressed(NEXT, preview(9.0, settled=settled)), at(now))
        shows.extend(now for effect in effects if isinstance(effect, ShowPreview))

    progress(10.0)
    progress(19.0)  # until the window has drawn it
    state, _ = step(state, PreviewDrawn(), at(10.05))
    progress(10.99)
    progress(11.01)
    progress(11.02, settled=True)
    assert shows == [10.0, 11.01, 11.02]
    # Another fit may show one soon, but not at once.
    state, _ = step(state, Read(Ask(before=NEXT), Wish(sparsity=12.0), True), at(11.03))
    assert state.next_preview == pytest.approx(11.22)


# Ends


def test_cancel_brings_the_last_fit_back() -> None:
    state = replace(FITTED, work=fitting(shown=shown()), refit_at=1.0)
    state, effects = step(state, Cancel("Cancelled."), at())
    assert (state.refit_at, effects) == (None, (Stop("Cancelled."),))
    state, effects = step(state, Ended("Cancelled."), at(1.0))
    assert effects == (FinishPlot(), Restore(NEXT, DONE), Say("Cancelled."))
    assert state == replace(FITTED, redraw_at=1.06)
    assert step(FITTED, Cancel("Cancelled."), at()) == (FITTED, ())  # nothing runs


def test_cancel_takes_the_previews_of_a_first_fit_away() -> None:
    state = State(work=fitting(WISH, before=None, shown=shown(WISH)))
    state, effects = step(state, Ended("Cancelled."), at())
    assert effects == (FinishPlot(), Restore(WISH, None), Say("Cancelled."))
    assert state == State()


@pytest.mark.parametrize(("event", "says"), [(Refused("No."), (Say("No."),)), (Failed(), ())])
def test_what_fails_brings_the_last_fit_back_and_is_not_tried_again(
    event: Event, says: Any
) -> None:
    state, effects = step(replace(FITTED, work=fitting(shown=shown())), event, at())
    assert effects == says
    state, effects = step(state, Ended(), at())
    assert effects == (FinishPlot(), Restore(NEXT, DONE))
    assert state.refit_at is None


@pytest.mark.parametrize("work", [fitting(shown=shown()), Drawing(DONE), Ending("L")])
def test_a_layer_that_is_removed_takes_its_fit_along(work: Any) -> None:
    state, effects = step(replace(FITTED, work=work), LayerRemoved("L", "L is gone."), at())
    assert (state.fits, effects) == ({}, (Stop("L is gone."),))


def test_the_last_fit_of_a_layer_that_is_removed_stays_in_its_layers() -> None:
    state = replace(FITTED, work=fitting(shown=shown()))
    _, effects = play(
        state, (LayerRemoved("L", "L is gone."), at()), (Ended("L is gone."), at(layer=None))
    )
    assert Restore(NEXT, DONE) in effects


def test_other_layers_may_be_removed() -> None:
    state = replace(FITTED, work=fitting())
    assert step(state, LayerRemoved("M", "M is gone."), at()) == (state, ())


def test_nobody_sees_a_closed_widget() -> None:
    assert step(replace(FITTED, redraw_at=1.0), Closed(), at()) == (FITTED, ())


# What the layers show


def test_the_layers_are_drawn_anew_after_the_last_change() -> None:
    state, _ = play(FITTED, (ViewChanged(), at(1.0)), (ViewChanged(), at(1.05)))
    assert state.redraw_at == pytest.approx(1.11)
    wanted = replace(DONE, picture=OTHER)
    state, effects = step(state, Due(), at(2.0, picture=OTHER))
    assert (state.work, effects) == (Drawing(wanted), (StartDrawing(wanted),))
    state, effects = step(state, Drawn("heatmap"), at())
    done = replace(wanted, heatmap="heatmap")
    assert (state.fits["L"], effects) == (done, (ShowPicture(done), Summarize(done)))
    state, _ = play(state, (Ended(), at(2.0)), (Due(), at(3.0, picture=OTHER)))
    assert state == State(fits={"L": done})  # nothing new to show


def test_nothing_is_drawn_of_a_layer_without_a_fit() -> None:
    assert step(FITTED, ViewChanged(), at(layer="M")) == (FITTED, ())


@pytest.mark.parametrize("event", [Refused("Too many."), Failed()])
@pytest.mark.parametrize("fields", [{"picture": OTHER}, {"annotate": True}])
def test_what_cannot_be_drawn_is_not_tried_again(event: Event, fields: Any) -> None:
    state, effects = step(replace(FITTED, redraw_at=0.0), Due(), at(**fields))
    assert effects
    state, effects = play(state, (event, at()), (Ended(), at()), (Due(), at(9.0, **fields)))
    assert (state.work, effects) == (None, ())


def test_a_cancelled_heatmap_is_drawn_at_the_next_change() -> None:
    wanted = replace(DONE, picture=OTHER)
    state, effects = step(replace(FITTED, work=Drawing(wanted)), Ended("Cancelled."), at())
    assert (state, effects) == (FITTED, (FinishPlot(), Say("Cancelled.")))
    _, effects = step(replace(state, redraw_at=0.0), Due(), at(picture=OTHER))
    assert effects == (StartDrawing(wanted),)


def test_a_heatmap_of_a_fit_that_is_gone_is_not_shown() -> None:
    state = State(fits={"L": fit_of(NEXT)}, work=Drawing(DONE))
    assert step(state, Drawn("heatmap"), at()) == (replace(state, work=Ending("L")), ())


def test_ellipses_follow_their_size_at_once() -> None:
    state = replace(FITTED, redraw_at=0.0)
    smaller = replace(DONE, coverage=50.0)
    _, effects = step(state, Due(), at(coverage=50.0))
    assert effects == (ShowComponents(smaller),)
    running = replace(state, work=fitting(shown=shown()))
    _, effects = step(running, Due(), at(coverage=50.0, picture=OTHER))
    assert effects == (ShowEllipses(shown(), 50.0),)


def test_points_are_coloured_when_their_picture_is_drawn() -> None:
    state = replace(FITTED, redraw_at=0.0)
    _, effects = step(state, Due(), at(annotate=True, picture=OTHER))
    assert effects == (StartDrawing(replace(DONE, picture=OTHER)),)
    state, effects = step(state, Due(), at(annotate=True))
    assert effects == (StartAssigning(DONE),)
    state, effects = step(state, Assigned("colours"), at(annotate=True))
    assert effects == (ShowAssignment(DONE, "colours"),)
    assert state.fits["L"].annotated
    state, effects = step(state, AnnotateChanged(), at())
    assert (state.fits, effects) == (FITTED.fits, (ClearAssignment(),))


def test_colours_that_are_not_wanted_any_more_do_not_come_back() -> None:
    running = replace(FITTED, work=Drawing(DONE, assigns=True))
    assert step(running, Assigned("colours"), at()) == (replace(running, work=Ending("L")), ())
    # Nor are they taken for there when a heatmap was drawn meanwhile.
    coloured = replace(DONE, annotated=True)
    state = State(fits={"L": coloured}, work=Drawing(replace(coloured, picture=OTHER)))
    state, _ = play(state, (AnnotateChanged(), at()), (Drawn("heatmap"), at()))
    assert not state.fits["L"].annotated


def test_a_slider_moves_along_the_path() -> None:
    done = fit_of(models=(10.0, 3.0), path=("a", "path"), annotated=True)
    state = State(fits={"L": done})
    assert step(state, SolutionChosen(0), at()) == (state, ())  # it is shown
    chosen = replace(done, chosen=1, annotated=False)
    state, effects = step(state, SolutionChosen(1), at())
    # At once: the ellipses, the table and the words; then the heatmap.
    assert effects == (ShowSparsity(chosen), ShowComponents(chosen), Summarize(chosen))
    assert step(state, Due(), at(1.0))[1] == (StartDrawing(replace(chosen, drawn=1)),)
    assert step(FITTED, SolutionChosen(1), at()) == (FITTED, ())  # no path


@pytest.mark.parametrize(
    ("state", "obstacle", "says"),
    [
        (FITTED, "", (Summarize(DONE),)),
        (FITTED, "Choose axes.", (Say("Choose axes."),)),
        (replace(FITTED, work=fitting()), "", ()),
    ],
)
def test_what_is_known_of_another_layer_is_said(state: State, obstacle: str, says: Any) -> None:
    assert step(state, SourceChanged(), at(obstacle=obstacle)) == (state, (ShowPath(DONE), *says))


# Undo


def test_undo_brings_the_run_before_back_and_again_the_last_one() -> None:
    run = fitting(NEXT, live=False, shown=None)
    result = SimpleNamespace(models=(11.0,), chosen=0, path=None, heatmap=HEATMAP, starts=())
    state, _ = play(replace(FITTED, work=run), (Found(NEXT, result), at()), (Ended(), at()))
    last = state.fits["L"]
    assert (last.asked, last.previous) == (NEXT, DONE)
    state, effects = step(state, Undo(), at())
    back = state.fits["L"]
    assert (back.asked, back.models) == (DONE.asked, DONE.models)
    assert effects[0] == ShowSettings(back)
    for effect in (ShowPicture(back), ShowComponents(back), Summarize(back)):
        assert effect in effects
    # Points that are coloured get the colours of what is shown now.
    _, effects = play(state, (Due(), at(1.0, annotate=True)))
    assert effects == (StartAssigning(back),)
    state, _ = step(state, Undo(), at())
    assert state.fits["L"].asked == NEXT


def test_live_fits_belong_to_the_run_before_them() -> None:
    run = fit_of(NEXT, previous=DONE)
    result = SimpleNamespace(models=(12.0,), chosen=0, path=None, heatmap=HEATMAP, starts=())
    later = Wish(sparsity=12.0)
    state = State(fits={"L": run}, work=fitting(later, before=run))
    state, _ = step(state, Found(later, result), at())
    assert state.fits["L"].previous == DONE


@pytest.mark.parametrize("state", [State(), FITTED], ids=["no fit", "no run before"])
def test_there_may_be_nothing_to_undo(state: State) -> None:
    assert step(state, Undo(), at()) == (state, ())
