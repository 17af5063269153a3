"""What a fit is asked for, and what came of it: frozen values that the threads exchange."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.arrays import bounds, stray
from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.parameters import DEVICE, ENGINE, N_THREADS
from napari_sparse_gmm.plugin.points.sampled import AllPoints
from napari_sparse_gmm.plugin.points.source import Cloud
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.tasks.pacing import PACING, Pacing
from napari_sparse_gmm.shapes.grid import MARGIN, MAX_PIXELS, Grid

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Engine
    from napari_sparse_gmm.path import SparsityPath
    from napari_sparse_gmm.shapes.pyramid import HeatmapPyramid

# Pixels along the longest side of a preview, by dimensions.
_GLANCE = {2: 128, 3: 32}


@dataclass(frozen=True)
class HeatmapChoice:
    """What of a heatmap the user chooses; see `parameters` for the fields.

    Two choices are equal where they show the same, whatever computes it.
    """

    quantity: str
    longest_side: int
    pixel_size: float | None
    contours: bool = False
    sharpen: bool = False
    engine: str = field(default=ENGINE.default, compare=False)
    device: str = field(default=DEVICE.default, compare=False)
    n_threads: int | None = field(default=N_THREADS.default, compare=False)

    def small(self, n_dimensions: int) -> "HeatmapChoice":
        """What is good enough for a glance, and quickly made."""
        side = min(self.longest_side, _GLANCE[n_dimensions])
        return replace(self, longest_side=side, pixel_size=None, contours=False, sharpen=False)

    @property
    def nothing(self) -> float:
        """What is shown where there is no density at all."""
        return -np.inf if self.quantity == "log_density" else 0.0

    def grid(self, box: FloatArray, n_slices: int) -> Grid:
        """The pixels that cover a box (2, D). InputError where those of all slices are too many."""
        lower, upper = box
        margin = np.full(len(lower), MARGIN)
        if len(lower) == 3:
            margin[0] = 0.0  # or the slider would have slices where no point is
        grid = Grid.covering(
            lower,
            upper,
            pixel_size=self.pixel_size,
            longest_side=self.longest_side,
            margin=margin,
        )
        if n_slices * np.prod(grid.shape, dtype=float) > MAX_PIXELS:
            raise InputError(
                f"A heatmap in each of {n_slices:,} slices would have more than {MAX_PIXELS:,} "
                "pixels: choose a larger pixel size, or fewer pixels along the longest side."
            )
        return grid


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Drawn heatmaps: `values` (G, ...) float32, of each group at the pixels of `grid`.

    `contours` are lines of equal density: the group, the percentage that it holds, and the
    line (V, 2). `pyramid` has what is finer than these pixels, where they do not show all.
    """

    values: NDArray[np.float32]
    grid: Grid
    choice: HeatmapChoice
    contours: tuple[tuple[int, float, FloatArray], ...] = ()
    pyramid: "HeatmapPyramid | None" = None


@dataclass(eq=False)
class Held:
    """What the last fit has opened, for the next one of the same points."""

    points: AllPoints | None = None
    how: tuple[Any, ...] = ()
    engine: "Engine | None" = None

    def forget(self) -> None:
        """Let go of it."""
        self.points, self.engine = None, None


@dataclass(frozen=True)
class Place:
    """Where points are held that are more than a layer shows.

    Parameters
    ----------
    scheduler : str
        Address of a Dask scheduler, whose workers hold them; "" for this machine.
    folder : str, optional
        Where they are on disk; by default that of temporary files.
    held : Held
        Those of the last fit.
    """

    scheduler: str = ""
    folder: str | None = None
    held: Held = field(default_factory=Held, compare=False)


@dataclass(frozen=True, eq=False)
class FitRequest:
    """All that a fit needs to know; `parameters` are keywords of `SparseGaussianMixture`."""

    cloud: Cloud
    parameters: Mapping[str, Any]
    heatmap: HeatmapChoice
    source: str = ""  # name of the layer
    pacing: Pacing = PACING
    place: Place = field(default_factory=Place)  # where points are that are more than it shows

    @property
    def frame(self) -> Frame:
        """Where the points lie."""
        return self.cloud.frame

    @property
    def points(self) -> FloatArray:
        """Model coordinates, (N, D)."""
        return self.cloud.points

    @property
    def names(self) -> tuple[str, ...]:
        """Of the groups."""
        stack = self.frame.stack
        return ("",) if stack is None else tuple(f"{stack.name} {value}" for value in stack.labels)

    @property
    def noisy(self) -> bool:
        """Whether the precision of the points is considered."""
        return self.cloud.observations.noise is not None

    @property
    def each_stands_for(self) -> float:
        """How many points, where these are a sample."""
        every = self.cloud.all_points
        return 1.0 if every is None else every.table.n_points / every.table.n_shown

    @property
    def box(self) -> FloatArray:
        """Lower and upper corner of the points but for stray ones, (2, D): what is pictured."""
        return bounds(self.points[~stray(self.points)])


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a fit: its model, or those of a path, and the heatmap of the chosen one.

    `starts` has for each group the mixture that its fit went on from; None where it began as the
    parameters say, and nothing at all where no fit went on from one.
    """

    models: tuple[DensityModel, ...]
    chosen: int
    heatmap: Heatmap
    path: "SparsityPath | None" = None
    starts: tuple[GaussianMixture | None, ...] = ()

    @property
    def model(self) -> DensityModel:
        """The chosen one."""
        return self.models[self.chosen]
