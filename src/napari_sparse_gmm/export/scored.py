"""Points with all columns of their table, and their components in a model.

>>> from napari_sparse_gmm.io.tables import ColumnNames
>>> scored = read_scored(model, "localizations.csv", ColumnNames(precision="auto"))
>>> list(scored.features)
['id', 'frame', 'uncertainty [nm]']
>>> scored.component.shape, scored.kind.shape
((600,), (600,))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.columns import as_floats, find_column, left_out, to_labels
from napari_sparse_gmm.io.formats import open_table
from napari_sparse_gmm.io.localizations import Localizations, localizations_of
from napari_sparse_gmm.io.names import known_precision, matching, precision_along
from napari_sparse_gmm.io.tables import AUTO, ColumnNames
from napari_sparse_gmm.io.units import length_in, same_unit
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.observations import Observations, usable_precision
from napari_sparse_gmm.parameters import DEVICE, ENGINE
from napari_sparse_gmm.ranges import from_records
from napari_sparse_gmm.scoring import assign_points


@dataclass(frozen=True, eq=False)
class ScoredPoints:
    """Points in the unit of a model, and what they are in it.

    Attributes
    ----------
    observations : Observations
        N points, with their precision where that is known.
    features : DataFrame of N rows
        All other columns of their table.
    groups : (N,) array of int
        Of which part of the model each is; -1 of none.
    component : (N,) array of int
        Which one of its part each most probably belongs to; -1 is the background, or none.
    probability : (N,) array
        How probable that is; NaN where a point is far from all that the model was fitted to.
    kind : (N,) array of int or None
        Of which kind of clusters its component is; -1 where it has none. None where the model
        tells no kinds.
    notes : tuple of str
        Sentences about what was left out.
    """

    observations: Observations
    features: pd.DataFrame
    groups: NDArray[np.intp]
    component: NDArray[np.intp]
    probability: FloatArray
    kind: NDArray[np.intp] | None
    notes: tuple[str, ...] = ()

    @property
    def points(self) -> FloatArray:
        """Coordinates, (N, D)."""
        return self.observations.points


def score(
    model: DensityModel,
    observations: Observations,
    features: pd.DataFrame,
    groups: NDArray[np.intp] | None = None,
    *,
    notes: tuple[str, ...] = (),
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
) -> ScoredPoints:
    """The points with their components, as `scoring.assign_points` finds them.

    What the fit has left out is left out: points outside of its ranges of features, and of its
    region where that is not the bounding box.
    """
    if groups is None:
        groups = np.zeros(len(observations), dtype=np.intp)
    kept, told = _kept(model, observations, features, groups)
    if not kept.all():
        observations, features, groups = observations.subset(kept), features[kept], groups[kept]
    notes = (*notes, *told)
    found = assign_points(model.parts, observations, groups, engine=engine, device=device)
    kind = None
    if any(part.evidence is not None for part in model.fitted):
        kind = np.full(len(observations), -1)
        for group, part in enumerate(model.parts):
            own = np.flatnonzero((groups == group) & (found.component >= 0))
            if part is not None and part.evidence is not None:
                kind[own] = part.evidence.kinds[found.component[own]]
    return ScoredPoints(
        observations,
        features.reset_index(drop=True),
        groups,
        found.component,
        found.probability,
        kind,
        notes,
    )


def _kept(
    model: DensityModel,
    observations: Observations,
    features: pd.DataFrame,
    groups: NDArray[np.intp],
) -> tuple[NDArray[np.bool_], list[str]]:
    """Which points are of the kind that was fitted, (N,), and sentences about the others.

    Raises
    ------
    InputError
        Where none is.
    """
    kept, notes, n = np.ones(len(observations), dtype=bool), [], len(observations)
    for limits in from_records(model.provenance.get("ranges") or {}):
        columns = matching([str(name) for name in features], limits.name)
        if len(columns) != 1:
            notes.append(
                f"The points have no column {limits.name!r}: those that the fit has left out, "
                f"outside of {limits}, are among them."
            )
            continue
        held = limits.holds(as_floats(features[columns[0]]))
        if not held.all():
            notes.append(
                f"{n - np.count_nonzero(held):,} of {n:,} points are outside of {limits} and left "
                "out, as in the fit."
            )
        kept &= held
    inside = np.ones(n, dtype=bool)
    for group, part in enumerate(model.parts):
        region = None if part is None else part.mixture.background_region
        # That of a bounding box goes on around the points that it is of.
        if region is not None and region.n_points is None:
            rows = np.flatnonzero(groups == group)
            inside[rows] = region.contains(observations.points[rows])
    if not inside.all():
        notes.append(
            f"{n - np.count_nonzero(inside):,} of {n:,} points lie outside of the region and are "
            "left out, as in the fit."
        )
    kept &= inside
    if n and not kept.any():
        raise InputError(" ".join(["No point is left.", *notes]))
    return kept, notes


def read_scored(
    model: DensityModel,
    path: str | Path,
    names: ColumnNames,
    *,
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
) -> ScoredPoints:
    """Read a table of points, with all of its columns, and find their components.

    Its coordinates and precision are converted to the unit of the model. Rows without a position
    are left out, and so are those without a precision where others have one.

    Parameters
    ----------
    model : DensityModel
    path : path of the table
    names : ColumnNames
        As for `io.tables.read_points`; its `group` is needed where the model has groups.
    engine, device : str
        What computes.

    Raises
    ------
    InputError
        Where the axes, the unit or the groups are others than those of the model, or the table
        cannot be read.
    """
    read = localizations_of(open_table(path), names)
    name = Path(path).name
    if read.points.shape[1] != len(model.axis_labels):
        raise InputError(
            f"The points of {name} have {read.points.shape[1]} axes "
            f"({', '.join(read.axis_labels)}), and the model has {len(model.axis_labels)} "
            f"({', '.join(model.axis_labels)}): name the columns of those."
        )
    notes, groups = read.notes, None
    scale = _scale(read.unit, model.unit, name)
    columns = _precisions(read, names, name)
    noise, usable = None, np.ones(len(read.points), dtype=bool)
    if columns:
        std = np.stack([as_floats(read.features[column]) for column in columns], axis=1)
        usable = np.all([usable_precision(own) for own in std.T], axis=0)
        if not usable.any() and names.precision != AUTO:
            raise InputError(
                f"Column {columns[-1]!r} of {name} is no precision: none of its cells is a number "
                "above 0."
            )
        if usable.any():
            noise = scale * std[usable]
            if not usable.all():
                notes += (left_out(usable, name, f"precision in {columns[-1]!r}"),)
        else:
            usable[:] = True
    features = read.features[usable]
    if model.groups is not None:
        if names.group is None:
            raise InputError(
                f"The model has a mixture for each {model.groups.name}: name the column of it "
                "with --group."
            )
        column = find_column(list(features), names.group, f"for group in {name}")
        labels = to_labels(features[column], column, name)
        groups = np.asarray(pd.Index(model.groups.labels).get_indexer(labels))
    observations = Observations.of(scale * read.points[usable], noise_std=noise)
    return score(model, observations, features, groups, notes=notes, engine=engine, device=device)


def _scale(unit: str | None, wanted: str | None, name: str) -> float:
    """How many units of the model one of the table is; where one says none they are the same."""
    if not unit or not wanted or same_unit(unit, wanted):
        return 1.0
    scale = length_in(unit, wanted)
    if scale is None:
        raise InputError(
            f"The points of {name} are in {unit} and the model is in {wanted}: bring the points to "
            "its unit."
        )
    return scale


def _precisions(read: Localizations, names: ColumnNames, name: str) -> Sequence[str]:
    """The features with the precision along each axis, in their order; none where it is not
    considered.
    """
    header: list[Any] = list(read.features)
    if names.precision is None:
        return ()
    axial = names.precision_z
    if names.precision == AUTO:
        column = read.precision or known_precision(header, read.unit)
        if column is None:
            return ()
        axial = axial or known_precision(header, read.unit, axial=True)
    else:
        column = find_column(header, names.precision, f"for precision in {name}")
    of_axis = {"y": precision_along(header, column, "y"), "x": column, "z": column}
    if axial is not None:
        of_axis["z"] = find_column(header, axial, f"for precision of z in {name}")
    return [of_axis[axis] for axis in "zyx"[-read.points.shape[1] :]]
