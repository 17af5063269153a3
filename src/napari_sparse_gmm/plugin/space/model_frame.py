"""Where a model lies: the frame of the points that it was fitted to, out and in."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.space.frame import Frame, Stack

# Of a frame and its stack, what makes the view of a model.
_ARRAYS = ("box", "scale", "translate", "rotate", "shear", "affine")

_OF_STACK = ("slices", "origin", "spacing", "axis", "own")

# Where nobody says where the points were: so many standard deviations around the components.
_REACH = 3.0


def view_of(frame: Frame) -> dict[str, Any]:
    """What `frame_of` reads: how points lie, as numbers, arrays and strings."""
    stack = frame.stack
    return {
        "axes": frame.axes,
        "pooled": frame.pooled,
        **{name: getattr(frame, name) for name in _ARRAYS},
        "units": [str(unit) for unit in frame.units],
        "axis_labels": frame.axis_labels,
        "stack": None if stack is None else {name: getattr(stack, name) for name in _OF_STACK},
    }


def frame_of(model: DensityModel) -> Frame:
    """Where a model lies: where its points were, or else in coordinates of its unit.

    Raises
    ------
    InputError
        Where what it says about that is damaged.
    """
    if model.view is None:
        return _plain_frame(model)
    try:
        view, n = model.view, len(model.view["scale"])
        arrays = {name: np.array(view[name], dtype=np.float64) for name in _ARRAYS}
        for name, shape in {"box": (2, n), "affine": (n + 1, n + 1), "rotate": (n, n)}.items():
            arrays[name] = arrays[name].reshape(shape)
        return Frame(
            axes=tuple(int(axis) for axis in view["axes"]),
            names=model.axis_labels,
            pooled=tuple(view["pooled"]),
            **arrays,
            units=_units(view["units"]),
            axis_labels=tuple(view["axis_labels"]),
            stack=_stack(model, view["stack"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"The model is damaged where it says how it lies: {error!r}.") from error


def _plain_frame(model: DensityModel) -> Frame:
    """That of a Points layer whose data are in the unit of the model."""
    if model.groups is not None:
        raise InputError("The model is damaged: it has groups, but does not say how they lie.")
    n = len(model.axis_labels)
    try:
        units = _units([model.unit or "pixel"] * n)
    except (ValueError, AttributeError):  # a word that is no unit to napari
        units = _units(["pixel"] * n)
    return Frame(
        axes=tuple(range(n)),
        names=model.axis_labels,
        pooled=(),
        box=_reach(model) if model.box is None else model.box,
        scale=np.ones(n),
        translate=np.zeros(n),
        rotate=np.eye(n),
        shear=np.eye(n),
        affine=np.eye(n + 1),
        units=units,
        axis_labels=model.axis_labels,
    )


def _reach(model: DensityModel) -> FloatArray:
    """Where the points of a model most likely were, (2, D)."""
    mixture, region = model.mixture, model.mixture.background_region
    corners = [] if region is None else [region.box]
    width = _REACH * np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
    around = np.concatenate([mixture.means - width, mixture.means + width, *corners])
    return np.stack([around.min(0), around.max(0)])


def _stack(model: DensityModel, values: Mapping[str, Any] | None) -> Stack | None:
    if values is None or model.groups is None:
        return None
    slices: NDArray[np.intp] = np.array(values["slices"], dtype=np.intp)
    return Stack(
        model.groups.name,
        model.groups.labels,
        slices.reshape(len(model.parts)),
        float(values["origin"]),
        float(values["spacing"]),
        int(values["axis"]),
        bool(values["own"]),
    )


def _units(names: list[str]) -> tuple[Any, ...]:
    """Units as napari's layers have them. An InputError or AttributeError where one is none."""
    return tuple(Points(np.empty((0, len(names))), units=names).units)
