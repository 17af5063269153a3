"""A model whose numbers are known, and points of it."""

from typing import Any

import numpy as np
import pandas as pd

from napari_sparse_gmm.density_model import DensityModel, Groups, Part
from napari_sparse_gmm.evidence import Evidence
from napari_sparse_gmm.export.scored import ScoredPoints, score
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Box

# nm
BOX = np.array([[0.0, 0.0], [2000.0, 1500.0]])


def mixture() -> GaussianMixture:
    """A long component, a small one that overlaps it, and one far away, on a background."""
    return GaussianMixture(
        [0.5, 0.2, 0.1],
        [[1000.0, 500.0], [1100.0, 600.0], [400.0, 1200.0]],
        [[[9e3, 6e3], [6e3, 16e3]], [[900.0, 0.0], [0.0, 400.0]], [[2500.0, 0.0], [0.0, 2500.0]]],
        0.2,
        Box(BOX),
    )


def model(**more: Any) -> DensityModel:
    found = mixture()
    evidence = Evidence(np.full(3, 5.0), 20.0, np.array([0, 1, 0]), np.ones(3))
    part = Part(found, None, 1000, 1000.0, n_iter=9, converged=True, evidence=evidence)
    return DensityModel((part,), ("y", "x"), "nm", box=BOX, **more)


def grouped() -> DensityModel:
    part = model().fitted[0]
    return DensityModel((part, None, part), ("y", "x"), "nm", BOX, Groups("cell", np.arange(3)))


def in_space() -> DensityModel:
    """An ellipsoid that lies along no axis."""
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    covariance = turn @ np.diag([1e4, 4e3, 900.0]) @ turn.T
    found = GaussianMixture([1.0], [[300.0, 500.0, 700.0]], covariance[None])
    return DensityModel((Part(found, None, 500, 500.0),), ("z", "y", "x"), "nm")


def points() -> FloatArray:
    return mixture().sample(400, random_state=0)[0]


def scored(found: DensityModel | None = None) -> ScoredPoints:
    """With a precision, a column of words that a spreadsheet would run, and an empty cell."""
    x = points()
    features = pd.DataFrame(
        {
            "frame": np.arange(len(x)) // 4,
            "uncertainty [nm]": np.linspace(5.0, 20.0, len(x)),
            "drift": np.where(np.arange(len(x)) == 3, np.nan, 0.5),
            "=name": "=1+1",
        }
    )
    std = features["uncertainty [nm]"].to_numpy()
    return score(found or model(), Observations.of(x, noise_std=std), features, engine="torch")
