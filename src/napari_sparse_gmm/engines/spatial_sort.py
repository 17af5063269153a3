"""Points that come in chunks, sorted in space into partitions on disk.

A partition then meets only the components near it. The partitions are the leaves of a kd-tree: its
cuts halve a sample of the points along the longest side, so that all have about as many. Each
chunk is read twice: for the sample, and to be written, cut in pieces, to a scratch folder; then
each partition is put together from its pieces, ordered like the points of any engine (`blocks`),
and written as a Parquet file. Neither needs more memory than a chunk or a partition.

Equal points lie in one partition, where they become one with their weight together.
"""

import errno
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from napari_sparse_gmm.arrays import bounds
from napari_sparse_gmm.chunked import Chunk, Chunked, Noted
from napari_sparse_gmm.engines.blocks import Blocks, blocks_of, kd_order
from napari_sparse_gmm.engines.choice import Opening
from napari_sparse_gmm.engines.in_memory import InMemory
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.observations import Observations

_Result = TypeVar("_Result")

# Points that the cuts are found from, at most.
_SAMPLE = 1 << 19
# A file written anew for each partition has such a name.
_NAME = "partition-{:05d}.parquet"


class Place(Protocol):
    """Where work on chunks and partitions is done."""

    def on_chunks(
        self, work: Callable[..., _Result], chunks: Sequence[Chunk], *arguments: Sequence[Any]
    ) -> list[_Result]:
        """work(observations, ...) of each chunk, with the arguments of each."""

    def run(self, work: Callable[..., _Result], *arguments: Sequence[Any]) -> list[_Result]:
        """work(...), with each of the arguments in turn."""


class Here:
    """Work in this process, one thing after the other."""

    def on_chunks(
        self, work: Callable[..., _Result], chunks: Sequence[Chunk], *arguments: Sequence[Any]
    ) -> list[_Result]:
        return [work(chunk.load(), *own) for chunk, *own in zip(chunks, *arguments, strict=True)]

    def run(self, work: Callable[..., _Result], *arguments: Sequence[Any]) -> list[_Result]:
        return [work(*own) for own in zip(*arguments, strict=True)]


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of points before they are sorted.

    Parameters
    ----------
    n_points : int
        Those of positive weight.
    total_weight : float
    box : (2, D) array
    sample : (S, D) array
        Some of them, each as likely as any other.
    weighted, noisy : bool
        Whether points have weights, and noise.
    notes : tuple of str
        Sentences about those that were left out.
    """

    n_points: int
    total_weight: float
    box: FloatArray
    sample: FloatArray
    weighted: bool
    noisy: bool
    notes: tuple[str, ...] = ()

    @property
    def n_columns(self) -> int:
        """Numbers that there are of each point: coordinates, weight, noise."""
        d = self.sample.shape[1]
        return d + self.weighted + (d if self.noisy else 0)


def survey(chunked: Chunked, place: Place) -> Survey:
    """One pass over all chunks."""
    n = len(chunked.chunks)
    each = max(1024, 2 * _SAMPLE // n)
    found = place.on_chunks(_surveyed, chunked.chunks, range(n), [each] * n)
    if len({(one.sample.shape[1], one.weighted, one.noisy) for one in found}) > 1:
        raise InputError("All chunks must have the same columns.")
    found = [one for one in found if one.n_points]
    n_points = sum(one.n_points for one in found)
    if n_points < 2:
        raise InputError("X must have at least 2 points of positive weight.")
    # As many of each as it has a share of all: a chunk that is thinned most says how many.
    share = min(len(one.sample) / one.n_points for one in found)
    share = min(share, _SAMPLE / n_points)
    sample = [one.sample[: max(1, round(share * one.n_points))] for one in found]
    boxes = np.array([one.box for one in found])
    return Survey(
        n_points,
        sum(one.total_weight for one in found),
        np.stack([boxes[:, 0].min(0), boxes[:, 1].max(0)]),
        np.concatenate(sample),
        found[0].weighted,
        found[0].noisy,
        tuple(dict.fromkeys(note for one in found for note in one.notes)),
    )


def _surveyed(chunk: Observations, k: int, n: int) -> Survey:
    """The `sample` is in random order."""
    counted, d = chunk.counted, chunk.n_dimensions
    notes = chunk.notes if isinstance(chunk, Noted) else ()
    has = chunk.weights is not None, chunk.noise is not None, notes
    if not len(counted):
        return Survey(0, 0.0, np.empty((2, d)), np.empty((0, d)), *has)
    rows = np.random.default_rng(k).permutation(len(counted))[:n]
    box = bounds(counted.points)
    return Survey(len(counted), counted.total_weight, box, counted.points[rows], *has)


@dataclass(frozen=True)
class Stored:
    """A partition on disk.

    Parameters
    ----------
    path : str
        A Parquet file with columns x0, x1, ..., perhaps weight, and variance0, variance1, ...; the
        points are in the order of `blocks.kd_order`.
    n_points, n_dimensions : int
    noisy : bool
        Whether the noise of the points is looked at.
    opening : Opening
    share : float
        How often each point counts, as a share of its weight.
    """

    path: str
    n_points: int
    n_dimensions: int
    noisy: bool
    opening: Opening
    share: float = 1.0

    def read(self) -> Observations:
        """The points, each counting as often as it should."""
        table = pq.read_table(self.path, memory_map=True)
        names = table.column_names

        def columns(name: str) -> FloatArray:
            chosen = [table.column(f"{name}{axis}").to_numpy() for axis in range(self.n_dimensions)]
            return np.stack(chosen, axis=1)

        return Observations(
            columns("x"),
            table.column("weight").to_numpy() if "weight" in names else None,
            columns("variance") if self.noisy else None,
        ).worth(self.share)

    def open(self, blocks: Blocks | None = None) -> InMemory:
        observations = self.read()
        if blocks is None:
            size = self.opening.block_size
            blocks = blocks_of(observations.points, size, observations.noise)
        return self.opening.open(observations, blocks=blocks, read=self.read)

    def without_noise(self) -> "Stored":
        return replace(self, noisy=False)


def sorted_in_space(
    chunked: Chunked,
    surveyed: Survey,
    folder: Path,
    opening: Opening,
    *,
    n_partitions: int,
    place: Place,
) -> list[Stored]:
    """Partitions of all points of positive weight, written to a folder.

    Parameters
    ----------
    chunked : Chunked
    surveyed : Survey
        Of these chunks.
    folder : Path
        Where workers elsewhere can read it, too.
    opening : Opening
    n_partitions : int
        A power of two. There are fewer where many points are alike.
    place : Place

    Raises
    ------
    InputError, OSError
        Where the folder has no room.
    """
    check_room(folder, surveyed)
    axes, cuts = _cuts(surveyed.sample, n_partitions)
    n = len(chunked.chunks)
    pieces = [str(folder / f"chunk-{k:05d}.npy") for k in range(n)]
    edges = np.array(
        place.on_chunks(_distributed, chunked.chunks, pieces, [axes] * n, [cuts] * n)
    )  # (n, P + 1)
    kept = np.flatnonzero(np.diff(edges, axis=1).sum(0))
    d = chunked.n_dimensions
    stored = place.run(
        _gathered,
        [str(folder / _NAME.format(k)) for k in range(len(kept))],
        [pieces] * len(kept),
        [edges[:, p : p + 2] for p in kept],
        [(d, surveyed.weighted)] * len(kept),
    )
    for piece in pieces:
        Path(piece).unlink()
    return [Stored(path, n, d, surveyed.noisy, opening) for path, n in stored]


def check_room(folder: Path, surveyed: Survey) -> None:
    """Raise an InputError where a folder has no room for the points: in pieces, and sorted."""
    needed = 2 * 8 * surveyed.n_points * surveyed.n_columns
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder} has {free / 1e9:.3g} GB left, and sorting {surveyed.n_points:,} points "
            f"takes {needed / 1e9:.3g} GB: choose another scratch folder."
        )


def _cuts(sample: FloatArray, n_partitions: int) -> tuple[NDArray[np.intp], FloatArray]:
    """The axis and the position of each cut of a kd-tree with so many leaves, a power of two, in
    the order of a heap, (P - 1,) each: the children of cut k are 2 k + 1 and 2 k + 2.
    """
    axes, cuts = np.zeros(n_partitions - 1, dtype=np.intp), np.zeros(n_partitions - 1)
    parts = [sample]
    for k in range(n_partitions - 1):
        own = parts[k]
        if len(own):
            axes[k] = np.argmax(np.ptp(own, axis=0))
            cuts[k] = np.median(own[:, axes[k]])
        below = own[:, axes[k]] < cuts[k]
        parts += [own[below], own[~below]]
        parts[k] = own[:0]
    return axes, cuts


def _distributed(
    chunk: Observations, path: str, axes: NDArray[np.intp], cuts: FloatArray
) -> NDArray[np.intp]:
    """Write the points of a chunk, those of each partition together; where each starts, and the
    end, (P + 1,).
    """
    chunk = chunk.counted
    columns = [chunk.points]
    if chunk.weights is not None:
        columns.append(chunk.weights[:, None])
    if chunk.noise is not None:
        columns.append(chunk.noise)
    node = np.zeros(len(chunk), dtype=np.intp)
    while len(cuts) and (node < len(cuts)).all():
        own = chunk.points[np.arange(len(chunk)), axes[node]]
        node = 2 * node + np.where(own < cuts[node], 1, 2)
        if not len(node):
            break
    partition = node - len(cuts)
    order = np.argsort(partition, kind="stable")
    _written(path, lambda: np.save(path, np.hstack(columns)[order]))
    return np.searchsorted(partition[order], np.arange(len(cuts) + 2))


def _gathered(
    path: str, pieces: Sequence[str], edges: NDArray[np.intp], form: tuple[int, bool]
) -> tuple[str, int]:
    """Write a partition, put together from pieces of chunks, at `edges` (n, 2) of each; `form` is
    the number of dimensions and whether there are weights. Returns the path and how many points.
    """
    d, weighted = form
    rows = np.concatenate(
        [
            np.load(piece, mmap_mode="r")[first:last]
            for piece, (first, last) in zip(pieces, edges, strict=True)
        ]
    )
    points, weights, noise = np.split(rows, [d, d + weighted], axis=1)
    found = Observations(
        np.ascontiguousarray(points),
        weights[:, 0] if weighted else None,
        np.ascontiguousarray(noise) if noise.shape[1] else None,
    ).distinct
    order, points = kd_order(found.points)
    table = {f"x{axis}": points[:, axis] for axis in range(d)}
    if found.weights is not None:
        table["weight"] = found.weights[order]
    if found.noise is not None:
        table |= {f"variance{axis}": found.noise[order, axis] for axis in range(d)}
    _written(
        path,
        lambda: pq.write_table(
            pa.table(table), path, compression="none", use_dictionary=False, write_statistics=False
        ),
    )
    return path, len(found)


def _written(path: str, write: Callable[[], object]) -> None:
    """Write a file; an OSError that says what to do where there is no room for it."""
    try:
        write()
    except OSError as error:
        Path(path).unlink(missing_ok=True)
        # NumPy gives no number, only a sentence: that too few bytes were written.
        if error.errno in (None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            why = "no space is left in the scratch folder; choose another one"
            raise OSError(error.errno or errno.ENOSPC, why, str(Path(path).parent)) from error
        raise
