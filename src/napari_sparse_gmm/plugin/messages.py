"""What the dock widget tells the user, in whole sentences."""

from napari_sparse_gmm.plugin.frame import Frame
from napari_sparse_gmm.plugin.layers import MAX_ELLIPSES
from napari_sparse_gmm.plugin.worker import FitResult

CANCELLED = "Cancelled. The layers are as they were."
NO_POINTS = "Add or open a Points layer to model its density."


def summary(result: FitResult, frame: Frame, n_hidden: int) -> str:
    """What came out of a fit, how, and what the layers do not show."""
    k = result.mixture.n_components
    background = result.mixture.background_weight
    parts = [
        f"{_count(k, 'component')} from {_count(result.n_points, 'point')}"
        + (f", {background:.0%} background" if background > 0 else "")
        + f". {_count(result.n_iter, 'iteration')}, cost {result.cost:.4f}."
    ]
    if not result.converged:
        parts.append("It has not converged: raise “Iterations at most” (Advanced) and run again.")
    parts.extend(_advice(result))
    if result.deconvolved and k:
        parts.append("The precision of the points is taken off the sizes.")
    if k > MAX_ELLIPSES:
        parts.append(f"Of {k:,} ellipses the {MAX_ELLIPSES:,} of largest weight are drawn.")
    if len(frame.axes) == 3:
        parts.append("The ellipses lie in space: switch to the 3D view to see them.")
    if frame.pooled:
        parts.append(f"Points of all {' and '.join(frame.pooled)} are taken together.")
    if n_hidden:
        parts.append(f"{_count(n_hidden, 'hidden point')} left out.")
    parts.append(result.engine_reason)
    return " ".join(parts)


def _advice(result: FitResult) -> list[str]:
    """What to change where the number of components may not be what was wanted."""
    k, background = result.mixture.n_components, result.mixture.background_weight
    prior, most = result.parameters["prior"], result.parameters["n_components"]
    if prior == "bayes":
        if k == 0:
            return ["No cluster: the points are as even as scattered ones."]
        if k >= most:
            return [f"That is as many as Components allows: raise it above {most:,} for more."]
    elif k == 0:
        lower = "lower Sparsity" if prior == "sqrt" else "try another Prior"
        return [f"No component is left: {lower} to keep some."]
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


def layer_removed(name: str) -> str:
    return f"Layer {name!r} was removed, so its fit was cancelled."


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
