"""Models as files, for napari: dropped on the window or opened, and saved with the layers.

The writer takes the "… components" layer, alone or with the density and the ellipsoids, which are
drawn anew from the model when its file is opened.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from napari_sparse_gmm.io.models import is_model, load_model, save_model
from napari_sparse_gmm.plugin.made_layers import METADATA_KEY
from napari_sparse_gmm.plugin.models import MODEL_KEY, LayerData, carried, layers_of

SUFFIX = ".gmm.json"

Paths = str | Sequence[str]


class NotSaved(Exception):
    """Layers that are no model.

    Not a ValueError: napari takes one for the sign that there is no plugin to save them.
    """


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """What reads a model; None where a file is none."""
    return read if all(map(is_model, _each(path))) else None


def read(path: Paths) -> list[LayerData]:
    """The layers that show a model: heatmap, ellipsoids in 3D, and ellipses."""
    return [layer for one in _each(path) for layer in layers_of(load_model(one), _name(one))]


def write(path: str, layers: list[LayerData]) -> list[str]:
    """Write the model that one of the layers carries; the others show the same."""
    others = [data["name"] for _, data, _ in layers if METADATA_KEY not in data["metadata"]]
    shapes = [data for _, data, _ in layers if MODEL_KEY in data["metadata"]]
    if len(shapes) > 1 or (shapes and others):
        names = [data["name"] for data in shapes[1:]] + others
        raise NotSaved(
            f"Layer {names[0]!r} does not belong to the model of layer {shapes[0]['name']!r}: "
            "select the layers of one model, or its components layer alone."
        )
    chosen = shapes[0] if shapes else layers[0][1]
    try:
        model = carried(chosen["name"], chosen["metadata"])
    except ValueError as error:
        raise NotSaved(str(error)) from None
    path = path if path.lower().endswith(".json") else f"{path}{SUFFIX}"
    save_model(path, model)
    return [path]


def _each(path: Paths) -> Sequence[str]:
    return [path] if isinstance(path, str) else path


def _name(path: str) -> str:
    """What the layers are called after; napari proposes the name of a layer for its file."""
    name = Path(path).name
    for ending in (".json", ".gmm", " components"):
        name = name.removesuffix(ending)
    return name
