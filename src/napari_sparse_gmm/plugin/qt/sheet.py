"""Columns as a table that sorts, with no more digits than mean something.

>>> shown_text(8.51313, decimals_of(np.array([8.51313, 13.9]), np.array([3.61178, 4.0])))
'8.5'
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QTableView, QWidget

Columns = Mapping[str, NDArray[Any]]

_ROLES = Qt.ItemDataRole
_SORTED_BY = _ROLES.UserRole

_HEIGHT = 130  # pixels that it would like to have

# Figures of a typical value, and of a typical error.
_FIGURES, _FIGURES_OF_ERROR = 3, 2

# With more decimals, or so many zeros that mean nothing, powers of ten are easier to read.
_MOST_DECIMALS, _MOST_ZEROS = 6, 4


class Sheet(QTableView):
    """Shows columns; a click on the head of one sorts by it.

    Rows are counted as they come, whatever they are sorted by.
    """

    chosen = Signal(set)  # the rows that somebody has selected
    opened = Signal(int)  # the row that was double clicked

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = _Model(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(_SORTED_BY)
        self.setModel(self._sorted)
        self.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QTableView.EditTrigger.NoEditTriggers)
        self.setSortingEnabled(True)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        self._telling = True
        self.selectionModel().selectionChanged.connect(self._on_selected)
        self.doubleClicked.connect(self._on_double_click)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Qt's hook: a head and some rows; what is left over is given to it anyway."""
        return QSize(super().sizeHint().width(), _HEIGHT)

    @property
    def columns(self) -> Columns:
        """What is shown, in the order of the rows on the screen."""
        rows = [
            self._sorted.mapToSource(self._sorted.index(row, 0)).row()
            for row in range(self._sorted.rowCount())
        ]
        return {name: values[rows] for name, values in self._model.columns.items()}

    def show_columns(
        self,
        columns: Columns,
        errors: Mapping[str, str],
        first: str | None = None,
        told: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Show columns, all of as many rows.

        Parameters
        ----------
        columns : mapping of (K,) arrays
        errors : mapping
            The name of the column of the errors of another one, by the name of that.
        first : str, optional
            What to sort by, the highest first, where these are other columns than before; else
            they stay as they were sorted.
        told : callable
            What a column is, by its name: shown where the mouse rests on its head.
        """
        before = list(self._model.columns)
        self._telling = False
        self._model.show(columns, errors, told)
        self._telling = True
        if list(columns) != before:
            self.resizeColumnsToContents()
            if first is not None and first in columns:
                self.sortByColumn(list(columns).index(first), Qt.SortOrder.DescendingOrder)

    def choose(self, rows: set[int]) -> None:
        """Select these rows, and scroll to one of them, without telling."""
        selection = QItemSelection()
        for row in rows:
            at = self._sorted.mapFromSource(self._model.index(row, 0))
            if at.isValid():
                selection.select(at, at)
        flags = QItemSelectionModel.SelectionFlag
        self._telling = False
        self.selectionModel().select(selection, flags.ClearAndSelect | flags.Rows)
        self._telling = True
        if selection.indexes():
            self.scrollTo(min(selection.indexes()))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Qt's hook: the selected rows are copied with all of their digits, for a spreadsheet."""
        if not event.matches(QKeySequence.StandardKey.Copy):
            super().keyPressEvent(event)
            return
        rows = sorted(at.row() for at in self.selectionModel().selectedRows())
        columns = self.columns
        lines = [
            list(columns),
            *([str(values[row]) for values in columns.values()] for row in rows),
        ]
        QGuiApplication.clipboard().setText("\n".join("\t".join(cells) for cells in lines))

    def _on_double_click(self, at: QModelIndex) -> None:
        self.opened.emit(self._sorted.mapToSource(at).row())

    def _on_selected(self, *_: Any) -> None:
        if self._telling:
            selected = self.selectionModel().selectedRows()
            self.chosen.emit({self._sorted.mapToSource(at).row() for at in selected})


class _Model(QAbstractTableModel):
    """Columns for Qt."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.columns: dict[str, NDArray[Any]] = {}
        self._decimals: dict[str, int] = {}
        self._told: Callable[[str], str] = lambda _: ""

    def show(self, columns: Columns, errors: Mapping[str, str], told: Callable[[str], str]) -> None:
        self.beginResetModel()
        self._told = told
        self.columns = {name: np.asarray(values) for name, values in columns.items()}
        self._decimals = {}
        for name, values in self.columns.items():
            if values.dtype.kind == "f":
                of_error = self.columns.get(errors.get(name, ""))
                self._decimals[name] = decimals_of(values, of_error)
        for name, of_error_name in errors.items():
            if {name, of_error_name} <= set(self._decimals):
                self._decimals[of_error_name] = self._decimals[name]
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        return max((len(values) for values in self.columns.values()), default=0)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        return len(self.columns)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = _ROLES.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        name = list(self.columns)[section]
        if role == _ROLES.ToolTipRole:
            return self._told(name)
        return name if role == _ROLES.DisplayRole else None

    def data(self, index: QModelIndex, role: int = _ROLES.DisplayRole) -> Any:
        name = list(self.columns)[index.column()]
        value = self.columns[name][index.row()]
        if role == _ROLES.DisplayRole:
            return shown_text(value, self._decimals.get(name))
        if role == _ROLES.ToolTipRole:  # all of what may be cut short, with all digits
            return str(value)
        if role == _SORTED_BY:
            value = value.item() if isinstance(value, np.generic) else value
            # Nothing can be said of NaN; so what has no value comes last of the highest.
            return -math.inf if value != value else value
        if role == _ROLES.TextAlignmentRole and self.columns[name].dtype.kind in "iuf":
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None


def decimals_of(values: NDArray[np.float64], errors: NDArray[np.float64] | None = None) -> int:
    """How many decimals say what there is to say; below 0 so many zeros mean nothing.

    A typical error has two figures then, and without errors a typical value three.
    """
    for sizes, figures in ((errors, _FIGURES_OF_ERROR), (values, _FIGURES)):
        known = np.empty(0) if sizes is None else np.abs(sizes[np.isfinite(sizes) & (sizes != 0)])
        if len(known):
            return figures - 1 - math.floor(math.log10(np.median(known)))
    return 0


def shown_text(value: Any, decimals: int | None) -> str:
    """A value of a column as a cell says it; "" of NaN."""
    if decimals is None:
        return str(value)
    if not math.isfinite(value):
        return ""
    if -_MOST_ZEROS <= decimals <= _MOST_DECIMALS:
        return f"{value:.{max(decimals, 0)}f}"
    return f"{value:.{_FIGURES + 1}g}"
