"""Components as rows of a table.

>>> mixture = GaussianMixture([1.0], [[5.0, 6.0]], [np.diag([1.0, 4.0])])
>>> table = component_table(mixture, 100, ("y", "x"), unit="nm")
>>> table["mean_x [nm]"], table["std_major [nm]"]
(array([6.]), array([2.]))
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.wording import volume_unit

if TYPE_CHECKING:
    from napari_sparse_gmm.evidence import Evidence
    from napari_sparse_gmm.members import Members
    from napari_sparse_gmm.uncertainty import StandardErrors

# Percent of a component in the ellipse whose edge is meant, and corners of the polygon for it.
_HELD, _CORNERS = 95.0, 64

_AXIS_NAMES = {1: ("",), 2: ("_major", "_minor"), 3: ("_major", "_middle", "_minor")}

_STD = "Standard deviation along the {} axis of the component."
_HULL = "{} of the convex hull of the points that most probably are of the component."

# What each column of `component_table` is, by its name without unit and "_error"; of "mean" and
# "std" there is one for each axis.
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "component": "Number of the component, from 0: the one that points are given by.",
        "weight": "Share of all points that the component has.",
        "expected_points": "Points of the component: each point counts by its probability.",
        "mean": "Centre of the component along this axis.",
        "std": "Standard deviation along this axis of the component.",
        "std_major": _STD.format("longest"),
        "std_middle": _STD.format("middle"),
        "std_minor": _STD.format("shortest"),
        "angle": (
            "Direction of the longest axis in degrees: 0 is along the last axis (x), 90 along the "
            "first (y); clockwise where y points down."
        ),
        "area": "Area of the ellipse of one standard deviation.",
        "volume": "Volume of the ellipsoid of one standard deviation.",
        "eccentricity": "Of the longest and the shortest axis: 0 is round, 1 a line.",
        "density_inside": (
            "Points per area (volume) within one standard deviation, background included."
        ),
        "density_around": "Points of the background per area (volume) at the centre.",
        "nearest": "Distance from the centre to that of the nearest other component.",
        "nearest_edge": (
            "Distance to the nearest other component, from edge to edge of the ellipses that hold "
            f"{_HELD:g}%: 0 where they overlap."
        ),
        "evidence": (
            "log10 of the Bayes factor for the component, against none there: 1.3 is 20 to 1."
        ),
        "kind": "Of which kind of clusters it is, from 0: those of a kind are alike.",
        "kind_probability": "How probable it is that the component is of that kind.",
        "in_field": (
            "Share of the component that lies in the field: less than 1 of one that an edge cuts. "
            "All else is of the whole component."
        ),
        "hull_area": _HULL.format("Area"),
        "hull_volume": _HULL.format("Volume"),
        "first_frame": "First frame with a point that most probably is of the component.",
        "region": "In which region the centre lies: of several the first.",
        "last_frame": "Last frame with a point that most probably is of the component.",
    }
)


def about_column(name: str, columns: Mapping[str, str] = COLUMNS) -> str:
    """What a column is, by its name in a table; "" of one that is not known.

    >>> about_column("std_major_error [nm]")
    'Standard error of it. Standard deviation along the longest axis of the component.'
    """
    plain = name.partition(" [")[0]
    of_error = plain.endswith("_error")
    plain = plain.removesuffix("_error")
    first = plain.partition("_")[0]
    told = columns.get(plain) or (columns.get(first, "") if first in ("mean", "std") else "")
    return f"Standard error of it. {told}" if told and of_error else told


def component_table(
    mixture: GaussianMixture,
    n_points: float,
    axis_labels: Sequence[str],
    errors: "StandardErrors | None" = None,
    unit: str | None = None,
    evidence: "Evidence | None" = None,
    seen: FloatArray | None = None,
    members: "Members | None" = None,
) -> dict[str, NDArray[Any]]:
    """One row a component, as columns (K,), in the units of the points.

    With `errors`, a column ``…_error`` behind each of weights, points, centre and standard
    deviations: its standard error; NaN, an empty cell in a file, where the points tell nothing of
    it. With the `unit` of the points, what has one is named with it: ``std_major [nm]``,
    ``angle [°]``, ``area [nm²]``.

    ``component``
        Index, as `predict` gives it.
    ``weight``, ``expected_points``
        Share of the points, and that share of `n_points`.
    ``mean_y``, ``mean_x`` ...
        Centre, one column for each of `axis_labels`.
    ``std_major``, ``std_minor``
        Standard deviations along the component's own axes. In 3D ``std_middle`` lies
        between them; in 1D there is only ``std``; beyond 3D they are ``std_1``, ``std_2`` ...
    ``angle`` (2D)
        Direction of the major axis in degrees, from 0 to 180: 0 is along the last axis (x),
        90 along the first (y). Clockwise on a screen where y points down.
    ``area`` (2D), ``volume`` (3D)
        Of the ellipse (ellipsoid) of one standard deviation.
    ``eccentricity`` (2D, 3D)
        Of the ellipse, or that of the longest and the shortest axis: 0 is round, 1 a line.
    ``density_inside``, ``density_around``
        Points per area (volume) within the ellipse (ellipsoid), of the component and of the
        background, and of the background alone at the centre. Only where there is a background.
    ``nearest``
        From the centre to that of the nearest other component; NaN for an only one.
    ``nearest_edge`` (2D)
        The same from edge to edge: of the ellipses that hold 95% of their component, about to a
        thousandth of them; 0 where they overlap.
    ``evidence``
        Where it is given: log10 of the Bayes factor for the component, against none there; see
        `napari_sparse_gmm.evidence`. 1.3 is 20 to 1.
    ``kind``, ``kind_probability``
        Then also, of which kind of clusters it is, from 0, and how probable that is.
    ``in_field``
        Then also, how much of it lies in the field (`seen`): less than 1 of a cluster that an edge
        cuts. All else is of the whole cluster.
    ``hull_area`` (2D), ``hull_volume`` (3D)
        Where `members` are given: of the convex hull of the points that most probably are of it.
    ``first_frame``, ``last_frame``
        Then also, where that is known, in which these were seen; see `napari_sparse_gmm.members`.
    """
    # Not at the top: what opens the widget does without.
    from scipy.special import gamma, gammainc

    k, d = mixture.means.shape
    if len(axis_labels) != d:
        raise ValueError(f"{d} axis labels are needed, not {len(axis_labels)}: {axis_labels}.")
    std, directions = mixture.principal_axes
    table: dict[str, NDArray[Any]] = {"component": np.arange(k)}

    def in_unit(n_dimensions: int = 1) -> str:
        return f" [{volume_unit(unit, n_dimensions)}]" if unit else ""

    def add(name: str, values: FloatArray, error: FloatArray | None, suffix: str = "") -> None:
        table[f"{name}{suffix}"] = np.array(values)
        if error is not None:
            table[f"{name}_error{suffix}"] = np.where(np.isfinite(error), error, np.nan)

    weight_error = None if errors is None else errors.weights
    add("weight", mixture.weights, weight_error)
    points_error = None if weight_error is None else n_points * weight_error
    add("expected_points", n_points * mixture.weights, points_error)
    for axis, label in enumerate(axis_labels):
        error = None if errors is None else errors.means[:, axis]
        add(f"mean_{label}", mixture.means[:, axis], error, in_unit())
    names = _AXIS_NAMES.get(d, [f"_{i + 1}" for i in range(d)])
    for axis, name in enumerate(names):
        error = None if errors is None else errors.stds[:, axis]
        add(f"std{name}", std[:, axis], error, in_unit())
    if d == 2:
        major_y, major_x = directions[:, :, 0].T
        # An axis has no sign, so 180 degrees are 0; round-off may give either.
        angle = np.degrees(np.arctan2(major_y, major_x)) % 180.0
        table["angle [°]" if unit else "angle"] = np.where(angle == 180.0, 0.0, angle)
        table[f"area{in_unit(d)}"] = np.pi * std.prod(1)
    elif d == 3:
        table[f"volume{in_unit(d)}"] = 4.0 / 3.0 * np.pi * std.prod(1)
    if d in (2, 3):
        table["eccentricity"] = np.sqrt(1.0 - (std[:, -1] / std[:, 0]) ** 2)
    if mixture.background_region is not None:
        per = f" [1/{volume_unit(unit, d)}]" if unit else ""
        around = _background_density(mixture, n_points)
        # A ball of the radius 1 in d dimensions, and how much of a normal distribution it holds.
        ball = np.pi ** (d / 2) / gamma(d / 2 + 1)
        own = n_points * mixture.weights * gammainc(d / 2, 0.5) / (ball * std.prod(1))
        table[f"density_inside{per}"] = own + around
        table[f"density_around{per}"] = around
    distances = np.full(k, np.nan) if k < 2 else nearest(mixture.means)
    table[f"nearest{in_unit()}"] = distances
    if d == 2:
        apart = np.full(k, np.nan) if k < 2 else _between_edges(mixture)
        table[f"nearest_edge{in_unit()}"] = apart
    if evidence is not None:
        table["evidence"] = np.array(evidence.components)
        table["kind"] = np.array(evidence.kinds)
        table["kind_probability"] = np.array(evidence.probabilities)
        table["in_field"] = np.ones(k) if seen is None else np.array(seen)
    if members is not None:
        if members.hull is not None:
            table[f"hull_{'area' if d == 2 else 'volume'}{in_unit(d)}"] = np.array(members.hull)
        if members.first_frame is not None and members.last_frame is not None:
            table["first_frame"] = np.array(members.first_frame)
            table["last_frame"] = np.array(members.last_frame)
    return table


def _background_density(mixture: GaussianMixture, n_points: float) -> FloatArray:
    """Points of the background per volume at the centre of each component, (K,)."""
    region = mixture.background_region
    assert region is not None
    even = n_points * mixture.background_weight / region.volume
    return np.asarray(even * np.exp(region.log_intensity(mixture.means)))


def nearest(means: FloatArray) -> FloatArray:
    """The distance from each of two or more points (K, D) to the nearest other one, (K,)."""
    from scipy.spatial import KDTree

    return np.asarray(KDTree(means).query(means, k=2)[0][:, 1])


def _between_edges(mixture: GaussianMixture) -> FloatArray:
    """The distance from the ellipse of each of two or more components to the nearest other one."""
    import shapely
    from scipy.spatial import KDTree

    std, directions = mixture.principal_axes
    turn = np.linspace(0.0, 2.0 * np.pi, _CORNERS, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    axes = coverage_to_radius(_HELD, 2) * directions * std[:, None, :]  # (K, 2, 2), in columns
    ellipses = shapely.polygons(mixture.means[:, None] + circle @ axes.swapaxes(1, 2))
    shapely.prepare(ellipses)
    tree, own = KDTree(mixture.means), np.arange(len(ellipses))
    near = tree.query(mixture.means, k=2)[1]
    # Itself comes first, but for one in the same place.
    nearest_one = np.where(near[:, 1] == own, near[:, 0], near[:, 1])
    apart = shapely.distance(ellipses, ellipses[nearest_one])
    # The centre of a nearer one is no farther than that and both of the longest radii.
    longest = coverage_to_radius(_HELD, 2) * std[:, 0]
    within = tree.query_ball_point(mixture.means, apart + longest + longest.max())
    first = np.repeat(own, list(map(len, within)))
    second = np.concatenate(within).astype(np.intp)
    centres = np.linalg.norm(mixture.means[first] - mixture.means[second], axis=1)
    nearer = (first != second) & (centres - longest[first] - longest[second] < apart[first])
    first, second = first[nearer], second[nearer]
    np.minimum.at(apart, first, shapely.distance(ellipses[first], ellipses[second]))
    return np.asarray(apart)
