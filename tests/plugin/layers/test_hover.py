"""napari's status bar tells of the ellipse under the pointer."""

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Shapes
from plugin.fakes import model_of

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.plugin.layers.components import drawing, show_components
from napari_sparse_gmm.plugin.layers.hover import described
from napari_sparse_gmm.plugin.points.coordinates import modelled_points


@pytest.fixture
def layer() -> Shapes:
    viewer = ViewerModel()
    points = viewer.add_points(np.array([[0.0, 0.0], [200.0, 100.0]]), name="L", units="nm")
    _, frame, _ = modelled_points(points, (0, 1))
    covariances = [np.diag([25.0, 9.0]), 4.0 * np.eye(2)]
    mixture = GaussianMixture([0.3, 0.7], [[30.0, 30.0], [150.0, 60.0]], covariances)
    return show_components(
        viewer, points, frame, drawing(model_of(mixture, n_points=100), frame, 95.0, 99)
    )


@pytest.mark.parametrize(
    ("position", "words"),
    [
        ((31.0, 30.7), "component 0: 30 points, 5 x 3 nm"),
        ((150.6, 60.7), "component 1: 70 points, 2 x 2 nm"),
    ],
)
def test_of_an_ellipse(layer: Shapes, position: tuple[float, float], words: str) -> None:
    for keywords in ({}, {"view_direction": None, "dims_displayed": [0, 1]}):
        status = layer.get_status(position, world=True, **keywords)
        assert status["value"].endswith(words)
        assert status["coordinates"].endswith(words)


def test_beside_the_ellipses_it_is_napari_s(layer: Shapes) -> None:
    for position in ((0.0, 0.0), None):
        assert layer.get_status(position, world=True) == Shapes.get_status(
            layer, position, world=True
        )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {"std_major [µm]": 10.04, "std_middle [µm]": 3.0, "std_minor [µm]": 2.0, "volume": 9.0},
            "component 4: 12 points, 10 x 3 x 2 µm",
        ),
        (
            {"std_major": 2.0, "std_error_major": 9.0, "std_minor": 1.0, "evidence": 17.2},
            "component 4: 12 points, 2 x 1, evidence 17.2",
        ),
    ],
)
def test_what_there_is_is_told(row: dict[str, Any], words: str) -> None:
    assert described({"component": 4, "expected_points": 12.3, **row}) == words
