"""Models of layers: attached to one, to be saved with it; and the layers that show a model.

There and back::

    attach_model(layer, as_shown(model, choice, coverage=95.0))  # the components layer
    for data, keywords, kind in layers_of(model, "L"): ...
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from napari.layers import Layer

from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.parameters import COVERAGE, LONGEST_SIDE, QUANTITY
from napari_sparse_gmm.plugin.layers.components import components_keywords, drawing
from napari_sparse_gmm.plugin.layers.ellipsoids import ellipsoids_keywords
from napari_sparse_gmm.plugin.layers.heatmap import heatmap_keywords
from napari_sparse_gmm.plugin.layers.owned import METADATA_KEY, mark
from napari_sparse_gmm.plugin.preferences import preferences
from napari_sparse_gmm.plugin.space.model_frame import frame_of
from napari_sparse_gmm.plugin.tasks.render import drawn
from napari_sparse_gmm.plugin.tasks.task import at_once
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice
from napari_sparse_gmm.shapes.grid import LONGEST_SIDE_3D

LayerData = tuple[Any, dict[str, Any], str]

MODEL_KEY = "napari-sparse-gmm model"


# Pixels of the heatmaps of all groups together, about, that a file opens with.
_MOST_PIXELS = 1 << 23


def as_shown(model: DensityModel, choice: HeatmapChoice, coverage: float) -> DensityModel:
    """A model that says what layers show of it: which heatmap, and ellipses of what coverage."""
    shown = {"quantity": choice.quantity, "coverage": coverage}
    return replace(model, view={**shown, **(model.view or {})})


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


def layers_of(model: DensityModel, name: str) -> list[LayerData]:
    """The layers that show a model of points called `name`, the lowest first.

    Heatmap, ellipsoids where it is in 3D, and ellipses, as a fit makes them.
    """
    frame, view = frame_of(model), model.view or {}
    quantity = view.get("quantity", QUANTITY.default)
    coverage = view.get("coverage", COVERAGE.default)
    COVERAGE.check(coverage)
    if quantity not in (QUANTITY.choices or ()) or coverage >= 100:
        raise InputError("The model is damaged where it says what of it is shown.")
    longest_side = LONGEST_SIDE.default if len(frame.axes) == 2 else LONGEST_SIDE_3D
    fewer = (_MOST_PIXELS / (frame.layout.n_slices * longest_side ** len(frame.axes))) ** (
        1.0 / len(frame.axes)
    )
    choice = HeatmapChoice(
        quantity,
        max(1, round(longest_side * min(1.0, fewer))),
        None,
        engine="torch",  # which nobody has to wait for
    )
    picture = at_once(drawn(model, frame.modelled_box, choice, frame.layout))
    shown = drawing(model, frame, float(coverage), preferences().most_ellipses)
    layers = [("density", heatmap_keywords(name, frame, picture), "image")]
    if shown.surface is not None:
        layers.append(("ellipsoids", ellipsoids_keywords(name, shown.surface), "surface"))
    layers.append(("components", components_keywords(name, frame, shown), "shapes"))
    made, made_from = [], uuid4()
    for role, keywords, kind in layers:
        metadata = keywords.get("metadata", {}) | mark(made_from, role)
        if role == "components":
            metadata[MODEL_KEY] = model
        made.append((keywords.pop("data"), {**keywords, "metadata": metadata}, kind))
    return made
