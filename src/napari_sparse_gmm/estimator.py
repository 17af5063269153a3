"""The scikit-learn face of the fit, for notebooks and pipelines.

>>> model = SparseGaussianMixture(random_state=0).fit(points)
>>> model.means_.shape == (model.n_components_, 2)
True
>>> labels = model.predict(points)
"""

import warnings
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import fields
from functools import partial
from importlib.metadata import version
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, DensityMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    _check_sample_weight,
    _get_feature_names,
    check_is_fitted,
    validate_data,
)

from napari_sparse_gmm.arrays import (
    LARGEST,
    SMALLEST,
    bounds,
    float_array,
    input_errors,
    refuse_masked,
)
from napari_sparse_gmm.blinking import estimate_repeats
from napari_sparse_gmm.chunked import Chunked, as_chunked, joined, mapped
from napari_sparse_gmm.engines import Assignment, Data, Engine, Scores, Storage, choose_engine
from napari_sparse_gmm.engines.checkpoints import Checkpoints, Journal, Recorded, fingerprint
from napari_sparse_gmm.engines.spatial_sort import survey
from napari_sparse_gmm.engines.threads import limited_threads, step_by_step
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.evidence import Evidence, evidence
from napari_sparse_gmm.fitting import (
    SOLVERS,
    FitResult,
    FitSettings,
    FitStep,
    choose_opening,
    fit_steps,
    open_engine,
)
from napari_sparse_gmm.fitting.online import Online
from napari_sparse_gmm.fitting.window import reweighted
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.objectives import Kinds, Objective, WeightPenalty, declaration_of
from napari_sparse_gmm.observations import Observations, noise_variances
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
    N_THREADS,
    PRIOR,
    RANDOM_STATE,
    REPEATS,
    SMOOTH_BACKGROUND,
    SOLVER,
    SPARSITY,
    TOL,
    TYPICAL_SIZE,
)
from napari_sparse_gmm.path import SPARSITIES, PathPoint, SparsityPath, iter_path
from napari_sparse_gmm.regions import Region, as_background
from napari_sparse_gmm.uncertainty import StandardErrors, standard_errors

_NUMBERS = (
    N_COMPONENTS,
    SPARSITY,
    COVARIANCE_FLOOR,
    COVARIANCE_PRIOR,
    TYPICAL_SIZE,
    REPEATS,
    N_INIT,
    MAX_ITER,
    TOL,
    N_THREADS,
)


# Sentences about parts of a table that are said one by one.
_NOTES = 5


class SparseGaussianMixture(DensityMixin, BaseEstimator):
    """Gaussian mixture with full or spherical covariances and a sparsity prior on the weights.

    The number of components comes out of the fit: components are born where the points are denser
    than the mixture says, and the prior removes those that the points do not need.

    Parameters
    ----------
    n_components : int, optional
        The most components that there may be, and for the priors "sqrt" and "none", and starts by
        k-means++ or at random, the number M at the start. By default as many as the points need
        for "bayes" and "mml", 30 for the others.
    prior : {"bayes", "mml", "sqrt", "none"}, WeightPenalty or Objective
        "bayes": variational Bayes, which learns from the points how large clusters are; without a
        knob, for clusters of few points, too (solver "mm" only). "mml": minimum message length
        (Figueiredo & Jain, 2002), without a knob. "sqrt": sparsity prior of the KeOps tutorial.
        "none": maximum likelihood. An instance of
        `napari_sparse_gmm.objectives.WeightPenalty` is a penalty of your own.
    sparsity : float
        s of the prior "sqrt", whose penalty is (s / M) sum_j sqrt(W_j). 0: no penalty.
    solver : {"mm", "adam"}
        "mm": majorise-minimise with moves; the cost never rises. "adam": the tutorial's
        gradient descent.
    background : bool or Region
        Add a background: on the bounding box of the points; or on a region (`Polygon`,
        `Mask`, ... of `napari_sparse_gmm.regions`) that holds them all, where they could have been;
        in an `Intensity` it is as dense as an image.
    smooth_background : bool
        Whether a background without an image may be smooth instead of even, where that is
        likelier: a gradient, the thickness of a cell, a field that fills less than the bounding
        box. For the prior "bayes" without means or a mixture as `init`, in up to three dimensions;
        see `napari_sparse_gmm.fitting.smooth`.
    covariance_type : {"auto", "full", "spherical"}
        "full": components of any shape. "spherical": round ones, of covariance s^2 1 (solver "mm"
        only). "auto": for the prior "bayes", round where that is likelier for the points as a
        whole; else, and with means as `init`, "full". A mixture as `init` stays round.
    covariance_floor : float, optional
        Smallest standard deviation of a component along any axis, in data units. By default
        half the median distance between neighbouring points; of points with noise a tenth of its
        median; in any case 1e-7 of the longest side of the points.
    covariance_prior : float
        How many points a conjugate prior on each covariance is worth; 0: none. Not for the prior
        "bayes", which learns its own. See `napari_sparse_gmm.objectives.inverse_wishart`.
    typical_size : float, optional
        The standard deviation that it expects, in data units. By default that of `n_components`
        equal balls that fill the field (Fraley & Raftery, J. Classification 24, 2007).
    repeats : float, optional
        How many points are one observation, as localizations of a molecule that blinks: the
        evidence of the points is divided by it. By default it is read off the points, for the
        priors "bayes" and "mml", where it matters; see `napari_sparse_gmm.blinking`. 1: each point
        is one.
    init : {"auto", "kmeans++", "density", "random"}, array of shape (M, D), or GaussianMixture
        Start. "auto": "density" for the prior "mml", else "kmeans++". "density" (solver "mm"
        only): the background or a single component; the others are born where the points are
        denser, at every scale: for thousands of clusters. "random": means uniform in the bounding
        box. Given means that are equal are one. For "random" and given means the standard deviation
        is 1/15 of the side of the unit box, the smallest power of two that holds the points. A
        mixture is taken as it is, but for the floor and for a background as `background` says; M
        is then still `n_components`.
    n_init : int
        Number of starts; the solution of lowest cost is kept. Means or a mixture as `init` are one
        start; the prior "bayes" has two of its own: from clusters that are found at once, and from
        small ones besides.
    max_iter : int
        Most passes over the points for each start.
    tol : float
        Converged when a step lowers the cost by less than this (nats per point), and the moves of
        each kind by less than ten times this.
    engine : {"auto", "fused", "keops", "torch"}
        What computes the sums over points; see `engine_reason_`.
    device : {"auto", "cpu", "cuda"}
    n_threads : int, optional
        How many processor threads torch and KeOps may use here, and no more than there are cores;
        what else the program computes at the same time keeps its own. By default all cores but
        one.
    warm_start : bool
        Start `fit` from the last solution, where there is one.
    storage : Storage, optional
        Where points are kept that come in chunks, and are more than there is memory for; see
        `napari_sparse_gmm.engines.storage`.
    random_state : int, RandomState or None
    verbose : int
        1 or more: print a line every `verbose` iterations.

    Attributes
    ----------
    mixture_ : GaussianMixture
    weights_ : (K,) array
    means_ : (K, D) array
    covariances_ : (K, D, D) array
    covariance_type_ : {"full", "spherical"}
    background_weight_ : float
        Share of the background; 0 without one.
    window_ : Region or None
        Where points can be seen, where its edge cuts components; under the prior "bayes".
    seen_ : (K,) array
        How much of each component lies in it. Weights are those of the whole component.
    repeats_ : float
        How many points were taken for one observation.
    n_components_ : int
        K, the components that are left.
    prior_ : Objective
        With what it has learnt: for "bayes", the numbers of points and the sizes of clusters.
    cost_ : float
        Cost of the solution, in nats per point: -(1/n) sum_i omega_i log p(x_i) + penalty; for
        "bayes" minus the bound on the log evidence.
    cost_history_ : (n_iter_ + 1,) array
        Cost at the start and after each iteration.
    n_iter_ : int
    converged_ : bool
    engine_ : str
        "fused", "keops" or "torch".
    engine_reason_ : str
        Why that engine.

    Examples
    --------
    >>> from napari_sparse_gmm.samples import spiral
    >>> points = spiral().points
    >>> model = SparseGaussianMixture(random_state=0).fit(points)
    >>> 5 < model.n_components_ < 20
    True

    The fit of the tutorial:

    >>> model = SparseGaussianMixture(30, prior="sqrt", sparsity=20, background=False)
    >>> model.fit(points).n_components_ < 30
    True
    """

    # What batches have taught it.
    _online: Online | None = None

    def __init__(
        self,
        n_components: int | None = N_COMPONENTS.default,
        *,
        prior: str | WeightPenalty | Objective = PRIOR.default,
        sparsity: float = SPARSITY.default,
        solver: str = SOLVER.default,
        background: bool | Region = BACKGROUND.default,
        smooth_background: bool = SMOOTH_BACKGROUND.default,
        covariance_type: str = COVARIANCE_TYPE.default,
        covariance_floor: float | None = COVARIANCE_FLOOR.default,
        covariance_prior: float = COVARIANCE_PRIOR.default,
        typical_size: float | None = TYPICAL_SIZE.default,
        repeats: float | None = REPEATS.default,
        init: str | ArrayLike | GaussianMixture = INIT.default,
        n_init: int = N_INIT.default,
        max_iter: int = MAX_ITER.default,
        tol: float = TOL.default,
        engine: str = ENGINE.default,
        device: str = DEVICE.default,
        n_threads: int | None = N_THREADS.default,
        warm_start: bool = False,
        storage: Storage | None = None,
        random_state: int | np.random.RandomState | None = RANDOM_STATE.default,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.sparsity = sparsity
        self.prior = prior
        self.solver = solver
        self.background = background
        self.smooth_background = smooth_background
        self.covariance_type = covariance_type
        self.covariance_floor = covariance_floor
        self.covariance_prior = covariance_prior
        self.typical_size = typical_size
        self.repeats = repeats
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.engine = engine
        self.device = device
        self.n_threads = n_threads
        self.warm_start = warm_start
        self.storage = storage
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Data,
        y: None = None,
        *,
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> "SparseGaussianMixture":
        """Fit the mixture to points.

        Parameters
        ----------
        X : (N, D) array
            Coordinates, N >= 2, in any units. What comes in chunks need not fit in memory: a Dask
            array or dataframe, an array of HDF5 or Zarr, or one that is mapped from a file.
        y : ignored
        sample_weight : (N,) array, optional
            Non-negative weight of each point; a weight of 2 is the point twice. So weights that
            are shares are to be multiplied by a number of points: the priors "bayes" and "mml"
            weigh what a component costs against how many points there are. To "sqrt" and "none"
            the sum of all weights makes no difference.
        noise_std : float, (N,) or (N, D) array, optional
            Standard deviation of the noise of all points, of each, or of each along each axis, in
            the units of X: the localization precision. Components are then the shapes without
            the noise, deconvolved (Bovy, Hogg & Roweis, Annals of Applied Statistics 5, 2011).
        checkpoints : Checkpoints, optional
            Where a fit that may be interrupted is kept, to go on from there; needs a number as
            `random_state`. See `napari_sparse_gmm.engines.checkpoints`.

        Raises
        ------
        InputError
            Where points, weights, noise or a parameter are invalid; the message says what to
            mend.

        Warns
        -----
        ConvergenceWarning
            Where `max_iter` came first. The solution so far is kept.
        """
        last = -1
        for step in self.iter_fit(
            X, sample_weight=sample_weight, noise_std=noise_std, checkpoints=checkpoints
        ):
            # Several steps may belong to one iteration; the first of them speaks.
            new, last = step.iteration != last, step.iteration
            if self.verbose and new and step.iteration % self.verbose == 0:
                print(
                    f"iteration {step.iteration:4d}  cost {step.cost:.6f}  "
                    f"{step.n_components} components"
                )
        if not self.converged_:
            warnings.warn(
                f"The fit stopped after max_iter={self.max_iter} iterations before it converged; "
                "raise max_iter or tol, or go on with warm_start=True.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def iter_fit(
        self,
        X: Data,
        y: None = None,
        *,
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> Generator[FitStep, None, None]:
        """`fit`, one step at a time.

        Yields each `FitStep`. When the generator is exhausted the estimator is fitted; closing
        it before leaves the estimator as it was. Arguments and errors are those of `fit`.
        """
        engine = self.open(X, sample_weight=sample_weight, noise_std=noise_std)
        n_dimensions = len(engine.summary.mean)
        settings = self._settings(n_dimensions)
        with self._recorded(engine, settings, checkpoints) as recorded:
            steps = fit_steps(recorded, settings)
            result = yield from step_by_step(steps, self.n_threads)
        if isinstance(X, Engine | Observations) or as_chunked(X) is not None:
            self.n_features_in_ = n_dimensions
        else:
            validate_data(self, X, skip_check_array=True)
        self._set_result(result)
        self._online = None
        self.repeats_ = engine.repeats
        self.engine_, self.engine_reason_ = engine.name, engine.reason

    @available_if(lambda self: self.solver == "mm")  # type: ignore[untyped-decorator]
    def partial_fit(
        self,
        X: Data,
        y: None = None,
        *,
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
        batch: Hashable | None = None,
    ) -> "SparseGaussianMixture":
        """Learn from one more batch of points; see `napari_sparse_gmm.fitting.online`.

        The first batch is fitted, on a background that is even; each later one costs a pass over
        its points, and may bring new components. After `fit` it begins anew. Only with the solver
        "mm".

        Parameters
        ----------
        X, sample_weight, noise_std
            As `fit` takes them.
        y : ignored
        batch : hashable, optional
            A name of this batch, where batches come again: what was learnt from it before is then
            replaced. Without names what came before is forgotten, the slower the more there was.

        Raises
        ------
        InputError
            Where some batches have names and others have none, points lie outside of a region that
            was given, or some batches have noise.
        """
        online = self._online
        if online is None:
            engine = self.open(X, sample_weight=sample_weight, noise_std=noise_std)
            first = clone(self).set_params(smooth_background=False, repeats=engine.repeats)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                first.fit(engine)
            settings = self._settings(len(engine.summary.mean))
            online = Online(
                # Weights are of what is seen: the field grows with the batches.
                reweighted(first.mixture_, first.seen_)[0],
                first.prior_,
                settings.floor(engine),
                max(settings.most(engine.summary.n_points), first.n_components_),
                noisy=engine.typical_noise is not None,
            )
            self.repeats_ = engine.repeats
            self.engine_, self.engine_reason_ = engine.name, engine.reason
            self.n_features_in_ = len(engine.summary.mean)
        else:
            own = clone(self).set_params(repeats=self.repeats_)
            engine = own.open(X, sample_weight=sample_weight, noise_std=noise_std)
            if len(engine.summary.mean) != self.n_features_in_:
                raise InputError(
                    f"X has {len(engine.summary.mean)} features, but SparseGaussianMixture is "
                    f"expecting {self.n_features_in_} features as input."
                )
        online.learn(engine, batch)
        history = [*getattr(self, "cost_history_", []), online.cost] if online.n_batches > 1 else []
        self._set_result(
            FitResult(
                online.mixture,
                online.objective,
                online.cost,
                np.array(history or [online.cost]),
                online.n_batches,
                converged=False,
            )
        )
        self._online = online
        return self

    def open(
        self,
        X: Data,
        *,
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
    ) -> Engine:
        """The engine that holds the points that are to be fitted.

        To fit them more than once, or to get the errors and the score of a fit, without ordering
        them each time: an engine may be given for X everywhere. Points of weight 0 are left out,
        and equal points are one, with their weight together.
        Arguments and errors are those of `fit`.
        """
        if isinstance(X, Engine):
            return X
        if (chunked := as_chunked(X, sample_weight, noise_std)) is not None:
            return self._open_chunked(chunked)
        if isinstance(X, Observations):
            observations = Observations.of(X, sample_weight, noise_std)
        else:
            refuse_masked(X, "X")
            with input_errors():
                points: FloatArray = check_array(
                    X, dtype=np.float64, ensure_min_samples=2, estimator=self, input_name="X"
                )
            _get_feature_names(X)  # may raise, which at the end of the fit would be too late
            weight = None if sample_weight is None else self._check_weight(sample_weight, points)
            observations = Observations(points, weight, noise_variances(noise_std, points.shape))
        observations = observations.counted
        if len(observations) < 2:
            raise InputError("sample_weight must be positive for at least 2 points.")
        _check_lengths(observations.points)
        settings = self._settings(observations.n_dimensions)
        observations = observations.distinct
        repeats = self._repeats(lambda: observations)
        observations = observations.worth(1.0 / repeats)
        self._check_total(observations.total_weight)
        with limited_threads(self.n_threads):
            engine = open_engine(observations, settings)
        engine.repeats = repeats
        return engine

    def _open_chunked(self, chunked: Chunked, repeats: float | None = None) -> Engine:
        """The engine that holds points that come in chunks, in memory where they fit in."""
        storage = Storage() if self.storage is None else self.storage
        surveyed = survey(chunked, storage.place)
        for note in surveyed.notes[:_NOTES]:
            warnings.warn(note, stacklevel=4)
        if more := len(surveyed.notes[_NOTES:]):
            warnings.warn(f"So it is in {more} more parts of the table.", stacklevel=4)
        if storage.holds(surveyed.n_points, surveyed.n_columns):
            return self.open(joined(chunked))
        if self.storage is None:
            storage = storage.of_the_client()
        _check_lengths(surveyed.box)
        settings = self._settings(chunked.n_dimensions)
        choice, how = choose_opening(
            surveyed.n_points, chunked.n_dimensions, settings, noise=surveyed.noisy
        )
        with limited_threads(self.n_threads):
            found = storage.sorted(chunked, surveyed, how)
            repeats = repeats or self._repeats(found.neighbours)
            self._check_total(surveyed.total_weight / repeats)
            engine = found.opened(1.0 / repeats, choice.reason)
        engine.repeats = repeats
        return engine

    @contextmanager
    def _recorded(
        self, engine: Engine, settings: FitSettings, checkpoints: Checkpoints | None
    ) -> Iterator[Engine]:
        """The engine, with its answers kept in checkpoints, the last ones however the fit ends."""
        if checkpoints is None:
            yield engine
            return
        if not isinstance(self.random_state, Integral):
            raise InputError(
                "A fit with checkpoints needs a number as random_state, or it could not go on as "
                f"it began; not {self.random_state!r}."
            )
        how = {name: value for name, value in vars(settings).items() if name != "rng"}
        about = {
            "points": fingerprint(engine.digest),
            "parameters": fingerprint(*sorted(how.items()), int(self.random_state), engine.repeats),
            "engine": engine.name,
            "version": version("napari-sparse-gmm"),
        }
        journal = Journal(checkpoints, about)
        try:
            yield Recorded(engine, journal)
        finally:
            journal.write()

    def _repeats(self, neighbours: Callable[[], Observations]) -> float:
        """How many points are one observation; read off those that are neighbours, where it is."""
        if self.repeats is not None:
            return float(self.repeats)
        return estimate_repeats(neighbours()) if declaration_of(self.prior).counts else 1.0

    def fit_predict(
        self,
        X: Data,
        y: None = None,
        *,
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
    ) -> NDArray[np.intp]:
        """Fit, and return the label of each point, (N,); see `predict`."""
        fitted = self.fit(X, sample_weight=sample_weight, noise_std=noise_std)
        return fitted.predict(X, noise_std=noise_std)

    def predict(self, X: Data, *, noise_std: ArrayLike | None = None) -> NDArray[np.intp]:
        """Index of the most probable component of each point, (N,); -1 is the background.

        Of a Dask array or dataframe it is a lazy Dask array. `noise_std` is what `fit` takes, here
        and in what follows: the noise of these points.
        """
        if (chunked := as_chunked(X, None, noise_std)) is not None:
            return mapped(partial(_labels, self._alone()), X, chunked)
        return self._assigned(X, noise_std).component

    def predict_proba(
        self, X: "ArrayLike | Observations", *, noise_std: ArrayLike | None = None
    ) -> FloatArray:
        """Probability of each component, (N, K), or (N, K + 1) with the background last."""
        observations = self._observations(X, noise_std=noise_std)
        shares = self.mixture_.responsibilities(
            observations.points, noise_std=observations.noise_std
        )
        rows, behind = self.mixture_.beyond(observations.points)
        if len(rows):
            own = self.mixture_.log_density(
                observations.points[rows], noise_std=observations.subset(rows).noise_std
            )
            shares[rows] *= np.exp(own - np.logaddexp(own, behind))[:, None]
            shares[rows, -1] = np.exp(behind - np.logaddexp(own, behind))
        return shares

    def score_samples(self, X: Data, *, noise_std: ArrayLike | None = None) -> FloatArray:
        """Natural log of the density at each point, per data unit^D, (N,).

        A background without a region of its own fills the bounding box of the fitted points. How
        far it really reaches is not known, and its density falls off outside; see
        `GaussianMixture.beyond`.
        """
        if (chunked := as_chunked(X, None, noise_std)) is not None:
            return mapped(partial(_log_densities, self._alone()), X, chunked)
        return self._assigned(X, noise_std).log_density

    def score(self, X: Data, y: None = None, *, noise_std: ArrayLike | None = None) -> float:
        """Mean of `score_samples`."""
        scores, total = self._scores(X, noise_std)
        return scores.log_likelihood / total

    def sample(self, n: int = 1) -> tuple[FloatArray, NDArray[np.intp]]:
        """Draw points (n, D) and the component of each, (n,); -1 is the background."""
        check_is_fitted(self)
        seed = check_random_state(self.random_state).randint(2**31)
        return self.mixture_.sample(n, seed)

    def sparsity_path(
        self,
        X: Data,
        sparsities: Sequence[float] = SPARSITIES,
        *,
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
        X_held_out: Data | None = None,
        noise_std_held_out: ArrayLike | None = None,
    ) -> SparsityPath:
        """The solutions of the prior "sqrt" for rising s, each started from the one before.

        With their numbers of components, costs, BIC, ICL and the density of held-out points, and
        which one to take. The estimator is left as it is; see `napari_sparse_gmm.path`.
        """
        points = iter_path(
            self,
            X,
            sparsities,
            sample_weight=sample_weight,
            noise_std=noise_std,
            X_held_out=X_held_out,
            noise_std_held_out=noise_std_held_out,
        )
        return SparsityPath(tuple(point for point in points if isinstance(point, PathPoint)))

    def criteria(
        self,
        X: Data,
        *,
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
    ) -> tuple[float, float]:
        """BIC and ICL on X; see `napari_sparse_gmm.path.PathPoint`."""
        scores, total = self._scores(X, noise_std, sample_weight)
        bic = -2 * scores.log_likelihood + self._n_free() * np.log(total)
        return bic, bic - 2 * scores.log_certainty

    def bic(self, X: Data, *, noise_std: ArrayLike | None = None) -> float:
        """Bayesian information criterion on X; the lower the better."""
        return self.criteria(X, noise_std=noise_std)[0]

    def aic(self, X: Data, *, noise_std: ArrayLike | None = None) -> float:
        """Akaike information criterion on X; the lower the better."""
        scores, _ = self._scores(X, noise_std)
        return -2 * scores.log_likelihood + 2 * self._n_free()

    def standard_errors(
        self,
        X: Data,
        *,
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
    ) -> StandardErrors:
        """How well the points that were fitted determine each component.

        Of `weights_`, `means_` and the standard deviations along the axes of each component. Takes
        what `fit` took; see `napari_sparse_gmm.uncertainty`.
        """
        engine = self._opened(X, noise_std, sample_weight)
        with limited_threads(self.n_threads):
            counts = engine.summary.total_weight * self.weights_
            known, _ = self.prior_.pseudo_points(counts, self.covariances_)
            return standard_errors(
                self.mixture_,
                engine,
                # Where it counts, no more than the points themselves.
                pseudo_points=np.clip(known, 0.0, counts),
                covariance_type=self.prior_.covariance_type,
            )

    def evidence(
        self,
        X: Data,
        *,
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
    ) -> Evidence | None:
        """How sure it is that each component is a cluster, and that there are clusters at all.

        log10 of Bayes factors, under the prior "bayes"; None under the others. Takes what `fit`
        took; see `napari_sparse_gmm.evidence`.
        """
        engine = self._opened(X, noise_std, sample_weight)
        with limited_threads(self.n_threads):
            return evidence(self.mixture_, self.prior_, engine, self.window_)

    @property
    def share_seen_(self) -> float:
        """How many of all points are seen, by the fit: 1 where no edge cuts a component."""
        return self.background_weight_ + float(self.weights_ @ self.seen_)

    def _n_free(self) -> int:
        """Free parameters: means, covariances and weights, of which the last is given."""
        k, d = self.means_.shape
        order = self.prior_.covariance_type.order(d)
        return k * (d + order * (order + 1) // 2) + k - 1 + (self.background_weight_ > 0)

    def _scores(
        self, X: Data, noise_std: ArrayLike | None, sample_weight: ArrayLike | None = None
    ) -> tuple[Scores, float]:
        """Sums over points, and their total weight."""
        if isinstance(X, Engine):
            return X.scores(self.mixture_), X.summary.total_weight
        if (chunked := as_chunked(X, sample_weight, noise_std)) is not None:
            found = [self._scores(chunk, None) for chunk in chunked]
            return Scores.joining([scores for scores, _ in found]), sum(n for _, n in found)
        observations = self._observations(X, sample_weight=sample_weight, noise_std=noise_std)
        observations = observations.worth(1.0 / self.repeats_)
        scores = self._assigned(observations, None).scores(observations.weights)
        return scores, observations.total_weight

    def _assigned(self, X: Data, noise_std: ArrayLike | None) -> Assignment:
        if isinstance(X, Engine):
            return X.assign(self.mixture_)
        observations = self._observations(X, noise_std=noise_std)
        if not len(observations):  # as a chunk may be
            return Assignment(np.empty(0, dtype=np.intp), np.empty(0), np.empty(0))
        found = self._opened(observations, None).assign(self.mixture_)
        return found.with_background_beyond(self.mixture_, observations.points)

    def _opened(
        self,
        X: Data,
        noise_std: ArrayLike | None,
        sample_weight: ArrayLike | None = None,
    ) -> Engine:
        """What answers questions about points: an engine as in the fit, in double precision."""
        check_is_fitted(self)
        if isinstance(X, Engine):
            return X
        if (chunked := as_chunked(X, sample_weight, noise_std)) is not None:
            return self._open_chunked(chunked, self.repeats_)
        observations = self._observations(X, sample_weight=sample_weight, noise_std=noise_std)
        choice = choose_engine(
            self.engine_,
            self.device,
            n_dimensions=observations.n_dimensions,
            noise=observations.noise is not None,
        )
        with limited_threads(self.n_threads):
            engine = choice.open(
                observations.worth(1.0 / self.repeats_),
                n_components=self.n_components_,
                exact=True,
            )
        engine.repeats = self.repeats_
        return engine

    def _observations(
        self,
        X: Data,
        *,
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
    ) -> Observations:
        check_is_fitted(self)
        if isinstance(X, Observations):
            return Observations.of(X, sample_weight, noise_std)
        refuse_masked(X, "X")
        with input_errors():
            points = validate_data(self, X, dtype=np.float64, reset=False)
        weight = None if sample_weight is None else self._check_weight(sample_weight, points)
        return Observations(points, weight, noise_variances(noise_std, points.shape))

    def _alone(self) -> "SparseGaussianMixture":
        """A copy that can be sent to other machines."""
        check_is_fitted(self)
        own = copy(self)
        own.storage = own._online = None
        return own

    def _check_weight(self, sample_weight: ArrayLike, X: FloatArray) -> FloatArray:
        refuse_masked(sample_weight, "sample_weight")
        with input_errors():
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if (weight < 0).any():
            raise InputError(
                f"sample_weight must not be negative; {int((weight < 0).sum())} of "
                f"{len(weight)} weights are."
            )
        if np.count_nonzero(weight) < 2:
            raise InputError("sample_weight must be positive for at least 2 points.")
        if weight.max() > LARGEST:
            raise InputError(f"sample_weight must be at most {LARGEST:g}, not {weight.max():g}.")
        return weight

    def _check_total(self, total: float) -> None:
        """Raise an InputError where weights cannot be meant as how often points count.

        They are not brought to a sum that can: what is found would jump where the sum of some
        weights passes from shares to counts, and how many points shares stand for is not known
        here.
        """
        if declaration_of(self.prior).counts and total < 2.0 - 1e-6:
            prior = self.prior if isinstance(self.prior, str) else type(self.prior).__name__
            raise InputError(
                f"sample_weight says how often each point counts, and prior={prior!r} needs 2 "
                f"points or more; the weights sum to {total:.3g}. Where they are shares, multiply "
                "them by the number of points that they stand for; where `repeats` is large, lower "
                "it."
            )

    def _settings(self, n_dimensions: int) -> FitSettings:
        for parameter in _NUMBERS:
            parameter.check(getattr(self, parameter.name))
        if self.solver not in SOLVERS:
            raise InputError(f"solver must be one of {SOLVER.choices}, not {self.solver!r}.")
        values = {f.name: getattr(self, f.name) for f in fields(FitSettings) if f.name != "rng"}
        values["background"] = as_background(self.background)
        if self.warm_start and hasattr(self, "mixture_"):
            values["init"] = self.mixture_
            if isinstance(self.prior_, Kinds) and self.prior == "bayes":
                values["prior"] = self.prior_  # which steps from one kind do not come to
        elif not isinstance(self.init, str | GaussianMixture):
            means = float_array(self.init, "init")
            right = means.ndim == 2 and means.shape[1] == n_dimensions and len(means) > 0
            if not right or not np.isfinite(means).all():
                raise InputError(
                    f"init must be finite means of shape (M, {n_dimensions}), not {means.shape}."
                )
            # Components that start alike stay alike: they would be one, that many times.
            values["init"] = means[np.sort(np.unique(means, axis=0, return_index=True)[1])]
        with input_errors():
            seed = check_random_state(self.random_state).randint(2**31)
        return FitSettings(**values, rng=np.random.default_rng(seed))

    def _set_result(self, result: FitResult) -> None:
        mixture = result.mixture
        self.mixture_ = mixture
        self.weights_ = mixture.weights
        self.means_ = mixture.means
        self.covariances_ = mixture.covariances
        self.background_weight_ = mixture.background_weight
        self.n_components_ = mixture.n_components
        self.window_ = result.window
        self.seen_ = np.ones(mixture.n_components) if result.seen is None else result.seen
        self.prior_ = result.objective
        self.covariance_type_ = result.objective.covariance_type.name
        self.cost_ = result.cost
        self.cost_history_ = result.cost_history
        self.n_iter_ = result.n_iter
        self.converged_ = result.converged


def _labels(model: SparseGaussianMixture, points: Observations) -> NDArray[np.intp]:
    return model.predict(points)


def _log_densities(model: SparseGaussianMixture, points: Observations) -> FloatArray:
    return model.score_samples(points)


def _check_lengths(points: FloatArray) -> None:
    """Raise an InputError where the lengths of points are out of range."""
    lower, upper = points.min(), points.max()
    if max(-lower, upper) > LARGEST:
        raise InputError(
            f"X has coordinates from {lower:.3g} to {upper:.3g}, and they may be as large as "
            f"{LARGEST:g}: give them in a larger unit."
        )
    side = float(np.ptp(bounds(points), axis=0).max())
    if 0 < side < SMALLEST:
        raise InputError(
            f"X has points within {side:.3g}, and they may be as near each other as {SMALLEST:g}: "
            "give them in a smaller unit."
        )
