"""What the dock widget does, as a pure function: of what happened, to what is to be done.

    state, effects = step(state, event, inputs)

`controller` makes events of what Qt, the layers and the thread of a fit have to say, and does what
the effects ask for. Here are no Qt, no layers and no clock: a layer is its `key`, and the time
comes with the event.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sparse_gmm.plugin.control.effects import (
    Ask,
    BeginPlot,
    ClearAssignment,
    Effect,
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
from napari_sparse_gmm.plugin.control.state import Asked, Fit, Shown
from napari_sparse_gmm.plugin.tasks.pacing import PACING, Pacing
from napari_sparse_gmm.plugin.tasks.previews import Preview
from napari_sparse_gmm.plugin.tasks.values import Heatmap, HeatmapChoice, Outcome

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment


@dataclass(frozen=True)
class Inputs:
    """When something happens, and what the fields say then.

    Parameters
    ----------
    now : float
        Seconds.
    picture : HeatmapChoice
    coverage : float
    layer : hashable, optional
        The key of the Points layer that is chosen.
    obstacle : str
        Why it cannot be fitted; "" where it can.
    live, annotate : bool
    """

    now: float
    picture: HeatmapChoice
    coverage: float
    layer: Hashable = None
    obstacle: str = ""
    live: bool = False
    annotate: bool = False


# What may run


@dataclass(frozen=True)
class Fitting:
    """A fit that runs, or that begins when what runs has stopped.

    Parameters
    ----------
    asked : Asked
    before : Fit or None
        The last fit of the layer, which comes back where this one comes to nothing.
    live : bool
        Whether nobody has pressed Run for it.
    shows : bool
        Whether it shows what it has found so far: not in layers that could not come back.
    began : float
        When it was asked for.
    waits : bool
        Whether something else has still to stop.
    shown : Shown or None
        What the layers show instead of `before`: what it has found so far, or another fit that had
        to make way for it.
    previewed : bool
        Whether it has shown something itself.
    """

    asked: Asked
    before: Fit | None
    live: bool
    shows: bool
    began: float
    waits: bool = False
    shown: Shown | None = None
    previewed: bool = False

    @property
    def key(self) -> Hashable:
        """Whose points are fitted."""
        return self.asked.key


@dataclass(frozen=True)
class Drawing:
    """The picture of a fit is drawn, or its points are assigned; `fit` is as it will be then."""

    fit: Fit
    assigns: bool = False

    @property
    def key(self) -> Hashable:
        """Whose points were fitted."""
        return self.fit.key


@dataclass(frozen=True)
class Ending:
    """What came of it is shown; its thread is about to end."""

    key: Hashable


@dataclass(frozen=True)
class State:
    """What goes on, and what was found.

    Parameters
    ----------
    fits : mapping
        The last fit of each Points layer, by its key.
    work : Fitting, Drawing, Ending or None
    refit_at, redraw_at : float or None
        When to look whether there is something to be fitted, or to be drawn.
    uses_others : bool
        Whether other points are to be used than those of the last fit.
    last_preview, next_preview : float
        When the last one came, and when the next of the same fit may.
    pacing : Pacing
    """

    fits: Mapping[Hashable, Fit] = field(default_factory=dict)
    work: Fitting | Drawing | Ending | None = None
    refit_at: float | None = None
    redraw_at: float | None = None
    uses_others: bool = False
    last_preview: float = -np.inf
    next_preview: float = 0.0
    pacing: Pacing = PACING

    @property
    def fitting(self) -> Fitting | None:
        """The fit that runs."""
        return self.work if isinstance(self.work, Fitting) else None

    @property
    def due(self) -> float | None:
        """When there is something to do without an event."""
        return min((at for at in (self.refit_at, self.redraw_at) if at is not None), default=None)

    def having(self, fit: Fit) -> "State":
        """With another last fit of its layer."""
        return replace(self, fits={**self.fits, fit.key: fit})


Change = tuple[State, tuple[Effect, ...]]


def step(state: State, event: Event, inputs: Inputs) -> Change:
    """What an event makes of the state, and what is to be done, in this order."""
    match event:
        case Run(path):
            ready = state.work is None and not inputs.obstacle
            return state, (Ask(path),) if ready else ()
        case Read(ask, asked, has_layers):
            return _read(state, ask, asked, has_layers, inputs)
        case Due():
            return _due(state, inputs)
        case Began():
            fitting = state.fitting
            return state if fitting is None else replace(
                state, work=replace(fitting, waits=False)
            ), ()
        case Progressed(asked, preview, passes):
            state, effects = _preview(state, asked, preview, inputs)
            return state, (*effects, GrowPlot(passes)) if passes else effects
        case PreviewDrawn():
            took = inputs.now - state.last_preview
            pause = max(state.pacing.preview, took / state.pacing.preview_share)
            return replace(state, next_preview=state.last_preview + pause), ()
        case Found(asked, result):
            return _found(state, asked, result, inputs)
        case Drawn(heatmap):
            return _drawn(state, heatmap)
        case Assigned(assignment):
            return _assigned(state, assignment, inputs)
        case Refused(sentence):
            return _settled(state), (Say(sentence),)
        case Failed():
            return _settled(state), ()
        case Ended(why):
            return _ended(state, why, inputs)
        case Cancel(why):
            return _cancelled(state, why)
        case LayerRemoved(key, sentence):
            return _removed(state, key, sentence)
        case LayerChosen():
            return replace(state, refit_at=None, uses_others=False), ()
        case SourceChanged():
            return state, _of_source(state, inputs)
        case UseChanged():
            return _refit_soon(replace(state, uses_others=True), inputs), ()
        case FitChanged():
            return _refit_soon(state, inputs), ()
        case ViewChanged():
            return _redraw_soon(state, inputs), ()
        case AnnotateChanged():
            return _annotate(state, inputs)
        case SolutionChosen(index):
            return _choose(state, index, inputs)
        case Undo():
            return _undo(state, inputs)
        case Closed():
            return replace(state, redraw_at=None), ()


def _chosen(state: State, inputs: Inputs) -> Fit | None:
    """The last fit of the chosen layer."""
    return state.fits.get(inputs.layer)


# What is put off


def _refit_soon(state: State, inputs: Inputs) -> State:
    # From the first change on, not from the last: a slider that moves may do so for long.
    if not inputs.live or _chosen(state, inputs) is None or state.refit_at is not None:
        return state
    return replace(state, refit_at=inputs.now + state.pacing.refit)


def _redraw_soon(state: State, inputs: Inputs) -> State:
    if _chosen(state, inputs) is None and state.fitting is None:
        return state
    return replace(state, redraw_at=inputs.now + state.pacing.redraw)


def _due(state: State, inputs: Inputs) -> Change:
    at = state.due
    if at is None or at > inputs.now:
        return state, ()
    if at == state.refit_at:
        return _refit(replace(state, refit_at=None), inputs)
    return _redraw(replace(state, redraw_at=None), inputs)


def _refit(state: State, inputs: Inputs) -> Change:
    """Fit again what was fitted, where anything that matters has changed."""
    done, fitting = _chosen(state, inputs), state.fitting
    if not inputs.live or done is None or inputs.obstacle:
        return state, ()
    before = done.asked.for_model(done.model)
    if fitting is not None:
        later = _patience(state, fitting, fitting.key == done.key, inputs.now)
        if later > inputs.now:
            return replace(state, refit_at=later), ()
        if fitting.key == done.key:
            before = fitting.asked
    return state, (Ask(before=before, others=state.uses_others),)


def _patience(state: State, fitting: Fitting, same_layer: bool, now: float) -> float:
    """When a live fit may begin at the expense of the one that runs."""
    if not same_layer and not fitting.live:  # which somebody waits for
        return now + state.pacing.patience
    if fitting.previewed or fitting.waits:
        return now
    return fitting.began + state.pacing.patience


def _redraw(state: State, inputs: Inputs) -> Change:
    """Draw from the last fit what the fields ask for and the layers do not show yet."""
    done, fitting = _chosen(state, inputs), state.fitting
    effects: tuple[Effect, ...] = ()
    if fitting is not None and fitting.shown is not None:
        effects = (ShowEllipses(fitting.shown, inputs.coverage),)
    elif done is not None and done.coverage != inputs.coverage:
        done = replace(done, coverage=inputs.coverage)
        state, effects = state.having(done), (ShowComponents(done),)
    if done is None or state.work is not None:
        return state, effects
    wanted = replace(done, picture=inputs.picture, drawn=done.chosen)
    if wanted != done:
        return replace(state, work=Drawing(wanted)), (*effects, StartDrawing(wanted))
    if inputs.annotate and not done.annotated:
        return replace(state, work=Drawing(done, assigns=True)), (*effects, StartAssigning(done))
    return state, effects


# Fits


def _read(state: State, ask: Ask, asked: Asked, has_layers: bool, inputs: Inputs) -> Change:
    if ask.before is None:
        state, effects = _start(state, StartFit(asked, ask.path), has_layers, inputs, live=False)
        return state, (Say(""), *effects)
    done, fitting = _chosen(state, inputs), state.fitting
    assert done is not None
    if asked.same_as(ask.before):
        # Not what was wrong meanwhile.
        return state, (Summarize(done),) if state.work is None else ()
    # What comes next goes on from what is shown now.
    latest = Shown(done.asked.for_model(done.model), done.model)
    if fitting is not None and fitting.key == done.key and fitting.shown is not None:
        latest = fitting.shown
    starts = asked.starts_from(latest.asked, latest.model)
    return _start(state, StartFit(asked, starts=starts), has_layers, inputs, live=True)


def _start(
    state: State, start: StartFit, has_layers: bool, inputs: Inputs, *, live: bool
) -> Change:
    key, old = start.asked.key, state.fitting
    done, waits = state.fits.get(key), state.work is not None
    shows = done is not None or not has_layers
    fitting = Fitting(start.asked, done, live, shows, inputs.now, waits)
    effects: tuple[Effect, ...] = ()
    if old is not None and old.key == key:
        fitting = replace(fitting, shown=old.shown, shows=old.shows)
    elif old is not None:
        effects = _restored(state, old)
    state = replace(
        state,
        work=fitting,
        uses_others=False,
        next_preview=state.last_preview + state.pacing.preview,
    )
    return state, (*effects, BeginPlot(), start)


def _preview(state: State, asked: Asked, preview: Preview | None, inputs: Inputs) -> Change:
    """Show what a fit has found so far, where there is time for it."""
    fitting = state.fitting
    if preview is None or fitting is None or fitting.asked is not asked or not fitting.shows:
        return state, ()
    if not preview.settled and inputs.now < state.next_preview:
        return state, ()
    shown = Shown(asked, preview.result.model)
    state = replace(
        state,
        work=replace(fitting, shown=shown, previewed=True),
        last_preview=inputs.now,
        next_preview=np.inf,  # until the window has drawn this one
    )
    if state.refit_at is not None:
        state = replace(state, refit_at=inputs.now + state.pacing.pause)
    return state, (ShowPreview(asked, preview, inputs.coverage),)


def _found(state: State, asked: Asked, result: Outcome, inputs: Inputs) -> Change:
    if state.fitting is None or state.fitting.asked is not asked:
        return state, ()
    previous = state.fits.get(asked.key)
    if previous is not None:  # and no longer a chain; what was fitted live belongs to its Run
        previous = previous.previous if state.fitting.live else replace(previous, previous=None)
    done = Fit(
        asked=asked,
        previous=previous,
        models=result.models,
        chosen=result.chosen,
        path=result.path,
        heatmap=result.heatmap,
        picture=result.heatmap.choice,
        drawn=result.chosen,
        coverage=inputs.coverage,
        starts=result.starts,
    )
    state = replace(state.having(done), work=Ending(done.key))
    return state, (
        ShowSparsity(done),
        ShowPath(_chosen(state, inputs)),
        ShowPicture(done),
        ShowComponents(done),
        Summarize(done),
    )


def _ended(state: State, why: str | None, inputs: Inputs) -> Change:
    fitting, state = state.fitting, replace(state, work=None)
    effects: tuple[Effect, ...] = (FinishPlot(),)
    if fitting is not None:
        effects += _restored(state, fitting)
    if why is not None:
        effects += (Say(why),)
    # The user may have changed meanwhile what the layers are to show, or what is asked for; a
    # drawing that was cancelled is not wanted.
    if why is None or fitting is not None:
        state = _redraw_soon(state, inputs)
    if state.refit_at is not None:
        state = replace(state, refit_at=inputs.now + state.pacing.refit)
    return state, effects


def _restored(state: State, fitting: Fitting) -> tuple[Effect, ...]:
    """The last fit again, where something else was shown meanwhile."""
    if fitting.shown is None:
        return ()
    # That it was before is what is left of it when its points are gone.
    return (Restore(fitting.asked, state.fits.get(fitting.key, fitting.before)),)


def _cancelled(state: State, why: str) -> Change:
    if state.work is None:
        return state, ()
    return replace(state, refit_at=None), (Stop(why),)


def _removed(state: State, key: Hashable, sentence: str) -> Change:
    """A layer was: so is its fit."""
    fits = {other: fit for other, fit in state.fits.items() if other != key}
    state = replace(state, fits=fits)
    if state.work is None or state.work.key != key:
        return state, ()
    return _cancelled(state, sentence)


# Drawings


def _settled(state: State) -> State:
    """What was to be drawn is drawn, refused or failed: it is not asked for again."""
    if not isinstance(state.work, Drawing):
        return state
    wanted, assigns = state.work.fit, state.work.assigns
    state = replace(state, work=Ending(wanted.key))
    done = state.fits.get(wanted.key)
    if done is None or done.models is not wanted.models:
        return state
    if assigns:
        return state.having(replace(done, annotated=done.chosen == wanted.chosen))
    return state.having(replace(done, picture=wanted.picture, drawn=wanted.drawn))


def _drawn(state: State, heatmap: Heatmap) -> Change:
    if not isinstance(state.work, Drawing):
        return state, ()
    wanted, state = state.work.fit, _settled(state)
    done = state.fits.get(wanted.key)
    if done is None or done.models is not wanted.models:
        return state, ()
    done = replace(done, heatmap=heatmap)
    return state.having(done), (ShowPicture(done), Summarize(done))


def _assigned(state: State, assignment: "Assignment", inputs: Inputs) -> Change:
    if not isinstance(state.work, Drawing):
        return state, ()
    wanted = state.work.fit
    if not inputs.annotate:  # any more
        return replace(state, work=Ending(wanted.key)), ()
    return _settled(state), (ShowAssignment(wanted, assignment),)


def _annotate(state: State, inputs: Inputs) -> Change:
    if inputs.annotate or inputs.layer is None:
        return state, ()
    done = _chosen(state, inputs)
    if done is not None:
        state = state.having(replace(done, annotated=False))
    return state, (ClearAssignment(),)


def _choose(state: State, index: int, inputs: Inputs) -> Change:
    """Show another solution along the path: its ellipses at once, its heatmap when drawn."""
    done = _chosen(state, inputs)
    if done is None or done.path is None or index == done.chosen:
        return state, ()
    done = replace(done, chosen=index, annotated=False)
    state = _redraw_soon(state.having(done), inputs)
    return state, (ShowSparsity(done), ShowComponents(done), Summarize(done))


def _undo(state: State, inputs: Inputs) -> Change:
    """The Run before the last one instead of that; once more, and it is the last one again."""
    done = _chosen(state, inputs)
    if done is None or done.previous is None or state.work is not None:
        return state, ()
    back = replace(done.previous, previous=replace(done, previous=None), annotated=False)
    return _redraw_soon(state.having(back), inputs), (
        ShowSettings(back),
        ShowSparsity(back),
        ShowPath(back),
        ShowPicture(back),
        ShowComponents(back),
        Summarize(back),
    )


def _of_source(state: State, inputs: Inputs) -> tuple[Effect, ...]:
    """What is known of the layer that is chosen now."""
    done = _chosen(state, inputs)
    if state.work is not None:
        return (ShowPath(done),)
    if inputs.obstacle or done is None:
        return ShowPath(done), Say(inputs.obstacle)
    return ShowPath(done), Summarize(done)
