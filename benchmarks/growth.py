"""How time grows with the number of points N and of components M.

One expectation pass at the truth, and a whole fit for as long as one takes less than 30 s. N from
10,000 to ten million in the field of 2000 clusters; M from 10 to 10,000 at a million points, the
field grown with M, so that clusters stay local. Exponents are slopes of least squares on
logarithms; for N from 100,000 on, below which what M costs would flatten them.

    python benchmarks/growth.py
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from fits import ENGINES, engines, warm_up, whole_fit
from matplotlib import rc_context
from matplotlib.figure import Figure
from report import Entry, Options, Picture, Row, main
from simulations import N_CLUSTERS, SIDE, Simulation, clusters
from timing import medians, readable, seconds

from napari_sparse_gmm.engines import choose_engine
from napari_sparse_gmm.observations import Observations

POINTS = [10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000]
COMPONENTS = [10, 30, 100, 300, 1000, 3000, 10_000]
N_POINTS = 1_000_000
LEAST_POINTS = 100_000
LONGEST = 30.0  # seconds of a fit; larger ones are then left out
ASKED = {"N": 1.05, "M": 0.3}

Times = dict[str, dict[int, float]]  # seconds, by what was timed and size


def measure(options: Options) -> Iterator[Entry]:
    for engine in engines(options.device):
        warm_up(engine, options.device, 2)
    shrunk = 100 if options.quick else 1
    m = N_CLUSTERS // shrunk
    sizes = {
        "N": {n // shrunk: (n // shrunk, m) for n in POINTS},
        "M": {k: (N_POINTS // shrunk, k) for k in COMPONENTS if k * shrunk <= COMPONENTS[-1]},
    }
    for letter, fields in sizes.items():
        times: Times = {}
        for size, (n_points, n_clusters) in fields.items():
            side = SIDE * (n_clusters / N_CLUSTERS) ** 0.5
            _add(times, size, clusters(n_points, n_clusters, side=side), options)
            spoken = ", ".join(
                f"{name} {readable(by[size])}" for name, by in times.items() if size in by
            )
            yield Row(f"{letter} = {size:,}", spoken)
        for name, by_size in times.items():
            least = LEAST_POINTS // shrunk if letter == "N" else 0
            exponent = slope({k: t for k, t in by_size.items() if k >= least})
            asked = name.endswith("expectation")
            yield Row(
                f"{name}: exponent in {letter}",
                f"{exponent:.2f}",
                f"at most {ASKED[letter]}" if asked else "",
                exponent <= ASKED[letter] if asked else None,
            )
        fixed = f"M = {m:,}" if letter == "N" else f"N = {N_POINTS // shrunk:,}"
        name = f"growth_{letter.lower()}.svg"
        draw(times, letter, options.images / name)
        yield Picture(name, f"Seconds against {letter} at {fixed}, both axes logarithmic")


def _add(times: Times, size: int, simulated: Simulation, options: Options) -> None:
    """Time the passes of all engines in turn, and the fits that are still short enough."""
    points, truth = simulated.points, simulated.truth
    held = {
        name: choose_engine(name, options.device, n_dimensions=2).open(
            Observations(points), n_components=truth.n_components
        )
        for name in engines(options.device)
    }
    passes = medians({n: lambda e=e: e.expectation(truth) for n, e in held.items()}, 5)
    for name in engines(options.device):
        times.setdefault(f"{name}, expectation", {})[size] = passes[name]
        fits = times.setdefault(f"{name}, whole fit", {})
        # Larger fits take longer: none after the first that took too long.
        if not fits or max(fits.values()) < LONGEST:
            fits[size] = seconds(
                lambda e=name: whole_fit(points, truth.n_components, e, options.device)
            )


def slope(times: dict[int, float]) -> float:
    """The exponent p of seconds ~ size^p, by least squares on logarithms."""
    if len(times) < 2:
        return float("nan")
    return float(np.polyfit(np.log(list(times)), np.log(list(times.values())), 1)[0])


def draw(times: Times, letter: str, path: Path) -> None:
    """A log-log plot of seconds against N or M."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, by_size in times.items():
        colour = f"C{ENGINES.index(name.split(',')[0])}"
        line = "-o" if name.endswith("expectation") else "--s"
        axes.loglog(list(by_size), list(by_size.values()), line, color=colour, label=name)
    axes.set(xlabel=letter, ylabel="seconds")
    axes.grid(alpha=0.3)
    axes.legend()
    # No date and no random names, so that a picture changes only where the figures do.
    with rc_context({"svg.hashsalt": letter}):
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(measure)
