"""`napari-sparse-gmm fit`: a table of points, or many."""

import argparse
import glob
import hashlib
import os
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparse_gmm import parameters
from napari_sparse_gmm.cli.chunked import add_chunked, fit_chunked, is_chunked
from napari_sparse_gmm.cli.options import (
    FIT_OPTIONS,
    add_option,
    add_table,
    read_table,
    settings_of,
)
from napari_sparse_gmm.cli.output import (
    PROGRAM,
    Progress,
    describe,
    report,
    say_written,
    show_warning,
)
from napari_sparse_gmm.errors import InputError

if TYPE_CHECKING:
    from napari_sparse_gmm.io.tables import PointTable
    from napari_sparse_gmm.many_files import Job
    from napari_sparse_gmm.regions import Region


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "fit",
        help="fit a table of points",
        description="Fit a table of points. Writes model.json, components.csv, density.tif and "
        "density.png.",
    )
    parser.set_defaults(run=run)
    add_table(parser, several=True)
    parser.add_argument("--weight", metavar="NAME", help="column of how often each point counts")
    parser.add_argument(
        "--group",
        metavar="NAME",
        help="column whose values tell groups apart (frame, channel, cell): each is fitted by "
        "itself, and has a folder of its own",
    )
    parser.add_argument(
        "--merge-gap",
        type=int,
        metavar="N",
        help="merge localizations of a molecule before the fit: those near each other, with at "
        "most so many frames between them (default: none are merged)",
    )
    parser.add_argument(
        "--merge-radius",
        type=float,
        metavar="NUMBER",
        help="how near, in the unit of the coordinates (default: 3.5 times the precision)",
    )
    parser.add_argument(
        "--frame",
        metavar="NAME",
        help="column of the frame that each was seen in (default: frame)",
    )
    for option, parameter, read in FIT_OPTIONS:
        add_option(parser, option, parameter, read)
    parser.add_argument(
        "--region",
        metavar="FILE",
        help="where points could have been, and the background is: 'hull', their convex hull, or "
        "a Shapes layer that napari has saved as CSV, GeoJSON or a TIFF image of labels, along the "
        "last two axes; points outside of it are left out. Each outline, or label, has a row in "
        "regions.csv (default: their bounding box)",
    )
    parser.add_argument(
        "--region-pixel-size",
        type=float,
        metavar="NUMBER",
        help="what a pixel of that file measures in the unit of the points, where it is in pixels; "
        "the centre of the first one is at 0",
    )
    parser.add_argument(
        "--each-region",
        action="store_true",
        help="fit each outline, or label, by itself, to a folder of its own, in place of one fit "
        "of all",
    )
    add_option(parser, "--pixel-size", parameters.PIXEL_SIZE, float)
    add_chunked(parser)
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="of several inputs, fit so many at the same time (default: %(default)s)",
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to write to")


def run(options: argparse.Namespace) -> None:
    """Fit the input; or of several each by itself."""
    if options.jobs < 1:
        raise InputError(f"--jobs must be at least 1, not {options.jobs}.")
    first, *more = options.input
    if not more and (Path(first).exists() or not glob.has_magic(first)):
        options.input = first
        _fit(options)
        return

    from napari_sparse_gmm import many_files
    from napari_sparse_gmm.io.tables import write_table

    # Where the results are written, and by how many at once, makes no difference to them.
    beside = {"input", "out", "jobs", "run", "n_threads"}
    given = {name: value for name, value in vars(options).items() if name not in beside}
    if options.region is not None and Path(options.region).is_file():
        given["region"] = hashlib.sha256(Path(options.region).read_bytes()).hexdigest()
    folder = Path(options.out)
    jobs = many_files.jobs_of(options.input, folder, given)
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

    problems = many_files.run(
        left, partial(_fit_job, options), n_processes=options.jobs, on_done=tell
    )
    path = folder / "summary.csv"
    write_table(path, many_files.summary(jobs, problems))
    print(f"written to {path}")
    if problems:
        names = ", ".join(map(str, problems))
        raise InputError(f"{len(problems)} of {len(jobs)} files could not be fitted: {names}.")


def _fit_job(options: argparse.Namespace, job: "Job") -> None:
    """Fit one of several files, without a word."""
    own = {**vars(options), "input": str(job.input), "out": str(job.folder)}
    with redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.showwarning = show_warning  # in a process of its own there is another one
        _fit(argparse.Namespace(**own))


def _fit(options: argparse.Namespace) -> None:
    if is_chunked(options):
        fit_chunked(options)
        return
    merges = options.merge_gap is not None
    if not merges and (options.merge_radius is not None or options.frame is not None):
        raise InputError("--merge-radius and --frame say how to merge: give --merge-gap, too.")
    if options.frame is None:
        options.frame = "frame" if merges else "auto"
    table = read_table(options, "weight", "frame")
    if merges:
        table = _merged(table, options.merge_gap, options.merge_radius)
    settings, regions = settings_of(options), None
    if options.region is not None:
        table, region, regions = _within(table, options)
        settings[parameters.BACKGROUND.name] = options.background and region
    elif options.each_region or options.region_pixel_size is not None:
        raise InputError(
            "--each-region and --region-pixel-size are about a --region: give it, too."
        )
    inputs = [path for path in (options.input, options.region) if path is not None]
    fit_and_write(
        table,
        settings,
        options.input,
        Path(options.out),
        inputs,
        options.pixel_size or None,
        regions,
        options.each_region,
    )


def _merged(table: "PointTable", gap: int, radius: float | None) -> "PointTable":
    """With localizations of a molecule as one, within each group."""
    from napari_sparse_gmm.batch import merged_table

    merged = merged_table(table, gap, radius)
    print(
        f"{len(table.points):,} localizations merged to {len(merged.points):,}: "
        f"{len(table.points) / len(merged.points):.2g} each"
    )
    return merged


def _within(
    table: "PointTable", options: argparse.Namespace
) -> "tuple[PointTable, Region, Mapping[str, Region] | None]":
    """The points of a table that lie in a region, the region, and those of which it is made."""
    from napari_sparse_gmm.io.regions import read_regions
    from napari_sparse_gmm.regions import Hull, over, over_each, region_labels, union

    points, what = table.points, options.region
    if what == "hull":
        if options.each_region or options.region_pixel_size is not None:
            raise InputError("The convex hull is one region, and not of a file.")
        return table, Hull(points), None
    each = read_regions(what, options.region_pixel_size)
    region, inside = over(union(list(each.values())), points)
    if not inside.any():
        raise InputError(f"No point lies in the region of {what}.")
    if not inside.all():
        n = int((~inside).sum())
        print(f"{n} of {len(points)} points lie outside of the region and are left out")
    table, each = table.subset(inside), over_each(each, region)
    if options.each_region:
        if table.groups is not None:
            raise InputError("--group and --each-region both say what to fit apart: give one.")
        groups = region_labels(table.points, each)
        each = {name: each[name] for name in each if name in set(groups.tolist())}
        table = replace(table, groups=groups)
    return table, region, each


def fit_and_write(
    table: "PointTable",
    settings: Mapping[str, Any],
    source: str,
    folder: Path,
    inputs: Sequence[str] = (),
    pixel_size: float | None = None,
    regions: "Mapping[str, Region] | None" = None,
    each_region: bool = False,
) -> None:
    """Fit and write, with a progress bar on a terminal, and say what came out."""
    from napari_sparse_gmm.batch import fit_to_folder

    started = time.perf_counter()
    with Progress(settings.get("max_iter", parameters.MAX_ITER.default)) as progress:
        fits = fit_to_folder(
            table,
            settings,
            folder,
            source=source,
            inputs=[Path(path) for path in inputs],
            pixel_size=pixel_size,
            regions=regions,
            each_region=each_region,
            on_step=progress.show,
            on_wait=progress.say,
        )
    seconds = time.perf_counter() - started
    describe(source, len(table.points), table)
    for fit in fits:
        name = "" if table.groups is None else f"group {fit.label}: "
        if fit.model is None:
            print(f"{PROGRAM}: warning: {name}{fit.problem}", file=sys.stderr)
            continue
        assert fit.engine is not None  # there is a model of it
        report(fit.model, fit.engine, name)
    models = [fit.model for fit in fits if fit.model is not None]
    where = "" if table.groups is None else f"a folder for each of {len(models)} groups, in each "
    say_written(models[0], folder, seconds, where, ", regions.csv" if regions else "")
