"""Random fits: points, weights, noise and parameters of every kind, each from its seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_sparse_gmm import Hull


@dataclass(frozen=True, eq=False)
class RandomFit:
    """What `SparseGaussianMixture(**parameters).fit(points, **of_points)` takes."""

    points: np.ndarray  # (N, D)
    of_points: dict[str, Any]
    parameters: dict[str, Any]


def random_fit(seed: int) -> RandomFit:
    """N from 2 to 300, D from 1 to 6, any scale, offset, shape, prior, solver, start and weight."""
    rng = np.random.default_rng(seed)
    n, d = int(np.exp(rng.uniform(np.log(2), np.log(300)))), int(rng.integers(1, 7))
    points = _shape(rng, max(n, 2), d)
    scales = 10.0 ** rng.uniform(-12, 12) * 10.0 ** rng.uniform(-3, 3, d) ** rng.integers(0, 2)
    offset = 10.0 ** rng.uniform(-3, 12) * rng.normal(size=d) * rng.integers(0, 2)
    points = points * scales + offset
    solver = str(rng.choice(["mm", "mm", "mm", "adam"]))
    prior = str(rng.choice(["bayes", "mml", "sqrt", "none"][solver == "adam" :]))
    # Births are moves, which Adam does not make.
    starts = ["kmeans++", "random", "means"] + ["density"] * (solver == "mm")
    parameters: dict[str, Any] = {
        "n_components": int(rng.integers(1, 20)),
        "prior": prior,
        "solver": solver,
        "sparsity": float(rng.choice([0.0, 1.0, 20.0, 200.0])),
        "background": bool(rng.integers(2)),
        "init": str(rng.choice(starts)),
        "covariance_prior": 0.0 if prior == "bayes" else float(rng.choice([0.0, 0.0, 3.0])),
        "max_iter": int(rng.integers(1, 30)),
        "n_init": int(rng.integers(1, 3)),
        "random_state": int(seed),
        "engine": "torch",
        "device": "cpu",
    }
    size = float(np.ptp(points, axis=0).max())
    if parameters["init"] == "means":
        chosen = rng.integers(len(points), size=parameters["n_components"])
        parameters["init"] = points[chosen]
    if size > 0 and rng.random() < 0.2:
        parameters["covariance_floor"] = size * 10.0 ** rng.uniform(-9, 0)
    if size == 0:
        parameters["covariance_floor"] = max(1e-9 * np.abs(points).max(), 1e-12)
    if parameters["background"] and 2 <= d <= 3 and rng.random() < 0.3:
        parameters["background"] = _hull(points)
    of_points: dict[str, Any] = {}
    if rng.random() < 0.4:
        of_points["sample_weight"] = _weights(rng, len(points))
    if rng.random() < 0.3:
        noise = size * 10.0 ** rng.uniform(-9, 0) * rng.random(_noise_shape(rng, points.shape))
        of_points["noise_std"] = noise
    return RandomFit(points, of_points, parameters)


def _shape(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Points (n, d) of about unit size."""
    kind = rng.choice(
        [
            "normal",
            "clusters",
            "uniform",
            "lattice",
            "copies",
            "needle",
            "outliers",
            "plane",
            "one",
        ],
        p=[0.15, 0.2, 0.1, 0.1, 0.1, 0.15, 0.1, 0.07, 0.03],
    )
    x = rng.normal(size=(n, d))
    if kind == "clusters":
        x = 0.05 * x + rng.random((5, d))[rng.integers(5, size=n)]
    elif kind == "uniform":
        x = rng.random((n, d))
    elif kind == "lattice":
        x = np.round(2 * x)
    elif kind == "copies":
        x = x[rng.integers(max(1, n // 4) + 1, size=n) % n]
    elif kind == "needle":
        x = x[:, :1] * rng.normal(size=d) + 10.0 ** rng.uniform(-15, -2) * x
    elif kind == "outliers":
        x[: max(1, n // 50)] *= 10.0 ** rng.uniform(1, 9)
    elif kind == "plane":
        x[:, -1] = 0.0
    elif kind == "one":
        x[:] = x[0]
    return x


def _hull(points: np.ndarray) -> Any:
    try:
        return Hull(points)
    except ValueError:  # of no volume
        return True


def _weights(rng: np.random.Generator, n: int) -> np.ndarray:
    weight = rng.choice(
        np.array([rng.random(n), rng.integers(0, 3, n), 10.0 ** rng.uniform(-6, 3, n)])
    )
    weight[rng.permutation(n)[:2]] = 1.0
    return weight


def _noise_shape(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[int, ...]:
    return ((), shape[:1], shape)[rng.integers(3)]
