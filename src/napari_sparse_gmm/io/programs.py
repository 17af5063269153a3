"""Programs whose columns do not say what they are: which hold the positions, and in which unit.

>>> header = ("transcript_id", "x_location", "y_location", "z_location", "qv")
>>> program_of(header).positions(header)
{'z': 'z_location', 'y': 'y_location', 'x': 'x_location'}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from napari_sparse_gmm.io.names import split
from napari_sparse_gmm.io.table import Table, listing


@dataclass(frozen=True)
class Program:
    """How a program writes positions.

    Parameters
    ----------
    name : str
    signature : set of str
        Columns that it always writes, without their units; no other program has all of them.
    unit : str or None
        Of its lengths; None where the columns have it.
    axes : tuple of (str, str, str)
        Columns of z, y and x, without their units: the best x and y first, and of those with the
        same x and y the best z; z may be missing.
    lengths : tuple of str
        Other columns that are lengths.
    unit_column : str, optional
        The column whose first cell is the unit.
    apart : mapping of str to str
        Columns of z that have a unit of their own, which is that. They are no coordinates, for how
        many of it the unit of x and y has is not told. Such a program gives no column a unit.
    """

    name: str
    signature: frozenset[str]
    unit: str | None
    axes: tuple[tuple[str, str, str], ...]
    lengths: tuple[str, ...] = ()
    unit_column: str | None = None
    apart: Mapping[str, str] = field(default_factory=dict)

    def positions(self, header: Sequence[str]) -> dict[str, str]:
        """The columns of the axes, in image order: [z,] y and x."""
        named = _without_units(header)
        named.pop("", None)  # as of the column of the numbers of rows
        plane = next(one[1:] for one in self.axes if set(one[1:]) <= set(named))
        volumes = [one for one in self.axes if one[1:] == plane]
        found = next((one for one in volumes if one[0] in named), volumes[0])
        return {axis: named[name] for axis, name in zip("zyx", found, strict=True) if name in named}

    def named(self, column: str, unit: str | None) -> str:
        """The column with the unit, where it is a length that has none."""
        if column in self.apart:
            return f"{column} [{self.apart[column]}]"
        is_length = column in self.lengths or any(column in axes for axes in self.axes)
        return f"{column} [{unit}]" if unit and is_length else column


def _without_units(header: Sequence[str]) -> dict[str, str]:
    """Each column by its name without the unit; the first one of several."""
    return {split(column)[0].rstrip("_"): column for column in reversed(header)}


_PROGRAMS = (
    Program(
        # Nikon, NIS-Elements: text file of a molecule list. As measured, with drift corrected (c),
        # and with the shift between colours (w).
        "N-STORM",
        frozenset({"Channel Name", "X", "Y", "Xc", "Yc"}),
        "nm",
        (
            ("Zwc", "Ywc", "Xwc"),
            ("Zc", "Ywc", "Xwc"),
            ("Zc", "Yc", "Xc"),
            ("Zw", "Yw", "Xw"),
            ("Z", "Yw", "Xw"),
            ("Z", "Y", "X"),
        ),
        ("Lateral Localization Accuracy",),
    ),
    Program(
        # The program that N-STORM comes from: a molecule list as text, whose first column is called
        # "Cas" and how many molecules there are. In camera pixels, with z in nm.
        "Insight3",
        frozenset({"X", "Y", "Xc", "Yc", "Height", "Area", "Width", "Phi", "Ax", "BG", "I"}),
        "px",
        (("", "Yc", "Xc"), ("", "Y", "X")),
        apart={"Z": "nm", "Zc": "nm"},
    ),
    Program(
        # Its table as text, as `picasso hdf2csv` writes it, without the file that tells how large a
        # camera pixel is: https://picassosr.readthedocs.io/en/latest/files.html
        "Picasso",
        frozenset({"frame", "x", "y", "photons", "sx", "sy", "bg", "lpx", "lpy"}),
        "px",
        (("", "y", "x"),),
        ("lpx", "lpy", "sx", "sy"),
        apart={"z": "nm"},
    ),
    Program(
        # https://srm.epfl.ch/srm/software: molecules of the 2016 challenge.
        "SMLM challenge",
        frozenset({"frame", "xnano", "ynano"}),
        "nm",
        (("znano", "ynano", "xnano"),),
    ),
    Program(
        # Its header is XML in a comment: see `io.dialects`.
        "rapidSTORM",
        frozenset({"Position-0-0", "Position-1-0"}),
        None,
        (("Position-2-0", "Position-1-0", "Position-0-0"),),
    ),
    Program(
        # Bruker: localizations as CSV.
        "Vutara",
        frozenset({"image-ID", "time-point", "cycle", "x", "y"}),
        "nm",
        (("z", "y", "x"),),
        ("precisionx", "precisiony", "precisionz"),
    ),
    Program(
        # Vizgen: detected_transcripts.csv. Its x and y are pixels in one field of view.
        "MERSCOPE",
        frozenset({"global_x", "global_y", "fov"}),
        "µm",
        (("global_z", "global_y", "global_x"),),
    ),
    Program(
        # Vizgen: cell_metadata.csv.
        "MERSCOPE cells",
        frozenset({"center_x", "center_y", "min_x", "max_x", "fov"}),
        "µm",
        (("center_z", "center_y", "center_x"),),
    ),
    Program(
        # 10x Genomics: transcripts.parquet and .csv.
        "Xenium",
        frozenset({"transcript_id", "x_location", "y_location"}),
        "µm",
        (("z_location", "y_location", "x_location"),),
    ),
    Program(
        # 10x Genomics: cells.parquet and .csv.
        "Xenium cells",
        frozenset({"cell_id", "x_centroid", "y_centroid"}),
        "µm",
        (("z_centroid", "y_centroid", "x_centroid"),),
    ),
    Program(
        # NanoString: tx_file.csv. Positions are pixels of the slide, z is the number of a plane.
        "CosMx",
        frozenset({"fov", "x_global", "y_global"}),
        "px",
        (("", "y_global", "x_global"),),
    ),
    Program(
        # NanoString: metadata_file.csv.
        "CosMx cells",
        frozenset({"fov", "CenterX_global", "CenterY_global"}),
        "px",
        (("", "CenterY_global", "CenterX_global"),),
    ),
    Program(
        # The same of later versions, as they are exported from its web service.
        "CosMx cells",
        frozenset({"fov", "x_slide_mm", "y_slide_mm"}),
        "mm",
        (("", "y_slide_mm", "x_slide_mm"),),
    ),
    Program(
        # 10x Genomics: tissue_positions.csv and .parquet of spots or bins, as rows and columns of
        # the whole image.
        "Visium",
        frozenset({"pxl_row_in_fullres", "pxl_col_in_fullres"}),
        "px",
        (("", "pxl_row_in_fullres", "pxl_col_in_fullres"),),
    ),
    Program(
        # One row a cell, in pixels: mcmicro.org, quantification.
        "MCMICRO",
        frozenset({"CellID", "X_centroid", "Y_centroid"}),
        "px",
        (("", "Y_centroid", "X_centroid"),),
    ),
    Program(
        # Measurements of objects, in pixels.
        "CellProfiler",
        frozenset({"ImageNumber", "ObjectNumber", "Location_Center_X", "Location_Center_Y"}),
        "px",
        (("Location_Center_Z", "Location_Center_Y", "Location_Center_X"),),
    ),
    Program(
        "CellProfiler",
        frozenset({"ImageNumber", "ObjectNumber", "AreaShape_Center_X", "AreaShape_Center_Y"}),
        "px",
        (("AreaShape_Center_Z", "AreaShape_Center_Y", "AreaShape_Center_X"),),
    ),
    *(
        # Tables of several kinds of objects that were joined, or read from its database; also the
        # locations that DeepProfiler takes.
        Program(
            "CellProfiler",
            frozenset({f"{place}_X", f"{place}_Y"}),
            "px",
            ((f"{place}_Z", f"{place}_Y", f"{place}_X"),),
        )
        for objects in ("Nuclei", "Cells")
        for place in (f"{objects}_Location_Center", f"{objects}_AreaShape_Center")
    ),
    Program(
        # Measurements of detections: "Centroid X µm", or "px" of an image without a pixel size.
        "QuPath",
        frozenset({"Centroid X", "Centroid Y"}),
        None,
        (("Centroid Z", "Centroid Y", "Centroid X"),),
    ),
    Program(
        # Fiji, Mastodon: spots, with their units in a line below the header.
        "TrackMate",
        frozenset({"POSITION_X", "POSITION_Y", "QUALITY"}),
        None,
        (("POSITION_Z", "POSITION_Y", "POSITION_X"),),
    ),
    Program(
        # Positions of spots and surfaces.
        "Imaris",
        frozenset({"Position X", "Position Y", "Unit", "Category"}),
        None,
        (("Position Z", "Position Y", "Position X"),),
        unit_column="Unit",
    ),
    *(
        # scikit-image: regionprops_table; the last one is of before version 0.19.
        Program(
            "regionprops",
            frozenset({f"{name}-0", f"{name}-1"}),
            None,
            ((f"{name}-0", f"{name}-1", f"{name}-2"), ("", f"{name}-0", f"{name}-1")),
        )
        for name in ("centroid", "centroid_weighted", "weighted_centroid")
    ),
    Program(
        # Results: of a selection its centroid, and the centre of mass of what is in it.
        "ImageJ",
        frozenset({"XM", "YM"}),
        None,
        (("", "Y", "X"), ("", "YM", "XM")),
    ),
    Program(
        # A Points layer that napari has saved; its last axes are those of space.
        "napari",
        frozenset({"axis-0", "axis-1"}),
        None,
        (
            ("axis-2", "axis-3", "axis-4"),
            ("axis-1", "axis-2", "axis-3"),
            ("axis-0", "axis-1", "axis-2"),
            ("", "axis-0", "axis-1"),
        ),
    ),
)


def program_of(header: Sequence[str]) -> Program | None:
    """The program that writes these columns, if it is known."""
    exact = set(header)
    columns = {*exact, *_without_units(header)}
    return next(
        (one for one in _PROGRAMS if one.signature <= (exact if one.apart else columns)), None
    )


def with_meaning(table: Table) -> Table:
    """The table; if its program is known, its columns say their unit and the positions."""
    program = program_of(table.columns)
    if program is None:
        return table
    unit = program.unit
    if program.unit_column is not None:
        cells = table.read([table.columns.index(program.unit_column)]).iloc[:, 0]
        unit = str(cells.iloc[0]) if len(cells) and pd.notna(cells.iloc[0]) else None
    positions = program.positions(table.columns)
    return replace(
        table,
        columns=tuple(program.named(column, unit) for column in table.columns),
        positions={axis: program.named(column, unit) for axis, column in positions.items()},
        about={**table.about, "program": program.name},
        notes=table.notes + _told_apart(program, table),
    )


def _told_apart(program: Program, table: Table) -> tuple[str, ...]:
    """A sentence about columns of z that are no coordinates, where there are any."""
    columns = [column for column in table.columns if column in program.apart]
    if not columns:
        return ()
    return (
        f"x and y of {table.name} are in pixels whose size is not told, and {listing(columns)} in "
        f"{program.apart[columns[0]]}: only x and y are taken for coordinates.",
    )
