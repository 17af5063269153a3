"""Points that come in chunks, as often as they are asked for: more than there is memory for.

>>> points = Chunked.generated(lambda k: np.random.default_rng(k).normal(size=(1000, 2)), 3)
>>> [len(chunk.load()) for chunk in points.chunks]
[1000, 1000, 1000]

What methods take as points may also be a Dask array or dataframe, an array of HDF5 or Zarr, or one
that is mapped from a file; `as_chunked` says which those are.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.observations import Observations

# Points in a chunk of an array, about.
_ROWS = 1 << 20


@dataclass(frozen=True, eq=False)
class Noted(Observations):
    """Points, and sentences about those that were left out."""

    notes: tuple[str, ...] = ()


class Chunk(Protocol):
    """Some of the points."""

    def load(self) -> Observations:
        """These points with their weights and noise, in this process."""

    @property
    def delayed(self) -> Any:
        """The same as a `dask.delayed` object, for other processes; None where only this one can
        load them.
        """


@dataclass(frozen=True, eq=False)
class Chunked:
    """Points, chunk by chunk.

    Parameters
    ----------
    chunks : sequence of Chunk
    n_dimensions : int
    """

    chunks: Sequence[Chunk]
    n_dimensions: int

    @classmethod
    def generated(cls, function: Callable[[int], ArrayLike | Observations], n: int) -> "Chunked":
        """function(0), ... function(n - 1): points (N, D), or observations; each the same whenever
        it is called.
        """
        if n < 1:
            raise InputError(f"There must be a chunk at least, not {n}.")
        chunks = [_Generated(function, k) for k in range(n)]
        return cls(chunks, chunks[0].load().n_dimensions)

    def __iter__(self) -> Iterator[Observations]:
        """The points of each chunk."""
        return (chunk.load() for chunk in self.chunks)

    def mapped(
        self, function: Callable[[Observations], Observations], n_dimensions: int | None = None
    ) -> "Chunked":
        """function(points) of each chunk, in as many dimensions as before or as said; other
        processes have to be able to pickle it.
        """
        chunks = [_Mapped(chunk, function) for chunk in self.chunks]
        return Chunked(chunks, self.n_dimensions if n_dimensions is None else n_dimensions)


def as_chunked(
    X: Any, sample_weight: ArrayLike | None = None, noise_std: ArrayLike | None = None
) -> Chunked | None:
    """What comes in chunks; None of what is in memory as it is.

    Parameters
    ----------
    X : Chunked, Dask array or dataframe, h5py.Dataset, zarr.Array or numpy.memmap
        Of shape (N, D). All columns of a dataframe are coordinates.
    sample_weight, noise_std : optional
        As `Observations.of` takes them; or Dask arrays or series in the same chunks as a Dask X.

    Raises
    ------
    InputError
        Where it is no table of coordinates.
    """
    if isinstance(X, Chunked):
        if sample_weight is not None or noise_std is not None:
            raise InputError(
                "Chunks have their weights and noise; give neither sample_weight nor noise_std "
                "beside them."
            )
        return X
    if _is_dask(X):
        return _of_dask(X, sample_weight, noise_std)
    if isinstance(X, np.memmap) or _is_stored(X):
        return _of_array(X, sample_weight, noise_std)
    return None


@dataclass(frozen=True)
class _Generated:
    function: Callable[[int], ArrayLike | Observations]
    k: int

    def load(self) -> Observations:
        return Observations.of(self.function(self.k), name="X")

    @property
    def delayed(self) -> Any:
        from dask.delayed import delayed

        return delayed(self.load, pure=False)()


@dataclass(frozen=True, eq=False)
class _Mapped:
    chunk: Chunk
    function: Callable[[Observations], Observations]

    def load(self) -> Observations:
        return _with_notes(self.function, self.chunk.load())

    @property
    def delayed(self) -> Any:
        if (loaded := self.chunk.delayed) is None:
            return None
        from dask.delayed import delayed

        return delayed(_with_notes, pure=False)(self.function, loaded)


def _with_notes(
    function: Callable[[Observations], Observations], chunk: Observations
) -> Observations:
    found = function(chunk)
    if isinstance(chunk, Noted):
        return Noted(found.points, found.weights, found.noise, chunk.notes)
    return found


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of something with a shape that gives an array for a slice."""

    array: Any
    rows: slice
    sample_weight: Any
    noise_std: Any

    def load(self) -> Observations:
        values = [
            value[self.rows] if getattr(value, "ndim", 0) else value
            for value in (self.sample_weight, self.noise_std)
        ]
        return Observations.of(np.asarray(self.array[self.rows]), *values, name="X")

    @property
    def delayed(self) -> None:
        """An open file cannot be sent elsewhere."""
        return None


@dataclass(frozen=True, eq=False)
class _Delayed:
    """A chunk of Dask collections, as delayed objects or values."""

    points: Any
    sample_weight: Any
    noise_std: Any

    def load(self) -> Observations:
        return self.delayed.compute(scheduler="synchronous")

    @property
    def delayed(self) -> Any:
        from dask.delayed import delayed

        return delayed(_observations, pure=False)(self.points, self.sample_weight, self.noise_std)


def _observations(points: Any, sample_weight: Any, noise_std: Any) -> Observations:
    weights, noise = (
        None if value is None else np.asarray(value) for value in (sample_weight, noise_std)
    )
    return Observations.of(np.asarray(points), weights, noise, name="X")


def _is_dask(X: Any) -> bool:
    # Whoever has a Dask collection has imported Dask.
    return "dask" in sys.modules and sys.modules["dask"].is_dask_collection(X)


def _is_stored(X: Any) -> bool:
    """Whether it is an array of HDF5 or Zarr."""
    stored = ("h5py", "Dataset"), ("zarr", "Array")
    return any(
        module in sys.modules and isinstance(X, getattr(sys.modules[module], name))
        for module, name in stored
    )


def _of_array(X: Any, sample_weight: Any, noise_std: Any) -> Chunked:
    n, d = _shape(X)
    own = getattr(X, "chunks", None)
    step = max(1, _ROWS // own[0]) * own[0] if own else _ROWS
    values = [None if value is None else _sliceable(value) for value in (sample_weight, noise_std)]
    for name, value in zip(("sample_weight", "noise_std"), values, strict=True):
        if value is not None and value.ndim and len(value) != n:
            raise InputError(f"{name} must have {n} rows as X, not {len(value)}.")
    rows = [slice(start, min(start + step, n)) for start in range(0, n, step)]
    return Chunked([_Rows(X, one, *values) for one in rows], d)


def _sliceable(value: Any) -> Any:
    return value if hasattr(value, "ndim") else np.asarray(value)


def _of_dask(X: Any, sample_weight: Any, noise_std: Any) -> Chunked:
    d = _shape(X)[1]
    points = _delayed_chunks(X)
    columns = []
    for name, value in (("sample_weight", sample_weight), ("noise_std", noise_std)):
        if value is None or np.ndim(value) == 0:
            columns.append([value] * len(points))
            continue
        if not _is_dask(value):
            raise InputError(f"{name} of points in Dask chunks must be in such chunks, too.")
        columns.append(_delayed_chunks(value))
        if len(columns[-1]) != len(points):
            raise InputError(
                f"{name} must be in the same {len(points)} chunks as X, not in {len(columns[-1])}."
            )
    return Chunked([_Delayed(*values) for values in zip(points, *columns, strict=True)], d)


def _delayed_chunks(collection: Any) -> list[Any]:
    """The chunks of an array or a dataframe along its rows."""
    if hasattr(collection, "rechunk") and collection.ndim > 1:
        collection = collection.rechunk({1: -1})
    return list(np.ravel(collection.to_delayed()))


def _shape(X: Any) -> tuple[Any, int]:
    if X.ndim != 2 or not X.shape[1] >= 1:
        raise InputError(f"X must have shape (N, D), not {tuple(X.shape)}.")
    return X.shape[0], int(X.shape[1])


def joined(chunked: Chunked) -> Observations:
    """All points, in memory."""
    return Observations.joining(list(chunked))


def mapped(function: Callable[[Observations], NDArray[Any]], X: Any, chunked: Chunked) -> Any:
    """function(points) (n,) of each chunk of X, one after the other, (N,): a lazy Dask array
    where X is a Dask collection.
    """
    if not _is_dask(X):
        return np.concatenate([function(chunk) for chunk in chunked])
    import dask.array
    from dask.delayed import delayed

    rows = X.chunks[0] if hasattr(X, "chunks") else [np.nan] * len(chunked.chunks)
    dtype = function(Observations(np.zeros((1, chunked.n_dimensions)))).dtype
    return dask.array.concatenate(
        [
            dask.array.from_delayed(delayed(function)(chunk.delayed), (n,), dtype)
            for n, chunk in zip(rows, chunked.chunks, strict=True)
        ],
        allow_unknown_chunksizes=True,
    )
