"""The one loop: every fit is a generator of frozen steps.

Progress is what it yields, cancelling is closing it; the dock widget, the command line
and the tests consume the same generator::

    for step in fit_steps(open_engine(observations, settings), settings):
        print(step.iteration, step.cost, step.n_components)
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_sparse_gmm.engines import Engine
from napari_sparse_gmm.fitting.adam import adam
from napari_sparse_gmm.fitting.initial import start_mixture, without_noise
from napari_sparse_gmm.fitting.label_switching import log_labellings
from napari_sparse_gmm.fitting.mm import COARSE, descend, majorise_minimise
from napari_sparse_gmm.fitting.moves import born_at_once
from napari_sparse_gmm.fitting.problem import Problem, State
from napari_sparse_gmm.fitting.settings import FitSettings
from napari_sparse_gmm.fitting.smooth import (
    MOST_DIMENSIONS,
    Form,
    SmoothBackground,
    SmoothBackgrounds,
)
from napari_sparse_gmm.fitting.window import reweighted, window_of
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import (
    FULL,
    SPHERICAL,
    Context,
    CovarianceType,
    InverseWishart,
    Kinds,
    Objective,
    PenalisedLikelihood,
    declaration_of,
    default_size,
)
from napari_sparse_gmm.parameters import COVARIANCE_TYPE, SMOOTH_BACKGROUND
from napari_sparse_gmm.regions import Region

_Start = tuple[str | FloatArray | GaussianMixture, tuple[str, ...]]
Solver = Callable[[Problem, GaussianMixture, float], Iterator[State]]

# Nats by which clusters as several kinds, or on a smooth background, must be likelier: the bounds
# are no closer, where clusters overlap.
_REASON = 8.0
# And any clusters than a background alone, and ones cut by an edge than whole ones: log 20.
_SOME = 3.0
# An even background that its first start says is less likely by so many is not tried from others.
_FAR = 30.0
# How often a background and the clusters are learnt in turn.
_SMOOTHINGS = 4
# What several kinds must leave of the background's weight.
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
    """The best solution of a fit, and how it was found.

    `background_cost` is what its background costs beside an even one, in nats; see
    `fitting.smooth`. It is not in `cost`. Where components are cut by the edge of the `window` in
    which points are seen, `seen` (K,) is the share of each in it; weights are of them as a whole.
    """

    mixture: GaussianMixture
    objective: Objective
    cost: float
    cost_history: FloatArray
    n_iter: int
    converged: bool
    background_cost: float = 0.0
    window: Region | None = None
    seen: FloatArray | None = None


Steps = Generator[FitStep, None, FitResult]


def fit_steps(engine: Engine, settings: FitSettings) -> Steps:
    """Fit a mixture to the points of an engine, of positive weight and not all at one position.

    Yields every step of every start; returns the solution of lowest cost.

    Raises
    ------
    InputError
        Where all points lie at one position and no `covariance_floor` says how wide that is; or
        points lie outside of the region of the background.
    """
    fit = _Fit(engine, settings)
    best = yield from fit.steps()
    if fit.declared.evidence:
        best = yield from fit.cut(best)
    return replace(best, mixture=best.mixture.checked())


class _Fit:
    """The solutions that a fit compares: from several starts, on an even background and on smooth
    ones, with clusters of one kind and of several.
    """

    def __init__(self, engine: Engine, settings: FitSettings) -> None:
        self.engine, self.settings = engine, settings
        self.floor = settings.floor(engine)
        self.region = region = settings.region(engine, self.floor)
        self.declared = declaration_of(settings.prior)
        self.starts = settings.starts()
        self.number, self.n_starts = 0, len(self.starts)
        # Costs can be compared, and there are shapes to compare.
        self.may_be_round = (
            self.declared.evidence
            and settings.covariance_type == COVARIANCE_TYPE.default
            and isinstance(settings.init, str)
            and region.n_dimensions > 1
        )

    def steps(self) -> Steps:
        """All of them."""
        noise = self.engine.typical_noise
        if noise is not None and self.declared.starts and isinstance(self.settings.init, str):
            return (yield from self._from_without_noise(noise))
        backgrounds = self._smooth_backgrounds()
        firsts = [] if backgrounds is None else backgrounds.first()
        # A mixture or means to start from are the only start.
        several = self.declared.several if isinstance(self.settings.init, str) else None
        self.n_starts = len(self.starts) + self.may_be_round + (0 if several is None else 3)
        if firsts:
            of_each = len(self.starts) + _SMOOTHINGS
            self.n_starts += len(firsts) * of_each + self.may_be_round
        best = yield from self._on_likeliest(backgrounds, firsts)
        if backgrounds is not None:
            best = self._if_clusters(best, backgrounds)
        kinds = None if several is None else several(best.objective, best.mixture.n_components)
        return best if kinds is None else (yield from self._of_several(kinds, best))

    def cut(self, best: FitResult) -> Steps:
        """The solution with the clusters that an edge of the field cuts as truncated Gaussians; its
        weights are shares of all points, seen or not. Where only the points say where the edge is,
        it has to be likelier.
        """
        problem, start = self._problem_from(best)
        window = window_of(start, problem.total_weight)
        problem = replace(problem, objective=best.objective, window=window)
        if window is None or (problem.unseen(start).shares == 1.0).all():
            return best
        self.n_starts += 1
        found = yield from self._descent(problem, start, after=best)
        known = self.region.n_points is None
        if not known and self._nats(best) - self._nats(found) <= _SOME:
            return best
        seen = problem.unseen(found.mixture).shares
        return replace(
            found,
            mixture=reweighted(found.mixture, 1.0 / seen)[0],
            converged=found.converged and best.converged,
            window=window,
            seen=seen,
        )

    def _from_without_noise(self, noise: FloatArray) -> Steps:
        """The solution from that of the same points without their noise.

        The prior is learnt from the clusters. Where noise may account for any shape they are all
        alike to it, and stay in pieces; convolved with the noise they are not. Their kinds and
        the background are found without it, too; what an edge cuts, at last.
        """
        steps = _Fit(self.engine.without_noise(), self.settings).steps()
        while True:
            try:
                step = next(steps)
            except StopIteration as stop:
                first: FitResult = stop.value
                break
            self.number, self.n_starts = step.n_starts, step.n_starts + 1 + self.may_be_round
            yield replace(step, n_starts=self.n_starts)
        region = first.mixture.background_region or self.region
        types = [first.objective.covariance_type]
        if self.may_be_round and types == [SPHERICAL]:
            # Round as they are seen may be for the noise.
            types.append(FULL)
        found = []
        for covariance_type in types:
            own = without_noise(first.mixture, noise)
            problem, start = self._problem(own, region, covariance_type)
            if isinstance(first.objective, Kinds):
                problem = replace(problem, objective=_of_the_kinds(first, problem, start))
            found.append((yield from self._descent(problem, start, after=first)))
            self.number += 1
        return min(found, key=self._nats)

    def _best_of(self, starts: Sequence[_Start], region: Region) -> Steps:
        """The solution of lowest cost from some starts, on one background."""
        results = []
        for init, births in starts:
            problem, start = self._problem(init, region)
            start = born_at_once(problem, start, births)
            results.append((yield from self._descent(problem, start)))
            self.number += 1
        return min(results, key=lambda result: result.cost)

    def _on_likeliest(
        self,
        backgrounds: SmoothBackgrounds | None,
        firsts: Sequence[tuple[Form, SmoothBackground]],
    ) -> Steps:
        """The solution on the even background, or on the likeliest of others, if likelier."""
        first, others = self.starts[:1], self.starts[1:]
        even = yield from self._best_of(first, self.region)
        smooth = []
        for form, begin in firsts:
            assert backgrounds is not None  # `firsts` are its
            found = yield from self._best_of(self.starts, begin.region)
            smooth.append((yield from self._smoothed(found, backgrounds, form)))
        likeliest = None
        if smooth:
            likeliest = yield from self._if_round(min(smooth, key=self._nats))
            if self._nats(even) - self._nats(likeliest) > _FAR:
                self.number += len(others) + self.may_be_round
                return likeliest
        if others:
            other = yield from self._best_of(others, self.region)
            even = min(even, other, key=lambda result: result.cost)
        even = yield from self._if_round(even)
        return even if likeliest is None else self._likelier(even, likeliest)

    def _smooth_backgrounds(self) -> SmoothBackgrounds | None:
        """Where there is a background, not given as uneven, and costs can be compared."""
        chosen, region = self.settings, self.region
        if (
            chosen.smooth_background
            and SMOOTH_BACKGROUND.name in self.declared.uses
            and chosen.background
            and isinstance(chosen.init, str)
            and region.is_even
            and region.n_dimensions <= MOST_DIMENSIONS
        ):
            return SmoothBackgrounds(self.engine, region, chosen.rng)
        return None

    def _smoothed(self, best: FitResult, backgrounds: SmoothBackgrounds, form: Form) -> Steps:
        """The solution whose background is learnt in turn with its clusters; moves come at last."""
        for turn in range(_SMOOTHINGS):
            # Each turn is a start, as another background is another cost.
            if best.mixture.background_weight > 0:
                counts = backgrounds.counts(best.mixture, best.objective)
                background = backgrounds.likeliest(counts, form)
                problem, start = self._problem_from(best, background.region)
                last = turn + 1 == _SMOOTHINGS
                best = replace(best, background_cost=background.cost)
                best = yield from self._descent(problem, start, moves=last, after=best)
            self.number += 1
        return best

    def _if_round(self, best: FitResult) -> Steps:
        """The solution with round components, where it is likelier; or that."""
        if not self.may_be_round:
            return best
        if best.mixture.n_components and self._has_room(best):
            problem, start = self._problem_from(best)
            problem = replace(problem, objective=problem.objective.of_type(SPHERICAL))
            found = yield from self._descent(problem, start, after=best)
            if self._has_room(found):
                best = min(best, found, key=self._nats)
        self.number += 1
        return best

    def _has_room(self, result: FitResult) -> bool:
        """Whether components would be no wider than the region is thick if they were round. Of
        others a prior that is even in the region says more about means than is true.
        """
        sides = np.ptp(self.region.box, axis=0)
        rounded = SPHERICAL.nearest(result.mixture.covariances)
        return bool(rounded[:, 0, 0].max(initial=0.0) < sides.min() ** 2)

    def _likelier(self, best: FitResult, other: FitResult) -> FitResult:
        return other if self._nats(best) - self._nats(other) > _REASON else best

    def _if_clusters(self, best: FitResult, backgrounds: SmoothBackgrounds) -> FitResult:
        """The solution, where it is likelier than a background alone; or that."""
        if best.mixture.n_components == 0:
            return best
        even = self._alone(SmoothBackground(self.region), best)
        counts = backgrounds.counts(even.mixture, even.objective)
        likeliest = min(
            (self._alone(backgrounds.likeliest(counts, form), best) for form in backgrounds.forms),
            key=self._nats,
        )
        # What favours each component is not taken off: true ones of five points would go.
        gain = min(map(self._nats, (even, likeliest))) - self._nats(best) + self._favour(best)
        if gain > _SOME:
            return best
        return likeliest if self._nats(even) - self._nats(likeliest) > _REASON else even

    def _alone(self, background: SmoothBackground, best: FitResult) -> FitResult:
        """A background without components, after the passes of a solution."""
        problem, _ = self._problem_from(best, background.region)
        state = problem.alone(background.region)
        return replace(
            best,
            mixture=state.mixture,
            objective=state.objective,
            cost=state.cost,
            background_cost=background.cost,
        )

    def _of_several(self, held: Kinds, best: FitResult) -> Steps:
        """The solution under several kinds, or the best so far, where it is no better."""
        problem, start = self._problem_from(best)
        problem = replace(problem, objective=held)
        start = born_at_once(problem, start, problem.births)
        # Where the components of each kind are; moves are for what is learnt.
        apart = yield from self._descent(problem, start, moves=False)
        self.number += 1
        problem = replace(problem, objective=replace(held, held=False))
        learnt = yield from self._descent(problem, apart.mixture, after=best)
        self.number += 1
        learnt = yield from self._of_fewer(learnt)
        # Where the region is larger than the field, many wide clusters take the place of what is
        # scattered: they are no kind.
        left = learnt.mixture.background_weight >= _LEFT * best.mixture.background_weight
        return self._likelier(best, learnt) if left else best

    def _of_fewer(self, best: FitResult) -> Steps:
        """The solution without one of three kinds, where it is likelier; or that."""
        if not isinstance(best.objective, Kinds):
            return best
        kinds = best.objective.kinds
        if len(kinds) < 3:
            return best
        problem, start = self._problem_from(best)
        found = []
        for left_out in range(len(kinds)):
            others = (*kinds[:left_out], *kinds[left_out + 1 :])
            problem = replace(problem, objective=replace(best.objective, kinds=others))
            found.append((yield from self._descent(problem, start, moves=False)))
        likeliest = min(found, key=self._nats)
        problem = replace(problem, objective=likeliest.objective)
        fewer = yield from self._descent(problem, likeliest.mixture, after=best)
        return min(best, fewer, key=self._nats)

    def _nats(self, result: FitResult) -> float:
        """Minus the bound on the log evidence of a solution."""
        # Without what favours each component, which is for small ones on their way.
        nats = self.engine.summary.total_weight * result.cost + self._favour(result)
        return nats + result.background_cost + log_labellings(result.mixture)

    def _favour(self, result: FitResult) -> float:
        return (result.objective.keeping or 0.0) * result.mixture.n_components

    def _descent(
        self,
        problem: Problem,
        start: GaussianMixture,
        *,
        moves: bool = True,
        after: FitResult | None = None,
    ) -> Steps:
        """From one of the starts to the end; of several kinds, until one is left.

        The background costs what it did `after` a solution that this goes on from.
        """
        of_kinds = isinstance(problem.objective, Kinds)
        states: Iterator[State]
        if not moves:
            states = descend(problem, problem.start(start), COARSE, coarse=True)
        else:
            states = SOLVERS[self.settings.solver](problem, start, self.settings.tol)
        history: list[float] = []
        passes = -1.0
        lowest: State | None = None
        for state in states:
            passes += state.work
            history[int(passes) :] = [state.cost]
            if lowest is None or state.cost < lowest.cost:
                lowest = state
            yield FitStep(int(passes), state.cost, state.mixture, self.number, self.n_starts)
            if passes >= self.settings.max_iter:
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
            0.0 if after is None else after.background_cost,
        )

    def _problem_from(
        self, result: FitResult, region: Region | None = None
    ) -> tuple[Problem, GaussianMixture]:
        """What goes on from a solution minimises, on its background or another one."""
        region = region or result.mixture.background_region or self.region
        return self._problem(result.mixture, region, result.objective.covariance_type)

    def _problem(
        self,
        init: str | FloatArray | GaussianMixture,
        region: Region,
        covariance_type: CovarianceType | None = None,
    ) -> tuple[Problem, GaussianMixture]:
        """What a start minimises, and where it begins."""
        engine, settings = self.engine, self.settings
        mixture = start_mixture(
            engine,
            init,
            min(settings.n_start, engine.summary.n_points),
            floor=self.floor,
            region=region if settings.background else None,
            rng=settings.rng,
        )
        # A mixture goes on with a fit that has started from `n_components`; "density" comes to its
        # components later.
        later = isinstance(init, GaussianMixture) or (isinstance(init, str) and init == "density")
        n_start = settings.n_start if later else max(mixture.n_components, 1)
        objective = self.declared.make(
            Context(settings.sparsity, n_start, region, engine.typical_noise)
        )
        covariance_type = covariance_type or settings.first_type
        if covariance_type not in (None, objective.covariance_type):
            objective = objective.of_type(covariance_type)
        if settings.covariance_prior > 0:
            assert isinstance(objective, PenalisedLikelihood)  # the settings refuse others
            size = settings.typical_size
            size = size or default_size(engine.summary.covariance, settings.n_start)
            prior = InverseWishart(settings.covariance_prior, max(size, float(self.floor.min())))
            objective = replace(objective, covariance_prior=prior)
        most = max(settings.most(engine.summary.n_points), mixture.n_components)
        return Problem(engine, objective, self.floor, most, self.declared.births), mixture


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
