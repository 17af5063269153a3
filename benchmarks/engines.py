"""Time of one expectation and of one log density on each engine, for dense problems.

Nanoseconds per point-component pair, and as a multiple of `torch.exp` on as many numbers,
the floor of any dense evaluation. It decides what `engine="auto"` takes.

    python benchmarks/engines.py
"""

import time
from collections.abc import Callable

import numpy as np
import torch

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.engines import TorchTiles
from napari_sparse_gmm.engines.keops import KeOps
from napari_sparse_gmm.engines.threads import a_core_to_spare

SHAPES = [(10_000, 30, 2), (1_000_000, 30, 2), (100_000, 300, 2), (1_000_000, 30, 3)]
REPEATS = 7


def best_time(call: Callable[[], object]) -> float:
    """Seconds of the fastest of several calls, after one that warms up."""
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def problem(n: int, k: int, d: int) -> tuple[GaussianMixture, np.ndarray]:
    """Round clusters in a field, with a background of a fifth of the points."""
    rng = np.random.default_rng(0)
    mixture = GaussianMixture(
        np.full(k, 0.8 / k),
        rng.uniform(0, 50, (k, d)),
        np.broadcast_to(np.eye(d), (k, d, d)),
        0.2,
        np.array([[-10.0] * d, [60.0] * d]),
    )
    return mixture, mixture.sample(n, 0)[0]


def main() -> None:
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    for device in devices:
        with a_core_to_spare():
            numbers = torch.randn(10_000_000, device=device)
            out = torch.empty_like(numbers)
            floor = best_time(lambda a=numbers, b=out: torch.exp(a, out=b)) / len(numbers)
        print(f"\n{device}: ns per pair (times the {floor * 1e9:.2f} ns of torch.exp)")
        print(f"{'N':>9} {'M':>5} {'D':>2}  {'engine':7} {'expectation':>16} {'log density':>16}")
        for n, k, d in SHAPES:
            mixture, points = problem(n, k, d)
            for engine in (TorchTiles, KeOps):
                held = engine(points, device=device)
                expectation = best_time(lambda e=held, m=mixture: e.expectation(m)) / (n * k)
                density = best_time(lambda e=held, m=mixture: e.log_density(m)) / (n * k)
                print(
                    f"{n:9d} {k:5d} {d:2d}  {engine.name:7}"
                    f" {expectation * 1e9:8.2f} ({expectation / floor:5.1f})"
                    f" {density * 1e9:8.2f} ({density / floor:5.1f})"
                )


if __name__ == "__main__":
    main()
