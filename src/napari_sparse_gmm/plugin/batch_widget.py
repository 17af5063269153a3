"""The dock widget "Sparse GMM batch": every table in a folder, each fitted by itself.

It takes the settings of the dock "Sparse GMM density" of the same viewer, and writes what the
command line writes: a folder for each file, and summary.csv.
"""

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from magicgui.widgets import FileEdit, LineEdit, PushButton
from qtpy.QtCore import Qt

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.units import symbol_of
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget
from napari_sparse_gmm.plugin.form.fit_fields import default_keywords
from napari_sparse_gmm.plugin.form.task_form import TaskWidget
from napari_sparse_gmm.plugin.preferences import preferences
from napari_sparse_gmm.plugin.qt.sheet import Sheet
from napari_sparse_gmm.plugin.qt.status_line import status_line
from napari_sparse_gmm.plugin.tasks.files import (
    BEFORE,
    DONE,
    RUNNING,
    WAITING,
    FileProgress,
    FileSettings,
    fit_files,
)
from napari_sparse_gmm.plugin.tasks.pacing import Clock
from napari_sparse_gmm.plugin.tasks.task import Progress
from napari_sparse_gmm.wording import count

NO_FOLDER = "Choose the folder of the tables."
OF_DENSITY = (
    "parameters, precision, unit{} of Sparse GMM density; not its region, weights or groups"
)
DEFAULTS = "the defaults; open Sparse GMM density to choose others"
CANCELLED = "Cancelled. Run goes on with the files that are not done."
NOT_FITTED = "Select a file that is done in the table."

_PLUGIN = "napari-sparse-gmm"


class SparseGMMBatch(TaskWidget):
    """Fit the tables in a folder.

    Every field is a public attribute.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    clock : Clock, optional
        By default that of the window.
    """

    def __init__(
        self,
        napari_viewer: "napari.viewer.Viewer",  # type: ignore[name-defined]  # noqa: F821
        clock: Clock | None = None,
    ) -> None:
        self._viewer = napari_viewer
        self._jobs: list[Any] = []  # what the table shows
        self._states: list[str] = []
        self._stopped = Event()
        self._why = ""  # there are no jobs
        self.folder = FileEdit(
            name="folder",
            label="Folder",
            mode="d",
            value="",
            nullable=True,
            tooltip="Where the tables are, which each have a field of view, or a cell.",
        )
        self.pattern = LineEdit(
            name="pattern",
            label="Files",
            value="*.csv",
            tooltip="Which files of the folder: * is any text, and **/*.csv also those in the "
            "folders in it.",
        )
        self.out = FileEdit(
            name="out",
            label="Results",
            mode="d",
            value="",
            nullable=True,
            tooltip="Where the results are written: a folder for each file, and summary.csv. "
            "Empty: 'results' in the folder of the tables.",
        )
        self.settings = status_line("settings", "Settings")
        self.run_button = PushButton(
            name="run_button",
            text="Run",
            tooltip="Fit each file that is not done yet by these settings, one after the other.",
        )
        self.open_button = PushButton(
            name="open_button",
            text="Open",
            tooltip="Show the points and the model of the selected file. So does a double click.",
        )
        self.sheet = Sheet()
        fields = [self.folder, self.pattern, self.out, self.settings]
        super().__init__(
            napari_viewer,
            clock,
            fields,
            self.run_button,
            self.run,
            lambda: self._why,
            more_buttons=[self.open_button],
            filling=self.sheet,
        )
        self.sheet.horizontalHeader().setStretchLastSection(True)
        self.sheet.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.sheet.opened.connect(self.show_result)
        self.open_button.clicked.connect(self._show_selected)
        for field in (self.folder, self.pattern, self.out):
            field.changed.connect(self.look)
        self.look()

    @property
    def states(self) -> dict[str, str]:
        """What each file is at, by its name."""
        return {job.input.name: state for job, state in zip(self._jobs, self._states, strict=True)}

    def reset_choices(self, *_: Any) -> None:
        """Say which settings are taken."""
        form = self._form()
        if form is None:
            self.settings.value = DEFAULTS
            return
        ranges = ", ".join(map(str, form.filter_view.ranges))
        self.settings.value = OF_DENSITY.format(f" and filter ({ranges})" if ranges else "")

    def look(self, _: Any = None) -> None:
        """See which files there are now."""
        if not self.idle:
            return
        self.reset_choices()
        self._jobs, self._why = [], ""
        try:
            self._jobs = self._found()
        except InputError as error:
            self._why = str(error)
        self._states = [WAITING] * len(self._jobs)
        self._show_states()
        self.sheet.resizeColumnToContents(0)
        self._on_work_changed()
        self._panel.say(self._why or f"{count(len(self._jobs), 'file')}.")

    def run(self) -> None:
        """Fit the files that are not done."""
        self.look()
        if not self.idle or self._why:
            return

        from napari_sparse_gmm.plugin.tasks.runner import Job

        self._stopped = Event()
        self._panel.say("")
        work = fit_files(self._jobs, self._settings(), self._results(), self._stopped)
        self._panel.runner.start(Job(None, work, self._show_ended, self._show_progress))

    def cancel(self) -> None:
        """Stop after the step that is being done; what is done is kept."""
        self._stopped.set()
        self._panel.runner.cancel(CANCELLED)
        self._states = [
            state if state in (DONE, BEFORE) or self._is_problem(state) else WAITING
            for state in self._states
        ]
        self._show_states()

    def show_result(self, row: int) -> None:
        """Open the points and the model of a file."""
        job = self._jobs[row]
        if not job.models:
            state = self._states[row]
            self._panel.say(state if self._is_problem(state) else NOT_FITTED)
            return
        self._viewer.open(str(job.input), plugin=_PLUGIN)
        for model in job.models:
            for layer in self._viewer.open(str(model), plugin=_PLUGIN):
                layer.name = layer.name.replace("model", job.input.stem, 1)

    def _show_selected(self) -> None:
        rows = self.sheet.selectionModel().selectedRows()
        if rows:
            self.sheet.opened.emit(self.sheet.model().mapToSource(rows[0]).row())
        else:
            self._panel.say(NOT_FITTED)

    # The work

    def _found(self) -> list[Any]:
        """A job for each of the files."""
        from napari_sparse_gmm.many_files import jobs_of

        if self.folder.value is None or str(self.folder.value) in ("", "."):
            raise InputError(NO_FOLDER)
        folder = Path(self.folder.value)
        if not folder.is_dir():
            raise InputError(f"There is no folder {str(folder)!r}.")
        results = self._results()
        # Results are tables, too: those of an earlier run are none to fit.
        files = [
            str(path)
            for path in sorted(folder.glob(self.pattern.value or "*"))
            if path.is_file() and results not in path.parents
        ]
        if not files:
            raise InputError(f"No file in {folder.name} is called {self.pattern.value}.")
        return jobs_of(files, results, self._settings().options)

    def _results(self) -> Path:
        if self.out.value is None or str(self.out.value) in ("", "."):
            return Path(self.folder.value) / "results"
        return Path(self.out.value)

    def _form(self) -> SparseGMMWidget | None:
        """The dock of this viewer whose settings are taken."""
        docks = self._viewer.window.dock_widgets.values()
        return next((dock for dock in docks if isinstance(dock, SparseGMMWidget)), None)

    def _settings(self) -> FileSettings:
        form = self._form()
        if form is None:
            return FileSettings(default_keywords(preferences()))
        # Where the layer there has no precision, those of the files are considered.
        precision = form.precision.value if len(form.precision.choices) > 1 else "auto"
        unit = symbol_of(form.unit.value)
        return FileSettings(
            form.estimator_parameters(),
            form.filter_view.ranges,
            precision,
            None if unit == "px" else unit,
        )

    def _show_progress(self, progress: Progress) -> None:
        self._panel.show_progress(progress)
        if isinstance(progress, FileProgress):
            self._states[progress.index] = progress.state
            self._show_states()

    def _show_ended(self, outcome: Any) -> None:
        if not isinstance(outcome, dict):
            self._panel.say(outcome.sentence)
            return
        n, wrong = len(self._jobs), len(outcome)
        told = f" {count(wrong, 'file')} could not be fitted: see the table." if wrong else ""
        where = self._results() / "summary.csv"
        self._panel.say(f"{n - wrong} of {n} files are done.{told} Written to {where}.")

    def _show_states(self) -> None:
        columns = {
            "file": np.array(self._names(), dtype=object),
            "state": np.array(self._states, dtype=object),
        }
        self.sheet.show_columns(columns, {})

    def _names(self) -> list[str]:
        return [str(job.input.relative_to(self.folder.value)) for job in self._jobs]

    @staticmethod
    def _is_problem(state: str) -> bool:
        return state not in (WAITING, RUNNING, DONE, BEFORE)
