"""What points in chunks take in one process: time of a pass, memory, what is not the engines'.

    python benchmarks/scaled.py '{"n_points": 10000000, "n_clusters": 2000, "memory": 2e9}'

For `scaling.py`, which starts it and reads the line of JSON that it prints.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from fits import quiet_fit
from simulations import SIDE

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.chunked import Chunked
from napari_sparse_gmm.engines import Storage
from napari_sparse_gmm.regions import Box

CHUNK, BACKGROUND = 1_000_000, 0.2
# Iterations from the truth: some steps, and moves.
STEPS = 12


def main() -> None:
    wanted = {"workers": 0, "passes": 5, "whole": False, **json.loads(sys.argv[1])}
    with ExitStack() as stack:
        client = None
        if wanted["workers"]:
            import distributed

            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=wanted["workers"], threads_per_worker=1, dashboard_address=":0"
                )
            )
            client = stack.enter_context(distributed.Client(cluster))
        print(json.dumps(found(wanted, client)))


def found(wanted: dict[str, Any], client: Any) -> dict[str, Any]:
    """What was measured."""
    n, m = int(wanted["n_points"]), int(wanted["n_clusters"])
    truth = clusters(m)
    storage = Storage(memory_limit=int(wanted["memory"]), client=client)
    settings = {"prior": "mml", "repeats": 1.0, "storage": storage, "random_state": 0}
    start = time.perf_counter()
    sizes = np.full(max(1, n // CHUNK), min(n, CHUNK))
    chunks = Chunked.generated(partial(chunk, m=m, sizes=sizes), len(sizes))
    engine = SparseGaussianMixture(**settings, init="density").open(chunks)
    out = {"n": n, "m": m, "open": time.perf_counter() - start}
    workers = getattr(engine, "workers", None)
    out["partitions"] = getattr(workers, "n_partitions", 1)
    out["held"] = getattr(workers, "n_held", out["partitions"])
    out["pairs"] = len(engine.touched(truth)) / len(engine.cell_weights)

    engine.expectation(truth)
    out["resident"] = [resident()]
    passes = []
    for _ in range(wanted["passes"]):
        start = time.perf_counter()
        engine.expectation(truth)
        passes.append(time.perf_counter() - start)
        out["resident"].append(resident())
    out["pass"] = median(passes)

    if workers is not None:
        model = SparseGaussianMixture(**settings, init=truth, max_iter=STEPS)
        out["outside"] = outside(engine, partial(quiet_fit, model, engine))
    if wanted["whole"]:
        model = SparseGaussianMixture(**settings, init="density")
        start = time.perf_counter()
        out["outside_fit"] = outside(engine, partial(quiet_fit, model, engine))
        out |= {"fit": time.perf_counter() - start, "components": model.n_components_}
        out |= {"iterations": model.n_iter_, "loss": engine_loss(engine, model, truth)}
        out["resident"].append(resident())
    out["largest"] = largest()
    return out


def outside(engine: Any, fit: Callable[[], object]) -> float:
    """The share of the time of a fit that is not spent on asking partitions."""
    if not hasattr(engine, "workers"):
        return float("nan")
    ask, asked = engine.workers.ask, [0.0]

    def timed(*arguments: Any, **keywords: Any) -> Any:
        start = time.perf_counter()
        answer = ask(*arguments, **keywords)
        asked[0] += time.perf_counter() - start
        return answer

    engine.workers.ask = timed
    start = time.perf_counter()
    fit()
    whole = time.perf_counter() - start
    del engine.workers.ask
    return 1.0 - asked[0] / whole


def engine_loss(engine: Any, fitted: SparseGaussianMixture, truth: GaussianMixture) -> float:
    """Nats per point by which the fit is less likely than the truth."""
    total = engine.summary.total_weight
    scores = (engine.scores(mixture).log_likelihood for mixture in (truth, fitted.mixture_))
    of_truth, of_fit = scores
    return (of_truth - of_fit) / total


def clusters(m: int) -> GaussianMixture:
    """Round clusters of 15 to 60 nm in a field that grows with their number."""
    rng, side = np.random.default_rng(0), SIDE * (m / 2000) ** 0.5
    means, std = rng.uniform(0, side, (m, 2)), rng.uniform(15, 60, m)
    return GaussianMixture(
        np.full(m, (1 - BACKGROUND) / m),
        means,
        std[:, None, None] ** 2 * np.eye(2),
        BACKGROUND,
        Box([[-500.0, -500.0], [side + 500.0, side + 500.0]]),
    )


def chunk(k: int, m: int, sizes: np.ndarray) -> np.ndarray:
    """Points of all clusters and the background."""
    return clusters(m).sample(int(sizes[k]), 1000 + k)[0]


def resident() -> float:
    """Bytes of this process that are in memory, GB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e9


def largest() -> float:
    """The most that they have been, GB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


if __name__ == "__main__":
    main()
