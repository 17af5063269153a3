"""Peak memory of a fit above that of its points.

Each fit in a process of its own (`peak.py`) that loads the points, notes how much memory it
holds, and fits. The points themselves are not counted.

    python benchmarks/memory.py
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fits import engines
from report import Entry, Options, Row, main
from simulations import N_CLUSTERS, Simulation, clusters, crowd

PEAK = Path(__file__).with_name("peak.py")
ASKED = 2.0  # GB
LARGE = {"prior": "mml", "background": True, "init": "density", "random_state": 0}
# Where all overlaps convergence takes long, and each iteration the same memory.
CROWD = {"init": "density", "random_state": 0, "max_iter": 10}


def measure(options: Options) -> Iterator[Entry]:
    shrunk = 200 if options.quick else 1
    n, m = 10_000_000 // shrunk, N_CLUSTERS // shrunk
    for what, simulated, settings, asked in (
        ("30 clusters", clusters(n, 30, background=0.0), {"n_components": 30, **LARGE}, True),
        ("30 overlapping", crowd(n, 30, 2), {"n_components": 30, **CROWD}, True),
        (f"{m} clusters", clusters(n // 10, m), {"n_components": 2 * m, **LARGE}, False),
        (f"{m} clusters", clusters(n, m), {"n_components": 2 * m, **LARGE}, False),
        (f"{m} clusters in 3D", clusters(n, m, 3), {"n_components": 2 * m, **LARGE}, False),
    ):
        for engine in engines(options.device)[:1]:
            above = peak(simulated, settings | {"engine": engine, "device": options.device})
            yield Row(
                f"{len(simulated.points):,} points, {what}: {engine}",
                f"{above:.3g} GB above the {simulated.points.nbytes / 1e9:.2g} GB of the points",
                f"less than {ASKED:.0f} GB" if asked else "",
                above < ASKED if asked else None,
            )


def peak(simulated: Simulation, settings: dict[str, Any]) -> float:
    """GB that a fit takes at most, above what is there before."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.npy"
        np.save(path, simulated.points)
        command = [sys.executable, str(PEAK), str(path), json.dumps(settings)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ChildProcessError(f"{PEAK.name} ended with {done.returncode}: {done.stderr[-500:]}")
    return float(done.stdout.split()[-1]) / 1e9


if __name__ == "__main__":
    main(measure)
