"""The dock widget "Sparse GMM conditions": what was found in many files, by condition.

It reads the summary.csv of a batch, and shows what `napari-sparse-gmm compare` writes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import FileEdit, PushButton
from napari.utils.history import get_save_history, update_save_history
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QSplitter

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin.form.fields import choice
from napari_sparse_gmm.plugin.form.task_form import TaskWidget
from napari_sparse_gmm.plugin.qt.canvas import Plot
from napari_sparse_gmm.plugin.qt.sheet import Sheet
from napari_sparse_gmm.plugin.tasks.pacing import Clock
from napari_sparse_gmm.plugin.tasks.task import Progress, Work, guarded

if TYPE_CHECKING:
    import pandas as pd

    from napari_sparse_gmm.compare import Comparison

NO_SUMMARY = "Choose the summary.csv of a batch; or several, of a condition each."
NO_CONDITION = (
    "No column tells conditions apart: choose a table of the files, with columns file and "
    "condition, under Samples."
)

# More different values than that are no conditions, but names of files or measurements.
_MOST_CONDITIONS = 50

# Columns that may be the conditions, the likeliest first; then all others.
_LIKELY = ("condition", "summary", "folder")

# What is seen without scrolling.
_FIRST = ("column", "condition", "difference", "low", "high", "g", "p", "p corrected")


class SparseGMMConditions(TaskWidget):
    """Compare conditions, from summaries of many files.

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
        self._rows: pd.DataFrame | None = None
        self._found: Comparison | None = None
        self._why = NO_SUMMARY
        self.summaries = FileEdit(
            name="summaries",
            label="Summaries",
            mode="rm",
            filter="*.csv",
            value=(),
            tooltip="The summary.csv of a batch, with a row for each file, or cell. Of several the "
            "folder of each may be the condition.",
        )
        self.samples = FileEdit(
            name="samples",
            label="Samples",
            mode="r",
            filter="*.csv",
            value="",
            nullable=True,
            tooltip="A table with a column 'file' and what else is known of each: its condition, "
            "the dish or the animal that it is of. Empty: what the summaries say.",
        )
        self.condition = choice(
            "condition",
            "Condition",
            "The column of the conditions. 'folder' is the folder of each file, 'summary' that of "
            "each summary.",
            self._conditions,
        )
        self.replicate = choice(
            "replicate",
            "Replicate",
            "The column of what was repeated independently, as a dish, an animal or a day. Rows of "
            "one replicate are cells, and are not counted as if they were independent.",
            self._replicates,
        )
        self.reference = choice(
            "reference",
            "Reference",
            "The condition that the others are compared with.",
            self._references,
        )
        self.compare_button = PushButton(
            name="compare_button",
            text="Compare",
            tooltip="Differences with 95% intervals, standardized effects and p values.",
        )
        self.save_button = PushButton(
            name="save_button",
            text="Save…",
            enabled=False,
            tooltip="Write effects.csv, and a figure of each column as PNG and PDF, to a folder.",
        )
        self.sheet, self.plot = Sheet(), Plot(lambda: napari_viewer.theme)
        fields = [self.summaries, self.samples, self.condition, self.replicate, self.reference]
        shown = QSplitter(Qt.Orientation.Vertical)
        shown.addWidget(self.sheet)
        shown.addWidget(self.plot)
        super().__init__(
            napari_viewer,
            clock,
            fields,
            self.compare_button,
            self.compare,
            lambda: self._why,
            more_buttons=[self.save_button],
            filling=shown,
        )
        self.sheet.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # as they come
        self.summaries.changed.connect(self.look)
        self.samples.changed.connect(self.look)
        self.condition.changed.connect(self._on_condition_changed)
        self.save_button.clicked.connect(self._ask_and_save)
        self.sheet.chosen.connect(self._draw)
        self.plot.shown.connect(self._draw)
        napari_viewer.events.theme.connect(self._draw)
        self.look()

    def reset_choices(self, *_: Any) -> None:
        """Layers say nothing of conditions."""

    def look(self, _: Any = None) -> None:
        """Read the tables, and offer their columns."""
        from napari_sparse_gmm.io.summaries import read_summaries

        self._rows, self._why = None, ""
        paths = [str(path) for path in self.summaries.value or () if str(path) not in ("", ".")]
        samples = str(self.samples.value or "")
        try:
            if not paths:
                raise InputError(NO_SUMMARY)
            self._rows = read_summaries(paths, None if samples in ("", ".") else samples)
            if not self._conditions():
                raise InputError(NO_CONDITION)
        except InputError as error:
            self._why = str(error)
        with self.condition.changed.blocked():
            for field in (self.condition, self.replicate):
                before = field.choices
                field.reset_choices()
                if field.choices != before and field.choices:
                    field.value = field.choices[0]  # the likeliest
        self._on_condition_changed()

    def compare(self) -> None:
        """Compare, and show what came out when it is there."""
        if not self.idle or self._why:
            return
        assert self._rows is not None
        asked = self.condition.value, self.replicate.value, self.reference.value
        work = guarded("comparison", _compared(self._rows, *asked))
        self.start(None, work, self._show)

    def save(self, folder: Path) -> None:
        """Write what was compared to a folder."""
        from napari_sparse_gmm.io.comparisons import write_comparison

        assert self._found is not None
        inputs = [Path(path) for path in self.summaries.value]
        names = write_comparison(folder, self._found, inputs)
        self._panel.say(f"Written to {folder}: {names[0]} and {len(names) // 2} figures.")

    # The work

    def _show(self, found: "Comparison") -> None:
        self._found = found
        self.save_button.enabled = True
        names = [*_FIRST, *(name for name in found.effects if name not in _FIRST)]
        columns = {str(name): found.effects[name].to_numpy() for name in names}
        self.sheet.show_columns(columns, {})
        self.sheet.choose({0})
        self._panel.say(" ".join([f"Compared with {found.conditions[0]}.", *found.notes]))
        self._draw()

    def _draw(self, _: object = None) -> None:
        """Cells and replicates of the column whose row is selected."""
        if self._found is None or not self.plot.isVisible():
            return
        from napari_sparse_gmm.io.comparisons import column_figure

        rows = self.sheet.selectionModel().selectedRows()
        at = self.sheet.model().mapToSource(rows[0]).row() if rows else 0
        self.plot.clear()
        column_figure(self._found, self._found.effects["column"].iloc[at], self.plot.figure)
        self.plot.draw()

    def _ask_and_save(self) -> None:
        chosen = QFileDialog.getExistingDirectory(
            self.native, "Save comparison", str(get_save_history()[0])
        )
        if not chosen:
            return
        update_save_history(chosen)
        try:
            self.save(Path(chosen))
        except InputError as error:
            self._panel.say(str(error))
        except OSError as error:
            self._panel.say(f"{chosen} cannot be written ({error.strerror}): choose another.")

    # The fields

    def _conditions(self, _: Any = None) -> list[str]:
        if self._rows is None:
            return []
        found = [
            str(name)
            for name, values in self._rows.items()
            if name != "file" and 2 <= values.nunique() <= _MOST_CONDITIONS and _is_words(values)
        ]
        words = {name for name in found if self._rows[name].dtype.kind not in "iuf"}
        return sorted(
            found, key=lambda name: (*(name != each for each in _LIKELY), name not in words, name)
        )

    def _replicates(self, _: Any = None) -> list[str]:
        if self._rows is None:
            return []
        names = [str(name) for name in self._rows if _is_words(self._rows[name])]
        return sorted(names, key=lambda name: name != "file")

    def _references(self, _: Any = None) -> Sequence[str]:
        if self._rows is None or self.condition.value is None:
            return []
        found = self._rows[self.condition.value].dropna().unique().tolist()
        return [f"{value:g}" if isinstance(value, float) else str(value).strip() for value in found]

    def _on_condition_changed(self, _: Any = None) -> None:
        self.reference.reset_choices()
        self.follow_choice()


def _is_words(values: "pd.Series[Any]") -> bool:
    """Whether a column may name something: words, or whole numbers."""
    if values.dtype.kind == "f":
        return bool((values.dropna() % 1 == 0).all())
    return True


def _compared(
    rows: "pd.DataFrame", condition: str, replicate: str, reference: str
) -> "Work[Comparison]":
    yield Progress(0, 1, "Comparing")

    from napari_sparse_gmm.compare import compare

    return compare(rows, condition, replicate=replicate, reference=reference)
