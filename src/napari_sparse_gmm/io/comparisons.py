"""Conditions that were compared, as a table and as figures.

>>> from napari_sparse_gmm.compare import compare
>>> rows = {"condition": ["control"] * 3 + ["drug"] * 3, "clusters": [8, 9, 7, 12, 14, 13]}
>>> table = pd.DataFrame({"file": list("abcdef"), **rows})
>>> write_comparison(Path("compared"), compare(table, "condition"))
['effects.csv', 'effects.png', 'effects.pdf', 'clusters.png', 'clusters.pdf']

Of each column small points are cells, and large ones the means of replicates (a SuperPlot: Lord,
Velle, Mullins, Fritz-Laylin 2020, J. Cell Biol. 219: e202001064); below are the differences from
the reference with their intervals (an estimation plot: Ho et al. 2019, Nature Methods 16: 565).
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_sparse_gmm.compare import Comparison, Replicates
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.tables import write_table
from napari_sparse_gmm.wording import figures
from napari_sparse_gmm.writing import refuse_to_overwrite, whole_file

Colour = tuple[float, float, float]  # red, green and blue, from 0 to 1

EFFECTS = "effects.csv"
_FORMATS = ("png", "pdf")

# Of a whole figure, in inches: its height, its width for each condition, and for the labels.
_HEIGHT, _EACH, _LABELS = 4.8, 0.9, 1.3

# Conditions are told apart by colours that people with any colour vision can tell (Okabe and Ito).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")

# Replicates of a condition have its colour, with up to so much white, or black, in it.
_LIGHTEST, _DARKEST = 0.6, 0.35

# How far to the sides points of one condition lie.
_SPREAD = 0.28


def write_comparison(folder: Path, found: Comparison, inputs: Sequence[Path] = ()) -> list[str]:
    """Write effects.csv, a figure of all effects, and one of each column; returns their names.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    found : Comparison
    inputs : sequence of Path
        Files that were read, and so are not written to.
    """
    pictures = {"effects": effects_figure(found)}
    for column in found.values:
        name = re.sub(r"[^\w.+-]+", "_", column).strip("._")
        if name.casefold() in {other.casefold() for other in pictures}:
            raise InputError(f"Two columns would have the same figure, {name}: rename one.")
        pictures[name] = column_figure(found, column)
    names = [EFFECTS, *(f"{name}.{kind}" for name in pictures for kind in _FORMATS)]
    refuse_to_overwrite([folder / name for name in names], inputs)
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / EFFECTS, dict(found.effects))
    for name, figure in pictures.items():
        for kind in _FORMATS:
            with whole_file(folder / f"{name}.{kind}") as path:
                # Without the date: the same numbers make the same file.
                metadata = {"CreationDate": None} if kind == "pdf" else None
                figure.savefig(path, bbox_inches="tight", metadata=metadata)
    return names


def column_figure(found: Comparison, column: str, figure: Figure | None = None) -> Figure:
    """Cells, means of replicates and differences of one column, on a figure of its own; or on that,
    without the p values, for which it may be too narrow.
    """
    alone = figure is None
    if figure is None:
        width = _LABELS + _EACH * max(len(found.conditions), 2)
        figure = Figure(figsize=(width, _HEIGHT), dpi=150)
        FigureCanvasAgg(figure)
    points, effects = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    colours = _colours(found, column)
    for at, (replicates, own) in enumerate(zip(found.values[column], colours, strict=True)):
        _draw_condition(points, at, replicates, own)
    points.set_ylabel(_wrapped(column))
    points.tick_params(bottom=False)
    rows = found.effects[found.effects["column"] == column]
    _draw_differences(effects, found, rows, p_values=alone)
    for axes in (points, effects):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(-0.6, len(found.conditions) - 0.4)
        axes.margins(y=0.12)
    figure.align_ylabels()
    return figure


def effects_figure(found: Comparison) -> Figure:
    """Hedges' g of all columns, with its intervals."""
    columns, others = list(found.values), found.conditions[1:]
    figure = Figure(figsize=(6.5, 1.0 + 0.24 * len(columns) * max(len(others), 1.4)), dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.axvline(0.0, color="0.6", linewidth=0.8)
    for index, other in enumerate(others):
        rows = found.effects[found.effects["condition"] == other]
        y = np.arange(len(rows)) + (index - (len(others) - 1) / 2) * 0.7 / len(others)
        colour = _COLOURS[(index + 1) % len(_COLOURS)]  # the reference has the first
        axes.hlines(y, rows["g low"], rows["g high"], color=colour, linewidth=1.5)
        axes.plot(rows["g"], y, "o", color=colour, markersize=5, label=other)
    axes.set_yticks(range(len(columns)), columns, fontsize="small")
    axes.set_ylim(len(columns) - 0.4, -0.6)
    axes.set_xlabel(f"Hedges' g from {found.conditions[0]}, with 95% intervals")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _colours(found: Comparison, column: str) -> list[list[Colour]]:
    """The colour of each replicate of each condition.

    Shades of the colour of its condition, as the same colour in two conditions looks like a pair;
    but where a name occurs in several conditions, a colour for each name.
    """
    names = found.replicates[column]
    every = list(dict.fromkeys(name for each in names for name in each))
    if len(every) < sum(map(len, names)):
        of_name = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(every)}
        return [[to_rgb(of_name[name]) for name in each] for each in names]
    return [_shades(_COLOURS[at % len(_COLOURS)], len(each)) for at, each in enumerate(names)]


def _shades(colour: str, n: int) -> list[Colour]:
    """So many of one colour, from light to dark; of one it is the colour."""
    own = np.array(to_rgb(colour))
    tones = np.linspace(-_LIGHTEST, _DARKEST, n) if n > 1 else np.zeros(n)
    mixed = [own + abs(tone) * (float(tone < 0) - own) for tone in tones]
    return [(float(red), float(green), float(blue)) for red, green, blue in mixed]


def _draw_condition(axes: Axes, at: int, replicates: Replicates, colours: Sequence[Colour]) -> None:
    """The cells of a condition, the means of its replicates and the mean of these."""
    means = np.array([cells.mean() for cells in replicates])
    if any(len(cells) > 1 for cells in replicates):
        cells = np.concatenate(replicates)
        own = [
            colour
            for colour, each in zip(colours, replicates, strict=True)
            for _ in range(len(each))
        ]
        x = at + _aside(cells, 14)
        axes.scatter(x, cells, s=9, c=own, alpha=0.6, linewidths=0, zorder=1)
    axes.scatter(
        at + _aside(means, 8), means, s=64, c=colours, edgecolors="black", linewidths=0.8, zorder=3
    )
    if len(means):
        axes.hlines(means.mean(), at - 0.38, at + 0.38, color="black", linewidth=1.2, zorder=2)


def _draw_differences(axes: Axes, found: Comparison, rows: pd.DataFrame, *, p_values: bool) -> None:
    """The differences from the reference, which is 0, with their intervals."""
    axes.axhline(0.0, color="0.6", linewidth=0.8)
    x = list(range(1, len(found.conditions)))
    axes.vlines(x, rows["low"], rows["high"], color="black", linewidth=2)
    axes.plot(x, rows["difference"], "o", color="black", markersize=6)
    for at, row in zip(x, rows.to_dict("records"), strict=True):
        if p_values and np.isfinite(row["p"]):
            axes.text(
                at,
                1.0,
                f"p = {figures(row['p'])}\ncorrected {figures(row['p corrected'])}",
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=7,
            )
    labels = [
        f"{name}\nn = {number}"
        for name, number in zip(
            found.conditions,
            [rows["replicates of the reference"].iloc[0], *rows["replicates"]],
            strict=True,
        )
    ]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylabel(f"difference from\n{found.conditions[0]}")


def _aside(values: NDArray[np.float64], n_rows: int) -> NDArray[np.float64]:
    """How far to the side each point is put, (N,), so that those of about the same value are side
    by side: a swarm.
    """
    aside = np.zeros(len(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return np.linspace(-_SPREAD, _SPREAD, len(values)) if len(values) > 1 else aside
    row = np.floor((values - values.min()) / np.ptp(values) * n_rows * 0.999).astype(int)
    most = np.bincount(row).max()
    for each in np.unique(row):
        (of_row,) = np.nonzero(row == each)
        order = np.argsort(np.argsort(values[of_row], kind="stable"), kind="stable")
        # From the middle to both sides in turn.
        steps = np.where(order % 2, -(order + 1) // 2, (order + 1) // 2).astype(float)
        aside[of_row] = (steps - steps.mean()) * min(2 * _SPREAD / max(most - 1, 1), 0.12)
    return aside


def _wrapped(label: str, width: int = 26) -> str:
    """A long name in two lines."""
    from textwrap import fill

    return fill(label, width)
