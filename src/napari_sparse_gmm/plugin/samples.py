"""Sample data for napari's menu File > Open Sample."""

from typing import Any

import numpy as np

from napari_sparse_gmm import samples
from napari_sparse_gmm.samples import Sample

LayerData = tuple[Any, dict[str, Any], str]


def spiral() -> list[LayerData]:
    """The tutorial's spiral, as a Points layer."""
    return [_points_layer(samples.spiral(), "spiral", size=0.004)]


def smlm_clusters() -> list[LayerData]:
    """Simulated localizations in nm, as a Points layer."""
    return [_points_layer(samples.smlm_clusters(), "smlm_clusters", size=12.0)]


def nuclei_3d() -> list[LayerData]:
    """Simulated centroids of nuclei, as a Points layer in voxels of anisotropic scale."""
    return [_points_layer(samples.nuclei_3d(), "nuclei_3d", size=5.0)]


def _points_layer(sample: Sample, name: str, size: float) -> LayerData:
    """Layer data of a sample; `size` is the diameter of a point in the sample's unit."""
    voxel_size = np.array(sample.voxel_size or [1.0] * len(sample.axis_labels))
    keywords = {
        "name": name,
        "scale": voxel_size,
        "units": sample.unit,
        "axis_labels": sample.axis_labels,
        "features": sample.features,
        # napari scales a point by the last axis of its layer.
        "size": size / voxel_size[-1],
        "border_width": 0,
        "border_color": "white",  # napari draws small points in it
        "face_color": "white",
        "opacity": 0.7,
        "metadata": {"description": sample.description},
    }
    return sample.points / voxel_size, keywords, "points"
