"""How to fit: all parameters in one value, and what of them goes together."""

from dataclasses import dataclass, field

import numpy as np

from napari_sparse_gmm.engines import Engine, EngineChoice, choose_engine
from napari_sparse_gmm.engines.choice import Opening
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.fitting.initial import bounding_box, default_floor, least_floor
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import (
    COVARIANCE_TYPES,
    N_START,
    SPHERICAL,
    CovarianceType,
    Objective,
    Start,
    WeightPenalty,
    declaration_of,
)
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.parameters import (
    BACKGROUND,
    COVARIANCE_FLOOR,
    COVARIANCE_PRIOR,
    COVARIANCE_TYPE,
    DEVICE,
    ENGINE,
    INIT,
    MAX_ITER,
    N_COMPONENTS,
    N_INIT,
    PRIOR,
    SMOOTH_BACKGROUND,
    SOLVER,
    SPARSITY,
    TOL,
    TYPICAL_SIZE,
)
from napari_sparse_gmm.regions import Intensity, Region


@dataclass(frozen=True, eq=False)
class FitSettings:
    """How to fit; the fields are the parameters of `SparseGaussianMixture`.

    Raises
    ------
    InputError
        Where the solver, the prior and the start do not go together.
    """

    n_components: int | None = N_COMPONENTS.default
    sparsity: float = SPARSITY.default
    prior: str | WeightPenalty | Objective = PRIOR.default
    solver: str = SOLVER.default
    background: bool | Region = BACKGROUND.default
    smooth_background: bool = SMOOTH_BACKGROUND.default
    covariance_type: str = COVARIANCE_TYPE.default
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

    def __post_init__(self) -> None:
        declared = declaration_of(self.prior)
        if self.solver == "adam" and isinstance(self.init, str) and self.init == "density":
            raise InputError(
                "init='density' finds its components by moves, which only solver='mm' makes; use "
                "solver='mm' or another init."
            )
        if isinstance(self.init, str) and self.init not in (INIT.choices or ()):
            raise InputError(
                f"init must be one of {INIT.choices} or an array of means, not {self.init!r}."
            )
        if self.solver not in declared.solvers:
            raise InputError(
                f"prior={self.prior!r} is no penalty with a gradient, which solver="
                f"{self.solver!r} needs; use solver='mm' or another prior."
            )
        if self.covariance_type not in (COVARIANCE_TYPE.choices or ()):
            raise InputError(
                f"covariance_type must be one of {COVARIANCE_TYPE.choices}, not "
                f"{self.covariance_type!r}."
            )
        if self.solver == "adam" and self.covariance_type == SPHERICAL.name:
            raise InputError(
                "solver='adam' knows no round components; use solver='mm' or "
                "covariance_type='full'."
            )
        if self.covariance_prior > 0 and COVARIANCE_PRIOR.name not in declared.uses:
            raise InputError(
                "covariance_prior goes with a penalty on the weights; "
                f"prior={self.prior!r} learns its own prior on sizes, so leave covariance_prior "
                "at 0."
            )

    def starts(self) -> list[tuple[str | FloatArray | GaussianMixture, tuple[str, ...]]]:
        """The `init` of each start, and the births that come at once there."""
        if not isinstance(self.init, str):  # starts alike every time
            return [(self.init, ())]
        declared = declaration_of(self.prior)
        own = declared.starts or (Start(self._init(declared.init)),) * self.n_init
        return [(start.init, start.births) for start in own]

    @property
    def first_type(self) -> CovarianceType | None:
        """What covariances may be like at first; None: as the prior has them."""
        if self.covariance_type != COVARIANCE_TYPE.default:
            return COVARIANCE_TYPES[self.covariance_type]
        init = self.init
        if not isinstance(init, GaussianMixture) or not init.n_components or self.solver != "mm":
            return None
        # In one dimension there is nothing to tell apart.
        round_ = init.n_dimensions > 1 and SPHERICAL.holds(init.covariances)
        return SPHERICAL if round_ else None

    @property
    def n_start(self) -> int:
        """How many components a start has that is drawn: by k-means++ or at random."""
        return N_START if self.n_components is None else self.n_components

    def most(self, n_points: int) -> int:
        """How many components there may be, at most."""
        if self.n_components is not None:
            return self.n_components
        usual = declaration_of(self.prior).components
        return n_points if usual is None else usual

    def _init(self, usual: str) -> str:
        if self.init != "auto":
            return str(self.init)
        return usual if self.solver == "mm" else "kmeans++"

    def floor(self, engine: Engine) -> FloatArray:
        """The smallest standard deviation of a component along each axis, (D,); an InputError
        where there is none.
        """
        if self.covariance_floor is not None:
            floor = np.full(len(engine.summary.mean), self.covariance_floor)
        elif declaration_of(self.prior).needs_floor or engine.typical_noise is not None:
            floor = default_floor(engine, self.rng)
        else:
            floor = np.zeros(len(engine.summary.mean))
        floor = np.maximum(floor, least_floor(engine, self.rng))
        if not (floor > 0).all():
            raise InputError(
                "All points lie in one place, so there is no spread to model. Give "
                "a smallest size (covariance_floor), a standard deviation in data units, to fit "
                "them still."
            )
        return floor

    def region(self, engine: Engine, floor: FloatArray) -> Region:
        """Where points can lie; an InputError where some lie outside, and so have no density.

        As a mixture to start from has learnt it, if in the same region.
        """
        region = self._even_region(engine, floor)
        learnt = self.init.background_region if isinstance(self.init, GaussianMixture) else None
        if self.smooth_background and isinstance(learnt, Intensity):
            return learnt if learnt.region.to_dict() == region.to_dict() else region
        return region

    def _even_region(self, engine: Engine, floor: FloatArray) -> Region:
        summary, background = engine.summary, self.background
        if not isinstance(background, Region):
            return bounding_box(summary.box, floor, summary.total_weight)
        if background.n_dimensions != len(summary.mean):
            raise InputError(
                f"The region of the background has {background.n_dimensions} dimensions, the "
                f"points have {len(summary.mean)}."
            )
        if outside := engine.n_outside(background):
            raise InputError(
                f"{outside} of the {summary.n_points} points lie outside of the region of the "
                "background: leave them out, or give a larger one."
            )
        return background


def open_engine(observations: Observations, settings: FitSettings) -> Engine:
    """The engine that holds the points of a fit, ordered once for all questions."""
    n, noise = len(observations), observations.noise is not None
    choice, how = choose_opening(n, observations.n_dimensions, settings, noise=noise)
    return choice.hold(observations, how)


def choose_opening(
    n_points: int, n_dimensions: int, settings: FitSettings, *, noise: bool
) -> tuple[EngineChoice, Opening]:
    """The engine of a fit of so many points, and how it holds them."""
    choice = choose_engine(settings.engine, settings.device, n_dimensions=n_dimensions, noise=noise)
    how = choice.opening(
        n_points,
        n_components=settings.n_start,
        # Adam divides each gradient by its size: none is so small that it may be left out.
        tolerance=0.0 if settings.solver == "adam" else None,
    )
    return choice, how
