"""Follow a fit: the progress of its steps, and what is shown of them."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparse_gmm.density_model import Part
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.objectives import PRIORS
from napari_sparse_gmm.parameters import PRIOR
from napari_sparse_gmm.plugin.space.model_frame import model_in
from napari_sparse_gmm.plugin.tasks.pacing import Pacing
from napari_sparse_gmm.plugin.tasks.previews import Previews
from napari_sparse_gmm.plugin.tasks.render import drawn
from napari_sparse_gmm.plugin.tasks.task import Pass, Progress, Work, at_once, no_fallback_warning
from napari_sparse_gmm.plugin.tasks.values import FitRequest, Outcome
from napari_sparse_gmm.wording import count

if TYPE_CHECKING:
    from napari_sparse_gmm.fitting import FitStep

# Seconds, and a share of all iterations, from which it is known how fast a fit is: earlier the most
# that it could take would only frighten.
_TOO_EARLY, _TOO_LITTLE = 1.0, 0.2


def followed(
    events: Generator[Any, None, None],
    progress_of: "Callable[[FitStep, list[Any]], Progress]",
    pacing: Pacing,
    previews: Previews | None = None,
) -> Work[list[Any]]:
    """Yield the progress of some of the steps, and how they look; returns all other events.

    `progress_of` gets a step, and the other events that came before.
    """
    from napari_sparse_gmm.fitting import FitStep

    found: list[Any] = []
    passes: list[Pass] = []
    last = -np.inf
    last_step: tuple[FitStep, list[Any]] | None = None
    with no_fallback_warning(), closing(events):
        for event in events:
            if not isinstance(event, FitStep):
                found.append(event)
                continue
            passes.append(Pass(event.iteration, event.cost, event.n_components))
            last_step = event, list(found)
            preview = None if previews is None else previews.of(event, found)
            if preview is None and pacing.now() - last < pacing.progress:
                continue
            reported = pacing.now()
            yield replace(progress_of(event, found), passes=tuple(passes), preview=preview)
            passes.clear()
            last = pacing.now()
            if previews is not None and preview is not None:
                previews.showing_took(last - reported)
    preview = None if previews is None or last_step is None else previews.at_end(*last_step)
    if passes or preview is not None:
        yield Progress(1, 1, "Finishing", passes=tuple(passes), preview=preview)
    return found


def so_far(
    request: FitRequest, mixtures: Sequence[GaussianMixture | None], complete: bool
) -> Outcome:
    """What a fit has found so far, in a small picture or a complete one, but for contours."""
    choice = (
        replace(request.heatmap, contours=False)
        if complete
        else request.heatmap.small(request.points.shape[1])
    )
    groups, n = request.cloud.groups, len(mixtures)
    each = request.each_stands_for
    numbers = np.rint(each * np.bincount(groups, minlength=n)).astype(int).tolist()
    totals = (each * np.bincount(groups, request.cloud.observations.weights, minlength=n)).tolist()
    has_evidence = PRIORS[request.parameters[PRIOR.name]].evidence
    parts = [
        None if mixture is None else _unsettled(request, mixture, number, total, has_evidence)
        for mixture, number, total in zip(mixtures, numbers, totals, strict=True)
    ]
    model = model_in(request.frame, parts)
    picture = at_once(drawn(model, request.box, choice, request.frame.layout))
    return Outcome((model,), 0, picture)


def _unsettled(
    request: FitRequest, mixture: GaussianMixture, number: int, total: float, has_evidence: bool
) -> Part:
    """With errors, evidence and members that nobody knows yet, so that a table has the same columns
    throughout.
    """
    from napari_sparse_gmm.evidence import Evidence
    from napari_sparse_gmm.members import Members
    from napari_sparse_gmm.uncertainty import StandardErrors

    shape = mixture.means.shape
    errors = StandardErrors(*(np.full(shape[:n], np.nan) for n in (1, 2, 2)))
    unknown, none = np.full(shape[:1], np.nan), np.zeros(shape[:1], dtype=np.intp)
    evidence = Evidence(unknown, np.nan, none, unknown) if has_evidence else None
    members = None
    if request.cloud.all_points is None:
        frames = None if request.cloud.frames is None else unknown
        members = Members(unknown if shape[1] in (2, 3) else None, frames, frames)
    return Part(mixture, errors, number, total, evidence=evidence, members=members)


def step_text(step: "FitStep") -> str:
    """A step in a few words."""
    return f"Iteration {step.iteration}, {count(step.n_components, 'component')}"


def time_left(seconds: float, share: float) -> str:
    """What a fit still takes at most, after so many seconds and this share of all iterations that
    may be: most fits end long before. "" at first, and where it is next to nothing.
    """
    if seconds < _TOO_EARLY or share < _TOO_LITTLE:
        return ""
    left = seconds * (1.0 / share - 1.0)
    return f", {left:.0f} s left at most" if left < 60 else f", {left / 60:.0f} min left at most"
