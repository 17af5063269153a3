"""What the dock widget tells the user, in whole sentences."""

import math
from dataclasses import astuple
from typing import TYPE_CHECKING

import numpy as np

from napari_sparse_gmm.density_model import DensityModel, Part
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.numbers import SURE, region_table
from napari_sparse_gmm.objectives import PRIORS, SPHERICAL
from napari_sparse_gmm.parameters import (
    COVARIANCE_TYPE,
    N_COMPONENTS,
    PRESETS,
    REPEATS,
    SPARSITY,
)
from napari_sparse_gmm.plugin.points.islands import n_islands
from napari_sparse_gmm.plugin.points.source import Cloud
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.regions import Intensity
from napari_sparse_gmm.wording import (
    count,
    cut_by_edge,
    density,
    figures,
    odds,
    repeated,
    volume_unit,
)

if TYPE_CHECKING:
    from napari_sparse_gmm.path import SparsityPath

CANCELLED = "Cancelled. The layers are as they were."
NO_POINTS = "Add or open a Points layer to model its density."

# log10 of the odds of 95%.

# Where a background was requested, less of it is hardly any.
_NO_BACKGROUND = 0.01

# So many components for each of several places with points are no clusters, but fill the places.
_TILES = 3

# A component of a larger standard deviation, as a share of the longest side of the points' box,
# is as wide as scattered points are: those of a uniform density have 12 ** -0.5 = 0.29.
_WIDE = 0.25

# How large a share of a background that is not even is left out at both ends of what is told.
_THIN = 0.05
# Where the background has more, hardly a cluster was kept.
_NEARLY_ALL = 0.9

FIND = " ".join(f"{preset.label}: {preset.help}" for preset in PRESETS)
VIEW = "Show or hide how what was found is shown."
RESET = "Set everything but the points back to what a first fit has."
STATISTICS = (
    "Medians, and quartiles in brackets. The points of a cluster are their expected number: each "
    "counts by its probability, as it does for the background. Score and the colours give each "
    "point to what it most probably is, which makes other shares. The radius of a cluster is one "
    "standard deviation, the geometric mean of those along its axes: of a round one in 2D it holds "
    "39% of the points, and the ellipse that is drawn is larger."
)
EXPORT = (
    "Write what was found for other programs: points with their components (CSV, Parquet, Picasso, "
    "ThunderSTORM), outlines (QuPath, ImageJ), labels, density (TIFF, OME-Zarr), SpatialData."
)
METHODS = (
    "Put a paragraph for the methods of a paper on the clipboard: version, model, parameters, what "
    "was found, and what to cite."
)
METHODS_COPIED = "A paragraph of methods is on the clipboard, with its references."
KEEP = (
    "Put this result aside: copies of its layers, hidden, that the next Run does not change. That "
    "of the components carries the model."
)
UNDO = "Show the result of the Run before, and set its parameters; pressed again, the last one."
SETTINGS = "Set the parameters of the model that the selected components layer carries."
RUN = "Fit the points, and show the heatmap and the ellipses."
CANCEL = "Stop; the layers stay as they were."
TABLE = (
    "Show the components as a table: click a row to select its ellipse, or the other way round; "
    "double click a row to go there; click a column's head to sort by it. The table saves as CSV, "
    "and copies with Ctrl+C."
)
CENTRE = (
    "Go to the selected component, or the next one; closer where it would be too small to see, "
    "farther where it is larger than the view."
)
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


def summary(model: DensityModel, cloud: Cloud, most_ellipses: int) -> str:
    """What came out of a fit in one line, what to do in another, and what else matters."""
    frame = cloud.frame
    parts = model.fitted
    k = sum(part.mixture.n_components for part in parts)
    n_points = sum(part.n_points for part in parts)
    background = _background(model)
    groups = ""
    if cloud.by_region:
        groups = f" in {count(len(parts), 'region')}"
    elif frame.stack is not None:
        groups = f" for {count(len(parts), 'value')} of {frame.stack.name}"
    lines = [
        f"{count(k, 'component')}{groups} from {count(n_points, 'point')}"
        + (f", {_share(background)} background." if background > 0 else ".")
    ]
    if model.problem:
        missing = count(len(model.parts) - len(parts), "group")
        lines.append(f"{missing} could not be fitted: {model.problem}")
    lines.append(_advice(model, cloud, background))
    notes = []
    field = sum(math.nan if part.evidence is None else part.evidence.field for part in parts)
    if k and math.isfinite(field):
        notes.append(f"Clusters rather than scattered points: {odds(field)}.")
    if len(parts) == 1 and (kinds := _kinds(parts[0], frame.unit)):
        notes.append(kinds)
    if repeating := [part.repeats for part in parts if part.repeats > 1]:
        of_groups = f" Of {len(repeating):,} of {len(parts):,} groups." if len(parts) > 1 else ""
        # Its imports would take time when the widget opens.
        from napari_sparse_gmm.blinking import count_molecules

        counted = [astuple(count_molecules(part.total_weight, part.repeats)) for part in parts]
        read_off = model.parameters.get(REPEATS.name) is None
        molecules = np.sum(counted, axis=0).tolist() if read_off else None
        notes.append(repeated(float(np.median(repeating)), molecules) + of_groups)
    if k and len(frame.axes) > 1 and all(_round(part.mixture) for part in parts):
        chosen = model.parameters.get(COVARIANCE_TYPE.name) == SPHERICAL.name
        notes.append("Components are round" + ("." if chosen else ", as is likelier here."))
    shares = [share for part in parts if part.seen is not None for share in part.seen]
    if sentence := cut_by_edge(shares, sum(part.n_unseen for part in parts)):
        notes.append(sentence)
    if model.deconvolved and k:
        notes.append("The precision of the points is taken off the sizes.")
    if k > most_ellipses:
        notes.append(f"Of {k:,} ellipses the {most_ellipses:,} of most points are drawn.")
    if frame.pooled:
        notes.append(f"Points of all {' and '.join(frame.pooled)} are taken together.")
    notes += _left_out(cloud, n_points)
    lines.append(" ".join(notes))
    return "\n".join(line for line in lines if line)


def _left_out(cloud: Cloud, n_points: int) -> list[str]:
    """Sentences about the points that are not among those that were fitted, or lie beside the
    picture.
    """
    notes = []
    if cloud.all_points is not None:
        table = cloud.all_points.table
        notes.append(f"{table.n_shown:,} of {table.n_points:,} points of the table are shown.")
        why = ["outside of the region"] * bool(cloud.n_outside)
        why += ["without a precision"] * bool(cloud.n_imprecise)
        why += [f"outside of {each}" for each in cloud.ranges]
        if why:
            # With weights it is not known how many points were fitted, but only what they weigh.
            n = None if cloud.all_points.weights else count(table.n_points - n_points, "point")
            notes.append(f"{n or 'Points'} {' or '.join(why)} left out.")
    else:
        if cloud.n_hidden:
            notes.append(f"{count(cloud.n_hidden, 'hidden point')} left out.")
        if cloud.n_unused:
            notes.append(f"{count(cloud.n_unused, 'point')} not chosen by Use.")
        if cloud.n_outside:
            notes.append(f"{count(cloud.n_outside, 'point')} outside of the region left out.")
        if cloud.n_imprecise:
            notes.append(f"{count(cloud.n_imprecise, 'point')} without a precision left out.")
        if cloud.ranges:
            limits = " and ".join(map(str, cloud.ranges))
            notes.append(f"{count(cloud.n_filtered, 'point')} outside of {limits} left out.")
    if cloud.n_stray:
        notes.append(
            f"{count(cloud.n_stray, 'point')} far from all others, beside the picture: hide or "
            "remove what is no measurement, since the background reaches that far."
        )
    return notes


def _round(mixture: GaussianMixture) -> bool:
    return mixture.n_components == 0 or SPHERICAL.holds(mixture.covariances)


def _kinds(part: Part, unit: str | None) -> str:
    """How many clusters are of each kind, and what they are like; "" where there is one kind."""
    found, mixture = part.evidence, part.mixture
    if found is None or not found.kinds.any():
        return ""
    points, stds = part.total_weight * mixture.weights, mixture.principal_axes[0]
    in_unit = f" {unit}" if unit else ""
    told = [
        f"{np.count_nonzero(rows)} of about {np.median(points[rows]):,.0f} points and "
        f"{np.median(stds[rows]):.3g}{in_unit}"
        for rows in (found.kinds == kind for kind in np.unique(found.kinds))
    ]
    return f"Clusters of {len(told)} kinds: {'; '.join(told)}." if len(told) > 1 else ""


def statistics(model: DensityModel, cloud: Cloud) -> str:
    """What there is to report of the components, in a few lines; "" without one."""
    frame, parts = cloud.frame, model.fitted
    d = len(frame.axes)
    points = np.concatenate([part.mixture.weights * part.total_weight for part in parts])
    if not len(points):
        return ""
    radii = np.concatenate(
        [np.exp(np.log(part.mixture.principal_axes.std).mean(1)) for part in parts]
    )
    background = _background(model)
    table = region_table(model)
    noun = "cluster" if background > 0 else "component"
    regions = [part.mixture.background_region for part in parts]
    volume = sum(region.volume for region in regions if region is not None)
    dense = f", {density(len(points), volume, frame.unit, d)}" if volume > 0 else ""
    unit = f" {frame.unit}" if frame.unit else ""
    known = [found for part in parts if (found := part.of_components) is not None]
    n_sure = sum(int(np.count_nonzero(found > SURE)) for found in known)
    sure = f" ({n_sure:,} surer than 95%)" if background > 0 and len(known) == len(parts) else ""
    lines = [
        f"{count(len(points), noun)}{sure}{dense}",
        f"Points in each: {_quartiles(points)}",
        f"Radius (one standard deviation): {_quartiles(radii)}{unit}",
    ]
    if background > 0:
        total = sum(part.n_seen for part in parts)
        uneven = [region for region in regions if isinstance(region, Intensity)]
        densities = [region.quantiles((_THIN, 1 - _THIN)) for region in uneven]
        between = (
            f", {np.min(densities):.2g} to {np.max(densities):.2g} times its mean"
            if densities
            else ""
        )
        lines.append(
            f"In clusters: {_share(1 - background)} of {total:,.0f} points; "
            f"background: {_share(background)}{between}"
        )
    if len(table.get("region", ())) > 1:
        of_each = _quartiles(table["clusters"])
        lines.append(f"{count(len(table['region']), 'region')}, {noun}s in each: {of_each}")
    return "\n".join(lines)


def computed(model: DensityModel) -> str:
    """What computed a fit, and how that went."""
    parts = model.fitted
    done = count(max(part.n_iter for part in parts), "iteration")
    cost = f", cost {parts[0].cost:.4f}" if len(parts) == 1 else ""
    return f"{model.engine_reason} {done}{cost}."


def _background(model: DensityModel) -> float:
    """The share of the background."""
    parts = model.fitted
    background = sum(part.mixture.background_weight * part.total_weight for part in parts)
    return background / sum(part.total_weight for part in parts)


def _quartiles(values: FloatArray) -> str:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{figures(middle)} ({figures(low)} to {figures(high)})"


def _advice(model: DensityModel, cloud: Cloud, background: float) -> str:
    """What to change where the solution may not be what was wanted; "" where nothing."""
    parts, settings, frame = model.fitted, model.parameters, cloud.frame
    numbers = [part.mixture.n_components for part in parts]
    most = settings["n_components"]
    declared = PRIORS[settings["prior"]]
    sparse, finds = SPARSITY.name in declared.uses, declared.components is None
    clusters = f"choose “{PRESETS[0].label}” under Find"
    if sum(numbers) == 0:
        if finds and settings["background"] is not False:
            if any(part.repeats > 1 for part in parts):
                return (
                    "No cluster of molecules: for the molecules themselves set "
                    f"“{REPEATS.label}” (Advanced) to 1."
                )
            if cloud.region is not None and not cloud.region.is_even:
                return "No cluster: the points are scattered as densely as the image says."
            regions = [part.mixture.background_region for part in parts]
            if not all(region is None or region.is_even for region in regions):
                return "No cluster: the points are scattered smoothly, if not evenly."
            return "No cluster: the points are as even as scattered ones."
        lower = "lower Sparsity" if sparse else "try another Prior"
        return f"No component is left: {lower} to keep some."
    if not finds and background > _NEARLY_ALL:
        return f"Nearly all points went to the background: to keep smaller clusters {clusters}."
    if sparse and _widest(model) > _WIDE * _longest_side(frame):
        return (
            "A component is as wide as the field: to find clusters among scattered points "
            f"{clusters}."
        )
    # Without a prior all are kept, whatever the points need; and so is a single one.
    if most is not None and max(numbers) >= most > 1 and declared.prunes:
        groups = f" for some values of {frame.stack.name}" if frame.stack is not None else ""
        return (
            f"That is as many components as may be{groups}: raise “{N_COMPONENTS.label}” "
            f"(Advanced) above {most:,} for more."
        )
    # Of a region that somebody has drawn nothing better is known.
    if settings["background"] is True and background < _NO_BACKGROUND:
        islands = n_islands(cloud.points)
        if islands > 1 and max(numbers) >= _TILES * islands:
            return (
                f"Hardly any background is left, as the points lie in {islands} places apart: draw "
                "a shape around each, all in one Shapes layer, and choose that as Region."
            )
        return (
            "Hardly any background is left: where the field is no rectangle, choose another "
            "Region, the convex hull or one that you draw; of a single shape "
            f"“{PRESETS[1].label}” under Find."
        )
    if not all(part.converged for part in parts):
        return "It may still improve a little: raise “Iterations at most” (Advanced)."
    return ""


def _widest(model: DensityModel) -> float:
    """The largest standard deviation of any component, in any direction."""
    found = [part.mixture for part in model.fitted if part.mixture.n_components]
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
    return f"{what} per {volume_unit(frame.unit, len(frame.axes))}"


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
