"""Clusters that overlap in pairs: from what distance on `prior="bayes"` tells them apart.

Ten pairs of round clusters (25 nm) in 2 um x 2 um, half of the points scattered evenly; the centres
of a pair are two to six standard deviations apart. Besides the default fit, one that starts from
the truth: where it merges them, too, or ends at a higher cost, they are one to the model.

    python benchmarks/pairs.py
"""

import warnings
from collections.abc import Iterator

import numpy as np
from clusters import SIDE, ours
from report import Entry, Options, Row, main
from sklearn.exceptions import ConvergenceWarning

from napari_sparse_gmm import GaussianMixture

SEEDS = 5
PAIRS, SIZE, BACKGROUND = 10, 25.0, 0.5


def truth(seed: int, apart: float) -> GaussianMixture:
    """Pairs on a jittered grid, `apart` standard deviations from each other."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(3)), axis=2).reshape(-1, 2)[:PAIRS]
    centres = (grid + rng.uniform(0.3, 0.7, grid.shape)) * SIDE / [4, 3]
    angle = rng.uniform(0.0, 2.0 * np.pi, PAIRS)
    half = 0.5 * apart * SIZE * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return GaussianMixture(
        np.full(2 * PAIRS, (1.0 - BACKGROUND) / (2 * PAIRS)),
        np.concatenate([centres - half, centres + half]),
        np.broadcast_to(SIZE**2 * np.eye(2), (2 * PAIRS, 2, 2)),
        BACKGROUND,
        [[0.0, 0.0], [SIDE, SIDE]],
    )


def measure(options: Options) -> Iterator[Entry]:
    """Clusters found, from pairs of 15 and of 50 points each."""
    for n_each in (15, 50):
        for apart in (2.0, 3.0, 4.0, 6.0):
            found, started, gains = [], [], []
            for seed in range(1 if options.quick else SEEDS):
                true = truth(seed, apart)
                points, _ = true.sample(round(2 * PAIRS * n_each / (1.0 - BACKGROUND)), seed)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    default, best = (
                        fit.fit(points) for fit in (ours(), ours().set_params(init=true))
                    )
                found.append(default.n_components_)
                started.append(best.n_components_)
                gains.append((best.cost_ - default.cost_) * len(points))
            yield Row(
                f"pairs of clusters of {n_each}, {apart:g} standard deviations apart",
                f"{np.mean(found):.1f} of {2 * PAIRS} found; from the truth "
                f"{np.mean(started):.1f}, {np.mean(gains):+.1f} nats dearer",
            )


if __name__ == "__main__":
    main(measure)
