"""Point clouds to try things on, drawn fresh from a seed.

>>> sample = smlm_clusters(seed=0)
>>> sample.points.shape, sample.axis_labels, sample.unit
((600, 2), ('y', 'x'), 'nm')
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.mixture import FloatArray


@dataclass(frozen=True, eq=False)
class Sample:
    """Points with what is known about them.

    Attributes
    ----------
    points : (N, D) array
        Coordinates in `unit`, in image axis order: ([z,] y, x).
    axis_labels : tuple of D str
    unit : str or None
        Unit of the coordinates; None where they are plain numbers.
    description : str
        One sentence for the person who looks at the points.
    features : dict of (N,) arrays
        What is known about each point; the keys are the names.
    voxel_size : tuple of D float, optional
        Size in `unit` of the voxels of the image that the points were found in;
        ``points / voxel_size`` are voxel indices. None where there was no image.
    """

    points: FloatArray
    axis_labels: tuple[str, ...]
    unit: str | None
    description: str
    features: dict[str, NDArray[Any]] = field(default_factory=dict)
    voxel_size: tuple[float, ...] | None = None


def spiral(n: int = 10_000, seed: int = 0) -> Sample:
    """The noisy curve of the KeOps tutorial "Fitting a Gaussian Mixture Model".

    x = 0.5 + 0.4 (t / 7) cos t and y = 0.5 + 0.3 sin t for `n` values of t evenly over
    [0, 2 pi), plus normal noise of standard deviation 0.02.
    """
    t = np.linspace(0.0, 2.0 * np.pi, n, endpoint=False)
    curve = np.stack([0.5 + 0.3 * np.sin(t), 0.5 + 0.4 * (t / 7.0) * np.cos(t)], axis=1)  # (n, 2)
    noise = 0.02 * np.random.default_rng(seed).standard_normal(curve.shape)
    return Sample(
        points=curve + noise,
        axis_labels=("y", "x"),
        unit=None,
        description="A noisy spiral: a curved density with no clusters to count.",
        features={"t": t},
    )


def smlm_clusters(seed: int = 0) -> Sample:
    """Simulated single-molecule localizations: round clusters of unequal size on noise.

    20 clusters of 15 localizations and as many scattered ones (300) in a field of
    2000 x 2000 nm, the setting of scenario 7 of Nieves et al., "A framework for evaluating
    the performance of SMLM cluster analysis algorithms", Nature Methods 20, 2023. The
    standard deviation of each cluster is drawn evenly from 20 to 88 nm.

    That standard deviation is what one sees, localization error included. Each
    localization has its precision s_i (log-normal, median 10 nm, at most 19 nm), is
    displaced by normal noise of standard deviation s_i, and the molecules of cluster j have
    the standard deviation that leaves: sqrt(sigma_j^2 - mean of s_i^2 over the cluster).
    Scattered localizations are uniform in the field; clusters may reach over its edge.

    Features: `truth`, the cluster from 1 to 20 or 0 for noise, and `precision` in nm.
    """
    rng = np.random.default_rng(seed)
    field_size, n_clusters, n_each = 2000.0, 20, 15
    n_clustered = n_clusters * n_each
    n = 2 * n_clustered

    precision = np.minimum(10.0 * np.exp(0.3 * rng.standard_normal(n)), 19.0)
    centres = rng.uniform(0.0, field_size, (n_clusters, 2))
    observed_std = rng.uniform(20.0, 88.0, n_clusters)

    error = precision[:n_clustered].reshape(n_clusters, n_each, 1)
    molecule_std = np.sqrt(observed_std**2 - (error**2).mean(axis=(1, 2)))  # (n_clusters,)
    molecules = centres[:, None] + molecule_std[:, None, None] * rng.standard_normal(
        (n_clusters, n_each, 2)
    )
    localizations = molecules + error * rng.standard_normal(molecules.shape)

    points = np.concatenate(
        [localizations.reshape(-1, 2), rng.uniform(0.0, field_size, (n - n_clustered, 2))]
    )
    truth = np.zeros(n, dtype=np.intp)
    truth[:n_clustered] = np.repeat(np.arange(1, n_clusters + 1), n_each)
    # In a table of localizations the clusters do not come one after the other.
    order = rng.permutation(n)
    return Sample(
        points=points[order],
        axis_labels=("y", "x"),
        unit="nm",
        description="Simulated localizations: 20 clusters of 15 points, and 50% noise.",
        features={"truth": truth[order], "precision": precision[order]},
    )


def nuclei_3d(seed: int = 0) -> Sample:
    """Simulated centroids of cell nuclei in a thick tissue section, in micrometres.

    About 3000 nuclei in a section of 80 x 400 x 400 um (z, y, x), imaged with voxels of
    2 x 0.5 x 0.5 um. Nuclei do not overlap: they sit on the jittered sites of a close
    packing of 9 um spacing. 18 oval niches are densely packed in the middle and thin out
    outwards; the tissue between them is sparse. The centroid is four times less exact
    along z, as the voxels are.

    Features: `truth`, the niche from 1 to 18, or 0 for the tissue between them.
    """
    rng = np.random.default_rng(seed)
    section = np.array([80.0, 400.0, 400.0])
    voxel_size = (2.0, 0.5, 0.5)
    n_niches, sparse_share = 18, 0.04

    sites = _close_packing(section, spacing=9.0)
    sites = sites + rng.uniform(-1.5, 1.5, sites.shape)
    sites = sites[((sites >= 0.0) & (sites <= section)).all(1)]  # (S, 3)

    centres = rng.uniform(0.15, 0.85, (n_niches, 3)) * section
    orientations = np.linalg.qr(rng.standard_normal((n_niches, 3, 3)))[0]  # (n_niches, 3, 3)
    half_axes = rng.uniform([18.0, 12.0, 8.0], [34.0, 20.0, 13.0], (n_niches, 3))
    offsets = np.einsum("jsk,jkl->jsl", sites - centres[:, None], orientations)
    occupancy = np.exp(-0.5 * ((offsets / half_axes[:, None]) ** 2).sum(2))  # (n_niches, S)

    # A site holds a nucleus of niche j with probability occupancy_j, unless these sum to more
    # than 1.
    total = occupancy.sum(0) + sparse_share
    ceilings = np.cumsum(occupancy, axis=0) / np.maximum(total, 1.0)  # (n_niches, S)
    draw = rng.uniform(size=len(sites))
    nucleus = draw < total / np.maximum(total, 1.0)
    niche = (draw[nucleus] >= ceilings[:, nucleus]).sum(0)  # n_niches: between the niches

    measured = sites[nucleus] + 0.2 * np.array(voxel_size) * rng.standard_normal(
        (int(nucleus.sum()), 3)
    )
    return Sample(
        points=np.clip(measured, 0.0, section),
        axis_labels=("z", "y", "x"),
        unit="µm",
        description="Simulated centroids of nuclei in tissue: 18 dense niches in 3D.",
        features={"truth": np.where(niche == n_niches, 0, niche + 1)},
        voxel_size=voxel_size,
    )


def _close_packing(box: ArrayLike, spacing: float) -> FloatArray:
    """Sites of a face-centred cubic lattice, neighbours `spacing` apart, filling `box` (3,)."""
    side = spacing * np.sqrt(2.0)  # of the cube that repeats
    counts = np.ceil(np.asarray(box) / side).astype(int) + 1
    corners = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1)
    basis = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    sites: FloatArray = side * (corners.reshape(-1, 1, 3) + basis).reshape(-1, 3)
    return sites
