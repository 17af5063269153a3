"""Points ordered in space and cut into small blocks: what makes a sum over them sparse.

A balanced kd-tree puts neighbours next to each other; its leaves, in order, are the
blocks. It adapts to the density, so it knows neither a grid nor a largest distance, and
works in any dimension. Halving N points k times leaves 2^k blocks that differ by one
point at most, and every node above them is a run of consecutive blocks: a tree without
pointers. (Where many coordinates are equal, on a lattice say, some blocks reach over a cut
of the tree: wider than they need be, and no less right.)

    >>> blocks, placed = ordered(points, size=64)
    >>> own = placed[blocks.starts[3] : blocks.starts[4]]  # those of block 3
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_sparse_gmm.engines.threads import in_threads
from napari_sparse_gmm.engines.tree import fill, halve
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.regions import Region

# Children of a node, as a power of two: a coarser tree has fewer levels, but more candidates.
_BITS = 2

# Points in the smallest boxes of the tree, below the blocks.
FEWEST = 8

# Levels of the tree below which the nodes are ordered apart from each other.
_TOP = 4
# Nanoseconds that a point takes at a level.
_WORK = 12


@dataclass(frozen=True, eq=False)
class Boxes:
    """The bounding boxes of n sets of points.

    `noise` bounds the variances of their noise, where they have some.
    """

    lower: FloatArray  # (n, D)
    upper: FloatArray  # (n, D)
    noise: "Boxes | None" = None

    @classmethod
    def of(
        cls, points: FloatArray, starts: NDArray[np.intp], noise: FloatArray | None = None
    ) -> "Boxes":
        """Boxes of runs of points (N, D) that begin at `starts`; `noise` (N, D) is variances."""
        return cls(
            np.minimum.reduceat(points, starts, axis=0),
            np.maximum.reduceat(points, starts, axis=0),
            None if noise is None else cls.of(noise, starts),
        )

    def __len__(self) -> int:
        return len(self.lower)

    @property
    def centre(self) -> FloatArray:
        """Middle of each box, (n, D)."""
        return 0.5 * (self.lower + self.upper)

    @property
    def half(self) -> FloatArray:
        """Half the sides of each box, (n, D)."""
        return 0.5 * (self.upper - self.lower)

    @cached_property
    def _covered(self) -> WeakKeyDictionary[Region, NDArray[np.bool_]]:
        return WeakKeyDictionary()

    def covered_by(self, region: Region | None) -> NDArray[np.bool_]:
        """Which of them a region surely covers, (n,); remembered, for a fit has one region."""
        if region is None:
            return np.zeros(len(self), dtype=bool)
        if region not in self._covered:
            self._covered[region] = region.covers(self.lower, self.upper)
        return self._covered[region]

    def __getitem__(self, rows: NDArray[np.intp]) -> "Boxes":
        noise = None if self.noise is None else self.noise[rows]
        return Boxes(self.lower[rows], self.upper[rows], noise)

    @classmethod
    def joining(cls, parts: "Sequence[Boxes]") -> "Boxes":
        """All boxes of some sets of them, one set after the other."""
        noise = [part.noise for part in parts if part.noise is not None]
        return cls(
            np.concatenate([part.lower for part in parts]),
            np.concatenate([part.upper for part in parts]),
            cls.joining(noise) if noise else None,
        )

    def joined(self, n: int) -> "Boxes":
        """The boxes around n runs of as many of them each."""
        shape = (n, -1, self.lower.shape[1])
        noise = None if self.noise is None else self.noise.joined(n)
        return Boxes(self.lower.reshape(shape).min(1), self.upper.reshape(shape).max(1), noise)


@dataclass(frozen=True, eq=False)
class Blocks:
    """An order of N points in 2^depth blocks of neighbours.

    Parameters
    ----------
    order : (N,) array of int, or None
        Which point comes at each position; None where they are in this order.
    starts : (2^depth + 1,) array of int
        Where each block starts in that order, and N.
    boxes : Boxes
        Of each block.
    """

    order: NDArray[np.intp] | None
    starts: NDArray[np.intp]
    boxes: Boxes

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def size(self) -> int:
        """The most points in a block."""
        return int(np.diff(self.starts).max())

    def in_order(self, values: FloatArray) -> FloatArray:
        """Values of the points (N, ...), in this order."""
        return values if self.order is None else values[self.order]

    def with_noise(self, noise: FloatArray | None) -> "Blocks":
        """The same blocks, of points with noise of these variances (N, D), or none."""
        boxes = None if noise is None else Boxes.of(self.in_order(noise), self.starts[:-1])
        return replace(self, boxes=replace(self.boxes, noise=boxes))

    @cached_property
    def tree(self) -> "tuple[NDArray[np.intp], Boxes]":
        """The nodes of the tree from its root to the blocks: where each level starts, and the end,
        (L + 1,); and their boxes.

        A node of a level has the next 1, 2 or 4 nodes of the level below as children. Where the
        number of blocks is no power of two there are several roots.
        """
        levels = [self.boxes]
        while (n := len(levels[0])) > 1 and n % (parents := max(1, n >> _BITS)) == 0:
            levels.insert(0, levels[0].joined(parents))
        ends = np.append(0, np.cumsum([len(level) for level in levels])).astype(np.intp)
        return ends, Boxes.joining(levels)


def ordered(
    points: FloatArray, size: int, noise: FloatArray | None = None
) -> tuple[Blocks, FloatArray]:
    """Blocks of about `size` points (N, D), N >= 1: 0.7 to 1.4 times as many, or all in one; and
    the points in their order.

    `noise` (N, D) is the variances of their noise.
    """
    order, placed = kd_order(points)
    noise = None if noise is None else noise[order]
    return replace(blocks_of(placed, size, noise), order=order), placed


def blocks_of(placed: FloatArray, size: int, noise: FloatArray | None = None) -> Blocks:
    """Blocks of about `size` points (N, D) that are in the order of a tree already: `kd_order`."""
    n = len(placed)
    depth = max(0, round(float(np.log2(n / size))))
    starts = halves(n, depth)
    return Blocks(None, starts, Boxes.of(placed, starts[:-1], noise))


def kd_order(points: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """The order (N,) of points (N, D) in a balanced kd-tree with FEWEST points in a leaf, and the
    points in that order.
    """
    n = len(points)
    order, placed = np.arange(n, dtype=np.intp), np.array(points, dtype=np.float64, order="C")
    depth = max(0, int(np.ceil(np.log2(max(1.0, n / FEWEST)))))
    top = min(depth, _TOP)
    for level in range(top):
        _halve_nodes(placed, order, level, 1)
    _halve_nodes(placed, order, top, depth - top)
    return order, placed


def _halve_nodes(placed: FloatArray, order: NDArray[np.intp], level: int, depth: int) -> None:
    """Order the nodes of a level, each as a tree with `depth` levels below it."""
    edges = halves(len(placed), level)
    in_threads(
        lambda k: halve(placed, order, edges[k], edges[k + 1], depth, FEWEST),
        1 << level,
        work=len(placed) * depth * _WORK,
    )


def halves(n: int, depth: int) -> NDArray[np.intp]:
    """Where the parts start when n things are halved `depth` times, and n: (2^depth + 1,)."""
    sizes = np.array([n])
    for _ in range(depth):
        sizes = np.stack([sizes // 2, sizes - sizes // 2], axis=1).ravel()
    return np.append(0, np.cumsum(sizes)).astype(np.intp)


def fill_blocks(
    placed: FloatArray,
    blocks: Blocks,
    rows: NDArray[np.intp],
    origins: FloatArray,
    unit: float,
    dtype: DTypeLike,
) -> NDArray[Any]:
    """Values of points (N, D), in the order of the blocks, as those of the blocks `rows`,
    (n, D, B): less those of their origins (n_blocks, D), in units.
    """
    out = np.empty((len(rows), placed.shape[1], blocks.size), dtype=dtype)
    edges = np.linspace(0, len(rows), 1 + min(16, len(rows))).astype(np.intp)
    in_threads(
        lambda k: fill(
            placed, blocks.starts, rows, edges[k], edges[k + 1], origins, float(unit), out
        ),
        len(edges) - 1,
        work=2 * out.size,
    )
    return out
