"""Where the pixels of an image lie, and images as text."""

import math
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Self
from zlib import compress, decompressobj

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from napari_sparse_gmm.arrays import input_errors
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.regions.region import BoolArray, FloatArray, Region, frozen

# A pixel takes up to 9 bytes, with its entry in a summed area table.
_MOST_PIXELS = 1 << 30

# How much of a pixel lies in a region is known from positions in it: so many along each axis at
# most, and of all pixels together.
_FINE, _POSITIONS = 8, 1 << 20
ROUNDING = 1e-9  # of an image's sides


@dataclass(frozen=True, eq=False)
class Lattice:
    """The pixels of an image of D axes, as parallelepipeds in space; see `of`.

    Parameters
    ----------
    shape : tuple of D int
    spacing : (D, D) array
        The step from a pixel to the next along each axis, one in a column.
    origin : (D,) array
        The centre of the first pixel.
    """

    shape: tuple[int, ...]
    spacing: FloatArray
    origin: FloatArray

    @classmethod
    def of(cls, shape: Sequence[int], spacing: ArrayLike, origin: ArrayLike) -> Self:
        """With pixels of one size, of a size along each axis, or from a pixel to the next.

        Raises
        ------
        InputError
            Where shapes disagree, pixels have no volume, or there are more than 2^30.
        """
        shape = tuple(map(int, shape))
        if math.prod(shape) > _MOST_PIXELS:
            raise InputError(
                f"An image of {' x '.join(map(str, shape))} pixels is too large, with more than "
                f"{_MOST_PIXELS:,}: take larger pixels."
            )
        d = len(shape)
        steps, start = frozen(spacing, "spacing"), frozen(origin, "origin")
        with input_errors():
            if steps.ndim < 2:
                steps = np.diag(np.broadcast_to(steps, d))
            start = np.broadcast_to(start, d)
        lattice = cls(shape, frozen(steps, "spacing"), frozen(start, "origin"))
        if lattice.spacing.shape != (d, d) or not lattice.pixel_volume > 0:
            raise InputError(f"The pixels of an image of {d} axes need some volume.")
        return lattice

    @cached_property
    def pixel_volume(self) -> float:
        """In unit^D."""
        return float(abs(np.linalg.det(self.spacing)))

    @cached_property
    def inverse(self) -> FloatArray:
        """From lengths to pixels, (D, D)."""
        return np.asarray(np.linalg.inv(self.spacing), dtype=np.float64)

    def indices(self, positions: FloatArray) -> FloatArray:
        """Positions (..., D) in pixels; the centre of the first one is 0."""
        return np.asarray((positions - self.origin) @ self.inverse.T)

    def positions(self, indices: FloatArray) -> FloatArray:
        """The inverse of `indices`."""
        return np.asarray(self.origin + indices @ self.spacing.T)

    def pixels(self, positions: FloatArray) -> tuple[NDArray[np.intp], BoolArray]:
        """The pixels that hold positions (N, D), or the nearest along each axis, (N, D); and which
        of the positions are in the image, (N,).
        """
        found = np.floor(self.indices(positions) + 0.5)
        inside = np.asarray(((found >= 0) & (found < self.shape)).all(1))
        return np.clip(found, 0, np.array(self.shape) - 1).astype(np.intp), inside

    def box(self, first: ArrayLike, end: ArrayLike) -> FloatArray:
        """Around the pixels from `first` up to `end`, which is the one behind the last, (2, D)."""
        ends = np.stack([np.subtract(first, 0.5), np.subtract(end, 0.5)], axis=1)
        corners = np.array(list(product(*ends)))
        positions = self.positions(corners)
        return np.stack([positions.min(0), positions.max(0)])

    @classmethod
    def over(cls, box: FloatArray, shape: Sequence[int]) -> Self:
        """That whose pixels tile a box (2, D)."""
        lower, upper = box
        spacing = (upper - lower) / np.array(shape)
        return cls.of(shape, spacing, lower + 0.5 * spacing)

    def shares(self, region: Region) -> FloatArray:
        """How much of each pixel lies in a region, as an image."""
        d = len(self.shape)
        lower, upper = self.box(np.zeros(d), self.shape)
        margin = ROUNDING * (upper - lower)
        if region.covers((lower + margin)[None], (upper - margin)[None]).all():
            return np.ones(self.shape)
        n = int(np.clip((_POSITIONS / math.prod(self.shape)) ** (1.0 / d), 1, _FINE))
        indices = np.indices(self.shape).reshape(d, -1).T
        inside = np.zeros(len(indices))
        for place in product((np.arange(n) + 0.5) / n - 0.5, repeat=d):
            inside += region.contains(self.positions(indices + np.array(place)))
        return np.asarray(inside.reshape(self.shape) / n**d)

    def summed(self, positions: FloatArray, values: FloatArray | None = None) -> FloatArray:
        """The sum of values at positions (N, D), (N,), in each pixel, as an image; of ones."""
        pixels = np.ravel_multi_index(tuple(self.pixels(positions)[0].T), self.shape)
        sums = np.bincount(pixels, values, minlength=math.prod(self.shape))
        return sums.astype(np.float64).reshape(self.shape)

    def transformed(self, scale: ArrayLike, offset: ArrayLike) -> "Lattice":
        """That of y = scale * x + offset."""
        s = np.broadcast_to(np.asarray(scale, dtype=float), len(self.shape))
        start = s * self.origin + np.asarray(offset, dtype=float)
        return Lattice.of(self.shape, s[:, None] * self.spacing, start)

    def sample(
        self, shares: FloatArray | BoolArray, n: int, rng: np.random.Generator
    ) -> FloatArray:
        """Positions in pixels that are drawn in proportion to their `shares`, (n, D)."""
        pixels = np.flatnonzero(shares)
        p = shares.ravel()[pixels] / shares.sum()
        drawn = np.stack(np.unravel_index(rng.choice(pixels, n, p=p), self.shape), axis=1)
        return self.positions(drawn + rng.uniform(-0.5, 0.5, drawn.shape))

    def values(self) -> dict[str, Any]:
        """What defines it, as numbers and lists."""
        return {
            "shape": list(self.shape),
            "spacing": self.spacing.tolist(),
            "origin": self.origin.tolist(),
        }

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """The inverse of `values`."""
        return cls.of(values["shape"], values["spacing"], values["origin"])


def packed(array: NDArray[Any]) -> str:
    """The bytes of an array as text."""
    return b64encode(compress(array.tobytes())).decode("ascii")


def unpacked(text: str, dtype: DTypeLike, size: int) -> NDArray[Any]:
    """The inverse of `packed`, of an array of so many elements."""
    n_bytes = size * np.dtype(dtype).itemsize
    # A few bytes may stand for any number of them.
    return np.frombuffer(decompressobj().decompress(b64decode(text), max(1, n_bytes)), dtype)
