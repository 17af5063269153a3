"""The command line: a table in; a model, a table of components and two pictures out.

    napari-sparse-gmm fit localizations.csv --out results
    napari-sparse-gmm fit data/*.csv --out results --jobs 4
    napari-sparse-gmm score results/model.json others.csv --out scored.csv
    napari-sparse-gmm demo

Mistakes of the user are one line on stderr and exit status 2, lost workers status 1; Ctrl-C is
status 130, and SIGTERM 143.
"""

import argparse
import glob
import hashlib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import astuple, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from napari_sparse_gmm import parameters
from napari_sparse_gmm.errors import EngineLost, InputError
from napari_sparse_gmm.parameters import Parameter
from napari_sparse_gmm.wording import cut_by_edge, repeated

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Engine
    from napari_sparse_gmm.estimator import SparseGaussianMixture
    from napari_sparse_gmm.fitting import FitStep
    from napari_sparse_gmm.io.chunked_tables import ChunkedTable
    from napari_sparse_gmm.io.tables import PointTable
    from napari_sparse_gmm.many_files import Job
    from napari_sparse_gmm.regions import Region

PROGRAM = "napari-sparse-gmm"

# Option, the parameter that it sets, and how to read its value; None: a switch and its opposite.
_Option = tuple[str, Parameter, Callable[[str], Any] | None]
_COMPUTING_OPTIONS: tuple[_Option, ...] = (
    ("--engine", parameters.ENGINE, str),
    ("--device", parameters.DEVICE, str),
    ("--threads", parameters.N_THREADS, int),
)
_FIT_OPTIONS: tuple[_Option, ...] = (
    ("--components", parameters.N_COMPONENTS, int),
    ("--sparsity", parameters.SPARSITY, float),
    ("--prior", parameters.PRIOR, str),
    ("--init", parameters.INIT, str),
    ("--solver", parameters.SOLVER, str),
    ("--background", parameters.BACKGROUND, None),
    ("--smooth-background", parameters.SMOOTH_BACKGROUND, None),
    ("--covariance-type", parameters.COVARIANCE_TYPE, str),
    ("--covariance-floor", parameters.COVARIANCE_FLOOR, float),
    ("--covariance-prior", parameters.COVARIANCE_PRIOR, float),
    ("--typical-size", parameters.TYPICAL_SIZE, float),
    ("--repeats", parameters.REPEATS, float),
    ("--max-iter", parameters.MAX_ITER, int),
    ("--random-state", parameters.RANDOM_STATE, int),
    *_COMPUTING_OPTIONS,
)

# Set by tools/with_display.py where the screen is one that nobody sees.
_UNATTENDED = "NAPARI_SPARSE_GMM_UNATTENDED"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # Not every terminal has a µ, and not every name of a file is text.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            options.run(options)
    except _Terminated:
        print(f"{PROGRAM}: ended", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return 130
    except (InputError, OSError) as error:
        print(f"{PROGRAM}: error: {error}{_hint(error)}", file=sys.stderr)
        return 2
    except EngineLost as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    return 0


def _hint(error: Exception) -> str:
    """Which options help, where some do."""
    from napari_sparse_gmm.io.columns import NoCoordinates

    return " Name them by --x, --y and --z." if isinstance(error, NoCoordinates) else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="The density of a set of points as a sparse Gaussian mixture."
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version(PROGRAM)}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    fit = commands.add_parser(
        "fit",
        help="fit a table of points",
        description="Fit a table of points. Writes model.json, components.csv, density.tif and "
        "density.png.",
    )
    fit.set_defaults(run=_fit_all)
    _add_table(fit, several=True)
    fit.add_argument("--weight", metavar="NAME", help="column of how often each point counts")
    fit.add_argument(
        "--group",
        metavar="NAME",
        help="column whose values tell groups apart (frame, channel, cell): each is fitted by "
        "itself, and has a folder of its own",
    )
    fit.add_argument(
        "--merge-gap",
        type=int,
        metavar="N",
        help="merge localizations of a molecule before the fit: those near each other, with at "
        "most so many frames between them (default: none are merged)",
    )
    fit.add_argument(
        "--merge-radius",
        type=float,
        metavar="NUMBER",
        help="how near, in the unit of the coordinates (default: 3.5 times the precision)",
    )
    fit.add_argument(
        "--frame",
        metavar="NAME",
        help="column of the frame that each was seen in (default: frame)",
    )
    for option, parameter, read in _FIT_OPTIONS:
        _add_option(fit, option, parameter, read)
    fit.add_argument(
        "--region",
        metavar="FILE",
        help="where points could have been, and the background is: 'hull', their convex hull, or "
        "a Shapes layer that napari has saved as CSV; points outside of it are left out (default: "
        "their bounding box)",
    )
    _add_option(fit, "--pixel-size", parameters.PIXEL_SIZE, float)
    _add_chunked(fit)
    fit.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="of several inputs, fit so many at the same time (default: %(default)s)",
    )
    fit.add_argument("--out", metavar="DIR", required=True, help="folder to write to")

    score = commands.add_parser(
        "score",
        help="score a table of points with a model",
        description="Find the component of each point of a table, among those of a model that was "
        "fitted to others. Writes the points with their component (-1 is background), its "
        "probability and the log density.",
    )
    score.set_defaults(run=_score)
    score.add_argument("model", metavar="MODEL", help="model.json, or a model saved in napari")
    _add_table(score)
    score.add_argument(
        "--group", metavar="NAME", help="column of the groups, where the model has a mixture each"
    )
    for option, parameter, read in _COMPUTING_OPTIONS:
        _add_option(score, option, parameter, read)
    score.add_argument("--out", metavar="FILE", required=True, help="table to write (CSV)")

    demo = commands.add_parser(
        "demo",
        help="fit the sample data and show it",
        description="Fit simulated localizations, write the four files of `fit`, and show the "
        "result in napari where there is a display.",
    )
    demo.set_defaults(run=_demo)
    demo.add_argument(
        "--out",
        metavar="DIR",
        default="napari-sparse-gmm-demo",
        help="folder to write to (default: %(default)s)",
    )
    return parser


def _add_table(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    more = "; several, or a pattern as 'data/*.csv', have a folder each in DIR" if several else ""
    parser.add_argument(
        "input",
        metavar="INPUT",
        help="table of points of a program that is known, or text with a header line, HDF5 or "
        f"Parquet with columns x and y{more}",
        nargs="+" if several else None,
    )
    for axis in ("x", "y", "z"):
        parser.add_argument(f"--{axis}", metavar="NAME", help=f"column of the {axis} coordinate")
    parser.add_argument(
        "--precision",
        metavar="NAME",
        default="auto",
        help="column of the localization precision, the standard deviation of the coordinates; "
        "components are the shapes without that error (default: the column that a localization "
        "program calls so, where there is one; 'none': not considered)",
    )
    parser.add_argument(
        "--precision-z", metavar="NAME", help="the same of z alone, where it is another one"
    )


def _add_chunked(parser: argparse.ArgumentParser) -> None:
    chunked = parser.add_argument_group(
        "points that are more than there is memory for",
        "They are read in chunks, sorted in space in a scratch folder, and fitted from there, by "
        "this process or by workers of Dask. INPUT may then be a folder of tables, too.",
    )
    chunked.add_argument(
        "--memory",
        type=_bytes,
        metavar="SIZE",
        help="what this process may take, as 8GB; points that fit in are held in memory (default: "
        "half of what is free)",
    )
    chunked.add_argument(
        "--scratch",
        metavar="DIR",
        help="folder for the sorted points; workers on other machines must see it, too (default: "
        "that of temporary files)",
    )
    chunked.add_argument("--workers", type=int, metavar="N", help="start so many workers here")
    chunked.add_argument("--scheduler", metavar="ADDRESS", help="use the workers of this one")
    chunked.add_argument(
        "--resume",
        action="store_true",
        help="go on with a fit to DIR that was interrupted, to the same answer",
    )
    chunked.add_argument(
        "--checkpoint-minutes",
        type=float,
        metavar="NUMBER",
        help="how often what is known is kept in DIR/checkpoints (default: 5)",
    )


def _bytes(text: str) -> int:
    """A number of bytes, as 8GB or 500MB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it as 8GB or 500MB")
    number, prefix, binary = found.groups()
    return round(float(number) * (1024 if binary else 1000) ** " KMGT".index(prefix.upper() or " "))


def _add_option(
    parser: argparse.ArgumentParser,
    option: str,
    parameter: Parameter,
    read: Callable[[str], Any] | None,
) -> None:
    text = parameter.help.replace("%", "%%")
    default = parameters.SEED if parameter is parameters.RANDOM_STATE else parameter.default
    if read is None:
        parser.add_argument(
            option,
            dest=parameter.name,
            action=argparse.BooleanOptionalAction,
            default=default,
            help=text,
        )
        return
    parser.add_argument(
        option,
        dest=parameter.name,
        type=read,
        default=default,
        choices=parameter.choices,
        metavar=None if parameter.choices else "N" if read is int else "NUMBER",
        help=text + ("" if default is None else " (default: %(default)s)"),
    )


def _fit_all(options: argparse.Namespace) -> None:
    """Fit the input; or of several each by itself."""
    if options.jobs < 1:
        raise InputError(f"--jobs must be at least 1, not {options.jobs}.")
    first, *more = options.input
    if not more and (Path(first).exists() or not glob.has_magic(first)):
        options.input = first
        _fit(options)
        return

    from napari_sparse_gmm.io.tables import write_table
    from napari_sparse_gmm.many_files import jobs_of, run, summary

    # Where the results are written, and by how many at once, makes no difference to them.
    beside = {"input", "out", "jobs", "run", "n_threads"}
    given = {name: value for name, value in vars(options).items() if name not in beside}
    if options.region is not None and Path(options.region).is_file():
        given["region"] = hashlib.sha256(Path(options.region).read_bytes()).hexdigest()
    folder = Path(options.out)
    jobs = jobs_of(options.input, folder, given)
    left = [job for job in jobs if not job.is_done]
    if len(left) < len(jobs):
        print(f"{len(jobs) - len(left)} of {len(jobs)} files are done already")
    folder.mkdir(parents=True, exist_ok=True)
    if options.jobs > 1:
        os.environ["TQDM_DISABLE"] = "1"  # of several bars at once nobody could read one
        if options.n_threads is None:
            options.n_threads = max(1, (os.cpu_count() or 1) // options.jobs)
    n_ended = 0

    def tell(job: "Job", problem: str) -> None:
        nonlocal n_ended
        n_ended += 1
        print(f"{n_ended} of {len(left)}: {job.input}: {problem or 'done'}", flush=True)

    problems = run(left, partial(_fit_job, options), n_processes=options.jobs, on_done=tell)
    path = folder / "summary.csv"
    write_table(path, summary(jobs, problems))
    print(f"written to {path}")
    if problems:
        names = ", ".join(map(str, problems))
        raise InputError(f"{len(problems)} of {len(jobs)} files could not be fitted: {names}.")


def _fit_job(options: argparse.Namespace, job: "Job") -> None:
    """Fit one of several files, without a word."""
    own = {**vars(options), "input": str(job.input), "out": str(job.folder)}
    with redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.showwarning = _show_warning  # in a process of its own there is another one
        _fit(argparse.Namespace(**own))


def _fit(options: argparse.Namespace) -> None:
    if _is_chunked(options):
        _fit_chunked(options)
        return
    merges = options.merge_gap is not None
    if not merges and (options.merge_radius is not None or options.frame is not None):
        raise InputError("--merge-radius and --frame say how to merge: give --merge-gap, too.")
    if merges and options.frame is None:
        options.frame = "frame"
    table = _read(options, "weight", "frame")
    if merges:
        table = _merged(table, options.merge_gap, options.merge_radius)
    settings = _settings(options)
    if options.region is not None:
        table, region = _within(table, options.region)
        settings[parameters.BACKGROUND.name] = options.background and region
    inputs = [path for path in (options.input, options.region) if path is not None]
    _run(table, settings, options.input, Path(options.out), inputs, options.pixel_size or None)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return {parameter.name: getattr(options, parameter.name) for _, parameter, _ in _FIT_OPTIONS}


def _is_chunked(options: argparse.Namespace) -> bool:
    """Whether points are to be read in chunks."""
    asked = (
        options.memory,
        options.scratch,
        options.workers,
        options.scheduler,
        options.checkpoint_minutes,
    )
    return any(one is not None for one in asked) or options.resume or Path(options.input).is_dir()


def _fit_chunked(options: argparse.Namespace) -> None:
    """Fit points in chunks: here, by workers that are started here, or by those of a scheduler."""
    from napari_sparse_gmm.batch import fit_chunked_to_folder
    from napari_sparse_gmm.engines import Storage
    from napari_sparse_gmm.engines.checkpoints import Checkpoints
    from napari_sparse_gmm.io.chunked_tables import open_chunked
    from napari_sparse_gmm.io.tables import ColumnNames

    for option in ("group", "merge_gap", "merge_radius", "frame", "region"):
        if getattr(options, option) is not None:
            raise InputError(
                f"--{option.replace('_', '-')} needs all points in memory: leave it out, or the "
                "options for points in chunks."
            )
    if options.workers is not None and options.scheduler is not None:
        raise InputError("--workers starts some here, and --scheduler has its own: give one.")
    folder = Path(options.out)
    checkpoints = Checkpoints(folder / "checkpoints", resume=options.resume)
    if (minutes := options.checkpoint_minutes) is not None:
        if not minutes >= 0:
            raise InputError(f"--checkpoint-minutes must be at least 0, not {minutes:g}.")
        checkpoints = replace(checkpoints, every=60.0 * minutes)
    if checkpoints.exist and not options.resume:
        raise InputError(
            f"{checkpoints.folder} has checkpoints of a fit that was interrupted: go on with it by "
            "--resume, or remove that folder."
        )
    precision = None if options.precision == "none" else options.precision
    names = ColumnNames(
        options.x, options.y, options.z, options.weight, precision, options.precision_z
    )
    table = open_chunked(options.input, names)
    started = time.perf_counter()
    try:
        with _client(options) as client, _ending_at_sigterm(), _Progress() as progress:
            model, engine = fit_chunked_to_folder(
                table,
                _settings(options),
                folder,
                source=options.input,
                storage=Storage(options.scratch, options.memory, client),
                checkpoints=checkpoints,
                inputs=table.files,
                pixel_size=options.pixel_size or None,
                on_step=progress.show,
                on_wait=progress.say,
            )
    except (KeyboardInterrupt, EngineLost, OSError):
        if checkpoints.exist:
            print(
                f"{PROGRAM}: what is known is in {checkpoints.folder}: the same command with "
                "--resume goes on from there.",
                file=sys.stderr,
            )
        raise
    n = round(engine.summary.total_weight * engine.repeats)
    _describe(options.input, n, table)
    _report(model, engine, "")
    _written(model, folder, time.perf_counter() - started)


@contextmanager
def _client(options: argparse.Namespace) -> Iterator[Any]:
    """The client of the workers that the options name; None where they name none."""
    if options.workers is None and options.scheduler is None:
        yield None
        return
    from napari_sparse_gmm.engines.storage import connected, needs_dask

    if options.scheduler is not None:
        with connected(options.scheduler) as client:
            yield client
        return
    with needs_dask():
        import distributed
    if options.workers < 1:
        raise InputError(f"--workers must be at least 1, not {options.workers}.")
    memory = "auto" if options.memory is None else options.memory // options.workers
    with (
        distributed.LocalCluster(
            n_workers=options.workers,
            threads_per_worker=1,
            memory_limit=memory,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it before they end a program."""


@contextmanager
def _ending_at_sigterm() -> Iterator[None]:
    """Let SIGTERM end what is in this block as Ctrl-C does."""

    def end(*_: object) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _read(options: argparse.Namespace, *more: str) -> "PointTable":
    """The table of points that the options name."""
    from napari_sparse_gmm.io.tables import read_points

    names = ("x", "y", "z", "precision", "precision_z", "group", *more)
    columns = {name: getattr(options, name) for name in names}
    if columns["precision"] == "none":
        columns["precision"] = None
    table = read_points(options.input, **columns)
    for sentence in table.notes:
        print(f"{PROGRAM}: warning: {sentence}", file=sys.stderr)
    return table


def _merged(table: "PointTable", gap: int, radius: float | None) -> "PointTable":
    """With localizations of a molecule as one, within each group."""
    from napari_sparse_gmm.batch import merged_table

    merged = merged_table(table, gap, radius)
    print(
        f"{len(table.points):,} localizations merged to {len(merged.points):,}: "
        f"{len(table.points) / len(merged.points):.2g} each"
    )
    return merged


def _within(table: "PointTable", what: str) -> "tuple[PointTable, Region]":
    """The points of a table that lie in a region, and the region."""
    from napari_sparse_gmm.io.regions import read_region
    from napari_sparse_gmm.regions import Hull, over

    points = table.points
    if what == "hull":
        return table, Hull(points)
    region, inside = over(read_region(what), points)
    if not inside.any():
        raise InputError(f"No point lies in the region of {what}.")
    if not inside.all():
        n = int((~inside).sum())
        print(f"{n} of {len(points)} points lie outside of the region and are left out")
    return table.subset(inside), region


def _score(options: argparse.Namespace) -> None:
    from napari_sparse_gmm.batch import score_to_file
    from napari_sparse_gmm.io.models import load_model

    model = load_model(options.model)
    table = _read(options)
    computing = {
        parameter.name: getattr(options, parameter.name) for _, parameter, _ in _COMPUTING_OPTIONS
    }
    # Beside a file of Picasso lies one with its pixel size.
    table_path = Path(options.input)
    inputs = [Path(options.model), table_path, table_path.with_suffix(".yaml")]
    sentence = score_to_file(model, table, Path(options.out), inputs=inputs, **computing)
    print(f"{options.input}: {sentence}\nwritten to {options.out}")


def _demo(options: argparse.Namespace) -> None:
    from napari_sparse_gmm.io.tables import PointTable
    from napari_sparse_gmm.observations import Observations
    from napari_sparse_gmm.samples import smlm_clusters

    sample = smlm_clusters()
    precision = sample.features["precision"][:, None].repeat(2, axis=1)
    labels = sample.axis_labels
    observations = Observations.of(sample.points, noise_std=precision)
    table = PointTable(observations, labels, labels, sample.unit, precision=("precision",))
    folder = Path(options.out)
    settings = {parameters.RANDOM_STATE.name: parameters.SEED}
    _run(table, settings, "sample smlm_clusters", folder)
    if obstacle := _viewer_obstacle():
        print(f"The viewer stays closed: {obstacle}")
        return

    from napari_sparse_gmm.plugin.demo import show_demo

    if os.environ.get(_UNATTENDED):
        screenshot = folder / "viewer.png"
        show_demo(screenshot=screenshot)
        print(f"Nobody sees this screen; what it showed is in {screenshot}")
    else:
        show_demo()


def _viewer_obstacle() -> str | None:
    """Why napari cannot open a window here, as a sentence; None where it can."""
    if not any(find_spec(binding) for binding in ("PyQt6", "PySide6", "PyQt5")):
        return "napari lacks a Qt binding (python -m pip install 'napari[all]' brings one)."
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform == "linux" and not has_display:
        return "there is no display."
    # One that is there no more would end this program, so another one tries it.
    tried = subprocess.run(
        [sys.executable, "-c", "from qtpy.QtWidgets import QApplication; QApplication([])"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if tried.returncode:
        why = next((line for line in tried.stderr.splitlines() if line.strip()), "it says not why")
        return f"its display does not open ({why})."
    return None


def _run(
    table: "PointTable",
    settings: Mapping[str, Any],
    source: str,
    folder: Path,
    inputs: Sequence[str] = (),
    pixel_size: float | None = None,
) -> None:
    """Fit and write, with a progress bar on a terminal, and say what came out."""
    from napari_sparse_gmm.batch import fit_to_folder

    started = time.perf_counter()
    with _Progress(settings.get("max_iter", parameters.MAX_ITER.default)) as progress:
        fits = fit_to_folder(
            table,
            settings,
            folder,
            source=source,
            inputs=[Path(path) for path in inputs],
            pixel_size=pixel_size,
            on_step=progress.show,
            on_wait=progress.say,
        )
    seconds = time.perf_counter() - started
    _describe(source, len(table.points), table)
    for fit in fits:
        name = "" if table.groups is None else f"group {fit.label}: "
        if fit.model is None:
            print(f"{PROGRAM}: warning: {name}{fit.problem}", file=sys.stderr)
            continue
        assert fit.engine is not None  # there is a model of it
        _report(fit.model, fit.engine, name)
    models = [fit.model for fit in fits if fit.model is not None]
    where = "" if table.groups is None else f"a folder for each of {len(models)} groups, in each "
    _written(models[0], folder, seconds, where)


class _Progress:
    """A progress bar on a terminal."""

    def __init__(self, total: int = parameters.MAX_ITER.default) -> None:
        from tqdm import tqdm

        hidden = sys.stderr is None or not sys.stderr.isatty()
        self._bar = tqdm(total=total, leave=False, unit="it", disable=hidden)

    def __enter__(self) -> "_Progress":
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


def _describe(source: str, n_points: int, table: "PointTable | ChunkedTable") -> None:
    """What was fitted."""
    unit = f" in {table.unit}" if table.unit else ""
    columns = f", precision from {' and '.join(table.precision)}" if table.precision else ""
    print(f"{source}: {n_points:,} points, axes {', '.join(table.axis_labels)}{unit}{columns}")


def _written(model: "SparseGaussianMixture", folder: Path, seconds: float, where: str = "") -> None:
    """What computed it, and where the results are."""
    print(
        f"engine {model.engine_}: {model.engine_reason_}\n"
        f"written to {folder} ({seconds:.1f} s): {where}model.json, components.csv, density.tif, "
        "density.png"
    )


def _report(model: "SparseGaussianMixture", engine: "Engine", name: str) -> None:
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


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning in one line, without the line of source."""
    print(f"{PROGRAM}: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
