"""Tables of points in napari's File > Open, and dropped on its window; folders of tables, too.

From a script or the console::

    viewer.open("localizations.hdf5", plugin="napari-sparse-gmm")

Of a table that is too large for a layer some points are shown, and all are fitted.
"""

from collections.abc import Callable
from dataclasses import replace
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparse_gmm.arrays import bounds
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.dialects import sniff
from napari_sparse_gmm.io.units import unit_named

if TYPE_CHECKING:
    from napari_sparse_gmm.io.localizations import Localizations
    from napari_sparse_gmm.io.tables import ColumnNames
    from napari_sparse_gmm.plugin.columns import ColumnChoice
    from napari_sparse_gmm.plugin.points.sampled import SampledTable

LayerData = tuple[Any, dict[str, Any], str]

# Of a table of more points about so many are shown: napari draws millions slowly, and a layer takes
# a hundred bytes for each.
MOST_POINTS, SAMPLE = 5_000_000, 300_000

# Where nothing is known of the precision, points are this part of the field's longer side.
_PART_OF_FIELD = 1 / 500

# Files of all kinds of programs are called so: those that are known are for us.
_OF_MANY = (".h5", ".mat", ".npy", ".json")

# Of a folder of many files with the same fault the first ones are enough.
_MOST_NOTES = 5

# Columns that a Points or a Shapes layer has which napari itself has saved.
_NAPARI = {"axis-0", "axis-1"}


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerData]] | None:
    """A reader of that file or folder; None for a stack of files, for layers that napari has saved,
    and for folders without a table.

    For an invalid table there is a reader, too: it says why. Of None napari would only
    say that the file was refused.
    """
    if not isinstance(path, str):
        return None
    if Path(path).is_dir():
        from napari_sparse_gmm.io.chunked_tables import tables_in
        from napari_sparse_gmm.io.minflux import is_minflux

        return read if is_minflux(Path(path)) or tables_in(Path(path)) else None
    if path.lower().endswith(_OF_MANY) and not _is_known(path):
        return None
    try:
        if set(sniff(Path(path)).header) >= _NAPARI:
            return None
    except InputError:  # no text table, or none that can be read: reported by the reader
        pass
    return read


def _is_known(path: str) -> bool:
    """Whether it is a table of a program that is known."""
    from napari_sparse_gmm.io.formats import open_table
    from napari_sparse_gmm.io.minflux import is_minflux

    try:
        if path.lower().endswith((".npy", ".json")):
            return is_minflux(Path(path))
        open_table(path)
    except InputError:
        return False
    return True


def read(path: str) -> list[LayerData]:
    """A Points layer of the table, its coordinates in the unit of the file.

    Raises
    ------
    InputError
        One sentence, which napari shows: see `read_localizations`.
    """
    from napari.utils.notifications import show_info, show_warning

    from napari_sparse_gmm.io.columns import NoCoordinates
    from napari_sparse_gmm.plugin.columns import ColumnChoice, columns_of
    from napari_sparse_gmm.plugin.points.features import TOLD_KEY
    from napari_sparse_gmm.plugin.points.sampled import TABLE_KEY
    from napari_sparse_gmm.plugin.qt.waiting import NOTHING, Cancelled, waited_for

    choice: ColumnChoice | None = None
    text = f"Reading {Path(path).name}"
    try:
        try:
            found, table = waited_for(lambda: _found(path), text)
        except NoCoordinates:
            choice = columns_of(path)
            if choice is None:
                raise
            found, table = waited_for(lambda: _found(path, choice), text)
    except Cancelled:
        return NOTHING
    for note in found.notes[:_MOST_NOTES]:
        getLogger(__name__).warning(note)
        show_warning(note)
    keywords = {
        "name": Path(path).stem,
        "units": unit_named(found.unit),
        "axis_labels": found.axis_labels,
        "features": found.features,
        "size": _diameter(found),
        "border_width": 0,
        "border_color": "white",  # napari draws small points in it
        "face_color": "white",
        "opacity": 0.5,
        "metadata": {"source": path, "unit": found.unit, "notes": found.notes, **found.about},
    }
    if choice is not None:
        keywords["metadata"][TOLD_KEY] = choice.told
    if table is not None:
        keywords["metadata"][TABLE_KEY] = table
        show_info(
            f"{len(found.points):,} of the {table.n_points:,} points of {Path(path).name} are "
            "shown, each as likely as any other. Run fits all of them."
        )
    return [(found.points, keywords, "points")]


def _found(
    path: str, choice: "ColumnChoice | None" = None
) -> "tuple[Localizations, SampledTable | None]":
    """What a table has; some of it, and the table, where it has more than can be shown."""
    found, table = _read(path, None if choice is None else choice.names)
    if choice is None:
        return found, table
    unit = choice.unit or found.unit
    return replace(found, unit=unit, precision=choice.precision), table


def _read(path: str, names: "ColumnNames | None") -> "tuple[Localizations, SampledTable | None]":
    # With these pandas comes, which would make napari start later.
    from napari_sparse_gmm.io.chunked_tables import open_chunked
    from napari_sparse_gmm.io.formats import is_folder_of_tables, open_table
    from napari_sparse_gmm.io.localizations import localizations_of, sample_localizations
    from napari_sparse_gmm.io.tables import ColumnNames
    from napari_sparse_gmm.plugin.points.sampled import SampledTable

    if not is_folder_of_tables(path) and (opened := open_table(path)).n_rows <= MOST_POINTS:
        return localizations_of(opened, names), None
    table = open_chunked(path, names or ColumnNames())
    few = table.n_rows <= MOST_POINTS
    sample = sample_localizations(table, table.n_rows if few else SAMPLE)
    n_shown = len(sample.localizations.points)
    if n_shown == sample.n_points:
        return sample.localizations, None
    columns = dict(zip(table.axis_labels, table.columns, strict=True))
    return sample.localizations, SampledTable(path, columns, sample.n_points, n_shown, sample.box)


def _diameter(found: "Localizations") -> float:
    """Of a point, in the unit of the points: one standard deviation, if known.

    Larger ones would hide what is fitted to them. napari draws none smaller than two pixels of the
    screen.
    """
    if found.typical_precision is not None:
        return found.typical_precision
    lower, upper = bounds(found.points)
    sides = upper - lower
    return float(sides[-2:].max()) * _PART_OF_FIELD or 1.0
