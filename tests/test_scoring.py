import numpy as np
import pytest
from oracles import direct_density, random_mixture

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.density_model import DensityModel, Groups, Part, part_of
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.scoring import assign_points, summary

# Two components far from each other, each with its background on one half of the field.
BOX = np.array([[0.0, 0.0], [10.0, 10.0]])
LEFT = GaussianMixture([0.5], [[2.0, 2.0]], [np.eye(2)], 0.5, BOX)
RIGHT = GaussianMixture([0.9], [[8.0, 8.0]], [np.eye(2)], 0.1, BOX)


def part(mixture: GaussianMixture, mean: float | None = None, weight: float = 10.0) -> Part:
    return Part(mixture, None, 10, weight, mean_log_density=mean)


def of_groups(*parts: Part | None) -> DensityModel:
    labels = np.arange(len(parts))
    return DensityModel(parts, ("y", "x"), "nm", groups=Groups("t", labels))


@pytest.mark.parametrize("d", [2, 3])
def test_points_are_scored_as_the_density_says(d: int) -> None:
    mixture = random_mixture(5, d, background_weight=0.2)
    points = mixture.sample(300, 1)[0]
    model = DensityModel((part(mixture),), ("z", "y", "x")[-d:], "nm")
    found = assign_points(model.parts, Observations(points), np.zeros(300, dtype=int))
    expected = np.log(direct_density(mixture, points))
    np.testing.assert_allclose(found.log_density, expected, atol=1e-4)
    np.testing.assert_array_equal(found.component, mixture.predict(points))
    n = np.count_nonzero(mixture.predict(points) >= 0)
    told = summary(model, points, np.zeros(300, dtype=int), found)
    assert f"Mean log density {expected.mean():.2f} per nm{'²' if d == 2 else '³'};" in told
    assert f"{n} of 300 points in 5 components, {1 - n / 300:.0%} background" in told
    assert "each as what it most probably is" in told  # the shares of the mixture are others


def test_with_precision_the_density_is_that_of_seen_places() -> None:
    mixture = random_mixture(3, 2)
    points, _ = mixture.sample(200, 1)
    std = np.random.default_rng(0).uniform(0, 2, (200, 2))
    model = DensityModel((part(mixture),), ("y", "x"), None)
    found = assign_points(
        model.parts, Observations.of(points, noise_std=std), np.zeros(200, dtype=int)
    )
    expected = mixture.log_density(points, noise_std=std)
    np.testing.assert_allclose(found.log_density, expected, atol=1e-4)
    told = summary(model, points, np.zeros(200, dtype=int), found)
    assert "per unit²; 200 of 200 points in 3 components." in told


def test_each_point_is_one_of_its_group() -> None:
    model = of_groups(part(LEFT, -3.0, 30.0), None, part(RIGHT, -1.0, 10.0))
    points = np.array([[2.0, 2.0], [2.0, 2.0], [8.0, 8.0], [8.0, 8.0], [20.0, 2.0]])
    groups = np.array([0, 2, 1, -1, 0])
    found = assign_points(model.parts, Observations(points), groups)
    np.testing.assert_array_equal(found.component, [0, -1, -1, -1, -1])
    known = np.array([True, True, False, False, True])
    np.testing.assert_array_equal(np.isnan(found.log_density), ~known)
    expected = [LEFT.log_density(points[[0, 4]]), RIGHT.log_density(points[1:2])]
    np.testing.assert_allclose(found.log_density[[0, 4, 1]], np.concatenate(expected), rtol=1e-4)
    told = summary(model, points, groups, found)
    assert "(the points that it was fitted to: -2.50)" in told  # of 30 and of 10
    assert "1 of 5 points in 1 component, 50% background" in told
    assert "1 point far from what the model was fitted to left out" in told
    assert "2 points in no group that the model has a mixture for" in told


def test_nothing_to_score() -> None:
    model, groups = of_groups(part(LEFT)), np.array([-1])
    found = assign_points(model.parts, Observations(np.ones((1, 2))), groups)
    told = summary(model, np.ones((1, 2)), groups, found)
    assert told == (
        "1 point in no group that the model has a mixture for: there is nothing to score."
    )


def test_beside_a_bounding_box_the_background_goes_on_a_little() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(0, 100, (300, 2)), rng.normal(50, 1.0, (100, 2))])
    model = SparseGaussianMixture(random_state=0).fit(points)
    fitted = DensityModel((part_of(model, model.open(points)),), ("y", "x"), "nm")
    others = np.array([[50.0, 50.0], [101.0, 50.0], [50.0, 109.0], [50.0, 200.0]])
    groups = np.zeros(4, dtype=int)
    found = assign_points(fitted.parts, Observations(others), groups)
    np.testing.assert_allclose(found.log_density, model.score_samples(others), rtol=1e-6)
    assert np.isfinite(found.log_density).all()
    np.testing.assert_array_equal(found.component < 0, [False, True, True, True])
    np.testing.assert_array_equal(np.isnan(found.probability), [False, False, False, True])
    told = summary(fitted, others, groups, found)
    assert "1 of 4 points in 1 component, 67% background" in told
    assert "1 point far from what the model was fitted to left out" in told
