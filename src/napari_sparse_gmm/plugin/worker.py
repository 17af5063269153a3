"""The work behind the dock widget, as generators for a napari worker: a fit and what shows it.

Nothing here knows Qt. Each generator yields `Progress` at most every 100 ms and returns a
frozen outcome; cancelling is closing it. torch and scikit-learn are imported when the
generator first runs, in the worker's thread.
"""

import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.parameters import DEVICE, ENGINE, MAX_ITER, N_THREADS, SPARSITY
from napari_sparse_gmm.shapes.grid import MAX_PIXELS, Grid, heatmap

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment
    from napari_sparse_gmm.estimator import SparseGaussianMixture
    from napari_sparse_gmm.fitting import FitStep
    from napari_sparse_gmm.path import SparsityPath
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

    @property
    def nothing(self) -> float:
        """What is shown where there is no density at all."""
        return -np.inf if self.quantity == "log_density" else 0.0

    def grid(self, box: FloatArray, n_slices: int) -> Grid:
        """The pixels that cover a box (2, D). ValueError where those of all slices are too many."""
        lower, upper = box
        grid = Grid.covering(
            lower, upper, pixel_size=self.pixel_size, longest_side=self.longest_side
        )
        if n_slices * np.prod(grid.shape, dtype=float) > MAX_PIXELS:
            raise ValueError(
                f"A heatmap in each of {n_slices:,} slices would have more than {MAX_PIXELS:,} "
                "pixels: choose a larger pixel size, or fewer pixels along the longest side."
            )
        return grid


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Drawn heatmaps: `values` (G, ...) float32, of each group at the pixels of `grid`."""

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
    groups: NDArray[np.intp] | None = None  # (N,), which are fitted apart, from 0 on
    names: tuple[str, ...] = ("",)  # of the groups
    n_slices: int = 1  # that the images of the groups are spread over

    @property
    def box(self) -> FloatArray:
        """Lower and upper corner of the points, (2, D)."""
        return np.stack([self.points.min(axis=0), self.points.max(axis=0)])


@dataclass(frozen=True, eq=False)
class Part:
    """What a fit found in one group of points, or in all of them.

    `total_weight` is that of the points: their number where all weigh 1.
    """

    mixture: GaussianMixture
    errors: "StandardErrors"
    n_points: int
    total_weight: float
    cost: float
    n_iter: int
    converged: bool


@dataclass(frozen=True, eq=False)
class Solution:
    """What a fit found, and the parameters that it was asked for.

    One part for each group; None where it could not be fitted, for which `problem` has a reason.
    """

    parts: tuple[Part | None, ...]
    engine_reason: str
    parameters: Mapping[str, Any]
    deconvolved: bool = False  # the precision of the points was considered
    problem: str = ""

    @property
    def fitted(self) -> tuple[Part, ...]:
        """The parts that there are."""
        return tuple(part for part in self.parts if part is not None)


@dataclass(frozen=True, eq=False)
class FitResult:
    """What came of a fit: its solution, or those of a path, and the heatmap of the chosen one."""

    solutions: tuple[Solution, ...]
    chosen: int
    heatmap: Heatmap
    path: "SparsityPath | None" = None

    @property
    def solution(self) -> Solution:
        """The chosen one."""
        return self.solutions[self.chosen]


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


def fit_path(request: FitRequest) -> Work[FitResult | Refusal]:
    """Fit the solutions along a rising sparsity. Returns and raises like `fit`."""
    return _guarded("path", _path(request))


def draw(
    solution: Solution, box: FloatArray, choice: HeatmapChoice, n_slices: int = 1
) -> Work[Heatmap | Refusal]:
    """Draw the heatmaps of a solution over `box` (2, D). Returns and raises like `fit`."""
    return _guarded("heatmap", _draw(solution, box, choice, n_slices))


def assign_points(
    solution: Solution,
    points: FloatArray,
    groups: NDArray[np.intp],
    noise_std: FloatArray | None,
    choice: HeatmapChoice,
) -> "Work[Assignment | Refusal]":
    """Find the component of each point (N, D), in model coordinates, among those of its group.

    Raises like `fit`; what computes it is in `choice`.
    """
    return _guarded("assignment of points", _assign(solution, points, groups, noise_std, choice))


def _guarded(what: str, work: Work[_Result]) -> Work[_Result | Refusal]:
    try:
        return (yield from work)
    except Exception as error:
        # NumPy's LinAlgError is a ValueError, but none that was written for the user.
        if isinstance(error, ValueError) and not isinstance(error, np.linalg.LinAlgError):
            return Refusal(str(error))
        raise _failed(what, error) from error


def _fit(request: FitRequest) -> Work[FitResult]:
    most = request.parameters[MAX_ITER.name]
    model = yield from _model(request, most)

    from napari_sparse_gmm.groups import iter_groups

    points = request.points
    groups = np.zeros(len(points), dtype=np.intp) if request.groups is None else request.groups
    names = [request.names[group] for group in np.unique(groups)]  # of those that have points

    def told(step: "FitStep", n_done: int) -> Progress:
        name = f"{names[n_done]}: " if names[n_done] else ""
        value = n_done * most + step.iteration
        return Progress(value, most * len(names), f"{name}{_step_text(step)}")

    fits = yield from _followed(
        iter_groups(
            model, points, groups, sample_weight=request.weights, noise_std=request.noise_std
        ),
        told,
    )
    models: list[SparseGaussianMixture | None] = [None] * len(request.names)
    for fitted in fits:
        models[fitted.label] = fitted.model
    problem = next((fitted.problem for fitted in fits if fitted.problem), "")
    solution = yield from _solution(models, request, groups, problem)
    drawn = yield from _draw(solution, request.box, request.heatmap, request.n_slices)
    return FitResult((solution,), 0, drawn)


def _path(request: FitRequest) -> Work[FitResult]:
    model = yield from _model(request, 1)

    from napari_sparse_gmm.path import SPARSITIES, SparsityPath, iter_path

    def told(step: "FitStep", n_done: int) -> Progress:
        text = f"Sparsity {SPARSITIES[n_done]:g}: {_step_text(step)}"
        return Progress(n_done, len(SPARSITIES), text)

    found = yield from _followed(
        iter_path(
            model, request.points, sample_weight=request.weights, noise_std=request.noise_std
        ),
        told,
    )
    path = SparsityPath(tuple(found))
    solutions = []
    for point in path:
        parameters = {**request.parameters, SPARSITY.name: point.sparsity}
        of_point = replace(request, parameters=parameters)
        nothing_apart = np.zeros(len(request.points), dtype=np.intp)
        solutions.append((yield from _solution([point.model], of_point, nothing_apart)))
    chosen = found.index(path.suggested)
    drawn = yield from _draw(solutions[chosen], request.box, request.heatmap, 1)
    return FitResult(tuple(solutions), chosen, drawn, path)


def _followed(
    events: Generator[Any, None, None], told: "Callable[[FitStep, int], Progress]"
) -> Work[list[Any]]:
    """Yield what is told of some of the steps; returns all other events.

    `told` gets a step, and how many of the others came before.
    """
    from napari_sparse_gmm.fitting import FitStep

    found, last = [], -np.inf
    with _no_fallback_warning(), closing(events):
        for event in events:
            if not isinstance(event, FitStep):
                found.append(event)
            elif time.monotonic() - last >= _INTERVAL:
                yield told(event, len(found))
                last = time.monotonic()
    return found


def _solution(
    models: "Sequence[SparseGaussianMixture | None]",
    request: FitRequest,
    groups: NDArray[np.intp],
    problem: str = "",
) -> Work[Solution]:
    """The solution that fitted estimators hold, one for each group, with its standard errors."""
    parts = []
    for group, model in enumerate(models):
        yield Progress(group, len(models), "Estimating the errors")
        rows = np.flatnonzero(groups == group)
        parts.append(None if model is None else _part(model, request, rows))
    return Solution(
        tuple(parts),
        next(model.engine_reason_ for model in models if model is not None),
        request.parameters,
        request.noise_std is not None,
        problem,
    )


def _model(request: FitRequest, total: int) -> "Work[SparseGaussianMixture]":
    """The estimator of a request, when all that it needs is there."""
    # What is wrong with the heatmap is better known before the fit.
    request.heatmap.grid(request.box, request.n_slices)
    yield Progress(0, total, "Starting")

    from napari_sparse_gmm.estimator import SparseGaussianMixture

    engine, device = request.parameters[ENGINE.name], request.parameters[DEVICE.name]
    noise = request.noise_std is not None
    yield from _prepare(engine, device, request.points.shape[1], total, noise=noise)
    return SparseGaussianMixture(**request.parameters)


def _part(model: "SparseGaussianMixture", request: FitRequest, rows: NDArray[np.intp]) -> Part:
    """What was found in some of the points, with standard errors."""
    weights, noise_std = (
        None if values is None else values[rows] for values in (request.weights, request.noise_std)
    )
    points = request.points[rows]
    return Part(
        mixture=model.mixture_,
        errors=model.standard_errors(points, sample_weight=weights, noise_std=noise_std),
        n_points=len(points),
        total_weight=len(points) if weights is None else float(weights.sum()),
        cost=model.cost_,
        n_iter=model.n_iter_,
        converged=model.converged_,
    )


def _draw(
    solution: Solution, box: FloatArray, choice: HeatmapChoice, n_slices: int
) -> Work[Heatmap]:
    grid = choice.grid(box, n_slices)
    yield from _prepare(choice.engine, choice.device, grid.n_dimensions, grid.shape[0])

    from napari_sparse_gmm.engines.threads import limited_threads

    values = np.full((len(solution.parts), *grid.shape), choice.nothing, dtype=np.float32)
    n_rows = grid.shape[0]
    rows_at_once = max(1, _SLAB * n_rows // int(np.prod(grid.shape)))
    for group, part in enumerate(solution.parts):
        for first in range(0, 0 if part is None else n_rows, rows_at_once):
            assert part is not None
            done = group * n_rows + first
            yield Progress(done, len(values) * n_rows, "Drawing the heatmap")
            last = min(first + rows_at_once, n_rows)
            slab = Grid(
                origin=grid.coordinates([first] + [0] * (grid.n_dimensions - 1)),
                spacing=grid.spacing,
                shape=(last - first, *grid.shape[1:]),
            )
            with _no_fallback_warning(), limited_threads(choice.n_threads):
                values[group, first:last] = heatmap(
                    part.mixture,
                    slab,
                    choice.quantity,
                    n_points=part.total_weight,
                    engine=choice.engine,
                    device=choice.device,
                )
    return Heatmap(values, grid, choice)


def _assign(
    solution: Solution,
    points: FloatArray,
    groups: NDArray[np.intp],
    noise_std: FloatArray | None,
    choice: HeatmapChoice,
) -> "Work[Assignment]":
    engine, device = choice.engine, choice.device
    yield from _prepare(engine, device, points.shape[1], 1, noise=noise_std is not None)

    from napari_sparse_gmm.engines import Assignment, assign
    from napari_sparse_gmm.engines.threads import limited_threads

    n = len(points)
    whole = Assignment(np.full(n, -1), np.full(n, np.nan), np.full(n, np.nan))
    for group, part in enumerate(solution.parts):
        yield Progress(group, len(solution.parts), "Assigning the points")
        rows = np.flatnonzero(groups == group)
        if part is None or not len(rows):
            continue
        noise = None if noise_std is None else noise_std[rows]
        with _no_fallback_warning(), limited_threads(choice.n_threads):
            found = assign(
                part.mixture, points[rows], noise_std=noise, engine=engine, device=device
            )
        whole.component[rows] = found.component
        whole.probability[rows] = found.probability
        whole.log_density[rows] = found.log_density
    return whole


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
