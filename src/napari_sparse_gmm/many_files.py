"""Many files, each fitted to a folder of its own, and a table of what came of all.

With a function that fits the file of a job to its folder::

    jobs = jobs_of(["a.csv", "b.csv"], Path("results"), {"prior": "bayes"})
    problems = run([job for job in jobs if not job.is_done], fit)
    write_table("results/summary.csv", summary(jobs, problems))

What is done already is left as it is: the same bytes, fitted by the same options and version. So a
run that was interrupted goes on where it was, and ends with the same table.
"""

import glob
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from napari_sparse_gmm.errors import EngineLost, InputError
from napari_sparse_gmm.io.models import load_model
from napari_sparse_gmm.numbers import numbers, region_table
from napari_sparse_gmm.writing import whole_file

# What was fitted is noted in such a file, beside the results.
DONE, MODEL = "input.json", "model.json"


@dataclass(frozen=True)
class Job:
    """A file, and the folder of its results.

    Parameters
    ----------
    input, folder : Path
    options : mapping
        What the fit depends on, besides: numbers, words and None.
    """

    input: Path
    folder: Path
    options: Mapping[str, Any]

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the results depend on."""
        with self.input.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        options = json.loads(json.dumps(dict(self.options)))
        return {"sha256": digest, "options": options, "version": version("napari-sparse-gmm")}

    @property
    def is_done(self) -> bool:
        """Whether the folder has the results."""
        try:
            noted = json.loads((self.folder / DONE).read_text(encoding="utf-8"))
            return bool(noted == self.about) and any(self.models)
        except (OSError, ValueError):
            return False

    @property
    def models(self) -> list[Path]:
        """The model in the folder, or those of its groups."""
        if self.options.get("group") is not None or self.options.get("each_region"):
            return sorted(self.folder.glob(f"*/{MODEL}"))
        alone = self.folder / MODEL
        return [alone] if alone.exists() else []

    def note(self) -> None:
        """That the folder has the results."""
        with whole_file(self.folder / DONE) as path:
            path.write_text(json.dumps(self.about, indent=1), encoding="utf-8")


def jobs_of(inputs: Sequence[str], folder: Path, options: Mapping[str, Any]) -> list[Job]:
    """A job for each of the files, which may be patterns, as data/*.csv, in the order of the names.

    Raises
    ------
    InputError
        Where a pattern means no file, one is a folder, or two would have the same folder of
        results.
    """
    paths: dict[Path, None] = {}
    for text in inputs:
        if Path(text).is_dir():
            raise InputError(f"{text} is a folder, which is one table: fit it by itself.")
        found = [text]
        if not Path(text).exists() and glob.has_magic(text):
            found = sorted(glob.glob(text, recursive=True))
            if not found:
                raise InputError(f"There is no file {text!r}.")
        paths |= dict.fromkeys(Path(one) for one in found if not Path(one).is_dir())
    if not paths:
        raise InputError(f"There is no file {inputs[0]!r}, but folders only.")
    names = [path.stem for path in paths]
    for longer in (lambda path: path.name, lambda path: f"{path.parent.name}_{path.name}"):
        number = Counter(name.casefold() for name in names)
        names = [
            name if number[name.casefold()] == 1 else longer(path)
            for name, path in zip(names, paths, strict=True)
        ]
    if len({name.casefold() for name in names}) < len(names):
        raise InputError(
            "Several of the files have the same name and the same folder's name, and would have "
            "the same folder of results: rename some."
        )
    return [Job(path, folder / name, options) for path, name in zip(paths, names, strict=True)]


def run(
    jobs: Sequence[Job],
    fit: Callable[[Job], None],
    *,
    n_processes: int = 1,
    on_done: Callable[[Job, str], object] = lambda job, problem: None,
) -> dict[Path, str]:
    """Do the jobs; returns for each input that could not be fitted why, in a sentence.

    Parameters
    ----------
    jobs : sequence of Job
    fit : callable
        Fits one to its folder; with several processes one that can be pickled.
    n_processes : int
        How many are done at the same time.
    on_done : callable
        Called with each job as it ends, and with what is wrong; "" where nothing.
    """
    problems: dict[Path, str] = {}
    done = _one_by_one if n_processes == 1 else _side_by_side
    for job, problem in done(jobs, fit, n_processes):
        if problem:
            problems[job.input] = problem
        on_done(job, problem)
    return problems


def _one_by_one(
    jobs: Sequence[Job], fit: Callable[[Job], None], _: int
) -> Iterator[tuple[Job, str]]:
    for job in jobs:
        yield job, _problem(fit, job)


def _side_by_side(
    jobs: Sequence[Job], fit: Callable[[Job], None], n_processes: int
) -> Iterator[tuple[Job, str]]:
    """Where a process ends, as for want of memory, those that were at work are done again, one at
    a time: so it is known which one it was.
    """
    left, suspects = list(reversed(jobs)), list[Job]()
    while left or suspects:
        alone = not left
        at_once = 1 if alone else n_processes
        queue = suspects if alone else left
        with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as pool:
            running: dict[Future[str], Job] = {}
            try:
                while queue or running:
                    while queue and len(running) < at_once:
                        running[pool.submit(_problem, fit, queue[-1])] = queue[-1]
                        queue.pop()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        problem = future.result()
                        yield running.pop(future), problem
            except BrokenProcessPool:
                if not alone:
                    suspects += running.values()
                    continue
                for job in running.values():
                    yield job, "Its process was ended, as happens for want of memory."


def _problem(fit: Callable[[Job], None], job: Job) -> str:
    """Fit one; returns what is wrong, "" where nothing."""
    try:
        # Until the new results are there the folder may have those of both.
        (job.folder / DONE).unlink(missing_ok=True)
        fit(job)
        job.note()
    except (InputError, EngineLost, OSError) as error:
        return str(error)
    except Exception as error:  # a mistake of the program's: it costs this file, and no other
        return f"{type(error).__name__}: {error}"
    return ""


def summary(jobs: Iterable[Job], problems: Mapping[Path, str]) -> pd.DataFrame:
    """A row for each file, or for each group or region in it, in the order of the jobs."""
    rows = []
    for job in jobs:
        told = {"file": str(job.input), "group": ""}
        if job.input in problems:
            rows.append({**told, "problem": problems[job.input]})
            continue
        for path in job.models:
            group = "" if path.parent == job.folder else path.parent.name
            model = load_model(path)
            found = pd.DataFrame(region_table(model)).to_dict("records") or [numbers(model)]
            rows += [{**told, "group": group, **row, "problem": ""} for row in found]
    frame = pd.DataFrame(rows)
    if "group" in frame and not frame["group"].any():
        frame = frame.drop(columns="group")
    # What is wrong stands last, whatever came first.
    return frame[[*(name for name in frame if name != "problem"), "problem"]]
