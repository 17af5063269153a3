"""The tutorial's problem: the default solver against the tutorial's gradient descent.

N = 10,000 points of the spiral, M = 30 components, s = 20; both solvers start from the same
means in the unit square with the tutorial's sigma of 1/15. The descent is run through both
engines, since KeOps is what the tutorial uses and PyTorch tiles are faster here.

    python benchmarks/spiral.py
"""

import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.samples import spiral

ADAM_STEPS = 501


def timed_fit(points: np.ndarray, **settings: object) -> tuple[SparseGaussianMixture, float]:
    """The fitted estimator, and the seconds that it took."""
    start = time.perf_counter()
    model = SparseGaussianMixture(30, sparsity=20.0, **settings).fit(points)  # type: ignore[arg-type]
    return model, time.perf_counter() - start


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)  # so many steps, as in the tutorial
    points = spiral().points
    for engine in ("torch", "keops"):  # compile and warm up
        timed_fit(points, solver="adam", engine=engine, max_iter=2)
    timed_fit(points, max_iter=2)

    print("seed     mm: cost   K  steps  seconds    adam: cost   K  seconds  (torch)  ratio")
    rows = []
    for seed in range(10):
        means = np.random.default_rng(seed).random((30, 2))
        mm, mm_time = timed_fit(points, init=means)
        adam, keops_time = timed_fit(
            points, solver="adam", init=means, tol=0, max_iter=ADAM_STEPS, engine="keops"
        )
        _, torch_time = timed_fit(
            points, solver="adam", init=means, tol=0, max_iter=ADAM_STEPS, engine="torch"
        )
        rows.append((mm.cost_ - adam.cost_, keops_time / mm_time, torch_time / mm_time))
        print(
            f"{seed:4d}  {mm.cost_:12.5f} {mm.n_components_:3d} {mm.n_iter_:6d} {mm_time:8.2f}"
            f"  {adam.cost_:12.5f} {adam.n_components_:3d} {keops_time:8.2f} {torch_time:8.2f}"
            f"  {keops_time / mm_time:6.1f}"
        )
    difference, keops_ratio, torch_ratio = np.array(rows).T
    print(f"\nmm no higher on {(difference <= 0).sum()} of {len(rows)} seeds")
    print(f"mm at most {difference.max():+.5f} above")
    print(
        f"adam takes {np.median(keops_ratio):.0f} times as long through KeOps "
        f"({keops_ratio.min():.0f} to {keops_ratio.max():.0f}), {np.median(torch_ratio):.0f} "
        f"times through PyTorch tiles ({torch_ratio.min():.0f} to {torch_ratio.max():.0f})"
    )


if __name__ == "__main__":
    main()
