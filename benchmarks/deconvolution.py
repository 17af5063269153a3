"""Localization precision: the sizes of clusters without it, and what it costs.

Clusters of known shape on scattered points, each point with a precision of its own, log-normal of
median 15 nm and spread 0.3, at most 45 nm. `noise_std` tells the fit. Each cluster found is
compared to the true one of the least distance, one to one.

    python benchmarks/deconvolution.py
"""

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from fits import engines
from numpy.typing import NDArray
from recovery import Recovery
from report import Entry, Options, Row, main
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from timing import medians, readable

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.engines import choose_engine
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.observations import Observations

SEEDS = 5
SIDE = 2000.0  # nm
PRECISION, SPREAD, WORST = 15.0, 0.3, 45.0
MOST_BIAS, MOST_OFF = 0.05, 0.03


@dataclass(frozen=True)
class Kind:
    """Fields of clusters with sizes drawn evenly from a range, in nm."""

    name: str
    n_clusters: int
    n_points: int
    sizes: tuple[float, float]
    background: float
    aspect: float = 1.0

    def field(self, seed: int) -> tuple[GaussianMixture, FloatArray, FloatArray, NDArray[np.intp]]:
        """The truth, points (N, 2), their precision (N,) and their clusters, -1 for none."""
        rng = np.random.default_rng(seed)
        k = self.n_clusters
        sizes = rng.uniform(*self.sizes, k)
        axes = np.stack([np.full(k, self.aspect), np.ones(k)], axis=1)
        axes *= (sizes / np.sqrt((axes**2).mean(1)))[:, None]
        turns = np.linalg.qr(rng.standard_normal((k, 2, 2)))[0]
        truth = GaussianMixture(
            np.full(k, (1 - self.background) / k),
            rng.uniform(0.05 * SIDE, 0.95 * SIDE, (k, 2)),
            (turns * axes[:, None, :] ** 2) @ turns.swapaxes(1, 2),
            self.background,
            [[0.0, 0.0], [SIDE, SIDE]],
        )
        n = round(k * self.n_points / (1 - self.background))
        points, labels = truth.sample(n, seed)
        precision = np.minimum(PRECISION * np.exp(SPREAD * rng.standard_normal(n)), WORST)
        points = points + precision[:, None] * rng.standard_normal(points.shape)
        inside = ((points >= 0) & (points <= SIDE)).all(1)
        return truth, points[inside], precision[inside], labels[inside]


KINDS = (
    Kind("30 clusters of 200, 5 to 40 nm", 30, 200, (5.0, 40.0), 0.3, aspect=3.0),
    Kind("20 clusters of 50, 10 to 40 nm", 20, 50, (10.0, 40.0), 0.5),
    Kind("20 clusters of 15, 15 nm", 20, 15, (15.0, 15.0), 0.5),
)
BLINKING = Kind("20 molecules seen 15 times", 20, 15, (0.1, 0.1), 0.5)


@dataclass(frozen=True)
class Found:
    """What a fit of one field found, beside the truth."""

    n_clusters: int
    recovery: Recovery
    background: float  # found less the share of points that are scattered
    score: float
    seconds: float


def found(kind: Kind, seed: int, *, told: bool) -> Found:
    truth, points, precision, labels = kind.field(seed)
    noise = precision if told else None
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = SparseGaussianMixture(
            300, prior="bayes", background=True, random_state=0, n_threads=1
        ).fit(points, noise_std=noise)
    seconds = time.perf_counter() - start
    return Found(
        model.n_components_,
        Recovery.of(truth, model, points, noise, blur=PRECISION),
        model.background_weight_ - float((labels == -1).mean()),
        adjusted_rand_score(labels, model.predict(points, noise_std=noise)),
        seconds,
    )


def measure(options: Options) -> Iterator[Entry]:
    seeds = range(1 if options.quick else SEEDS)
    found(KINDS[-1], 0, told=True)
    for kind in (*KINDS, BLINKING):
        told, blind = ([found(kind, seed, told=b) for seed in seeds] for b in (True, False))
        ours, plain = (Recovery.pooled([f.recovery for f in fs]) for fs in (told, blind))
        if kind is BLINKING:
            typical, blurred = (
                kind.sizes[0] * float(np.exp(np.median(r.log_sizes))) for r in (ours, plain)
            )
            yield Row(
                f"{kind.name}: median size",
                f"{typical:.1f} nm; without telling the precision {blurred:.1f} nm",
                f"well below the precision, {PRECISION:.0f} nm",
                typical < 0.6 * PRECISION,
            )
        else:
            yield Row(
                f"{kind.name}: as they are",
                str(ours),
                f"size within {MOST_BIAS:.0%}",
                abs(ours.size_bias) <= MOST_BIAS,
            )
            yield Row(f"{kind.name}: without telling the precision", str(plain))
        off = [f.background for f in told]
        yield Row(
            f"{kind.name}: background",
            f"off by {np.mean(off):+.3f}, at most {np.abs(off).max():.3f}",
            f"up to {MOST_OFF}",
            float(np.abs(off).max()) <= MOST_OFF,
        )
        counts = [np.mean([f.n_clusters for f in fs]) for fs in (told, blind)]
        scores = [np.mean([f.score for f in fs]) for fs in (told, blind)]
        yield Row(
            f"{kind.name}: clusters found, adjusted Rand index",
            f"{counts[0]:.1f} of {kind.n_clusters}, {scores[0]:.3f}; without telling the "
            f"precision {counts[1]:.1f}, {scores[1]:.3f}",
        )
        times = [sum(f.seconds for f in fs) / len(fs) for fs in (told, blind)]
        yield Row(
            f"{kind.name}: time of a fit",
            f"{readable(times[0])}, {times[0] / times[1]:.1f} x that without",
        )
    yield from passes(options)


def passes(options: Options) -> Iterator[Entry]:
    """How much longer the sums over the points take with a covariance for each."""
    n, k = (10_000, 50) if options.quick else (100_000, 500)
    for d, side in ((2, 200.0), (3, 60.0)):
        rng = np.random.default_rng(0)
        mixture = GaussianMixture(
            np.full(k, 0.8 / k),
            rng.uniform(0, side, (k, d)),
            np.broadcast_to(np.eye(d), (k, d, d)),
            0.2,
            [[0.0] * d, [side] * d],
        )
        points, _ = mixture.sample(n, 0)
        noise = rng.lognormal(-1.0, 0.3, (n, 1)) * np.ones(d)
        for name in engines(options.device):
            choice = choose_engine(name, options.device, n_dimensions=d, noise=True)
            held = {
                about: choice.open(Observations(points, None, values), n_components=k)
                for about, values in (("without", None), ("with", noise**2))
            }
            times = medians({a: partial(h.expectation, mixture) for a, h in held.items()}, 5)
            yield Row(
                f"{d}D, {n:,} points, {k} components, {name}: a pass",
                f"{readable(times['with'])}, {times['with'] / times['without']:.1f} x that "
                "without noise",
            )


if __name__ == "__main__":
    main(measure)
