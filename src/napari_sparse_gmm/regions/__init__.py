"""Where points can lie at all: the region that a background fills.

>>> cell = Polygon([[0.0, 0.0], [0.0, 4.0], [3.0, 0.0]])  # a triangle
>>> cell.volume, cell.contains([[1.0, 1.0], [3.0, 4.0]])
(6.0, array([ True, False]))

A `Box` by its corners, a `Polygon` (several are joined), the convex `Hull` of points, a `Mask` of
pixels, and a `Prism` over any of them, for a third axis. They are filled evenly, but for an
`Intensity`, which is as dense as an image. Regions are values; their border belongs to them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_sparse_gmm.arrays import float_array
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.regions.box import Box
from napari_sparse_gmm.regions.hull import Hull
from napari_sparse_gmm.regions.intensity import Intensity
from napari_sparse_gmm.regions.mask import Mask
from napari_sparse_gmm.regions.polygon import Polygon
from napari_sparse_gmm.regions.prism import Prism, over, over_each
from napari_sparse_gmm.regions.region import Region, inside_each, region_from_dict, region_labels

__all__ = [
    "Box",
    "Hull",
    "Intensity",
    "Mask",
    "Polygon",
    "Prism",
    "Region",
    "as_background",
    "inside_each",
    "over",
    "over_each",
    "region_from_dict",
    "region_labels",
    "union",
]


def union(regions: Sequence[Region]) -> Region:
    """What lies in any of several regions: all of them polygons, or masks of one lattice."""
    polygons = [region for region in regions if isinstance(region, Polygon)]
    masks = [region for region in regions if isinstance(region, Mask)]
    if len(polygons) == len(regions):
        return Polygon.joining(polygons)
    assert len(masks) == len(regions), "no file and no layer has both"
    return Mask.joining(masks)


def as_background(value: Any) -> bool | Region:
    """Whether there is a background, or where; corners (2, D) as a box.

    An InputError that names `background` where it says neither.
    """
    if isinstance(value, Region):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, np.ndarray | list | tuple):
        return Box(float_array(value, "background"))
    raise InputError(
        "background must be True, False or a region (Box, Hull, Polygon, Mask, Prism, Intensity), "
        f"not {value!r}."
    )
