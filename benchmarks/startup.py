"""What the plugin costs napari's start, and how long its widget takes to open.

Each start is a process of its own (`opening.py`), with the plugin and without in turn. A start
lasts from the first import to a window that has been drawn.

    python tools/with_display.py python benchmarks/startup.py
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from report import Entry, Options, Row, main
from timing import readable

OPENING = Path(__file__).with_name("opening.py")
STARTS, QUICK_STARTS = 7, 2
ASKED = 0.3  # seconds


def measure(options: Options) -> Iterator[Entry]:
    starts: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    for way in starts:
        start(way)  # from the disk, which the next ones find in memory
    for _ in range(QUICK_STARTS if options.quick else STARTS):
        for way, seen in starts.items():
            seen.append(start(way))
    window = {way: median(one["window"] for one in seen) for way, seen in starts.items()}
    yield Row(
        "start of napari with the plugin against without",
        f"{window['with'] / window['without']:.2f} times "
        f"({readable(window['with'])}, {readable(window['without'])})",
    )
    widget = median(one["widget"] for one in starts["with"])
    yield Row("opening the widget", readable(widget), f"less than {ASKED} s", widget < ASKED)


def start(way: str) -> dict[str, float]:
    """Seconds that one start took: of the window, and of the widget where there is one."""
    done = subprocess.run([sys.executable, str(OPENING), way], capture_output=True, text=True)
    if done.returncode != 0:
        raise ChildProcessError(
            f"{OPENING.name} ended with {done.returncode}: {done.stderr[-500:]}"
        )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main(measure)
