"""Masks of pixels."""

import math
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, ClassVar
from zlib import compress, decompressobj

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.arrays import input_errors
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.regions.region import BoolArray, FloatArray, Region, frozen

# A pixel takes up to 9 bytes, with its entry in the summed area table.
_MOST_PIXELS = 1 << 30


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
    spacing: FloatArray
    origin: FloatArray

    def __init__(self, mask: ArrayLike, spacing: ArrayLike = 1.0, origin: ArrayLike = 0.0) -> None:
        _check_size(np.shape(mask))
        pixels = np.array(mask, dtype=bool)
        pixels.flags.writeable = False
        steps, start = frozen(spacing, "spacing"), frozen(origin, "origin")
        with input_errors():
            if steps.ndim < 2:
                steps = np.diag(np.broadcast_to(steps, pixels.ndim))
            start = np.broadcast_to(start, pixels.ndim)
        object.__setattr__(self, "mask", pixels)
        object.__setattr__(self, "spacing", frozen(steps, "spacing"))
        object.__setattr__(self, "origin", frozen(start, "origin"))
        if self.spacing.shape != (pixels.ndim, pixels.ndim) or not self._pixel_volume > 0:
            raise InputError(f"The pixels of a mask of {pixels.ndim} axes need some volume.")
        if not pixels.any():
            raise InputError("A mask needs some pixels that are true.")

    @cached_property
    def _pixel_volume(self) -> float:
        return float(abs(np.linalg.det(self.spacing)))

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
        first, end = self._ends
        corners = np.array(list(product(*zip(first - 0.5, end - 0.5, strict=True))))
        positions = self.origin + corners @ self.spacing.T
        return np.stack([positions.min(0), positions.max(0)])

    @property
    def volume(self) -> float:
        return self._pixel_volume * float(np.count_nonzero(self.mask))

    def _indices(self, points: FloatArray) -> FloatArray:
        """Of positions (..., D), in pixels."""
        return np.asarray((points - self.origin) @ np.linalg.inv(self.spacing).T)

    def contains(self, points: ArrayLike) -> BoolArray:
        indices = np.floor(self._indices(np.asarray(points, dtype=np.float64)) + 0.5)
        inside = ((indices >= 0) & (indices < self.mask.shape)).all(1)
        found = np.zeros(len(indices), dtype=bool)
        found[inside] = self.mask[tuple(indices[inside].astype(np.intp).T)]
        return found

    def covers(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        centre = self._indices(0.5 * (lower + upper))
        half = 0.5 * (upper - lower) @ np.abs(np.linalg.inv(self.spacing)).T
        half += 1e-9 * (1.0 + np.abs(centre))  # rounding must not hide a pixel that is touched
        first, end = np.floor(centre - half + 0.5), np.floor(centre + half + 0.5) + 1
        covered = ((first >= self._ends[0]) & (end <= self._ends[1])).all(1)
        low, high = ((ends[covered].astype(np.intp) - self._ends[0]).T for ends in (first, end))
        counts = np.zeros(low.shape[1], dtype=np.int64)
        # Inclusion and exclusion of the corners.
        for corner in product((0, 1), repeat=self.mask.ndim):
            index = np.where(np.array(corner)[:, None], high, low)
            counts += (-1) ** (self.mask.ndim - sum(corner)) * self._sums[tuple(index)]
        covered[covered] = counts == (high - low).prod(0)
        return np.asarray(covered)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        pixels = np.flatnonzero(self.mask)
        drawn = np.stack(np.unravel_index(rng.choice(pixels, n), self.mask.shape), axis=1)
        indices = drawn + rng.uniform(-0.5, 0.5, drawn.shape)
        return np.asarray(self.origin + indices @ self.spacing.T)

    def transformed(self, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0) -> "Mask":
        s = np.broadcast_to(np.asarray(scale, dtype=float), self.mask.ndim)
        start = s * self.origin + np.asarray(offset, dtype=float)
        return Mask(self.mask, s[:, None] * self.spacing, start)

    def values(self) -> dict[str, Any]:
        packed = b64encode(compress(np.packbits(self.mask).tobytes())).decode("ascii")
        return {
            "shape": list(self.mask.shape),
            "packed_bits": packed,
            "spacing": self.spacing.tolist(),
            "origin": self.origin.tolist(),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return Mask, (self.mask, self.spacing, self.origin)  # without what is worked out from them

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Mask":
        shape = tuple(map(int, values["shape"]))
        _check_size(shape)
        packed = b64decode(values["packed_bits"])
        # A few bytes may stand for any number of them.
        bytes_ = decompressobj().decompress(packed, max(1, -(-math.prod(shape) // 8)))
        mask = np.unpackbits(np.frombuffer(bytes_, dtype=np.uint8), count=math.prod(shape))
        return cls(mask.reshape(shape), values["spacing"], values["origin"])


def _check_size(shape: tuple[int, ...]) -> None:
    if math.prod(shape) > _MOST_PIXELS:
        raise InputError(
            f"A mask of {' x '.join(map(str, shape))} pixels is too large, with more than "
            f"{_MOST_PIXELS:,}: take larger pixels."
        )
