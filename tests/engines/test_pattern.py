"""Blocks of neighbours, and the guarantee on what is left out between them and components."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import hold, random_mixture

from napari_sparse_gmm import GaussianMixture, Intensity
from napari_sparse_gmm.engines.blocks import halves, kd_order, ordered
from napari_sparse_gmm.engines.pattern import find_pattern, ragged


@pytest.mark.parametrize("n", [1, 2, 63, 64, 1000, 1025])
@pytest.mark.parametrize("n_dimensions", [1, 2, 5])
def test_blocks_hold_every_point_once(n, n_dimensions):
    points = np.random.default_rng(0).standard_normal((n, n_dimensions))
    blocks = ordered(points, 64)[0]
    assert sorted(blocks.order) == list(range(n))
    for row in range(len(blocks)):
        inside = points[blocks.order[blocks.starts[row] : blocks.starts[row + 1]]]
        np.testing.assert_array_equal(blocks.boxes.lower[row], inside.min(0))
        np.testing.assert_array_equal(blocks.boxes.upper[row], inside.max(0))
    ends, boxes = blocks.tree
    assert ends[1] == 1
    np.testing.assert_array_equal(boxes.lower[0], points.min(0))


def test_blocks_are_compact():
    """Blocks of 64 of N uniform points tile the square: their areas sum to little more than it."""
    points = np.random.default_rng(0).random((64 * 256, 2))
    half = ordered(points, 64)[0].boxes.half
    assert 4 * half.prod(1).sum() < 1.0
    assert (half.max(1) < 4 * half.min(1)).mean() > 0.95


def test_halves_differ_by_one_at_most():
    sizes = np.diff(halves(1001, 5))
    assert len(sizes) == 32
    assert sizes.sum() == 1001
    assert set(sizes) == {31, 32}


def test_ragged():
    np.testing.assert_array_equal(ragged(np.array([5, 0, 7]), np.array([2, 0, 3])), [5, 6, 7, 8, 9])
    assert len(ragged(np.array([], dtype=int), np.array([], dtype=int))) == 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_dimensions=st.integers(1, 4),
    background=st.sampled_from([0.0, 1e-6, 0.3]),
    field=st.sampled_from([3.0, 50.0, 3000.0]),
    tolerance=st.sampled_from([1e-2, 1e-5]),
    even=st.booleans(),
)
def test_what_is_left_out_is_below_the_tolerance(
    seed, n_dimensions, background, field, tolerance, even
):
    """Thin, broad, far: the log density stays that near to the dense sum, everywhere."""
    mixture = random_mixture(40, n_dimensions, background_weight=background, field=field, seed=seed)
    rng = np.random.default_rng(seed)
    sizes = 10.0 ** rng.uniform(-2, 2, 40)
    region = mixture.background_region
    if region is not None and not even:
        image = 10.0 ** rng.uniform(-6, 6, (4,) * n_dimensions)
        spacing = (region.box[1] - region.box[0]) / 4
        region = Intensity(image, spacing, region.box[0] + spacing / 2)
    mixture = GaussianMixture(
        mixture.weights,
        mixture.means,
        mixture.covariances * sizes[:, None, None],
        mixture.background_weight,
        region,
    )
    points, _ = mixture.sample(300, random_state=seed)
    points = np.concatenate([points, rng.uniform(-2 * field, 3 * field, (100, n_dimensions))])
    engine = hold(points, dtype=np.float64, tolerance=tolerance, block_size=16)
    dense = mixture.log_density(points)
    sparse = engine.log_density(mixture)
    scale = np.maximum(1.0, 1e-3 * np.abs(dense))  # rounding, far out, where log p is -10^9
    assert (np.abs(sparse - dense) <= tolerance + 1e-6 * scale).all()
    # Left out, not changed: the sum of less is less.
    assert (sparse <= dense + 1e-6 * scale).all()


def test_far_components_are_left_out():
    mixture = random_mixture(200, 2, background_weight=0.2, field=1000.0)
    points, _ = mixture.sample(20_000, random_state=0)
    blocks = ordered(points, 64)[0]
    pattern = find_pattern(blocks, mixture, 1e-5)
    assert len(pattern) < 0.03 * len(blocks) * 200
    assert len(find_pattern(blocks, mixture, 0.0)) == len(blocks) * 200


def test_a_broad_component_does_not_make_the_others_dense():
    local = random_mixture(200, 2, field=1000.0)
    points, _ = local.sample(20_000, random_state=0)
    blocks = ordered(points, 64)[0]
    broad = GaussianMixture(
        np.append(0.8 * local.weights, 0.2),
        np.vstack([local.means, [500.0, 500.0]]),
        np.concatenate([local.covariances, [1e6 * np.eye(2)]]),
    )
    before, after = (find_pattern(blocks, m, 1e-5) for m in (local, broad))
    assert len(after) <= len(before) + len(blocks)


@pytest.mark.parametrize("noisy", [False, True], ids=["exact", "noisy"])
@pytest.mark.parametrize("n_rows", [1, 5, 70, 128])
def test_the_pattern_of_some_blocks_is_theirs(noisy, n_rows):
    mixture = random_mixture(50, 3, background_weight=0.2, field=100.0)
    points, _ = mixture.sample(5000, random_state=0)
    rng = np.random.default_rng(0)
    blocks = ordered(points, 32, rng.random(points.shape) if noisy else None)[0]
    rows = np.sort(rng.choice(len(blocks), n_rows, replace=False))
    whole, some = find_pattern(blocks, mixture, 1e-5), find_pattern(blocks, mixture, 1e-5, rows)
    chosen = np.zeros(len(blocks), dtype=bool)
    chosen[rows] = True
    expected = whole.among(chosen)
    for name in ("rows", "counts", "components", "double"):
        np.testing.assert_array_equal(getattr(some, name), getattr(expected, name))


@pytest.mark.parametrize("kind", ["uniform", "lattice", "one position", "line"])
@pytest.mark.parametrize("n", [1, 9, 1000, 20_011])
def test_the_order_halves_every_node_across_its_longest_side(kind, n):
    rng = np.random.default_rng(0)
    points = {
        "uniform": rng.random((n, 3)),
        "lattice": rng.integers(0, 5, (n, 3)).astype(float),
        "one position": np.ones((n, 3)),
        "line": np.outer(rng.random(n), [1.0, 0.0, 0.0]),
    }[kind]
    order, placed = kd_order(points)
    assert (np.sort(order) == np.arange(n)).all()
    np.testing.assert_array_equal(placed, points[order])
    for level in range(max(0, int(np.log2(n / 8)))):
        edges, halved = halves(n, level), halves(n, level + 1)
        for first, middle, last in zip(edges[:-1], halved[1::2], edges[1:], strict=True):
            node = placed[first:last]
            axis = np.ptp(node, axis=0).argmax()
            assert node[: middle - first, axis].max() <= node[middle - first :, axis].min()
