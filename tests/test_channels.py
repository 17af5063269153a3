"""Two channels: against closed forms, and p values under simulation of the null hypothesis."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from export.models import BOX, model
from oracles import random_mixture
from scipy.stats import binomtest, kstest

from napari_sparse_gmm import Box, GaussianMixture, Hull, InputError, Intensity, Mask, Polygon
from napari_sparse_gmm.channel_results import comparison_figure
from napari_sparse_gmm.channels import (
    AgainstChance,
    ChannelComparison,
    common_region,
    compare_channels,
)
from napari_sparse_gmm.channels.lookup import ClusterLookup
from napari_sparse_gmm.channels.report import statistics_table, summary
from napari_sparse_gmm.channels.shifts import Shifts, as_of_all
from napari_sparse_gmm.cli import main
from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.io.models import save_model
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Prism, Region

UNIT = Box([[0.0, 0.0], [1.0, 1.0]])
_TURN = np.linspace(0.0, 2.0 * np.pi, 60, endpoint=False)
DISC = Polygon(0.5 + 0.5 * np.stack([np.sin(_TURN), np.cos(_TURN)], axis=1))
CORNER = Polygon([[0, 0], [1, 0], [1, 0.45], [0.45, 0.45], [0.45, 1], [0, 1]])


def mixture_at(
    means: FloatArray, std: float, region: Region, background_weight: float = 0.4
) -> GaussianMixture:
    """Round clusters, all alike."""
    k, d = means.shape
    covariances = np.broadcast_to(std**2 * np.eye(d), (k, d, d))
    weights = np.full(k, (1.0 - background_weight) / k)
    return GaussianMixture(weights, means, covariances, background_weight, region)


# In which clusters points lie


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_lookup_says_what_the_mixture_does(d: int) -> None:
    mixture = random_mixture(12, d, background_weight=0.3, field=60.0)
    region = mixture.background_region
    assert region is not None
    points = mixture.sample(2000, 1)[0]
    points = points[region.contains(points)]
    component, probability = ClusterLookup.of(mixture, 90.0, region.box).at(points)
    responsibilities = mixture.responsibilities(points)
    np.testing.assert_allclose(probability, 1.0 - responsibilities[:, -1], atol=1e-3)
    whitened = np.einsum("kdc,nkd->nkc", mixture.precision_factors, points[:, None] - mixture.means)
    inside = (whitened**2).sum(2) <= coverage_to_radius(90.0, d) ** 2  # (N, K)
    densest = np.where(inside, responsibilities[:, :-1], -1.0).argmax(1)
    np.testing.assert_array_equal(component, np.where(inside.any(1), densest, -1))


def test_lookup_over_an_uneven_background() -> None:
    image = np.arange(1.0, 17.0).reshape(4, 4)
    region = Intensity(image, 25.0, 12.5)
    mixture = mixture_at(np.array([[30.0, 30.0], [80.0, 60.0]]), 8.0, region)
    points = region.sample(500, np.random.default_rng(0))
    _, probability = ClusterLookup.of(mixture, 95.0, region.box).at(points)
    expected = 1.0 - mixture.responsibilities(points)[:, -1]
    np.testing.assert_allclose(probability, expected, atol=1e-3)


def test_huge_clusters_take_fewer_cells() -> None:
    """Of lists of a thousand clusters in each of 2^18 cells there would be no end."""
    rng = np.random.default_rng(0)
    mixture = mixture_at(rng.uniform(0, 1, (1000, 2)), 0.5, UNIT)
    lookup = ClusterLookup.of(mixture, 95.0, UNIT.box)
    assert len(lookup.entries) <= 1 << 22
    points = rng.uniform(0, 1, (50, 2))
    expected = 1.0 - mixture.responsibilities(points)[:, -1]
    np.testing.assert_allclose(lookup.at(points)[1], expected, atol=1e-3)


# Closed forms


@pytest.mark.parametrize(
    ("region", "d"),
    [(UNIT, 2), (DISC, 2), (Box([[0.0] * 3, [1.0, 0.5, 1.0]]), 3)],
    ids=["box", "disc", "3D box"],
)
def test_share_of_a_uniform_field_is_the_share_of_the_volume(region: Region, d: int) -> None:
    means = np.array([[0.3, 0.25, 0.4], [0.6, 0.3, 0.7], [0.4, 0.25, 0.7]])[:, :d]
    if d == 2:
        means = np.array([[0.3, 0.3], [0.6, 0.6], [0.65, 0.3]])
    std = 0.03
    radius = std * coverage_to_radius(95.0, d)
    ball = math.pi * radius**2 if d == 2 else 4.0 / 3.0 * math.pi * radius**3
    share = 3 * ball / region.volume
    points = region.sample(20_000, np.random.default_rng(3))
    comparison = compare_channels(mixture_at(means, std, region), points, n_shifts=99)
    spread = math.sqrt(share * (1 - share) / 20_000)
    assert comparison.inside.observed == pytest.approx(share, abs=4 * spread)
    assert comparison.inside.expected == pytest.approx(share, abs=2 * spread)
    assert comparison.points_inside.sum() == round(20_000 * comparison.inside.observed)


def test_distances_in_a_poisson_field() -> None:
    """The distance to the nearest of lambda centres per area has the median
    sqrt(log 2 / (pi lambda)) and the mean 1 / (2 sqrt(lambda)).
    """
    rng = np.random.default_rng(0)
    intensity = 4000
    field = Box([[-0.1, -0.1], [1.1, 1.1]])  # wider: the points are far from its edge
    centres = field.sample(rng.poisson(intensity * field.volume), rng)
    others = UNIT.sample(2000, rng)
    comparison = compare_channels(
        mixture_at(centres, 0.001, UNIT),
        UNIT.sample(5000, rng),
        second=mixture_at(others, 0.001, UNIT),
        n_shifts=19,
    )
    median = math.sqrt(math.log(2) / (math.pi * intensity))
    for name in ("point_distance", "second_distance"):
        found = comparison.statistics[name]
        assert found.observed == pytest.approx(median, rel=0.05)
        assert found.expected == pytest.approx(median, rel=0.03)
    assert comparison.nearest_of_first is not None
    assert comparison.nearest_of_first.mean() == pytest.approx(0.5 / intensity**0.5, rel=0.05)
    assert comparison.nearest_of_second is not None
    assert len(comparison.nearest_of_second) == len(centres)


def test_a_shift_by_nothing_gives_what_is_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    def stay(_: Shifts, points: FloatArray, n: int, __: object) -> FloatArray:
        return np.zeros((n, points.shape[1]))

    monkeypatch.setattr(Shifts, "vectors", stay)
    for region in (UNIT, DISC):
        rng = np.random.default_rng(0)
        first = mixture_at(region.sample(20, rng), 0.03, region)
        second = mixture_at(region.sample(10, rng), 0.03, region)
        points = second.sample(300, 0)[0]
        comparison = compare_channels(first, points, second=second, n_shifts=19)
        for found in comparison.statistics.values():
            np.testing.assert_allclose(found.simulated, found.observed, rtol=1e-12)
            assert math.isclose(found.ratio, 1.0)


def test_weights_are_repeated_points() -> None:
    rng = np.random.default_rng(0)
    first = mixture_at(UNIT.sample(20, rng), 0.03, UNIT)
    points, weights = UNIT.sample(101, rng), rng.integers(0, 4, 101)
    weighted = compare_channels(first, Observations.of(points, weights), n_shifts=39)
    repeated = compare_channels(first, np.repeat(points, weights, axis=0), n_shifts=39)
    for name, found in weighted.statistics.items():
        assert found.observed == pytest.approx(repeated.statistics[name].observed)


def test_what_a_value_says() -> None:
    found = AgainstChance(3.0, np.array([1.0, 2.0, 3.0, 4.0]))
    assert (found.expected, found.ratio) == (2.5, 1.2)
    assert (found.p_value, found.p_avoidance) == (3 / 5, 4 / 5)  # a tie counts for both
    assert found.effect == pytest.approx(0.5 / np.std([1, 2, 3, 4]))
    distance = AgainstChance(0.5, np.array([1.0, 2.0, 3.0, 4.0]), nearer_is_less=True)
    assert (distance.p_value, distance.p_avoidance) == (1 / 5, 1.0)
    assert math.isnan(AgainstChance(0.0, np.zeros(3)).ratio)
    assert math.isnan(AgainstChance(0.0, np.zeros(3)).effect)


# Shifts


def test_in_a_box_a_shift_is_toroidal() -> None:
    rng = np.random.default_rng(0)
    box = Box([[-3.0, 2.0], [1.0, 9.0]])
    points = box.sample(50, rng)
    (vector,) = Shifts(box).vectors(points, 1, rng)
    moved = Shifts(box).moved(points, vector)
    turns = (moved.points - points - vector) / np.diff(box.box, axis=0)
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-12)
    assert box.contains(moved.points).all()
    assert len(moved.points) == 50


@pytest.mark.parametrize(
    "region",
    [
        DISC,
        CORNER,
        Hull([[0, 0], [1, 0.2], [0.3, 1]]),
        Mask(np.eye(4, dtype=bool) | np.eye(4, k=1, dtype=bool), 0.25),
        Prism(Box([[0.0], [2.0]]), DISC),
    ],
    ids=["disc", "corner", "hull", "mask", "prism"],
)
def test_in_other_regions_what_lies_outside_is_left_out(region: Region) -> None:
    rng = np.random.default_rng(0)
    points = region.sample(400, rng)
    shifts = Shifts(region)
    for vector in shifts.vectors(points, 20, rng):
        moved = shifts.moved(points, vector)
        assert region.contains(moved.points).all()
        assert 0.1 * len(points) < len(moved.rows) < len(points)
        turns = (moved.points - points[moved.rows] - vector) / np.diff(region.box, axis=0)
        np.testing.assert_allclose(turns, np.rint(turns), atol=1e-9)


def test_means_of_fewer_points_are_drawn_to_the_middle() -> None:
    """Means of n_v out of n values, corrected, have the variance of means of n."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(50, 200, 4000)
    means = np.array([rng.standard_normal(n).mean() for n in numbers])
    corrected = as_of_all(0.0, 200, means, numbers)
    assert np.var(means) > 1.3 / 200
    assert np.var(corrected) == pytest.approx(1 / 200, rel=0.1)
    assert len(as_of_all(0.0, 2, np.array([1.0, np.nan]), np.array([2, 0]))) == 1


# P values


def clustered(region: Region, rng: np.random.Generator, k: float, each: float, std: float):  # type: ignore[no-untyped-def]
    """Clusters as a Poisson process has them, also beyond the edge: those of the region, and
    their points in it.
    """
    lower, upper = region.box + np.array([[-3 * std], [3 * std]])
    while True:
        centres = rng.uniform(lower, upper, (rng.poisson(k), region.n_dimensions))
        points = centres.repeat(rng.poisson(each, len(centres)), axis=0)
        points = points + std * rng.standard_normal(points.shape)
        centres, points = centres[region.contains(centres)], points[region.contains(points)]
        if len(centres) > 1 and (each == 0 or len(points) > 5):
            return centres, points


def independent(region: Region, seed: int) -> ChannelComparison:
    """Two clustered channels that know nothing of each other."""
    rng = np.random.default_rng(seed)
    first, _ = clustered(region, rng, 40, 0, 0.03)
    centres, points = clustered(region, rng, 25, 20, 0.04)
    return compare_channels(
        mixture_at(first, 0.025, region),
        points,
        second=mixture_at(centres, 0.04, region),
        n_shifts=39,
        random_state=seed,
    )


REGIONS = {"box": UNIT, "disc": DISC, "corner": CORNER}
STATISTICS = ("inside", "probability", "point_distance", "second_distance", "first_distance")


def assert_uniform(p: FloatArray) -> None:
    """P values (n,) are those of a true null hypothesis: uniform, or a little less often small."""
    for level in (0.05, 0.1, 0.2):
        few = int(np.count_nonzero(p <= level + 1e-9))
        assert binomtest(few, len(p), level, alternative="greater").pvalue > 0.01, level
    # From steps of 1 / 40 to the uniform distribution.
    smooth = p - np.random.default_rng(0).uniform(0, 1 / 40, len(p))
    assert kstest(smooth, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("name", REGIONS)
def test_p_values_of_independent_channels_are_uniform(name: str) -> None:
    found = [independent(REGIONS[name], seed).statistics for seed in range(150)]
    for statistic in STATISTICS:
        assert_uniform(np.array([one[statistic].p_value for one in found]))


@pytest.mark.long
@pytest.mark.parametrize("name", REGIONS)
def test_p_values_of_many_independent_channels_are_uniform(name: str) -> None:
    found = [independent(REGIONS[name], 1000 + seed).statistics for seed in range(2000)]
    for statistic in STATISTICS:
        p = np.array([one[statistic].p_value for one in found])
        assert 0.03 < np.mean(p <= 0.05 + 1e-9) < 0.065
        assert 0.07 < np.mean(p <= 0.1 + 1e-9) < 0.12


def test_scattering_points_anew_would_not_do() -> None:
    """Why the second channel is shifted as a whole: p values against complete spatial randomness
    of clustered independent channels are small far too often.
    """
    small = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        first, _ = clustered(UNIT, rng, 40, 0, 0.03)
        _, points = clustered(UNIT, rng, 25, 20, 0.04)
        lookup = ClusterLookup.of(mixture_at(first, 0.025, UNIT), 95.0, UNIT.box)
        shares = [
            np.mean(lookup.at(x)[0] >= 0)
            for x in (points, *(UNIT.sample(len(points), rng) for _ in range(39)))
        ]
        small += AgainstChance(float(shares[0]), np.array(shares[1:])).p_value <= 0.05
    assert small > 12  # 3 were right


@pytest.mark.parametrize("name", REGIONS)
def test_an_association_is_found(name: str) -> None:
    """Half of the clusters of the second channel, and so of its points, in those of the first."""
    region, found = REGIONS[name], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        first, _ = clustered(region, rng, 40, 0, 0.02)
        own, points = clustered(region, rng, 15, 20, 0.02)
        shared = first[: len(own)]
        together = shared.repeat(20, axis=0) + 0.02 * rng.standard_normal((20 * len(shared), 2))
        second = mixture_at(np.concatenate([own, shared]), 0.02, region)
        found.append(
            compare_channels(
                mixture_at(first, 0.02, region),
                np.concatenate([points, together]),
                second=second,
                n_shifts=99,
                random_state=seed,
            )
        )
    for statistic in STATISTICS:
        p = np.array([one.statistics[statistic].p_value for one in found])
        # Most clusters of the first have no partner in the second, so their distances tell less.
        least = 0.5 if statistic == "first_distance" else 0.8
        assert np.mean(p <= 0.05) >= least, statistic
    assert np.mean([one.inside.ratio for one in found]) > 2


def test_avoidance_is_found() -> None:
    rng = np.random.default_rng(0)
    first = mixture_at(UNIT.sample(60, rng), 0.02, UNIT)
    points = UNIT.sample(4000, rng)
    away = points[compare_channels(first, points, n_shifts=19).component < 0]
    comparison = compare_channels(first, away, n_shifts=99)
    assert comparison.inside.observed == 0
    assert (comparison.inside.p_value, comparison.inside.p_avoidance) == (1.0, 0.01)
    assert "p = 0.01 for avoidance" in summary(comparison, "nm")


# What is asked for


def test_the_same_seed_gives_the_same() -> None:
    one, two, other = (
        independent(DISC, 3),
        independent(DISC, 3),
        compare_channels(
            mixture_at(np.array([[0.5, 0.5]]), 0.1, DISC),
            DISC.sample(50, np.random.default_rng(0)),
            n_shifts=19,
            random_state=1,
        ),
    )
    np.testing.assert_array_equal(one.inside.simulated, two.inside.simulated)
    assert len(other.inside.simulated) == 19


def test_points_outside_of_the_region_do_not_count() -> None:
    rng = np.random.default_rng(0)
    first = mixture_at(DISC.sample(20, rng), 0.03, DISC)
    points = DISC.sample(200, rng)
    beyond = np.concatenate([points, UNIT.sample(300, rng) + 5.0])
    one, two = (compare_channels(first, x, n_shifts=19) for x in (points, beyond))
    assert one.inside.observed == two.inside.observed
    assert (one.n_points, two.n_points) == (200, 200)
    assert (two.component[200:] == -1).all()
    assert "300 points outside of the region left out." in summary(two, None)


def test_without_a_background_no_probability_is_told() -> None:
    mixture = random_mixture(5, 2)
    comparison = compare_channels(mixture, mixture.sample(200, 0)[0], n_shifts=19)
    assert list(comparison.statistics) == ["inside", "point_distance"]
    assert comparison.inside.observed == pytest.approx(0.95, abs=0.05)


def test_the_region_of_both() -> None:
    points = np.array([[0.0, -1.0], [2.0, 0.5]])
    told = mixture_at(np.array([[0.5, 0.5]]), 0.1, DISC)
    assert common_region(told, points) is DISC
    around = mixture_at(np.array([[0.5, 0.5]]), 0.1, Box(UNIT.corners, n_points=100))
    np.testing.assert_array_equal(common_region(around, points).box, [[0, -1], [2, 1]])
    none = random_mixture(3, 2)
    box = np.array([[-9.0, -9.0], [9.0, 9.0]])
    np.testing.assert_array_equal(common_region(none, points, box).box, box)
    assert common_region(none, points).contains(none.means).all()


def test_table_has_a_row_for_each_statistic() -> None:
    comparison = independent(UNIT, 0)
    table = statistics_table(comparison, "nm")
    assert tuple(table["statistic"]) == STATISTICS
    assert tuple(table["unit"]) == ("", "", "nm", "nm", "nm")
    assert (table["lower"] <= table["expected"]).all()
    assert (table["expected"] <= table["upper"]).all()
    np.testing.assert_allclose(table["ratio"], table["observed"] / table["expected"])


MIXTURE = mixture_at(np.array([[0.5, 0.5]]), 0.1, UNIT)
POINTS = UNIT.sample(20, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: compare_channels(MIXTURE, POINTS[:, :1]), "The first channel has 2 dimensions"),
        (lambda: compare_channels(MIXTURE, POINTS + 7), "0 of 20 points .* lie in the region"),
        (lambda: compare_channels(MIXTURE, POINTS, n_shifts=5), "n_shifts must be an integer"),
        (lambda: compare_channels(MIXTURE, POINTS, coverage=100.0), "below 100 percent"),
        (lambda: compare_channels(MIXTURE, POINTS, second=random_mixture(2, 3)), "mixture of the"),
        (
            lambda: compare_channels(
                GaussianMixture(np.empty(0), np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, UNIT),
                POINTS,
            ),
            "no clusters",
        ),
        (
            lambda: compare_channels(
                MIXTURE,
                Mask(np.eye(50, dtype=bool), 0.02).sample(90, np.random.default_rng(0)),
                region=Mask(np.eye(50, dtype=bool), 0.02),
            ),
            "too small a part of its bounding box",
        ),
    ],
    ids=["dimensions", "elsewhere", "shifts", "coverage", "second", "empty", "thin"],
)
def test_wrong_input_is_told(call: Callable[[], object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        call()


@pytest.mark.parametrize(
    ("unit", "header", "factor", "sentences"),
    [
        ("nm", "nm", 1.0, []),
        (None, "", 1.0, []),
        ("nm", "", 1.0, ["The points are in no unit and the model is in nm: both are taken"]),
        (None, "nm", 1.0, ["The points are in nm and the model is in no unit: both are taken"]),
        ("nm", "nm", 2.5, ["lie outside of the field of the first channel: see that both"]),
    ],
    ids=["same", "none", "table", "model", "outside"],
)
def test_doubts_are_a_warning(
    unit: str | None,
    header: str,
    factor: float,
    sentences: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of points all over the field, drawn 2.5 times as large, 84% lie outside of it."""
    save_model(tmp_path / "model.json", replace(model(), unit=unit))
    y, x = factor * Box(BOX).sample(400, np.random.default_rng(0)).T
    in_unit = f" [{header}]" if header else ""
    table = pd.DataFrame({f"x{in_unit}": x, f"y{in_unit}": y})
    table.to_csv(tmp_path / "points.csv", index=False)
    paths = [str(tmp_path / name) for name in ("model.json", "points.csv")]
    assert main(["channels", *paths, "--shifts", "39", "--out", str(tmp_path / "out")]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(told) == len(sentences)
    for line, sentence in zip(told, sentences, strict=True):
        assert sentence in line


@pytest.mark.parametrize("n", [3, 5])
def test_words_of_a_figure_do_not_run_into_each_other(n: int) -> None:
    """Avoidance, with its longer words, in a unit."""
    found = independent(UNIT, 0)
    values = np.linspace(90.0, 110.0, 99)
    statistics = {
        name: AgainstChance(150.0 if one.nearer_is_less else 50.0, values, one.nearer_is_less)
        for name, one in list(found.statistics.items())[:n]
    }
    figure = comparison_figure(replace(found, statistics=statistics), "nm")
    figure.draw_without_rendering()
    words = [
        part.get_window_extent()
        for axes in figure.axes
        if (legend := axes.get_legend()) is not None
        for part in (legend, axes.xaxis.label, axes.yaxis.label)
    ]
    assert len(words) == 3 * n
    assert not any(one.overlaps(other) for one, other in combinations(words, 2))
    assert all(figure.bbox.padded(1).fully_overlaps(one) for one in words)
