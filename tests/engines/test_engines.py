"""All engines against the direct float64 sum, and against each other."""

import numpy as np
import pytest
from oracles import ENGINES_AND_DEVICES, hold, random_mixture

from napari_sparse_gmm import GaussianMixture, engines
from napari_sparse_gmm.engines import TorchTiles, pattern
from napari_sparse_gmm.engines.fused import Fused
from napari_sparse_gmm.engines.keops import KeOps
from napari_sparse_gmm.engines.statistics import Statistics
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Box, Hull, Intensity, Polygon
from napari_sparse_gmm.regions.pixels import Lattice

ENGINES = [
    pytest.param(TorchTiles, id="torch"),
    pytest.param(KeOps, id="keops"),
    pytest.param(Fused, id="fused"),
]


def hard_case(
    n_dimensions: int, background_weight: float = 0.2
) -> tuple[GaussianMixture, np.ndarray]:
    """A field 10^4 times wider than a component, far from the origin."""
    mixture = random_mixture(
        10, n_dimensions, background_weight=background_weight, field=1e4, offset=3e6, sigma=0.7
    )
    points, _ = mixture.sample(3000, random_state=1)
    return mixture, points


def expected_statistics(mixture, points, weight):
    r = mixture.responsibilities(points)
    k = mixture.n_components
    w_r = r[:, :k] * weight[:, None]
    d = points[:, None] - mixture.means
    return {
        "counts": w_r.sum(0),
        "shifts": np.einsum("nj,njk->jk", w_r, d),
        "scatters": np.einsum("nj,njk,njl->jkl", w_r, d, d),
        "background_count": (r[:, k:].sum(1) * weight).sum(),
        "log_likelihood": (mixture.log_density(points) * weight).sum(),
        "removal": (np.log(np.maximum(1 - r[:, :k], 1e-7)) * weight[:, None]).sum(0),
    }


@pytest.mark.parametrize("background_weight", [0.0, 0.2], ids=["pure", "background"])
@pytest.mark.parametrize("n_dimensions", [1, 2, 3, 4])
@pytest.mark.parametrize(("engine", "device"), ENGINES_AND_DEVICES)
def test_log_density_is_that_of_the_direct_sum(engine, n_dimensions, background_weight, device):
    mixture, points = hard_case(n_dimensions, background_weight)
    values = hold(points, engine=engine, device=device).log_density(mixture)
    np.testing.assert_allclose(values, mixture.log_density(points), rtol=0, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n_dimensions", [1, 2, 3, 4])
def test_double_precision(engine, n_dimensions):
    mixture = random_mixture(5, n_dimensions, background_weight=0.2, field=4.0)
    points, _ = mixture.sample(2000, random_state=1)
    weight = np.random.default_rng(2).integers(0, 4, len(points)).astype(float)
    own = hold(points, weight, engine=engine, dtype=np.float64)
    found = own.log_density(mixture)
    np.testing.assert_allclose(found, mixture.log_density(points), rtol=1e-9, atol=1e-9)
    statistics = own.expectation(mixture, removal=True)
    for name, value in expected_statistics(mixture, points, weight).items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(
            getattr(statistics, name) / scale, value / scale, rtol=0, atol=1e-9, err_msg=name
        )
    probability = mixture.responsibilities(points).max(1)
    np.testing.assert_allclose(own.assign(mixture).probability, probability, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "region",
    [
        Box([[2.0, 1.0], [8.0, 7.0]]),
        Hull([[5.0, 0.0], [9.0, 4.0], [6.0, 9.0], [1.0, 6.0]]),
        Polygon([[0.0, 0.0], [9.0, 0.0], [9.0, 9.0], [5.0, 2.0], [0.0, 9.0]]),
        Hull(5.0 + 4.0 * np.vstack([np.eye(3), -np.eye(3)])),
        Intensity(np.arange(81.0).reshape(9, 9) % 10, 1.0, 0.5),
        Intensity(np.arange(1.0, 82.0).reshape(9, 9) ** 3, 1.0, 0.5, Box([[0.0, 0.0], [8.0, 9.0]])),
    ],
    ids=["box", "hull", "polygon", "hull in 3D", "image with holes", "image in a box"],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_background_of_any_shape(engine, region, dtype):
    """Points on both sides of its border, in the same blocks."""
    d = region.n_dimensions
    local = random_mixture(5, d, field=10.0)
    mixture = GaussianMixture(0.7 * local.weights, local.means, local.covariances, 0.3, region)
    points = np.random.default_rng(0).uniform(-2.0, 12.0, (3000, d))
    weight = np.random.default_rng(1).uniform(0.0, 2.0, 3000)
    own, expected = (
        hold(points, weight, engine=engine, dtype=dtype),
        mixture.responsibilities(points),
    )
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    found = own.log_density(mixture)
    np.testing.assert_allclose(
        found, mixture.log_density(points), rtol=tolerance / 10, atol=tolerance
    )
    count = own.expectation(mixture).background_count
    assert count == pytest.approx(weight @ expected[:, -1], rel=tolerance)
    assigned = own.assign(mixture)
    np.testing.assert_allclose(assigned.probability, expected.max(1), atol=tolerance)
    labels = np.where(expected.argmax(1) == 5, -1, expected.argmax(1))
    assert (assigned.component == labels).mean() > 0.999


@pytest.mark.parametrize("engine", ENGINES)
def test_the_points_of_the_background_are_counted_in_pixels(engine):
    mixture, points = hard_case(2)
    weight = np.random.default_rng(1).uniform(0.0, 2.0, len(points))
    lattice = Lattice.over(mixture.background_region.box, (3, 4))
    found = hold(points, weight, engine=engine).background_counts(mixture, lattice)
    shares = weight * mixture.responsibilities(points)[:, -1]
    lower, upper = lattice.box([0, 0], lattice.shape)
    pixels = np.clip(np.floor((points - lower) / (upper - lower) * [3, 4]), 0, [2, 3]).astype(int)
    expected = np.zeros((3, 4))
    np.add.at(expected, tuple(pixels.T), shares)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert found.sum() == pytest.approx(shares.sum(), rel=1e-4)


def test_single_precision_alone_would_not_pass(monkeypatch):
    """The case above is hard: if no block were computed in double, the error is over the bound."""
    mixture, points = hard_case(2, 0.0)
    for name in ("WIDEST", "LARGEST_PRODUCT"):
        monkeypatch.setattr(pattern, name, 1e300)
    error = np.abs(hold(points).log_density(mixture) - mixture.log_density(points))
    assert error.max() > 1e-4


def cluster_in_a_corner(side):
    """A cluster of 90 points in the corner of a block, `side` standard deviations wide."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(90, 2)), rng.uniform(-4, side - 4, (38, 2))])
    box = np.stack([points.min(0), points.max(0)])
    return GaussianMixture([0.7], [[0.1, -0.1]], [np.eye(2)], 0.3, box), points


@pytest.mark.parametrize("scale", [1e-25, 1e-20, 1e-6, 1e6, 1e20])
@pytest.mark.parametrize("n_points", [1, 40])
@pytest.mark.parametrize("engine", ENGINES)
def test_lengths_of_any_size(engine, n_points, scale):
    """Also a single point, which has no size to go by."""
    mixture = random_mixture(3, 2, background_weight=0.2, field=4.0).transformed(scale)
    points, _ = mixture.sample(n_points, random_state=1)
    held = hold(points, engine=engine)
    expected = mixture.log_density(points)
    np.testing.assert_allclose(held.log_density(mixture), expected, rtol=1e-6)
    statistics = held.expectation(mixture)
    assert statistics.log_likelihood == pytest.approx(expected.sum(), rel=1e-5)
    assert statistics.counts.sum() + statistics.background_count == pytest.approx(
        n_points, rel=1e-5
    )


@pytest.mark.parametrize("side", [10.0, 100.0])
@pytest.mark.parametrize("engine", ENGINES)
def test_moments_of_a_cluster_in_the_corner_of_a_wide_block(engine, side):
    mixture, points = cluster_in_a_corner(side)
    exact = hold(points, dtype=np.float64).expectation(mixture)
    single = hold(points, engine=engine).expectation(mixture)
    np.testing.assert_allclose(single.scatters, exact.scatters, atol=1.5e-3 * 90)
    np.testing.assert_allclose(single.shifts, exact.shifts, atol=1.5e-3 * 90)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_narrow_background_region_counts_for_the_points_inside_only(engine):
    """Also in blocks that lie across its border."""
    mixture = GaussianMixture([0.5], [[0.0, 0.0]], [np.eye(2)], 0.5, [[-1, -1], [1, 1]])
    points = np.random.default_rng(0).normal(size=(3000, 2))
    held = hold(points, engine=engine)
    np.testing.assert_allclose(
        held.log_density(mixture), mixture.log_density(points), rtol=0, atol=1e-4
    )
    assert held.expectation(mixture).background_count == pytest.approx(
        mixture.responsibilities(points)[:, 1].sum(), rel=1e-5
    )


@pytest.mark.parametrize("distance", [20.0, 1e2, 1e3, 1e4])
@pytest.mark.parametrize("engine", ENGINES)
def test_points_far_from_everything(engine, distance):
    """A small block whose log density is a large number."""
    mixture = GaussianMixture([0.5, 0.5], [[0.0, 0.0], [1.0, 0.0]], [np.eye(2)] * 2)
    points = np.random.default_rng(0).normal((0.5, distance), 1.0, (200, 2))
    expected = mixture.log_density(points)
    np.testing.assert_allclose(
        hold(points, engine=engine).log_density(mixture), expected, rtol=1e-12, atol=2e-4
    )


@pytest.mark.parametrize("weight", [1e-40, 1e37])
@pytest.mark.parametrize("engine", ENGINES)
def test_weights_of_any_size(engine, weight):
    mixture = random_mixture(5, 2, background_weight=0.2, field=4.0)
    points, _ = mixture.sample(500, random_state=1)
    plain = hold(points, engine=engine).expectation(mixture, removal=True)
    scaled = hold(points, np.full(500, weight), engine=engine).expectation(mixture, removal=True)
    for name in ("counts", "scatters", "background_count", "log_likelihood", "removal"):
        np.testing.assert_allclose(
            np.asarray(getattr(scaled, name)) / weight, getattr(plain, name), rtol=1e-5
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_background_alone_that_points_lie_outside_of(engine):
    mixture = GaussianMixture([], np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, [[0, 0], [1, 1]])
    points = np.random.default_rng(0).uniform(0, 2, (100, 2))
    inside = (points < 1).all(1).sum()
    assert hold(points, engine=engine).expectation(mixture).background_count == pytest.approx(
        inside
    )
    weight = (points < 1).all(1).astype(float)  # what lies outside weighs nothing
    weighted = hold(points, weight, engine=engine).expectation(mixture)
    assert weighted.log_likelihood == pytest.approx(0.0)


@pytest.mark.parametrize("n_dimensions", [1, 2, 3, 4])
@pytest.mark.parametrize(("engine", "device"), ENGINES_AND_DEVICES)
def test_statistics_are_those_of_the_direct_sum(engine, n_dimensions, device):
    # Clusters that overlap, and weights of which some are zero.
    mixture = random_mixture(5, n_dimensions, background_weight=0.2, field=4.0)
    points, _ = mixture.sample(2000, random_state=1)
    weight = np.random.default_rng(2).integers(0, 4, len(points)).astype(float)
    statistics = hold(points, weight, engine=engine, device=device).expectation(
        mixture, removal=True
    )
    expected = expected_statistics(mixture, points, weight)
    for name, value in expected.items():
        scale = np.abs(value).max()
        # 1 - r has few digits left where r is nearly 1; what it is for, a ranking, needs few.
        tolerance = 0.02 if name == "removal" else 2e-5
        np.testing.assert_allclose(
            getattr(statistics, name) / scale, value / scale, rtol=0, atol=tolerance, err_msg=name
        )
    assert statistics.total_weight == weight.sum()


@pytest.mark.parametrize("background_weight", [0.0, 0.2], ids=["pure", "background"])
@pytest.mark.parametrize("n_dimensions", [1, 2, 3, 4])
@pytest.mark.parametrize(("engine", "device"), ENGINES_AND_DEVICES)
def test_points_are_assigned_as_by_the_direct_sum(engine, n_dimensions, background_weight, device):
    for mixture, points in (
        hard_case(n_dimensions, background_weight),
        with_sample(random_mixture(5, n_dimensions, background_weight=background_weight, field=4)),
    ):
        assignment = hold(points, engine=engine, device=device).assign(mixture)
        r = mixture.responsibilities(points)
        np.testing.assert_allclose(assignment.probability, r.max(1), rtol=0, atol=1e-4)
        np.testing.assert_allclose(
            assignment.log_density, mixture.log_density(points), rtol=0, atol=1e-4
        )
        # The one that was taken is the most probable, or as probable to rounding.
        np.testing.assert_allclose(
            np.take_along_axis(r, assignment.component[:, None], 1)[:, 0], r.max(1), atol=1e-4
        )


def with_sample(mixture):
    return mixture, mixture.sample(2000, random_state=1)[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_lies_outside_of_everything_belongs_to_no_component(engine):
    """A background alone; and one beside a component that is far away."""
    box = [[0, 0], [1, 1]]
    alone = GaussianMixture([], np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, box)
    both = GaussianMixture([0.5], [[50.0, 0.5]], [np.eye(2)], 0.5, box)
    points = np.array([[0.5, 0.5], [2.0, 0.5], [50.0, 0.0]])
    assignment = hold(points, engine=engine).assign(alone)
    np.testing.assert_array_equal(assignment.component, [-1, -1, -1])
    np.testing.assert_array_equal(assignment.probability, [1, 0, 0])
    np.testing.assert_array_equal(assignment.log_density, [0, -np.inf, -np.inf])
    assignment = hold(points, engine=engine).assign(both)
    np.testing.assert_array_equal(assignment.component, [-1, 0, 0])
    np.testing.assert_allclose(assignment.probability, 1, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_statistics_of_the_parts_sum_to_those_of_the_whole(engine):
    mixture, points = hard_case(2)
    whole = hold(points, engine=engine).expectation(mixture)
    parts = Statistics.joining(
        [
            hold(points[some], engine=engine).expectation(mixture)
            for some in (slice(1000), slice(1000, None))
        ]
    )
    for name in ("counts", "shifts", "scatters", "background_count", "log_likelihood"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("engine", ENGINES)
def test_some_blocks_alone(engine):
    mixture, points = hard_case(2)
    held = hold(points, engine=engine, block_size=32)
    rows = np.array([2, 3, 11, 40])
    some = held.expectation(mixture, cells=rows, removal=True)
    there = np.concatenate(
        [held.blocks.order[held.blocks.starts[r] : held.blocks.starts[r + 1]] for r in rows]
    )
    alone = hold(points[there], engine=engine).expectation(mixture, removal=True)
    for name in ("counts", "shifts", "scatters", "background_count", "log_likelihood", "removal"):
        tolerance = 0.02 if name == "removal" else 1e-4
        np.testing.assert_allclose(
            getattr(some, name), getattr(alone, name), rtol=tolerance, atol=1e-2, err_msg=name
        )
    np.testing.assert_allclose(
        some.cell_log_likelihoods[rows],
        held.expectation(mixture).cell_log_likelihoods[rows],
        rtol=1e-6,
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_no_component_leaves_the_background(engine):
    mixture = GaussianMixture([], np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, [[0, 0], [2, 5]])
    points = np.random.default_rng(0).uniform(0, 2, (20, 2))
    statistics = hold(points, engine=engine).expectation(mixture)
    assert statistics.background_count == pytest.approx(20)
    assert statistics.log_likelihood == pytest.approx(20 * np.log(0.1))


def test_more_points_than_a_tile_holds(monkeypatch):
    from napari_sparse_gmm.engines import torch_tiles

    monkeypatch.setitem(torch_tiles.TILE_ELEMENTS, "cpu", 64)
    mixture, points = hard_case(2)
    np.testing.assert_allclose(
        engines.log_density(mixture, Observations(points), engine="torch"),
        mixture.log_density(points),
        atol=1e-4,
    )
