"""A dozen fits whose course is written down: a redesign that should change nothing does not.

Each case uses the reference engine, on few points. Where the course is meant to change, write it
anew, and say why in the commit:

    python tests/pinned.py
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.regions import Hull, Polygon

DATA = Path(__file__).parent / "data" / "pinned_fits.json"


def _clusters(n_dimensions: int, n_each: int, n_scattered: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(10.0, 90.0, (6, n_dimensions))
    sizes = rng.uniform(1.0, 3.0, (6, n_dimensions))
    points = centres + sizes * rng.standard_normal((n_each, 6, n_dimensions))
    scattered = rng.uniform(0.0, 100.0, (n_scattered, n_dimensions))
    return np.concatenate([points.reshape(-1, n_dimensions), scattered])


def fit(name: str, engine: str) -> SparseGaussianMixture:
    """The fit of a case."""
    parameters = {
        "n_components": 12,
        "prior": "sqrt",
        "background": False,
        "init": "kmeans++",
    } | CASES[name]
    points, sample_weight, noise_std = (
        parameters.pop(key, None) for key in ("points", "sample_weight", "noise_std")
    )
    model = SparseGaussianMixture(random_state=0, engine=engine, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(points, sample_weight=sample_weight, noise_std=noise_std)


def _noisy(points: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(9)
    std = rng.uniform(0.5, 2.0, points.shape)
    return {"points": points + std * rng.standard_normal(points.shape), "noise_std": std}


_PLANE, _SPACE = _clusters(2, 40, 60, 1), _clusters(3, 50, 0, 2)
_SCATTERED = _clusters(2, 25, 150, 3)
_TRIANGLE = Polygon([[-20.0, -20.0], [-20.0, 240.0], [240.0, -20.0]])
_WEIGHTS = np.random.default_rng(4).integers(1, 4, len(_PLANE)).astype(float)

CASES: dict[str, dict[str, object]] = {
    "sqrt": {"points": _PLANE, "prior": "sqrt", "sparsity": 4.0},
    "sqrt, random start": {"points": _PLANE, "prior": "sqrt", "sparsity": 10.0, "init": "random"},
    "mml, 3D": {"points": _SPACE, "prior": "mml"},
    "mml, background, density": {
        "points": _SCATTERED,
        "prior": "mml",
        "background": True,
        "init": "density",
    },
    "none, conjugate prior": {
        "points": _SCATTERED,
        "prior": "none",
        "background": True,
        "covariance_prior": 5.0,
        "n_components": 6,
    },
    "none, weights": {
        "points": _PLANE,
        "prior": "none",
        "n_components": 6,
        "sample_weight": _WEIGHTS,
    },
    "bayes, background": {
        "points": _SCATTERED,
        "prior": "bayes",
        "background": True,
        "n_components": 30,
    },
    "bayes, 3D, hull": {
        "points": _SPACE,
        "prior": "bayes",
        "background": Hull(_SPACE),
        "n_components": 30,
    },
    "bayes, noise": dict(prior="bayes", background=True, n_components=30, **_noisy(_SCATTERED)),
    "mml, noise, 3D": dict(prior="mml", **_noisy(_SPACE)),
    "sqrt, polygon": {
        "points": _SCATTERED,
        "prior": "sqrt",
        "sparsity": 2.0,
        "background": _TRIANGLE,
    },
    "adam": {"points": _PLANE, "prior": "sqrt", "sparsity": 4.0, "solver": "adam", "max_iter": 60},
    "adam, background, noise": dict(
        prior="mml", solver="adam", background=True, max_iter=40, **_noisy(_SCATTERED)
    ),
}


def course(model: SparseGaussianMixture) -> dict[str, object]:
    """What is written down of a fit."""
    return {
        "cost_history": model.cost_history_.tolist(),
        "cost": model.cost_,
        "converged": model.converged_,
        "weights": model.weights_.tolist(),
        "means": model.means_.tolist(),
        "covariances": model.covariances_.tolist(),
        "background_weight": model.background_weight_,
    }


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(CASES)
    known = json.loads(DATA.read_text()) if DATA.exists() else {}
    known |= {name: course(fit(name, "torch")) for name in chosen}
    lines = [f"{json.dumps(name)}: {json.dumps(known[name])}" for name in CASES]
    DATA.write_text("{\n" + ",\n".join(lines) + "\n}\n")
