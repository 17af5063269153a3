"""Points with their components as tables: for spreadsheets, Picasso and ThunderSTORM.

>>> from napari_sparse_gmm.export.content import Content
>>> from napari_sparse_gmm.export.scored import score
>>> scored = score(model, Observations(points), pd.DataFrame({"frame": np.ones(600, int)}))
>>> list(point_frame(Content(model, scored)))
['x [nm]', 'y [nm]', 'frame', 'component', 'probability', 'kind']
"""

import re
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.export.content import Content
from napari_sparse_gmm.export.scored import ScoredPoints
from napari_sparse_gmm.io.names import split
from napari_sparse_gmm.io.picasso import DATASET, IN_NM, IN_PIXELS, PIXEL_SIZE
from napari_sparse_gmm.io.tables import write_table
from napari_sparse_gmm.io.units import length_in
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.wording import count, figures
from napari_sparse_gmm.writing import whole_file

# Columns that Picasso takes for damaged where they are below 0, beside the positions.
_POSITIVE = ("lpx", "lpy", "lpz", "photons", "ellipticity", "sx", "sy")

# What would end a cell, or be taken off it, in the header of ThunderSTORM.
_UNSPLIT = re.compile(r"[,\"\s]+")


def point_frame(content: Content) -> pd.DataFrame:
    """A row for each point: x, y (and z) with their unit, all other columns of its table, and
    behind these ``component``, ``probability`` and, where the model tells kinds, ``kind``.

    Columns of these names that the table had before are replaced.
    """
    scored, labels = content.needs_points(), content.model.axis_labels
    unit = f" [{content.unit}]" if content.unit else ""
    coordinates = {
        f"{label}{unit}": values
        for label, values in zip(labels[::-1], scored.points.T[::-1], strict=True)
    }
    return _joined(coordinates, scored.features, _found(scored))


def write_csv(path: Path, content: Content) -> str:
    """Write `point_frame` as comma-separated values."""
    frame = point_frame(content)
    write_table(path, dict(frame.items()))
    return f"{count(len(frame), 'point')}, in {content.unit or 'the unit of the model'}"


def write_parquet(path: Path, content: Content) -> str:
    """Write `point_frame` as Parquet."""
    frame = point_frame(content)
    for name, column in frame.items():
        # Numbers among words, as features may have them, are no column of Parquet.
        if column.dtype == object:
            frame[name] = column.map(str, na_action="ignore")
    with whole_file(path) as whole_path:
        frame.to_parquet(whole_path, index=False)
    return f"{count(len(frame), 'point')}, in {content.unit or 'the unit of the model'}"


def write_thunderstorm(path: Path, content: Content) -> str:
    """Write localizations as ThunderSTORM exports them: positions and precision in nm.

    Columns of words are left out, as ThunderSTORM reads numbers only, and what is infinite is no
    number to it. It splits its lines at each comma, and knows columns by what stands before their
    unit.

    https://github.com/zitmen/thunderstorm
    """
    scored, nm = content.needs_points(), _nanometres(content, "ThunderSTORM")
    n, d = scored.points.shape
    first: dict[str, Any] = {"id": np.arange(1, n + 1), "frame": _frames(scored, first=1)}
    for axis, values in zip("xyz", nm * scored.points.T[::-1], strict=False):
        first[f"{axis} [nm]"] = values
    last: dict[str, Any] = _found(scored)
    last["probability"] = np.nan_to_num(scored.probability)
    std = scored.observations.noise_std
    if std is not None:
        last["uncertainty_xy [nm]"] = nm * np.sqrt(np.square(std[:, -2:]).mean(axis=1))
        if d == 3:
            last["uncertainty_z [nm]"] = nm * std[:, 0]
    known = {split(name)[0] for name in [*first, *last]}
    if std is not None:
        known.add("uncertainty")  # as it was called before there was one along z
    features = _numbers(scored.features).rename(columns=lambda name: _UNSPLIT.sub(" ", str(name)))
    features = features.loc[:, [split(name)[0] not in known for name in features]]
    frame = _joined(first, features.replace([np.inf, -np.inf], np.nan), last)
    write_table(path, dict(frame.items()), missing="NaN")
    return f"{count(n, 'localization')}, in nm"


def write_picasso(path: Path, content: Content) -> str:
    """Write localizations as Picasso's Render opens them: HDF5 and, beside it, YAML.

    x, y and their precision, without which Render opens nothing, are in camera pixels, of the size
    that ``Content.image`` has, and z is in nm. The column ``group``, which Render colours by, is
    the component, from 0 in all groups together; -1 is the background. Picasso drops a row with an
    empty cell: a probability that is not known is 0, and columns with empty cells are left out.

    https://picassosr.readthedocs.io/en/latest/files.html
    """
    scored, nm = content.needs_points(), _nanometres(content, "Picasso")
    n, d = scored.points.shape
    if d not in (2, 3):
        raise InputError(f"Picasso has localizations in 2D and 3D, and these are in {d}D.")
    if content.image is None:
        raise InputError(
            "Picasso counts in pixels of the camera: say how large one is, in the unit of the "
            "model (--image-pixel)."
        )
    pixel = content.image.size
    # From 0 of the coordinates, wherever the image begins.
    xy = (scored.points[:, :-3:-1] / pixel).astype(np.float32)  # (N, 2)
    first: dict[str, Any] = {"frame": _frames(scored, first=0).astype(np.uint32)}
    first["x"], first["y"] = xy.T
    last: dict[str, Any] = {}
    if d == 3:
        last["z"] = (nm * scored.points[:, 0]).astype(np.float32)
    std = scored.observations.noise_std
    if std is not None:
        last["lpy"], last["lpx"] = (std[:, -2:].T / pixel).astype(np.float32)
        if d == 3:
            last["lpz"] = (nm * std[:, 0]).astype(np.float32)
    last |= _found(scored)
    last["probability"] = np.nan_to_num(scored.probability)
    last["group"] = _running(content, scored)
    locs = _joined(first, _as_picasso(_numbers(scored.features), nm * pixel), last)
    whole = np.isfinite(locs.to_numpy(dtype=float)).all(axis=0)
    locs = locs.loc[:, whole]
    if not {"lpx", "lpy"} <= set(locs):
        raise InputError(
            "Picasso's Render opens no localizations without their precision: name the column of "
            "it (--precision), or call a feature of the layer 'precision'."
        )
    width, height = (max(1, int(np.floor(values.max())) + 1) for values in xy.T)
    about = {
        "Width": width,
        "Height": height,
        "Frames": int(first["frame"].max()) + 1,
        PIXEL_SIZE[0]: float(nm * pixel),
        "Generated by": f"napari-sparse-gmm {version('napari-sparse-gmm')}",
    }
    with ExitStack() as written:  # both, or none
        hdf5 = written.enter_context(whole_file(path))
        beside = written.enter_context(whole_file(path.with_suffix(".yaml")))
        with h5py.File(hdf5, "w") as file:
            file[DATASET] = locs.to_records(index=False)
        beside.write_text(yaml.safe_dump(about, sort_keys=False), encoding="utf-8")
    told = f"{count(n, 'localization')}, in camera pixels of {figures(nm * pixel)} nm"
    if n_before := int((xy < 0).any(axis=1).sum()):
        told += f"; {n_before:,} of them lie before 0, and Picasso will leave them out"
    for name in _POSITIVE:
        if name in locs and (n_below := int((locs[name] < 0).sum())):
            told += f"; {name} of {n_below:,} is below 0, and Picasso will leave them out"
    return told


def _found(scored: ScoredPoints) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {
        "component": scored.component,
        "probability": scored.probability,
    }
    if scored.kind is not None:
        found["kind"] = scored.kind
    return found


def _joined(first: dict[str, Any], features: pd.DataFrame, last: dict[str, Any]) -> pd.DataFrame:
    """The columns one after the other, without features that are called as the others are."""
    kept = features.drop(columns=[name for name in features if name in first or name in last])
    return pd.concat([pd.DataFrame(first), kept, pd.DataFrame(last)], axis=1)


def _numbers(features: pd.DataFrame) -> pd.DataFrame:
    """The columns of numbers, of which those that are true or false are 1 or 0."""
    numbers = features.select_dtypes(["number", "bool"])
    return numbers.astype({name: int for name in numbers if numbers[name].dtype == bool})


def _frames(scored: ScoredPoints, first: int) -> NDArray[np.int64]:
    """The frame that each was seen in; the first one where the table has none."""
    features = _numbers(scored.features)
    if "frame" in features and np.isfinite(features["frame"].to_numpy(dtype=float)).all():
        frames = features["frame"].to_numpy(dtype=np.int64)
        if (frames >= 0).all():
            return frames
    return np.full(len(scored.points), first)


def _nanometres(content: Content, program: str) -> float:
    """How many nm the unit of the model is."""
    nm = length_in(content.model.unit, "nm")
    if nm is None:
        unit = f"is {content.unit!r}" if content.unit else "is not known"
        raise InputError(
            f"{program} counts in nm, and the unit of the model {unit}: fit points whose unit is "
            "a length, as x [nm] in the header of a table or the unit of a layer says."
        )
    return nm


def _as_picasso(features: pd.DataFrame, pixel_nm: float) -> pd.DataFrame:
    """Under the names that Picasso knows lengths are in its units again: in pixels, or in nm."""
    columns: dict[str, Any] = {}
    for column, values in features.items():
        name, unit = split(str(column))
        nm = length_in(unit, "nm")
        if nm is None or name not in IN_PIXELS | IN_NM:
            columns[str(column)] = values
        else:
            columns[name] = nm * values / (pixel_nm if name in IN_PIXELS else 1.0)
    return pd.DataFrame(columns, index=features.index)


def _running(content: Content, scored: ScoredPoints) -> NDArray[np.int64]:
    """The number of the component of each point among those of all groups; -1 of none."""
    sizes = [0 if part is None else part.mixture.n_components for part in content.model.parts]
    before: FloatArray | NDArray[np.int64] = np.cumsum([0, *sizes[:-1]])
    return np.where(scored.component < 0, -1, before[scored.groups] + scored.component)
