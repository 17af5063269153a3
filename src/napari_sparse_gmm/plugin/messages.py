"""What the dock widget tells the user, in whole sentences."""

from napari_sparse_gmm.plugin.frame import Frame
from napari_sparse_gmm.plugin.results import Solution
from napari_sparse_gmm.plugin.source import Cloud

CANCELLED = "Cancelled. The layers are as they were."
NO_POINTS = "Add or open a Points layer to model its density."

# Where a background was asked for, less of it is none.
_NO_BACKGROUND = 0.01

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
    groups = "" if frame.stack is None else f" for {len(parts):,} values of {frame.stack.name}"
    done = _count(max(part.n_iter for part in parts), "iteration")
    sentences = [
        f"{_count(k, 'component')}{groups} from {_count(n_points, 'point')}"
        + (f", {background:.0%} background" if background > 0 else "")
        + (f". {done}, cost {parts[0].cost:.4f}." if len(parts) == 1 else f". At most {done}.")
    ]
    if solution.problem:
        missing = _count(len(solution.parts) - len(parts), "group")
        sentences.append(f"{missing} could not be fitted: {solution.problem}")
    if not all(part.converged for part in parts):
        sentences.append(
            "It has not converged: raise “Iterations at most” (Advanced) and run again."
        )
    sentences.extend(_advice(solution, background))
    if solution.deconvolved and k:
        sentences.append("The precision of the points is taken off the sizes.")
    if k > most_ellipses:
        sentences.append(f"Of {k:,} ellipses the {most_ellipses:,} of most points are drawn.")
    if len(frame.axes) == 3:
        sentences.append(
            "A slice shows where it cuts the ellipsoids; the ellipses lie in space: switch to the "
            "3D view to see them."
        )
    if frame.pooled:
        sentences.append(f"Points of all {' and '.join(frame.pooled)} are taken together.")
    if cloud.n_hidden:
        sentences.append(f"{_count(cloud.n_hidden, 'hidden point')} left out.")
    if cloud.n_unused:
        sentences.append(f"{_count(cloud.n_unused, 'point')} not chosen by Use.")
    if cloud.n_outside:
        sentences.append(f"{_count(cloud.n_outside, 'point')} outside of the region left out.")
    sentences.append(solution.engine_reason)
    return " ".join(sentences)


def _advice(solution: Solution, background: float) -> list[str]:
    """What to change where the number of components may not be what was wanted."""
    numbers = [part.mixture.n_components for part in solution.fitted]
    prior, most = solution.parameters["prior"], solution.parameters["n_components"]
    lower = "lower Sparsity" if prior == "sqrt" else "try another Prior"
    if sum(numbers) == 0:
        if prior == "bayes":
            return ["No cluster: the points are as even as scattered ones."]
        return [f"No component is left: {lower} to keep some."]
    # Of a region that somebody has drawn nothing better is known.
    if solution.parameters["background"] is True and background < _NO_BACKGROUND:
        more = "Raise Sparsity; or, where" if prior == "sqrt" else "Where"
        return [
            f"No background is left. {more} the field is no rectangle, so that components take "
            "its place, choose another Region, the convex hull or one that you draw."
        ]
    if prior == "bayes":
        if max(numbers) >= most:
            return [f"That is as many as Components allows: raise it above {most:,} for more."]
    elif background > 0.9:
        lower = "lower Sparsity, or " if prior == "sqrt" else ""
        return [
            f"Nearly all points went to the background: {lower}start from more Components, to "
            "keep smaller clusters."
        ]
    return []


def heatmap_unit(quantity: str, frame: Frame) -> str:
    """What the values of the heatmap are, and per what."""
    what = {
        "density": "probability",
        "expected_points": "expected points",
        "log_density": "natural log of the probability",
    }[quantity]
    power = {2: "²", 3: "³"}[len(frame.axes)]
    return f"The heatmap shows {what} per {frame.unit or 'unit'}{power}."


def choose_axes(name: str, axis_names: tuple[str, ...]) -> str:
    """Why Run waits: the layer leaves open which axes are space."""
    return f"Layer {name!r} has the axes {', '.join(axis_names)}: choose which of them to model."


def too_few_axes(name: str) -> str:
    return f"Layer {name!r} has a single axis: choose one with two or more."


def points_changed(name: str) -> str:
    return f"The points of layer {name!r} changed meanwhile: run again to colour them."


def copied(script: str) -> str:
    return f"Copied {_count(script.count(chr(10)), 'line')} of Python: paste them into the console."


def region_gone(name: str) -> str:
    return f"Layer {name!r} was removed: the region is now the bounding box of the points."


def layer_removed(name: str) -> str:
    return f"Layer {name!r} was removed, so its fit was cancelled."


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
