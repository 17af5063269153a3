"""Simulated points with a known mixture: fields of clusters, and a dense crowd.

Lengths are in nm. The field that all figures refer to has 50 µm on each side, 10 µm in depth
where there are three axes, and holds 2000 round clusters with standard deviations drawn evenly
from 15 to 60 nm, and a uniform background of a fifth of the points.

>>> simulated = clusters(1_000_000, 2000)
>>> simulated.points.shape, simulated.truth.n_components
((1000000, 2), 2000)
"""

from dataclasses import dataclass

import numpy as np

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.mixture import FloatArray

SIDE, DEPTH = 50_000.0, 10_000.0
N_CLUSTERS = 2000
SIZES = (15.0, 60.0)
BACKGROUND = 0.2
INSIDE = 3.0  # standard deviations, at least, from a mean to the border of the field


@dataclass(frozen=True, eq=False)
class Simulation:
    """Points (N, D) and the mixture that they were drawn from."""

    points: FloatArray
    truth: GaussianMixture


def clusters(
    n_points: int,
    n_clusters: int,
    n_dimensions: int = 2,
    *,
    side: float | None = None,
    background: float = BACKGROUND,
    aspect: float = 1.0,
    seed: int = 0,
) -> Simulation:
    """A field of clusters of equal weight, anywhere in it as long as they stay inside.

    Clusters that stick out of the field would make the points' bounding box, where a fit expects
    the background, larger than the field that has one.

    Parameters
    ----------
    side : float, optional
        Of the field. None: so that clusters are as dense as 2000 in 50 µm.
    background : float
        Share of the points that are uniform in the field.
    aspect : float
        Longest axis of a cluster over its shortest, at most; each cluster's is drawn evenly
        on a logarithmic scale, and its direction evenly.
    """
    rng = np.random.default_rng(seed)
    scale = (n_clusters / N_CLUSTERS) ** (1 / n_dimensions) if side is None else side / SIDE
    sides = scale * np.array([DEPTH, SIDE, SIDE][-n_dimensions:])
    places = rng.random((n_clusters, n_dimensions))
    axes = np.repeat(rng.uniform(*SIZES, (n_clusters, 1)), n_dimensions, axis=1)
    axes[:, 0] *= aspect ** rng.random(n_clusters)
    turns = np.linalg.qr(rng.standard_normal((n_clusters, n_dimensions, n_dimensions)))[0]
    roots = turns * axes[:, None, :]  # (M, D, D)
    margins = INSIDE * np.sqrt(np.square(roots).sum(2))  # (M, D)
    truth = GaussianMixture(
        np.full(n_clusters, (1 - background) / n_clusters),
        margins + (sides - 2 * margins) * places,
        roots @ roots.swapaxes(1, 2),
        background,
        np.stack([np.zeros(n_dimensions), sides]) if background else None,
    )
    return Simulation(truth.sample(n_points, seed)[0], truth)


def crowd(n_points: int, n_components: int, n_dimensions: int, seed: int = 0) -> Simulation:
    """Components so close together that each matters at every point: nothing can be left out."""
    rng = np.random.default_rng(seed)
    axes = rng.uniform(0.8, 1.25, (n_components, n_dimensions))
    turns = np.linalg.qr(rng.standard_normal((n_components, n_dimensions, n_dimensions)))[0]
    roots = turns * axes[:, None, :]
    truth = GaussianMixture(
        np.full(n_components, 1 / n_components),
        0.3 * rng.standard_normal((n_components, n_dimensions)),
        roots @ roots.swapaxes(1, 2),
    )
    return Simulation(truth.sample(n_points, seed)[0], truth)
