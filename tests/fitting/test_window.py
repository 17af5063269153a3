"""Clusters cut by the edge of the field, against what they were drawn from and SciPy's formulas."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from oracles import hold
from scipy.stats import multivariate_normal, norm, truncnorm

from napari_sparse_gmm import (
    Box,
    GaussianMixture,
    Hull,
    Intensity,
    Mask,
    Polygon,
    SparseGaussianMixture,
)
from napari_sparse_gmm.cli import main
from napari_sparse_gmm.components import component_table
from napari_sparse_gmm.density_model import part_of
from napari_sparse_gmm.evidence import evidence
from napari_sparse_gmm.fitting.mm import descend
from napari_sparse_gmm.fitting.problem import Problem
from napari_sparse_gmm.fitting.window import unseen, window_of
from napari_sparse_gmm.io.models import load_model
from napari_sparse_gmm.objectives import Context, declaration_of

SIDE = 1000.0
FIELD = Box(np.array([[0.0, 0.0], [SIDE, SIDE]]))


def box(d: int) -> Box:
    return Box(np.array([[0.0] * d, [SIDE] * d]))


def field(
    seed: int, means: np.ndarray, region, sigma: float = 40.0, n: int = 100, n_scattered: int = 400
) -> np.ndarray:
    """n points of each cluster, of which those in the region are seen, and scattered ones."""
    rng = np.random.default_rng(seed)
    d = means.shape[1]
    points = means.repeat(n, axis=0) + sigma * rng.standard_normal((n * len(means), d))
    return np.concatenate([points[region.contains(points)], region.sample(n_scattered, rng)])


def fit(points, **parameters) -> SparseGaussianMixture:
    noise_std = parameters.pop("noise_std", None)
    return SparseGaussianMixture(random_state=0, **parameters).fit(points, noise_std=noise_std)


def some(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of three clusters that an edge cuts, and of four others."""
    cut = np.full((3, d), 500.0)
    cut[:, 0], cut[:, 1] = 15.0, [200.0, 500.0, 800.0]
    whole = np.full((4, d), 500.0)
    whole[:, 0], whole[:, 1] = [350.0, 350.0, 700.0, 700.0], [300.0, 700.0, 300.0, 700.0]
    return cut, whole


def nearest(model: SparseGaussianMixture, mean: np.ndarray) -> int:
    return int(np.linalg.norm(model.means_ - mean, axis=1).argmin())


@pytest.mark.parametrize("place", [30.0, 0.0, -10.0])
def test_shares_and_moments_are_those_of_a_truncated_gaussian(place):
    covariance = np.array([[30.0**2, 300.0], [300.0, 20.0**2]])
    found = unseen(FIELD, np.array([[place, 500.0]]), covariance[None])
    beyond = truncnorm(-np.inf, -place / 30.0, place, 30.0)
    assert found.shares[0] == pytest.approx(norm.sf(0.0, place, 30.0), abs=2e-3)
    assert found.means[0, 0] == pytest.approx(beyond.mean() - place, rel=0.01)
    second = beyond.var() + (beyond.mean() - place) ** 2
    assert found.scatters[0, 0, 0] == pytest.approx(second, rel=0.02)
    # What the other axis has follows from its regression on the first.
    slope = covariance[0, 1] / covariance[0, 0]
    assert found.means[0, 1] == pytest.approx(slope * (beyond.mean() - place), rel=0.05)


def test_in_a_corner_as_well():
    covariance = np.array([[30.0**2, 500.0], [500.0, 25.0**2]])
    found = unseen(FIELD, np.array([[20.0, 10.0], [500.0, 500.0]]), np.stack([covariance] * 2))
    # As likely as its opposite beyond the corner that is turned around.
    inside = multivariate_normal([-20.0, -10.0], covariance).cdf([0.0, 0.0])
    np.testing.assert_allclose(found.shares, [inside, 1.0], atol=3e-3)


def test_the_cost_is_that_of_truncated_gaussians_and_steps_lower_it():
    points = field(0, np.array([[20.0, 500.0], [500.0, 500.0]]), FIELD)
    mixture = GaussianMixture(
        [0.3, 0.2], [[10.0, 480.0], [520.0, 500.0]], [30.0**2 * np.eye(2)] * 2, 0.5, FIELD
    )
    objective = declaration_of("none").make(Context(1.0, 2, FIELD, None))
    problem = Problem(hold(points), objective, 1.0, 2, window=FIELD)
    state = problem.start(mixture)
    density = 0.5 / SIDE**2
    for weight, mean in zip(mixture.weights, mixture.means, strict=True):
        share = norm.sf(0.0, mean[0], 30.0)
        density = density + weight / share * multivariate_normal(mean, 30.0**2).pdf(points)
    assert state.cost == pytest.approx(-np.log(density).mean(), abs=1e-3)
    costs = np.array([each.cost for each in descend(problem, state, 1e-9)])
    assert (np.diff(costs) <= 0).all()
    assert costs[-1] < costs[0] - 0.005


@pytest.mark.parametrize("d", [2, 3])
def test_a_cluster_that_the_edge_cuts_is_told_as_a_whole(d):
    cut, whole = some(d)
    off, sizes, numbers = [], [], []
    for seed in range(3):
        points = field(seed, np.concatenate([cut, whole]), box(d))
        model = fit(points, background=box(d))
        assert model.n_components_ == 7
        part = part_of(model, model.open(points))
        table = component_table(
            part.mixture, part.total_weight, "zyx"[-d:], evidence=part.evidence, seen=part.seen
        )
        np.testing.assert_array_equal(table["in_field"], model.seen_)
        assert part.total_weight == pytest.approx(len(points) + part.n_unseen)
        found = [nearest(model, mean) for mean in cut]
        assert (model.seen_[found] < 0.9).all()
        assert (np.delete(model.seen_, found) == 1.0).all()
        off.append(model.means_[found, 0] - cut[:, 0])
        sizes.append(np.sqrt(model.covariances_[found, 0, 0]))
        numbers.append(table["expected_points"][found])
    # Of the points that are seen: off by 23 nm, 25 nm wide, 65 of 100.
    assert abs(np.mean(off)) < 6.0
    assert np.mean(sizes) == pytest.approx(40.0, rel=0.08)
    assert np.mean(numbers) == pytest.approx(100.0, rel=0.08)


def test_a_bounding_box_reaches_as_far_as_its_scattered_points():
    cut, whole = some(2)
    model = fit(field(1, np.concatenate([cut, whole]), FIELD))
    found = [nearest(model, mean) for mean in cut]
    assert (model.seen_[found] < 0.9).all()
    sizes = np.sqrt(model.covariances_[found, 0, 0])
    assert np.mean(sizes) == pytest.approx(40.0, rel=0.1)
    np.testing.assert_allclose(model.window_.box[0, 0], 0.0, atol=10.0)


@pytest.mark.parametrize("region", ["hole", "polygon"])
def test_a_hole_and_an_outline_cut_as_well(region):
    if region == "hole":
        pixels = np.ones((100, 100), dtype=bool)
        pixels[40:60, 30:70] = False
        where, cut = Mask(pixels, 10.0, 5.0), np.array([610.0, 500.0])
    else:
        where, cut = Polygon([[0.0, 0.0], [SIDE, 0.0], [0.0, SIDE]]), np.array([500.0, 490.0])
    sizes = []
    for seed in range(4):
        points = field(seed, np.stack([cut, [200.0, 200.0]]), where)
        model = fit(points, background=where)
        j = nearest(model, cut)
        assert model.seen_[j] < 0.8
        sizes.append(np.exp(0.25 * np.linalg.slogdet(model.covariances_[j])[1]))
    assert np.mean(sizes) == pytest.approx(40.0, rel=0.1)


def test_of_points_with_noise_the_shape_without_it():
    cut, whole = some(2)
    points = field(0, np.concatenate([cut, whole]), FIELD, sigma=50.0)
    model = fit(points, background=FIELD, noise_std=30.0)
    found = [nearest(model, mean) for mean in cut]
    assert (model.seen_[found] < 0.9).all()
    sizes = np.sqrt(model.covariances_[found, 0, 0])
    assert np.mean(sizes) == pytest.approx(40.0, rel=0.1)  # and its noise: 50


def test_what_no_edge_cuts_stays_as_it_is():
    points = field(0, np.array([[300.0, 300.0], [700.0, 600.0]]), FIELD)
    model = fit(points)
    assert model.window_ is None
    assert (model.seen_ == 1.0).all()
    part = part_of(model, model.open(points))
    assert part.seen is None
    assert part.total_weight == len(points)


def test_where_points_end_for_another_reason_there_is_no_edge():
    mixture = GaussianMixture([1.0], [[0.0, 0.0]], [[[1.0, 0.0], [0.0, 1.0]]])
    assert window_of(mixture, 100.0) is None  # no background
    corners = np.array([[0.0, 0.0], [10.0, 10.0]])
    alone = GaussianMixture([0.999], [[5.0, 5.0]], [np.eye(2)], 0.001, Box(corners, n_points=100.0))
    window = window_of(alone, 100.0)
    assert unseen(window, np.array([[0.0, 5.0]]), np.eye(2)[None]).shares[0] == 1.0
    triangle = Hull(np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]))
    hull = GaussianMixture([0.5], [[2.0, 2.0]], [np.eye(2)], 0.5, triangle)
    assert window_of(hull, 100.0) is None
    waves = Intensity(np.ones((4, 4)), 4.0, 1.0, triangle)
    assert window_of(replace(hull, background_region=waves), 100.0) is None
    section = GaussianMixture([0.5], [[1.0, 50.0]], [9.0 * np.eye(2)], 0.5, [[0, 0], [2, 100]])
    assert window_of(section, 100.0) is None  # a thin section of a wide cluster


def test_a_cut_cluster_is_as_sure_as_its_points():
    cut = np.array([5.0, 500.0])
    points = field(2, np.stack([cut, [500.0, 500.0]]), FIELD, n=60)
    model = fit(points, background=FIELD)
    found = model.evidence(points)
    j = nearest(model, cut)
    assert 3.0 < found.components[j] < found.components[nearest(model, np.array([500.0, 500.0]))]
    # Points beyond the edge that nobody could see do not count against it.
    as_if_whole = evidence(model.mixture_, model.prior_, model.open(points))
    assert found.components[j] > as_if_whole.components[j] + 1.0


def test_the_command_line_tells_of_them_and_its_files_keep_them(tmp_path, capsys):
    cut, whole = some(2)
    points = field(0, np.concatenate([cut, whole]), FIELD)
    table = tmp_path / "points.csv"
    pd.DataFrame(points, columns=["y", "x"]).to_csv(table, index=False)
    assert main(["fit", str(table), "--out", str(tmp_path / "fit")]) == 0
    assert "3 clusters cut by the edge of the field" in capsys.readouterr().out
    components = pd.read_csv(tmp_path / "fit" / "components.csv")
    part = load_model(tmp_path / "fit" / "model.json").fitted[0]
    assert (components["in_field"] < 0.9).sum() == 3
    assert sorted(components["in_field"]) == sorted(part.seen)
    assert components["expected_points"].sum() < part.total_weight


def test_a_fit_that_goes_on_from_a_solution_comes_back_to_it():
    cut, whole = some(2)
    points = field(0, np.concatenate([cut, whole]), FIELD)
    first = fit(points)
    again = fit(points, init=first.mixture_)
    np.testing.assert_allclose(again.seen_, first.seen_, atol=0.02)
    np.testing.assert_allclose(again.weights_, first.weights_, rtol=0.02)
    np.testing.assert_allclose(again.means_, first.means_, atol=2.0)
