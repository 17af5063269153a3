"""What was found, out of the window to other programs: which file, and what is written to it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from napari.utils.history import get_save_history, update_save_history
from qtpy.QtWidgets import QFileDialog, QInputDialog, QWidget

from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.units import length_in
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.plugin.layers.model_metadata import attached_model
from napari_sparse_gmm.plugin.layers.owned import METADATA_KEY
from napari_sparse_gmm.plugin.points.features import known_precisions
from napari_sparse_gmm.plugin.points.for_model import points_for
from napari_sparse_gmm.plugin.qt.waiting import Cancelled, waited_for
from napari_sparse_gmm.plugin.space.model_frame import frame_of
from napari_sparse_gmm.plugin.space.transforms import affine_from

if TYPE_CHECKING:
    from napari_sparse_gmm.export.content import Content, Pixels
    from napari_sparse_gmm.export.formats import Format

# nm, where the file of the points does not tell how large a pixel of the camera was.
_CAMERA_PIXEL = 100.0


def ask_and_export(
    viewer: ViewerModel, parent: QWidget, components: Layer, points: Points | None
) -> str:
    """Ask for a file, write the model of a components layer to it, and say what was written.

    Points are written where there is a layer of them. "" where nothing was chosen.
    """
    from napari_sparse_gmm.export.formats import FORMATS

    offered = {
        f"{one.label} (*{one.suffix})": one
        for one in FORMATS.values()
        if points is not None or not one.needs_points
    }
    name = components.name.removesuffix(" components")
    proposed = str(Path(get_save_history()[0]) / name)
    chosen, kind = QFileDialog.getSaveFileName(parent, "Export", proposed, ";;".join(offered))
    if not chosen:
        return ""
    form = offered[kind]
    path = Path(chosen if chosen.lower().endswith(form.suffix) else f"{chosen}{form.suffix}")
    update_save_history(str(path))
    try:
        model = attached_model(components.name, components.metadata)
        camera = _asked_pixel(parent, points) if form.name == "picasso" else None
        make = contents(viewer, model, form, points, camera)
        told = waited_for(lambda: written(path, form, make), f"Exporting {path.name}")
    except Cancelled:
        return ""
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{path} cannot be written ({error.strerror}): choose another."
    return f"Exported to {path}: {told}."


def written(path: Path, form: "Format", make: Callable[[], "Content"]) -> str:
    """Write one format, and say what it is, and what was left out."""
    from napari_sparse_gmm.export.formats import write

    content = make()
    told = write(path, form, content)
    notes = () if content.points is None else content.points.notes
    return ". ".join([told, *(note.removesuffix(".") for note in notes)])


def contents(
    viewer: ViewerModel | None,
    model: DensityModel,
    form: "Format",
    points: Points | None = None,
    camera: float | None = None,
) -> Callable[[], "Content"]:
    """What makes the content of a file, in a thread: what is read of layers is read now.

    Parameters
    ----------
    viewer : ViewerModel, optional
        Whose image outlines are to lie on.
    model : DensityModel
    form : Format
    points : Points, optional
    camera : float, optional
        nm that a pixel of the camera is wide.

    Raises
    ------
    InputError
        Where the points are none that the model is of.
    """
    from napari_sparse_gmm.export.content import Content, Pixels
    from napari_sparse_gmm.export.scored import score

    image = None if viewer is None else image_pixels(viewer, model)
    if camera is not None:
        image = Pixels.square(camera * (length_in("nm", model.unit) or 1.0))
    wanted = form.needs_points or form.name == "spatialdata"
    if points is None or not wanted:
        return lambda: Content(model, image=image)
    precision, _ = known_precisions(points, (points.ndim - 1,))
    in_units = viewer is not None and viewer.layers.extent.units is not None
    read = points_for(model, points, precision, in_units)
    features = points.features[read.shown].copy()

    def content() -> Content:
        return Content(model, score(model, read.observations, features, read.groups), image=image)

    return content


def image_pixels(viewer: ViewerModel, model: DensityModel) -> "Pixels | None":
    """Those of the topmost visible image that the plugin has not made; None where there is none."""
    from napari_sparse_gmm.export.content import Pixels

    images = [
        layer
        for layer in viewer.layers
        if isinstance(layer, Image) and layer.visible and METADATA_KEY not in layer.metadata
    ]
    if not images:
        return None
    layer, frame = images[-1], frame_of(model)
    if layer.ndim < 2 or len(frame.axes) < 2:
        return None
    first = int(frame.stack is not None and frame.stack.own)

    def coordinates(world: FloatArray) -> FloatArray:
        return frame.coordinates(np.concatenate([np.zeros(first), world]))

    in_units = viewer.layers.extent.units is not None
    matrix, offset = affine_from(layer, frame.units[first:], coordinates, in_units)
    rows = list(frame.axes[-2:])
    # The centre of the first pixel is at 0 in napari.
    inverse = np.asarray(np.linalg.inv(matrix[rows][:, -2:]), dtype=np.float64)
    return Pixels(inverse, np.asarray(0.5 - inverse @ offset[rows]), f"the image {layer.name!r}")


def _asked_pixel(parent: QWidget, points: Points | None) -> float:
    """How wide a pixel of the camera is, in nm."""
    told = {} if points is None else points.metadata
    known = told.get("pixel size [nm]", _CAMERA_PIXEL)
    size, given = QInputDialog.getDouble(
        parent, "Picasso", "Pixel of the camera in nm", float(known), 1e-3, 1e6, 3
    )
    if not given:
        raise Cancelled
    return size
