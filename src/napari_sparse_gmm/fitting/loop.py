"""The one loop: every fit is a generator of frozen steps.

Progress is what it yields, cancelling is closing it; the dock widget, the command line
and the tests consume the same generator::

    for step in fit_steps(open_engine(observations, settings), settings):
        print(step.iteration, step.cost, step.n_components)
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np

from napari_sparse_gmm.engines import Engine
from napari_sparse_gmm.fitting.adam import adam
from napari_sparse_gmm.fitting.initial import start_mixture, without_noise
from napari_sparse_gmm.fitting.mm import majorise_minimise
from napari_sparse_gmm.fitting.moves import born_at_once
from napari_sparse_gmm.fitting.problem import Problem, State
from napari_sparse_gmm.fitting.settings import FitSettings
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import (
    Context,
    InverseWishart,
    Objective,
    PenalisedLikelihood,
    declaration_of,
    default_size,
)
from napari_sparse_gmm.regions import Region

Solver = Callable[[Problem, GaussianMixture, float], Iterator[State]]

SOLVERS: dict[str, Solver] = {"mm": majorise_minimise, "adam": adam}


@dataclass(frozen=True, eq=False)
class FitStep:
    """One step of a fit.

    Parameters
    ----------
    iteration : int
        Passes over the points so far, the start's not counted. Moves are tried on the points
        that they touch, so several steps may belong to one pass.
    cost : float
        The cost of `mixture`, in nats per point.
    mixture : GaussianMixture
        The mixture so far, in data units.
    start, n_starts : int
        Which of the starts this is, and of how many.
    """

    iteration: int
    cost: float
    mixture: GaussianMixture
    start: int = 0
    n_starts: int = 1

    @property
    def n_components(self) -> int:
        """How many components are left."""
        return self.mixture.n_components


@dataclass(frozen=True, eq=False)
class FitResult:
    """The best solution of a fit, and how it was found."""

    mixture: GaussianMixture
    objective: Objective
    cost: float
    cost_history: FloatArray
    n_iter: int
    converged: bool


def fit_steps(engine: Engine, settings: FitSettings) -> Generator[FitStep, None, FitResult]:
    """Fit a mixture to the points of an engine, of positive weight and not all at one position.

    Yields every step of every start; returns the solution of lowest cost.

    Raises
    ------
    InputError
        Where all points lie at one position and no `covariance_floor` says how wide that is; or
        points lie outside of the region of the background.
    """
    floor = settings.floor(engine)
    noise, starts, first = engine.typical_noise, settings.starts(), 0
    if noise is not None and declaration_of(settings.prior).starts and len(starts) > 1:
        # The prior is learnt from the clusters. Where noise may account for any shape they are all
        # alike to it, and stay in pieces; convolved with the noise they are not.
        first = len(starts)
        convolved = yield from _of_more(fit_steps(engine.without_noise(), settings), first + 1)
        starts = [(without_noise(convolved.mixture, noise), ())]
    region = settings.region(engine, floor)
    best: FitResult | None = None
    for number, (init, births) in enumerate(starts, first):
        problem, mixture = _problem(engine, settings, init, births, floor, region)
        states = SOLVERS[settings.solver](problem, mixture, settings.tol)
        history: list[float] = []
        passes = -1.0
        lowest: State | None = None
        for state in states:
            passes += state.work
            history[int(passes) :] = [state.cost]
            if lowest is None or state.cost < lowest.cost:
                lowest = state
            yield FitStep(int(passes), state.cost, state.mixture, number, first + len(starts))
            if passes >= settings.max_iter:
                break
        assert lowest is not None
        lowest = problem.pruned(lowest)
        if best is None or lowest.cost < best.cost:
            best = FitResult(
                lowest.mixture,
                lowest.objective,
                lowest.cost,
                np.array(history),
                int(passes),
                next(states, None) is None,
            )
    assert best is not None
    return replace(best, mixture=best.mixture.checked())


def _of_more(
    steps: Generator[FitStep, None, FitResult], n_starts: int
) -> Generator[FitStep, None, FitResult]:
    """The steps of the first of so many starts."""
    while True:
        try:
            yield replace(next(steps), n_starts=n_starts)
        except StopIteration as stop:
            return stop.value


def _problem(
    engine: Engine,
    settings: FitSettings,
    init: str | FloatArray | GaussianMixture,
    births: tuple[str, ...],
    floor: FloatArray,
    region: Region,
) -> tuple[Problem, GaussianMixture]:
    """What a start minimises, and where it begins."""
    mixture = start_mixture(
        engine,
        init,
        min(settings.n_start, engine.summary.n_points),
        floor=floor,
        region=region if settings.background else None,
        rng=settings.rng,
    )
    # A mixture goes on with a fit that has started from `n_components`; "density" comes to its
    # components later.
    later = isinstance(init, GaussianMixture) or (isinstance(init, str) and init == "density")
    n_start = settings.n_start if later else max(mixture.n_components, 1)
    declared = declaration_of(settings.prior)
    objective = declared.make(Context(settings.sparsity, n_start, region, engine.typical_noise))
    if settings.covariance_prior > 0:
        assert isinstance(objective, PenalisedLikelihood)  # the settings refuse others
        size = settings.typical_size or default_size(engine.summary.covariance, settings.n_start)
        prior = InverseWishart(settings.covariance_prior, max(size, float(floor.min())))
        objective = replace(objective, covariance_prior=prior)
    most = max(settings.most(engine.summary.n_points), mixture.n_components)
    problem = Problem(engine, objective, floor, most, declared.births)
    return problem, born_at_once(problem, mixture, births)
