"""Where the components of a fit start."""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from napari_sparse_gmm.engines import Engine, Summary
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.fitting.step import raise_eigenvalues
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.regions import Box, Region

# What looks at neighbours looks at no more points than this, drawn at random: enough
# to start thousands of components, in a time that does not grow with the points.
_SAMPLE = 20_000

# K-means++ takes time for each mean and each position: so many in all, or for each mean.
_FEW_POSITIONS, _POSITIONS_EACH = 10_000, 5
_MANY = 200

# The default floor, in standard deviations of the noise.
_OF_NOISE = 0.1

# What is left at least of a variance without noise, as a share of that of the noise.
_LEFT = 0.1

# Smallest standard deviation, relative to the longest side of the points: the ratio of the
# largest to the smallest variance then keeps within the digits of a float64. Not of all of them,
# since a stray one may be anywhere: of the middle nine tenths along each axis.
LEAST_FLOOR = 1e-7
_MIDDLE = (0.05, 0.95)

# An axis along which points spread so many times wider than along each other is in another unit.
_OTHER_UNIT = 30.0


def box_side(box: FloatArray) -> float:
    """The smallest power of two that is not below the longest side of a box (2, D).

    The unit of length of "adam" and of the tutorial's start. A power of two, so that scaling
    by it is exact, and so that points that fill the unit box already stay as they are.
    """
    longest = float((box[1] - box[0]).max())
    return float(2.0 ** np.ceil(np.log2(longest))) if longest > 0 else 1.0


def least_floor(engine: Engine, rng: np.random.Generator) -> float:
    """The smallest standard deviation that can be computed with; 0 of points at one position."""
    lower, upper = np.quantile(engine.sample(_SAMPLE, rng).points, _MIDDLE, axis=0)
    box = engine.summary.box
    middle, whole = float((upper - lower).max()), float((box[1] - box[0]).max())
    # Coordinates have no more digits than these.
    rounding = 4 * np.finfo(float).eps * float(np.abs(box).max()) if whole > 0 else 0.0
    return max(LEAST_FLOOR * (middle or whole), rounding)


def default_floor(engine: Engine, rng: np.random.Generator) -> FloatArray:
    """The smallest standard deviation that points can resolve along each axis, (D,).

    Half the median distance between neighbouring positions; 0 where there is one only. Far
    below the size of any cluster of more than a few points, and wide enough that no component
    pays off on a single point: the likelihood of a mixture is unbounded without. An axis in
    another unit would make the distances its own: it has the floor of the others, scaled.

    Of points with noise a tenth of its median standard deviation s: n of them resolve sizes down to
    about s (2 / n)^(1/4), which is more for any n that there will be.
    """
    sample = engine.sample(_SAMPLE, rng)
    d = sample.n_dimensions
    if sample.noise is not None:
        typical = _OF_NOISE * float(np.sqrt(np.median(sample.noise)))
        if typical > 0:
            return np.full(d, typical)
    spreads = np.subtract(*np.quantile(sample.points, _MIDDLE[::-1], axis=0))
    widest = np.argmax(spreads)
    others = np.delete(spreads, widest)
    alike = len(others) == 0 or spreads[widest] <= _OTHER_UNIT * others.max() or not others.any()
    points = sample.points if alike else np.delete(sample.points, widest, axis=1)
    positions = np.unique(points, axis=0)
    if len(positions) < 2:
        return np.zeros(d)
    distances = cKDTree(positions).query(positions, k=2)[0][:, 1]
    # Of n points, a sample of m has neighbours (n / m)^(1/D) times as far.
    thinned = len(sample) / engine.summary.n_points
    floor = np.full(d, 0.5 * float(np.median(distances)) * thinned ** (1.0 / points.shape[1]))
    if not alike:
        floor[widest] *= spreads[widest] / others.max()
    return floor


def bounding_box(box: FloatArray, floor: FloatArray | float, n_points: float) -> Box:
    """The bounding box (2, D) of points; a side without extent is given one of a few `floor`."""
    lower, upper = box
    # Never thinner than the rounding of the coordinates themselves.
    least = np.maximum(10 * floor, 1e-12 * np.maximum(np.abs(lower), np.abs(upper)))
    pad = 0.5 * np.maximum(least - (upper - lower), 0.0)
    return Box(np.stack([lower - pad, upper + pad]), n_points)


def start_mixture(
    engine: Engine,
    init: str | FloatArray | GaussianMixture,
    n_components: int,
    *,
    floor: FloatArray,
    region: Region | None,
    rng: np.random.Generator,
) -> GaussianMixture:
    """The mixture that a fit starts from; weights are equal unless a mixture is given.

    Parameters
    ----------
    engine : Engine
        Holds the points.
    init : "kmeans++", "density", "random", an array of means (M, D), or a mixture
        "density" starts from the background alone, or from one component without it: births
        (`births`) find the others where the points are denser. For "random" and for given
        means every component is a ball with a standard deviation of `box_side` / 15, the start
        of the KeOps tutorial. A mixture is taken as it is, but for its background, which is
        given, taken away or laid over these points as `region` says, and for the floor.
    n_components : int
        M; not used where `init` gives the components.
    floor : (D,) array
        Smallest standard deviation along each axis.
    region : Region, optional
        That of the uniform background, where there is one.
    rng : numpy.random.Generator
    """
    box = engine.summary.box
    d = box.shape[1]
    if isinstance(init, GaussianMixture):
        return _fitted_out(init, d, floor, region)
    if isinstance(init, str):
        if init == "kmeans++":
            means, covariances = _kmeans_plus_plus(engine, n_components, floor, rng)
            return _equal_weights(means, covariances, region)
        if init == "density":
            return _one_component(engine.summary, floor, region)
        means = rng.uniform(box[0], box[1], (n_components, d))
    else:
        means = init
    ball = np.diag(np.maximum(box_side(box) / 15.0, floor) ** 2)
    return _equal_weights(means, np.broadcast_to(ball, (len(means), *ball.shape)), region)


def without_noise(mixture: GaussianMixture, noise: FloatArray) -> GaussianMixture:
    """The mixture with covariances less the noise, variances (D,); something is left of each."""
    covariances = mixture.covariances - np.diag(noise)
    return replace(mixture, covariances=raise_eigenvalues(covariances, _LEFT * noise.min()))


def _fitted_out(
    mixture: GaussianMixture, n_dimensions: int, floor: FloatArray, region: Region | None
) -> GaussianMixture:
    if mixture.n_dimensions != n_dimensions:
        raise InputError(
            f"The mixture to start from has {mixture.n_dimensions} dimensions, the points have "
            f"{n_dimensions}."
        )
    kept = mixture.weights > 0
    if not kept.any() and region is None:
        raise InputError("The mixture to start from has no component and no background.")
    share = 0.0
    if region is not None:
        share = mixture.background_weight or 1.0 / (kept.sum() + 1)
    if not kept.any():
        share = 1.0
    weights = mixture.weights[kept]
    weights = weights * ((1.0 - share) / max(weights.sum(), 1e-300))
    covariances = raise_eigenvalues(mixture.covariances[kept], floor**2)
    return GaussianMixture(weights, mixture.means[kept], covariances, share, region)


def _one_component(summary: Summary, floor: FloatArray, region: Region | None) -> GaussianMixture:
    """The background alone; without one, a component with the moments of the points."""
    d = len(summary.mean)
    if region is not None:
        return GaussianMixture(np.empty(0), np.empty((0, d)), np.empty((0, d, d)), 1.0, region)
    covariance = summary.covariance - np.diag(summary.noise)
    return GaussianMixture(
        np.ones(1), summary.mean[None], raise_eigenvalues(covariance[None], floor**2)
    )


def _equal_weights(
    means: FloatArray, covariances: FloatArray, region: Region | None
) -> GaussianMixture:
    m = len(means)
    share = 1.0 / (m if region is None else m + 1)
    return GaussianMixture(
        np.full(m, share), means, covariances, 0.0 if region is None else share, region
    )


def _kmeans_plus_plus(
    engine: Engine, n_components: int, floor: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Means by k-means++ (Arthur & Vassilvitskii, SODA 2007), and the scatter around each."""
    from sklearn.cluster import kmeans_plusplus

    sample = engine.sample(max(_FEW_POSITIONS, _POSITIONS_EACH * n_components), rng)
    weight = np.ones(len(sample)) if sample.weights is None else sample.weights
    # Each position once, with its weight: a weight of 2 then is the point twice, to the letter.
    points, index = np.unique(sample.points, axis=0, return_inverse=True)
    weight = np.bincount(index.ravel(), weight).astype(np.float64)
    centre = 0.5 * (points.min(0) + points.max(0))
    points = points - centre
    m = min(n_components, len(points))
    seed = int(rng.integers(2**31))
    means, _ = kmeans_plusplus(
        points,
        m,
        sample_weight=weight,
        random_state=seed,
        # The best of several draws for each mean, as scikit-learn has it; of thousands, the first.
        n_local_trials=None if m <= _MANY else 1,
    )
    # Of positions that differ by little more than rounding, one may be drawn twice.
    means = means[np.unique(cKDTree(means).query(points)[1])]
    nearest, m = cKDTree(means).query(points)[1], len(means)
    d = points.shape[1]
    difference = points - means[nearest]
    squares = np.bincount(nearest, weight * (difference**2).sum(1), minlength=m)
    variances = squares / np.bincount(nearest, weight, minlength=m) / d
    variances -= engine.summary.noise.mean()
    # A mean that is alone has no scatter; it starts as wide as the typical component.
    typical = np.median(variances[variances > 0]) if (variances > 0).any() else 0.0
    variances = np.where(variances > 0, variances, typical)
    diagonals = np.maximum(variances[:, None], floor**2)  # (M, D)
    return means + centre, diagonals[:, :, None] * np.eye(d)
