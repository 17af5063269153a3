"""Models of layers: from a fit to a value that can be saved, and back to a fit and its layers.

There and back::

    model = model_of(solution, frame, "L", choice, coverage=95.0, counts={"hidden": 3})
    attach_model(layer, model)  # the components layer
    for data, keywords, kind in layers_of(model, "L"): ...
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import numpy as np
from napari.layers import Layer, Points
from numpy.typing import NDArray

from napari_sparse_gmm.density_model import DensityModel, Groups, provenance
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.parameters import COVERAGE, LONGEST_SIDE, QUANTITY
from napari_sparse_gmm.plugin.drawing import (
    components_keywords,
    drawing,
    ellipsoids_keywords,
    heatmap_keywords,
)
from napari_sparse_gmm.plugin.frame import Frame, Stack
from napari_sparse_gmm.plugin.made_layers import METADATA_KEY, mark
from napari_sparse_gmm.plugin.picturing import drawn
from napari_sparse_gmm.plugin.preferences import preferences
from napari_sparse_gmm.plugin.results import HeatmapChoice, Solution
from napari_sparse_gmm.plugin.work import at_once
from napari_sparse_gmm.shapes.grid import LONGEST_SIDE_3D

LayerData = tuple[Any, dict[str, Any], str]

MODEL_KEY = "napari-sparse-gmm model"

# Of a frame and its stack, what makes the view of a model.
_ARRAYS = ("box", "scale", "translate", "rotate", "shear", "affine")
_OF_STACK = ("slices", "origin", "spacing", "axis", "own")

# Where nobody says where the points were: so many standard deviations around the components.
_REACH = 3.0

# Pixels of the heatmaps of all groups together, about, that a file opens with.
_MOST_PIXELS = 1 << 23


def model_of(
    solution: Solution,
    frame: Frame,
    source: str,
    choice: HeatmapChoice,
    coverage: float,
    counts: Mapping[str, int],
) -> DensityModel:
    """What a fit found, as a value that can be saved. It refers to the arrays, and copies none.

    Parameters
    ----------
    solution : Solution
    frame : Frame
        Of the points.
    source : str
        Name of the Points layer.
    choice : HeatmapChoice
        What of the heatmap is shown.
    coverage : float
        Percentage that an ellipse holds.
    counts : mapping
        Numbers of points that were left out, by why.
    """
    stack = frame.stack
    return DensityModel(
        parts=solution.parts,
        axis_labels=frame.names,
        unit=frame.unit or None,
        box=frame.modelled_box,
        groups=None if stack is None else Groups(stack.name, stack.labels),
        view={
            "quantity": choice.quantity,
            "coverage": coverage,
            "axes": frame.axes,
            "pooled": frame.pooled,
            **{name: getattr(frame, name) for name in _ARRAYS},
            "units": [str(unit) for unit in frame.units],
            "axis_labels": frame.axis_labels,
            "stack": None if stack is None else {name: getattr(stack, name) for name in _OF_STACK},
        },
        provenance=provenance(
            source=source,
            parameters=solution.parameters,
            engine=solution.engine,
            engine_reason=solution.engine_reason,
            deconvolved=solution.deconvolved,
            problem=solution.problem,
            went_on_from_an_earlier_fit=bool(solution.starts),
            left_out=dict(counts),
        ),
    )


def attach_model(layer: Layer, model: DensityModel | None) -> None:
    """Attach a model to its components layer, to be saved and to score points; None removes it."""
    if model is None:
        layer.metadata.pop(MODEL_KEY, None)
    else:
        layer.metadata[MODEL_KEY] = model


def is_components_layer(layer: Layer) -> bool:
    """Whether a layer is one of those that models are attached to."""
    return layer.metadata.get(METADATA_KEY, {}).get("role") == "components"


def attached_model(name: str, metadata: Mapping[str, Any]) -> DensityModel:
    """The model in the metadata of a layer of that name.

    Raises
    ------
    InputError
        Where there is none.
    """
    model = metadata.get(MODEL_KEY)
    if not isinstance(model, DensityModel):
        raise InputError(
            f"Layer {name!r} carries no model: choose a components layer that Sparse GMM density "
            "has made, or that was opened from a model, and wait until its fit has ended."
        )
    return model


def solution_of(model: DensityModel) -> Solution:
    """The fit that a model comes from."""
    made = model.provenance
    return Solution(
        model.parts,
        made.get("engine_reason", ""),
        made.get("parameters", {}),
        made.get("deconvolved", False),
        made.get("problem", ""),
        made.get("engine", ""),
    )


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


def layers_of(model: DensityModel, name: str) -> list[LayerData]:
    """The layers that show a model of points called `name`, the lowest first.

    Heatmap, ellipsoids where it is in 3D, and ellipses, as a fit makes them.
    """
    solution, frame, view = solution_of(model), frame_of(model), model.view or {}
    longest_side = LONGEST_SIDE.default if len(frame.axes) == 2 else LONGEST_SIDE_3D
    fewer = (_MOST_PIXELS / (frame.layout.n_slices * longest_side ** len(frame.axes))) ** (
        1.0 / len(frame.axes)
    )
    choice = HeatmapChoice(
        view.get("quantity", QUANTITY.default),
        max(1, round(longest_side * min(1.0, fewer))),
        None,
        engine="torch",  # which nobody has to wait for
    )
    picture = at_once(drawn(solution, frame.modelled_box, choice, frame.layout))
    shown = drawing(
        solution, frame, float(view.get("coverage", COVERAGE.default)), preferences().most_ellipses
    )
    layers = [("density", heatmap_keywords(name, frame, picture), "image")]
    if shown.surface is not None:
        layers.append(("ellipsoids", ellipsoids_keywords(name, shown.surface), "surface"))
    layers.append(("components", components_keywords(name, frame, shown), "shapes"))
    made, made_from = [], uuid4()
    for role, keywords, kind in layers:
        metadata = mark(made_from, role)
        if role == "components":
            metadata[MODEL_KEY] = model
        made.append((keywords.pop("data"), {**keywords, "metadata": metadata}, kind))
    return made


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
