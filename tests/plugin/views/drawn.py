"""Ellipses of four round components in a viewer."""

from typing import Any

import numpy as np
from napari.layers import Points, Shapes
from plugin.fakes import model_of

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.plugin.layers.components import drawing, show_components
from napari_sparse_gmm.plugin.layers.owned import components_layer
from napari_sparse_gmm.plugin.points.coordinates import modelled_points

WEIGHTS = np.array([0.2, 0.4, 0.1, 0.3])
BY_POINTS = [1, 3, 0, 2]
MEANS = np.array([[10.0, 20.0], [40.0, 5.0], [25.0, 60.0], [70.0, 33.0]])
STD = np.array([2.0, 1.0, 3.0, 1.5])


def mixture(offset: float = 0.0, n_dimensions: int = 2) -> GaussianMixture:
    """Four round components."""
    means = np.column_stack([MEANS, MEANS[:, :1]])[:, :n_dimensions] + offset
    eye = np.eye(n_dimensions)
    return GaussianMixture(WEIGHTS, means, STD[:, None, None] ** 2 * eye)


def ellipses(
    viewer: Any, *mixtures: GaussianMixture, each: int | None = None, **pose: Any
) -> tuple[Points, Shapes]:
    n = mixtures[0].means.shape[1]
    rng = np.random.default_rng(0)
    data = rng.uniform(0.0, 100.0, (90, n))
    if each is not None:
        data = np.column_stack([np.repeat([0.0, 1.0, 2.0], 30), data])
    points = viewer.add_points(data, name="L", **pose)
    axes = tuple(range(points.ndim - n, points.ndim))
    _, frame, _ = modelled_points(points, axes, each)
    show_components(viewer, points, frame, drawing(model_of(*mixtures), frame, 95.0, 99))
    layer = components_layer(viewer, points)
    assert layer is not None
    return points, layer


def centre(viewer: Any) -> np.ndarray:
    return np.array(viewer.scene.camera.center)[-viewer.dims.ndisplay :]
