"""Colours by which components can be told apart."""

import colorsys

import numpy as np
import pytest
from scipy.spatial import Delaunay

from napari_sparse_gmm.plugin.layers.component_colours import component_colours


@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 300])
def test_neither_grey_nor_dark(n: int, n_dimensions: int) -> None:
    colours = component_colours(np.random.default_rng(0).normal(size=(n, n_dimensions)))
    assert colours.shape == (n, 4)
    assert (colours[:, 3] == 1.0).all()
    for colour in colours[:, :3].tolist():
        _, saturation, value = colorsys.rgb_to_hsv(*colour)
        assert saturation >= 0.45
        assert value >= 0.7


@pytest.mark.parametrize("seed", range(5))
def test_neighbours_differ(seed: int) -> None:
    means = np.random.default_rng(seed).normal(size=(500, 2))
    colours = component_colours(means)
    edges = np.concatenate([Delaunay(means).simplices[:, pair] for pair in ([0, 1], [1, 2])])
    same = (colours[edges[:, 0]] == colours[edges[:, 1]]).all(1)
    # All of the nearest; of all that share a border, most.
    assert same.mean() < 0.03
    distances = np.linalg.norm(means[:, None] - means, axis=2) + 1e9 * np.eye(500)
    nearest = np.argsort(distances, axis=1)[:, :3]
    assert (colours[:, None] != colours[nearest]).any(2).all()


def test_they_are_always_the_same_and_all_are_used() -> None:
    means = np.random.default_rng(0).normal(size=(500, 2))
    colours = component_colours(means)
    np.testing.assert_array_equal(colours, component_colours(means.copy()))
    _, counts = np.unique(colours, axis=0, return_counts=True)
    assert len(counts) >= 10
    assert counts.min() > 0.5 * counts.max()


def test_many_in_one_place() -> None:
    colours = component_colours(np.zeros((50, 2)))
    assert len(np.unique(colours, axis=0)) >= 6
