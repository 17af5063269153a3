"""One iteration of EM: scikit-learn and gmmx against each engine.

The same mixture on the same points, once with separate clusters and once with components that
all overlap, where nothing can be skipped. An iteration is an expectation and a maximisation.
Of scikit-learn these two steps are timed alone, with as many threads as suit it; of gmmx (JAX,
single precision) a fit of one iteration, after it has been compiled.

    python benchmarks/peers.py
"""

import os
from collections.abc import Iterator

from fits import engines
from report import Entry, Options, Row, main
from simulations import Simulation, clusters, crowd
from sklearn.mixture import GaussianMixture as SklearnMixture
from threadpoolctl import threadpool_limits
from timing import Call, medians, readable

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.engines import Engine, Statistics, choose_engine
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.observations import Observations

SHAPES = [(1_000_000, 30), (100_000, 300)]
QUICK_SHAPES = [(20_000, 30), (5_000, 100)]
ASKED = 20.0


def measure(options: Options) -> Iterator[Entry]:
    for n_points, n_components in QUICK_SHAPES if options.quick else SHAPES:
        for d in (2, 3):
            for name, simulated in (
                ("separate", clusters(n_points, n_components, d, background=0.0)),
                ("overlapping", crowd(n_points, n_components, d)),
            ):
                what = f"N = {n_points:,}, M = {n_components}, {d}D, {name}"
                yield from _compare(what, simulated, options)


def _compare(what: str, simulated: Simulation, options: Options) -> Iterator[Row]:
    points, truth = simulated.points, simulated.truth
    calls = sklearn_iterations(points, truth)
    ways = list(calls)
    calls["gmmx"] = _gmmx_iteration(points, truth)
    for name in engines(options.device):
        choice = choose_engine(name, options.device, n_dimensions=truth.n_dimensions)
        engine = choice.open(Observations(points), n_components=truth.n_components)
        calls[name] = _iteration(engine, truth)
    times = medians(calls, 3)
    times["scikit-learn"] = min(times[way] for way in ways)
    for name in engines(options.device):
        for peer in ("scikit-learn", "gmmx"):
            ratio = times[peer] / times[name]
            yield Row(
                f"{what}: {name} against {peer}",
                f"{ratio:.1f} times faster ({readable(times[name])}, {readable(times[peer])})",
                f"at least {ASKED:.0f} times",
                ratio >= ASKED,
            )


def _iteration(engine: Engine, mixture: GaussianMixture) -> Call:
    return lambda: maximised(mixture, engine.expectation(mixture))


def maximised(mixture: GaussianMixture, statistics: Statistics) -> GaussianMixture:
    """The mixture of largest likelihood, given what is expected: the M-step of EM."""
    counts = statistics.counts
    shifts = statistics.shifts / counts[:, None]
    covariances = statistics.scatters / counts[:, None, None]
    covariances -= shifts[:, :, None] * shifts[:, None, :]
    return GaussianMixture(counts / counts.sum(), mixture.means + shifts, covariances)


def sklearn_mixture(mixture: GaussianMixture) -> SklearnMixture:
    """A mixture as scikit-learn's, its background left out."""
    model = SklearnMixture(mixture.n_components)
    model.weights_ = mixture.weights / mixture.weights.sum()
    model.means_, model.covariances_ = mixture.means, mixture.covariances
    model.precisions_cholesky_ = mixture.precision_factors
    return model


def sklearn_iterations(points: FloatArray, mixture: GaussianMixture) -> dict[str, Call]:
    """An E-step and an M-step of scikit-learn, from a mixture without its background.

    With all threads, and with one: its matrices are so narrow that threads can be in each
    other's way. The faster of the two counts.
    """
    model = sklearn_mixture(mixture)

    # Not `fit`, which adds a second E-step and checks, and so would look slower than it is.
    def iteration() -> None:
        _, log_responsibilities = model._e_step(points)
        model._m_step(points, log_responsibilities)

    def with_one_thread() -> None:
        with threadpool_limits(1):
            iteration()

    return {"all threads": iteration, "one thread": with_one_thread}


def whole_sklearn_iteration(points: FloatArray, mixture: GaussianMixture) -> float:
    """Seconds of an iteration with all of thousands of components, whose table of
    responsibilities would not fit in memory: the difference between 50 and 25 of them, scaled.
    """
    few, some = 25, 50
    taken = {}
    for n in (few, some):
        part = GaussianMixture(
            mixture.weights[:n] / mixture.weights[:n].sum(),
            mixture.means[:n],
            mixture.covariances[:n],
        )
        taken[n] = min(medians(sklearn_iterations(points, part), 3, warm=False).values())
    each = (taken[some] - taken[few]) / (some - few)
    return taken[some] + each * (mixture.n_components - some)


def _gmmx_iteration(points: FloatArray, mixture: GaussianMixture) -> Call:
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import jax.numpy as jnp
    from gmmx import EMFitter, GaussianMixtureModelJax

    model = GaussianMixtureModelJax.from_squeezed(
        means=jnp.asarray(mixture.means, jnp.float32),
        covariances=jnp.asarray(mixture.covariances, jnp.float32),
        weights=jnp.asarray(mixture.weights, jnp.float32),
    )
    fitter = EMFitter(max_iter=1)
    x = jnp.asarray(points, jnp.float32)
    # JAX goes on computing after it has returned.
    return lambda: jax.block_until_ready(fitter.fit(x, model))


if __name__ == "__main__":
    main(measure)
