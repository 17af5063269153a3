"""What stands in for the slow and the asynchronous: a fit, and a worker without a thread."""

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import numpy as np
from psygnal import Signal

from napari_sparse_gmm import FitStep, GaussianMixture
from napari_sparse_gmm.density_model import DensityModel, Groups, Part
from napari_sparse_gmm.engines import Engine, TorchTiles
from napari_sparse_gmm.engines.ready import Waiting
from napari_sparse_gmm.evidence import Evidence
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.space.model_frame import model_in
from napari_sparse_gmm.plugin.tasks.task import FitFailed
from napari_sparse_gmm.uncertainty import StandardErrors

DATA = np.random.default_rng(0).uniform(0, 100, (60, 2))


def fit(widget: Any, workers: "list[HandWorker]") -> None:
    """Click Run, and let the fit end."""
    widget.run_button.native.click()
    workers[-1].finish()


def model_of(
    *mixtures: GaussianMixture | None,
    frame: Frame | None = None,
    n_points: int = 100,
    converged: bool = True,
    **parameters: Any,
) -> DensityModel:
    """What a fit found in groups of so many points, in a frame or anywhere: these mixtures."""
    parts = [mixture and _part(mixture, n_points, converged) for mixture in mixtures]
    made = {
        "source": "L",
        "parameters": parameters,
        "engine_reason": "Because.",
        "left_out": {"hidden": 3},
    }
    if frame is not None:
        return model_in(frame, parts, **made)
    d = next(mixture.n_dimensions for mixture in mixtures if mixture is not None)
    groups = None if len(parts) == 1 else Groups("t", np.arange(len(parts)))
    axes = ("z", "y", "x")[-d:]
    return DensityModel(tuple(parts), axes, None, groups=groups, provenance=made)


def _part(mixture: GaussianMixture, n_points: int, converged: bool) -> Part:
    k, d = mixture.means.shape
    errors = StandardErrors(np.full(k, 0.01), np.full((k, d), 2.0), np.full((k, d), 0.5))
    return Part(mixture, errors, n_points, float(n_points), 3.25, 1, converged)


@dataclass
class FakeFit:
    """A stand-in for `SparseGaussianMixture`: takes no time, or as long as a test wants.

    After `n_steps` it is fitted to `components` equal round components on a diagonal of the
    points' box; where `error` is set, it raises that after the first step.
    """

    n_steps: int = 5
    components: int = 3
    converged: bool = True
    error: Exception | None = None
    endless: bool = False
    still: float = np.inf  # from which iteration on the cost stays
    on_step: Callable[[int], None] = lambda iteration: None
    parameters: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False
    weights: list[np.ndarray | None] = field(default_factory=list)
    noise: list[np.ndarray | None] = field(default_factory=list)

    background: bool = False
    init: Any = "kmeans++"
    tol: float = 1e-6
    starts: list[Any] = field(default_factory=list)  # what each fit was to start from

    def __sklearn_clone__(self) -> "FakeFit":
        return self

    def set_params(self, **parameters: Any) -> "FakeFit":
        if "init" in parameters:
            self.starts.append(parameters["init"])
        return self

    def __call__(self, **parameters: Any) -> "FakeFit":
        self.parameters.append(parameters)
        return self

    def open(self, observations: Observations) -> Engine:
        self.weights.append(observations.weights)
        self.noise.append(observations.noise_std)
        engine = TorchTiles(observations)
        engine.name, engine.reason = "fake", "A fake, for the tests."
        return engine

    def iter_fit(self, engine: Engine) -> Iterator[FitStep]:
        low, high = engine.summary.box
        k = self.components
        share = (np.arange(k) + 0.5)[:, None] / max(k, 1)
        weights = np.linspace(1.0, 2.0, k)
        self.mixture_ = GaussianMixture(
            weights / weights.sum(),
            low + share * (high - low),
            np.tile(np.diag(((high - low) / 20.0) ** 2), (k, 1, 1)),
        )
        iteration = 0
        try:
            while self.endless or iteration <= self.n_steps:
                yield FitStep(iteration, 9.0 - min(iteration, self.still), self.mixture_)
                iteration += 1
                self.on_step(iteration)
                if self.error is not None:
                    raise self.error
                if self.endless:
                    time.sleep(0.002)
        finally:
            self.closed = True
        self.seen_, self.share_seen_ = np.ones(k), 1.0
        self.cost_ = 4.0
        self.n_iter_ = self.n_steps
        self.converged_ = self.converged
        self.engine_, self.engine_reason_ = engine.name, engine.reason

    def score(self, engine: Engine) -> float:
        return engine.scores(self.mixture_).log_likelihood / engine.summary.total_weight

    def evidence(self, engine: Engine) -> Evidence | None:
        if self.parameters[-1]["prior"] != "bayes":
            return None
        k = self.mixture_.n_components
        return Evidence(np.full(k, 3.0), 20.0, np.zeros(k, dtype=np.intp), np.ones(k))

    def standard_errors(self, engine: Engine) -> StandardErrors:
        k, d = self.mixture_.means.shape
        return StandardErrors(np.full(k, 0.01), np.full((k, d), 2.0), np.full((k, d), 0.5))


@dataclass
class SlowKeOps:
    """A stand-in for `preparation`: `n_waits` times, or for ever, KeOps is not ready yet."""

    n_waits: float = 3
    sentence: str = "Compiling KeOps kernels for 2D points, first time only"
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    closed: bool = False
    weights: list[np.ndarray | None] = field(default_factory=list)

    def __call__(
        self, engine: str, device: str, *, n_dimensions: int, noise: bool
    ) -> Generator[Waiting, None, None]:
        self.asked.append((engine, device, n_dimensions))
        waited = 0
        try:
            while waited < self.n_waits:
                yield Waiting(self.sentence if waited else "", float(waited))
                waited += 1
                time.sleep(0.002)
        finally:
            self.closed = True


class HandWorker:
    """napari's generator worker, moved on by hand; the same signals in the same order."""

    yielded = Signal(object)
    returned = Signal(object)
    errored = Signal(object)
    finished = Signal()

    def __init__(self, work: Generator[Any, None, Any]) -> None:
        self.work = work
        self.abort_requested = False
        self.done = False

    def start(self) -> None:
        pass

    def quit(self) -> None:
        self.abort_requested = True

    def step(self, n_steps: int) -> None:
        for _ in range(n_steps):
            self.yielded.emit(next(self.work))

    def to_the_end(self) -> None:
        """All that is left."""
        while not self.done:
            self.go_on()

    def go_on(self) -> None:
        """One step, or the end."""
        try:
            self.step(0 if self.abort_requested else 1)
        except StopIteration as stop:
            self.done = True
            self.returned.emit(stop.value)
            self.finished.emit()
        except FitFailed as error:
            self.done = True
            self.errored.emit(error)
            self.finished.emit()
        else:
            if self.abort_requested:
                self.finish()

    def result(self) -> Any:
        """Run to the end, silently."""
        while True:
            try:
                next(self.work)
            except StopIteration as stop:
                return stop.value

    def finish(self) -> None:
        """Run to the end, or to where a request to quit is seen."""
        self.done = True
        if not self.abort_requested:
            try:
                result = self.result()
            except FitFailed as error:
                self.errored.emit(error)
            else:
                self.returned.emit(result)
        self.finished.emit()


class HandClock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._n = 0

    def now(self) -> float:
        return self.time

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        self._n += 1
        self._later.append((self.time + seconds, self._n, call))

    def wait(self, event: Event, seconds: float) -> None:
        """No other thread draws meanwhile."""

    def let_pass(self, seconds: float) -> None:
        until = self.time + seconds
        while self._later and min(self._later)[0] <= until:
            at, _, call = min(self._later)
            self._later.remove(min(self._later))
            self.time = max(self.time, at)
            call()
        self.time = max(self.time, until)
