"""One level of a heatmap pyramid: the images of all slices on one grid, computed in tiles."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.shapes.antialiasing import antialiased
from napari_sparse_gmm.shapes.grid import Grid, heatmap
from napari_sparse_gmm.shapes.tile_cache import TileCache

# Pixels along the side of a tile: what a call costs besides is little beside so many pixels.
TILE = 256
# Fewer rows or columns are computed by themselves, not as parts of tiles.
_THIN = 32


@dataclass(frozen=True, eq=False)
class Level:
    """The images of all slices on one grid."""

    mixtures: tuple[GaussianMixture | None, ...]
    n_points: tuple[float, ...]
    grid: Grid
    quantity: str
    device: str
    tiles: TileCache
    _antialiased: dict[int, GaussianMixture] = field(default_factory=dict)

    def peaks(self) -> tuple[FloatArray, FloatArray]:
        """The values at the centres of the components, and their points, in all slices; (K,)."""
        values, points = [np.empty(0)], [np.empty(0)]
        for mixture, n_points in zip(self.mixtures, self.n_points, strict=True):
            if mixture is not None and mixture.n_components:
                smooth = antialiased(mixture, self.grid.spacing)
                log_density = smooth.log_density(smooth.means)
                scale = n_points if self.quantity == "expected_points" else 1.0
                log = self.quantity == "log_density"
                values.append(log_density if log else scale * np.exp(log_density))
                points.append(n_points * mixture.weights)
        return np.concatenate(values), np.concatenate(points)

    def pixels(self, slice_: int, rows: range, columns: range) -> NDArray[np.float32]:
        """Some rows and columns of a slice, not empty ones, in rising order."""
        mixture = self.mixtures[slice_]
        if mixture is None:
            nothing = -np.inf if self.quantity == "log_density" else 0.0
            return np.full((len(rows), len(columns)), nothing, dtype=np.float32)
        if slice_ not in self._antialiased:
            self._antialiased[slice_] = antialiased(mixture, self.grid.spacing)
        if max(rows.step, columns.step) > 1 or min(len(rows), len(columns)) < _THIN:
            return self._computed(slice_, rows, columns)
        return self._from_tiles(slice_, rows, columns)

    def _computed(self, slice_: int, rows: range, columns: range) -> NDArray[np.float32]:
        mixture = self._antialiased[slice_]
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
        for index in np.ndindex(missing.shape):
            row, column = (first + index).tolist()
            tile = self.tiles.get((self.grid.shape, slice_, row, column))
            if tile is None:
                missing[index] = True
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

    1e-5 of that is invisible.
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
