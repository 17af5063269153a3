"""Points that are more than there is memory for: time of an iteration, memory, whole fits.

Points come in chunks of a million that are generated when they are read: 2000 clusters of 15 to
60 nm, a fifth of the points background. Each case in a process of its own (`scaled.py`), which
sorts the points to disk and makes passes at the truth; resident memory is that of the process
that makes them, libraries included. The cost of a pass is fitted to all cases but one, of
another number of points, clusters and partitions in memory, which is then predicted; see
docs/scaling.md. Beside it one iteration with 30 components of what exists for
points in parts: Spark's GaussianMixture, and EM of pomegranate from the sums of parts.

    python benchmarks/scaling.py
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from report import Entry, Options, Row, main
from scaled import STEPS
from scipy.optimize import nnls
from simulations import clusters
from timing import readable, seconds

from napari_sparse_gmm.engines import choose_engine
from napari_sparse_gmm.observations import Observations

SCALED = Path(__file__).with_name("scaled.py")
GB = 1e9
LINEAR, LARGEST, GROWTH, OUTSIDE, PREDICTED = 0.10, 2.0, 0.2, 0.15, 0.25
MANY = 300
# Points, clusters, GB of memory, passes.
CASES = (
    (1_000_000, 2000, 2.0, 50),
    (10_000_000, 2000, 2.0, 20),
    (100_000_000, 2000, 4.0, 10),
    (10_000_000, 500, 2.0, 20),
    (10_000_000, 8000, 2.0, 20),
    (10_000_000, 2000, 0.9, 10),
    (40_000_000, 2000, 0.9, 10),
)
UNSEEN = (30_000_000, 4000, 1.2, 10)


def measure(options: Options) -> Iterator[Entry]:
    shrunk = 100 if options.quick else 1
    found = []
    for n, m, memory, passes in (*CASES, UNSEEN):
        found.append(scaled(n // shrunk, m // min(shrunk, 20), memory * GB, passes=passes))
        yield from _case(found[-1], memory)
    *known, unseen = found
    each = [case["pass"] / case["n"] for case in known[:3]]
    yield Row(
        "a pass of 10^7 and of 10^8 points, all held, per point, against 10^6",
        f"{each[1] / each[0]:.2f} and {each[2] / each[0]:.2f} times",
        f"1, to {LINEAR:.0%}",
        max(abs(one / each[0] - 1) for one in each[1:]) <= LINEAR,
    )
    costs = _costs(known)
    yield Row("cost of a pass", spoken(costs))
    predicted = float(_terms(unseen) @ costs)
    off = predicted / unseen["pass"] - 1
    yield Row(
        f"{unseen['n']:,} points, {unseen['m']:,} clusters, {unseen['held']} of "
        f"{unseen['partitions']} partitions held: a pass, which the costs do not know",
        f"{readable(unseen['pass'])}, predicted {readable(predicted)} ({off:+.0%})",
        f"to {PREDICTED:.0%}",
        abs(off) <= PREDICTED,
    )

    n = 100_000_000 // shrunk
    many = scaled(n, 2000 // min(shrunk, 20), 2 * GB, passes=MANY // min(shrunk, 10), whole=True)
    yield from _case(many, 2.0)
    first, last = many["resident"][1], many["resident"][-2]
    yield Row(
        f"{n:,} points: resident memory after the first and the last of "
        f"{len(many['resident']) - 2} passes, and the most that it was in a whole fit",
        f"{first:.2f}, {last:.2f} and {many['largest']:.2f} GB",
        f"flat, under {LARGEST:.0f} GB",
        last - first < 0.05 and many["largest"] < LARGEST,
    )
    yield Row(
        f"{n:,} points: share of a whole fit that is not the engines'",
        f"{many['outside_fit']:.1%}",
        f"at most {OUTSIDE:.0%}",
        many["outside_fit"] <= OUTSIDE,
    )
    yield Row(
        f"{n:,} points: whole fit",
        f"{many['fit'] / 60:.3g} min after {many['open'] / 60:.2g} min to sort, "
        f"{many['components']:,} components in {many['iterations']} iterations, log-likelihood "
        f"{-many['loss']:+.5f} above that of the truth",
    )
    of_workers = scaled(
        10_000_000 // shrunk, known[1]["m"], 2 * GB, passes=MANY // min(shrunk, 10), workers=2
    )
    growth = of_workers["resident"][-1] - of_workers["resident"][0]
    yield Row(
        f"{of_workers['n']:,} points, two workers of Dask: a pass",
        f"{readable(of_workers['pass'])}; one process with two threads "
        f"{readable(known[1]['pass'])}",
    )
    yield Row(
        f"two workers: what the client grows by in {len(of_workers['resident']) - 1} passes",
        f"{1000 * growth:.0f} MB",
        f"less than {1000 * GROWTH:.0f} MB",
        growth < GROWTH,
    )
    yield _others(1_000_000 // shrunk)


def scaled(n: int, m: int, memory: float, **more: Any) -> dict[str, Any]:
    """What a process of its own has measured."""
    wanted = {"n_points": n, "n_clusters": m, "memory": memory, **more}
    command = [sys.executable, str(SCALED), json.dumps(wanted)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ChildProcessError(f"{SCALED.name} ended with {done.returncode}: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _case(case: dict[str, Any], memory: float) -> Iterator[Row]:
    what = (
        f"{case['n']:,} points, {case['m']:,} clusters, {memory:g} GB allowed: "
        f"{min(case['held'], case['partitions'])} of {case['partitions']} partitions held"
    )
    yield Row(
        f"{what}, a pass",
        f"{readable(case['pass'])}; sorted in {readable(case['open'])}; at most "
        f"{case['largest']:.2f} GB",
    )
    if case["n"] >= 10_000_000 and "outside" in case:
        yield Row(
            f"{what}, share of {STEPS} iterations from the truth, moves among them, that is not "
            "the engines'",
            f"{case['outside']:.1%}",
            f"at most {OUTSIDE:.0%}",
            case["outside"] <= OUTSIDE,
        )


def _terms(case: dict[str, Any]) -> np.ndarray:
    """What a pass is made of: points, pairs of points and components, points and partitions that
    are read anew, partitions, components.
    """
    n, partitions = case["n"], case["partitions"]
    read = partitions - min(case["held"], partitions)
    return np.array([n, n * case["pairs"], n * read / partitions, read, partitions, case["m"]])


def _costs(cases: list[dict[str, Any]]) -> np.ndarray:
    """Seconds of each term, none of them negative, by least squares of relative errors."""
    taken = np.array([case["pass"] for case in cases])
    terms = np.array([_terms(case) for case in cases])
    return nnls(terms / taken[:, None], np.ones(len(cases)))[0]


def spoken(costs: np.ndarray) -> str:
    """Costs in words."""
    units = (
        "point",
        "point and component near it",
        "point read anew",
        "partition read anew",
        "partition",
        "component",
    )
    return ", ".join(
        f"{readable(cost)} a {unit}" for cost, unit in zip(costs, units, strict=True) if cost > 0
    )


def _others(n: int) -> Row:
    """One iteration with 30 components."""
    simulated = clusters(n, 30, background=0.0)
    points, truth = simulated.points, simulated.truth
    engine = choose_engine("fused", n_dimensions=2).open(Observations(points), n_components=30)
    engine.expectation(truth)
    taken = {"here": seconds(lambda: engine.expectation(truth))}
    for name, iteration in (("pyspark", _spark), ("pomegranate", _pomegranate)):
        if find_spec(name) is not None:
            taken[name] = iteration(points, truth.means)
    said = ", ".join(f"{name} {readable(one)}" for name, one in taken.items())
    return Row(f"{n:,} points, 30 components: one iteration", said)


def _spark(points: np.ndarray, means: np.ndarray) -> float:
    """Spark's GaussianMixture, the difference between three iterations and one."""
    from pyspark.ml.clustering import GaussianMixture
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[*]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "4g")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    frame = (
        session.createDataFrame(points)
        .select(_array())
        .select(array_to_vector("x").alias("features"))
    )
    frame = frame.cache()
    frame.count()
    taken = []
    for iterations in (1, 1, 4):
        start = time.perf_counter()
        GaussianMixture(k=len(means), maxIter=iterations, tol=0.0, seed=0).fit(frame)
        taken.append(time.perf_counter() - start)
    session.stop()
    return (taken[2] - taken[1]) / 3


def _array() -> Any:
    from pyspark.sql.functions import array

    return array("_1", "_2").alias("x")


def _pomegranate(points: np.ndarray, means: np.ndarray) -> float:
    """EM of pomegranate from the sums of parts of 100,000 points."""
    import torch
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel

    model = GeneralMixtureModel(
        [Normal(torch.tensor(mean), torch.eye(2, dtype=torch.double) * 1600.0) for mean in means]
    )
    parts = torch.tensor(points).split(100_000)

    def iteration() -> None:
        for part in parts:
            model.summarize(part)
        model.from_summaries()

    iteration()
    return seconds(iteration)


if __name__ == "__main__":
    main(measure)
