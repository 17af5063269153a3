"""Pixel grids, and the heatmap of a mixture on one.

>>> mixture = GaussianMixture([1.0], [[0.0, 0.0]], [np.eye(2)])
>>> grid = Grid.covering([-5, -5], [5, 5], pixel_size=0.1)
>>> round(float(heatmap(mixture, grid).sum() * grid.pixel_volume), 3)
1.0
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.parameters import DEVICE, ENGINE, LONGEST_SIDE, QUANTITY

# Beyond this an image is a mistake in the units rather than a wish: a gigabyte of float32.
MAX_PIXELS = 2**28

# Pixels along the longest side of a volume: as many in all as a 2D image of 1448 x 1448.
LONGEST_SIDE_3D = 128

# Of a heatmap around the points, as a share of the longest side.
MARGIN = 0.02


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of pixels (voxels in 3D), in the units of the points.

    Parameters
    ----------
    origin : (D,) array
        Centre of the first pixel.
    spacing : (D,) array
        Size of a pixel along each axis.
    shape : tuple of D int
        Number of pixels along each axis.
    """

    origin: FloatArray
    spacing: FloatArray
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", np.array(self.origin, dtype=np.float64))
        object.__setattr__(self, "spacing", np.array(self.spacing, dtype=np.float64))
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @classmethod
    def covering(
        cls,
        lower: ArrayLike,
        upper: ArrayLike,
        *,
        pixel_size: float | None = None,
        longest_side: int | None = None,
        margin: ArrayLike = MARGIN,
    ) -> "Grid":
        """The grid of square (cubic) pixels that covers a box, centred on it.

        Parameters
        ----------
        lower, upper : (D,) array
            Corners of the box.
        pixel_size : float, optional
            Side of a pixel. None: so that the longest side has `longest_side` pixels.
        longest_side : int, optional
            Pixels along the longest side, where `pixel_size` is None. None: 512, or 128
            where there are three axes or more.
        margin : float or (D,) array
            Added on every side, as a share of the longest side of the box; or along each axis.

        Raises
        ------
        InputError
            Where the corners are not finite or not in order, the pixel size is not positive,
            or the image would have more than 2^28 pixels.
        """
        low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
        sides = high - low  # (D,)
        if not (np.isfinite(sides).all() and (sides >= 0).all()):
            raise InputError(
                f"A heatmap needs a finite box with lower <= upper, not {low} to {high}."
            )
        sides = sides + 2.0 * np.asarray(margin) * sides.max()
        if pixel_size is None:
            if longest_side is None:
                longest_side = LONGEST_SIDE.default if len(sides) < 3 else LONGEST_SIDE_3D
            # A box without any extent is covered by a single pixel, of side 1.
            pixel_size = float(sides.max()) / longest_side or 1.0
        elif not (np.isfinite(pixel_size) and pixel_size > 0):
            raise InputError(f"The pixel size must be positive, not {pixel_size}.")
        # Round-off must not add a row of pixels to a side that is a whole number of them.
        counts = np.maximum(np.ceil(sides / pixel_size - 1e-6), 1.0)  # (D,)
        # Where the points have no extent, they lie in the middle of a pixel, not between two.
        counts += (high == low) & (counts % 2 == 0)
        if counts.prod() > MAX_PIXELS:
            raise InputError(
                f"A heatmap with pixels of {pixel_size:g} would have "
                f"{' x '.join(f'{n:,.0f}' for n in counts)} pixels, more than {MAX_PIXELS:,}; "
                f"choose a larger pixel size, or fewer pixels along the longest side."
            )
        origin = 0.5 * (low + high) - 0.5 * (counts - 1.0) * pixel_size
        return cls(origin, np.full(len(sides), pixel_size), tuple(counts.astype(int)))

    @property
    def n_dimensions(self) -> int:
        """Number of axes, D."""
        return len(self.shape)

    @property
    def pixel_volume(self) -> float:
        """Area (2D) or volume (3D) of a pixel, in unit^D."""
        return float(self.spacing.prod())

    @property
    def edges(self) -> FloatArray:
        """Lower and upper corner of the image, half a pixel beyond the outer centres, (2, D)."""
        lower = self.origin - 0.5 * self.spacing
        return np.stack([lower, lower + self.spacing * self.shape])

    def coordinates(self, indices: ArrayLike) -> FloatArray:
        """Data coordinates (..., D) of pixel indices (..., D), which may be fractional."""
        return self.origin + np.asarray(indices, dtype=np.float64) * self.spacing


def heatmap(
    mixture: GaussianMixture,
    grid: Grid,
    quantity: str = QUANTITY.default,
    *,
    n_points: float = 1.0,
    negligible: float = -np.inf,
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
) -> NDArray[np.float32]:
    """The density of a mixture at the centre of each pixel.

    Parameters
    ----------
    mixture : GaussianMixture of D dimensions
    grid : Grid of D dimensions
    quantity : str
        "density": probability per unit^D. "expected_points": `n_points` times that, points
        per unit^D. "log_density": natural log of the density.
    n_points : float
        Number of points (or sum of their weights) that the mixture stands for.
    negligible : float
        Where the log density is below, it need not be known; see `grid_log_density`.
    engine, device : str
        What computes; see `napari_sparse_gmm.engines.choose_engine`.

    Returns
    -------
    float32 array of shape ``grid.shape``. The centre stands for the whole pixel: the sum
    over pixels times `pixel_volume` is 1 only where components are not much smaller than
    a pixel; `shapes.antialiasing` sees to that.
    """
    # Imports torch, which reading this module must not.
    from napari_sparse_gmm.engines.bricks import grid_log_density

    if quantity not in (QUANTITY.choices or ()):
        raise InputError(f"quantity must be one of {QUANTITY.choices}, not {quantity!r}.")
    if mixture.n_dimensions != grid.n_dimensions:
        raise InputError(
            f"The grid has {grid.n_dimensions} axes and the mixture {mixture.n_dimensions}; "
            "they must be the same."
        )
    image = np.empty(grid.shape, dtype=np.float32)
    slabs = grid_log_density(
        mixture,
        grid.origin,
        grid.spacing,
        grid.shape,
        negligible=negligible,
        engine=engine,
        device=device,
    )
    for index, values in slabs:
        if quantity != "log_density":
            np.exp(values, out=values)
        if quantity == "expected_points":
            values *= n_points
        image[index] = values
    return image
