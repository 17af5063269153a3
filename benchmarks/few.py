"""Minimum message length where each component starts with a few points.

Clusters of 15 or 20 points, 1.5 wide, in a square or cube of side 100, without a background; two to
six points for each component at the start.

    python benchmarks/few.py
"""

import warnings
from collections.abc import Iterator

import numpy as np
from report import Entry, Options, Row, main
from sklearn.exceptions import ConvergenceWarning

from napari_sparse_gmm import SparseGaussianMixture

SEEDS = 5
# Clusters, points in each, components at the start.
CASES = ((10, 20, 100), (20, 15, 50), (20, 15, 100))


def measure(options: Options) -> Iterator[Entry]:
    """How many components are left."""
    for n_clusters, n_points, n_start in CASES:
        for d in (2, 3):
            left, converged = [], []
            for seed in range(2 if options.quick else SEEDS):
                rng = np.random.default_rng(seed)
                means = rng.uniform(0.0, 100.0, (n_clusters, 1, d))
                points = means + rng.normal(0.0, 1.5, (n_clusters, n_points, d))
                model = SparseGaussianMixture(
                    n_start, prior="mml", random_state=seed, background=False
                )
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    model.fit(points.reshape(-1, d))
                left.append(model.n_components_)
                converged.append(model.converged_)
            yield Row(
                f"{d}D: {n_clusters} clusters of {n_points} points, {n_start} components at the "
                "start",
                f"{', '.join(map(str, left))} left in {len(left)} fields, of whose fits "
                f"{sum(converged)} ended before max_iter",
            )


if __name__ == "__main__":
    main(measure)
