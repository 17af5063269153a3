"""What an engine is: the owner of the points, which answers a handful of questions about them.

A fit asks and never sees a point: starts, births, moves, standard errors and the score at the end
come from the answers. All of them are sums, samples, extremes or maps, so points may lie in
memory, on a graphics card, or in many parts::

    statistics = engine.expectation(mixture)
    found = engine.overdensities(mixture, Boxes(evidence=15.0, narrowest=0.1))

Points are kept in cells of neighbours, which have numbers from 0 on: a question may be asked of
some cells only.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_sparse_gmm.engines.information import Information
from napari_sparse_gmm.engines.overdensity import Overdensities, Search
from napari_sparse_gmm.engines.pattern import Pattern
from napari_sparse_gmm.engines.statistics import Assignment, Scores, Statistics
from napari_sparse_gmm.engines.tree import extremes, moments_of_runs
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Region
from napari_sparse_gmm.regions.pixels import Lattice


class EngineUnavailable(Exception):
    """An engine that cannot run here. The message is a sentence that says why."""


@dataclass(frozen=True, eq=False)
class Summary:
    """A set of weighted points in a few numbers.

    Parameters
    ----------
    n_points : int
    total_weight : float
    box : (2, D) array
        Lower and upper corner of their bounding box.
    mean : (D,) array
    covariance : (D, D) array
        Of the points, noise included.
    noise : (D,) array
        Mean variances of the noise; 0 without.
    """

    n_points: int
    total_weight: float
    box: FloatArray
    mean: FloatArray
    covariance: FloatArray
    noise: FloatArray

    @classmethod
    def of(cls, observations: Observations) -> "Summary":
        """That of points, N >= 1."""
        x, weights = observations.points, observations.weights
        noise = np.zeros(x.shape[1])
        if observations.noise is not None:
            noise = np.average(observations.noise, axis=0, weights=weights)
        ends = np.array([0, len(x)])
        means, covariances = moments_of_runs(
            x, np.ones(len(x)) if weights is None else weights, ends[:1], ends[1:]
        )
        box = np.concatenate([extremes(x, ends, True), extremes(x, ends, False)])
        return cls(len(x), observations.total_weight, box, means[0], covariances[0], noise)

    @classmethod
    def joining(cls, parts: Sequence["Summary"]) -> "Summary":
        """That of all points of several sets."""
        shares = np.array([part.total_weight for part in parts])
        shares /= shares.sum()
        means = np.array([part.mean for part in parts])
        mean = shares @ means
        apart = means - mean
        covariances = np.array([part.covariance for part in parts])
        covariances = covariances + apart[:, :, None] * apart[:, None, :]
        boxes = np.array([part.box for part in parts])
        return cls(
            sum(part.n_points for part in parts),
            sum(part.total_weight for part in parts),
            np.stack([boxes[:, 0].min(0), boxes[:, 1].max(0)]),
            mean,
            np.tensordot(shares, covariances, 1),
            shares @ np.array([part.noise for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class Cells:
    """Some cells for each of P things, one thing after the other.

    Parameters
    ----------
    starts : (P + 1,) array of int
        Where those of each start, and the end.
    cells : (C,) array of int
    """

    starts: NDArray[np.intp]
    cells: NDArray[np.intp]

    @classmethod
    def near(cls, centres: cKDTree, positions: FloatArray, radii: FloatArray) -> "Cells":
        """Those with their centre within a radius (P,) of positions (P, D), and the nearest."""
        nearest = centres.query(positions)[1]
        within = centres.query_ball_point(positions, radii)
        counts = np.fromiter(map(len, within), dtype=np.intp, count=len(within)) + 1
        ends = np.cumsum(counts)
        cells = np.empty(counts.sum(), dtype=np.intp)
        own = np.zeros(len(cells), dtype=bool)
        own[ends - 1] = True
        cells[own], cells[~own] = nearest, np.concatenate([[], *within]).astype(np.intp)
        return cls(np.append(0, ends), cells)


class Engine(ABC):
    """The questions. Points are (N, D), of positive weight; components are K."""

    name: str
    # Why this one, in a sentence for the user.
    reason: str = ""
    # How many points are one observation: what the weights of the points were divided by.
    repeats: float = 1.0

    @property
    @abstractmethod
    def summary(self) -> Summary:
        """All points in a few numbers."""

    @property
    @abstractmethod
    def typical_noise(self) -> FloatArray | None:
        """Median variances of the noise along each axis, (D,); None where points have none."""

    @property
    @abstractmethod
    def cell_weights(self) -> FloatArray:
        """Total weight of the points of each cell, (C,)."""

    @property
    @abstractmethod
    def digest(self) -> bytes:
        """Differs where points, weights, noise or their order do."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> Observations:
        """`n` of the points, drawn without replacement; all where there are no more."""

    @abstractmethod
    def n_outside(self, region: Region) -> int:
        """How many points lie outside of a region."""

    @abstractmethod
    def expectation(
        self,
        mixture: GaussianMixture,
        *,
        removal: bool = False,
        cells: NDArray[np.intp] | None = None,
    ) -> Statistics:
        """The statistics of a mixture, with `removal` where requested; of all points, or of those
        in some `cells`, rising.
        """

    @abstractmethod
    def background_counts(self, mixture: GaussianMixture, lattice: Lattice) -> FloatArray:
        """The expected weight of the points of the background in each pixel, as an image; points
        beside it are in the nearest one. The mixture has a background.
        """

    @abstractmethod
    def region_weights(self, mixture: GaussianMixture, regions: Sequence[Region]) -> FloatArray:
        """The weight of the points in each of R regions, and the expected weight of those among
        them that are of the background, (R, 2).
        """

    @abstractmethod
    def touched(self, mixture: GaussianMixture) -> Pattern:
        """Which components matter in which cells."""

    @abstractmethod
    def near(self, positions: FloatArray, radii: FloatArray) -> Cells:
        """The cells around each of some positions (P, D): those with their centre within a radius
        (P,), and the nearest.
        """

    @abstractmethod
    def overdensities(
        self, mixture: GaussianMixture, search: Search, whole: Summary | None = None
    ) -> Overdensities:
        """Where the points are denser than a mixture of all of them predicts.

        `whole` sums up all points, where those here are a part of them.
        """

    @abstractmethod
    def information(self, mixture: GaussianMixture, pairs: NDArray[np.intp]) -> Information:
        """Fisher's information on the components, and common to `pairs` (P, 2) of them, j < k, in
        lexical order.
        """

    @abstractmethod
    def scores(self, mixture: GaussianMixture) -> Scores:
        """How well a mixture predicts the points, and how surely they belong to its components."""

    @abstractmethod
    def log_density(self, mixture: GaussianMixture) -> FloatArray:
        """Natural log of the density of a mixture at each point, (N,), per data unit^D."""

    @abstractmethod
    def assign(self, mixture: GaussianMixture) -> Assignment:
        """The most probable component of each point."""

    @abstractmethod
    def without_noise(self) -> "Engine":
        """The same points as if they had no noise."""
