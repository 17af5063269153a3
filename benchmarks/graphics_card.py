"""What the engines take on a graphics card, and whether they are right there, in one table.

It runs the tests that are marked `cuda`, then times expectations and whole fits, beside
scikit-learn's mixture on arrays of the card and gmmx. Nothing of napari is needed: the package's
own wheel, those of pykeops and keopscore, pytest and hypothesis; torch for CUDA, numba, pandas,
pyarrow, scikit-learn; gmmx and JAX for CUDA, where they are to be compared with. KeOps compiles
its kernels with nvrtc: libcuda, libnvrtc and libcudart have to be found by the loader, cuda.h and
nvrtc.h in $CUDA_PATH/include, and $CXX, or g++, has to link the shared C++ library. What is
missing is said, and the rest goes on. `graphics_card.md` has what was measured.

    python benchmarks/graphics_card.py              # 6 minutes; longer fits are left out
    python benchmarks/graphics_card.py --quick      # small sizes, to check the script
"""

import argparse
import os
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

# Before torch and JAX are imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
os.environ.setdefault("JAX_PLATFORMS", "cuda")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import numpy as np
import torch
from machine import describe
from report import ROOT
from simulations import Simulation, clusters, crowd
from timing import Call, medians, readable, seconds

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.engines import choose_engine
from napari_sparse_gmm.observations import Observations

Row = tuple[str, str]

# Operations of a pair of a point and a component in D dimensions, exponentials not counted: to
# whiten the difference twice, to sum up the moments once; and bytes of a point, read twice.
OPERATIONS = {2: 2 * 9 + 14, 3: 2 * 16 + 26}


@dataclass
class Limits:
    """How large, and until when."""

    quick: bool
    end: float  # as of time.monotonic

    @property
    def left(self) -> float:
        return self.end - time.monotonic()


def main() -> int:
    """Everything, each part by itself: 1 where a part failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="small sizes, to check the script")
    parser.add_argument("--seconds", type=float, default=350.0, help="of all; 350")
    parser.add_argument("--no-tests", action="store_true", help="figures only")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("PyTorch finds no CUDA graphics card here: a wheel of torch for CUDA, and a driver?")
        return 1
    started = time.monotonic()
    limits = Limits(arguments.quick, started + arguments.seconds)
    for name, value in describe():
        print(f"{name:>20}  {value}")
    failed = 0
    if not arguments.no_tests:
        failed += tests() != 0
    parts = (ready, ceilings, dense, sparse, whole_fits, peers)
    for part in parts:
        print(f"\n## {part.__doc__}  [{time.monotonic() - started:.0f} s]", flush=True)
        try:
            for what, value in part(limits):
                print(f"{what:<58}  {value}", flush=True)
        except Exception:
            traceback.print_exc(file=sys.stdout)
            failed += 1
    print(f"\n{time.monotonic() - started:.0f} s in all, {failed} parts failed")
    return int(failed > 0)


def tests() -> int:
    """The tests marked `cuda`, in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider"]
    # Only what the tests of the core need is here, and warnings of other programs are theirs.
    command += ["-o", "filterwarnings=default", "--no-header", str(ROOT / "tests" / "engines")]
    print("\n## Tests", flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def engines() -> list[str]:
    """Those that compute on this card."""
    found = []
    for name in ("keops", "torch"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            choice = choose_engine(name, "cuda", n_dimensions=2)
        if choice.engine.name == name:
            found.append(name)
    return found


def ready(limits: Limits) -> Iterator[Row]:
    """Engines made ready: compiling, the first time"""
    for d, noise in ((2, False), (3, False), (2, True)):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            choice = choose_engine("keops", "cuda", n_dimensions=d, noise=noise)
        taken = readable(time.perf_counter() - start)
        yield f"KeOps, {d}D{', noise' if noise else ''}", f"{taken}: {choice.reason}"


def ceilings(limits: Limits) -> Iterator[Row]:
    """What the card can do at most"""
    n = 1 << 26
    source, target = (torch.rand(n, device="cuda") for _ in range(2))
    taken = medians({"copy": lambda: target.copy_(source)}, 9)["copy"]
    yield "copy, bytes read and written", f"{8 * n / taken / 1e12:.2f} TB/s"
    piece = torch.rand(1 << 22, device="cuda")
    out = torch.empty_like(piece)

    def exponentials() -> None:
        for _ in range(100):
            torch.exp(piece, out=out)

    taken = medians({"exp": exponentials}, 9)["exp"]
    yield "torch.exp in cache", f"{100 * len(piece) / taken / 1e12:.3f} 10^12 a second"
    a = torch.rand(4096, 4096, device="cuda")
    torch.backends.cuda.matmul.allow_tf32 = False
    taken = medians({"product": lambda: a @ a}, 9)["product"]
    yield "matrix product, single precision", f"{2 * 4096**3 / taken / 1e12:.1f} TFLOP/s"


def opened(name: str, simulated: Simulation, noise: float = 0.0) -> Callable[[], object]:
    """An expectation on the card, of points that are there already."""
    truth = simulated.truth
    choice = choose_engine(name, "cuda", n_dimensions=truth.n_dimensions, noise=noise > 0)
    variances = np.full_like(simulated.points, noise**2) if noise else None
    engine = choice.open(
        Observations(simulated.points, None, variances), n_components=truth.n_components
    )
    return partial(engine.expectation, truth)


def dense(limits: Limits) -> Iterator[Row]:
    """An expectation with moments, every component everywhere: time of a pair"""
    shapes = [(1_000_000, 30, 2), (100_000, 300, 2), (1_000_000, 300, 2), (1_000_000, 300, 3)]
    for n, m, d in [(20_000, 30, 2), (20_000, 30, 3)] if limits.quick else shapes:
        simulated = crowd(n, m, d)
        calls: dict[str, Call] = {name: opened(name, simulated) for name in engines()}
        for name, taken in medians(calls, 5).items():
            operations = OPERATIONS[d] * n * m
            yield (
                f"{n:,} x {m}, {d}D, {name}",
                f"{readable(taken)}, {1e12 * taken / (n * m):.2f} ps a pair, "
                f"{operations / taken / 1e12:.2f} TFLOP/s, {2 * n * m / taken / 1e12:.3f} 10^12 "
                "exponentials a second",
            )
    n, m = (20_000, 30) if limits.quick else (1_000_000, 30)
    simulated = crowd(n, m, 2)
    calls = {name: opened(name, simulated, noise=0.5) for name in engines()}
    for name, taken in medians(calls, 5).items():
        yield f"{n:,} x {m}, 2D, noise, {name}", f"{1e12 * taken / (n * m):.2f} ps a pair"


def sparse(limits: Limits) -> Iterator[Row]:
    """An expectation, clusters apart: its pattern included"""
    n, m = (50_000, 100) if limits.quick else (1_000_000, 2000)
    for d in (2, 3):
        simulated = clusters(n, m, d)
        calls: dict[str, Call] = {name: opened(name, simulated) for name in engines()}
        choice = choose_engine("fused", "cpu", n_dimensions=d)
        engine = choice.open(Observations(simulated.points), n_components=m)
        calls["fused, on the processor"] = partial(engine.expectation, simulated.truth)
        size = 8 * d * n / 1e6
        for name, taken in medians(calls, 5).items():
            what = f"{n:,} points, {m} clusters, {d}D, {name}"
            yield what, f"{readable(taken)} ({size:.0f} MB read at least)"


def whole_fits(limits: Limits) -> Iterator[Row]:
    """Whole fits from a million points in memory on: density start, a background"""
    small = limits.quick
    million, ten = (20_000, 40_000) if small else (1_000_000, 10_000_000)
    m = 50 if small else 2000
    made: dict[tuple[int, int], Simulation] = {}
    cases = [
        (million, 2, "mml", "keops"),
        (million, 2, "mml", "fused"),
        (million, 2, "mml", "torch"),
        (million, 3, "mml", "keops"),
        (million, 2, "bayes", "keops"),
        (ten, 2, "mml", "keops"),
        (ten, 2, "mml", "fused"),
        (million, 3, "mml", "torch"),
        (million, 3, "mml", "fused"),
        (million, 2, "bayes", "torch"),
        (million, 2, "bayes", "fused"),
        (ten, 2, "mml", "torch"),
        (ten, 3, "mml", "keops"),
        (ten, 2, "bayes", "keops"),
    ]
    able = engines()
    taken: dict[tuple[int, int, str, str], float] = {}
    for n, d, prior, name in cases:
        what = f"{n:,} points, {m} clusters, {d}D, {prior}, {name}"
        if name not in (*able, "fused"):
            yield what, "the engine does not run here"
            continue
        # What ten times fewer points took tells what this one may take.
        expected = 12.0 * taken.get((n // 10, d, prior, name), 1.0)
        if limits.left < expected + 60.0:  # of the peers
            yield what, "left out: no time left"
            continue
        if (n, d) not in made:
            made[n, d] = clusters(n, m, d)
        device = "cpu" if name == "fused" else "cuda"
        parameters = {"engine": name, "device": device, "random_state": 0, "background": True}
        torch.cuda.reset_peak_memory_stats()
        model = SparseGaussianMixture(2 * m, prior=prior, init="density", **parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            taken[n, d, prior, name] = seconds(partial(model.fit, made[n, d].points))
        yield (
            what,
            f"{readable(taken[n, d, prior, name])}, {model.n_iter_} iterations, "
            f"{model.n_components_} components, cost {model.cost_:.5f}, "
            f"{torch.cuda.max_memory_allocated() / 1e9:.2f} GB of the card",
        )


def peers(limits: Limits) -> Iterator[Row]:
    """Other programs on the card: one iteration of EM, every component everywhere"""
    shapes = [(1_000_000, 30, 2), (100_000, 300, 2)]
    for n, m, d in [(20_000, 30, 2)] if limits.quick else shapes:
        simulated = crowd(n, m, d)
        what = f"{n:,} x {m}, {d}D"
        for name in engines():
            taken = medians({name: opened(name, simulated)}, 5)[name]
            yield f"{what}, {name}", f"{readable(taken)}"
        for name, iteration in (("scikit-learn", _sklearn), ("gmmx", _gmmx)):
            if limits.left < 15.0:
                yield f"{what}, {name}", "left out: no time left"
                continue
            try:
                yield f"{what}, {name}", readable(iteration(simulated))
            except Exception as error:
                yield f"{what}, {name}", f"{type(error).__name__}: {str(error)[:300]}"


def _sklearn(simulated: Simulation) -> float:
    """The difference of a fit of 11 iterations and one of 1, over 10."""
    from sklearn import config_context
    from sklearn.mixture import GaussianMixture as SklearnMixture

    points = torch.from_numpy(simulated.points).float().to("cuda")
    truth = simulated.truth
    means = torch.tensor(truth.means, dtype=torch.float32, device="cuda")

    def fit(iterations: int) -> None:
        model = SklearnMixture(
            truth.n_components,
            init_params="random_from_data",
            means_init=means,
            max_iter=iterations,
            tol=0.0,
            random_state=0,
        )
        with warnings.catch_warnings(), config_context(array_api_dispatch=True):
            warnings.simplefilter("ignore")
            model.fit(points)

    times = medians({"1": lambda: fit(1), "11": lambda: fit(11)}, 3)
    return (times["11"] - times["1"]) / 10


def _gmmx(simulated: Simulation) -> float:
    """A fit of one iteration, compiled before."""
    import jax
    import jax.numpy as jnp
    from gmmx import EMFitter, GaussianMixtureModelJax

    truth = simulated.truth
    model = GaussianMixtureModelJax.from_squeezed(
        means=jnp.asarray(truth.means, jnp.float32),
        covariances=jnp.asarray(truth.covariances, jnp.float32),
        weights=jnp.asarray(truth.weights, jnp.float32),
    )
    fitter, x = EMFitter(max_iter=1), jnp.asarray(simulated.points, jnp.float32)
    return medians({"gmmx": lambda: jax.block_until_ready(fitter.fit(x, model))}, 3)["gmmx"]


if __name__ == "__main__":
    sys.exit(main())
