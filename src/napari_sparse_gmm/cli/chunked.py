"""`fit` of points that are more than there is memory for."""

import argparse
import logging
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_sparse_gmm.cli.options import ranges_of, settings_of
from napari_sparse_gmm.cli.output import PROGRAM, Progress, describe, report, say_written
from napari_sparse_gmm.cli.signals import ending_at_sigterm
from napari_sparse_gmm.errors import EngineLost, InputError


def add_chunked(parser: argparse.ArgumentParser) -> None:
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


def is_chunked(options: argparse.Namespace) -> bool:
    """Whether points are to be read in chunks."""
    from napari_sparse_gmm.io.formats import is_folder_of_tables

    asked = (
        options.memory,
        options.scratch,
        options.workers,
        options.scheduler,
        options.checkpoint_minutes,
    )
    return (
        any(one is not None for one in asked)
        or options.resume
        or is_folder_of_tables(options.input)
    )


def fit_chunked(options: argparse.Namespace) -> None:
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
        options.x,
        options.y,
        options.z,
        options.weight,
        precision,
        options.precision_z,
        ranges=ranges_of(options),
        unit=options.unit,
    )
    table = open_chunked(options.input, names)
    started = time.perf_counter()
    try:
        with _client(options) as client, ending_at_sigterm(), Progress() as progress:
            model, engine = fit_chunked_to_folder(
                table,
                settings_of(options),
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
    describe(options.input, n, table)
    report(model, engine, "")
    say_written(model, folder, time.perf_counter() - started)


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
