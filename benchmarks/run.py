"""All benchmarks in one go, and the page that tells what they found.

    tox -e bench                     all of them, into docs/benchmarks.md
    tox -e bench -- --quick          small sizes, into build/benchmarks/quick
    tox -e bench -- large growth     these two; of the others the page keeps what was found last

Each module runs in a process of its own. The page is written anew after each, so that one
that fails takes nothing with it: the page says that it failed, and why.
"""

import argparse
import datetime
import json
import subprocess
import sys
import time
from pathlib import Path

from machine import describe
from page import Section, page
from report import ROOT, read_entries

HERE = Path(__file__).parent
MODULES = (
    "core",
    "peers",
    "engines",
    "spiral",
    "large",
    "memory",
    "hard",
    "growth",
    "scaling",
    "defaults",
    "clusters",
    "blinking",
    "known",
    "pairs",
    "deconvolution",
    "regions",
    "channels",
    "few",
    "heatmap",
    "zoom",
    "reading",
    "live",
    "window",
    "startup",
)
# What was measured elsewhere, with `graphics_card.py`.
ON_A_CARD = HERE / "graphics_card.md"
LONGEST = 2 * 3600  # seconds of one module


def main() -> int:
    """Run modules, write the page; 1 where one of them failed."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("modules", nargs="*", metavar="module", help=", ".join(MODULES))
    parser.add_argument("--quick", action="store_true", help="small sizes, to check the modules")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    if unknown := set(arguments.modules) - set(MODULES):
        parser.error(f"there is no module {', '.join(sorted(unknown))}; see --help")
    store = ROOT / "build" / "benchmarks" / ("quick" if arguments.quick else "full")
    folder = store if arguments.quick else ROOT / "docs"
    for needed in (store, folder / "images"):
        needed.mkdir(parents=True, exist_ok=True)
    failures = []
    for name in arguments.modules or MODULES:
        print(f"\n{name}", flush=True)
        options = ["--device", arguments.device, "--images", str(folder / "images")]
        failures.append(run(name, options + ["--quick"] * arguments.quick, store))
        title = "Benchmarks at small sizes, to check them" if arguments.quick else "Benchmarks"
        text = page(stored_sections(store), title, describe(), ON_A_CARD.read_text())
        (folder / "benchmarks.md").write_text(text, encoding="utf-8")
    print(f"\n{folder / 'benchmarks.md'}")
    return int(any(failures))


def run(name: str, options: list[str], store: Path) -> str:
    """One module in a process of its own. Why it failed, or nothing.

    It leaves its entries and how it ended in the folder `store`.
    """
    entries = store / f"{name}.jsonl"
    entries.unlink(missing_ok=True)
    start = time.perf_counter()
    command = [sys.executable, str(HERE / f"{name}.py"), "--entries", str(entries), *options]
    failure = failure_of(command, LONGEST)
    if failure:
        print(f"failed: {failure}", flush=True)
    end = {
        "when": datetime.date.today().isoformat(),
        "seconds": time.perf_counter() - start,
        "failure": failure,
    }
    (store / f"{name}.json").write_text(json.dumps(end))
    return failure


def failure_of(command: list[str], longest: float) -> str:
    """Run a command for `longest` seconds at most; why it failed, in a sentence, or nothing."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            _, complaints = process.communicate(timeout=longest)
        except subprocess.TimeoutExpired:
            process.kill()
            return f"It had not come to an end after {longest:.0f} s."
    if process.returncode < 0:
        return f"It was ended by signal {-process.returncode}."
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    said = lines[-1] if lines else "It said nothing."
    return f"Status {process.returncode}: {said}" if process.returncode else ""


def stored_sections(store: Path) -> list[Section]:
    """What each module found when it ran last, in the order of `MODULES`."""
    return [
        Section.of(
            HERE / f"{name}.py",
            read_entries(store / f"{name}.jsonl"),
            **json.loads((store / f"{name}.json").read_text()),
        )
        for name in MODULES
        if (store / f"{name}.json").exists()
    ]


if __name__ == "__main__":
    sys.exit(main())
