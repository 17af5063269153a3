"""The formats that there are, by name: what the command line and napari offer.

>>> [name for name, one in FORMATS.items() if one.needs_points]
['csv', 'parquet', 'picasso', 'thunderstorm']
>>> FORMATS["labels"].file
'labels.tif'
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparse_gmm.errors import InputError

if TYPE_CHECKING:
    from napari_sparse_gmm.export.content import Content

# What stands before the name of the function that writes.
_PACKAGE = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class Format:
    """One format.

    Parameters
    ----------
    name : str
        What the command line calls it.
    label : str
        What a dialog calls it.
    file : str
        How its file, or its folder, is called where nobody says.
    suffix : str
        What that ends with.
    writer : str
        Module of this package and function that writes it, "points:write_csv": from a path and a
        `Content`; it returns what was written, as part of a sentence.
    needs_points : bool
        Whether it is of points, which have to be given.
    is_folder : bool
    """

    name: str
    label: str
    file: str
    suffix: str
    writer: str
    needs_points: bool = False
    is_folder: bool = False

    @property
    def write(self) -> "Callable[[Path, Content], str]":
        """The function; its module is imported now, and what that needs."""
        module, _, function = self.writer.partition(":")
        found: Callable[[Path, Content], str] = getattr(
            import_module(f"{_PACKAGE}.{module}"), function
        )
        return found

    def files(self, path: Path) -> tuple[Path, ...]:
        """All that is written for this path."""
        return (path, path.with_suffix(".yaml")) if self.name == "picasso" else (path,)


FORMATS = {
    one.name: one
    for one in (
        Format("csv", "Points as CSV", "points.csv", ".csv", "points:write_csv", needs_points=True),
        Format(
            "parquet",
            "Points as Parquet",
            "points.parquet",
            ".parquet",
            "points:write_parquet",
            needs_points=True,
        ),
        Format(
            "picasso",
            "Points for Picasso",
            "points.hdf5",
            ".hdf5",
            "points:write_picasso",
            needs_points=True,
        ),
        Format(
            "thunderstorm",
            "Points for ThunderSTORM",
            "points_thunderstorm.csv",
            ".csv",
            "points:write_thunderstorm",
            needs_points=True,
        ),
        Format(
            "components", "Table of components", "components.csv", ".csv", "table:write_table_of"
        ),
        Format(
            "geojson",
            "Outlines for QuPath",
            "outlines.geojson",
            ".geojson",
            "outlines:write_geojson",
        ),
        Format("roi", "Outlines for ImageJ", "outlines.zip", ".zip", "outlines:write_rois"),
        Format("labels", "Labels as TIFF", "labels.tif", ".tif", "images:write_labels_tiff"),
        Format("density", "Density as TIFF", "density.tif", ".tif", "images:write_density"),
        Format(
            "ome-zarr",
            "Density and labels as OME-Zarr",
            "density.ome.zarr",
            ".ome.zarr",
            "images:write_ome_zarr",
            is_folder=True,
        ),
        Format(
            "spatialdata",
            "SpatialData",
            "spatialdata.zarr",
            ".zarr",
            "spatial:write_spatialdata",
            is_folder=True,
        ),
        Format("methods", "Paragraph of methods", "methods.md", ".md", "methods:write_methods"),
    )
}


def write(path: Path, form: Format, content: "Content") -> str:
    """Write one format; returns what it is and in which unit, as a sentence without its end.

    The file, or the folder, is whole or as it was.

    Raises
    ------
    InputError, OSError
        Where the model or the points are none that it can hold, or a library is missing.
    """
    if form.needs_points:
        content.needs_points()
    return form.write(path, content)


def paths(out: Path, forms: Sequence[Format]) -> list[Path]:
    """Where each format is written: to `out` itself where that is a file of the only one, or else
    to the folder `out` under the name that the format gives.

    Raises
    ------
    InputError
        Where two of them would be one file.
    """
    if len(forms) == 1 and out.name.lower().endswith(forms[0].suffix):
        return [out]
    if out.is_file():
        raise InputError(
            f"{out} is a file, and no {forms[0].suffix} file: name one, or a folder."
            if len(forms) == 1
            else f"{out} is a file, and several formats are written to a folder: name one."
        )
    return [out / one.file for one in forms]
