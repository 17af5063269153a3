"""The work behind the dock widget, as generators for a napari worker: a fit and what shows it.

Nothing here knows Qt. Each generator yields `Progress` at most every 100 ms and returns a
frozen outcome; cancelling is closing it. torch and scikit-learn are imported when the
generator first runs, in the worker's thread.
"""

import time
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.parameters import DEVICE, ENGINE, MAX_ITER, N_THREADS
from napari_sparse_gmm.shapes.grid import Grid, heatmap

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment
    from napari_sparse_gmm.fitting import FitStep
    from napari_sparse_gmm.uncertainty import StandardErrors

_INTERVAL = 0.1  # seconds between two yields: each makes napari draw, which takes time from the fit

# Pixels between two chances to cancel; a few tenths of a second for hundreds of components.
_SLAB = 1 << 18


@dataclass(frozen=True)
class Progress:
    """How far the work is: `value` of `total`, and a few words for the progress bar.

    `sentence` is for the status line, where it has something to tell meanwhile.
    """

    value: int
    total: int
    text: str
    sentence: str | None = None


@dataclass(frozen=True)
class HeatmapChoice:
    """What of a heatmap the user chooses; see `parameters` for the fields.

    Two choices are equal where they show the same, whatever computes it.
    """

    quantity: str
    longest_side: int
    pixel_size: float | None
    engine: str = field(default=ENGINE.default, compare=False)
    device: str = field(default=DEVICE.default, compare=False)
    n_threads: int | None = field(default=N_THREADS.default, compare=False)

    def grid(self, box: FloatArray) -> Grid:
        """The pixels that cover a box (2, D). ValueError where they would be too many."""
        lower, upper = box
        return Grid.covering(
            lower, upper, pixel_size=self.pixel_size, longest_side=self.longest_side
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
    weights: FloatArray | None = None  # (N,), how often each point counts
    noise_std: FloatArray | None = None  # (N, D), how precise its place is


@dataclass(frozen=True, eq=False)
class FitResult:
    """What a fit found, its heatmap, and the parameters that it was asked for.

    `total_weight` is that of the points: their number where all weigh 1.
    """

    mixture: GaussianMixture
    errors: "StandardErrors"
    heatmap: Heatmap
    n_points: int
    total_weight: float
    cost: float
    n_iter: int
    converged: bool
    engine_reason: str
    parameters: Mapping[str, Any]
    deconvolved: bool = False  # the precision of the points was considered


@dataclass(frozen=True)
class Refusal:
    """The input is at fault; `sentence` tells the user what to change."""

    sentence: str


class FitFailed(Exception):
    """Something broke during the work.

    Not a RuntimeError: superqt takes one for the sign of a deleted worker, emits neither
    `errored` nor `finished`, and the Run button would stay grey.
    """


_Result = TypeVar("_Result")
Work = Generator[Progress, None, _Result]


def fit(request: FitRequest) -> Work[FitResult | Refusal]:
    """Fit a mixture to the points and draw its heatmap.

    Returns
    -------
    FitResult, or Refusal where the input is at fault.

    Raises
    ------
    FitFailed
        For every other error, whatever its kind.
    """
    return _guarded("fit", _fit(request))


def draw(
    mixture: GaussianMixture, box: FloatArray, n_points: float, choice: HeatmapChoice
) -> Work[Heatmap | Refusal]:
    """Draw the heatmap of a mixture over `box` (2, D). Returns and raises like `fit`."""
    return _guarded("heatmap", _draw(mixture, box, n_points, choice))


def assign_points(
    mixture: GaussianMixture,
    points: FloatArray,
    noise_std: FloatArray | None = None,
    *,
    engine: str,
    device: str,
    n_threads: int | None,
) -> "Work[Assignment | Refusal]":
    """Find the component of each point (N, D), in model coordinates. Raises like `fit`."""
    work = _assign(mixture, points, noise_std, engine, device, n_threads)
    return _guarded("assignment of points", work)


def _guarded(what: str, work: Work[_Result]) -> Work[_Result | Refusal]:
    try:
        return (yield from work)
    except Exception as error:
        # NumPy's LinAlgError is a ValueError, but none that was written for the user.
        if isinstance(error, ValueError) and not isinstance(error, np.linalg.LinAlgError):
            return Refusal(str(error))
        raise _failed(what, error) from error


def _fit(request: FitRequest) -> Work[FitResult]:
    points, most = request.points, request.parameters[MAX_ITER.name]
    box = np.stack([points.min(axis=0), points.max(axis=0)])
    request.heatmap.grid(box)  # what is wrong with it is better known before the fit
    yield Progress(0, most, "Starting")

    from napari_sparse_gmm.estimator import SparseGaussianMixture

    estimator = SparseGaussianMixture(**request.parameters)
    engine, device = request.parameters[ENGINE.name], request.parameters[DEVICE.name]
    yield from _prepare(engine, device, points.shape[1], most, noise=request.noise_std is not None)
    last = -np.inf
    iterations = estimator.iter_fit(
        points, sample_weight=request.weights, noise_std=request.noise_std
    )
    with _no_fallback_warning(), closing(iterations) as steps:
        for step in steps:
            if time.monotonic() - last >= _INTERVAL:
                yield Progress(step.iteration, most, _step_text(step))
                last = time.monotonic()
    yield Progress(most, most, "Estimating the errors")
    errors = estimator.standard_errors(
        points, sample_weight=request.weights, noise_std=request.noise_std
    )
    total = len(points) if request.weights is None else float(request.weights.sum())
    return FitResult(
        mixture=estimator.mixture_,
        errors=errors,
        heatmap=(yield from _draw(estimator.mixture_, box, total, request.heatmap)),
        n_points=len(points),
        total_weight=total,
        cost=estimator.cost_,
        n_iter=estimator.n_iter_,
        converged=estimator.converged_,
        engine_reason=estimator.engine_reason_,
        parameters=request.parameters,
        deconvolved=request.noise_std is not None,
    )


def _draw(
    mixture: GaussianMixture, box: FloatArray, n_points: float, choice: HeatmapChoice
) -> Work[Heatmap]:
    grid = choice.grid(box)
    yield from _prepare(choice.engine, choice.device, grid.n_dimensions, grid.shape[0])

    from napari_sparse_gmm.engines.threads import limited_threads

    values = np.empty(grid.shape, dtype=np.float32)
    n_rows = grid.shape[0]
    rows_at_once = max(1, _SLAB * n_rows // values.size)
    for first in range(0, n_rows, rows_at_once):
        yield Progress(first, n_rows, "Drawing the heatmap")
        last = min(first + rows_at_once, n_rows)
        slab = Grid(
            origin=grid.coordinates([first] + [0] * (grid.n_dimensions - 1)),
            spacing=grid.spacing,
            shape=(last - first, *grid.shape[1:]),
        )
        with _no_fallback_warning(), limited_threads(choice.n_threads):
            values[first:last] = heatmap(
                mixture,
                slab,
                choice.quantity,
                n_points=n_points,
                engine=choice.engine,
                device=choice.device,
            )
    return Heatmap(values, grid, choice)


def _assign(
    mixture: GaussianMixture,
    points: FloatArray,
    noise_std: FloatArray | None,
    engine: str,
    device: str,
    n_threads: int | None,
) -> "Work[Assignment]":
    yield from _prepare(engine, device, mixture.n_dimensions, 1, noise=noise_std is not None)

    from napari_sparse_gmm.engines import assign
    from napari_sparse_gmm.engines.threads import limited_threads

    yield Progress(0, 1, "Assigning the points")
    with _no_fallback_warning(), limited_threads(n_threads):
        return assign(mixture, points, noise_std=noise_std, engine=engine, device=device)


def _prepare(
    engine: str, device: str, n_dimensions: int, total: int, *, noise: bool = False
) -> Work[None]:
    """Wait for compilers, where the engine needs them first, and say so."""
    from napari_sparse_gmm.engines.choice import preparation

    told = False
    with closing(preparation(engine, device, n_dimensions=n_dimensions, noise=noise)) as waits:
        for waiting in waits:
            told = told or bool(waiting.sentence)
            text = "Compiling" if waiting.sentence else "Starting"
            yield Progress(0, total, text, f"{waiting}." if waiting.sentence else None)
    if told:
        yield Progress(0, total, "Starting", "")


def _step_text(step: "FitStep") -> str:
    left = f"{step.n_components} component{'' if step.n_components == 1 else 's'} left"
    return f"Iteration {step.iteration}: cost {step.cost:.4f}, {left}"


@contextmanager
def _no_fallback_warning() -> Iterator[None]:
    """Silence what `engine_reason_` tells; in a worker it would become a notification."""
    from napari_sparse_gmm.engines import EngineFallbackWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EngineFallbackWarning)
        yield


def _failed(what: str, error: Exception) -> FitFailed:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return FitFailed(
            f"The {what} ran out of memory: choose fewer components or pixels, or compute on "
            "the processor (Advanced > Device)."
        )
    return FitFailed(f"The {what} failed with {type(error).__name__}: {error}")
