"""Masks of pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.regions.pixels import Lattice, packed, unpacked
from napari_sparse_gmm.regions.region import BoolArray, FloatArray, Region


@dataclass(frozen=True, eq=False)
class Mask(Region):
    """The pixels of an image that are true.

    Parameters
    ----------
    mask : array of D axes
    spacing : float, (D,) or (D, D) array
        The size of a pixel; or, for an image that is rotated or sheared, the step from a pixel to
        the next along each of its axes, one in a column.
    origin : float or (D,) array
        The centre of the first pixel.

    Raises
    ------
    InputError
        Where no pixel is true, pixels have no volume, or there are more than 2^30.
    """

    kind: ClassVar[str] = "mask"

    mask: BoolArray
    lattice: Lattice

    def __init__(self, mask: ArrayLike, spacing: ArrayLike = 1.0, origin: ArrayLike = 0.0) -> None:
        object.__setattr__(self, "lattice", Lattice.of(np.shape(mask), spacing, origin))
        pixels = np.array(mask, dtype=bool)
        pixels.flags.writeable = False
        object.__setattr__(self, "mask", pixels)
        if not pixels.any():
            raise InputError("A mask needs some pixels that are true.")

    @classmethod
    def joining(cls, masks: "Sequence[Mask]") -> "Mask":
        """What lies in any of several, whose pixels are those of one lattice."""
        lattice = masks[0].lattice
        firsts = np.array(
            [np.rint(lattice.inverse @ (mask.lattice.origin - lattice.origin)) for mask in masks],
            dtype=np.intp,
        )
        shapes = np.array([mask.mask.shape for mask in masks])
        start = firsts.min(0)
        whole = np.zeros((firsts + shapes).max(0) - start, dtype=bool)
        for mask, first, shape in zip(masks, firsts - start, shapes, strict=True):
            whole[tuple(map(slice, first, first + shape))] |= mask.mask
        return cls(whole, lattice.spacing, lattice.origin + lattice.spacing @ start)

    @cached_property
    def _ends(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The first indices of true pixels along each axis, and those behind the last, (D,)."""
        d = self.mask.ndim
        along = [
            np.flatnonzero(self.mask.any(axis=tuple(a for a in range(d) if a != axis)))
            for axis in range(d)
        ]
        return np.array([i[0] for i in along]), np.array([i[-1] + 1 for i in along])

    @cached_property
    def _sums(self) -> NDArray[np.integer[Any]]:
        """How many true pixels come before each on all axes, from the first of `_ends` on: a
        summed area table.
        """
        box = tuple(slice(a, b) for a, b in zip(*self._ends, strict=True))
        shape = [b - a + 1 for a, b in zip(*self._ends, strict=True)]
        small = self.mask.size < 2**31
        sums: NDArray[np.integer[Any]] = np.zeros(shape, np.int32 if small else np.int64)
        inner = sums[(slice(1, None),) * sums.ndim]
        inner[...] = self.mask[box]
        for axis in range(sums.ndim):
            np.cumsum(inner, axis=axis, out=inner)
        return sums

    @cached_property
    def box(self) -> FloatArray:
        return self.lattice.box(*self._ends)

    @property
    def volume(self) -> float:
        return self.lattice.pixel_volume * float(np.count_nonzero(self.mask))

    def contains(self, points: ArrayLike) -> BoolArray:
        pixels, inside = self.lattice.pixels(np.asarray(points, dtype=np.float64))
        return np.asarray(inside & self.mask[tuple(pixels.T)])

    def covers(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        centre = self.lattice.indices(0.5 * (lower + upper))
        half = 0.5 * (upper - lower) @ np.abs(self.lattice.inverse).T
        half += 1e-9 * (1.0 + np.abs(centre))  # rounding must not hide a pixel that is touched
        first, end = np.floor(centre - half + 0.5), np.floor(centre + half + 0.5) + 1
        covered = np.asarray(((first >= self._ends[0]) & (end <= self._ends[1])).all(1))
        low, high = ((ends[covered].astype(np.intp) - self._ends[0]).T for ends in (first, end))
        counts = np.zeros(low.shape[1], dtype=np.int64)
        # Inclusion and exclusion of the corners.
        for corner in product((0, 1), repeat=self.mask.ndim):
            index = np.where(np.array(corner)[:, None], high, low)
            counts += (-1) ** (self.mask.ndim - sum(corner)) * self._sums[tuple(index)]
        covered[covered] = counts == (high - low).prod(0)
        return covered

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        return self.lattice.sample(self.mask, n, rng)

    def transformed(self, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> "Mask":
        moved = self.lattice.transformed(scale, offset)
        return Mask(self.mask, moved.spacing, moved.origin)

    def values(self) -> dict[str, Any]:
        return {**self.lattice.values(), "packed_bits": packed(np.packbits(self.mask))}

    def __reduce__(self) -> tuple[Any, ...]:
        # Without what is worked out from them.
        return Mask, (self.mask, self.lattice.spacing, self.lattice.origin)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Mask":
        lattice = Lattice.from_values(values)
        size = int(np.prod(lattice.shape))
        bits = np.unpackbits(unpacked(values["packed_bits"], np.uint8, -(-size // 8)), count=size)
        return cls(bits.reshape(lattice.shape), lattice.spacing, lattice.origin)
