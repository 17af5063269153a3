"""Where a model lies: the frame of the points that it was fitted to, out and in."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_sparse_gmm.density_model import DensityModel, Groups, Part
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.units import unit_named
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.space.frame import Frame, Stack

# Of a frame and its stack, what makes the view of a model.
_ARRAYS = ("box", "scale", "translate", "rotate", "shear", "affine")

_OF_STACK = ("slices", "origin", "spacing", "axis", "own")

# As many axes as NumPy has, and more slices than a fit has groups, with gaps between them.
_MOST_AXES = 32
_MOST_SLICES = 1_000_000

_DAMAGED = "The model is damaged where it says how it lies: "

# Where nobody says where the points were: so many standard deviations around the components.
_REACH = 3.0


def model_in(frame: Frame, parts: Sequence[Part | None], **made: Any) -> DensityModel:
    """What was found in each group of points that lie like that; and how it was `made`, if the fit
    has ended. It refers to the arrays, and copies none.
    """
    stack = frame.stack
    return DensityModel(
        parts=tuple(parts),
        axis_labels=frame.names,
        unit=frame.unit or None,
        box=frame.modelled_box,
        groups=None if stack is None else Groups(stack.name, stack.labels),
        view=_view(frame),
        provenance=made,
    )


def _view(frame: Frame) -> dict[str, Any]:
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
        frame = _placed(model, model.view)
        _check(frame)
    except InputError as error:
        raise InputError(f"{_DAMAGED}{error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{_DAMAGED}something is missing or of another kind.") from error
    return frame


def _placed(model: DensityModel, view: Mapping[str, Any]) -> Frame:
    n = len(view["scale"])
    arrays = {name: np.array(view[name], dtype=np.float64) for name in _ARRAYS}
    shapes = {"box": (2, n), "affine": (n + 1, n + 1), "rotate": (n, n), "shear": (n, n)}
    for name, values in arrays.items():
        arrays[name] = values.reshape(shapes.get(name, (n,)))
    return Frame(
        axes=tuple(int(axis) for axis in view["axes"]),
        names=model.axis_labels,
        pooled=_words(view["pooled"]),
        **arrays,
        units=_units(view["units"]),
        axis_labels=_words(view["axis_labels"]),
        stack=_stack(model, view["stack"]),
    )


def _check(frame: Frame) -> None:
    """An InputError where no layer can lie like that."""
    n, stack = len(frame.scale), frame.stack
    if not len(frame.units) == len(frame.axis_labels) == n <= _MOST_AXES:
        raise InputError("the numbers of its axes differ, or are too large.")
    taken = frame.axes if stack is None else (*frame.axes, stack.axis)
    if len(frame.axes) != len(frame.names) or len({*taken} & {*range(n)}) != len(taken):
        raise InputError("it has not the axes that it names.")
    if not all(np.isfinite(getattr(frame, name)).all() for name in _ARRAYS):
        raise InputError("some of its numbers are not finite.")
    turns = (np.diag(frame.scale), frame.rotate, frame.shear, frame.affine)
    if not all(np.linalg.det(matrix) for matrix in turns):
        raise InputError("it takes points to a line or a plane.")
    if np.tril(frame.shear, -1).any() and np.triu(frame.shear, 1).any():
        raise InputError("its shear is no triangular matrix.")
    if stack is not None and not (
        math.isfinite(stack.origin)
        and 0 < abs(stack.spacing) < math.inf
        and (np.diff(stack.slices, prepend=-1) > 0).all()
        and stack.slices[-1] < _MOST_SLICES
    ):
        raise InputError("its groups are in no slices that there can be.")


def _plain_frame(model: DensityModel) -> Frame:
    """That of a Points layer whose data are in the unit of the model."""
    if model.groups is not None:
        raise InputError("The model is damaged: it has groups, but does not say how they lie.")
    n = len(model.axis_labels)
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
        units=_units([unit_named(model.unit) or "pixel"] * n),
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
    if values is None and model.groups is None:
        return None
    if values is None or model.groups is None:
        raise InputError("it has groups without slices, or slices without groups.")
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


def _units(spellings: Sequence[str]) -> tuple[Any, ...]:
    """Units as napari's layers have them.

    napari would work out whatever it is given: "9**9**9".
    """
    names = [unit_named(spelling) for spelling in _words(spellings)]
    if None in names:
        raise InputError(f"{spellings[names.index(None)]!r:.40} is no unit.")
    return tuple(Points(np.empty((0, len(names))), units=names).units)


def _words(values: Any) -> tuple[str, ...]:
    words = tuple(values)
    if isinstance(values, str) or not all(isinstance(word, str) for word in words):
        raise InputError("some of its words are none.")
    return words
