"""What there is to write: a model, perhaps points with their components, and pixels.

>>> content = Content(model, pixel_size=20.0)
>>> content.pixels.of(model.mixture.means).shape  # x and y of each component
(..., 2)
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.export.scored import ScoredPoints
from napari_sparse_gmm.io.units import symbol_of
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.numbers import cluster_table
from napari_sparse_gmm.parameters import COVERAGE
from napari_sparse_gmm.shapes.grid import Grid, heatmap

# Where nobody says where the points were: so many standard deviations around the components.
_REACH = 3.0


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pixels of an image that other programs lay outlines on, as ImageJ and QuPath count them:
    from the outer corner of the first one, whose centre is at (0.5, 0.5).

    Parameters
    ----------
    matrix : (2, 2) array
        From coordinates (y, x) of the model to pixels (y, x).
    offset : (2,) array
        Added to that.
    image : str
        What they are of, for a sentence.
    """

    matrix: FloatArray
    offset: FloatArray
    image: str

    @classmethod
    def square(cls, size: float, image: str = "an image that begins at 0") -> "Pixels":
        """Of an image whose outer corner is at 0, in the unit of the model.

        Raises
        ------
        InputError
            Where the size is no finite number above 0.
        """
        if not 0 < size < np.inf:
            raise InputError(f"The size of a pixel must be a number above 0, not {size:g}.")
        return cls(np.eye(2) / size, np.zeros(2), image)

    @classmethod
    def of_grid(cls, grid: Grid) -> "Pixels":
        """Of the images that are exported, along the last two axes."""
        size, corner = grid.spacing[-2:], grid.edges[0, -2:]
        return cls(np.diag(1.0 / size), -corner / size, "the density image")

    @property
    def size(self) -> float:
        """The side of a pixel, of one that is not square the geometric mean."""
        # Without the last digits, which are of the arithmetic: 100 pixels of 0.01 are 1.
        return float(f"{abs(np.linalg.det(self.matrix)) ** -0.5:.12g}")

    def of(self, points: FloatArray) -> FloatArray:
        """x and y in pixels, (..., 2), of points (..., D) of the model, seen along the others."""
        return np.asarray((points[..., -2:] @ self.matrix.T + self.offset)[..., ::-1])


@dataclass(frozen=True, eq=False)
class Content:
    """A model and how it is to be written.

    Parameters
    ----------
    model : DensityModel
    points : ScoredPoints, optional
        For the formats of points.
    pixel_size : float, optional
        Side of a pixel of the density and of the labels, in the unit of the model; see
        `Grid.covering`.
    image : Pixels, optional
        Pixels that outlines are in, and localizations of Picasso; those of the density where
        nothing is said.
    coverage : float, optional
        Percent of its component that an outline holds; as the model is shown in napari, or 95.
    """

    model: DensityModel
    points: ScoredPoints | None = None
    pixel_size: float | None = None
    image: Pixels | None = None
    coverage: float | None = None

    @property
    def unit(self) -> str | None:
        """The symbol of the unit of lengths."""
        return symbol_of(self.model.unit) or self.model.unit

    @property
    def in_unit(self) -> str:
        """Behind a number: the unit with a space before it, or nothing."""
        return f" {self.unit}" if self.unit else ""

    @property
    def coverage_percent(self) -> float:
        """What an outline holds.

        Raises
        ------
        InputError
            Where it is no percentage.
        """
        shown = (self.model.view or {}).get("coverage", COVERAGE.default)
        asked = shown if self.coverage is None else self.coverage
        if not (isinstance(asked, float | int) and 0 < asked < 100):
            raise InputError(f"The coverage must lie between 0 and 100 percent, not {asked!r:.40}.")
        return float(asked)

    @property
    def radius(self) -> float:
        """Of outlines, in standard deviations."""
        return coverage_to_radius(self.coverage_percent, len(self.model.axis_labels))

    @cached_property
    def grid(self) -> Grid:
        """The pixels of the images.

        Raises
        ------
        InputError
            Where the model is not in 2D or 3D, or there would be too many.
        """
        self.needs_plane()
        return Grid.covering(*_box(self.model), pixel_size=self.pixel_size)

    @cached_property
    def pixels(self) -> Pixels:
        """What outlines are in."""
        return Pixels.of_grid(self.grid) if self.image is None else self.image

    @cached_property
    def density(self) -> NDArray[np.float32]:
        """Expected points per unit^D at the pixels of the grid."""
        return self.density_on(self.grid)

    def density_on(self, grid: Grid) -> NDArray[np.float32]:
        """The same on another grid."""
        from napari_sparse_gmm.shapes.antialiasing import antialiased

        mixture = antialiased(self.only_mixture, grid.spacing)
        return heatmap(mixture, grid, "expected_points", n_points=self.model.n_points)

    @property
    def only_mixture(self) -> GaussianMixture:
        """That of all points.

        Raises
        ------
        InputError
            Where each group has its own.
        """
        if self.model.groups is not None:
            raise InputError(
                f"The model has a mixture for each {self.model.groups.name}, and an image is of "
                "one: fit one of them alone, or write outlines, points or the table of components, "
                "which tell the groups apart."
            )
        return self.model.mixture

    @property
    def table(self) -> pd.DataFrame:
        """The components of all groups one after the other, with units in the header; where there
        are groups, with a column of their labels before the others.
        """
        frames = []
        for group, part in enumerate(self.model.parts):
            if part is None:
                continue
            frame = pd.DataFrame(cluster_table(part, self.model.axis_labels, self.unit))
            if self.model.groups is not None:
                name = self.model.groups.name
                name = f"{name} group" if name in frame else name
                frame.insert(0, name, self.model.groups.labels[group])
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def needs_plane(self) -> None:
        """An InputError where the model is in other than two or three dimensions."""
        if (d := len(self.model.axis_labels)) not in (2, 3):
            raise InputError(
                f"The model is in {d}D, and this is written of models in 2D and 3D: write the "
                "table of components, or the points."
            )

    def needs_points(self) -> ScoredPoints:
        """The points.

        Raises
        ------
        InputError
            Where there are none.
        """
        if self.points is None:
            raise InputError("This is written of points, and none are given: name their table.")
        return self.points


def optional(module: str, what: str, extra: str) -> Any:
    """A library that not everybody has.

    Raises
    ------
    InputError
        Where it is not installed, or something that it needs, with the line that installs both.
    """
    try:
        with warnings.catch_warnings():
            # Some use what they have deprecated themselves.
            warnings.simplefilter("ignore", DeprecationWarning)
            return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        raise InputError(
            f"{what} needs {missing}: python -m pip install 'napari-sparse-gmm[{extra}]' brings it."
        ) from None


def _box(model: DensityModel) -> FloatArray:
    """Where the points of a model were, or most likely were, (2, D)."""
    if model.box is not None:
        return model.box
    corners = []
    for part in model.fitted:
        mixture, region = part.mixture, part.mixture.background_region
        width = _REACH * np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
        corners += [mixture.means - width, mixture.means + width]
        corners += [] if region is None else [region.box]
    around = np.concatenate(corners)
    return np.stack([around.min(0), around.max(0)])
