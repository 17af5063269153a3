"""Two channels in, a folder of results out: what the command line does.

>>> from napari_sparse_gmm.channels import compare_channels
>>> comparison = compare_channels(model.mixture, points, n_shifts=99, random_state=0)
>>> write_comparison(Path("channels"), comparison, model)
>>> sorted(path.name for path in Path("channels").iterdir())
['channels.csv', 'channels.png', 'clusters.csv']
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_sparse_gmm import numbers
from napari_sparse_gmm.channels import ChannelComparison
from napari_sparse_gmm.channels.report import draw, statistics_table
from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.io.tables import write_table
from napari_sparse_gmm.writing import whole_file

# Of each histogram, in inches: the longest label of an axis has room.
_WIDTH, _HEIGHT = 4.6, 3.4

FILES = ("channels.csv", "clusters.csv", "channels.png")


def write_comparison(folder: Path, comparison: ChannelComparison, model: DensityModel) -> None:
    """Write channels.csv, clusters.csv and channels.png.

    The first has a row for each statistic, the second one for each cluster of the first channel:
    as `component_table` has it, with the points of the second inside of it, and how far the
    nearest cluster of the second is. The third has a histogram of each statistic.

    Parameters
    ----------
    folder : Path
        It is made where it is missing; files of these names in it are replaced.
    comparison : ChannelComparison
    model : DensityModel
        Of the first channel.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as written:  # where one cannot be written, all are as they were
        csv, clusters, png = (written.enter_context(whole_file(folder / name)) for name in FILES)
        write_table(csv, statistics_table(comparison, model.unit))
        write_table(clusters, cluster_table(comparison, model))
        comparison_figure(comparison, model.unit).savefig(png)


def cluster_table(comparison: ChannelComparison, model: DensityModel) -> dict[str, NDArray[Any]]:
    """One row for each cluster of the first channel, with what of the second is there."""
    (part,) = model.fitted
    table = numbers.cluster_table(part, model.axis_labels, model.unit)
    table["second_points_inside"] = comparison.points_inside
    if comparison.nearest_of_second is not None:
        in_unit = f" [{model.unit}]" if model.unit else ""
        table[f"second_nearest{in_unit}"] = comparison.nearest_of_second
    return table


def comparison_figure(comparison: ChannelComparison, unit: str | None) -> Figure:
    """A histogram of each statistic."""
    n = len(comparison.statistics)
    columns = min(n, 3)
    rows = -(-n // columns)
    figure = Figure(figsize=(_WIDTH * columns, _HEIGHT * rows), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for axes, (name, found) in zip(all_axes, comparison.statistics.items(), strict=False):
        draw(axes, name, found, unit, legend_columns=1)
    for axes in all_axes[n:]:
        axes.set_axis_off()
    return figure
