"""Programs whose columns do not say what they are: which hold the positions, and in which unit.

>>> header = ("transcript_id", "x_location", "y_location", "z_location", "qv")
>>> program_of(header).positions(header)
{'z': 'z_location', 'y': 'y_location', 'x': 'x_location'}
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from napari_sparse_gmm.io.table import Table


@dataclass(frozen=True)
class Program:
    """How a program writes positions.

    Parameters
    ----------
    name : str
    signature : set of str
        Columns that it always writes; no other program has all of them.
    unit : str
        Of its lengths.
    axes : tuple of (str, str, str)
        Columns of z, y and x, the best first; one of z may be missing.
    lengths : tuple of str
        Other columns that are lengths.
    """

    name: str
    signature: frozenset[str]
    unit: str
    axes: tuple[tuple[str, str, str], ...]
    lengths: tuple[str, ...] = ()

    def positions(self, header: Sequence[str]) -> dict[str, str]:
        """The columns of the axes, in image order: [z,] y and x."""
        found = next(one for one in self.axes if set(one[1:]) <= set(header))
        return {axis: column for axis, column in zip("zyx", found, strict=True) if column in header}

    def named(self, column: str) -> str:
        """The column with its unit, where it is a length."""
        is_length = column in self.lengths or any(column in axes for axes in self.axes)
        return f"{column} [{self.unit}]" if is_length else column


_PROGRAMS = (
    Program(
        # Nikon, NIS-Elements: text file of a molecule list. As measured, with drift corrected (c),
        # and with the shift between colours (w).
        "N-STORM",
        frozenset({"Channel Name", "X", "Y", "Xc", "Yc"}),
        "nm",
        (("Zc", "Ywc", "Xwc"), ("Zc", "Yc", "Xc"), ("Z", "Yw", "Xw"), ("Z", "Y", "X")),
        ("Lateral Localization Accuracy",),
    ),
    Program(
        # https://srm.epfl.ch/srm/software: molecules of the 2016 challenge.
        "SMLM challenge",
        frozenset({"frame", "xnano", "ynano"}),
        "nm",
        (("znano", "ynano", "xnano"),),
    ),
    Program(
        # Vizgen: detected_transcripts.csv. Its x and y are pixels in one field of view.
        "MERSCOPE",
        frozenset({"global_x", "global_y", "fov"}),
        "µm",
        (("global_z", "global_y", "global_x"),),
    ),
    Program(
        # 10x Genomics: transcripts.parquet and .csv.
        "Xenium",
        frozenset({"transcript_id", "x_location", "y_location"}),
        "µm",
        (("z_location", "y_location", "x_location"),),
    ),
)


def program_of(header: Sequence[str]) -> Program | None:
    """The program that writes these columns, if it is known."""
    columns = set(header)
    return next((one for one in _PROGRAMS if one.signature <= columns), None)


def with_meaning(table: Table) -> Table:
    """The table; if its program is known, its columns say their unit and the positions."""
    program = program_of(table.columns)
    if program is None:
        return table
    positions = program.positions(table.columns)
    return replace(
        table,
        columns=tuple(map(program.named, table.columns)),
        positions={axis: program.named(column) for axis, column in positions.items()},
        about={**table.about, "program": program.name},
    )
