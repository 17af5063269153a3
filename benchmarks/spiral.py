"""The tutorial's problem: the default fit against the tutorial's own gradient descent.

N = 10,000 points of the spiral, M = 30 components, s = 20; both start from the same means in
the unit square with the tutorial's sigma of 1/15. The descent is the tutorial's, 501 steps of
Adam through KeOps and autograd (`tutorial.py`); beside it our own `adam`, whose gradient comes
from the sums of the default solver.

    python benchmarks/spiral.py
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from fits import quiet_fit
from report import Entry, Options, Row, main
from timing import medians
from tutorial import descend

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.samples import spiral

STEPS, SEEDS = 501, 10
QUICK_STEPS, QUICK_SEEDS = 20, 2
SPARSITY = 20.0
ASKED = 25.0


def measure(options: Options) -> Iterator[Entry]:
    points = spiral().points
    steps = QUICK_STEPS if options.quick else STEPS
    descend(points, np.zeros((30, 2)), SPARSITY, 2)
    quiet_fit(
        SparseGaussianMixture(
            30, max_iter=5, device=options.device, prior="sqrt", background=False
        ),
        points,
    )
    ratios, excesses = [], []
    for seed in range(QUICK_SEEDS if options.quick else SEEDS):
        means = np.random.default_rng(seed).random((30, 2))
        model = SparseGaussianMixture(
            30, sparsity=SPARSITY, init=means, device=options.device, prior="sqrt", background=False
        )
        adam = SparseGaussianMixture(
            30,
            sparsity=SPARSITY,
            solver="adam",
            init=means,
            tol=0.0,
            max_iter=steps,
            engine="torch",
            prior="sqrt",
            background=False,
        )
        costs: list[float] = []
        calls = {
            "mm": partial(quiet_fit, model, points),
            "tutorial": lambda m=means, c=costs: c.append(descend(points, m, SPARSITY, steps)),
            "adam": partial(quiet_fit, adam, points),
        }
        times = medians(calls, 2, warm=False)
        ratios.append(times["tutorial"] / times["mm"])
        excesses.append(model.cost_ - costs[0])
        yield Row(
            f"seed {seed}",
            f"cost {model.cost_:.5f} in {times['mm']:.2f} s, {model.n_components_} components; "
            f"tutorial {costs[0]:.5f} in {times['tutorial']:.2f} s; our adam {adam.cost_:.5f} in "
            f"{times['adam']:.2f} s",
        )
    yield Row(
        "the tutorial's descent against the default fit, each seed",
        f"{min(ratios):.1f} to {max(ratios):.1f} times as long, median {np.median(ratios):.1f}",
        f"at least {ASKED:.0f} times",
        min(ratios) >= ASKED,
    )
    yield Row(
        "cost of the default above the tutorial's, each seed",
        f"{min(excesses):+.5f} to {max(excesses):+.5f}",
        "at most 0",
        max(excesses) <= 0,
    )


if __name__ == "__main__":
    main(measure)
