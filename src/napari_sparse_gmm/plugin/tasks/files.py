"""Many files fitted one after the other, in a thread.

What comes of them is what the command line writes: a folder each, and summary.csv.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from napari_sparse_gmm.plugin.tasks.task import Progress, Work, guarded, no_fallback_warning
from napari_sparse_gmm.ranges import Range

if TYPE_CHECKING:
    from napari_sparse_gmm.many_files import Job

WAITING, RUNNING, DONE, BEFORE = "waiting", "fitting", "done", "done before"


@dataclass(frozen=True)
class FileProgress(Progress):
    """And how far one of the files is: its number, and a few words."""

    index: int = 0
    state: str = WAITING


@dataclass(frozen=True)
class FileSettings:
    """How each file is fitted.

    Parameters
    ----------
    parameters : mapping
        Keywords of `SparseGaussianMixture`.
    ranges : tuple of Range
        Rows outside of one of these are left out.
    precision : str, optional
        Column of the precision; "auto" as `io.tables.read_points` finds it.
    unit : str, optional
        Of the coordinates of files that do not say it.
    """

    parameters: Mapping[str, Any]
    ranges: tuple[Range, ...] = ()
    precision: str | None = "auto"
    unit: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What the results depend on."""
        of_fit = {name: value for name, value in self.parameters.items() if name != "n_threads"}
        ranges = [each.text for each in self.ranges]
        return {**of_fit, "filter": ranges, "precision": self.precision, "unit": self.unit}


class _Stopped(BaseException):
    """Somebody has cancelled; no Exception, which would be what is wrong with the file."""


def fit_files(
    jobs: "Sequence[Job]", settings: FileSettings, folder: Path, stopped: Event
) -> Work[Any]:
    """Fit those that are not done yet, until it is `stopped`, and write summary.csv.

    Returns what is wrong with each file that could not be fitted, by its path.
    """
    return guarded("batch", _fit_files(jobs, settings, folder, stopped))


def _fit_files(
    jobs: "Sequence[Job]", settings: FileSettings, folder: Path, stopped: Event
) -> Work[dict[Path, str]]:
    from napari_sparse_gmm.io.tables import write_table
    from napari_sparse_gmm.many_files import run, summary

    problems: dict[Path, str] = {}
    for index, job in enumerate(jobs):
        text = f"{index} of {len(jobs)} files"
        if job.is_done:
            yield FileProgress(index + 1, len(jobs), text, index=index, state=BEFORE)
            continue
        yield FileProgress(index, len(jobs), text, index=index, state=RUNNING)
        try:
            with no_fallback_warning():
                problem = run([job], partial(_fit, settings, stopped))
        except _Stopped:
            return problems
        problems |= problem
        state = problem.get(job.input, DONE)
        yield FileProgress(index + 1, len(jobs), text, index=index, state=state)
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "summary.csv", dict(summary(jobs, problems)))
    return problems


def _fit(settings: FileSettings, stopped: Event, job: "Job") -> None:
    """Fit a file to its folder."""
    from napari_sparse_gmm.batch import fit_to_folder
    from napari_sparse_gmm.io.tables import read_points

    def go_on(_: object) -> None:
        if stopped.is_set():
            raise _Stopped

    table = read_points(
        job.input, precision=settings.precision, frame="auto", ranges=settings.ranges
    )
    fit_to_folder(
        replace(table, unit=table.unit or settings.unit),
        settings.parameters,
        job.folder,
        source=str(job.input),
        inputs=[job.input],
        on_step=go_on,
        on_wait=go_on,
    )
