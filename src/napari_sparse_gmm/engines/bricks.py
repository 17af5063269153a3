"""The density on a regular grid of pixels, whose blocks need no sorting.

A grid that is halved again and again across its longest side falls into bricks of a few
hundred pixels, in an order in which every node of the tree is a run of bricks:
what `Blocks.of` finds for points in any order, here from the geometry alone. So the pattern of
components is known before there is any coordinate, and most bricks of a wide field are
background through and through: they are filled. An engine gets the pixels of the others,
bricks of the same shape together.

    >>> image = np.empty((400, 400))
    >>> for index, values in grid_log_density(mixture, (0.0, 0.0), (5.0, 5.0), image.shape):
    ...     image[index] = np.exp(values)
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.engines.blocks import Blocks, Boxes
from napari_sparse_gmm.engines.choice import EngineChoice, choose_engine
from napari_sparse_gmm.engines.in_memory import TOLERANCES, block_size
from napari_sparse_gmm.engines.pattern import Pattern, find_pattern
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.parameters import DEVICE, ENGINE

# Pixels evaluated at a time, about: some 100 bytes are needed for each.
_SLAB = 1 << 20


@dataclass(frozen=True, eq=False)
class Bricks:
    """2^depth boxes of pixels that fill a grid; halves of halves of it, in that order.

    Parameters
    ----------
    first, end : (n, D) array of int
        Indices of the first pixel of each, and behind the last one.
    """

    first: NDArray[np.intp]
    end: NDArray[np.intp]

    @classmethod
    def of(cls, shape: tuple[int, ...], spacing: FloatArray, size: int) -> "Bricks":
        """Bricks of about `size` pixels, as near to cubes as they can be.

        Larger ones, where further halves would be empty: a side of 3 gives 1 and 2.
        """
        first = np.zeros((1, len(shape)), dtype=np.intp)
        end = np.array([shape], dtype=np.intp)
        for _ in range(max(0, round(float(np.log2(np.prod(end, dtype=float) / size))))):
            counts = end - first
            if (counts == 1).all(1).any():
                break
            axis = np.where(counts > 1, counts * spacing, 0.0).argmax(1)
            nodes = np.arange(len(axis))
            middle = (first[nodes, axis] + end[nodes, axis]) // 2
            first, end = first.repeat(2, axis=0), end.repeat(2, axis=0)
            end[2 * nodes, axis] = middle
            first[2 * nodes + 1, axis] = middle
        return cls(first, end)

    def boxes(self, origin: FloatArray, spacing: FloatArray) -> Boxes:
        """The bounding boxes of their pixels' centres; `origin` is that of the first pixel."""
        return Boxes(origin + self.first * spacing, origin + (self.end - 1) * spacing)

    def by_shape(self) -> Iterator[tuple[tuple[int, ...], NDArray[np.bool_]]]:
        """The shapes that occur, and which bricks have them, (n,)."""
        counts = self.end - self.first
        shapes, which = np.unique(counts, axis=0, return_inverse=True)
        for i, shape in enumerate(shapes):
            yield tuple(shape.tolist()), which.reshape(-1) == i


def grid_log_density(
    mixture: GaussianMixture,
    origin: ArrayLike,
    spacing: ArrayLike,
    shape: tuple[int, ...],
    *,
    negligible: float = -np.inf,
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
) -> Iterator[tuple[tuple[slice, ...], FloatArray]]:
    """Natural log of the density at the centres of pixels, per unit^D, slab by slab.

    Parameters
    ----------
    origin : (D,) array
        Centre of the first pixel.
    spacing : (D,) array
        Size of a pixel along each axis, positive.
    shape : tuple of D int
        Number of pixels along each axis.
    negligible : float
        Where the log density is below, it need not be known: it may be minus infinity. In a field
        without a background that saves most of the time.
    engine, device : str
        What computes; see `choose_engine`.

    Yields
    ------
    index : tuple of D slice
        Of the slab in the grid.
    values : array of the shape of the slab
        Within 1e-4 of the direct float64 sum wherever a component contributes, and what is
        `negligible` is within 1e-5 of exp(`negligible`).
    """
    choice = choose_engine(engine, device, n_dimensions=len(shape))
    start, step = np.asarray(origin, dtype=np.float64), np.asarray(spacing, dtype=np.float64)
    slabs = Bricks.of(shape, step, _SLAB)
    for first, end in zip(slabs.first, slabs.end, strict=True):
        # One pass for one slab: the caller may use another number of threads for the next one.
        with limited_threads():
            values = _slab(mixture, start, step, first, end, choice, negligible)
        yield tuple(slice(a, b) for a, b in zip(first, end, strict=True)), values


def _slab(
    mixture: GaussianMixture,
    origin: FloatArray,
    spacing: FloatArray,
    first: NDArray[np.intp],
    end: NDArray[np.intp],
    choice: EngineChoice,
    negligible: float,
) -> FloatArray:
    """Log density at the pixels `first` to `end` of the grid."""
    shape = tuple((end - first).tolist())
    axes = [
        origin[k] + np.arange(first[k], end[k]) * spacing[k] for k in range(len(shape))
    ]  # (n_k,) each
    values = _background(mixture, axes)
    bricks = Bricks.of(shape, spacing, block_size(values.size, mixture.n_components))
    boxes = Bricks(first + bricks.first, first + bricks.end).boxes(origin, spacing)
    n = len(bricks.first)
    whole = Blocks(np.arange(n), np.arange(n + 1), boxes)
    pattern = find_pattern(whole, mixture, TOLERANCES[np.dtype(np.float32)], negligible=negligible)
    strides = np.array(values.strides) // values.itemsize
    for brick_shape, chosen in bricks.by_shape():
        some = pattern.among(chosen & (pattern.counts > 0))
        n, b = len(some.rows), int(np.prod(brick_shape))
        if n == 0:
            continue
        corners = bricks.first[some.rows]  # (n, D)
        indices = np.indices(brick_shape).reshape(len(shape), 1, b)
        points = np.empty((len(shape), n, b))
        for k, axis in enumerate(axes):
            points[k] = axis[corners[:, k, None] + indices[k]]
        offsets = (corners @ strides)[:, None] + np.tensordot(strides, indices, 1)  # (n, b)
        blocks = Blocks(np.arange(n * b), np.arange(n + 1) * b, boxes[some.rows])
        pixels = Observations(points.reshape(-1, n * b).T)
        held = choice.engine(pixels, device=choice.device, blocks=blocks)
        own = Pattern(np.arange(n), some.counts, some.components, some.double)
        values.reshape(-1)[offsets.ravel()] = held.log_density(mixture, own)
    return values


def _background(mixture: GaussianMixture, axes: list[FloatArray]) -> FloatArray:
    """Log density of the background at the pixels with these coordinates along each axis."""
    values = np.full([len(axis) for axis in axes], -np.inf)
    if mixture.background_region is None:
        return values
    return mixture.log_background_density + mixture.background_region.log_intensity_grid(axes)
