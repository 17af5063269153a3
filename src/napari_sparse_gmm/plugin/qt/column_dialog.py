"""A dialog that asks what the columns of a table are."""

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QMainWindow,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

# Columns and letters of a cell that are shown; all columns can be chosen.
_MOST_COLUMNS, _MOST_LETTERS = 50, 40
_NONE = "(none)"


class ColumnDialog(QDialog):
    """The first rows of a table, and for each role the column that has it.

    Parameters
    ----------
    text : str
        What is asked for.
    header : sequence of str
    rows : sequence of sequences
        The first ones.
    needed, others : mapping of str to (str or None)
        For each role the column that is proposed; those of `others` may have none.
    units : sequence of str
        What the unit may be, the first one proposed.
    """

    def __init__(
        self,
        text: str,
        header: Sequence[str],
        rows: Sequence[Sequence[Any]],
        needed: Mapping[str, str | None],
        others: Mapping[str, str | None],
        units: Sequence[str],
    ) -> None:
        shown = [one for one in QApplication.topLevelWidgets() if one.isVisible()]
        window = next((one for one in shown if isinstance(one, QMainWindow)), None)
        super().__init__(window)
        self.setWindowTitle("Columns of the table")
        label = QLabel(text)
        label.setWordWrap(True)
        n = min(len(header), _MOST_COLUMNS)
        table = QTableWidget(len(rows), n)
        table.setHorizontalHeaderLabels(list(header[:n]))
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        for at, row in enumerate(rows):
            for column, cell in enumerate(row[:n]):
                table.setItem(at, column, QTableWidgetItem(str(cell)[:_MOST_LETTERS]))
        form = QFormLayout()
        self.roles: dict[str, QComboBox] = {}
        for role, proposed in {**needed, **others}.items():
            box = QComboBox()
            box.addItems([*([] if role in needed else [_NONE]), *header])
            if proposed is not None:
                box.setCurrentText(proposed)
            box.currentTextChanged.connect(self._check)
            self.roles[role] = box
            form.addRow(role, box)
        self.unit = QComboBox()
        self.unit.addItems(list(units))
        form.addRow("Unit", self.unit)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for widget in (label, table):
            layout.addWidget(widget)
        layout.addLayout(form)
        layout.addWidget(self.buttons)
        self.resize(760, 520)
        self._check()

    @property
    def chosen(self) -> dict[str, str]:
        """The column of each role that has one."""
        texts = {role: box.currentText() for role, box in self.roles.items()}
        return {role: text for role, text in texts.items() if text and text != _NONE}

    def _check(self, _: object = None) -> None:
        """One column has one role."""
        columns = list(self.chosen.values())
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        ok.setEnabled(len(set(columns)) == len(columns))
