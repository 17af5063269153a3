"""Fits, as work for a thread."""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.density_model import DensityModel, part_of, provenance
from napari_sparse_gmm.errors import EngineLost
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.objectives import PRIORS
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.parameters import (
    DEVICE,
    ENGINE,
    INIT,
    MAX_ITER,
    N_COMPONENTS,
    PRIOR,
    RANDOM_STATE,
    SOLVER,
    SPARSITY,
)
from napari_sparse_gmm.plugin.points.sampled import AllPoints
from napari_sparse_gmm.plugin.space.model_frame import model_in
from napari_sparse_gmm.plugin.tasks.opening import opened
from napari_sparse_gmm.plugin.tasks.previews import Previews
from napari_sparse_gmm.plugin.tasks.progress import followed, so_far, step_text, time_left
from napari_sparse_gmm.plugin.tasks.render import drawn
from napari_sparse_gmm.plugin.tasks.task import (
    Progress,
    Refusal,
    Work,
    guarded,
    prepare,
)
from napari_sparse_gmm.plugin.tasks.values import FitRequest, Outcome
from napari_sparse_gmm.ranges import as_records
from napari_sparse_gmm.regions import Region

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Engine
    from napari_sparse_gmm.estimator import SparseGaussianMixture
    from napari_sparse_gmm.fitting import FitStep
    from napari_sparse_gmm.groups import GroupFit
    from napari_sparse_gmm.members import Members

# What a fit starts from in each group; None as its parameters say.
Starts = Sequence[GaussianMixture | None]

# A fit, and what holds its points.
Fitted = tuple["SparseGaussianMixture", "Engine"]


def fit(request: FitRequest) -> Work[Outcome | Refusal]:
    """Fit a mixture to the points and draw its heatmap.

    Previews are yielded meanwhile.

    Returns
    -------
    Outcome, or Refusal where the input is at fault.

    Raises
    ------
    FitFailed
        For every other error, whatever its kind.
    """
    return guarded("fit", _while_there(request, _fit(request)))


def refit(request: FitRequest, starts: Starts) -> Work[Outcome | Refusal]:
    """Fit from an earlier solution, `starts` for each group: soon, and then well.

    Whenever what is found from there has settled, there is a preview of it. Then comes a fit
    from the start that the parameters say: where a rising penalty has removed components, a
    falling one cannot bring all of them back. Returns the better solution of each group, and
    raises, like `fit`.
    """
    return guarded("fit", _while_there(request, _refit(request, starts)))


def fit_path(request: FitRequest) -> Work[Outcome | Refusal]:
    """Fit the solutions along a rising sparsity. Returns and raises like `fit`."""
    return guarded("path", _while_there(request, _path(request)))


def starts_for(request: FitRequest, before: FitRequest, mixtures: Starts) -> Starts | None:
    """The mixtures, where a fit can start from those of an earlier request; else None.

    Not where a start of its own is asked for, in other dimensions or groups, or where there are
    more components than may be, none, or too few that nothing would add to.
    """
    old, new = before.parameters, request.parameters
    if any(old[name] != new[name] for name in (INIT.name, RANDOM_STATE.name)):
        return None
    if request.points.shape[1] != before.points.shape[1] or request.names != before.names:
        return None
    numbers = [mixture.n_components for mixture in mixtures if mixture is not None]
    declared = PRIORS[new[PRIOR.name]]
    most = new[N_COMPONENTS.name] or declared.components or math.inf
    if max(numbers, default=0) > most or min(numbers, default=0) == 0:
        return None
    grows = declared.prunes and new[SOLVER.name] == "mm"
    return mixtures if grows or min(numbers, default=0) == most else None


def _while_there(request: FitRequest, work: Work[Outcome]) -> Work[Outcome]:
    """The work; where what holds the points is lost, the next fit does not ask it again."""
    try:
        return (yield from work)
    except EngineLost:
        request.place.held.forget()
        raise


def _fit(request: FitRequest) -> Work[Outcome]:
    estimator = yield from _estimator(request, request.parameters[MAX_ITER.name])
    points = yield from _points(request, estimator)
    fits = yield from _fitted(request, estimator, points, None)
    return (yield from _finished(request, fits))


def _refit(request: FitRequest, starts: Starts) -> Work[Outcome]:
    estimator = yield from _estimator(request, request.parameters[MAX_ITER.name])
    points = yield from _points(request, estimator)
    near = yield from _fitted(request, estimator, points, starts)
    anew = yield from _fitted(request, estimator, points, None, pictures=False)
    taken, better = list(starts), []
    for one, other, group in zip(near, anew, _groups(request), strict=True):
        gains = _cost(one) < _cost(other) - estimator.tol
        better.append(one if gains else other)
        if not gains:
            taken[group] = None
    return (yield from _finished(request, better, taken))


def _cost(fitted: "GroupFit") -> float:
    return np.inf if fitted.model is None else fitted.model.cost_


def _path(request: FitRequest) -> Work[Outcome]:
    estimator = yield from _estimator(request, 1)

    from napari_sparse_gmm.path import SPARSITIES, SparsityPath, iter_path

    points = yield from _points(request, estimator)
    engine = estimator.open(points)

    def progress_of(step: "FitStep", done: list[Any]) -> Progress:
        text = f"Sparsity {SPARSITIES[len(done)]:g}: {step_text(step)}"
        return Progress(len(done), len(SPARSITIES), text)

    found = yield from followed(
        iter_path(estimator, engine),
        progress_of,
        request.pacing,
        Previews(
            lambda step, _, complete: so_far(request, (step.mixture,), complete), request.pacing
        ),
    )
    path = SparsityPath(tuple(found))
    models = []
    for point in found:
        parameters = {**request.parameters, SPARSITY.name: point.sparsity}
        of_point = replace(request, parameters=parameters)
        models.append((yield from _model(of_point, [(point.model, engine)])))
    chosen = found.index(path.suggested)
    picture = yield from drawn(models[chosen], request.box, request.heatmap, request.frame.layout)
    return Outcome(tuple(models), chosen, picture, path)


def _points(
    request: FitRequest, estimator: "SparseGaussianMixture"
) -> "Work[Observations | Engine]":
    """What is to be fitted: the points that are shown, or what holds all of them."""
    if request.cloud.all_points is None:
        return request.cloud.observations
    return (yield from opened(request.cloud.all_points, estimator, request.place))


def _fitted(
    request: FitRequest,
    estimator: "SparseGaussianMixture",
    points: "Observations | Engine",
    starts: Starts | None,
    *,
    pictures: bool = True,
) -> "Work[list[GroupFit]]":
    """Fit each group of points that there is, and show how; from `starts` what has settled, too."""
    most = request.parameters[MAX_ITER.name]
    labels = _groups(request)
    names = [request.names[group] for group in labels]
    began = request.pacing.now()

    def progress_of(step: "FitStep", done: "list[GroupFit]") -> Progress:
        name = f"{names[len(done)]}: " if names[len(done)] else ""
        start = f"Start {step.start + 1} of {step.n_starts}: " if step.n_starts > 1 else ""
        value = (len(done) * step.n_starts + step.start) * most + step.iteration
        total = most * len(names) * step.n_starts
        left = time_left(request.pacing.now() - began, value / total)
        return Progress(value, total, f"{name}{start}{step_text(step)}{left}")

    def pictured(step: "FitStep", done: "Sequence[GroupFit]", complete: bool) -> Outcome:
        mixtures = _mixtures(request, done)
        for group in labels[len(done) :]:
            mixtures[group] = None if starts is None else starts[group]
        mixtures[labels[len(done)]] = step.mixture
        return so_far(request, mixtures, complete)

    return (
        yield from followed(
            _fits(request, estimator, points, starts),
            progress_of,
            request.pacing,
            Previews(pictured, request.pacing, settle=starts is not None) if pictures else None,
        )
    )


def _fits(
    request: FitRequest,
    estimator: "SparseGaussianMixture",
    points: "Observations | Engine",
    starts: Starts | None,
) -> "Generator[FitStep | GroupFit, None, None]":
    """The steps to the fit of each group, and that."""
    from napari_sparse_gmm.groups import iter_groups, iter_whole

    if not isinstance(points, Observations):
        start = None if starts is None else starts[0]
        return iter_whole(estimator, points, start=start)
    of_groups = None if starts is None else [starts[group] for group in _groups(request)]
    return iter_groups(
        estimator,
        points,
        request.cloud.groups,
        starts=of_groups,
        regions=request.cloud.own_regions,
    )


def _finished(
    request: FitRequest, fits: "Sequence[GroupFit]", starts: Starts = ()
) -> Work[Outcome]:
    """The model that the fits of groups make, with its heatmap."""
    problem = next((fitted.problem for fitted in fits if fitted.problem), "")
    went_on = tuple(starts) if any(start is not None for start in starts) else ()
    model = yield from _model(request, _of_all_groups(request, fits), problem, bool(went_on))
    picture = yield from drawn(model, request.box, request.heatmap, request.frame.layout)
    return Outcome((model,), 0, picture, starts=went_on)


def _groups(request: FitRequest) -> NDArray[np.intp]:
    """The groups that have points."""
    return np.unique(request.cloud.groups)


def _of_all_groups(request: FitRequest, fits: "Sequence[GroupFit]") -> "list[Fitted | None]":
    """The fit of each group, None where it has no points or could not be fitted."""
    of_groups: list[Fitted | None] = [None] * len(request.names)
    for fitted in fits:
        if fitted.model is not None and fitted.engine is not None:
            of_groups[fitted.label] = fitted.model, fitted.engine
    return of_groups


def _mixtures(request: FitRequest, fits: "Sequence[GroupFit]") -> list[GaussianMixture | None]:
    """What each group was fitted to, None as above."""
    of_groups = _of_all_groups(request, fits)
    return [None if fitted is None else fitted[0].mixture_ for fitted in of_groups]


def _model(
    request: FitRequest,
    fits: "Sequence[Fitted | None]",
    problem: str = "",
    went_on: bool = False,
) -> Work[DensityModel]:
    """The model that fitted estimators hold, one for each group, with its standard errors."""
    parts = []
    numbers: Sequence[int | None]
    if request.cloud.all_points is None:
        numbers = np.bincount(request.cloud.groups, minlength=len(fits)).tolist()
    else:
        numbers = [_number(request.cloud.all_points, fitted) for fitted in fits]
    for group, fitted in enumerate(fits):
        yield Progress(group, len(fits), "Estimating the errors")
        own = None
        if fitted is not None:
            members = _members(request, group, fitted[0].mixture_)
            own = part_of(*fitted, numbers[group], _regions_of(request, group), members)
        parts.append(own)
    engine = next(fitted[1] for fitted in fits if fitted is not None)
    made = provenance(
        source=request.source,
        parameters=request.parameters,
        engine=engine.name,
        engine_reason=engine.reason,
        deconvolved=request.noisy,
        problem=problem,
        went_on_from_an_earlier_fit=went_on,
        left_out=request.cloud.left_out,
        ranges=as_records(request.cloud.ranges),
    )
    return model_in(request.frame, parts, **made)


def _regions_of(request: FitRequest, group: int) -> Mapping[str, Region]:
    """Those whose numbers are asked for: all, or the one that the group is of."""
    regions = request.cloud.regions
    if request.cloud.own_regions is None:
        return regions
    name = list(regions)[group]
    return {name: regions[name]}


def _members(request: FitRequest, group: int, mixture: GaussianMixture) -> "Members | None":
    """What the points of a group say of its components; None where they are not all here."""
    cloud, how = request.cloud, request.heatmap
    if cloud.all_points is not None:
        return None
    from napari_sparse_gmm.engines.threads import limited_threads
    from napari_sparse_gmm.members import members_of

    own = cloud.groups == group
    frames = None if cloud.frames is None else cloud.frames[own]
    seen = cloud.observations if own.all() else cloud.observations.subset(own)
    with limited_threads(how.n_threads):
        return members_of(mixture, [(seen, frames)], engine=how.engine, device=how.device)


def _number(all_points: AllPoints, fitted: "Fitted | None") -> int | None:
    """How many points were fitted, where that is known: an engine holds equal ones as one."""
    if fitted is None or all_points.weights is not None:
        return None
    engine = fitted[1]
    return round(engine.summary.total_weight * engine.repeats)


def _estimator(request: FitRequest, total: int) -> "Work[SparseGaussianMixture]":
    """The estimator of a request, when all that it needs is there."""
    # What is wrong with the heatmap is better known before the fit.
    request.heatmap.grid(request.box, request.frame.layout.n_slices)
    yield Progress(0, total, "Starting")

    from napari_sparse_gmm.estimator import SparseGaussianMixture

    engine, device = request.parameters[ENGINE.name], request.parameters[DEVICE.name]
    yield from prepare(engine, device, request.points.shape[1], total, noise=request.noisy)
    return SparseGaussianMixture(**request.parameters)
