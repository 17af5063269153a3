"""A model as SpatialData, for scverse: shapes, their numbers, labels, density and points::

    write_spatialdata(Path("model.zarr"), Content(model))
    spatialdata.read_zarr("model.zarr").shapes["components"]

https://spatialdata.scverse.org/en/stable/design_doc.html
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_sparse_gmm.export.content import Content, Pixels, optional
from napari_sparse_gmm.export.images import ZARR, label_image
from napari_sparse_gmm.export.outlines import outlines
from napari_sparse_gmm.export.points import point_frame
from napari_sparse_gmm.io.names import split
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.wording import volume_unit
from napari_sparse_gmm.writing import whole_folder

# The element that the numbers of the table are of, and the columns of it that say so.
_SHAPES, _REGION, _INSTANCE = "components", "region", "instance_id"


def write_spatialdata(path: Path, content: Content) -> str:
    """Write a SpatialData store.

    All elements are in the coordinate system "global", in the unit of the model, which stands in
    the attributes of the whole. Shapes ``components`` are the outlines, and ``table`` has a row of
    numbers for each, with their units in ``var``. Images ``density`` and labels ``labels`` are
    there where all points have one mixture, and ``points`` where points are given.
    """
    spatialdata = optional("spatialdata", "SpatialData", "spatialdata")
    models = optional("spatialdata.models", "SpatialData", "spatialdata")
    elements: dict[str, Any] = {_SHAPES: _shapes(content, models)}
    elements["table"] = _table(content, models)
    if content.model.groups is None:
        elements |= _images(content, models)
    if content.points is not None:
        elements["points"] = _points(content, models)
    unit = content.unit
    attributes = {
        "unit": unit,
        "density_unit": f"points per {volume_unit(unit, len(content.model.axis_labels))}",
        "generated_by": f"napari-sparse-gmm {version('napari-sparse-gmm')}",
    }
    whole = spatialdata.SpatialData.init_from_elements(elements, attrs=attributes)
    with whole_folder(path, ZARR) as folder:
        whole.write(folder, overwrite=True)
    return f"{', '.join(sorted(elements))}, in {unit or 'the unit of the model'}"


def _shapes(content: Content, models: Any) -> Any:
    from geopandas import GeoDataFrame
    from shapely import polygons

    content.needs_plane()
    # Of pixels of the unit, from 0: coordinates as they are.
    as_they_are = Content(content.model, image=Pixels.square(1.0), coverage=content.coverage)
    found = outlines(as_they_are)
    return models.ShapesModel.parse(
        GeoDataFrame(
            {"name": [outline.name for outline in found]},
            geometry=list(polygons([outline.corners for outline in found])),
            index=np.arange(len(found)),
        )
    )


def _table(content: Content, models: Any) -> Any:
    from anndata import AnnData

    table = content.table
    numbers = table.select_dtypes("number")
    named = [split(str(name)) for name in numbers]
    observed = pd.DataFrame(
        {
            _REGION: pd.Categorical([_SHAPES] * len(table)),
            _INSTANCE: np.arange(len(table)),
            "name": [outline.name for outline in outlines(content)],
        },
        index=[str(row) for row in range(len(table))],
    )
    variables = pd.DataFrame(
        {"unit": [unit or "" for _, unit in named]}, index=[name for name, _ in named]
    )
    data = AnnData(numbers.to_numpy(dtype=np.float64), obs=observed, var=variables)
    return models.TableModel.parse(data, region=_SHAPES, region_key=_REGION, instance_key=_INSTANCE)


def _images(content: Content, models: Any) -> dict[str, Any]:
    from spatialdata.transformations import Scale, Sequence, Translation

    grid = content.grid
    axes = tuple("zyx"[-grid.n_dimensions :])
    # The outer corner of the first pixel is at 0 there.
    corner: FloatArray = grid.edges[0]
    placed = {"global": Sequence([Scale(grid.spacing, axes), Translation(corner, axes)])}
    image, labels = (
        (models.Image2DModel, models.Labels2DModel)
        if grid.n_dimensions == 2
        else (models.Image3DModel, models.Labels3DModel)
    )
    return {
        "density": image.parse(
            content.density[None],
            dims=("c", *axes),
            c_coords=["density"],
            transformations=placed,
        ),
        "labels": labels.parse(label_image(content), dims=axes, transformations=placed),
    }


def _points(content: Content, models: Any) -> Any:
    frame = point_frame(content)
    d = len(content.model.axis_labels)
    names = dict(zip(list(frame)[:d], "xyz", strict=False))
    # A column of the table that is called as an axis would be taken for it.
    frame = frame.drop(columns=[name for name in frame if name in "xyz" and name not in names])
    frame = frame.rename(columns=names)
    for name, column in frame.items():
        if column.dtype == object:
            frame[name] = column.map(str)
    return models.PointsModel.parse(frame, coordinates={axis: axis for axis in "xyz"[:d]})
