"""Regions, against geometry that is known and against drawing."""

import json
import pickle
import tracemalloc
from base64 import b64encode
from zlib import compress

import numpy as np
import pytest
from oracles import hold, random_mixture

from napari_sparse_gmm import (
    Box,
    GaussianMixture,
    Hull,
    Intensity,
    Mask,
    Polygon,
    Prism,
    SparseGaussianMixture,
)
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.regions import region_from_dict
from napari_sparse_gmm.shapes.grid import Grid, heatmap

DISC = [[np.cos(t), np.sin(t)] for t in np.linspace(0, 2 * np.pi, 400, endpoint=False)]
TURN = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])


def checkers() -> np.ndarray:
    return np.indices((6, 4)).sum(0) % 3 > 0


def image() -> np.ndarray:
    """Of 6 x 4 pixels, 0 where `checkers` is false."""
    return np.random.default_rng(0).uniform(0.2, 5.0, (6, 4)) * checkers()


REGIONS = {
    "box": (Box([[-1.0, 2.0], [1.0, 5.0]]), 6.0),
    "triangle": (Polygon([[0.0, 0.0], [0.0, 4.0], [3.0, 0.0]]), 6.0),
    "two squares that overlap": (
        Polygon([[0, 0], [0, 2], [2, 2], [2, 0]], [[1, 1], [1, 3], [3, 3], [3, 1]]),
        7.0,
    ),
    "bow tie": (Polygon([[0, 0], [2, 2], [2, 0], [0, 2]]), 2.0),
    "hull": (Hull([[0, 0], [4, 0], [0, 3], [1, 1]]), 6.0),
    "octahedron": (Hull(np.vstack([np.eye(3), -np.eye(3)])), 4.0 / 3.0),
    "mask": (Mask(checkers(), [0.5, 2.0], [3.0, -1.0]), checkers().sum()),
    "turned mask": (Mask(checkers(), 2.0 * TURN, [5.0, 7.0]), 4.0 * checkers().sum()),
    "prism": (Prism(Box([[2.0], [2.5]]), Polygon(DISC)), 0.5 * np.pi),
    "prism of pixels": (Prism(Box([[0.0], [4.0]]), Mask(checkers(), 0.5)), checkers().sum()),
    "image": (Intensity(image(), 2.0 * TURN, [5.0, 7.0]), 4.0 * checkers().sum()),
    "image in a triangle": (
        Intensity(image() + 0.5, 1.0, [0.5, 0.5], Polygon([[0.0, 0.0], [0.0, 4.0], [3.0, 0.0]])),
        6.0,
    ),
    "image with holes in a box": (
        Intensity(image(), 1.0, [0.5, 0.5], Box([[0.0, 0.0], [6.0, 4.0]])),
        checkers().sum(),
    ),
    "prism of an image": (Prism(Box([[0.0], [4.0]]), Intensity(image(), 0.5)), checkers().sum()),
}

each_region = pytest.mark.parametrize(("region", "volume"), REGIONS.values(), ids=REGIONS)


@each_region
def test_the_volume_is_known(region, volume):
    assert region.volume == pytest.approx(volume, rel=1e-4)


@each_region
def test_the_volume_is_the_share_of_the_box_that_it_contains(region, volume):
    lower, upper = region.box
    points = np.random.default_rng(0).uniform(lower, upper, (20_000, region.n_dimensions))
    share = region.contains(points).mean()
    assert share == pytest.approx(volume / np.prod(upper - lower), abs=0.015)
    outside = np.vstack([lower - 0.01 * (upper - lower), upper + 0.01 * (upper - lower)])
    assert not region.contains(outside).any()


@each_region
def test_what_is_drawn_is_as_dense_as_the_region_says(region, volume):
    # In each of 4^D boxes as many as its share of all, which the pixels of a fine grid tell.
    d, n, fine = region.n_dimensions, 100_000, {2: 400, 3: 80}[region.n_dimensions]
    lower, upper = region.box
    axes = [a + (b - a) * (np.arange(fine) + 0.5) / fine for a, b in region.box.T]
    intensity = np.exp(region.log_intensity_grid(axes))
    assert intensity[intensity > 0].mean() == pytest.approx(1.0, abs=0.02)
    assert intensity[intensity > 0].min() == pytest.approx(np.exp(region.least_log_intensity))
    shares = intensity.reshape([side for _ in range(d) for side in (4, fine // 4)])
    shares = shares.sum(tuple(range(1, 2 * d, 2))) / intensity.sum()
    points = region.sample(n, np.random.default_rng(0))
    boxes = np.clip(((points - lower) / (upper - lower) * 4).astype(int), 0, 3)
    found = np.zeros(shares.shape)
    np.add.at(found, tuple(boxes.T), 1.0 / n)
    np.testing.assert_allclose(found, shares, atol=5 * np.sqrt(0.25 / n))


NEEDLES = {
    "hull": Hull([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5 + 1e-9]]),
    "far away": Hull(np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5 + 1e-5]]) + 1e6),
    "polygon": Polygon([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5 + 1e-9]]),
    "two polygons": Polygon(
        [[0.0, 0.0], [1.0, 1.0], [0.5, 0.5 + 1e-9]], [[5.0, 5.0], [6.0, 6.0], [5.5, 5.5 + 1e-9]]
    ),
    "a spike": Polygon([[0, 0], [0, 1e-9], [1e-9, 1e-9], [1e-9, 0], [1, 0], [1e-9, 0]]),
    "simplex": Hull(np.vstack([np.zeros(6), np.eye(6)])),
    "mask": Mask(np.eye(1, 1 << 22, 77, dtype=bool)),
    "prism": Prism(Box([[0.0], [1.0]]), Hull([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5 + 1e-9]])),
}


@pytest.mark.parametrize("region", NEEDLES.values(), ids=NEEDLES)
def test_a_thin_region_is_drawn_from_at_once(region):
    points = region.sample(2_000, np.random.default_rng(0))
    lower, upper = region.box
    assert ((points >= lower - 1e-9) & (points <= upper + 1e-9)).all()
    if not isinstance(region, Polygon):  # of one as thin as rounding a place on it may lie beside
        assert region.contains(points).mean() > 0.5


def test_a_triangle_has_the_moments_of_a_triangle():
    corners = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5 + 1e-9]])
    centre = corners.mean(0)
    # Of a uniform density on a triangle: Sigma = sum (v - c) (v - c)^T / 12.
    covariance = (corners - centre).T @ (corners - centre) / 12
    for region in (Hull(corners), Polygon(corners)):
        points = region.sample(200_000, np.random.default_rng(0))
        np.testing.assert_allclose(points.mean(0), centre, atol=0.003)
        np.testing.assert_allclose(np.cov(points.T), covariance, rtol=0.02)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(
            lambda: Hull(np.random.default_rng(0).normal(size=(300, 11))),
            "in 11 dimensions has too many sides",
            id="hull in 11 dimensions",
        ),
        pytest.param(
            lambda: region_from_dict({"kind": "hull", "corners": np.ones((10_000, 6)).tolist()}),
            "10,000 corners has too many sides",
            id="hull of many corners",
        ),
        pytest.param(
            lambda: Polygon(np.random.default_rng(0).random((500, 2))),
            "crosses itself more than 2,000 times",
            id="polygon that crosses itself",
        ),
        pytest.param(
            lambda: Polygon(*np.random.default_rng(0).random((3000, 3, 2))),
            "cross each other more than 50,000 times",
            id="triangles that cross",
        ),
        pytest.param(
            lambda: Polygon(np.random.default_rng(0).random((200_000, 2))),
            "100,000 corners at most",
            id="polygon of many corners",
        ),
        pytest.param(
            lambda: Mask(np.broadcast_to(True, (1 << 18, 1 << 18))),
            "262144 x 262144 pixels is too large",
            id="mask",
        ),
        pytest.param(
            lambda: region_from_dict(
                {
                    "kind": "mask",
                    "shape": [1 << 18, 1 << 18],
                    "packed_bits": "",
                    "spacing": 1.0,
                    "origin": 0.0,
                }
            ),
            "262144 x 262144 pixels is too large",
            id="packed mask",
        ),
        pytest.param(lambda: Mask(np.ones((2, 2)), np.ones(3)), "broadcast", id="spacing"),
    ],
)
def test_what_would_take_for_ever_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_no_more_is_unpacked_than_a_mask_has():
    bomb = {**Mask(np.ones((4, 4))).to_dict(), "packed_bits": b64encode(compress(bytes(1 << 28)))}
    tracemalloc.start()
    with pytest.raises(InputError, match="some pixels that are true"):
        region_from_dict(bomb)
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


@pytest.mark.parametrize("n", [40, 60, 100])
def test_a_polygon_that_crosses_itself_some_times_is_taken_apart(n):
    corners = np.random.default_rng(0).random((n, 2))
    region = Polygon(corners)
    assert region.contains(region.sample(1_000, np.random.default_rng(0))).mean() > 0.99


@each_region
def test_what_is_drawn_lies_in_it(region, volume):
    points = region.sample(4_000, np.random.default_rng(0))
    assert points.shape == (4_000, region.n_dimensions)
    assert region.contains(points).all()


@each_region
def test_a_covered_box_has_no_point_outside(region, volume):
    rng = np.random.default_rng(0)
    lower, upper = region.box
    low = rng.uniform(lower, upper, (500, region.n_dimensions))
    high = low + rng.uniform(0.0, 0.2, low.shape) * (upper - lower)
    covered = region.covers(low, high)
    assert covered.any()
    assert not covered.all()
    for one_low, one_high in zip(low[covered][:50], high[covered][:50], strict=True):
        assert region.contains(rng.uniform(one_low, one_high, (200, len(low[0])))).all()


@each_region
def test_a_grid_is_its_points(region, volume):
    axes = [np.linspace(low - 0.1, high + 0.1, 9) for low, high in region.box.T]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    wanted = region.contains(points.reshape(-1, len(axes))).reshape(points.shape[:-1])
    np.testing.assert_array_equal(region.contains_grid(axes), wanted)
    wanted = region.log_intensity(points.reshape(-1, len(axes))).reshape(wanted.shape)
    np.testing.assert_array_equal(region.log_intensity_grid(axes), wanted)
    np.testing.assert_array_equal(wanted > -np.inf, region.contains_grid(axes))


@each_region
def test_comes_back_from_json_and_pickle(region, volume):
    lower, upper = region.box
    points = np.random.default_rng(0).uniform(lower, upper, (500, region.n_dimensions))
    again = region_from_dict(json.loads(json.dumps(region.to_dict())))
    for copy in (again, pickle.loads(pickle.dumps(region))):
        np.testing.assert_array_equal(copy.log_intensity(points), region.log_intensity(points))
        assert copy.volume == region.volume


@each_region
def test_moves_with_its_points(region, volume):
    d = region.n_dimensions
    scale, offset = np.array([2.0, 0.5, 3.0])[:d], np.array([10.0, -5.0, 1.0])[:d]
    lower, upper = region.box
    points = np.random.default_rng(0).uniform(lower, upper, (500, d))
    moved = region.transformed(scale, offset)
    np.testing.assert_array_equal(
        moved.log_intensity(points * scale + offset), region.log_intensity(points)
    )
    assert moved.volume == pytest.approx(region.volume * scale.prod())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Box([[0.0, 1.0], [1.0, 1.0]]), "below"),
        (lambda: Polygon([[0.0, 0.0], [1.0, 1.0]]), "three corners"),
        (lambda: Polygon([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), "area"),
        (lambda: Polygon([[0.0, 0.0], [1.0, np.nan], [2.0, 2.0]]), "finite"),
        (lambda: Hull([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), "line or plane"),
        (lambda: Hull([[0.0], [1.0], [2.0]]), "line or plane"),
        (lambda: Mask(np.zeros((3, 3))), "true"),
        (lambda: Mask(np.ones((3, 3)), 0.0), "volume"),
        (lambda: Intensity(np.ones((3, 3)), 0.0), "volume"),
        (lambda: Intensity(np.zeros((3, 3))), "0 everywhere"),
        (lambda: Intensity([[1.0, -1.0]]), "may not be negative"),
        (lambda: Intensity([[1.0, np.inf]]), "finite"),
        (lambda: Intensity([[1.0, 0.0]], region=Box([[-0.5, 0.5], [0.5, 1.5]])), "all over"),
        (lambda: Intensity(np.ones((3, 3)), region=Box([[0.0, 0.0], [3.0, 2.0]])), "beyond"),
        (lambda: Intensity(np.ones((3, 3)), region=Box([[0.0], [1.0]])), "2 axes, the region 1"),
    ],
)
def test_what_is_no_region_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


@pytest.mark.parametrize("n_dimensions", [2, 3])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_a_hull_holds_its_points(n_dimensions, offset):
    points = offset + np.random.default_rng(0).normal(size=(500, n_dimensions))
    hull = Hull(points)
    assert hull.contains(points).all()
    outwards = hull.corners + 1e-3 * (hull.corners - points.mean(0))
    assert not hull.contains(outwards).any()


def on_region(region: Polygon, seed: int = 0) -> GaussianMixture:
    mixture = random_mixture(4, 2, seed=seed, field=1.0)
    return GaussianMixture(
        0.5 * mixture.weights, mixture.means - 0.5, 0.01 * mixture.covariances, 0.5, region
    )


@pytest.mark.parametrize(
    "region",
    [Polygon(DISC), Intensity(image() + 0.1, 0.4, [-1.0, -0.6], Polygon(0.6 * np.array(DISC)))],
)
def test_the_density_integrates_to_one(region):
    mixture = on_region(region)
    grid = Grid.covering([-2.0, -2.0], [2.0, 2.0], longest_side=400)
    image = heatmap(mixture, grid, engine="torch", device="cpu")
    assert float(image.sum() * grid.pixel_volume) == pytest.approx(1.0, abs=2e-3)
    axes = np.meshgrid(*(grid.coordinates(np.arange(n)[:, None])[:, :1] for n in grid.shape))
    points = np.stack([axes[1].ravel(), axes[0].ravel()], axis=1)
    wanted = mixture.density(points).reshape(grid.shape)
    np.testing.assert_allclose(image, wanted, rtol=2e-4, atol=1e-12)


@pytest.mark.parametrize(
    "region",
    [
        REGIONS["turned mask"][0],
        Polygon(DISC),
        REGIONS["image"][0],
        REGIONS["image in a triangle"][0],
    ],
)
def test_an_engine_knows_the_region(region):
    mixture = on_region(region)
    points = np.random.default_rng(0).uniform(*region.box, (3_000, 2))
    engine = hold(points, block_size=32)
    np.testing.assert_allclose(
        engine.log_density(mixture), mixture.log_density(points), rtol=1e-6, atol=1e-4
    )
    statistics = engine.expectation(mixture)
    background = mixture.responsibilities(points)[:, -1].sum()
    assert statistics.background_count == pytest.approx(background, rel=1e-4)


@pytest.mark.parametrize("prior", ["sqrt", "mml", "none", "bayes"])
@pytest.mark.parametrize("n_dimensions", [2, 3])
def test_the_share_of_the_background_comes_back(prior, n_dimensions):
    """Scattered in a cell with a foot: half of its bounding box is empty."""
    square = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    region = Polygon(10.0 * square, 2.0 * square + [14.0, 0.0])
    means = np.array([[5.0, -6.0, -4.0], [3.0, 0.0, 7.0], [8.0, 6.0, -2.0], [5.0, 14.0, 0.0]])
    if n_dimensions == 3:
        region = Prism(Box([[0.0], [10.0]]), region)
    truth = GaussianMixture(
        np.full(4, 0.1),
        means[:, -n_dimensions:],
        np.broadcast_to(0.05 * np.eye(n_dimensions), (4, n_dimensions, n_dimensions)),
        0.6,
        region,
    )
    points, _ = truth.sample(3_000, 1)
    assert region.contains(points).all()
    # Without a prior, components that are one too many would take their part of the background.
    model = SparseGaussianMixture(
        4 if prior == "none" else 8,
        sparsity=0.3,
        prior=prior,
        background=region,
        random_state=0,
    ).fit(points)
    assert model.background_weight_ == pytest.approx(0.6, abs=0.03)
    assert model.mixture_.background_region is region
    if prior == "bayes":  # clusters may be wherever points may be
        assert model.prior_.volume == pytest.approx(region.volume)


def test_points_outside_of_the_region_are_refused():
    points = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(InputError, match="outside of the region"):
        SparseGaussianMixture(2, background=Box([[-0.5, -0.5], [0.5, 0.5]]), prior="sqrt").fit(
            points
        )
    with pytest.raises(InputError, match="1 dimensions"):
        SparseGaussianMixture(2, background=Box([[-9.0], [9.0]]), prior="sqrt").fit(points)


@pytest.mark.parametrize("background", ["hull", "none", 3.0, None])
def test_what_is_no_background_is_refused(background):
    points = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(InputError, match="background must be True, False or a region"):
        SparseGaussianMixture(2, background=background, prior="sqrt").fit(points)


def test_corners_are_a_box_and_numpy_knows_true():
    points = np.random.default_rng(0).uniform(size=(100, 2))
    model = SparseGaussianMixture(1, background=[[0, 0], [2, 2]], sparsity=0.1, prior="sqrt").fit(
        points
    )
    assert model.mixture_.background_region.volume == 4.0
    model.set_params(background=np.True_).fit(points)
    assert model.background_weight_ > 0


def test_a_mask_travels_without_what_is_worked_out_from_it():
    region = Mask(np.ones((300, 300)), 0.1)
    before = len(pickle.dumps(region))
    region.covers(np.zeros((1, 2)), np.ones((1, 2)))
    assert len(pickle.dumps(region)) == before


def test_a_box_at_the_border_of_a_pixel_is_not_covered_by_chance():
    region, _ = REGIONS["turned mask"]
    rng = np.random.default_rng(0)
    corners = region.lattice.positions(rng.integers(0, 6, (4_000, 2)) - 0.5)
    covered = region.covers(corners, corners)
    assert region.contains(corners[covered]).all()
