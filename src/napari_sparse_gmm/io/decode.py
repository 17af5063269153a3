"""Emitters of DECODE, whose x and y are camera pixels or nm, as their metadata say.

Both files of https://github.com/TuragaLab/DECODE have them: HDF5 as attributes, text as JSON in the
third line::

    table = with_units(path, open_text(path))
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.files import opened
from napari_sparse_gmm.io.table import Table
from napari_sparse_gmm.io.units import symbol_of

_FIRST_LINE = b"# DECODE EmitterSet"

# A line of metadata is shorter, and of what is no text one may be endless.
_LONGEST = 1 << 16


def lengths(told: Mapping[str, Any], file_name: str) -> tuple[tuple[float | None, ...], str]:
    """What x, y and z are multiplied by, where they are, and the unit that they are in then.

    Raises
    ------
    InputError
        Where they are pixels whose size is not told.
    """
    unit, sizes = str(told.get("xy_unit") or ""), np.ravel(told.get("px_size", ()))
    if unit != "px":
        return (None, None, None), symbol_of(unit) or unit
    if sizes.shape != (2,) or sizes.dtype.kind not in "iuf" or not (sizes > 0).all():
        raise InputError(
            f"{file_name} is in camera pixels and does not tell their size: save it with px_size, "
            "in nm."
        )
    return (float(sizes[0]), float(sizes[1]), None), "nm"


def with_units(path: Path, table: Table) -> Table:
    """A text table; if DECODE has written it, its lengths are in the unit that the columns say."""
    with opened(path) as file:
        if not file.readline(_LONGEST).startswith(_FIRST_LINE):
            return table
        _, line = file.readline(_LONGEST), file.readline(_LONGEST)
    try:
        told = json.loads(line.lstrip(b"# "))
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise InputError(
            f"{path.name} is of DECODE, but its third line does not tell the unit: save it again."
        )
    factors, unit = lengths(told, path.name)
    of_columns = {
        f"{axis}{kind}": factor
        for axis, factor in zip("xyz", factors, strict=True)
        for kind in ("", "_sig")
    }

    def load(positions: Sequence[int]) -> pd.DataFrame:
        frame = table.load(positions)
        for at in positions:
            if (factor := of_columns.get(table.columns[at])) is not None:
                frame[at] = factor * frame[at]
        return frame

    columns = tuple(
        f"{name} [{unit}]" if unit and name in of_columns else name for name in table.columns
    )
    return replace(table, columns=columns, load=load, about={**table.about, "program": "DECODE"})
