"""What a comparison of channels tells: a table, a sentence, a plot.

>>> from napari_sparse_gmm.channels import compare_channels
>>> comparison = compare_channels(mixture, points, n_shifts=99, random_state=0)
>>> table = statistics_table(comparison, "nm")
>>> table["statistic"].tolist(), table["unit"].tolist()
(['inside', 'probability', 'point_distance'], ['', '', 'nm'])
>>> print(summary(comparison, "nm"))
57.5% of 600 points lie inside the outlines of ... clusters, ...
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.channels.chance import AgainstChance
from napari_sparse_gmm.channels.comparison import ChannelComparison
from napari_sparse_gmm.wording import count, figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What each statistic is, on the axis of a plot.
LABELS = {
    "inside": "share of points inside outlines",
    "probability": "mean probability to be in a cluster",
    "point_distance": "median distance, point to nearest centre",
    "second_distance": "median distance, cluster of channel 2 to nearest of 1",
    "first_distance": "median distance, cluster of channel 1 to nearest of 2",
}

# Bars, at most.
_MOST_BARS = 40


def statistics_table(comparison: ChannelComparison, unit: str | None) -> dict[str, NDArray[Any]]:
    """One row a statistic, as columns; lengths in the `unit` of the points.

    ``statistic``, ``unit``
        See `ChannelComparison`; no unit where it is a share.
    ``observed``, ``expected``, ``lower``, ``upper``
        As it is seen; and under random shifts the mean and between which values 95% lie.
    ``ratio``, ``z``
        Observed over expected; by how many standard deviations of the shifts they differ.
    ``p_value``, ``p_avoidance``
        One-sided, for an association and for the opposite.
    ``shifts``, ``points``, ``clusters``
        Random shifts, points of the second channel in the region, and clusters of the first.
    """
    found = list(comparison.statistics.values())
    intervals = np.array([one.interval() for one in found])
    return {
        "statistic": np.array(list(comparison.statistics)),
        "unit": np.array([(unit or "") if one.nearer_is_less else "" for one in found]),
        "observed": np.array([one.observed for one in found]),
        "expected": np.array([one.expected for one in found]),
        "lower": intervals[:, 0],
        "upper": intervals[:, 1],
        "ratio": np.array([one.ratio for one in found]),
        "z": np.array([one.effect for one in found]),
        "p_value": np.array([one.p_value for one in found]),
        "p_avoidance": np.array([one.p_avoidance for one in found]),
        "shifts": np.array([len(one.simulated) for one in found]),
        "points": np.full(len(found), comparison.n_points),
        "clusters": np.full(len(found), comparison.n_clusters),
    }


def summary(comparison: ChannelComparison, unit: str | None) -> str:
    """What was found, in a sentence or a few."""
    inside = comparison.inside
    by_chance = _percent(inside.expected)
    told = (
        f"{_percent(inside.observed)} of {count(comparison.n_points, 'point')} lie inside the "
        f"outlines of {count(comparison.n_clusters, 'cluster')}, {by_chance} by chance: "
    )
    if np.isfinite(inside.ratio):
        told += f"{figures(inside.ratio)} times as many, "
    sentences = [f"{told}{_p(inside)} ({count(len(inside.simulated), 'random shift')})."]
    in_unit = f" {unit}" if unit else ""
    pairs = (
        ("point_distance", "Their median distance from the nearest centre"),
        ("second_distance", "That of the clusters of the second channel from one of the first"),
    )
    for name, what in pairs:
        one = comparison.statistics.get(name)
        if one is not None:
            sentences.append(
                f"{what} is {figures(one.observed)}{in_unit}, {figures(one.expected)}{in_unit} by "
                f"chance: {_p(one)}."
            )
    n_outside = len(comparison.in_region) - comparison.n_points
    if n_outside:
        sentences.append(f"{count(n_outside, 'point')} outside of the region left out.")
    return " ".join(sentences)


def draw(
    axes: "Axes", name: str, found: AgainstChance, unit: str | None, *, legend_columns: int = 2
) -> None:
    """A histogram of the shifts on Matplotlib axes, and a line where a statistic was observed.

    The legend above has its two entries beside each other, or in one column.
    """
    values = np.append(found.simulated, found.observed)
    edges = np.histogram_bin_edges(found.simulated, "fd" if np.ptp(found.simulated) else 1)
    if len(edges) > _MOST_BARS:
        edges = np.linspace(edges[0], edges[-1], _MOST_BARS + 1)
    axes.hist(found.simulated, bins=edges.tolist(), color="C0", label="random shifts")
    axes.axvline(found.observed, color="C1", linewidth=2, label=f"observed, {_p(found)}")
    margin = 0.05 * float(np.ptp(values)) or 0.5
    # From 0 on where that is not far: what is many times as much then looks it.
    left = min(0.0, float(values.min()))
    axes.set_xlim(left, float(values.max()) + margin)
    in_unit = f" ({unit})" if unit and found.nearer_is_less else ""
    axes.set_xlabel(f"{LABELS[name]}{in_unit}")
    axes.set_ylabel("shifts")
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=legend_columns,
        frameon=False,
        columnspacing=1.2,
        handlelength=1.5,
    )


def _p(found: AgainstChance) -> str:
    """The p value; that of avoidance where it is that."""
    if found.p_avoidance < found.p_value:
        return f"p = {figures(found.p_avoidance)} for avoidance"
    return f"p = {figures(found.p_value)}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
