"""Contours and pyramids of what a fit found."""

from dataclasses import replace

import numpy as np
import pytest
from oracles import random_mixture
from plugin.fakes import model_of
from shapely import Polygon, contains_xy
from shapely.ops import unary_union

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.plugin.space.slices import Layout
from napari_sparse_gmm.plugin.tasks.render import CONTOURS, drawn
from napari_sparse_gmm.plugin.tasks.task import at_once
from napari_sparse_gmm.plugin.tasks.values import Heatmap, HeatmapChoice
from napari_sparse_gmm.shapes.grid import heatmap

BOX = np.array([[-20.0, -20.0], [130.0, 120.0]])
CHOICE = HeatmapChoice("density", 64, None, contours=True, engine="torch", device="cpu")
ALONE = Layout()


def picture(
    *mixtures: GaussianMixture | None, choice: HeatmapChoice = CHOICE, box: np.ndarray = BOX
) -> Heatmap:
    layout = ALONE if len(mixtures) == 1 else Layout((0, 1, 2), tuple(range(len(mixtures))))
    return at_once(drawn(model_of(*mixtures), box, choice, layout))


def held(shown: Heatmap, group: int, percent: float, points: np.ndarray) -> float:
    """The percentage of points (N, 2) within the lines of this percentage."""
    lines = [line for g, p, line in shown.contours if (g, p) == (group, percent)]
    assert lines
    for line in lines:
        np.testing.assert_array_equal(line[0], line[-1])  # closed
    rings = sorted((Polygon(line) for line in lines), key=lambda ring: -ring.area)
    inside = rings[0]
    for ring in rings[1:]:  # a ring within another one is a hole
        hole = inside.contains(ring)
        inside = inside.difference(ring) if hole else unary_union([inside, ring])
    return 100.0 * float(contains_xy(inside, *points.T).mean())


def clusters(background: float = 0.0, narrow: float = 1.0) -> GaussianMixture:
    """Some that overlap and one apart, one of them narrower."""
    means = np.array([[30.0, 30.0], [38.0, 34.0], [90.0, 80.0], [60.0, 20.0]])
    covariances = np.array([[[30.0, 12.0], [12.0, 20.0]]] * 4)
    covariances[3] *= narrow**2
    weights = np.array([0.3, 0.2, 0.35, 0.15]) * (1.0 - background)
    return GaussianMixture(weights, means, covariances, background, BOX if background else None)


def sampled(mixture: GaussianMixture, n: int = 40_000) -> np.ndarray:
    """Points of the clusters alone."""
    alone = GaussianMixture(
        mixture.weights / mixture.weights.sum(), mixture.means, mixture.covariances
    )
    return alone.sample(n, 0)[0]


@pytest.mark.parametrize("percent", CONTOURS)
@pytest.mark.parametrize(
    "mixture",
    [
        pytest.param(clusters(), id="clusters"),
        pytest.param(clusters(background=0.4), id="with a background"),
        pytest.param(clusters(narrow=0.1), id="one of them narrow"),
        pytest.param(clusters(narrow=0.01), id="narrower than the finest pixels"),
    ],
)
def test_lines_hold_as_many_percent_of_the_clusters_as_they_say(
    mixture: GaussianMixture, percent: float
) -> None:
    shown = picture(mixture)
    assert held(shown, 0, percent, sampled(mixture)) == pytest.approx(percent, abs=1.0)


@pytest.mark.parametrize("std", [0.02, 0.005])
def test_clusters_between_the_pixels_move_no_line_of_others(std: float) -> None:
    """Sixty in a hundred points lie in clusters that the finest pixels do not resolve."""
    rng = np.random.default_rng(1)
    weights = np.append(np.full(40, 0.015), 0.4)
    means = np.vstack([rng.uniform(20, 80, (40, 2)), [[50.0, 50.0]]])
    covariances = np.eye(2) * np.append(np.full(40, std**2), 100.0)[:, None, None]
    mixture = GaussianMixture(weights, means, covariances)
    shown, points = picture(mixture), sampled(mixture)
    for percent in (80.0, 95.0):
        assert held(shown, 0, percent, points) == pytest.approx(percent, abs=1.0)


def test_lines_are_of_each_group_that_was_fitted() -> None:
    first, last = clusters(), clusters(background=0.3)
    moved = replace(last, means=last.means + 5.0)
    shown = picture(first, None, moved)
    assert {group for group, *_ in shown.contours} == {0, 2}
    assert held(shown, 0, 80.0, sampled(first)) == pytest.approx(80.0, abs=1.0)
    assert held(shown, 2, 80.0, sampled(moved)) == pytest.approx(80.0, abs=1.0)


def test_no_lines_where_there_is_no_cluster_or_another_dimension() -> None:
    none = GaussianMixture([], np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, BOX)
    assert picture(none).contours == ()
    box = np.array([[0.0] * 3, [10.0] * 3])
    assert (
        picture(random_mixture(2, 3), choice=replace(CHOICE, longest_side=9), box=box).contours
        == ()
    )
    assert picture(clusters(), choice=replace(CHOICE, contours=False)).contours == ()


SHARP = replace(CHOICE, contours=False, sharpen=True)
PIXEL = 150.0 / 64  # of the image, about


@pytest.mark.parametrize(
    ("std", "sharpened"), [(0.3, True), (0.45, True), (0.55, False), (2, False)]
)
def test_a_heatmap_sharpens_where_pixels_hide_something(std: float, sharpened: bool) -> None:
    grid = SHARP.grid(BOX, 1)
    size = float(grid.spacing[0])
    wide = np.diag([4.0 * size, std * size]) ** 2
    mixture = GaussianMixture([1.0], [[50.0, 50.0]], [wide])
    shown = picture(mixture, choice=SHARP)
    assert (shown.pyramid is not None) is sharpened
    assert picture(mixture, choice=replace(SHARP, sharpen=False)).pyramid is None
    assert picture(mixture, choice=replace(SHARP, pixel_size=size)).pyramid is None
    if sharpened:
        # All of the mass shows, if blurred, and the finest level has all there is.
        assert shown.values.sum() * grid.pixel_volume == pytest.approx(1.0, rel=0.02)
        finest = shown.pyramid.grid
        assert (finest.spacing <= std * size).all()
        assert shown.pyramid.highest == pytest.approx(
            mixture.density(mixture.means).max(), rel=1e-3
        )
        np.testing.assert_allclose(finest.edges, grid.edges)
        middle = np.array(finest.shape) // 3
        part = tuple(slice(i, i + 40) for i in middle)
        exact = heatmap(mixture, finest, "density", engine="torch", device="cpu")[part]
        values = np.asarray(shown.pyramid.levels[0][part])
        np.testing.assert_allclose(values, exact, atol=1e-4 * shown.pyramid.highest)
    else:
        exact = heatmap(mixture, grid, "density", engine="torch", device="cpu")
        np.testing.assert_allclose(shown.values[0], exact, rtol=1e-5)


def test_groups_sharpen_together() -> None:
    fine, coarse = random_mixture(3, 2, field=100.0), clusters()
    fine = replace(fine, covariances=fine.covariances * 0 + np.eye(2) * 0.01)
    shown = picture(coarse, None, fine, choice=SHARP)
    assert shown.pyramid is not None
    assert shown.pyramid.levels[0].shape[0] == 3
    assert shown.values[1].max() == 0
    volume = SHARP.grid(BOX, 3).pixel_volume
    assert shown.values[2].sum() * volume == pytest.approx(1.0, rel=0.03)
