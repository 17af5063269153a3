"""The one loop: every fit is a generator of frozen steps.

Progress is what it yields, cancelling is closing it; the dock widget, the command line
and the tests consume the same generator::

    for step in fit_steps(points, settings):
        print(step.iteration, step.cost, step.n_components)
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from napari_sparse_gmm.engines import choose_engine
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.fitting.adam import adam
from napari_sparse_gmm.fitting.balls import BallBirths
from napari_sparse_gmm.fitting.births import Births
from napari_sparse_gmm.fitting.initial import (
    LEAST_FLOOR,
    bounding_box,
    default_floor,
    start_mixture,
    without_noise,
)
from napari_sparse_gmm.fitting.mm import majorise_minimise
from napari_sparse_gmm.fitting.moves import born_at_once
from napari_sparse_gmm.fitting.priors import (
    BayesPrior,
    ComponentPrior,
    ConjugatePrior,
    Prior,
    default_size,
    make_prior,
)
from napari_sparse_gmm.fitting.problem import Problem, State
from napari_sparse_gmm.fitting.proposals import Propose
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.parameters import (
    BACKGROUND,
    COVARIANCE_FLOOR,
    COVARIANCE_PRIOR,
    DEVICE,
    ENGINE,
    INIT,
    MAX_ITER,
    N_COMPONENTS,
    N_INIT,
    PRIOR,
    SOLVER,
    SPARSITY,
    TOL,
    TYPICAL_SIZE,
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
    start : int
        Which of the `n_init` starts this is.
    """

    iteration: int
    cost: float
    mixture: GaussianMixture
    start: int = 0

    @property
    def n_components(self) -> int:
        """How many components are left."""
        return self.mixture.n_components


@dataclass(frozen=True, eq=False)
class FitSettings:
    """How to fit; the fields are the parameters of `SparseGaussianMixture`."""

    n_components: int = N_COMPONENTS.default
    sparsity: float = SPARSITY.default
    prior: str | ComponentPrior = PRIOR.default
    solver: str = SOLVER.default
    background: bool | Region = BACKGROUND.default
    covariance_floor: float | None = COVARIANCE_FLOOR.default
    covariance_prior: float = COVARIANCE_PRIOR.default
    typical_size: float | None = TYPICAL_SIZE.default
    init: str | FloatArray | GaussianMixture = INIT.default
    n_init: int = N_INIT.default
    max_iter: int = MAX_ITER.default
    tol: float = TOL.default
    engine: str = ENGINE.default
    device: str = DEVICE.default
    rng: np.random.Generator = field(default_factory=np.random.default_rng)


@dataclass(frozen=True, eq=False)
class FitResult:
    """The best solution of a fit, and how it was found."""

    mixture: GaussianMixture
    prior: ComponentPrior
    cost: float
    cost_history: FloatArray
    n_iter: int
    converged: bool
    engine: str
    engine_reason: str


def _is_density(init: str | FloatArray | GaussianMixture) -> bool:
    return isinstance(init, str) and init == "density"


def _learns(prior: str | ComponentPrior) -> bool:
    return prior == "bayes" or isinstance(prior, BayesPrior)


def _check_solver(settings: FitSettings) -> None:
    """Raise an InputError where the solver cannot do what else is asked for."""
    if settings.solver == "adam" and _is_density(settings.init):
        raise InputError(
            "init='density' finds its components by moves, which only solver='mm' makes; use "
            "solver='mm' or another init."
        )
    if settings.solver == "adam" and _learns(settings.prior):
        raise InputError(
            "prior='bayes' is no penalty with a gradient, which solver='adam' needs; use "
            "solver='mm' or another prior."
        )


def _with_sizes(prior: ComponentPrior, points: float, size: float) -> ConjugatePrior:
    """The prior, and one on the covariances beside it."""
    if not isinstance(prior, Prior):
        raise InputError(
            "covariance_prior goes with a penalty on the weights; prior='bayes' learns its own "
            "prior on sizes, so leave covariance_prior at 0."
        )
    return ConjugatePrior(prior, points, size)


def _floor(points: FloatArray, settings: FitSettings, noise: FloatArray | None) -> float:
    """The smallest standard deviation of a component; an InputError where there is none."""
    floor = settings.covariance_floor
    if floor is None:
        # Where sizes have a prior nothing collapses, and among scattered points a cluster may be
        # smaller than the distance between neighbours.
        learns = _learns(settings.prior) and noise is None
        floor = 0.0 if learns else default_floor(points, noise, settings.rng)
    floor = max(floor, LEAST_FLOOR * float(np.ptp(points, axis=0).max()))
    if not floor > 0:
        raise InputError(
            f"All {len(points)} points lie in one place, so there is no spread to model. Give "
            "covariance_floor, the smallest standard deviation in data units, to fit them still."
        )
    return floor


def _region(points: FloatArray, background: bool | Region, floor: float) -> Region:
    """Where points can lie; an InputError where some lie outside, and so have no density."""
    if not isinstance(background, Region):
        return bounding_box(points, floor)
    if background.n_dimensions != points.shape[1]:
        raise InputError(
            f"The region of the background has {background.n_dimensions} dimensions, the points "
            f"have {points.shape[1]}."
        )
    outside = int(np.count_nonzero(~background.contains(points)))
    if outside:
        raise InputError(
            f"{outside} of the {len(points)} points lie outside of the region of the background: "
            "leave them out, or give a larger one."
        )
    return background


def _starts(
    settings: FitSettings,
) -> list[tuple[str | FloatArray | GaussianMixture, tuple[Propose, ...]]]:
    """The `init` of each start, and the births that come at once there."""
    if _learns(settings.prior) and isinstance(settings.init, str):
        # From large clusters; and from small ones, too, which large ones alone cannot teach.
        return [("density", (Births(),)), ("density", (Births(), BallBirths()))]
    # Means and mixtures that are given start alike every time.
    return [(settings.init, ())] * (settings.n_init if isinstance(settings.init, str) else 1)


def fit_steps(
    points: FloatArray,
    settings: FitSettings,
    sample_weight: FloatArray | None = None,
    noise: FloatArray | None = None,
) -> Generator[FitStep, None, FitResult]:
    """Fit a mixture to points (N, D), finite and not all in one place.

    `sample_weight` (N,) is positive; `noise` (N, D) holds the variances of the noise of each
    point. Yields every step of every start; returns the solution of lowest cost.

    Raises
    ------
    InputError
        Where all points lie in one place and no `covariance_floor` says how wide that is, or
        init="density" or prior="bayes" meets solver="adam"; or points lie outside of the region
        of the background.
    """
    _check_solver(settings)
    floor = _floor(points, settings, noise)
    first = 0
    if noise is not None and _learns(settings.prior) and isinstance(settings.init, str):
        # Clusters teach the prior what they look like. Where noise may account for any shape they
        # are all alike to it, and stay in pieces; as they are seen, they are not.
        first = len(_starts(settings))
        seen = yield from fit_steps(points, settings, sample_weight)
        narrower = without_noise(seen.mixture, np.median(noise, axis=0))
        settings = replace(settings, init=narrower)
    choice = choose_engine(
        settings.engine, settings.device, n_dimensions=points.shape[1], noise=noise is not None
    )
    engine = choice.open(
        points,
        sample_weight,
        noise=noise,
        n_components=settings.n_components,
        # Adam divides each gradient by its size: none is so small that it may be left out.
        tolerance=0.0 if settings.solver == "adam" else None,
    )
    region = _region(points, settings.background, floor)
    best: FitResult | None = None
    for start, (init, births) in enumerate(_starts(settings), first):
        mixture = start_mixture(
            points,
            init,
            min(settings.n_components, len(points)),
            sample_weight=sample_weight,
            noise=noise,
            floor=floor,
            region=region if settings.background else None,
            rng=settings.rng,
        )
        prior = make_prior(
            settings.prior,
            sparsity=settings.sparsity,
            # A mixture goes on with a fit that has started from `n_components`; "density" comes
            # to its components later.
            n_start=settings.n_components
            if isinstance(init, GaussianMixture) or _is_density(init)
            else max(mixture.n_components, 1),
            region=region,
            noise=None if noise is None else engine.typical_noise,
        )
        if settings.covariance_prior > 0:
            size = settings.typical_size or default_size(
                points, sample_weight, settings.n_components
            )
            prior = _with_sizes(prior, settings.covariance_prior, max(size, floor))
        problem = Problem(engine, prior, floor, max(settings.n_components, mixture.n_components))
        mixture = born_at_once(problem, mixture, births)
        states = SOLVERS[settings.solver](problem, mixture, settings.tol)
        history: list[float] = []
        passes = -1.0
        lowest: State | None = None
        for state in states:
            passes += state.work
            history[int(passes) :] = [state.cost]
            if lowest is None or state.cost < lowest.cost:
                lowest = state
            yield FitStep(int(passes), state.cost, state.mixture, start)
            if passes >= settings.max_iter:
                break
        assert lowest is not None
        lowest = problem.pruned(lowest)
        if best is None or lowest.cost < best.cost:
            best = FitResult(
                lowest.mixture,
                lowest.prior,
                lowest.cost,
                np.array(history),
                int(passes),
                next(states, None) is None,
                engine.name,
                choice.reason,
            )
    assert best is not None
    return best
