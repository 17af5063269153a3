"""Tables of what was found in many files, to be compared.

    table = read_summaries(["results/summary.csv"], samples="samples.csv")
    found = compare(table, "condition", replicate="dish")

A row is a file, or a cell in it. Where a table has no such columns, ``folder`` is the name of the
folder that each file lies in, and ``summary`` that of the folder of its summary.csv.
"""

from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import pandas as pd

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.files import readable_file
from napari_sparse_gmm.io.text import open_text

FILE, FOLDER, SUMMARY = "file", "folder", "summary"


def read_summaries(paths: Sequence[str | Path], samples: str | Path | None = None) -> pd.DataFrame:
    """The rows of one or several tables, one below the other.

    Parameters
    ----------
    paths : sequence of paths
        Tables with a header, as summary.csv of `many_files`.
    samples : path, optional
        A table with a column ``file`` and others, as ``condition``, that the rows of each file get.
        A file is known by its path, or else by its name.

    Raises
    ------
    InputError
        Where one cannot be read, two have the same name, or files in `samples` are ambiguous or
        none of the summary's.
    """
    read = [Path(path) for path in paths]
    names = [path.parent.resolve().name if path.stem == SUMMARY else path.stem for path in read]
    if len(set(names)) < len(names):
        raise InputError(
            "Several of the tables have the same name and the same folder's name, and could not be "
            "told apart: rename some."
        )
    tables = []
    for path, name in zip(read, names, strict=True):
        table = _read(path)
        if SUMMARY not in table:
            table[SUMMARY] = name
        tables.append(table)
    rows = pd.concat(tables, ignore_index=True)
    if FILE in rows and FOLDER not in rows:
        rows[FOLDER] = [PureWindowsPath(str(file)).parent.name for file in rows[FILE]]
    return rows if samples is None else _joined(rows, Path(samples))


def _read(path: Path) -> pd.DataFrame:
    table = open_text(readable_file(path))
    frame = table.read(range(len(table.columns)))
    return frame.set_axis(list(table.columns), axis=1)


def _joined(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The rows with what a table says of their files."""
    told = _read(path)
    for table, name in ((rows, "the summary"), (told, path.name)):
        if FILE not in table:
            raise InputError(f"There is no column {FILE!r} in {name}: it says which file is meant.")
    # Folders stand in a name with / or with \, of whatever system it is.
    whole = [PureWindowsPath(str(file)).as_posix() for file in told[FILE]]
    by_path, by_name = dict[str, int](), dict[str, int | None]()
    for row, file in enumerate(whole):
        name = file.rpartition("/")[2]
        if file in by_path:
            raise InputError(f"{path.name} has {file} twice.")
        by_path[file] = row
        by_name[name] = None if name in by_name else row
    found: list[int | None] = []
    for given in rows[FILE]:
        file = PureWindowsPath(str(given)).as_posix()
        name = file.rpartition("/")[2]
        if file not in by_path and by_name.get(name, 0) is None:
            raise InputError(
                f"{path.name} has several files called {name}: write the paths of the summary."
            )
        found.append(by_path.get(file, by_name.get(name)))
    if len(rows) and all(row is None for row in found):
        raise InputError(
            f"No file of the summary, as {rows[FILE].iloc[0]}, is in {path.name}: write the names "
            f"of the summary in its column {FILE!r}."
        )
    more = told.drop(columns=FILE).reindex([-1 if row is None else row for row in found])
    rows = rows.drop(columns=[name for name in more if name in rows])
    return pd.concat([rows, more.reset_index(drop=True)], axis=1)
