"""What the dock widget tells the user, in whole sentences."""

from typing import TYPE_CHECKING

import numpy as np

from napari_sparse_gmm.objectives import PRIORS
from napari_sparse_gmm.parameters import SPARSITY
from napari_sparse_gmm.plugin.points.source import Cloud
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.tasks.values import Solution
from napari_sparse_gmm.wording import count, volume_unit

if TYPE_CHECKING:
    from napari_sparse_gmm.path import SparsityPath

CANCELLED = "Cancelled. The layers are as they were."
NO_POINTS = "Add or open a Points layer to model its density."

# Where a background was requested, less of it is hardly any.
_NO_BACKGROUND = 0.01

# A component of a larger standard deviation, as a share of the longest side of the points' box,
# is as wide as scattered points are: those of a uniform density have 12 ** -0.5 = 0.29.
_WIDE = 0.25

# Of all that could be changed, so much is suggested.
_MOST_ADVICE = 2

RUN = "Fit the points, and show the heatmap and the ellipses."
CANCEL = "Stop; the layers stay as they were."
TABLE = (
    "Show the components as a table: click a row to select its ellipse, or the other way round; "
    "double click a row to go there. The table saves as CSV, and copies with Ctrl+C."
)
CENTRE = "Go to the selected component, or the next one."
PYTHON = (
    "Copy the lines of Python that repeat this fit, from the start, in napari's console or a "
    "notebook."
)
ADVANCED = (
    "Show or hide what rarely needs a change: how the fit starts and when it stops, how small and "
    "how alike components may be, and what computes."
)
NOT_FITTED = "Press Run first."
PATH = (
    "Fit for rising Sparsity, each time from the solution before, and choose among the solutions "
    "with a slider."
)
PATH_NEEDS_SQRT = "A path is one of the prior that Sparsity sets: choose that Prior first."
PATH_OF_ALL = "A path is of all points together: choose that under Fit each first."


def summary(solution: Solution, cloud: Cloud, most_ellipses: int) -> str:
    """What came out of a fit, how, and what the layers do not show."""
    frame = cloud.frame
    parts = solution.fitted
    k = sum(part.mixture.n_components for part in parts)
    n_points = sum(part.n_points for part in parts)
    background = sum(part.mixture.background_weight * part.total_weight for part in parts)
    background /= sum(part.total_weight for part in parts)
    groups = (
        "" if frame.stack is None else f" for {count(len(parts), 'value')} of {frame.stack.name}"
    )
    done = count(max(part.n_iter for part in parts), "iteration")
    sentences = [
        f"{count(k, 'component')}{groups} from {count(n_points, 'point')}"
        + (f", {_share(background)} background" if background > 0 else "")
        + (f". {done}, cost {parts[0].cost:.4f}." if len(parts) == 1 else f". At most {done}.")
    ]
    if solution.problem:
        missing = count(len(solution.parts) - len(parts), "group")
        sentences.append(f"{missing} could not be fitted: {solution.problem}")
    sentences.extend(_advice(solution, frame, background)[:_MOST_ADVICE])
    if solution.deconvolved and k:
        sentences.append("The precision of the points is taken off the sizes.")
    if k > most_ellipses:
        sentences.append(f"Of {k:,} ellipses the {most_ellipses:,} of most points are drawn.")
    if len(frame.axes) == 3 and k:
        sentences.append("The ellipses lie in space: switch to the 3D view to see them.")
    if frame.pooled:
        sentences.append(f"Points of all {' and '.join(frame.pooled)} are taken together.")
    if cloud.n_hidden:
        sentences.append(f"{count(cloud.n_hidden, 'hidden point')} left out.")
    if cloud.n_unused:
        sentences.append(f"{count(cloud.n_unused, 'point')} not chosen by Use.")
    if cloud.n_outside:
        sentences.append(f"{count(cloud.n_outside, 'point')} outside of the region left out.")
    if cloud.n_imprecise:
        sentences.append(f"{count(cloud.n_imprecise, 'point')} without a precision left out.")
    sentences.append(solution.engine_reason)
    return " ".join(sentences)


def _advice(solution: Solution, frame: Frame, background: float) -> list[str]:
    """What to change where the solution may not be what was wanted, the most useful first."""
    parts, settings = solution.fitted, solution.parameters
    numbers = [part.mixture.n_components for part in parts]
    prior, most = settings["prior"], settings["n_components"]
    declared = PRIORS[prior]
    sparse, bayes = SPARSITY.name in declared.uses, bool(declared.starts)
    advice = []
    if not all(part.converged for part in parts):
        advice.append("It has not converged: raise “Iterations at most” (Advanced) and run again.")
    if sum(numbers) == 0:
        if bayes:
            advice.append("No cluster: the points are as even as scattered ones.")
        else:
            lower = "lower Sparsity" if sparse else "try another Prior"
            advice.append(f"No component is left: {lower} to keep some.")
        return advice
    if settings["background"] is False and _widest(solution) > _WIDE * _longest_side(frame):
        instead = ", and lower Sparsity, or choose the prior Bayes" if sparse else ""
        advice.append(
            "A component is as wide as the field: tick Background, so that scattered points need "
            f"no component of their own{instead}."
        )
    # Of a region that somebody has drawn nothing better is known.
    if settings["background"] is True and background < _NO_BACKGROUND:
        left = "Hardly any" if background > 0 else "No"
        more = "Raise Sparsity; or, where" if sparse else "Where"
        advice.append(
            f"{left} background is left. {more} the field is no rectangle, so that components take "
            "its place, choose another Region, the convex hull or one that you draw."
        )
    if not bayes and background > 0.9:
        lower = "lower Sparsity, or " if sparse else ""
        advice.append(
            f"Nearly all points went to the background: {lower}start from more Components, to "
            "keep smaller clusters."
        )
    # Without a prior all are kept, whatever the points need; and so is a single one.
    if max(numbers) >= most > 1 and declared.prunes:
        groups = f" for some values of {frame.stack.name}" if frame.stack is not None else ""
        fewer = ", or Sparsity to keep fewer" if sparse else ""
        advice.append(
            f"That is as many as Components allows{groups}: raise it above {most:,} for more."
            if bayes
            else f"All {most:,} components are kept{groups}: raise Components, in case more are "
            f"needed{fewer}."
        )
    return advice


def _widest(solution: Solution) -> float:
    """The largest standard deviation of any component, in any direction."""
    found = [part.mixture for part in solution.fitted if part.mixture.n_components]
    return float(max(mixture.principal_axes.std.max() for mixture in found))


def _longest_side(frame: Frame) -> float:
    return float(np.ptp(frame.modelled_box, axis=0).max())


def path_sentence(path: "SparsityPath | None", chosen: int) -> str:
    """Why the chosen solution of a path is the suggested one; "" where it is not, or no path."""
    return path.why if path is not None and path[chosen] is path.suggested else ""


def heatmap_unit(quantity: str, frame: Frame) -> str:
    """What the values of the heatmap are, and per what."""
    what = {
        "density": "probability",
        "expected_points": "expected points",
        "log_density": "natural log of the probability",
    }[quantity]
    return f"The heatmap shows {what} per {volume_unit(frame.unit, len(frame.axes))}."


def choose_axes(name: str, axis_names: tuple[str, ...]) -> str:
    """Why Run waits: the layer leaves open which axes are space."""
    return f"Layer {name!r} has the axes {', '.join(axis_names)}: choose which of them to model."


def too_few_axes(name: str) -> str:
    return f"Layer {name!r} has a single axis: choose one with two or more."


def points_changed(name: str) -> str:
    return f"The points of layer {name!r} changed meanwhile: run again to colour them."


def copied(script: str) -> str:
    return f"Copied {count(script.count(chr(10)), 'line')} of Python: paste them into the console."


def region_gone(name: str) -> str:
    return f"Layer {name!r} was removed: the region is now the bounding box of the points."


def layer_removed(name: str) -> str:
    return f"Layer {name!r} was removed, so its fit was cancelled."


def _share(part: float) -> str:
    """A share in percent: never 0% of something, nor all of it where something else is left."""
    if 0 < part < 0.01:
        return "less than 1%"
    return "more than 99%" if 0.99 < part < 1 else f"{part:.0%}"
