"""Tables of points in napari's File > Open, and dropped on its window.

From a script or the console::

    viewer.open("localizations.hdf5", plugin="napari-sparse-gmm")
"""

from collections.abc import Callable
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparse_gmm.arrays import bounds
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.dialects import sniff
from napari_sparse_gmm.io.units import unit_named

if TYPE_CHECKING:
    from napari_sparse_gmm.io.localizations import Localizations

LayerData = tuple[Any, dict[str, Any], str]

# Where nothing is known of the precision, points are this part of the field's longer side.
_PART_OF_FIELD = 1 / 500

# Columns that a Points or a Shapes layer has which napari itself has saved.
_NAPARI = {"axis-0", "axis-1"}


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerData]] | None:
    """A reader of that file; None for a stack of files and for layers that napari has saved.

    For an invalid table there is a reader, too: it says why. Of None napari would only
    say that the file was refused.
    """
    if not isinstance(path, str):
        return None
    try:
        if set(sniff(Path(path)).header) >= _NAPARI:
            return None
    except InputError:  # no text table, or none that can be read: reported by the reader
        pass
    return read


def read(path: str) -> list[LayerData]:
    """A Points layer of the table, its coordinates in the unit of the file.

    Raises
    ------
    InputError
        One sentence, which napari shows: see `read_localizations`.
    """
    from napari.utils.notifications import show_warning

    from napari_sparse_gmm.io.localizations import read_localizations
    from napari_sparse_gmm.plugin.qt.waiting import NOTHING, Cancelled, waited_for

    try:
        found = waited_for(lambda: read_localizations(path), f"Reading {Path(path).name}")
    except Cancelled:
        return NOTHING
    for note in found.notes:
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
    return [(found.points, keywords, "points")]


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
