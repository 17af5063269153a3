"""A table of points in, a folder of results out: what the command line does.

>>> table = read_points("localizations.csv")
>>> fit_to_folder(table, {"background": True}, Path("results"), source="localizations.csv")
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_sparse_gmm.engines.choice import preparation
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.estimator import SparseGaussianMixture
from napari_sparse_gmm.fitting import FitStep
from napari_sparse_gmm.groups import GroupFit, iter_groups
from napari_sparse_gmm.io.models import DensityModel, provenance
from napari_sparse_gmm.io.results import write_results
from napari_sparse_gmm.io.tables import PointTable, write_components
from napari_sparse_gmm.shapes.grid import Grid


def fit_to_folder(
    table: PointTable,
    settings: Mapping[str, Any],
    folder: Path,
    *,
    source: str,
    pixel_size: float | None = None,
    on_step: Callable[[FitStep], object] = lambda step: None,
    tell: Callable[[str], object] = lambda sentence: None,
) -> tuple[GroupFit, ...]:
    """Fit a table of points and write model, components, heatmap and picture to a folder.

    Parameters
    ----------
    table : PointTable
        Where it has groups, each is fitted by itself and written to a folder of its own, and the
        components of all to a table besides.
    settings : mapping
        Parameters of `SparseGaussianMixture`; what is not named keeps its default.
    folder : Path
        Made where it does not exist. Nothing is written to it before the first fit has ended.
    source : str
        Where the points come from, for the provenance of the model.
    pixel_size : float, optional
        Side of a heatmap pixel in the units of the points; see `Grid.covering`.
    on_step : callable
        Called with each `FitStep`.
    tell : callable
        Called with a sentence, once, where something else has to be waited for.

    Returns
    -------
    The fits, one where the table has no groups.

    Raises
    ------
    ValueError, OSError
        Where points, settings or folder are of no use.
    """
    # What would fail at the end of a long fit is tried before it.
    points = table.points
    grid = Grid.covering(points.min(0), points.max(0), pixel_size=pixel_size)
    groups = np.zeros(len(points)) if table.groups is None else table.groups
    labels = np.unique(groups).tolist()
    names = [_name(label) for label in labels]
    if len({name.casefold() for name in names}) < len(names):  # some systems know no case
        raise ValueError("Some groups have names that would make the same folder: rename them.")
    folder.mkdir(parents=True, exist_ok=True)

    estimator = SparseGaussianMixture(**settings)
    engine, device = estimator.engine, estimator.device
    told = False
    noise = table.noise_std is not None
    for waiting in preparation(engine, device, n_dimensions=points.shape[1], noise=noise):
        if waiting.sentence and not told:
            tell(waiting.sentence)
            told = True
    fits, tables = [], []
    events = iter_groups(
        estimator, points, groups, sample_weight=table.weights, noise_std=table.noise_std
    )
    for event in events:
        if not isinstance(event, GroupFit):
            on_step(event)
            continue
        fits.append(event)
        if event.model is not None:
            name = names[labels.index(event.label)]
            own = folder if table.groups is None else folder / name
            own.mkdir(exist_ok=True)
            components = _write(event.model, table, event.rows, grid, own, source)
            tables.append({"group": event.label, **components})
    if table.groups is not None:
        write_components(folder / "components.csv", pd.concat(map(pd.DataFrame, tables)))
    return tuple(fits)


def _write(
    model: SparseGaussianMixture,
    table: PointTable,
    rows: NDArray[np.intp],
    grid: Grid,
    folder: Path,
    source: str,
) -> dict[str, NDArray[Any]]:
    """Write what was found in some rows of a table; returns the table of the components."""
    points = table.points[rows]
    weights, noise_std = (
        None if values is None else values[rows] for values in (table.weights, table.noise_std)
    )
    found = DensityModel(
        mixture=model.mixture_,
        axis_labels=table.axis_labels,
        unit=table.unit,
        n_points=len(points) if weights is None else float(weights.sum()),
        provenance=provenance(
            source=source,
            parameters=model.get_params(),
            engine=model.engine_,
            engine_reason=model.engine_reason_,
        ),
    )
    errors = model.standard_errors(points, sample_weight=weights, noise_std=noise_std)
    with limited_threads(model.n_threads):
        return write_results(
            folder, found, points, grid, errors=errors, engine=model.engine_, device=model.device
        )


def _name(label: Any) -> str:
    """A label as the name of a folder: 3 for 3.0."""
    text = str(int(label) if isinstance(label, float) and label.is_integer() else label)
    return re.sub(r"[^\w.+-]+", "_", text).lstrip(".") or "_"
