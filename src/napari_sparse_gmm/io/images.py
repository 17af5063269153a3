"""A heatmap, or labels, as a picture file: OME-TIFF with its pixel size.

>>> write_density_tiff("density.tif", image, grid, unit="nm")
"""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.units import unit_named
from napari_sparse_gmm.shapes.grid import Grid
from napari_sparse_gmm.writing import whole_file

# Units of length that OME has a name for, and how many of them make a centimetre, the unit
# that TIFF knows. A unit of plain numbers is OME's "reference frame".
_OME_UNITS: dict[str | None, tuple[str, float | None]] = {
    "picometer": ("pm", 1e10),
    "angstrom": ("Å", 1e8),
    "nanometer": ("nm", 1e7),
    "micrometer": ("µm", 1e4),
    "millimeter": ("mm", 10.0),
    "centimeter": ("cm", 1.0),
    "meter": ("m", 1e-2),
    "pixel": ("pixel", None),
}

# The resolution tags are ratios of 32-bit numbers; outside this they lose digits or overflow.
_RESOLUTION_RANGE = (1e-6, 4e9)


def write_density_tiff(
    path: str | Path, image: NDArray[np.float32], grid: Grid, unit: str | None = None
) -> None:
    """Write an image of two or three axes, ([z,] y, x), as float32 OME-TIFF."""
    write_image_tiff(path, np.asarray(image, dtype=np.float32), grid, unit, "density")


def write_image_tiff(
    path: str | Path, image: NDArray[Any], grid: Grid, unit: str | None, name: str
) -> None:
    """Write an image of two or three axes, ([z,] y, x), as OME-TIFF of its own kind of numbers.

    The OME metadata hold the size of a pixel with its unit, and as the position of each plane
    the centre of its first pixel, so that the image can be laid under the points again. The
    resolution tags, which other programs read, hold the pixel size in x and y.
    """
    if image.ndim not in (2, 3) or image.shape != grid.shape:
        raise InputError(
            f"A TIFF needs an image of two or three axes on its own grid, not one of shape "
            f"{image.shape} on a grid of shape {grid.shape}."
        )
    axes = "ZYX"[-image.ndim :]
    ome_unit, per_centimetre = _OME_UNITS.get(unit_named(unit), ("reference frame", None))
    n_planes = image.shape[0] if image.ndim == 3 else 1
    metadata: dict[str, Any] = {"axes": axes, "Name": name}
    plane: dict[str, Any] = {}
    for axis, size, first in zip(axes, grid.spacing, grid.origin, strict=True):
        metadata[f"PhysicalSize{axis}"] = float(size)
        metadata[f"PhysicalSize{axis}Unit"] = ome_unit
        positions = first + size * np.arange(n_planes) if axis == "Z" else np.full(n_planes, first)
        plane[f"Position{axis}"] = positions.tolist()
        plane[f"Position{axis}Unit"] = [ome_unit] * n_planes
    metadata["Plane"] = plane

    pixel_y, pixel_x = grid.spacing[-2:] / (per_centimetre or 1.0)
    resolution = (1.0 / pixel_x, 1.0 / pixel_y)
    low, high = _RESOLUTION_RANGE
    representable = all(low <= value <= high for value in resolution)
    with whole_file(path) as whole_path:
        tifffile.imwrite(
            whole_path,
            image,
            ome=True,
            photometric="minisblack",
            resolution=resolution if representable else None,
            resolutionunit="CENTIMETER" if representable and per_centimetre else "NONE",
            metadata=metadata,
        )
