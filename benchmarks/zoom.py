"""Zooming into a heatmap whose clusters are smaller than its pixels.

A field of 50 µm with 2000 round clusters of 10 nm, without a background and with one. Its heatmap
has 512 x 512 pixels; `shapes.pyramid` makes finer ones as they are looked at, from the processor
or graphics card. A view is what a canvas of 1000 x 700 pixels shows of a level: 1.4 pixels for
each on the screen, along each axis, for napari takes between one and two. It is timed with nothing
known, and after a step of 50 pixels aside, across the border of tiles: a time for each level, the
finest, 16,384 pixels wide, first.

    python benchmarks/zoom.py
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from peak import largest_size
from report import Entry, Options, Row, main
from simulations import BACKGROUND, N_CLUSTERS, SIDE
from timing import readable, seconds

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.shapes.grid import Grid
from napari_sparse_gmm.shapes.lazy_heatmap import LazyHeatmap
from napari_sparse_gmm.shapes.level import TILE
from napari_sparse_gmm.shapes.pyramid import heatmap_pyramid

STD = 10.0
BASE = 512
CANVAS = np.array([700, 1000])
OVERSAMPLED = 2**0.5
STEP = 50  # pixels
REPEATS = 5
FRESH, AFTER_STEP = 0.1, 0.02  # seconds


def measure(options: Options) -> Iterator[Entry]:
    n = N_CLUSTERS // (8 if options.quick else 1)
    before = largest_size()
    for background in (0.0, BACKGROUND):
        for quantity in ("density", "log_density"):
            times = views(field(n, background), quantity, options.device)  # (repeats, levels, 2)
            what = f"{quantity}, {'with' if background else 'no'} background"
            for name, asked, found in (
                ("a view, nothing known", FRESH, np.median(times, axis=0)[:, 0]),
                ("a step aside", AFTER_STEP, np.median(times, axis=0)[:, 1]),
            ):
                values = ", ".join(readable(one) for one in found)
                met = bool(found.max() < asked)
                yield Row(f"{what}: {name}", values, f"less than {readable(asked)}", met)
    yield Row("memory, all of it", f"{(largest_size() - before) / 1e6:.0f} MB more than before")


def field(n: int, background: float) -> GaussianMixture:
    """Clusters anywhere in the field."""
    rng = np.random.default_rng(0)
    return GaussianMixture(
        np.full(n, (1.0 - background) / n),
        rng.uniform(0.0, SIDE, (n, 2)),
        np.broadcast_to(STD**2 * np.eye(2), (n, 2, 2)),
        background,
        [[0.0, 0.0], [SIDE, SIDE]] if background else None,
    )


def views(mixture: GaussianMixture, quantity: str, device: str) -> FloatArray:
    """Seconds of a view with nothing known, and of the next one; (REPEATS, levels, 2)."""
    grid = Grid.covering([0.0, 0.0], [SIDE, SIDE], longest_side=BASE)
    rng = np.random.default_rng(0)
    times = []
    for _ in range(REPEATS + 1):
        pyramid = heatmap_pyramid([mixture], grid, quantity, device=device)
        assert pyramid is not None
        times.append([view_and_step(level, rng) for level in pyramid.levels])
    return np.array(times[1:])  # the first loads libraries


def view_and_step(level: LazyHeatmap, rng: np.random.Generator) -> list[float]:
    shape = np.minimum((CANVAS * OVERSAMPLED).astype(int), np.array(level.shape) - TILE)
    row, column = rng.integers(0, np.array(level.shape) - shape - STEP + 1)
    # The right side just before the next tile, where there is one.
    column = max(0, (column + shape[1]) // TILE * TILE - shape[1])
    rows = slice(row, row + shape[0])
    parts = [level[rows, first : first + shape[1]] for first in (column, column + STEP)]
    return [seconds(partial(np.asarray, part)) for part in parts]


if __name__ == "__main__":
    main(measure)
