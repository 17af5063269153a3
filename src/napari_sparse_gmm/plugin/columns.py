"""What the columns of a table are, where their names do not say it: asked once for each header.

>>> choice = ColumnChoice(x="east", y="north", unit="m")
>>> remember(("east", "north", "depth"), choice)
>>> remembered(("east", "north", "depth")) == choice
True
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_config_path
from qtpy.QtCore import QThread
from qtpy.QtWidgets import QApplication, QDialog

from napari_sparse_gmm.plugin.qt.waiting import Cancelled
from napari_sparse_gmm.writing import whole_file

if TYPE_CHECKING:
    from napari_sparse_gmm.io.tables import ColumnNames

# Rows that are shown when it is asked, and headers that are remembered.
_ROWS, _MOST = 5, 500
_UNITS = ("(as in the header)", "nm", "µm", "mm", "m", "pixel")


@dataclass(frozen=True)
class ColumnChoice:
    """Columns of a table: of the coordinates, their precision, and when each was seen."""

    x: str
    y: str
    z: str | None = None
    precision: str | None = None
    frame: str | None = None
    unit: str | None = None

    @property
    def names(self) -> "ColumnNames":
        """Those of the coordinates."""
        from napari_sparse_gmm.io.tables import ColumnNames

        return ColumnNames(self.x, self.y, self.z)

    @property
    def told(self) -> dict[str, str]:
        """What the features of the layer are, by their role."""
        found = {"precision": self.precision, "frame": self.frame}
        return {role: column for role, column in found.items() if column is not None}


def columns_of(path: str) -> ColumnChoice | None:
    """What was chosen for a header like that of the table, or is chosen now; None where there is
    no window to ask in.

    Raises
    ------
    Cancelled
        Where nobody wants to say.
    InputError
        Where the table cannot be read.
    """
    from napari_sparse_gmm.io.chunked_tables import tables_in
    from napari_sparse_gmm.io.formats import is_folder_of_tables, open_table

    first = tables_in(Path(path))[0] if is_folder_of_tables(path) else Path(path)
    table = open_table(first)
    if (known := remembered(table.columns)) is not None:
        return known
    application = QApplication.instance()
    if application is None or application.thread() != QThread.currentThread():
        return None
    if table.parts is not None and (parts := table.parts(_ROWS)):
        table = open_table(first, parts[0])
    rows = table.read(range(len(table.columns))).head(_ROWS)
    choice = _asked(first.name, table.columns, rows.to_numpy(dtype=object).tolist())
    remember(table.columns, choice)
    return choice


def _asked(name: str, header: Sequence[str], rows: list[list[Any]]) -> ColumnChoice:
    from napari_sparse_gmm.plugin.qt.column_dialog import ColumnDialog

    numbers = [
        column
        for at, column in enumerate(header)
        if rows and all(isinstance(row[at], int | float) for row in rows)
    ]
    guesses = [*numbers, *header]
    dialog = ColumnDialog(
        f"{name} has no columns that are known to be coordinates. Which are they? The answer is "
        "remembered for tables with these columns.",
        header,
        rows,
        {"x": guesses[0], "y": guesses[1]},
        {"z": None, "Precision": None, "Frame": None},
        _UNITS,
    )
    if dialog.exec() != QDialog.DialogCode.Accepted:
        raise Cancelled
    chosen = {role.lower(): column for role, column in dialog.chosen.items()}
    unit = dialog.unit.currentText()
    return ColumnChoice(**chosen, unit=None if unit == _UNITS[0] else unit)


def _file() -> Path:
    return user_config_path("napari-sparse-gmm") / "columns.json"


def _key(header: Sequence[str]) -> str:
    return sha256("\n".join(header).encode("utf-8", "replace")).hexdigest()[:32]


def _known() -> dict[str, Any]:
    """All that is remembered; nothing where the file is damaged."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remembered(header: Sequence[str]) -> ColumnChoice | None:
    """What was chosen for a header."""
    found = _known().get(_key(header))
    names = {field.name for field in fields(ColumnChoice)}
    if not isinstance(found, dict) or not {"x", "y"} <= found.keys() <= names:
        return None
    choice = ColumnChoice(**found)
    columns = {choice.x, choice.y, *filter(None, (choice.z, *choice.told.values()))}
    return choice if columns <= set(header) else None


def remember(header: Sequence[str], choice: ColumnChoice) -> None:
    """Keep what was chosen for a header, where the folder of settings can be written to."""
    known = {**_known(), _key(header): asdict(choice)}
    latest = dict(list(known.items())[-_MOST:])
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        with whole_file(_file()) as path:
            path.write_text(json.dumps(latest), encoding="utf-8")
    except OSError as error:  # the table opens all the same, and it is asked for again
        getLogger(__name__).warning("What the columns are is not remembered: %s", error)
