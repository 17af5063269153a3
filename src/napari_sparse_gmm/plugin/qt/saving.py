"""Which file a table is to be saved to."""

from pathlib import Path

from napari.utils.history import get_save_history, update_save_history
from qtpy.QtWidgets import QFileDialog, QWidget


def asked_csv(parent: QWidget, title: str, name: str) -> Path | None:
    """The file that somebody chooses, at first of this name in the folder of the last one; with the
    ending .csv where none is given. None where nothing is chosen.
    """
    proposed = str(Path(get_save_history()[0]) / f"{name}.csv")
    chosen, _ = QFileDialog.getSaveFileName(parent, title, proposed, "CSV (*.csv)")
    if not chosen:
        return None
    path = Path(chosen) if Path(chosen).suffix else Path(chosen).with_suffix(".csv")
    update_save_history(str(path))
    return path
