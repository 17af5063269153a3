"""The work behind the dock widget: a fit and its heatmap, as generators for a napari worker.

Nothing here knows Qt. Each generator yields `Progress` at most every 50 ms and returns a
frozen outcome; cancelling is closing it. torch and scikit-learn are imported when the
generator first runs, in the worker's thread.
"""

import time
import warnings
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.parameters import MAX_ITER
from napari_sparse_gmm.shapes.grid import Grid, heatmap

_INTERVAL = 0.05  # seconds between two yields: 20 updates of the progress bar a second

# Pixels between two chances to cancel; a few tenths of a second for hundreds of components.
_SLAB = 1 << 18


@dataclass(frozen=True)
class Progress:
    """How far the work is: `value` of `total`, and a few words for the progress bar."""

    value: int
    total: int
    text: str


@dataclass(frozen=True)
class HeatmapChoice:
    """What of a heatmap the user chooses; see `parameters` for the fields."""

    quantity: str
    longest_side: int
    pixel_size: float | None
    engine: str
    device: str

    def grid(self, box: FloatArray) -> Grid:
        """The pixels that cover a box (2, D). ValueError where they would be too many."""
        return Grid.covering(
            *box, pixel_size=self.pixel_size, longest_side=self.longest_side
        )


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A drawn heatmap: `values` float32 at the pixels of `grid`."""

    values: NDArray[np.float32]
    grid: Grid
    choice: HeatmapChoice


@dataclass(frozen=True, eq=False)
class FitRequest:
    """All that a fit needs to know; `parameters` are keywords of `SparseGaussianMixture`."""

    points: FloatArray  # (N, D), model coordinates
    parameters: Mapping[str, Any]
    heatmap: HeatmapChoice


@dataclass(frozen=True, eq=False)
class FitResult:
    """What a fit found, and its heatmap."""

    mixture: GaussianMixture
    heatmap: Heatmap
    n_points: int
    box: FloatArray  # lower and upper corner of the points, (2, D)
    cost: float
    n_iter: int
    converged: bool
    engine_reason: str


@dataclass(frozen=True)
class Refusal:
    """The input cannot be fitted; `sentence` tells the user what to change."""

    sentence: str


class FitFailed(Exception):
    """Something broke during the work.

    Not a RuntimeError: superqt takes one for the sign of a deleted worker, emits neither
    `errored` nor `finished`, and the Run button would stay grey.
    """


def fit(request: FitRequest) -> Generator[Progress, None, FitResult | Refusal]:
    """Fit a mixture to the points and draw its heatmap.

    Returns
    -------
    FitResult, or Refusal where the input is at fault.

    Raises
    ------
    FitFailed
        For every other error, whatever its kind.
    """
    try:
        return (yield from _fit(request))
    except ValueError as error:
        return Refusal(str(error))
    except Exception as error:
        raise _failed("fit", error) from error


def draw(
    mixture: GaussianMixture, box: FloatArray, n_points: int, choice: HeatmapChoice
) -> Generator[Progress, None, Heatmap | Refusal]:
    """Draw the heatmap of a mixture over `box` (2, D). Returns and raises like `fit`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return (yield from _draw(mixture, choice.grid(box), n_points, choice))
    except ValueError as error:
        return Refusal(str(error))
    except Exception as error:
        raise _failed("heatmap", error) from error


def _fit(request: FitRequest) -> Generator[Progress, None, FitResult]:
    box = np.stack([request.points.min(axis=0), request.points.max(axis=0)])
    grid = request.heatmap.grid(box)  # what is wrong with it is better known before the fit
    total = request.parameters.get(MAX_ITER.name, MAX_ITER.default)
    yield Progress(0, total, "Starting")

    from napari_sparse_gmm.estimator import SparseGaussianMixture

    estimator = SparseGaussianMixture(**request.parameters)
    # A worker turns every warning into a notification. These two are already told: the
    # estimator's engine_reason_ says which engine stepped in, converged_ that time ran out.
    with warnings.catch_warnings(), closing(estimator.iter_fit(request.points)) as steps:
        warnings.simplefilter("ignore")
        last = -np.inf
        for step in steps:
            if time.monotonic() - last >= _INTERVAL:
                yield Progress(
                    min(step.iteration, total),
                    total,
                    f"Iteration {step.iteration}: cost {step.cost:.4f}, "
                    f"{step.n_components} components left",
                )
                last = time.monotonic()
        drawn = yield from _draw(
            estimator.mixture_, grid, len(request.points), request.heatmap
        )
    return FitResult(
        mixture=estimator.mixture_,
        heatmap=drawn,
        n_points=len(request.points),
        box=box,
        cost=estimator.cost_,
        n_iter=estimator.n_iter_,
        converged=estimator.converged_,
        engine_reason=estimator.engine_reason_,
    )


def _draw(
    mixture: GaussianMixture, grid: Grid, n_points: int, choice: HeatmapChoice
) -> Generator[Progress, None, Heatmap]:
    values = np.empty(grid.shape, dtype=np.float32)
    n_rows = grid.shape[0]
    rows = max(1, _SLAB * n_rows // values.size)
    for start in range(0, n_rows, rows):
        yield Progress(start, n_rows, "Drawing the heatmap")
        part = slice(start, min(start + rows, n_rows))
        origin = grid.coordinates([start] + [0] * (grid.n_dimensions - 1))
        slab = Grid(origin, grid.spacing, (part.stop - start, *grid.shape[1:]))
        values[part] = heatmap(
            mixture,
            slab,
            choice.quantity,
            n_points=n_points,
            engine=choice.engine,
            device=choice.device,
        )
    return Heatmap(values, grid, choice)


def _failed(what: str, error: Exception) -> FitFailed:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return FitFailed(
            f"The {what} ran out of memory: choose fewer components or pixels, or compute on "
            f"the processor (Advanced > Device)."
        )
    return FitFailed(f"The {what} failed with {type(error).__name__}: {error}")
