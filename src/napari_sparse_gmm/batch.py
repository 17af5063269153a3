"""A table of points in, a folder of results out: what the command line does.

>>> table = read_points("localizations.csv")
>>> fit_to_folder(table, {"background": True}, Path("results"), source="localizations.csv")
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari_sparse_gmm.engines.choice import preparation
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.estimator import SparseGaussianMixture
from napari_sparse_gmm.fitting import FitStep
from napari_sparse_gmm.io.models import DensityModel, provenance
from napari_sparse_gmm.io.results import write_results
from napari_sparse_gmm.io.tables import PointTable
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
) -> SparseGaussianMixture:
    """Fit a table of points and write model, components, heatmap and picture to a folder.

    Parameters
    ----------
    table : PointTable
    settings : mapping
        Parameters of `SparseGaussianMixture`; what is not named keeps its default.
    folder : Path
        Made where it does not exist. Nothing is written to it before the fit has ended.
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
    The fitted estimator.

    Raises
    ------
    ValueError, OSError
        Where points, settings or folder are of no use.
    """
    # What would fail at the end of a long fit is tried before it.
    points = table.points
    grid = Grid.covering(points.min(0), points.max(0), pixel_size=pixel_size)
    folder.mkdir(parents=True, exist_ok=True)

    estimator = SparseGaussianMixture(**settings)
    engine, device = estimator.engine, estimator.device
    told = False
    noise = table.noise_std is not None
    for waiting in preparation(engine, device, n_dimensions=points.shape[1], noise=noise):
        if waiting.sentence and not told:
            tell(waiting.sentence)
            told = True
    for step in estimator.iter_fit(points, sample_weight=table.weights, noise_std=table.noise_std):
        on_step(step)
    model = DensityModel(
        mixture=estimator.mixture_,
        axis_labels=table.axis_labels,
        unit=table.unit,
        n_points=len(points) if table.weights is None else float(table.weights.sum()),
        provenance=provenance(
            source=source,
            parameters=estimator.get_params(),
            engine=estimator.engine_,
            engine_reason=estimator.engine_reason_,
        ),
    )
    errors = estimator.standard_errors(
        points, sample_weight=table.weights, noise_std=table.noise_std
    )
    with limited_threads(estimator.n_threads):
        write_results(
            folder, model, points, grid, errors=errors, engine=estimator.engine_, device=device
        )
    return estimator
