"""What a fit leaves behind: a folder with a model, a table and two pictures.

>>> table = write_results(Path(), model, points, grid)
>>> list(table)[:3]
['component', 'weight', 'weight_error']
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.io.figures import write_density_png
from napari_sparse_gmm.io.images import write_density_tiff
from napari_sparse_gmm.io.models import save_model
from napari_sparse_gmm.io.tables import write_table
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.numbers import cluster_table, region_table
from napari_sparse_gmm.parameters import DEVICE, ENGINE
from napari_sparse_gmm.shapes.grid import Grid, heatmap
from napari_sparse_gmm.writing import whole_file

FILES = ("model.json", "components.csv", "density.tif", "density.png")

# And of a fit with regions.
REGIONS = "regions.csv"


def write_results(
    folder: Path,
    model: DensityModel,
    points: FloatArray,
    grid: Grid,
    *,
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
) -> dict[str, NDArray[Any]]:
    """Write model.json, components.csv, density.tif and density.png; returns the second as columns.

    Where the model has regions, regions.csv besides, with a row for each.

    Parameters
    ----------
    folder : Path
        An existing folder; files of these names in it are replaced.
    model : DensityModel
        Of all points together.
    points : (N, D) array
        The points that it was fitted to, for the picture.
    grid : Grid
        The pixels of the two images.
    engine, device : str
        What computes the density.
    """
    largest_first = np.argsort(-model.mixture.weights)
    (part,), regions = model.fitted, region_table(model)
    table = cluster_table(part, model.axis_labels)
    table = {name: column[largest_first] for name, column in table.items()}
    density = heatmap(model.mixture, grid, "density", engine=engine, device=device)
    with ExitStack() as written:  # where one cannot be written, all four are as they were
        model_json, csv, tif, png = (
            written.enter_context(whole_file(folder / name)) for name in FILES
        )
        save_model(model_json, model)
        write_table(csv, table)
        write_density_tiff(tif, density, grid, model.unit)
        write_density_png(png, density, grid, model, points)
        if regions:
            write_table(written.enter_context(whole_file(folder / REGIONS)), regions)
    if not regions:  # those of an earlier fit
        (folder / REGIONS).unlink(missing_ok=True)
    return table
