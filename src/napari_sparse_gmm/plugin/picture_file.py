"""Heatmaps as pictures with the size of their pixels, for napari to save."""

from typing import Any

import numpy as np

from napari_sparse_gmm.io.images import write_density_tiff
from napari_sparse_gmm.plugin.layers.levels import Levels
from napari_sparse_gmm.plugin.layers.owned import METADATA_KEY
from napari_sparse_gmm.plugin.model_file import NotSaved, saving
from napari_sparse_gmm.shapes.grid import Grid


def write(path: str, data: Any, keywords: dict[str, Any]) -> list[str]:
    """Write the heatmap of a layer as OME-TIFF: of several levels, one of a moderate size."""
    if keywords["metadata"].get(METADATA_KEY, {}).get("role") != "density":
        raise NotSaved(
            f"Layer {keywords['name']!r} is no heatmap that Sparse GMM density has made: save it "
            "with another kind of file."
        )
    level = data.to_save() if isinstance(data, Levels) else data
    image, times = np.asarray(level), np.array(data.shape) / level.shape
    # Pixels of all levels have the same outer edges.
    spacing = np.abs(keywords["scale"]) * times
    origin = np.asarray(keywords["translate"]) + 0.5 * (times - 1.0) * keywords["scale"]
    wide = np.array(image.shape) > 1
    wide[-2:] = True
    units = {f"{unit:~P}" for unit, kept in zip(keywords["units"], wide, strict=True) if kept}
    with saving(path):
        write_density_tiff(
            path,
            image.reshape(np.array(image.shape)[wide]),
            Grid(origin[wide], spacing[wide], tuple(np.array(image.shape)[wide].tolist())),
            units.pop() if len(units) == 1 else None,
        )
    return [path]
