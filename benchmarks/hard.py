"""Fields that are harder than separate clusters of one shape: quality and time.

A million points in each. Quality is the mean log-likelihood against EM that starts at the truth:
40 iterations, no prior. Time is that of the separate field of `large.py`, fitted
before all others, by the engine that is taken by itself: all end at the same cost (`large.py`).

    python benchmarks/hard.py
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from fits import engines, quiet_fit, warm_up, whole_fit
from likelihood import mean_log_likelihood
from report import Entry, Options, Row, main
from simulations import BACKGROUND, N_CLUSTERS, SIDE, Simulation, clusters
from timing import readable

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture

N_POINTS, SHRUNK = 1_000_000, 50
EM_ITERATIONS = 40
LOSS = 0.005  # nats per point
LONGER = 5.0


@dataclass(frozen=True)
class Case:
    """How a field differs from the separate one."""

    name: str
    n_clusters: int = N_CLUSTERS
    side: float = SIDE
    background: float = BACKGROUND
    aspect: float = 1.0

    def simulated(self, *, quick: bool) -> Simulation:
        """The field; `quick` takes a piece of it, at most 40 clusters."""
        if not quick:
            return clusters(
                N_POINTS,
                self.n_clusters,
                side=self.side,
                background=self.background,
                aspect=self.aspect,
            )
        n_clusters = min(self.n_clusters, N_CLUSTERS // SHRUNK)
        return clusters(
            N_POINTS // SHRUNK,
            n_clusters,
            side=self.side * (n_clusters / self.n_clusters) ** 0.5,
            background=self.background,
            aspect=self.aspect,
        )


CASES = (
    Case("10 dense clusters", n_clusters=10),
    Case("100 dense clusters", n_clusters=100),
    Case("crowded: 20 µm", side=20_000.0),
    Case("crowded: 10 µm", side=10_000.0),
    Case("crowded: 5 µm", side=5_000.0),
    Case("no background", background=0.0),
    Case("80% background", background=0.8),
    Case("95% background", background=0.95),
    Case("aspect ratios to 20", aspect=20.0),
    Case("aspect ratios to 20 in 20 µm", aspect=20.0, side=20_000.0),
)


def measure(options: Options) -> Iterator[Entry]:
    separate = Case("separate").simulated(quick=options.quick)
    alone = {}
    for engine in engines(options.device)[:1]:
        warm_up(engine, options.device, 2)
        alone[engine] = _fit(separate, engine, options)[1]
        yield Row(f"separate clusters, {engine}", readable(alone[engine]))
    for case in CASES:
        simulated = case.simulated(quick=options.quick)
        best = mean_log_likelihood(_em_from_truth(simulated, options), simulated.points)
        for engine in engines(options.device)[:1]:
            what = f"{case.name}, {engine}"
            yield from _compare(what, engine, simulated, alone[engine], best, options)


def _fit(
    simulated: Simulation, engine: str, options: Options
) -> tuple[SparseGaussianMixture, float]:
    """The fitted model, and seconds."""
    start = time.perf_counter()
    n = simulated.truth.n_components
    model = whole_fit(simulated.points, n, engine, options.device)
    return model, time.perf_counter() - start


def _compare(
    what: str,
    engine: str,
    simulated: Simulation,
    alone: float,
    best: float,
    options: Options,
) -> Iterator[Row]:
    model, duration = _fit(simulated, engine, options)
    level = mean_log_likelihood(model.mixture_, simulated.points)
    yield Row(
        f"{what}: mean log-likelihood above that of EM from the truth",
        f"{level - best:+.5f}",
        f"at least -{LOSS}",
        level >= best - LOSS,
    )
    ratio = duration / alone
    yield Row(
        f"{what}: time",
        f"{ratio:.2f} times that of separate clusters ({readable(duration)})",
        f"at most {LONGER:.0f} times",
        ratio <= LONGER,
    )
    yield Row(
        f"{what}: components" + ("" if model.converged_ else ", not converged"),
        f"{model.n_components_} of {simulated.truth.n_components} clusters",
    )


def _em_from_truth(simulated: Simulation, options: Options) -> GaussianMixture:
    model = SparseGaussianMixture(
        simulated.truth.n_components,
        prior="none",
        background=True,
        init=simulated.truth,
        max_iter=EM_ITERATIONS,
        engine="torch",
        device=options.device,
        random_state=0,
    )
    return quiet_fit(model, simulated.points).mixture_


if __name__ == "__main__":
    main(measure)
