"""The core in figures: the compiled pass, whole fits, and how soon a fit can be stopped.

Fields are those of `simulations.py`, fits those of `fits.py`. A prototype of the same fit, written
for speed alone, is timed in turn with ours where its folder is given: a module `large_fit` with
`fit(x, kernel="numba", verbose=False)` that returns the mixture, its likelihood and its seconds.
What a cancelled fit of ten million points makes its user wait is the longest time between two of
its steps, opening the engine included.

    PROTOTYPE=folder python benchmarks/core.py
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from fits import quiet_fit, warm_up, whole_fit
from memory import peak
from peers import whole_sklearn_iteration
from report import Entry, Options, Row, main
from simulations import clusters, crowd
from timing import Call, medians, readable, seconds

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.engines import Engine, choose_engine
from napari_sparse_gmm.engines.threads import limited_threads
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.observations import Observations

PIECE = 1 << 17  # numbers that stay in the cache


def measure(options: Options) -> Iterator[Entry]:
    for part in (dense, sparse, noise, whole, bayes, overhead, large):
        yield from part(options.quick)


def opened(
    points: FloatArray, n_components: int, name: str = "fused", variances: FloatArray | None = None
) -> Engine:
    choice = choose_engine(name, "cpu", n_dimensions=points.shape[1], noise=variances is not None)
    return choice.open(Observations(points, None, variances), n_components=n_components)


def with_one_thread(call: Call) -> Call:
    def limited() -> None:
        with limited_threads(1):
            call()

    return limited


def dense(quick: bool) -> Iterator[Row]:
    """E and M of a pair, one thread each, against `torch.exp` in the cache."""
    for n, m in ((20_000, 30),) if quick else ((1_000_000, 30), (100_000, 300)):
        simulated = crowd(n, m, 2)
        numbers, out = -torch.rand(PIECE), torch.empty(PIECE)
        repeats = max(1, n * m // PIECE)

        def exponentials(numbers: torch.Tensor = numbers, times: int = repeats) -> None:
            for _ in range(times):
                torch.exp(numbers, out=out)  # noqa: B023

        calls: dict[str, Call] = {"torch.exp": with_one_thread(exponentials)}
        for name in ("fused", "keops", "torch"):
            engine = opened(simulated.points, m, name)
            calls[name] = with_one_thread(partial(engine.expectation, simulated.truth))
        times = medians(calls, 5)
        floor = times.pop("torch.exp") / (repeats * PIECE)
        for name, taken in times.items():
            ratio = taken / (n * m) / floor
            asked = {"fused": 4.0, "keops": 4.0 * times["fused"] / (n * m) / floor}.get(name)
            yield Row(
                f"E and M of a pair, 2D, N = {n:,}, M = {m}: {name} against torch.exp",
                f"{ratio:.2f} times ({1e9 * taken / (n * m):.2f} ns, {1e9 * floor:.2f} ns)",
                f"at most {asked:.1f} times" if asked else "",
                ratio <= asked if asked else None,
            )


def sparse(quick: bool) -> Iterator[Row]:
    """A pass over separate clusters, its pattern included."""
    n, m = (50_000, 100) if quick else (1_000_000, 2000)
    simulated = clusters(n, m)
    engines = {name: opened(simulated.points, m, name) for name in ("fused", "torch", "keops")}
    calls: dict[str, Call] = {
        name: partial(engine.expectation, simulated.truth) for name, engine in engines.items()
    }
    calls["fused, one thread"] = with_one_thread(calls["fused"])
    for name, taken in medians(calls, 7).items():
        asked = name.startswith("fused")
        yield Row(
            f"pass over {n:,} points, {m} separate clusters, with its pattern: {name}",
            readable(taken),
            "at most 12 ms; better, 8 ms" if asked else "",
            taken <= 0.012 if asked else None,
        )


def noise(quick: bool) -> Iterator[Row]:
    """A pass over points with noise of their own, against the same without."""
    n, m = (50_000, 100) if quick else (1_000_000, 2000)
    for d in (2, 3):
        simulated = clusters(n, m, d)
        variances = np.random.default_rng(0).uniform(25.0, 400.0, simulated.points.shape)
        times = medians(
            {
                "with": partial(
                    opened(simulated.points, m, variances=variances).expectation, simulated.truth
                ),
                "without": partial(opened(simulated.points, m).expectation, simulated.truth),
            },
            7,
        )
        ratio = times["with"] / times["without"]
        yield Row(
            f"pass with noise against one without, {d}D",
            f"{ratio:.2f} times ({readable(times['with'])}, {readable(times['without'])})",
            "at most 2.5 times; better, 1.5",
            ratio <= 2.5,
        )


def whole(quick: bool) -> Iterator[Row]:
    """A whole fit, against the prototype and against an iteration of scikit-learn."""
    n, m = (40_000, 40) if quick else (1_000_000, 2000)
    simulated = clusters(n, m)
    points = simulated.points
    for start in ("density", "auto"):
        warm_up("fused", "cpu", 2)
        calls: dict[str, Call] = {"ours": partial(_mml, points, m, start)}
        prototype = _prototype(points)
        if prototype is not None and start == "density":
            calls["prototype"] = prototype
        times = medians(calls, 3)
        yield Row(
            f'fit of {n:,} points, {m} clusters, prior="mml", init="{start}"',
            readable(times["ours"]),
        )
        if "prototype" in times:
            ratio = times["ours"] / times["prototype"]
            yield Row(
                "the same against the prototype",
                f"{ratio:.2f} times ({readable(times['prototype'])})",
                "at most 2 times; better, 1",
                ratio <= 2.0,
            )
        if start == "density":
            iteration = whole_sklearn_iteration(points, simulated.truth)
            share = times["ours"] / iteration
            yield Row(
                "the same against one iteration of scikit-learn",
                f"1/{1 / share:.0f} ({readable(iteration)})",
                "at most 1/120; better, 1/250",
                share <= 1 / 120,
            )
    dense_points = _dense_clusters()
    found: list[SparseGaussianMixture] = []

    def default() -> None:
        model = SparseGaussianMixture(200, prior="mml", background=True, random_state=0)
        found.append(quiet_fit(model, dense_points))

    taken = seconds(default)
    yield Row(
        '10 dense clusters and a fifth of background, SparseGaussianMixture(200, prior="mml", '
        "background=True)",
        f"{found[0].n_components_} components, {readable(taken)}",
        "10 components",
        found[0].n_components_ == 10,
    )


def bayes(quick: bool) -> Iterator[Row]:
    """`prior="bayes"`, its default start."""
    cases = [(600, 12, 200, 0.26), (100_000, 2000, 4000, 5.6), (1_000_000, 2000, 4000, 14.6)]
    for n, m, most, asked in cases[:1] if quick else cases:
        points = clusters(n, m).points
        model = SparseGaussianMixture(most, prior="bayes", background=True, random_state=0)
        repeats = 3 if n < 10_000 else 1
        taken = medians({"fit": partial(quiet_fit, model, points)}, repeats, warm=n < 10_000)["fit"]
        yield Row(
            f'fit of {n:,} points, {m} clusters, prior="bayes"',
            f"{readable(taken)}, {model.n_components_} components, {model.n_iter_} iterations",
            f"at most {asked:g} s, a fifth of before; better, a tenth",
            taken <= asked,
        )


def overhead(quick: bool) -> Iterator[Row]:
    """As few points for as many components: what is not the pass."""
    n, m = (2000, 200) if quick else (10_000, 2000)
    taken = medians({"fit": partial(_mml, clusters(n, m).points, m, "density")}, 3)["fit"]
    yield Row(
        f'fit of {n:,} points, {m} clusters, prior="mml"',
        readable(taken),
        "at most 0.5 s; better, 0.2 s",
        taken <= 0.5,
    )


def large(quick: bool) -> Iterator[Row]:
    """Ten million points: time, memory, and the longest time without a step."""
    n, m = (100_000, 100) if quick else (10_000_000, 2000)
    simulated = clusters(n, m)
    settings = {"n_components": 2 * m, "prior": "mml", "background": True, "init": "density"}
    model = SparseGaussianMixture(**settings, random_state=0)  # type: ignore[arg-type]
    memory = peak(simulated, settings | {"random_state": 0, "engine": "fused", "device": "cpu"})
    gaps = []
    start = last = time.perf_counter()
    for _ in model.iter_fit(simulated.points):
        now = time.perf_counter()
        gaps.append(now - last)
        last = now
    taken = time.perf_counter() - start
    yield Row(
        f"fit of {n:,} points, {m} clusters",
        f"{readable(taken)}, {model.n_components_} components, {memory:.2g} GB above the points",
        "at most 25 s and 0.9 GB; better, 12 s",
        taken <= 25.0 and memory <= 0.9,
    )
    yield Row(
        "the same: longest time between two steps",
        f"{readable(max(gaps))}; the first step after {readable(gaps[0])}",
        "at most 0.5 s",
        max(gaps) <= 0.5,
    )


def _mml(points: FloatArray, n_clusters: int, start: str) -> SparseGaussianMixture:
    if start == "density":
        return whole_fit(points, n_clusters, "fused", "cpu")
    model = SparseGaussianMixture(
        2 * n_clusters, prior="mml", background=True, init=start, random_state=0
    )
    return quiet_fit(model, points)


def _prototype(points: FloatArray) -> Callable[[], object] | None:
    folder = os.environ.get("PROTOTYPE")
    if not folder:
        return None
    sys.path.insert(0, folder)
    from large_fit import fit

    return lambda: fit(points, kernel="numba", verbose=False)


def _dense_clusters() -> FloatArray:
    """20,000 points of 10 clusters, sigma 15 to 60 nm, in 2 µm, and a fifth of background."""
    return clusters(20_000, 10, side=2000.0).points


if __name__ == "__main__":
    main(measure)
