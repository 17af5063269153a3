"""A level of a heatmap pyramid as an array that is computed where it is looked at."""

from dataclasses import dataclass, field
from operator import index
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.shapes.level import TILE, Level

# No screen shows more; to compute them takes seconds.
MOST_PIXELS = 2**26


@dataclass(frozen=True, eq=False)
class LazyHeatmap:
    """A level, or a slice of it, that is computed when it becomes an array.

    Indexed by whole numbers, slices and an ellipsis, it gives another one. Converting more than
    2^26 pixels at once is an InputError.
    """

    level: Level = field(repr=False)
    kinds: tuple[int | None, ...]  # of the axes of the whole level; see `heatmap_pyramid`
    kept: tuple[range | int, ...]  # indices along each of them

    dtype: ClassVar[np.dtype[np.float32]] = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of pixels along each axis that is left."""
        return tuple(len(kept) for kept in self.kept if isinstance(kept, range))

    @property
    def ndim(self) -> int:
        """Number of axes that are left."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def chunks(self) -> tuple[int, ...]:
        """Sides of a tile: napari then requests whole ones, and so not at each step of a pan."""
        axes = zip(self.kinds, self.kept, strict=True)
        return tuple(1 if not kind else TILE for kind, kept in axes if isinstance(kept, range))

    def __getitem__(self, key: Any) -> "LazyHeatmap":
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(one is Ellipsis for one in keys):
            axis = next(i for i, one in enumerate(keys) if one is Ellipsis)
            keys[axis : axis + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        if len(keys) > self.ndim:
            raise IndexError(f"{len(keys)} indices are too many for {self.ndim} axes.")
        given = iter(keys)
        kept = list(self.kept)
        for axis, old in enumerate(self.kept):
            if isinstance(old, range):
                one = next(given, slice(None))
                kept[axis] = old[one if isinstance(one, slice) else index(one)]
        return LazyHeatmap(self.level, self.kinds, tuple(kept))

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.float32]:
        if self.size > MOST_PIXELS:
            raise InputError(
                f"{' x '.join(map(str, self.shape))} pixels are too many to be computed at once: "
                "zoom in, and leave it to napari to choose the resolution."
            )
        wanted: dict[int, range] = {0: range(1)}
        for kind, kept in zip(self.kinds, self.kept, strict=True):
            if kind is not None:
                wanted[kind] = kept if isinstance(kept, range) else range(kept, kept + 1)
        slices, rows, columns = wanted[0], wanted[1], wanted[2]
        out = np.empty((len(slices), len(rows), len(columns)), dtype=np.float32)
        if self.size:
            rising = tuple(axis[::-1] if axis.step < 0 else axis for axis in (rows, columns))
            turned = tuple(slice(None, None, -1 if r.step < 0 else 1) for r in (rows, columns))
            for i, slice_ in enumerate(slices):
                out[i] = self.level.pixels(slice_, *rising)[turned]
        order = [kind for kind in self.kinds if kind is not None]
        out = out.transpose(order if 0 in order else [0, *order]).reshape(self.shape)
        return out if dtype is None else out.astype(dtype, copy=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "LazyHeatmap":
        # napari copies the data of a layer that is duplicated; what never changes need not be.
        return self
