"""An engine whose points lie in partitions: more than there is memory for, or on other machines.

It never sees a point. What it knows are the bounding boxes and weights of all cells, some hundred
points each, so that it can say by itself which components matter where: each partition is asked
about those that matter there, and not at all where a question concerns none of its cells. Its
answers are those of the whole, as if all points lay in one place: components are shared by the
partitions, and nothing happens at a border.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_sparse_gmm.engines.blocks import Blocks, Boxes
from napari_sparse_gmm.engines.engine import Cells, Engine, Summary
from napari_sparse_gmm.engines.in_memory import InMemory
from napari_sparse_gmm.engines.information import Information, look_up
from napari_sparse_gmm.engines.overdensity import Overdensities, Search
from napari_sparse_gmm.engines.pattern import Pattern, find_pattern
from napari_sparse_gmm.engines.statistics import Assignment, Scores, Statistics
from napari_sparse_gmm.engines.threads import in_threads
from napari_sparse_gmm.engines.workers import Workers
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Region
from napari_sparse_gmm.regions.pixels import Lattice

# What is left out of the density for a whole partition, beside what its engine leaves out.
_OF_THE_TOLERANCE = 0.1
# Nanoseconds to find the components of a cell.
_OF_CELL = 500
# Bits of a number that are looked at in each pass for a median.
_BITS = 16


@dataclass(frozen=True, eq=False)
class Layout:
    """What is known of partitions without their points.

    Parameters
    ----------
    summaries : list of Summary
    blocks : list of Blocks
        The boxes of the cells of each; the order of their points is not there.
    weights : list of (C,) arrays
        Of those cells.
    tolerance : float
        What engines leave out of the density at a point, as a share of it.
    digests : list of bytes
        That differ where points do.
    """

    summaries: list[Summary]
    blocks: list[Blocks]
    weights: list[FloatArray]
    tolerance: float
    digests: list[bytes]

    @classmethod
    def joining(cls, parts: Sequence["Layout"]) -> "Layout":
        """That of several partitions, one after the other."""
        return cls(
            [summary for part in parts for summary in part.summaries],
            [blocks for part in parts for blocks in part.blocks],
            [weights for part in parts for weights in part.weights],
            parts[0].tolerance,
            [digest for part in parts for digest in part.digests],
        )


class Partitioned(Engine):
    """Points in partitions, as one.

    Parameters
    ----------
    workers : Workers
    name, reason : str
        Of the engines of the partitions.

    Raises
    ------
    EngineLost
        Here and in every answer, where a worker is lost and none takes its place.
    """

    def __init__(self, workers: Workers, name: str = "partitioned", reason: str = "") -> None:
        self.workers, self.reason = workers, reason
        self.name = name
        self.layout = workers.ask_all(_layout, join=Layout.joining)
        self.first_cells = np.append(0, np.cumsum([len(b) for b in self.layout.blocks]))
        self.first_points = np.append(0, np.cumsum([s.n_points for s in self.layout.summaries]))

    @cached_property
    def summary(self) -> Summary:
        return Summary.joining(self.layout.summaries)

    @cached_property
    def typical_noise(self) -> FloatArray | None:
        return None if self.layout.blocks[0].boxes.noise is None else self._median_noise()

    @cached_property
    def cell_weights(self) -> FloatArray:
        return np.concatenate(self.layout.weights)

    @property
    def digest(self) -> bytes:
        return b"".join(self.layout.digests)

    def sample(self, n: int, rng: np.random.Generator) -> Observations:
        total = int(self.first_points[-1])
        drawn = np.arange(total) if n >= total else rng.choice(total, n, replace=False)
        order = np.argsort(drawn, kind="stable")
        edges = np.searchsorted(drawn[order], self.first_points)
        calls = {
            p: (drawn[order][a:b] - self.first_points[p],)
            for p, (a, b) in enumerate(pairwise(edges))
            if b > a
        }
        found = self.workers.ask(_subset, calls, Observations.joining)
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return found.subset(back)

    def n_outside(self, region: Region) -> int:
        return int(self.workers.ask_all(_n_outside, join=_sum, shared=region))

    def expectation(
        self,
        mixture: GaussianMixture,
        *,
        removal: bool = False,
        cells: NDArray[np.intp] | None = None,
    ) -> Statistics:
        # Where the cells of each partition are among those that are looked at.
        edges = self.first_cells if cells is None else np.searchsorted(cells, self.first_cells)
        calls: dict[int, tuple[Any, ...]] = {}
        for p, components in self._touching(mixture, np.diff(edges) > 0):
            own = None if cells is None else cells[edges[p] : edges[p + 1]] - self.first_cells[p]
            calls[p] = (_Share.of(mixture, components), removal, own)
        k = mixture.n_components
        if not calls:
            return _nothing(k, mixture.n_dimensions, self.summary.total_weight, self.first_cells)
        found = self.workers.ask(_expectation, calls, _OfSome.joining, mixture.background_region)
        log_likelihoods = np.zeros(self.first_cells[-1])
        log_likelihoods[slice(None) if cells is None else cells] = (
            found.statistics.cell_log_likelihoods
        )
        return replace(
            found.statistics.spread(found.components, k),
            cell_log_likelihoods=log_likelihoods,
            total_weight=self.summary.total_weight,
        )

    def background_counts(self, mixture: GaussianMixture, lattice: Lattice) -> FloatArray:
        calls = {p: (_Share.of(mixture, c), lattice) for p, c in self._touching(mixture)}
        region = mixture.background_region
        return self.workers.ask(_background_counts, calls, _sum, region)

    def region_weights(self, mixture: GaussianMixture, regions: Sequence[Region]) -> FloatArray:
        calls = {p: (_Share.of(mixture, c), regions) for p, c in self._touching(mixture)}
        return self.workers.ask(_region_weights, calls, _sum, mixture.background_region)

    def touched(self, mixture: GaussianMixture) -> Pattern:
        matter = dict(self._touching(mixture))

        def find(p: int) -> tuple[NDArray[Any], ...]:
            blocks, components = self.layout.blocks[p], matter[p]
            share = _Share.of(mixture, components).mixture(mixture.background_region)
            own = find_pattern(blocks, share, self.layout.tolerance, in_parts=False)
            rows = own.rows + self.first_cells[p]
            return rows, own.counts, components[own.components], own.double

        found = in_threads(find, len(matter), work=float(_OF_CELL * self.first_cells[-1]))
        return Pattern(*(np.concatenate(values) for values in zip(*found, strict=True)))

    def near(self, positions: FloatArray, radii: FloatArray) -> Cells:
        return Cells.near(self._centre_tree, positions, radii)

    def overdensities(
        self, mixture: GaussianMixture, search: Search, whole: Summary | None = None
    ) -> Overdensities:
        whole = self.summary if whole is None else whole
        calls = {p: (_Share.of(mixture, c), search, whole) for p, c in self._touching(mixture)}
        region = mixture.background_region
        found = self.workers.ask(_overdensities, calls, Overdensities.together, region)
        return found.unsuppressed

    def information(self, mixture: GaussianMixture, pairs: NDArray[np.intp]) -> Information:
        k = mixture.n_components
        keys = pairs[:, 0] * k + pairs[:, 1]
        calls = {}
        for p, components in self._touching(mixture):
            inside = np.isin(pairs, components).all(1)
            own = np.searchsorted(components, pairs[inside])
            calls[p] = (_Share.of(mixture, components), own, keys[inside])
        region = mixture.background_region
        found = self.workers.ask(_information, calls, _InformationOfSome.joining, region)
        own_pairs = look_up(keys, found.keys)[0]
        return found.information.spread(found.components, k, own_pairs, len(pairs))

    def scores(self, mixture: GaussianMixture) -> Scores:
        calls = {p: (_Share.of(mixture, c),) for p, c in self._touching(mixture)}
        return self.workers.ask(_scores, calls, Scores.joining, mixture.background_region)

    def log_density(self, mixture: GaussianMixture) -> FloatArray:
        calls = {p: (_Share.of(mixture, c),) for p, c in self._touching(mixture)}
        region = mixture.background_region
        return self.workers.ask(_log_density, calls, np.concatenate, region)

    def assign(self, mixture: GaussianMixture) -> Assignment:
        calls = {p: (_Share.of(mixture, c),) for p, c in self._touching(mixture)}
        return self.workers.ask(_assign, calls, Assignment.joining, mixture.background_region)

    def without_noise(self) -> "Partitioned":
        other = Partitioned(self.workers.without_noise(), self.name, self.reason)
        other.repeats = self.repeats
        return other

    def _touching(
        self, mixture: GaussianMixture, wanted: NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Partitions, all or those `wanted` (P,), with the components that matter there, rising."""
        tolerance = _OF_THE_TOLERANCE * self.layout.tolerance
        rows = None if wanted is None else np.flatnonzero(wanted)
        found = find_pattern(self._roots, mixture, tolerance, rows)
        starts = found.starts
        for p, a, b in zip(found.rows.tolist(), starts[:-1], starts[1:], strict=True):
            yield p, np.sort(found.components[a:b])

    @cached_property
    def _roots(self) -> Blocks:
        """The boxes of the partitions."""
        n = len(self.layout.blocks)
        roots = Boxes.joining([blocks.boxes.joined(1) for blocks in self.layout.blocks])
        return Blocks(None, np.arange(n + 1), roots)

    @cached_property
    def _centre_tree(self) -> cKDTree:
        return cKDTree(np.concatenate([blocks.boxes.centre for blocks in self.layout.blocks]))

    def _median_noise(self) -> FloatArray:
        """The median along each axis, to the last digit: by counting how often each value of the
        leading bits occurs, then of the next ones. Numbers that are not negative have the order
        of their bits.
        """
        n, d = int(self.first_points[-1]), self.summary.box.shape[1]
        ranks = np.broadcast_to([(n - 1) // 2, n // 2], (d, 2)).copy()
        prefixes = np.zeros((d, 2), dtype=np.uint64)
        for shift in range(64 - _BITS, -1, -_BITS):
            counts = self.workers.ask_all(_leading_bits, prefixes, shift, join=_sum)
            below = np.cumsum(counts, axis=2)
            next_ = (below <= ranks[:, :, None]).sum(2)
            before = np.take_along_axis(below - counts, next_[:, :, None], axis=2)
            ranks -= before[:, :, 0]
            prefixes = (prefixes << np.uint64(_BITS)) | next_.astype(np.uint64)
        return prefixes.view(np.float64).mean(1)


@dataclass(frozen=True, eq=False)
class _Share:
    """The components of a mixture that matter in a partition; the region goes another way."""

    components: NDArray[np.intp]
    weights: FloatArray
    means: FloatArray
    covariances: FloatArray
    background_weight: float

    @classmethod
    def of(cls, mixture: GaussianMixture, components: NDArray[np.intp]) -> "_Share":
        """Some components, rising."""
        return cls(
            components,
            mixture.weights[components],
            mixture.means[components],
            mixture.covariances[components],
            mixture.background_weight,
        )

    def mixture(self, region: Region | None) -> GaussianMixture:
        """These components with the background; their weights sum to less than 1."""
        own = self.weights, self.means, self.covariances
        return GaussianMixture.unchecked(*own, self.background_weight, region)


@dataclass(frozen=True, eq=False)
class _OfSome:
    """Statistics of some of the components, on some of the cells, one after the other."""

    components: NDArray[np.intp]
    statistics: Statistics

    @classmethod
    def joining(cls, parts: Sequence["_OfSome"]) -> "_OfSome":
        components = np.unique(np.concatenate([part.components for part in parts]))
        spread = [
            part.statistics.spread(np.searchsorted(components, part.components), len(components))
            for part in parts
        ]
        return cls(components, Statistics.joining(spread))


@dataclass(frozen=True, eq=False)
class _InformationOfSome:
    """Information on some of the components, and on pairs of them by their keys, rising."""

    components: NDArray[np.intp]
    keys: NDArray[np.intp]
    information: Information

    @classmethod
    def joining(cls, parts: Sequence["_InformationOfSome"]) -> "_InformationOfSome":
        components = np.unique(np.concatenate([part.components for part in parts]))
        keys = np.unique(np.concatenate([part.keys for part in parts]))
        spread = [
            part.information.spread(
                np.searchsorted(components, part.components),
                len(components),
                np.searchsorted(keys, part.keys),
                len(keys),
            )
            for part in parts
        ]
        return cls(components, keys, Information.joining(spread))


def _nothing(k: int, d: int, total_weight: float, first_cells: NDArray[np.intp]) -> Statistics:
    """The statistics of no cell."""
    return Statistics(
        np.zeros(k),
        np.zeros((k, d)),
        np.zeros((k, d, d)),
        0.0,
        np.zeros(first_cells[-1]),
        total_weight,
    )


# Questions to the engine of a partition, with the region of the background as what is shared.


def _layout(engine: InMemory, _: None) -> Layout:
    blocks = replace(engine.blocks, order=None)
    return Layout(
        [engine.summary], [blocks], [engine.cell_weights], engine.tolerance, [engine.digest]
    )


def _subset(engine: InMemory, _: None, rows: NDArray[np.intp]) -> Observations:
    return engine.observations.subset(rows)


def _n_outside(engine: InMemory, region: Region) -> NDArray[np.intp]:
    return np.array(engine.n_outside(region))


def _leading_bits(
    engine: InMemory, _: None, prefixes: NDArray[np.uint64], shift: int
) -> NDArray[np.intp]:
    """How often each value of the next bits follows each of the prefixes (D, 2), (D, 2, 2^16)."""
    noise = engine.observations.noise
    assert noise is not None
    bits = np.ascontiguousarray(noise.T).view(np.uint64) >> np.uint64(shift)
    out = np.zeros((*prefixes.shape, 1 << _BITS), dtype=np.intp)
    leading, next_ = bits >> np.uint64(_BITS), bits & np.uint64((1 << _BITS) - 1)
    for axis, rank in np.ndindex(prefixes.shape):
        chosen = next_[axis][leading[axis] == prefixes[axis, rank]].astype(np.intp)
        out[axis, rank] = np.bincount(chosen, minlength=1 << _BITS)
    return out


def _expectation(
    engine: InMemory,
    region: Region | None,
    share: _Share,
    removal: bool,
    cells: NDArray[np.intp] | None,
) -> _OfSome:
    found = engine.expectation(share.mixture(region), removal=removal, cells=cells)
    if cells is not None:
        found = replace(found, cell_log_likelihoods=found.cell_log_likelihoods[cells])
    return _OfSome(share.components, found)


def _background_counts(
    engine: InMemory, region: Region, share: _Share, lattice: Lattice
) -> FloatArray:
    return engine.background_counts(share.mixture(region), lattice)


def _region_weights(
    engine: InMemory, region: Region | None, share: _Share, regions: Sequence[Region]
) -> FloatArray:
    return engine.region_weights(share.mixture(region), regions)


def _overdensities(
    engine: InMemory, region: Region | None, share: _Share, search: Search, whole: Summary
) -> Overdensities:
    return engine.overdensities(share.mixture(region), search, whole)


def _information(
    engine: InMemory,
    region: Region | None,
    share: _Share,
    pairs: NDArray[np.intp],
    keys: NDArray[np.intp],
) -> _InformationOfSome:
    found = engine.information(share.mixture(region), pairs)
    return _InformationOfSome(share.components, keys, found)


def _scores(engine: InMemory, region: Region | None, share: _Share) -> Scores:
    return engine.scores(share.mixture(region))


def _log_density(engine: InMemory, region: Region | None, share: _Share) -> FloatArray:
    return engine.log_density(share.mixture(region))


def _assign(engine: InMemory, region: Region | None, share: _Share) -> Assignment:
    found = engine.assign(share.mixture(region))
    return replace(found, component=np.append(share.components, -1)[found.component])


def _sum(values: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.sum(values, axis=0)
