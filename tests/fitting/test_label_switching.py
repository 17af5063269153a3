"""Components that could change places, against factorials."""

import math

import numpy as np
import pytest

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.fitting.label_switching import exchangeable, log_labellings


def mixture(means, stds) -> GaussianMixture:
    k, d = np.shape(means)
    covariances = np.square(stds)[:, None, None] * np.eye(d)
    return GaussianMixture(np.full(k, 1.0 / k), means, covariances)


def test_components_in_one_place_can_change_places():
    found = mixture([[0.0, 0.0], [0.1, 0.0], [9.0, 9.0], [0.0, 0.2], [9.0, 9.1]], np.ones(5))
    groups = exchangeable(found)
    assert groups[0] == groups[1] == groups[3] != groups[2] == groups[4]
    assert log_labellings(found) == pytest.approx(math.log(math.factorial(3) * 2))


def test_those_apart_or_of_other_sizes_cannot():
    apart = mixture(5.0 * np.arange(6.0)[:, None] * np.ones(2), np.ones(6))
    sizes = mixture(np.zeros((3, 2)), np.array([1.0, 3.0, 9.0]))
    assert log_labellings(apart) == log_labellings(sizes) == 0.0


@pytest.mark.parametrize("k", [0, 1])
def test_a_single_one_has_none_to_change_with(k):
    nothing = GaussianMixture(
        np.full(k, 0.5),
        np.zeros((k, 2)),
        np.ones((k, 1, 1)) * np.eye(2),
        1.0 - 0.5 * k,
        [[-1] * 2, [1] * 2],
    )
    assert log_labellings(nothing) == 0.0


def test_units_of_the_axes_do_not_matter():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(60, 3, 3))
    found = GaussianMixture(
        np.full(60, 1 / 60), 3.0 * rng.normal(size=(60, 3)), roots @ roots.swapaxes(1, 2)
    )
    groups = exchangeable(found)
    assert 1 < groups.max() < 59
    moved = found.transformed(np.array([1e-3, 1.0, 1e4]))
    np.testing.assert_array_equal(exchangeable(moved), groups)
