"""How many clusters, and which point belongs where: one setting for all kinds of fields.

Clusters of a few points, on scattered ones, in 2 µm x 2 µm, as single-molecule localizations come:
`SparseGaussianMixture(random_state=0)`, all by default. The measures are the adjusted Rand index
(ARI) of the labels, scattered points as a class of their own, and the area that the convex hulls of
true clusters and of those found have in common, as a share of what they cover together (IoU): means
over the files of a kind. Each cluster found is compared to the true one of the least distance, one
to one. Scattered points are even in the square, but on a gradient of 1 to 5 and in a cell that is
as thick as half a ball.
Clusters may stick out of the square of the scattered points, but where it says that it is cropped.
DBSCAN has eps and min_samples chosen for each file with the truth in hand, the best of 209, and
HDBSCAN min_cluster_size and min_samples, the best of 30. The ceiling is what the mixture that the
points were drawn from would say.

    python benchmarks/clusters.py
"""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from recovery import Recovery
from report import Entry, Options, Row, main
from sklearn.cluster import DBSCAN, HDBSCAN
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from timing import readable

from napari_sparse_gmm import Box, GaussianMixture, Intensity, SparseGaussianMixture
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.regions import Region

FILES = 6
SIDE = 2000.0  # nm
EPS = np.geomspace(8.0, 150.0, 19)
MIN_SAMPLES = range(3, 14)
MIN_SIZES, MIN_NEIGHBOURS = (3, 4, 5, 7, 10, 15), (1, 2, 3, 5, 8)  # of HDBSCAN
SCATTERED = (300, 1000, 3000)
SCATTERED_FIELDS = 20
SURE = np.log10(0.95 / 0.05)
OF_CEILING = 0.95
OFF = 0.05  # of the number of clusters
AT_EDGE = 1.5  # standard deviations, and nearer

Labels = NDArray[np.intp]

_X, _Y = (np.indices((200, 200)) + 0.5) / 200
DENSITIES = {
    "even": np.ones((200, 200)),
    "1 to 5": 1.0 + 4.0 * _X,
    "1 to 20, exponential": 20.0**_Y,
    "dome": 1.0 - 1.9 * ((_X - 0.5) ** 2 + (_Y - 0.5) ** 2),
    "cell": np.sqrt(np.maximum(1.0 - 4.0 * ((_X - 0.5) ** 2 + (_Y - 0.5) ** 2), 0.0)),
}


def region(density: str) -> Region:
    """Of scattered points, with their density, by its name."""
    if density == "even":
        return Box(np.array([[0.0, 0.0], [SIDE, SIDE]]))
    pixel = SIDE / 200
    return Intensity(DENSITIES[density], pixel, 0.5 * pixel)


@dataclass(frozen=True)
class Kind:
    """A kind of field: clusters of some points each, and the share of scattered points.

    A range of two numbers is drawn from evenly for each cluster; those of a list go round.
    """

    name: str
    n_points: Sequence[int] | tuple[int, int]
    noise: float
    sigma: float | list[float] | tuple[float, float]
    n_clusters: int = 20
    aspect: float = 1.0
    density: str = "even"  # of the scattered points; clusters lie where those can
    cropped: bool = False  # to the square of the scattered points, as a camera does

    def field(self, seed: int) -> tuple[FloatArray, Labels, GaussianMixture]:
        """Points (N, 2), their clusters from 0, -1 where scattered, and what drew them."""
        rng = np.random.default_rng(seed)
        k = self.n_clusters
        where = region(self.density)
        means = rng.uniform(0.0, SIDE, (k, 2)) if self.density != "cell" else where.sample(k, rng)
        if isinstance(self.n_points, tuple):
            counts = rng.integers(self.n_points[0], self.n_points[1] + 1, k)
        else:
            counts = np.resize(self.n_points, k)
        if isinstance(self.sigma, list):
            sigmas = np.resize(self.sigma, k)
        else:
            low, high = self.sigma if isinstance(self.sigma, tuple) else (self.sigma, self.sigma)
            sigmas = rng.uniform(low, high, k)
        # Of the same mean square of the axes, whatever the aspect ratio.
        short = sigmas * np.sqrt(2.0 / (1.0 + self.aspect**2))
        angles = rng.uniform(0.0, np.pi, k)
        along = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        roots = np.stack([self.aspect * short[:, None] * along, short[:, None] * across], axis=2)
        labels = np.repeat(np.arange(k), counts)
        normal = rng.standard_normal((len(labels), 2))
        clustered = means[labels] + np.einsum("nij,nj->ni", roots[labels], normal)
        n_scattered = round(len(labels) * self.noise / (1 - self.noise))
        scattered = where.sample(n_scattered, rng)
        n = len(labels) + n_scattered
        truth = GaussianMixture(
            counts / n,
            means,
            roots @ roots.swapaxes(1, 2),
            n_scattered / n,
            where,
        )
        points = np.concatenate([clustered, scattered])
        labels = np.append(labels, np.full(n_scattered, -1))
        if self.cropped:
            inside = ((points >= 0.0) & (points <= SIDE)).all(1)
            points, labels = points[inside], labels[inside]
        return points, labels, truth

    def at_edge(self, truth: GaussianMixture) -> NDArray[np.bool_]:
        """Which clusters lie near an edge of the square, (K,)."""
        distance = np.minimum(truth.means, SIDE - truth.means).min(1)
        return distance < AT_EDGE * truth.principal_axes.std[:, 0]


KINDS = (
    Kind("normal", [15], 0.5, 25.0),
    Kind("80% scattered", [15], 0.8, 15.0),
    Kind("few: 5 points each", [5], 0.75, 25.0),
    Kind("many: 100 clusters", [15], 0.5, 25.0, n_clusters=100),
    Kind("elliptical", [50], 0.5, 56.0, aspect=5.5),
    Kind("mixed sizes", [15], 0.5, (20.0, 88.0)),
    Kind("mixed counts", [5, 15], 0.5, 25.0),
    Kind("mixed sizes and counts", (15, 135), 0.5, (20.0, 80.0)),
    Kind("two kinds of sizes", [15], 0.5, [25.0, 70.0]),
    Kind("two kinds", [15, 135], 0.5, [27.0, 75.0]),
    Kind("two kinds, cropped", [15, 135], 0.5, [27.0, 75.0], cropped=True),
    Kind("on a gradient", [15], 0.6, 25.0, density="1 to 5"),
    Kind("in a cell", [15], 0.6, 25.0, density="cell"),
)


def ours() -> SparseGaussianMixture:
    return SparseGaussianMixture(random_state=0)


def iou(points: FloatArray, labels: Labels, found: Labels) -> float:
    """Area that the clusters of both labels cover over what those of either do."""
    one, other = (
        shapely.union_all(
            [
                shapely.MultiPoint(points[own == cluster]).convex_hull
                for cluster in np.unique(own[own >= 0])
            ]
        )
        for own in (labels, found)
    )
    return one.intersection(other).area / max(one.union(other).area, 1e-300)


def measure(options: Options) -> Iterator[Entry]:
    ours().fit(KINDS[0].field(0)[0][::4])
    shares = []
    for kind in KINDS:
        scores: dict[str, list[float]] = {}
        found, times, recovered, at_edge, areas = [], [], [], [], []
        for seed in range(1 if options.quick else FILES):
            points, labels, truth = kind.field(seed)
            start = time.perf_counter()
            model = ours().fit(points)
            times.append(time.perf_counter() - start)
            found.append(model.n_components_)
            recovered.append(Recovery.of(truth, model, points))
            if kind.cropped:
                cut = truth.subset(kind.at_edge(truth))
                at_edge.append(Recovery.of(cut, model, points))
            others = peers(points)
            score = score_against(labels)
            predicted, ideal = model.predict(points), truth.predict(points)
            scores.setdefault("ours", []).append(score(predicted))
            scores.setdefault("ceiling", []).append(score(ideal))
            even = ours().set_params(smooth_background=False).fit(points)
            scores.setdefault("even background", []).append(score(even.predict(points)))
            best = max(others["DBSCAN"], key=score)
            areas.append([iou(points, labels, own) for own in (predicted, best, ideal)])
            for name, answers in others.items():
                scores.setdefault(name, []).append(max(score(answer) for answer in answers))
        shares.append(float(np.mean(scores["ours"]) / np.mean(scores["ceiling"])))
        yield rand_index(kind, scores)
        by_us, by_dbscan, ceiling = np.mean(areas, axis=0)
        yield Row(
            f"{kind.name}: IoU",
            f"{by_us:.3f}; DBSCAN {by_dbscan:.3f}, ceiling {ceiling:.3f}",
            "at least that of DBSCAN",
            bool(by_us >= by_dbscan),
        )
        off = float(np.mean(found)) / kind.n_clusters - 1
        yield Row(
            f"{kind.name}: clusters found",
            f"{min(found)} to {max(found)}, mean {np.mean(found):.1f} of {kind.n_clusters}; "
            f"{readable(float(np.mean(times)))} a fit",
            f"{kind.n_clusters}, to {OFF:.0%}",
            abs(off) <= OFF,
        )
        yield Row(f"{kind.name}: as they are", str(Recovery.pooled(recovered)))
        if at_edge:
            cut_ones = Recovery.pooled(at_edge)
            yield Row(
                f"{kind.name}: {len(cut_ones.log_sizes)} clusters within {AT_EDGE} standard "
                "deviations of the edge",
                str(cut_ones),
            )
    yield Row(
        "share of the ceiling, mean of all kinds",
        f"{np.mean(shares):.1%}",
        f"at least {OF_CEILING:.0%}",
        float(np.mean(shares)) >= OF_CEILING,
    )
    for density in DENSITIES:
        yield _scattered(density, 3 if options.quick else SCATTERED_FIELDS)
    for name, points, labels, truth in larger_fields(options.quick):
        start = time.perf_counter()
        model = ours().fit(points)
        seconds = time.perf_counter() - start
        score = score_against(labels)
        yield Row(
            f"{name}: clusters found, adjusted Rand index",
            f"{model.n_components_}; {score(model.predict(points)):.3f}, ceiling "
            f"{score(truth.predict(points)):.3f}; {readable(seconds)}",
            f"{truth.n_components}, to {OFF:.0%}",
            abs(model.n_components_ / truth.n_components - 1) <= OFF,
        )
        yield Row(f"{name}: as they are", str(Recovery.of(truth, model, points)))


def _scattered(density: str, n_fields: int) -> Row:
    n_with, n_sure, n_even = 0, 0, 0
    for seed in range(n_fields):
        n = SCATTERED[seed % len(SCATTERED)]
        points = region(density).sample(n, np.random.default_rng(seed))
        model = ours().fit(points)
        n_with += model.n_components_ > 0
        evidence = model.evidence(points)
        n_sure += evidence is not None and bool((evidence.components > SURE).any())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            even = ours().set_params(smooth_background=False).fit(points)
        n_even += even.n_components_ > 0
    return Row(
        f"scattered points, {density}, no cluster: fields with one, of {n_fields}",
        f"{n_with}, {n_sure} with one surer than 95%; even background {n_even}",
        "at most 1 of 20",
        n_with <= n_fields // 20,
    )


def larger_fields(quick: bool) -> Iterator[tuple[str, FloatArray, Labels, GaussianMixture]]:
    """Name, points, their clusters and the truth: in 3D, and of 100 000 points."""
    for name, d, k, n_each, sigma, side in (
        ("3D: 60 clusters of 15, 50% scattered", 3, 60, 15, 40.0, SIDE),
        ("100,000 points: 2000 clusters of 25, 50% scattered", 2, 2000, 25, 25.0, 10 * SIDE),
    ):
        k = k // 20 if quick else k
        truth = GaussianMixture(
            np.full(k, 0.5 / k),
            np.random.default_rng(0).uniform(0.0, side, (k, d)),
            np.tile(sigma**2 * np.eye(d), (k, 1, 1)),
            0.5,
            [[0.0] * d, [side] * d],
        )
        points, labels = truth.sample(2 * k * n_each, 0)
        yield name, points, labels, truth


def rand_index(kind: Kind, scores: dict[str, list[float]]) -> Row:
    """The means of each method's."""
    mean = {name: float(np.mean(values)) for name, values in scores.items()}
    spoken = ", ".join(f"{name} {value:.3f}" for name, value in mean.items() if name != "ours")
    return Row(
        f"{kind.name}: adjusted Rand index",
        f"{mean['ours']:.3f}; {spoken}",
        "at least that of DBSCAN",
        mean["ours"] >= mean["DBSCAN"],
    )


def score_against(labels: Labels) -> Callable[[Labels], float]:
    return lambda found: float(adjusted_rand_score(labels, found))


def peers(points: FloatArray) -> dict[str, list[Labels]]:
    """The answers of the other methods, by name; of several the best will count."""
    return {
        "DBSCAN": [
            DBSCAN(eps=eps, min_samples=least).fit_predict(points)
            for eps in EPS
            for least in MIN_SAMPLES
        ],
        "HDBSCAN": [
            HDBSCAN(min_cluster_size=size, min_samples=least, copy=True).fit_predict(points)
            for size in MIN_SIZES
            for least in MIN_NEIGHBOURS
        ],
    }


if __name__ == "__main__":
    main(measure)
