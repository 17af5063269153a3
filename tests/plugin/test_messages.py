from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.layers import Points
from oracles import random_mixture
from plugin.fakes import model_of

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.evidence import Evidence
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.plugin.messages import heatmap_unit, path_sentence, statistics, summary
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.points.source import Cloud, Source
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.regions import Box, Intensity


def frame(ndim: int = 2, unit: str = "nm") -> Frame:
    points = Points(np.array([[0.0] * ndim, [100.0] * ndim]), units=unit)
    return modelled_points(points, tuple(range(ndim)))[1]


def result(
    *mixtures: GaussianMixture | None,
    converged: bool = True,
    prior: str = "sqrt",
    most: int = 30,
    background: bool = False,
) -> DensityModel:
    asked = {"prior": prior, "n_components": most, "background": background}
    return model_of(*mixtures, n_points=12_345, converged=converged, **asked)


def made(model: DensityModel, **how: Any) -> DensityModel:
    return replace(model, provenance={**model.provenance, **how})


def a_cloud(frame: Frame, n_hidden: int = 0, n_outside: int = 0, n_imprecise: int = 0) -> Cloud:
    n = 4
    return Cloud(
        Observations(np.zeros((n, 2))),
        frame,
        np.ones(n, dtype=bool),
        np.zeros(n, dtype=np.intp),
        None,
        n_hidden,
        0,
        n_outside,
        n_imprecise,
    )


def told(fitted: DensityModel, frame: Frame, *numbers: int, **more: int) -> str:
    return summary(fitted, a_cloud(frame, *numbers, **more), 2000)


BOX = np.array([[0.0, 0.0], [1.0, 1.0]])


def wide(std: float) -> GaussianMixture:
    """One long component, which is not along an axis, in the box of `frame`."""
    along = np.array([0.6, 0.8])
    covariance = np.eye(2) + (std**2 - 1) * np.outer(along, along)
    return GaussianMixture([1.0], [[50.0, 50.0]], [covariance])


NONE_LEFT = GaussianMixture(np.empty(0), np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, BOX)


def test_plain_summary() -> None:
    assert told(result(random_mixture(1, 2)), frame()) == "1 component from 12,345 points."


@pytest.mark.parametrize(
    ("fitted", "n_hidden", "words"),
    [
        pytest.param(
            result(random_mixture(2, 2, background_weight=0.25)), 0, "25% background", id="noise"
        ),
        pytest.param(
            made(result(random_mixture(2, 2)), deconvolved=True),
            0,
            "precision of the points is taken off",
            id="deconvolved",
        ),
        pytest.param(
            result(random_mixture(2001, 2)), 0, "Of 2,001 ellipses the 2,000", id="too many"
        ),
        pytest.param(result(random_mixture(2, 2)), 7, "7 hidden points left out", id="hidden"),
    ],
)
def test_summary_tells_what_is_special(fitted: DensityModel, n_hidden: int, words: str) -> None:
    assert words in told(fitted, frame(), n_hidden, 0)
    assert words not in told(result(random_mixture(2, 2)), frame(), 0, 0)


def test_kinds_are_told_in_numbers_and_sizes() -> None:
    covariances = np.multiply.outer(np.array([4.0, 9.0, 400.0]), np.eye(2))
    mixture = GaussianMixture([0.001, 0.002, 0.097], np.eye(3, 2), covariances, 0.9, BOX)
    (part,) = (fitted := result(mixture, background=True)).parts
    assert part is not None
    ones = np.ones(3)
    for kinds, words in (
        (
            [0, 0, 1],
            "Clusters of 2 kinds: 2 of about 19 points and 2.5 nm; 1 of about 1,197 points",
        ),
        ([0, 0, 0], ""),
    ):
        found = replace(part, evidence=Evidence(ones, 9.0, np.array(kinds), ones))
        said = told(replace(fitted, parts=(found,)), frame())
        assert words in said
        assert ("kinds" in said) == bool(words)


def test_clusters_that_the_edge_cuts_are_told() -> None:
    covariances = np.tile(np.eye(2), (3, 1, 1))
    mixture = GaussianMixture([0.1, 0.2, 0.2], np.eye(3, 2), covariances, 0.5, BOX)
    (part,) = (fitted := result(mixture, background=True)).parts
    assert part is not None
    for seen, words in (
        ([1.0, 0.5, 0.75], "2 clusters cut by the edge of the field"),
        ([1.0, 1.0, 0.99], ""),
    ):
        cut = replace(part, seen=np.array(seen), total_weight=1000.0)
        said = told(replace(fitted, parts=(cut,)), frame())
        assert words in said
        assert ("cut by" in said) == bool(words)
        if words:
            assert "with some 150 points beyond it" in said  # 0.2 * 0.5 + 0.2 * 0.25 of 1000


@pytest.mark.parametrize(
    "fitted",
    [
        pytest.param(result(random_mixture(4, 2), most=4, prior="none"), id="none removes none"),
        pytest.param(result(random_mixture(1, 2), most=1), id="one was asked for"),
        pytest.param(result(random_mixture(4, 2), most=5), id="one is gone"),
        pytest.param(result(wide(24.0)), id="not as wide as the field"),
        pytest.param(result(wide(26.0), prior="bayes"), id="a smooth density"),
    ],
)
def test_no_advice_where_there_is_none_to_give(fitted: DensityModel) -> None:
    assert "\n" not in told(fitted, frame())


def test_one_thing_is_advised() -> None:
    words = told(result(wide(26.0), wide(26.0), converged=False, most=2), frame())
    assert words.count("\n") == 1
    assert "as wide as the field" in words


def test_numbers_of_the_clusters() -> None:
    region = Box(np.array([[0.0, 0.0], [2000.0, 1000.0]]))
    means = np.array([[500.0, 500.0], [1500.0, 500.0]])
    covariances = np.stack([np.diag([100.0, 900.0]), 1600.0 * np.eye(2)])
    mixture = GaussianMixture([0.1, 0.3], means, covariances, 0.6, region)
    cloud = a_cloud(frame())
    assert statistics(result(mixture, background=True), cloud).splitlines() == [
        "2 clusters, 1 per µm²",
        "Points in each: 2,470 (1,850 to 3,090)",
        "Radius (one standard deviation): 28.7 (23 to 34.3) nm",
        "In clusters: 40% of 12,345 points; background: 60%",
    ]
    assert statistics(result(NONE_LEFT, background=True), cloud) == ""


def test_a_background_that_is_not_even_is_told() -> None:
    image = np.linspace(0.4, 1.6, 101)[:, None] * np.ones((1, 4))
    region = Intensity(image, [20.0, 250.0], [10.0, 125.0])
    mixture = GaussianMixture([0.4], [[500.0, 500.0]], [100.0 * np.eye(2)], 0.6, region)
    lines = statistics(result(mixture, background=True), a_cloud(frame())).splitlines()
    assert lines[-1] == (
        "In clusters: 40% of 12,345 points; background: 60%, 0.46 to 1.5 times its mean"
    )


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.006, "less than 1% background"),
        (0.01, "1% background"),
        (0.996, "more than 99% background"),
        (1.0, "100% background"),
    ],
)
def test_a_background_is_not_rounded_away(share: float, words: str) -> None:
    mixture = NONE_LEFT if share == 1 else random_mixture(2, 2, background_weight=share)
    assert f", {words}." in told(result(mixture, background=True), frame())


def test_a_single_group_is_no_plural() -> None:
    points = Points(np.eye(3)[:2], axis_labels=("date", *"yx"))
    points.data[:, 0] = 7.0
    _, alone, _ = modelled_points(points, (1, 2), 0)
    assert "for 1 value of date from" in told(result(random_mixture(2, 2)), alone)


def test_all_are_kept_for_some_groups() -> None:
    points = Points(np.eye(3)[:2], axis_labels=("t", *"yx"))
    _, two, _ = modelled_points(points, (1, 2), 0)
    words = told(result(random_mixture(2, 2), random_mixture(4, 2), most=4, prior="mml"), two)
    assert "as many components as may be for some values of t:" in words


def test_why_a_solution_is_suggested_is_told_of_that_one() -> None:
    suggested, other = object(), object()
    of_path = {"suggested": suggested, "why": "Because of BIC."}
    path = type("Path", (list,), of_path)([other, suggested])
    assert path_sentence(path, 1) == "Because of BIC."
    assert path_sentence(path, 0) == ""
    assert path_sentence(None, 0) == ""


@pytest.mark.parametrize(
    ("quantity", "ndim", "unit", "words"),
    [
        ("density", 2, "nm", "probability per nm²"),
        ("expected_points", 3, "um", "expected points per µm³"),
        ("log_density", 2, "pixel", "natural log of the probability per pixel²"),
    ],
)
def test_unit_of_the_heatmap(quantity: str, ndim: int, unit: str, words: str) -> None:
    assert words in heatmap_unit(quantity, frame(ndim, unit))


@pytest.mark.parametrize(
    ("n_outside", "words"), [(0, ""), (1, "1 point outside "), (3, "3 points outside ")]
)
def test_points_outside_of_the_region_are_told(n_outside: int, words: str) -> None:
    said = told(result(random_mixture(1, 2)), frame(), 0, n_outside)
    assert words in said
    assert ("outside of the region left out." in said) == (n_outside > 0)


def test_groups_are_counted_and_what_is_missing_is_told() -> None:
    points = Points(np.random.default_rng(0).uniform(size=(4, 3)).round(), axis_labels=("t", *"yx"))
    points.data[:, 0] = [0, 0, 1, 2]
    _, in_groups, _ = modelled_points(points, (1, 2), 0)
    one, two = random_mixture(1, 2), random_mixture(2, 2)
    words = told(result(one, two, two), in_groups, 0, 0)
    assert words.startswith("5 components for 3 values of t from 37,035 points.")
    words = told(made(result(one, None, two), problem="Too few."), in_groups, 0, 0)
    assert "for 2 values of t" in words
    assert "1 group could not be fitted: Too few." in words


def test_stray_points_are_told() -> None:
    """They are fitted with the others, but the picture is of those."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(0, 100, (200, 2)), [[1e7, 0.0]]])
    cloud = Source(Points(points), (0, 1)).read()
    assert cloud.n_stray == 1
    assert np.abs(cloud.frame.modelled_box).max() <= 100.0
    said = summary(result(random_mixture(1, 2)), cloud, 2000)
    assert "1 point far from all others, beside the picture" in said
    clusters = np.concatenate([rng.normal(0, 1, (200, 2)), rng.uniform(-1e6, 1e6, (20, 2))])
    assert Source(Points(clusters), (0, 1)).read().n_stray == 0


def test_points_without_a_precision_are_told() -> None:
    said = told(result(random_mixture(1, 2)), frame(), n_imprecise=3)
    assert "3 points without a precision left out." in said
