"""Where points exceed a mixture."""

import numpy as np
import pytest
from oracles import hold, random_mixture

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.engines.fused import Fused
from napari_sparse_gmm.engines.overdensity import Boxes


@pytest.fixture(scope="module")
def points():
    return random_mixture(6, 2, background_weight=0.3, field=300.0).sample(3000, 1)[0]


@pytest.fixture(scope="module")
def background(points):
    box = np.array([points.min(0), points.max(0)])
    return GaussianMixture(np.empty(0), np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, box)


def test_a_weight_of_all_points_is_a_factor_of_what_is_there_and_of_what_is_expected(
    points, background
):
    search = Boxes(5.0, 0.01)
    once = hold(points, engine=Fused).overdensities(background, search)
    thrice = hold(points, np.full(len(points), 3.0), engine=Fused).overdensities(background, search)
    assert len(once) > 5
    np.testing.assert_allclose(thrice.evidence, once.evidence)  # of points, however they count
    for name in ("counts", "excess"):
        np.testing.assert_allclose(getattr(thrice, name), 3.0 * getattr(once, name))
    np.testing.assert_allclose(thrice.means, once.means)
