"""Models as files, for napari: dropped on the window or opened, and saved with the layers.

The writer takes the "… components" layer, alone or with the density and the ellipsoids, which are
drawn anew from the model when its file is opened.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari import current_viewer

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.models import is_model, load_model, save_model
from napari_sparse_gmm.plugin.layers.following import follow
from napari_sparse_gmm.plugin.layers.model_metadata import (
    MODEL_KEY,
    LayerData,
    attached_model,
    layers_of,
)
from napari_sparse_gmm.plugin.layers.owned import METADATA_KEY
from napari_sparse_gmm.plugin.qt.waiting import NOTHING, Cancelled, waited_for
from napari_sparse_gmm.plugin.views.export import contents, written

SUFFIX = ".gmm.json"

Paths = str | Sequence[str]


class NotSaved(Exception):
    """Why layers are not saved.

    Not an InputError: napari takes one for the sign that there is no plugin to save them.
    """


@contextmanager
def saving(path: str) -> Iterator[None]:
    """What goes wrong while something is saved, as a NotSaved."""
    try:
        yield
    except InputError as error:
        raise NotSaved(str(error)) from None
    except OSError as error:
        raise NotSaved(f"{path} cannot be written ({error.strerror}): choose another.") from error


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """What reads a model; None where a file is none.

    For one that is called a model there is a reader, too: it says what is wrong. Of None napari
    would only say that the file was refused.
    """
    return read if all(_is_called_model(one) or is_model(one) for one in _each(path)) else None


def read(path: Paths) -> list[LayerData]:
    """The layers that show a model: heatmap, ellipsoids in 3D, and ellipses."""
    paths = _each(path)

    def layers() -> list[LayerData]:
        return [layer for one in paths for layer in layers_of(load_model(one), _name(one))]

    viewer = current_viewer()
    if viewer is not None:
        follow(viewer)
    try:
        return waited_for(layers, f"Opening {', '.join(map(_name, paths))}")
    except Cancelled:
        return NOTHING


def write(path: str, layers: list[LayerData]) -> list[str]:
    """Write the model attached to one of the layers; the others show the same."""
    all_data = [data for _, data, _ in layers]
    shapes = [data for data in all_data if MODEL_KEY in data["metadata"]]
    chosen = (shapes or all_data)[0]
    for data in all_data:
        if shapes and data is not chosen and not _shows_model_of(data, chosen):
            raise NotSaved(
                f"Layer {data['name']!r} does not belong to the model of layer "
                f"{chosen['name']!r}: select the layers of one model, or its components layer "
                "alone."
            )
    if not _is_called_model(path):  # or napari would not open it again
        path = f"{path.removesuffix('.json')}{SUFFIX}"
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise NotSaved(f"There is no folder {str(folder)!r}: create it, or choose another.")
    with saving(path):
        save_model(path, attached_model(chosen["name"], chosen["metadata"]))
    return [path]


def write_outlines(path: str, data: Any, keywords: dict[str, Any]) -> list[str]:
    """Write the outlines of the components of a layer: GeoJSON, or a zip file of ROIs."""
    from napari_sparse_gmm.export.formats import FORMATS

    form = next(one for one in FORMATS.values() if path.lower().endswith(one.suffix))
    with saving(path):
        model = attached_model(keywords["name"], keywords["metadata"])
        written(Path(path), form, contents(current_viewer(), model, form))
    return [path]


def _shows_model_of(data: dict[str, Any], with_model: dict[str, Any]) -> bool:
    """Whether a layer was made from the same points as the one with the model."""
    made, same = (one["metadata"].get(METADATA_KEY, {}) for one in (data, with_model))
    return (
        MODEL_KEY not in data["metadata"]
        and "made_from" in made
        and made["made_from"] == same.get("made_from")
    )


def _is_called_model(path: str) -> bool:
    return path.lower().endswith(SUFFIX)


def _each(path: Paths) -> Sequence[str]:
    return [path] if isinstance(path, str) else path


def _name(path: str) -> str:
    """What the layers are called after; napari proposes the name of a layer for its file."""
    name = Path(path).name
    for ending in (".json", ".gmm", " components"):
        name = name.removesuffix(ending)
    return name
