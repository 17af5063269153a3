"""What is narrower than a pixel, against the mass and the place that it has."""

import numpy as np
import pytest
from oracles import random_mixture

from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.shapes.antialiasing import antialiased, narrowest
from napari_sparse_gmm.shapes.grid import Grid, heatmap

GRID = Grid([50.0, 50.0], [100.0, 100.0], (500, 400))  # pixels of 100 nm in a field of 50 µm


@pytest.mark.parametrize("angle", [0.0, 30.0])
@pytest.mark.parametrize("std", [(10.0, 10.0), (10.0, 300.0)], ids=["round", "long"])
def test_a_narrow_component_keeps_its_mass_wherever_it_is(std, angle) -> None:
    turn = np.radians(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    covariance = rotation @ np.diag(np.square(std)) @ rotation.T
    for mean in np.random.default_rng(0).uniform(20_000.0, 20_100.0, (20, 2)):
        mixture = GaussianMixture([1.0], [mean], [covariance])
        image = heatmap(antialiased(mixture, GRID.spacing), GRID, engine="torch", device="cpu")
        assert image.sum(dtype=float) * GRID.pixel_volume == pytest.approx(1.0, abs=0.03)
        if std == (10.0, 10.0):
            brightest = np.unravel_index(image.argmax(), image.shape)
            np.testing.assert_array_equal(brightest, mean // 100.0)


def test_what_pixels_resolve_stays_as_it_is() -> None:
    mixture = GaussianMixture(
        [0.5, 0.5], [[0.0, 0.0], [9.0, 9.0]], [[[9.0, 2.0], [2.0, 16.0]], [[0.01, 0.0], [0.0, 9.0]]]
    )
    seen = antialiased(mixture, [1.0, 1.0])
    np.testing.assert_array_equal(seen.covariances[0], mixture.covariances[0])
    np.testing.assert_allclose(seen.covariances[1], [[0.25, 0.0], [0.0, 9.0]], atol=1e-12)
    assert antialiased(mixture, [0.1, 1.0]) is mixture


def test_pixels_need_not_be_square() -> None:
    mixture = random_mixture(20, 3, sigma=0.4)
    spacing = np.array([1.0, 2.0, 0.1])
    np.testing.assert_allclose(
        antialiased(mixture, spacing).covariances,
        antialiased(mixture.transformed(1 / spacing), np.ones(3)).transformed(spacing).covariances,
        atol=1e-12,
    )
    assert narrowest(antialiased(mixture, spacing), spacing).min() == pytest.approx(0.5)
