"""Where the background is: its share, and whether a huge component takes it.

20 round clusters (25 nm) in a round cell of 2 um, half or nine tenths of 2000 points scattered
evenly over it. The background is told to lie in the bounding box, which is a quarter larger than
the cell, in the convex hull of the points, or in the cell itself. Huge is a component that is wider
than 150 nm, six times a cluster, along both of its axes.

    python benchmarks/regions.py
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from report import Entry, Options, Row, main
from sklearn.exceptions import ConvergenceWarning

from napari_sparse_gmm import GaussianMixture, Hull, Polygon, SparseGaussianMixture
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.regions import Region

SEEDS = 5
RADIUS, SIZE, N_CLUSTERS, N_POINTS = 1000.0, 25.0, 20, 2000
HUGE = 150.0
MOST_OFF = 0.03

_TURN = np.linspace(0.0, 2.0 * np.pi, 360, endpoint=False)
CELL = Polygon(RADIUS * np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1))

FITS = (
    ("bayes", {"prior": "bayes"}),
    ("mml", {"prior": "mml"}),
    ("mml, init='density'", {"prior": "mml", "init": "density"}),
    ("sqrt, s = 4", {"prior": "sqrt", "sparsity": 4.0}),
)


@dataclass(frozen=True)
class Found:
    """What one fit found: by how much the background's share is off, and components."""

    off: float
    n_components: int
    n_huge: int


def field(seed: int, background: float) -> FloatArray:
    """The points of one cell, (N, 2)."""
    rng = np.random.default_rng(seed)
    truth = GaussianMixture(
        np.full(N_CLUSTERS, (1.0 - background) / N_CLUSTERS),
        CELL.transformed(0.9).sample(N_CLUSTERS, rng),
        np.broadcast_to(SIZE**2 * np.eye(2), (N_CLUSTERS, 2, 2)),
        background,
        CELL,
    )
    points, _ = truth.sample(N_POINTS, seed)
    return points[CELL.contains(points)]


def fitted(
    points: FloatArray,
    seed: int,
    share: float,
    region: bool | Region,
    parameters: dict[str, object],
) -> Found:
    """What a fit with 60 components at the start, or at most, finds."""
    model = SparseGaussianMixture(60, background=region, random_state=seed, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(points)
    widths = np.sqrt(np.linalg.eigvalsh(model.covariances_)[:, :1])
    off = model.background_weight_ - share
    return Found(off, model.n_components_, int(np.count_nonzero(widths > HUGE)))


def measure(options: Options) -> Iterator[Entry]:
    """Each prior, with the background told to lie in three regions."""
    seeds = range(2 if options.quick else SEEDS)
    for share in (0.5, 0.9):
        for name, parameters in FITS:
            found: dict[str, list[Found]] = {"box": [], "hull": [], "cell": []}
            for seed in seeds:
                points = field(seed, share)
                regions = {"box": True, "hull": Hull(points), "cell": CELL}
                for where, region in regions.items():
                    found[where].append(fitted(points, seed, share, region, parameters))
            for where, of in found.items():
                off = [f.off for f in of]
                asked = where == "cell" and name == "bayes"
                yield Row(
                    f"{share:.0%} scattered, {name}, background on the {where}",
                    f"share off by {np.mean(off):+.3f}, at most {np.abs(off).max():.3f}; "
                    f"{np.mean([f.n_components for f in of]):.1f} components for {N_CLUSTERS} "
                    f"clusters, of which {np.mean([f.n_huge for f in of]):.1f} huge",
                    f"up to {MOST_OFF}" if asked else "",
                    float(np.abs(off).max()) <= MOST_OFF if asked else None,
                )


if __name__ == "__main__":
    main(measure)
