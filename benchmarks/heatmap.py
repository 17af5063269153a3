"""A large image and a volume of 2000 components.

Seconds of `shapes.grid.heatmap`, and how many times as long scikit-learn's `score_samples` takes
for the same pixels: timed on some thousand of them, drawn at random, and scaled.

    python benchmarks/heatmap.py
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from fits import engines
from peers import sklearn_mixture
from report import Entry, Options, Row, main
from simulations import N_CLUSTERS, clusters
from timing import medians, readable

from napari_sparse_gmm.shapes.grid import Grid, heatmap

SHAPES = [(4096, 4096), (256, 256, 256)]
SAMPLE = 4096  # pixels


def measure(options: Options) -> Iterator[Entry]:
    shrunk = 8 if options.quick else 1
    for shape in SHAPES:
        shape = tuple(n // shrunk for n in shape)
        truth = clusters(1, N_CLUSTERS // shrunk, len(shape)).truth
        lower, upper = truth.background_region.box
        spacing = (upper - lower) / shape
        grid = Grid(lower + spacing / 2, spacing, shape)
        rng = np.random.default_rng(0)
        pixels = grid.coordinates(rng.integers(0, shape, (SAMPLE, len(shape))))
        calls = {
            engine: partial(heatmap, truth, grid, engine=engine, device=options.device)
            for engine in engines(options.device)
        } | {"scikit-learn": partial(sklearn_mixture(truth).score_samples, pixels)}
        times = medians(calls, 3)
        scaled = times["scikit-learn"] * np.prod(shape) / SAMPLE
        for engine in engines(options.device):
            yield Row(
                f"{' x '.join(map(str, shape))}, {truth.n_components} components, {engine}",
                f"{readable(times[engine])}; scikit-learn {scaled / times[engine]:.0f} times as "
                f"long ({readable(scaled)})",
            )


if __name__ == "__main__":
    main(measure)
