"""A heatmap that sharpens where one looks closer: images of which only what is seen is computed.

Each level has pixels half as large as the next one, down to what shows the narrowest component.
The coarsest level is an image like any other; the finer ones are lazy arrays: slicing them costs
nothing, and what becomes an array is computed then, in tiles that are kept for a while.

    >>> pyramid = heatmap_pyramid([mixture], base, "density")
    >>> levels = [*pyramid.levels, heatmap(antialiased(mixture, base.spacing), base)]
    >>> np.asarray(pyramid.levels[0][5000:5700, 8000:9000])  # 2 million pixels of many more

All levels have the same outer edges, not the same first pixel centre. napari draws them so: it
puts pixel i of a level whose pixels are s times as large over the finest pixels s i to s (i + 1).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.parameters import DEVICE, QUANTITY
from napari_sparse_gmm.shapes.antialiasing import NARROWEST, antialiased, narrowest
from napari_sparse_gmm.shapes.grid import Grid, heatmap
from napari_sparse_gmm.shapes.tile_cache import TileCache

# Pixels in a standard deviation, at least, for an image to show all that there is: a line between
# two neighbouring centres is then within 1/8 (1/2)^2, or 3%, of the peak.
RESOLVED = 2.0
# A component with less than this share of the mean weight need not be resolved.
NOTICEABLE = 0.01
# Pixels along the longest side of the finest level. Graphics cards place images in single
# precision: so many pixels still to a 64th of one.
LONGEST_LEVEL = 2**17

# Pixels along the side of a tile: what a call costs besides is little beside so many pixels.
TILE = 256
# Of all levels together: some ten full windows.
CACHE_BYTES = 2**28
# No screen shows more; to compute them takes seconds.
MOST_PIXELS = 2**26
# Fewer rows or columns are computed by themselves, not as parts of tiles.
_THIN = 32


@dataclass(frozen=True, eq=False)
class HeatmapPyramid:
    """The levels that are finer than an image.

    Parameters
    ----------
    grid : Grid
        Of the finest level.
    levels : tuple of LazyHeatmap
        The finest first; the image itself comes behind the last.
    highest : float
        The largest value at the centre of a component, on the finest level: of the image, whose
        pixels are wider than some, the largest may be far below.
    """

    grid: Grid
    levels: "tuple[LazyHeatmap, ...]"
    highest: float


def heatmap_pyramid(
    mixtures: Sequence[GaussianMixture | None],
    base: Grid,
    quantity: str = QUANTITY.default,
    *,
    n_points: Sequence[float] | None = None,
    axes: Sequence[int | None] = (1, 2),
    device: str = DEVICE.default,
) -> HeatmapPyramid | None:
    """The levels that a heatmap lacks; None where it shows all that there is, and for volumes.

    PyTorch computes them, whatever computed the image: what a window asks for cannot wait until
    KeOps has compiled its kernels.

    Parameters
    ----------
    mixtures : sequence of G (GaussianMixture of 2 dimensions, or None)
        One for each slice; None is an empty one.
    base : Grid
        Of the image.
    quantity : str
        As in `heatmap`.
    n_points : sequence of G float, optional
        How many points each mixture stands for; 1 where it is not given.
    axes : sequence of (int or None)
        What each axis of a level is: 0 the slices, 1 and 2 the axes of the mixtures, None a
        single pixel. The slices may be left out where there is one.
    device : str
        Where PyTorch computes.
    """
    counts = [1.0] * len(mixtures) if n_points is None else list(n_points)
    if len(counts) != len(mixtures):
        raise ValueError(
            f"n_points must have a number for each of the {len(mixtures)} mixtures, "
            f"not {len(counts)}."
        )
    expected = [0, 1, 2] if 0 in axes or len(mixtures) != 1 else [1, 2]
    if sorted(axis for axis in axes if axis is not None) != expected:
        raise ValueError(
            f"axes must have each of {expected} once, for {len(mixtures)} mixtures, not {axes}."
        )
    if base.n_dimensions != 2:
        return None
    halvings = _halvings(mixtures, base)
    if halvings == 0:
        return None
    tiles = TileCache(CACHE_BYTES)
    kinds = tuple(axes)
    levels = []
    for k in range(halvings, 0, -1):
        level = _Level(tuple(mixtures), tuple(counts), _halved(base, k), quantity, device, tiles)
        counts_along = (len(mixtures), *level.grid.shape)
        kept = tuple(range(1 if kind is None else counts_along[kind]) for kind in kinds)
        levels.append(LazyHeatmap(level, kinds, kept))
    finest = levels[0].level
    return HeatmapPyramid(finest.grid, tuple(levels), finest.highest())


def _halvings(mixtures: Sequence[GaussianMixture | None], base: Grid) -> int:
    """How often pixels are to be halved; 0 where they blur nothing that is noticeable.

    An image alone is simpler to use, and its pixels may be larger than is beautiful.
    """
    least = np.inf
    for mixture in mixtures:
        if mixture is not None and mixture.n_components:
            noticeable = mixture.weights >= NOTICEABLE * mixture.weights.mean()
            least = min(least, narrowest(mixture, base.spacing)[noticeable].min())
    wanted = np.ceil(np.log2(RESOLVED / least)) if least < NARROWEST else 0
    most = np.floor(np.log2(LONGEST_LEVEL / max(base.shape)))
    return int(max(0, min(wanted, most)))


def _halved(grid: Grid, times: int) -> Grid:
    """The grid with the same edges whose pixels are halved so many times."""
    factor = 2**times
    spacing = grid.spacing / factor
    return Grid(grid.edges[0] + 0.5 * spacing, spacing, tuple(n * factor for n in grid.shape))


@dataclass(frozen=True, eq=False)
class _Level:
    """The images of all slices on one grid."""

    mixtures: tuple[GaussianMixture | None, ...]
    n_points: tuple[float, ...]
    grid: Grid
    quantity: str
    device: str
    tiles: TileCache
    _seen: dict[int, GaussianMixture] = field(default_factory=dict)

    def highest(self) -> float:
        """The largest value at the centre of a component, in all slices."""
        values = []
        for mixture, n_points in zip(self.mixtures, self.n_points, strict=True):
            if mixture is not None and mixture.n_components:
                seen = antialiased(mixture, self.grid.spacing)
                value = float(seen.log_density(seen.means).max())
                scale = n_points if self.quantity == "expected_points" else 1.0
                values.append(value if self.quantity == "log_density" else scale * np.exp(value))
        return float(max(values))

    def pixels(self, slice_: int, rows: range, columns: range) -> NDArray[np.float32]:
        """Some rows and columns of a slice, not empty ones, in rising order."""
        mixture = self.mixtures[slice_]
        if mixture is None:
            nothing = -np.inf if self.quantity == "log_density" else 0.0
            return np.full((len(rows), len(columns)), nothing, dtype=np.float32)
        if slice_ not in self._seen:
            self._seen[slice_] = antialiased(mixture, self.grid.spacing)
        if max(rows.step, columns.step) > 1 or min(len(rows), len(columns)) < _THIN:
            return self._computed(slice_, rows, columns)
        return self._from_tiles(slice_, rows, columns)

    def _computed(self, slice_: int, rows: range, columns: range) -> NDArray[np.float32]:
        mixture = self._seen[slice_]
        with_tails = self.quantity == "log_density"
        steps = self.grid.spacing * (rows.step, columns.step)
        origin = self.grid.coordinates((rows.start, columns.start))
        return heatmap(
            mixture,
            Grid(origin, steps, (len(rows), len(columns))),
            self.quantity,
            n_points=self.n_points[slice_],
            negligible=-np.inf if with_tails else _weakest_peak(mixture),
            engine="torch",
            device=self.device,
        )

    def _from_tiles(self, slice_: int, rows: range, columns: range) -> NDArray[np.float32]:
        out = np.empty((len(rows), len(columns)), dtype=np.float32)
        first = np.array([rows.start, columns.start]) // TILE
        end = -(-np.array([rows.stop, columns.stop]) // TILE)
        missing = np.zeros(end - first, dtype=bool)
        for place in np.ndindex(missing.shape):
            row, column = (first + place).tolist()
            tile = self.tiles.get((self.grid.shape, slice_, row, column))
            if tile is None:
                missing[place] = True
            else:
                _paste(out, rows, columns, tile, row * TILE, column * TILE)
        for corner, opposite in _rectangles(missing):
            low, high = (
                (first + corner) * TILE,
                np.minimum((first + opposite) * TILE, self.grid.shape),
            )
            wanted = [range(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
            values = self._computed(slice_, wanted[0], wanted[1])
            _paste(out, rows, columns, values, wanted[0].start, wanted[1].start)
            for i, j in np.ndindex(*(opposite - corner)):
                row, column = (first + corner + (i, j)).tolist()
                tile = values[i * TILE : (i + 1) * TILE, j * TILE : (j + 1) * TILE]
                self.tiles.put((self.grid.shape, slice_, row, column), tile.copy())
        return out


def _weakest_peak(mixture: GaussianMixture) -> float:
    """Log of the density at the centre of the component that is lowest there.

    Nobody sees 1e-5 of that.
    """
    return float(mixture.log_amplitudes[mixture.weights > 0].min(initial=np.inf))


def _paste(
    out: NDArray[np.float32],
    rows: range,
    columns: range,
    values: NDArray[np.float32],
    row: int,
    column: int,
) -> None:
    """Copy what lies in these rows and columns out of values whose first pixel is given."""
    n, m = values.shape
    top, bottom = max(rows.start, row), min(rows.stop, row + n)
    left, right = max(columns.start, column), min(columns.stop, column + m)
    out[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = (
        values[top - row : bottom - row, left - column : right - column]
    )


def _rectangles(
    missing: NDArray[np.bool_],
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rectangles that cover what is true without overlap: first corner, and behind the last.

    One call for many tiles costs less than one for each.
    """
    left = missing.copy()
    for row, column in np.argwhere(missing).tolist():
        if not left[row, column]:
            continue
        end_column = column
        while end_column < left.shape[1] and left[row, end_column]:
            end_column += 1
        end_row = row
        while end_row < left.shape[0] and left[end_row, column:end_column].all():
            end_row += 1
        left[row:end_row, column:end_column] = False
        yield np.array([row, column]), np.array([end_row, end_column])


@dataclass(frozen=True, eq=False)
class LazyHeatmap:
    """A level, or a slice of it, that is computed when it becomes an array.

    Indexed by whole numbers, slices and an ellipsis, it gives another one. Converting more than
    2^26 pixels at once is a ValueError.
    """

    level: _Level = field(repr=False)
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
        """Sides of a tile: napari then asks for whole ones, and so not at each step of a pan."""
        axes = zip(self.kinds, self.kept, strict=True)
        return tuple(1 if not kind else TILE for kind, kept in axes if isinstance(kept, range))

    def __getitem__(self, key: Any) -> "LazyHeatmap":
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(one is Ellipsis for one in keys):
            place = next(i for i, one in enumerate(keys) if one is Ellipsis)
            keys[place : place + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
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
            raise ValueError(
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
            for place, slice_ in enumerate(slices):
                out[place] = self.level.pixels(slice_, *rising)[turned]
        order = [kind for kind in self.kinds if kind is not None]
        out = out.transpose(order if 0 in order else [0, *order]).reshape(self.shape)
        return out if dtype is None else out.astype(dtype, copy=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "LazyHeatmap":
        # napari copies the data of a layer that is duplicated; what never changes need not be.
        return self
