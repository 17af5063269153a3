"""Regions from files: cells as somebody has outlined them, in napari or elsewhere.

>>> {name: cell.volume for name, cell in read_regions("cell.csv").items()}
{'0': 6.0}
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.files import damage, readable_file
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.regions import Mask, Polygon, Region

# The columns of napari's file; those of the coordinates come behind.
_COLUMNS = ("index", "shape-type", "vertex-index")

# Shapes with an inside; and the corners of the polygon that stands for an ellipse: its area is
# right to 2e-4.
_AREAS = ("ellipse", "polygon", "rectangle")
_CORNERS = 180
_OF_ELLIPSE = 4

# A region may have fewer corners.
_MOST_BYTES, _MOST_ROWS = 2**26, 200_000

# An image of labels may have more bytes than a file of outlines, and so many pixels.
_MOST_PIXELS = 2**28


def read_regions(path: str | Path, pixel_size: float | None = None) -> dict[str, Region]:
    """The regions of a file, by their names, along the last two axes of the points.

    Either what the shapes of a Shapes layer enclose that napari has saved as CSV, by their number;
    or the polygons of a GeoJSON file, as QuPath writes them, by their names; or the labels of a
    TIFF image, by their values, with the centre of the first pixel at 0, as in napari.

    Parameters
    ----------
    path : path
    pixel_size : float, optional
        What a pixel measures in the units of the points, where coordinates are in pixels; those of
        an image are.

    Raises
    ------
    InputError
        Where the file is missing, is something else, or encloses nothing; where an image comes
        without a pixel size.
    """
    path = readable_file(path, 8 * _MOST_PIXELS)
    if pixel_size is not None and not 0 < pixel_size < np.inf:
        raise InputError(f"The pixel size of a region must be above 0, not {pixel_size:g}.")
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        return _labels_of_tiff(path, pixel_size)
    readable_file(path, _MOST_BYTES)
    outlines = _of_geojson(path) if suffix in (".geojson", ".json") else _of_napari(path)
    size = 1.0 if pixel_size is None else pixel_size
    found: dict[str, Region] = {
        name: Polygon(*(size * ring for ring in rings)) for name, rings in outlines.items()
    }
    if not found:
        raise InputError(f"{path.name} has no polygon, rectangle or ellipse.")
    return found


def labelled_regions(
    labels: NDArray[Any], spacing: Any = 1.0, origin: Any = 0.0, together: tuple[int, ...] = ()
) -> dict[str, Region]:
    """What each label of an image covers, by its value; 0 is none.

    Parameters
    ----------
    labels : array of int
    spacing, origin
        As `Mask` takes them.
    together : tuple of int
        Axes along which pixels are taken together, that is of which regions know nothing.
    """
    from scipy.ndimage import find_objects

    steps, d = np.asarray(spacing, dtype=float), labels.ndim - len(together)
    if steps.ndim < 2:
        steps = np.diag(np.broadcast_to(steps, d))
    # Numbered from 1 on: a list of few labels of large values would be long.
    values = np.unique(labels[labels > 0])
    numbered = np.where(labels > 0, np.searchsorted(values, labels) + 1, 0)
    found: dict[str, Region] = {}
    for n, (value, box) in enumerate(zip(values, find_objects(numbered), strict=True), start=1):
        first = [side.start for axis, side in enumerate(box) if axis not in together]
        corner = np.broadcast_to(origin, d) + steps @ np.array(first)
        found[str(value)] = Mask((numbered[box] == n).any(axis=together), spacing, corner)
    return found


def unique_names(names: Sequence[str]) -> list[str]:
    """The same names, where several are equal with a number behind."""
    found: dict[str, None] = {}
    for name in names:
        number, unique = 1, name
        while unique in found:
            number += 1
            unique = f"{name} {number}"
        found[unique] = None
    return list(found)


def _of_napari(path: Path) -> dict[str, list[FloatArray]]:
    import pandas as pd  # the dock widget, which needs `enclosed`, is to open at once

    try:
        with path.open(encoding="utf-8-sig") as file:  # never unpacked, whatever its name
            table = pd.read_csv(file, nrows=_MOST_ROWS)
        axes = [name for name in table if str(name).startswith("axis-")][-2:]
        corners = table[axes].to_numpy(dtype=np.float64)
        kinds = table["shape-type"].astype(str).to_numpy()
        shapes = [
            (str(index), corners[rows.index], kinds[rows.index[0]])
            for index, rows in table.groupby("index", sort=False)
        ]
        if any(kind == "ellipse" and len(ring) != _OF_ELLIPSE for _, ring, kind in shapes):
            raise IndexError
    except (KeyError, IndexError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path.name} is no Shapes layer that napari has saved: it needs the columns "
            f"{', '.join(_COLUMNS)}, axis-0 and axis-1, and four corners around an ellipse."
        ) from error
    return {name: rings for name, ring, kind in shapes if (rings := enclosed([ring], [kind]))}


def _of_geojson(path: Path) -> dict[str, list[FloatArray]]:
    with damage(path.name, "a GeoJSON"):
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        found = [
            (name, [ring for polygon in polygons for ring in _ring(polygon)])
            for name, polygons in _features(content)
        ]
    names = unique_names([name or str(n) for n, (name, _) in enumerate(found, start=1)])
    return {name: rings for name, (_, rings) in zip(names, found, strict=True) if rings}


def _features(content: Any) -> Iterator[tuple[str, list[Any]]]:
    """The name of each feature of GeoJSON, "" where it has none, and its polygons."""
    from shapely import Polygon as Ring
    from shapely.geometry import shape

    features = content if isinstance(content, list) else content.get("features", [content])
    for feature in features:
        properties = feature.get("properties") or {}
        kind = properties.get("classification") or {}
        name = properties.get("name") or (kind.get("name") if isinstance(kind, Mapping) else "")
        found = shape(feature.get("geometry", feature))
        parts = getattr(found, "geoms", [found])
        yield str(name or ""), [part for part in parts if isinstance(part, Ring)]


def _ring(polygon: Any) -> Iterator[FloatArray]:
    """The outline of a polygon (V, 2), y first.

    Holes are part of it: it goes to each and back on the same line, which encloses nothing.
    """
    from shapely import LineString, Point, shortest_line

    ring = np.asarray(polygon.exterior.coords)[:-1, :2]
    for hole in polygon.interiors:
        inner = np.asarray(hole.coords)[:-1, :2]
        bridge = shortest_line(LineString([*ring, ring[0]]), LineString([*inner, inner[0]]))
        (a, b), outline = np.asarray(bridge.coords), LineString([*ring, ring[0]])
        at, around = outline.project(Point(a)), LineString([*inner, inner[0]]).project(Point(b))
        # The corners of each from where the bridge is.
        sides = np.cumsum(np.linalg.norm(np.diff([*ring, ring[0]], axis=0), axis=1))
        turns = np.cumsum(np.linalg.norm(np.diff([*inner, inner[0]], axis=0), axis=1))
        i, j = int(np.searchsorted(sides, at)) + 1, int(np.searchsorted(turns, around)) + 1
        there = np.concatenate([[b], np.roll(inner, -j, axis=0), [b]])
        ring = np.concatenate([ring[:i], [a], there, [a], ring[i:]])
    yield ring[:, ::-1]


def _labels_of_tiff(path: Path, pixel_size: float | None) -> dict[str, Region]:
    import tifffile

    if pixel_size is None:
        raise InputError(
            f"{path.name} is an image: its pixel size has to be known, in the units of the points."
        )
    with damage(path.name, "a TIFF"), tifffile.TiffFile(path) as file:
        series = file.series[0]
        if len(series.shape) != 2 or np.prod(series.shape) > _MOST_PIXELS:
            raise InputError(
                f"{path.name} has the shape {series.shape}, and labels should have two axes and "
                f"at most {_MOST_PIXELS:,} pixels."
            )
        labels = np.asarray(series.asarray())
    if labels.dtype.kind not in "biu":
        raise InputError(f"{path.name} has no whole numbers, as labels should be.")
    found = labelled_regions(labels, pixel_size)
    if not found:
        raise InputError(f"{path.name} has no label above 0.")
    return found


def enclosed(shapes: Sequence[FloatArray], kinds: Sequence[str]) -> list[FloatArray]:
    """The outlines (V, n) of those shapes that have an inside, by napari's names of their kinds.

    An ellipse has the corners (4, n) of the rectangle around it.
    """
    return [
        _around(corners) if kind == "ellipse" else corners
        for corners, kind in zip(shapes, kinds, strict=True)
        if has_inside(kind)
    ]


def has_inside(kind: str) -> bool:
    """Whether shapes of this kind of napari's enclose something: no line and no path does."""
    return kind in _AREAS


def _around(corners: FloatArray) -> FloatArray:
    """Points on the ellipse in a rectangle (4, n)."""
    centre, first, second = corners.mean(0), corners[1] - corners[0], corners[3] - corners[0]
    turn = np.linspace(0.0, 2.0 * np.pi, _CORNERS, endpoint=False)[:, None]
    return np.asarray(centre + 0.5 * (np.cos(turn) * first + np.sin(turn) * second))
