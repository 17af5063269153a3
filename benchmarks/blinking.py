"""Molecules that blink: whether localizations of one are taken for a cluster.

Fields are those of `clusters.py`, and so are the measures; each molecule, a scattered one too, is
localized a geometric number of times, with a precision that differs. One fit does not know it, and
one does; one takes each localization for an observation. DBSCAN has eps and min_samples chosen for
each file with the truth in hand, the best of 304.

    python benchmarks/blinking.py
"""

import warnings
from collections.abc import Iterator

import numpy as np
from clusters import EPS, FILES, MIN_SAMPLES, Kind, Labels, ours, rand_index, score_against
from report import Entry, Options, Row, main
from sklearn.cluster import DBSCAN
from sklearn.exceptions import ConvergenceWarning

from napari_sparse_gmm.mixture import FloatArray

MANY_SAMPLES = (16, 20, 25, 30, 40)
PRECISION, SPREAD = 12.0, 0.3  # nm, and of its logarithm

# How often a molecule is localized, on average.
KINDS = (
    (Kind("blinking, seen 2 times", [15], 0.5, 25.0), 2.0),
    (Kind("blinking, seen 4 times", [15], 0.5, 25.0), 4.0),
    (Kind("blinking, seen 7 times", [15], 0.5, 25.0), 7.0),
    (Kind("blinking, seen 4 times, 80% scattered", [15], 0.8, 25.0), 4.0),
    (Kind("blinking, seen 4 times, elliptical", [50], 0.5, 56.0, aspect=5.5), 4.0),
)


def localized(
    points: FloatArray, labels: Labels, seen: float, seed: int
) -> tuple[FloatArray, Labels, FloatArray]:
    """Localizations of molecules, their clusters, and the precision of each, (N,)."""
    rng = np.random.default_rng(seed)
    molecule = np.repeat(np.arange(len(points)), rng.geometric(1.0 / seen, len(points)))
    std = PRECISION * np.exp(SPREAD * rng.standard_normal(len(molecule)))
    error = std[:, None] * rng.standard_normal((len(molecule), 2))
    return points[molecule] + error, labels[molecule], std


def measure(options: Options) -> Iterator[Entry]:
    for kind, seen in KINDS:
        yield from _blinking(kind, seen, 1 if options.quick else FILES)


def _blinking(kind: Kind, seen: float, n_files: int) -> Iterator[Row]:
    scores: dict[str, list[float]] = {}
    found, repeats = [], []
    for seed in range(n_files):
        points, labels, std = localized(*kind.field(seed)[:2], seen, seed)
        score = score_against(labels)
        by_dbscan = (
            DBSCAN(eps=eps, min_samples=least).fit_predict(points)
            for eps in EPS
            for least in (*MIN_SAMPLES, *MANY_SAMPLES)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            plain = ours().set_params(repeats=1.0).fit(points)
        precise = ours().fit(points, noise_std=std)
        model = ours().fit(points)
        found.append(model.n_components_)
        repeats.append(model.repeats_)
        for name, value in {
            "ours": score(model.predict(points)),
            "with the precision": score(precise.predict(points, noise_std=std)),
            "with repeats=1": score(plain.predict(points)),
            "DBSCAN": max(map(score, by_dbscan)),
        }.items():
            scores.setdefault(name, []).append(value)
    yield rand_index(kind, scores)
    off = float(np.mean(found)) / kind.n_clusters - 1
    yield Row(
        f"{kind.name}: clusters found",
        f"{min(found)} to {max(found)}, mean {np.mean(found):.1f} of {kind.n_clusters}; "
        f"{min(repeats):.1f} to {max(repeats):.1f} localizations for one",
        f"{kind.n_clusters}, to 10%",
        abs(off) <= 0.1,
    )


if __name__ == "__main__":
    main(measure)
