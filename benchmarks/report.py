"""What a benchmark says, and how a module says it: rows, one after the other.

A module has a function that yields `Row`s and `Picture`s and hands it to `main`, which
prints them as they come. `run.py` has them written to a file as well, one line each, so that
what a module found before it failed is not lost::

    def measure(options: Options) -> Iterator[Entry]:
        yield Row("whole fit", "2.1 s", asked="at most 3 s", met=True)

    if __name__ == "__main__":
        main(measure)
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Options:
    """How to run: `quick` takes small sizes, which check the module and say nothing of speed."""

    quick: bool
    device: str
    images: Path


@dataclass(frozen=True)
class Row:
    """One thing that was measured; where something was asked of it, whether it was met."""

    what: str
    measured: str
    asked: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Picture:
    """An image that the module has written into the folder of images."""

    name: str
    caption: str


Entry = Row | Picture


def main(measure: Callable[[Options], Iterator[Entry]]) -> None:
    """Run a module from the command line."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="small sizes, to check the module")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    parser.add_argument("--images", type=Path, default=ROOT / "build" / "benchmarks" / "images")
    parser.add_argument("--entries", type=Path, help="write what is measured to this file too")
    arguments = parser.parse_args()
    arguments.images.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    for entry in measure(Options(arguments.quick, arguments.device, arguments.images)):
        print(f"[{time.perf_counter() - start:6.0f} s] {spoken(entry)}", flush=True)
        if arguments.entries is not None:
            with arguments.entries.open("a") as file:
                file.write(json.dumps({"kind": type(entry).__name__, **asdict(entry)}) + "\n")


def read_entries(path: Path) -> tuple[Entry, ...]:
    """What a module has written with `--entries`."""
    kinds: dict[str, type[Row] | type[Picture]] = {"Row": Row, "Picture": Picture}
    entries: list[Entry] = []
    for line in path.read_text().splitlines() if path.exists() else ():
        values = json.loads(line)
        entries.append(kinds[values.pop("kind")](**values))
    return tuple(entries)


def spoken(entry: Entry) -> str:
    """An entry in one line of plain text."""
    if isinstance(entry, Picture):
        return f"picture {entry.name}: {entry.caption}"
    asked = f" (asked: {entry.asked}; met: {verdict(entry)})" if entry.asked else ""
    return f"{entry.what}: {entry.measured}{asked}"


def verdict(row: Row) -> str:
    """Whether what was asked was met, in a word."""
    return {None: "", True: "yes", False: "no"}[row.met]
