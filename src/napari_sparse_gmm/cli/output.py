"""What the command line says."""

import sys
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from napari_sparse_gmm import parameters
from napari_sparse_gmm.wording import cut_by_edge, repeated

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Engine
    from napari_sparse_gmm.estimator import SparseGaussianMixture
    from napari_sparse_gmm.fitting import FitStep
    from napari_sparse_gmm.io.chunked_tables import ChunkedTable
    from napari_sparse_gmm.io.tables import PointTable

PROGRAM = "napari-sparse-gmm"


def progress_bar(total: int, unit: str = "it") -> Any:
    """A bar of tqdm, which is seen on a terminal only."""
    from tqdm import tqdm

    hidden = sys.stderr is None or not sys.stderr.isatty()
    return tqdm(total=total, leave=False, unit=unit, disable=hidden)


class Progress:
    """A progress bar on a terminal."""

    def __init__(self, total: int = parameters.MAX_ITER.default) -> None:
        self._bar = progress_bar(total)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, step: "FitStep") -> None:
        """Where a fit is."""
        text = f"cost {step.cost:.5f}, {step.n_components} components"
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(step.iteration - self._bar.n)

    def say(self, sentence: str) -> None:
        """What else it is about, in a line."""
        self._bar.write(f"{sentence}.", file=sys.stderr)


def describe(source: str, n_points: int, table: "PointTable | ChunkedTable") -> None:
    """What was fitted."""
    unit = f" in {table.unit}" if table.unit else ""
    columns = f", precision from {' and '.join(table.precision)}" if table.precision else ""
    print(f"{source}: {n_points:,} points, axes {', '.join(table.axis_labels)}{unit}{columns}")


def say_written(
    model: "SparseGaussianMixture", folder: Path, seconds: float, where: str = "", more: str = ""
) -> None:
    """What computed it, and where the results are."""
    print(
        f"engine {model.engine_}: {model.engine_reason_}\n"
        f"written to {folder} ({seconds:.1f} s): {where}model.json, components.csv, density.tif, "
        f"density.png{more}"
    )


def report(model: "SparseGaussianMixture", engine: "Engine", name: str) -> None:
    """What was found in a group of points, or in all."""
    from napari_sparse_gmm.blinking import count_molecules

    print(
        f"{name}{model.n_components_} components, {model.background_weight_:.1%} background, "
        f"cost {model.cost_:.6g} after {model.n_iter_} iterations"
    )
    n = engine.summary.total_weight * model.repeats_
    molecules = None
    if model.repeats is None:  # read off the points
        molecules = astuple(count_molecules(n, model.repeats_))
    if sentence := repeated(model.repeats_, molecules):
        print(f"{name}{sentence}")
    if sentence := cut_by_edge(model.seen_.tolist(), n / model.share_seen_ - n):
        print(f"{name}{sentence}")
    if not model.converged_:
        print(
            f"{PROGRAM}: warning: {name}the fit stopped after {model.n_iter_} iterations before "
            "it converged; raise --max-iter.",
            file=sys.stderr,
        )


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning in one line, without the line of source."""
    print(f"{PROGRAM}: warning: {message}", file=sys.stderr)
