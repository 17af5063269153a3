"""The table of docs/batch.md: how often intervals of a difference hold the truth, and their widths.

    python tools/interval_coverage.py

Takes minutes. Both conditions are simulated; those with a replicate far off hold the truth where
they hold the difference without it.
"""

import sys
from collections.abc import Callable

import numpy as np
from scipy import stats

from napari_sparse_gmm import compare
from napari_sparse_gmm.compare import FloatArray, Replicates, interval

N_PAIRS = 1_500
N_RESAMPLES = 999

# What replicates of a condition are drawn from, and the true difference of two conditions.
Draw = Callable[[np.random.Generator, int], tuple[FloatArray, FloatArray, float]]


def normal(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray, float]:
    """Of the same spread."""
    return rng.normal(0.0, 1.0, n), rng.normal(1.0, 1.0, n), 1.0


def uneven(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray, float]:
    """One condition varies three times as much."""
    return rng.normal(0.0, 1.0, n), rng.normal(1.0, 3.0, n), 1.0


def lognormal(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray, float]:
    """One condition is three times the other, and varies as much more."""
    one, other = np.exp(0.5 * rng.normal(size=(2, n)))
    return one, 3.0 * other, 2.0 * float(np.exp(0.125))


def one_far_off(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray, float]:
    """One replicate lies eight standard deviations below."""
    one, other, truth = normal(rng, n)
    other[0] -= 8.0
    return one, other, truth


def some_far_off(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray, float]:
    """Of either condition every tenth lies six standard deviations above, at random."""
    one, other, truth = normal(rng, n)
    return one + 6.0 * (rng.random(n) < 0.1), other + 6.0 * (rng.random(n) < 0.1), truth


CASES: tuple[tuple[str, Draw, int], ...] = (
    ("normal, ten cells each", normal, 10),
    ("normal", normal, 1),
    ("normal, one condition varies three times as much", uneven, 1),
    ("lognormal, one condition three times the other", lognormal, 1),
    ("normal, but for one far off", one_far_off, 1),
    ("normal, but for a tenth of them far off", some_far_off, 1),
)


def with_cells(means: FloatArray, n_cells: int, rng: np.random.Generator) -> Replicates:
    """Cells with twice the standard deviation of normal replicates; one is the replicate."""
    if n_cells == 1:
        return tuple(means[:, None])
    return tuple(means[:, None] + 2.0 * rng.standard_normal((len(means), n_cells)))


def without_least(one: Replicates, other: Replicates, seed: int) -> tuple[float, float]:
    """The studentized interval whose standard errors may vanish, but for a division by zero."""
    kept, compare._LEAST_ERROR = compare._LEAST_ERROR, 1e-9
    try:
        return interval(one, other, N_RESAMPLES, seed)
    finally:
        compare._LEAST_ERROR = kept


def welch(one: Replicates, other: Replicates, _: int) -> tuple[float, float]:
    """That of Welch's t test of the means of replicates."""
    means = ([cells.mean() for cells in each] for each in (other, one))
    low, high = stats.ttest_ind(*means, equal_var=False).confidence_interval()
    return float(low), float(high)


METHODS: dict[str, Callable[[Replicates, Replicates, int], tuple[float, float]]] = {
    "used": lambda one, other, seed: interval(one, other, N_RESAMPLES, seed),
    "without a least error": without_least,
    "Welch": welch,
}


def main(n_pairs: int = N_PAIRS) -> None:
    """Print the table."""
    print("| replicates | " + " | ".join(METHODS) + " |")
    print("|---|" + "---|" * len(METHODS))
    for name, draw, n_cells in CASES:
        for n in (3, 5, 8):
            found = np.array([_pair(draw, n, n_cells, seed) for seed in range(n_pairs)])
            low, high, truth = found[..., 0], found[..., 1], found[..., 2]  # (pairs, methods)
            held = 100.0 * ((low < truth) & (truth < high)).mean(0)
            # Of an interval that is far too wide the tail tells more than the middle.
            middle, tail = np.quantile(high - low, [0.5, 0.975], axis=0)
            cells = [
                f"{h:.1f}%, {m:.3g} ({t:.3g})" for h, m, t in zip(held, middle, tail, strict=True)
            ]
            print(f"| {n} and {n}, {name} | " + " | ".join(cells) + " |", flush=True)


def _pair(draw: Draw, n: int, n_cells: int, seed: int) -> list[tuple[float, float, float]]:
    rng = np.random.default_rng([seed, n])
    one, other, truth = draw(rng, n)
    one_cells, other_cells = with_cells(one, n_cells, rng), with_cells(other, n_cells, rng)
    return [(*method(one_cells, other_cells, seed), truth) for method in METHODS.values()]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
