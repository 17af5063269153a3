"""Components as outlines in pixels: GeoJSON for QuPath, and a zip file of ROIs for ImageJ.

>>> from napari_sparse_gmm.export.content import Content
>>> found = outlines(Content(model, pixel_size=10.0))
>>> found[0].name, found[0].corners.shape
('component 0', (100, 2))
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparse_gmm.export.content import Content, optional
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.wording import count, figures
from napari_sparse_gmm.writing import whole_file

# Of a polygon in an ellipse: its area is too small by 0.07%.
_CORNERS = 100

# RGB of the outlines in QuPath, those of napari's "lime", and those of further kinds of clusters.
_COLOURS = ((0, 255, 0), (255, 170, 0), (0, 190, 255), (255, 90, 255))

# More digits of a pixel nobody sees.
_DIGITS = 4


@dataclass(frozen=True, eq=False)
class Outline:
    """A component.

    Parameters
    ----------
    name : str
    kind : int
        Of clusters; 0 where the model tells none.
    corners : (n, 2) array
        x and y in pixels; the last one is not the first again.
    numbers : dict
        What the table of components says of it, with units in the names; a number that is not
        known is missing.
    """

    name: str
    kind: int
    corners: FloatArray
    numbers: dict[str, Any]


def outlines(content: Content) -> list[Outline]:
    """The ellipse of each component of each group; in 3D the outline of its ellipsoid seen along
    z.

    A Gaussian seen along an axis is the one of the other coordinates, and the ellipsoid at a
    Mahalanobis distance r casts as its shadow the ellipse at that distance.

    Raises
    ------
    InputError
        Where the model is not in 2D or 3D.
    """
    content.needs_plane()
    turn = 2.0 * np.pi * np.arange(_CORNERS) / _CORNERS
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)  # (n, 2)
    corners = []
    for part in content.model.fitted:
        flat = GaussianMixture.unchecked(
            part.mixture.weights,
            part.mixture.means[:, -2:],
            part.mixture.covariances[:, -2:, -2:],
        )
        std, directions = flat.principal_axes
        ellipse = content.radius * np.einsum("ni,ki,kdi->knd", circle, std, directions)
        corners.append(content.pixels.of(flat.means[:, None] + ellipse))  # (K, n, 2)
    table, groups = content.table, content.model.groups
    group = None if groups is None else table.columns[0]
    found = []
    for own, row in zip(np.concatenate(corners), table.to_dict("records"), strict=True):
        before = "" if groups is None else f"{groups.name} {row[group]} "
        found.append(
            Outline(
                f"{before}component {row['component']}",
                int(row.get("kind", 0)),
                own,
                {str(name): value for name, value in row.items() if value == value},
            )
        )
    return found


def write_geojson(path: Path, content: Content) -> str:
    """Write outlines as GeoJSON that QuPath imports as annotations, with their numbers as
    measurements.

    https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
    """
    found = outlines(content)
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [_ring(outline.corners)]},
            "properties": {
                "objectType": "annotation",
                "name": outline.name,
                "classification": {
                    "name": f"cluster of kind {outline.kind}" if outline.kind else "cluster",
                    "color": _COLOURS[outline.kind % len(_COLOURS)],
                },
                "measurements": {
                    name: value
                    for name, value in outline.numbers.items()
                    # True is a number to Python, but none to QuPath, which would refuse the file.
                    if isinstance(value, int | float) and not isinstance(value, bool)
                },
            },
        }
        for outline in found
    ]
    text = json.dumps(
        {"type": "FeatureCollection", "features": features}, ensure_ascii=False, allow_nan=False
    )
    with whole_file(path) as whole_path:
        whole_path.write_text(text + "\n", encoding="utf-8")
    return _told(content, found)


def write_rois(path: Path, content: Content) -> str:
    """Write outlines as ROIs with parts of pixels, which ImageJ's ROI Manager opens; the numbers
    are their properties.
    """
    roifile = optional("roifile", "An ImageJ ROI file", "export")
    found, rois = outlines(content), []
    for outline in found:
        roi = roifile.ImagejRoi.frompoints(outline.corners.astype(np.float32), name=outline.name)
        # A key ends at the first colon, and a property at the end of its line.
        numbers = (
            (name.replace(":", " "), " ".join(str(value).split()))
            for name, value in outline.numbers.items()
        )
        roi.props = "".join(f"{name}: {value}\n" for name, value in numbers)
        rois.append(roi)
    with whole_file(path) as whole_path:
        roifile.roiwrite(whole_path, rois, name=_file_names(found), mode="w")
    return _told(content, found)


def _file_names(found: Sequence[Outline]) -> list[str]:
    """Of the ROIs in the zip file, which ImageJ calls them by: without what would be a folder."""
    return [outline.name.replace("/", "_").replace("\\", "_") for outline in found]


def _ring(corners: FloatArray) -> list[list[float]]:
    """A closed one; as RFC 7946 has it, anticlockwise where y points up."""
    x, y = corners.T
    area = float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
    ring = corners if area >= 0 else corners[::-1]
    return np.round(np.concatenate([ring, ring[:1]]), _DIGITS).tolist()


def _told(content: Content, found: Sequence[Outline]) -> str:
    pixels = content.pixels
    return (
        f"{len(found):,} outlines of components, each around {content.coverage_percent:g}% of its "
        f"points, in pixels of {figures(pixels.size)}{content.in_unit} of {pixels.image}"
    ).replace(f"{count(1, 'outline')}s", count(1, "outline"))
