"""Two channels against chance: how long 999 shifts take, and whether the p values are right.

Clusters (25 nm) in a box of 10 um, or in the disc in it, and a second channel of as many clusters
that know nothing of the first; half of its points are scattered. A plain pass is one query of
SciPy's KDTree: from each point to the nearest centre of the first. Comparison and pass take turns.

The p values are of pairs of 30 clusters each and 600 points: of channels that are independent,
the share of p values up to 0.05 is to be 0.05, within what so many pairs can tell.

    python benchmarks/channels.py
"""

from collections.abc import Iterator

import numpy as np
from report import Entry, Options, Row, main
from scipy.spatial import KDTree
from scipy.stats import binom
from timing import medians, readable

from napari_sparse_gmm import GaussianMixture, Polygon
from napari_sparse_gmm.channels import ChannelComparison, compare_channels
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.regions import Box, Region

RADIUS, SIZE, SCATTERED = 5000.0, 25.0, 0.5
SHIFTS, SHIFTS_OF_A_PAIR = 999, 99
REPEATS, PAIRS = 3, 300
LEVEL = 0.05

_TURN = np.linspace(0.0, 2.0 * np.pi, 360, endpoint=False)
REGIONS: dict[str, Region] = {
    "box": Box([[-RADIUS, -RADIUS], [RADIUS, RADIUS]]),
    "polygon": Polygon(RADIUS * np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)),
}


def channel(region: Region, n_clusters: int, rng: np.random.Generator) -> GaussianMixture:
    """Round clusters, and half of the points scattered over the region."""
    return GaussianMixture(
        np.full(n_clusters, (1.0 - SCATTERED) / n_clusters),
        region.sample(n_clusters, rng),
        np.broadcast_to(SIZE**2 * np.eye(2), (n_clusters, 2, 2)),
        SCATTERED,
        region,
    )


def sample(mixture: GaussianMixture, region: Region, n: int, seed: int) -> FloatArray:
    """Points of a channel that lie in the region, (N, 2)."""
    points, _ = mixture.sample(n, seed)
    return points[region.contains(points)]


def timed(region: Region, n: int, n_clusters: int, n_shifts: int) -> dict[str, float]:
    """Median seconds of a comparison and of a plain pass."""
    rng = np.random.default_rng(0)
    first, second = (channel(region, n_clusters, rng) for _ in range(2))
    points = sample(second, region, n, 0)

    def compare() -> ChannelComparison:
        return compare_channels(first, points, second=second, region=region, n_shifts=n_shifts)

    def look() -> FloatArray:
        return np.asarray(KDTree(first.means).query(points)[0])

    return medians({"comparison": compare, "pass": look}, REPEATS)


def p_values(region: Region, n_pairs: int) -> dict[str, FloatArray]:
    """Of independent channels, by the name of the statistic; (pairs,) each."""
    found: list[dict[str, float]] = []
    for seed in range(n_pairs):
        rng = np.random.default_rng(seed)
        first, second = (channel(region, 30, rng) for _ in range(2))
        points = sample(second, region, 600, seed)
        comparison = compare_channels(
            first,
            points,
            second=second,
            region=region,
            n_shifts=SHIFTS_OF_A_PAIR,
            random_state=seed,
        )
        found.append({name: one.p_value for name, one in comparison.statistics.items()})
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def measure(options: Options) -> Iterator[Entry]:
    """Times in both regions, then p values in both."""
    n_shifts = 19 if options.quick else SHIFTS
    for where, region in REGIONS.items():
        for n in (3_300,) if options.quick else (3_300, 100_000):
            for n_clusters in (60, 500):
                took = timed(region, n, n_clusters, n_shifts)
                passes = took["comparison"] / took["pass"]
                yield Row(
                    f"{n_shifts} shifts of {n:,} points over {n_clusters} clusters, {where}",
                    f"{readable(took['comparison'])}, as long as {passes:,.0f} plain passes "
                    f"({passes / n_shifts:.2g} a shift)",
                )
    n_pairs = 20 if options.quick else PAIRS
    low, high = binom.interval(0.999, n_pairs, LEVEL)
    for where, region in REGIONS.items():
        for name, p in p_values(region, n_pairs).items():
            n_small = np.count_nonzero(p <= LEVEL)
            yield Row(
                f"p up to {LEVEL} of {n_pairs} independent pairs, {where}, {name}",
                f"{n_small / n_pairs:.1%}; mean p {p.mean():.2f}",
                f"{low / n_pairs:.1%} to {high / n_pairs:.1%}",
                bool(low <= n_small <= high),
            )


if __name__ == "__main__":
    main(measure)
