"""Points ordered in space and cut into small blocks: what makes a sum over them sparse.

A balanced kd-tree puts neighbours next to each other; its leaves, in order, are the
blocks. It adapts to the density, so it knows neither a grid nor a largest distance, and
works in any dimension. Halving N points k times leaves 2^k blocks that differ by one
point at most, and every node above them is a run of consecutive blocks: a tree without
pointers. (Where many coordinates are equal, on a lattice say, some blocks reach over a cut
of the tree: wider than they need be, and no less right.)

    >>> blocks = Blocks.of(points, size=64)
    >>> own = points[blocks.order[blocks.starts[3] : blocks.starts[4]]]  # those of block 3
"""

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.regions import Region

# Children of a node, as a power of two: a coarser tree has fewer levels, but more candidates.
_BITS = 2

# Points in the smallest boxes of the tree, below the blocks.
FEWEST = 8


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
    order : (N,) array of int
        Which point comes at each place.
    starts : (2^depth + 1,) array of int
        Where each block starts in that order, and N.
    boxes : Boxes
        Of each block.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    boxes: Boxes

    @classmethod
    def of(cls, points: FloatArray, size: int, noise: FloatArray | None = None) -> "Blocks":
        """Blocks of about `size` points (N, D), N >= 1: 0.7 to 1.4 times as many, or all in one.

        `noise` (N, D) is the variances of their noise.
        """
        n = len(points)
        depth = max(0, round(float(np.log2(n / size))))
        order = kd_order(points)
        starts = halves(n, depth)
        noise = None if noise is None else noise[order]
        return cls(order, starts, Boxes.of(points[order], starts[:-1], noise))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def size(self) -> int:
        """The most points in a block."""
        return int(np.diff(self.starts).max())

    @cached_property
    def levels(self) -> tuple[Boxes, ...]:
        """The boxes of the tree from its root to the blocks.

        A node of a level has the next 1, 2 or 4 nodes of the level below as children.
        """
        levels = [self.boxes]
        while (n := len(levels[0])) > 1:
            levels.insert(0, levels[0].joined(max(1, n >> _BITS)))
        return tuple(levels)


def kd_order(points: FloatArray) -> NDArray[np.intp]:
    """Points (N, D) in the order of a balanced kd-tree with FEWEST points in a leaf, (N,)."""
    tree = cKDTree(points, leafsize=FEWEST, compact_nodes=False)
    return np.asarray(tree.indices, dtype=np.intp)


def halves(n: int, depth: int) -> NDArray[np.intp]:
    """Where the parts start when n things are halved `depth` times, and n: (2^depth + 1,)."""
    sizes = np.array([n])
    for _ in range(depth):
        sizes = np.stack([sizes // 2, sizes - sizes // 2], axis=1).ravel()
    return np.append(0, np.cumsum(sizes)).astype(np.intp)
