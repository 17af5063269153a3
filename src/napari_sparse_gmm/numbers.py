"""Numbers to report of a model: of all of it, or of each of its regions.

>>> numbers(model)["clusters"] == model.mixture.n_components
True
>>> part = part_of(estimator, estimator.open(points), regions={"cell": Box([[0, 0], [900, 900]])})
>>> table = region_table(DensityModel((part,), ("y", "x"), "nm"))
>>> table["region"].tolist(), table["area [µm²]"].round(3).tolist()
(['cell'], [0.81])
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.components import component_table, nearest
from napari_sparse_gmm.density_model import DensityModel, Part
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.wording import volume_unit

# log10 of the odds of 95%.
SURE = math.log10(0.95 / 0.05)

_SIZES = {1: "length", 2: "area", 3: "volume"}

_POINTS = "{} of the expected points of the clusters whose centre lies in the region."
_RADIUS = "{} of the radii of the clusters: of each the geometric mean of its standard deviations."

# What each column of `region_table` is, by its name without the unit.
REGION_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "region": "Name or number of the shape or label.",
        **{size: f"The {size} of the region." for size in _SIZES.values()},
        "points": "Points in the region; with weights what they weigh.",
        "clusters": "Clusters whose centre lies in the region.",
        "clusters surer than 95%": "Those of them that are real with more than 95% by evidence.",
        **{f"clusters per {size}": f"Clusters by the {size}." for size in _SIZES.values()},
        **{
            f"background per {size}": f"Points of the background that are expected by the {size}."
            for size in _SIZES.values()
        },
        "share of points in clusters": (
            "Of the points in the region, the share that is expected to be of no background."
        ),
        "median points of a cluster": _POINTS.format("Median"),
        "points of a cluster, lower quartile": _POINTS.format("Lower quartile"),
        "points of a cluster, upper quartile": _POINTS.format("Upper quartile"),
        "median radius of a cluster": _RADIUS.format("Median"),
        "radius of a cluster, lower quartile": _RADIUS.format("Lower quartile"),
        "radius of a cluster, upper quartile": _RADIUS.format("Upper quartile"),
        "median distance to the nearest cluster": (
            "Median of the distances from centre to centre, in the same region."
        ),
    }
)


def numbers(model: DensityModel) -> dict[str, Any]:
    """What there is to report of a model of all points together, with units in the names.

    Those of `region_table`, and how the fit went. The area is that of the background's region.
    """
    (part,) = model.fitted
    region, n = part.mixture.background_region, part.n_points
    every = np.ones(part.mixture.n_components, dtype=bool)
    volume = math.nan if region is None else region.volume
    return {
        **_numbers(model, part, every, volume, n, part.mixture.background_weight * n),
        "points that are one observation": part.repeats,
        "cost": part.cost,
        "converged": part.converged,
    }


def region_table(model: DensityModel) -> dict[str, NDArray[Any]]:
    """One row for each region (of each group), as columns, with units in their names: those of the
    points, and µm² for areas where that is nm.

    Of clusters, those count whose centre lies in the region.

    ``region``
        Its name.
    ``area`` (2D), ``volume`` (3D)
        Of the region.
    ``points``, ``clusters``
        How many there are.
    ``clusters surer than 95%``
        By their evidence; NaN where that is not known.
    ``clusters per area``, ``background per area``
        And how many points of the background are expected per area.
    ``share of points in clusters``
        How many points are expected to be of no background.
    ``median points of a cluster``, ``median radius of a cluster``
        With their quartiles. The radius is the geometric mean of the standard deviations.
    ``median distance to the nearest cluster``
        From centre to centre, in the same region.
    """
    rows = []
    groups = [None] if model.groups is None else model.groups.labels.tolist()
    for group, part in zip(groups, model.parts, strict=True):
        if part is None:
            continue
        of_group = {} if model.groups is None else {model.groups.name: group}
        for region in part.regions:
            own = region.region.contains(part.mixture.means)
            named = {**of_group, "region": region.name}
            counts = region.region.volume, region.n_points, region.n_background
            rows.append({**named, **_numbers(model, part, own, *counts)})
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def cluster_table(
    part: Part, axis_labels: Sequence[str], unit: str | None = None
) -> dict[str, NDArray[Any]]:
    """All that is known of each component of a part; see `component_table`.

    Where there are regions, ``region`` has the name of the one that each lies in.
    """
    table = component_table(
        part.mixture,
        part.total_weight,
        axis_labels,
        part.errors,
        unit,
        part.evidence,
        part.seen,
        part.members,
    )
    if part.regions:
        table["region"] = names_of_regions(part)
    return table


def names_of_regions(part: Part) -> NDArray[np.str_]:
    """In which region the centre of each component lies, (K,): the first of those, "" in none."""
    names = np.full(part.mixture.n_components, "", dtype=object)
    for region in reversed(part.regions):
        names[region.region.contains(part.mixture.means)] = region.name
    return names.astype(np.str_)


def _numbers(
    model: DensityModel,
    part: Part,
    own: NDArray[np.bool_],
    volume: float,
    n_points: float,
    n_background: float,
) -> dict[str, Any]:
    """Those of some components, and of points in a volume."""
    mixture, d, unit = part.mixture, len(model.axis_labels), model.unit
    length, extent = f" [{unit}]" if unit else "", _SIZES.get(d, "volume")
    # Cells have an area of some µm², and not of 10^7 nm².
    longer = "µm" if unit == "nm" else unit
    volume *= 1e-3**d if longer != unit else 1.0
    size = f" [{volume_unit(longer, d)}]" if unit else ""
    per = f" per {extent}" + (f" [1/{volume_unit(longer, d)}]" if unit else "")
    k, known = int(np.count_nonzero(own)), part.of_components
    sure = math.nan if known is None else int(np.count_nonzero(known[own] > SURE))
    points = part.total_weight * mixture.weights[own]
    radii = np.exp(np.log(mixture.principal_axes.std[own]).mean(1))
    apart = nearest(mixture.means[own]) if k > 1 else np.empty(0)
    return {
        f"{extent}{size}": volume,
        "points": n_points,
        "clusters": k,
        "clusters surer than 95%": sure,
        f"clusters{per}": k / volume,
        f"background{per}": n_background / volume,
        "share of points in clusters": 1.0 - n_background / n_points if n_points else math.nan,
        **_quartiles("points of a cluster", "", points),
        **_quartiles("radius of a cluster", length, radii),
        f"median distance to the nearest cluster{length}": _median(apart),
    }


def _quartiles(name: str, unit: str, values: FloatArray) -> dict[str, float]:
    quartiles = "median {}{}", "{}, lower quartile{}", "{}, upper quartile{}"
    names = [quartile.format(name, unit) for quartile in quartiles]
    if not len(values):
        return dict.fromkeys(names, math.nan)
    return dict(zip(names, np.quantile(values, (0.5, 0.25, 0.75)).tolist(), strict=True))


def _median(values: Sequence[float] | FloatArray) -> float:
    return float(np.median(values)) if len(values) else math.nan
