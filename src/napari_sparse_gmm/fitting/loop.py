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
from napari_sparse_gmm.fitting.mm import COARSE, descend, majorise_minimise
from napari_sparse_gmm.fitting.moves import born_at_once
from napari_sparse_gmm.fitting.problem import Problem, State
from napari_sparse_gmm.fitting.settings import FitSettings
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import (
    Context,
    InverseWishart,
    Kinds,
    Objective,
    PenalisedLikelihood,
    declaration_of,
    default_size,
)
from napari_sparse_gmm.regions import Region

Solver = Callable[[Problem, GaussianMixture, float], Iterator[State]]

# Nats by which clusters as several kinds must be likelier: the bounds are no closer, where
# clusters overlap.
_REASON = 8.0
# And what must be left of the background's weight.
_LEFT = 0.5

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
    region = settings.region(engine, floor)
    declared, starts = declaration_of(settings.prior), settings.starts()
    noise = engine.typical_noise
    # A mixture or means to start from are the only start.
    several = declared.several if isinstance(settings.init, str) else None
    n_starts, number = len(starts) + (0 if several is None else 2), 0
    first = None
    if noise is not None and declared.starts and len(starts) > 1:
        # The prior is learnt from the clusters. Where noise may account for any shape they are all
        # alike to it, and stay in pieces; convolved with the noise they are not.
        number, several = n_starts, None
        n_starts += 1
        first = yield from _of_more(fit_steps(engine.without_noise(), settings), n_starts)
        starts = [(without_noise(first.mixture, noise), ())]
    results = []
    for init, births in starts:
        problem, start = _problem(engine, settings, init, floor, region)
        if first is not None and isinstance(first.objective, Kinds):
            problem = replace(problem, objective=_of_the_kinds(first, problem, start))
        start = born_at_once(problem, start, births)
        results.append((yield from _descent(problem, start, settings, number, n_starts)))
        number += 1
    best = min(results, key=lambda result: result.cost)
    kinds = None if several is None else several(best.objective, best.mixture.n_components)
    if kinds is not None:
        problem, start = _problem(engine, settings, best.mixture, floor, region)
        best = yield from _of_several(
            replace(problem, objective=kinds), start, best, settings, number, n_starts
        )
    return replace(best, mixture=best.mixture.checked())


def _of_several(
    held: Problem,
    start: GaussianMixture,
    best: FitResult,
    settings: FitSettings,
    number: int,
    n_starts: int,
) -> Generator[FitStep, None, FitResult]:
    """The solution under several kinds, from two more starts; or the best so far, where it is no
    better.
    """
    assert isinstance(held.objective, Kinds)
    start = born_at_once(held, start, held.births)
    apart = yield from _descent(held, start, settings, number, n_starts)
    learning = replace(held, objective=replace(held.objective, held=False))
    learnt = yield from _descent(learning, apart.mixture, settings, number + 1, n_starts)
    gain = held.total_weight * (best.cost - learnt.cost)
    # Without what favours each component, which is for small ones on their way.
    favour = best.objective.keeping or 0.0
    gain -= favour * (learnt.mixture.n_components - best.mixture.n_components)
    # Where the region is larger than the field, many wide clusters take the place of what is
    # scattered: they are no kind.
    left = learnt.mixture.background_weight >= _LEFT * best.mixture.background_weight
    return learnt if gain > _REASON and left else best


def _descent(
    problem: Problem, start: GaussianMixture, settings: FitSettings, number: int, n_starts: int
) -> Generator[FitStep, None, FitResult]:
    """From one of so many starts to the end; of several kinds, until one is left."""
    of_kinds = isinstance(problem.objective, Kinds)
    states: Iterator[State]
    if isinstance(problem.objective, Kinds) and problem.objective.held:
        # Where the components of each kind are; moves are for what is learnt.
        states = descend(problem, problem.start(start), COARSE, coarse=True)
    else:
        states = SOLVERS[settings.solver](problem, start, settings.tol)
    history: list[float] = []
    passes = -1.0
    lowest: State | None = None
    for state in states:
        passes += state.work
        history[int(passes) :] = [state.cost]
        if lowest is None or state.cost < lowest.cost:
            lowest = state
        yield FitStep(int(passes), state.cost, state.mixture, number, n_starts)
        if passes >= settings.max_iter:
            break
        if of_kinds and not isinstance(state.objective, Kinds):
            break
    assert lowest is not None
    lowest = problem.pruned(lowest)
    return FitResult(
        lowest.mixture,
        lowest.objective,
        lowest.cost,
        np.array(history),
        int(passes),
        next(states, None) is None,
    )


def _of_the_kinds(first: FitResult, problem: Problem, start: GaussianMixture) -> Objective:
    """The kinds of a solution, learnt anew from its components as they are at the start."""
    assert isinstance(first.objective, Kinds)
    found = first.mixture.subset(first.mixture.weights > 0)  # as the start has them
    counts = problem.total_weight * found.weights
    kinds = first.objective.of(counts, found.covariances)
    learnt = [
        problem.objective.learnt(counts[kinds == kind], start.covariances[kinds == kind])
        for kind in np.unique(kinds)
    ]
    return Kinds(tuple(learnt)) if len(learnt) > 1 else problem.objective  # type: ignore[arg-type]


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
    return problem, mixture
