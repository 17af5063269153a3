"""What the layers that are made do to a window."""

from typing import Any

import numpy as np
import pytest

from napari_sparse_gmm.plugin.layers.owned import keeping_place


def test_a_slice_stays_the_same_place(viewer: Any) -> None:
    """napari's sliders keep its number, which is another place when there are more slices."""
    viewer.add_points(np.random.default_rng(0).uniform(0, 20, (60, 3)), name="L")
    for _ in range(2):
        viewer.dims.set_point(0, 9.0)
        place = viewer.dims.point[0]
        with keeping_place(viewer):
            viewer.add_image(np.zeros((100, 4, 4)), translate=(-40.0, 0.0, 0.0), name="larger")
        assert viewer.dims.point[0] == pytest.approx(place, abs=0.6)
        with keeping_place(viewer):
            viewer.layers.remove("larger")
        assert viewer.dims.point[0] == pytest.approx(place, abs=0.6)
