"""Points of a layer as a model sees them that was fitted to others.

>>> read = points_for(model, layer, "precision", in_units=True)
>>> read.observations.points.shape, read.observations.noise.shape
((600, 2), (600, 2))
"""

from dataclasses import dataclass

import numpy as np
from napari.layers import Labels, Layer, Points, Shapes
from numpy.typing import NDArray
from pandas import Index

from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.names import precision_along
from napari_sparse_gmm.observations import FloatArray, Observations
from napari_sparse_gmm.plugin.points.features import feature_values, precise_points
from napari_sparse_gmm.plugin.points.region import outlined_through
from napari_sparse_gmm.plugin.space.axes import axis_names
from napari_sparse_gmm.plugin.space.frame import Frame, Stack
from napari_sparse_gmm.plugin.space.model_frame import frame_of
from napari_sparse_gmm.plugin.space.transforms import affine_from
from napari_sparse_gmm.regions import Region


@dataclass(frozen=True, eq=False)
class ModelPoints:
    """Points in the coordinates of a model.

    Parameters
    ----------
    observations : Observations
        N points, with their precision where that is known.
    groups : (N,) array of int
        Of which part of the model each is; -1 of none.
    shown : (all points of the layer,) array of bool
        Which of them these are.
    pooled : tuple of str
        Axes of the layer along which points are taken together.
    n_imprecise : int
        How many have no precision, where others have one, and are left out.
    """

    observations: Observations
    groups: NDArray[np.intp]
    shown: NDArray[np.bool_]
    pooled: tuple[str, ...]
    n_imprecise: int = 0


def points_for(
    model: DensityModel, layer: Points, precision: str | None, in_units: bool
) -> ModelPoints:
    """The points that a layer shows, in the coordinates of a model and in its groups.

    A point is at the same position of the world as in the layer, whatever the scales and units.

    Parameters
    ----------
    model : DensityModel
    layer : Points
    precision : str, optional
        The feature with the standard deviation of the position of each point, in the unit of the
        layer.
    in_units : bool
        Whether the viewer shows layers in their units.

    Raises
    ------
    InputError
        Where the layer shows no points, lacks an axis or a feature, or has invalid values.
    """
    frame, shown = frame_of(model), np.array(layer.shown, dtype=bool)
    n_shown = np.count_nonzero(shown)
    names = axis_names(layer)
    features = [str(name) for name in layer.features]
    precisions = [precision_along(features, precision, name) for name in names] if precision else []
    shown &= precise_points(layer, shown, *precisions)
    data = np.asarray(layer.data, dtype=np.float64)[shown]
    if len(data) == 0:
        raise InputError(f"Layer {layer.name!r} shows no points: choose a layer that has some.")
    bad = int((~np.isfinite(data)).any(axis=1).sum())
    if bad:
        raise InputError(
            f"{bad} of the {len(data)} points of layer {layer.name!r} have a coordinate that is "
            "NaN or infinite: remove or hide them, then score again."
        )
    n_axes = len(frame.scale)
    if layer.ndim < n_axes - frame.axes[0]:
        raise InputError(
            f"Layer {layer.name!r} has {layer.ndim} axes, and the model has "
            f"{len(frame.axes)} ({', '.join(frame.names)}): choose a layer that has them all."
        )
    matrix, offset = _to_model(frame, layer, in_units)
    u = data @ matrix.T + offset  # (N, n)
    modelled = list(frame.axes)
    groups = np.zeros(len(data), dtype=np.intp)
    used = set(modelled)
    if frame.stack is not None:
        used.add(frame.stack.axis)
        groups = _groups(frame, frame.stack, layer, shown, u)
    noise_std = None
    if precisions:
        std = np.stack([feature_values(layer, name, shown, "precision") for name in precisions], 1)
        # How long a step in the unit of the layer is along each axis of the model.
        steps = matrix[modelled] / layer.scale  # (D, n)
        noise_std = np.sqrt(std**2 @ (steps**2).T)
    pooled = tuple(
        name for axis, name in enumerate(names) if axis - layer.ndim + n_axes not in used
    )
    observations = Observations.of(u[:, modelled], noise_std=noise_std)
    return ModelPoints(observations, groups, shown, pooled, int(n_shown - len(data)))


def places_for(model: DensityModel, layer: Layer, places: FloatArray, in_units: bool) -> FloatArray:
    """Data coordinates (M, n) of another layer in the coordinates of a model, (M, D).

    Raises
    ------
    InputError
        Where the layer has fewer axes than the model.
    """
    frame = frame_of(model)
    if layer.ndim < len(frame.scale) - frame.axes[0]:
        raise InputError(
            f"Layer {layer.name!r} has {layer.ndim} axes, and the model has {len(frame.axes)}: "
            "choose one of the same."
        )
    matrix, offset = _to_model(frame, layer, in_units)
    return np.asarray((places @ matrix.T + offset)[:, list(frame.axes)])


def region_for(model: DensityModel, layer: Shapes | Labels, in_units: bool) -> Region:
    """What a layer outlines, in the coordinates of a model: of its last axes.

    Raises
    ------
    InputError
        Where it outlines nothing, or lies askew to the axes of the model.
    """
    frame = frame_of(model)
    matrix, offset = _to_model(frame, layer, in_units)
    rows = list(frame.axes)
    return outlined_through(layer, matrix[rows], offset[rows])


def _to_model(frame: Frame, layer: Layer, in_units: bool) -> tuple[FloatArray, FloatArray]:
    """The map from data coordinates of a layer to those of a model's frame; see `affine_from`."""
    # The layers that were fitted have no axis for groups that a feature distinguishes.
    first = int(frame.stack is not None and frame.stack.own)

    def coordinates(world: FloatArray) -> FloatArray:
        return frame.coordinates(np.concatenate([np.zeros(first), world]))

    return affine_from(layer, frame.units[first:], coordinates, in_units)


def _groups(
    frame: Frame, stack: Stack, layer: Points, shown: NDArray[np.bool_], u: FloatArray
) -> NDArray[np.intp]:
    """The group of each point: by the slice of the model it lies in, or by its feature."""
    if not stack.own and layer.ndim >= len(frame.scale) - stack.axis:
        positions = (u[:, stack.axis] - stack.origin) / stack.spacing
        return Index(stack.slices).get_indexer(np.rint(positions).astype(np.intp))
    if stack.name in layer.features:
        return Index(stack.labels).get_indexer(layer.features[stack.name][shown])
    raise InputError(
        f"The model has a mixture for each {stack.name}: choose points that have "
        + ("" if stack.own else "such an axis, or ")
        + f"a feature {stack.name!r}, which layer {layer.name!r} has not."
    )
