"""A table of points in, a folder of results out: what the command line does.

>>> from napari_sparse_gmm.io.tables import read_points
>>> table = read_points("localizations.csv")
>>> settings = {"prior": "bayes", "background": True, "random_state": 0}
>>> (fit,) = fit_to_folder(table, settings, Path("results"), source="localizations.csv")
>>> sorted(path.name for path in Path("results").iterdir())
['components.csv', 'density.png', 'density.tif', 'model.json']
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_sparse_gmm.arrays import bounds
from napari_sparse_gmm.density_model import DensityModel, part_of, provenance
from napari_sparse_gmm.engines import Engine, Storage
from napari_sparse_gmm.engines.checkpoints import Checkpoints
from napari_sparse_gmm.engines.choice import preparation
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.estimator import SparseGaussianMixture
from napari_sparse_gmm.fitting import FitStep
from napari_sparse_gmm.groups import GroupFit, iter_groups
from napari_sparse_gmm.io.chunked_tables import ChunkedTable
from napari_sparse_gmm.io.figures import MAX_POINTS
from napari_sparse_gmm.io.results import FILES, REGIONS, write_results
from napari_sparse_gmm.io.tables import PointTable, write_table
from napari_sparse_gmm.io.units import same_unit
from napari_sparse_gmm.members import Seen, members_of
from napari_sparse_gmm.merging import merge_repeats
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.parameters import DEVICE, ENGINE, N_THREADS
from napari_sparse_gmm.ranges import Range, as_records
from napari_sparse_gmm.regions import Region
from napari_sparse_gmm.scoring import assign_points, summary
from napari_sparse_gmm.shapes.grid import Grid
from napari_sparse_gmm.writing import refuse_to_overwrite

# Bytes of the name of a folder: what every system has, with some to spare.
_LONGEST_NAME = 200


def fit_to_folder(
    table: PointTable,
    settings: Mapping[str, Any],
    folder: Path,
    *,
    source: str,
    inputs: Sequence[Path] = (),
    pixel_size: float | None = None,
    regions: Mapping[str, Region] | None = None,
    each_region: bool = False,
    on_step: Callable[[FitStep], object] = lambda step: None,
    on_wait: Callable[[str], object] = lambda sentence: None,
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
    inputs : sequence of Path
        Files that were read, and so are not written to.
    pixel_size : float, optional
        Side of a heatmap pixel in the units of the points; see `Grid.covering`.
    regions : mapping, optional
        Regions by their names, such as cells, of which each is to have a row of numbers.
    each_region : bool
        Whether the groups of the table are those regions, and so the background of each is its own.
    on_step : callable
        Called with each `FitStep`.
    on_wait : callable
        Called with a sentence, once, where something else has to be waited for.

    Returns
    -------
    The fits, one where the table has no groups.

    Raises
    ------
    InputError, OSError
        Where points, settings or folder are invalid.
    """
    # What would fail at the end of a long fit is tried before it.
    points = table.points
    grid = Grid.covering(*bounds(points), pixel_size=pixel_size)
    groups = np.zeros(len(points)) if table.groups is None else table.groups
    labels = np.unique(groups).tolist()
    names = [_name(label) for label in labels]
    if len({name.casefold() for name in names}) < len(names):  # some systems know no case
        raise InputError("Some groups have names that would make the same folder: rename them.")
    if (longest := max(names, key=len)) and len(os.fsencode(longest)) > _LONGEST_NAME:
        raise InputError(
            f"A group has a name of {len(longest)} characters, {longest[:20]}…, too long for a "
            "folder: shorten it."
        )
    folders = [folder] if table.groups is None else [folder / name for name in names]
    outputs = [one / name for one in {folder, *folders} for name in (*FILES, REGIONS)]
    refuse_to_overwrite(outputs, inputs)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder):
        pass

    estimator = SparseGaussianMixture(**settings)
    noise = table.observations.noise is not None
    _prepare(estimator, points.shape[1], noise=noise, on_wait=on_wait)
    fits, tables = [], []
    own_regions = regions if each_region else None
    for event in iter_groups(estimator, table.observations, groups, regions=own_regions):
        if not isinstance(event, GroupFit):
            on_step(event)
            continue
        fits.append(event)
        if event.model is not None:
            own = folders[labels.index(event.label)]
            own.mkdir(exist_ok=True)
            assert event.engine is not None
            components = _write(
                event.model,
                event.engine,
                points[event.rows],
                grid,
                own,
                box=bounds(points[event.rows]),
                source=source,
                axis_labels=table.axis_labels,
                unit=table.unit,
                n_points=len(event.rows),
                seen=[
                    (
                        table.observations.subset(event.rows),
                        None if table.frames is None else table.frames[event.rows],
                    )
                ],
                ranges=table.ranges,
                regions={event.label: own_regions[event.label]} if own_regions else regions,
            )
            tables.append({"group": event.label, **components})
    if table.groups is not None:
        write_table(folder / "components.csv", pd.concat(map(pd.DataFrame, tables)))
    return tuple(fits)


def fit_chunked_to_folder(
    table: ChunkedTable,
    settings: Mapping[str, Any],
    folder: Path,
    *,
    source: str,
    storage: Storage,
    checkpoints: Checkpoints,
    inputs: Sequence[Path] = (),
    pixel_size: float | None = None,
    on_step: Callable[[FitStep], object] = lambda step: None,
    on_wait: Callable[[str], object] = lambda sentence: None,
) -> tuple[SparseGaussianMixture, Engine]:
    """`fit_to_folder` of points that come in chunks, and may be more than there is memory for.

    Checkpoints are removed when the results are written; takes and raises what that does, besides:

    Parameters
    ----------
    table : ChunkedTable
    storage : Storage
        Where the points are kept meanwhile.
    checkpoints : Checkpoints
        Where an interrupted fit goes on from.

    Raises
    ------
    EngineLost
        Where workers are lost.
    """
    d = table.chunked.n_dimensions
    refuse_to_overwrite([folder / name for name in FILES], inputs)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder):
        pass
    estimator = SparseGaussianMixture(**settings, storage=storage)
    _prepare(estimator, d, noise=bool(table.precision), on_wait=on_wait)
    on_wait("Reading the points")
    engine = estimator.open(table.chunked)
    on_wait(f"{engine.summary.n_points:,} points are ready")
    grid = Grid.covering(*engine.summary.box, pixel_size=pixel_size)
    # Closed at once where something is raised, so that the last checkpoint is written.
    with closing(estimator.iter_fit(engine, checkpoints=checkpoints)) as steps:
        for step in steps:
            on_step(step)
    on_wait("Reading the points once more, for the hulls and the frames of the components")
    _write(
        estimator,
        engine,
        engine.sample(MAX_POINTS, np.random.default_rng(0)).points,
        grid,
        folder,
        box=engine.summary.box,
        source=source,
        axis_labels=table.axis_labels,
        unit=table.unit,
        seen=table.seen(),
        ranges=table.ranges,
    )
    checkpoints.remove()
    return estimator, engine


def _prepare(
    estimator: SparseGaussianMixture,
    n_dimensions: int,
    *,
    noise: bool,
    on_wait: Callable[[str], object],
) -> None:
    """Wait until kernels are compiled, and say so once."""
    waited = False
    for waiting in preparation(
        estimator.engine, estimator.device, n_dimensions=n_dimensions, noise=noise
    ):
        if waiting.sentence and not waited:
            on_wait(waiting.sentence)
            waited = True


def merged_table(table: PointTable, gap: int, radius: float | None = None) -> PointTable:
    """A table with repeated localizations as one; see `merging.merge_repeats`. Those of different
    groups are never the same.
    """
    assert table.frames is not None
    groups = np.zeros(len(table.points)) if table.groups is None else table.groups
    values, group = np.unique(groups, return_inverse=True)
    # Longer than any gap from the frames of one group to those of the next.
    frames = table.frames + (np.ptp(table.frames) + gap + 2.0) * group
    merged = merge_repeats(table.observations, frames, gap=gap, radius=radius)
    first = np.unique(merged.members, return_index=True)[1]
    return replace(
        table,
        observations=merged.observations,
        groups=None if table.groups is None else values[group[first]],
        frames=table.frames[first],
    )


def _write(
    model: SparseGaussianMixture,
    engine: Engine,
    points: FloatArray,
    grid: Grid,
    folder: Path,
    *,
    box: FloatArray,
    source: str,
    axis_labels: tuple[str, ...],
    unit: str | None,
    seen: Iterable[Seen],
    n_points: int | None = None,
    ranges: tuple[Range, ...] = (),
    regions: Mapping[str, Region] | None = None,
) -> dict[str, NDArray[Any]]:
    """Write what was found in the points of an engine, of which some or all are for the picture,
    and that are `seen` chunk by chunk; returns the table of the components.
    """
    with limited_threads(model.n_threads):
        members = members_of(model.mixture_, seen, engine=model.engine_, device=model.device)
    # Where points were kept says nothing of what was fitted.
    parameters = {**model.get_params(), "storage": None}
    found = DensityModel(
        (part_of(model, engine, n_points, regions, members),),
        axis_labels,
        unit,
        box=box,
        provenance=provenance(
            source=source,
            parameters=parameters,
            engine=model.engine_,
            engine_reason=model.engine_reason_,
            ranges=as_records(ranges),
            deconvolved=bool(engine.summary.noise.any()),
        ),
    )
    with limited_threads(model.n_threads):
        return write_results(
            folder,
            found,
            points,
            grid,
            engine=model.engine_,
            device=model.device,
        )


def score_to_file(
    model: DensityModel,
    table: PointTable,
    path: Path,
    *,
    inputs: Sequence[Path] = (),
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
    n_threads: int | None = N_THREADS.default,
) -> str:
    """Write the points of a table with their components in a model; returns what there is to say.

    Parameters
    ----------
    model : DensityModel
    table : PointTable
        In the unit of the model; with groups where that has some.
    path : Path
        A CSV file; one that exists is replaced.
    inputs : sequence of Path
        Files that were read, and so are not written to.
    engine, device : str
        What computes.
    n_threads : int, optional
        How many processor threads that may use.

    Raises
    ------
    InputError, OSError
        Where the axes, the unit or the groups are others than those of the model.
    """
    refuse_to_overwrite([path], inputs)
    N_THREADS.check(n_threads)
    points, groups = table.points, np.zeros(len(table.points), dtype=np.intp)
    refuse_other_axes(model, table)
    if model.groups is not None:
        if table.groups is None:
            raise InputError(
                f"The model has a mixture for each {model.groups.name}: name the column of it "
                "with --group."
            )
        groups = pd.Index(model.groups.labels).get_indexer(table.groups)
    with limited_threads(n_threads):
        found = assign_points(model.parts, table.observations, groups, engine=engine, device=device)
    columns = dict(zip(table.columns, points.T, strict=True))
    if table.groups is not None:
        columns["group"] = table.groups
    scored = {name: getattr(found, name) for name in ("component", "probability", "log_density")}
    write_table(path, {**columns, **scored})
    return summary(model, points, groups, found)


def refuse_other_axes(model: DensityModel, table: PointTable) -> None:
    """An InputError where a table has other axes, or another unit, than a model."""
    if len(model.axis_labels) != table.points.shape[1]:
        raise InputError(
            f"The points have {table.points.shape[1]} axes ({', '.join(table.axis_labels)}), and "
            f"the model has {len(model.axis_labels)} ({', '.join(model.axis_labels)}): name the "
            "columns of those."
        )
    if table.unit and model.unit and not same_unit(table.unit, model.unit):
        raise InputError(
            f"The points are in {table.unit} and the model is in {model.unit}: bring the points "
            "to its unit."
        )


def _name(label: Any) -> str:
    """A label as the name of a folder: 3 for 3.0."""
    text = str(int(label) if isinstance(label, float) and label.is_integer() else label)
    return re.sub(r"[^\w.+-]+", "_", text).lstrip(".") or "_"
