"""Tables of programs whose columns do not name their unit, in the columns that they write."""

import numpy as np
import pandas as pd
import pytest

from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.io.tables import read_points

NIKON = "Channel Name,X,Y,Xc,Yc,Frame,Z,Zc,Photons,Lateral Localization Accuracy"


@pytest.mark.parametrize(
    ("header", "z", "y", "x", "unit"),
    [
        (f"{NIKON},Xw,Yw,Xwc,Ywc", "Zc", "Ywc", "Xwc", "nm"),
        (NIKON, "Zc", "Yc", "Xc", "nm"),
        ("Ground-truth,frame,xnano,ynano,znano,intensity", "znano", "ynano", "xnano", "nm"),
        ("barcode_id,global_x,global_y,global_z,x,y,fov", "global_z", "global_y", "global_x", "µm"),
        ("transcript_id,x_location,y_location,z_location", *(f"{a}_location" for a in "zyx"), "µm"),
        ("image-ID,time-point,cycle,z-step,frame,x,y,z,precisionx,precisiony", "z", "y", "x", "nm"),
        (
            "fov,volume,center_x,center_y,center_z,min_x,max_x",
            *(f"center_{axis}" for axis in "zyx"),
            "µm",
        ),
        ("cell_id,x_centroid,y_centroid,z_centroid", *(f"{a}_centroid" for a in "zyx"), "µm"),
        (
            "ImageNumber,ObjectNumber,AreaShape_Center_X,AreaShape_Center_Y,AreaShape_Center_Z,"
            "Location_Center_X,Location_Center_Y,Location_Center_Z",
            *(f"Location_Center_{axis}" for axis in "ZYX"),
            "px",
        ),
        (
            "ImageNumber,ObjectNumber,AreaShape_Center_X,AreaShape_Center_Y,AreaShape_Center_Z",
            *(f"AreaShape_Center_{axis}" for axis in "ZYX"),
            "px",
        ),
        (
            "Image,Centroid X µm,Centroid Y µm,Centroid Z µm,Area µm^2",
            *(f"Centroid {axis} µm" for axis in "ZYX"),
            "µm",
        ),
        ("ID,QUALITY,POSITION_X,POSITION_Y,POSITION_Z", *(f"POSITION_{a}" for a in "ZYX"), None),
        ("label,centroid-0,centroid-1,centroid-2", *(f"centroid-{k}" for k in range(3)), None),
        ("index,axis-0,axis-1,axis-2", "axis-0", "axis-1", "axis-2", None),
        ("index,axis-0,axis-1,axis-2,axis-3", "axis-1", "axis-2", "axis-3", None),
    ],
    ids=[
        "N-STORM",
        "N-STORM of one colour",
        "SMLM challenge",
        "MERSCOPE",
        "Xenium",
        "Vutara",
        "MERSCOPE cells",
        "Xenium cells",
        "CellProfiler",
        "CellProfiler, shapes",
        "QuPath",
        "TrackMate in pixels",
        "regionprops",
        "napari",
        "napari with time",
    ],
)
def test_positions_and_their_unit(table, header: str, z: str, y: str, x: str, unit: str) -> None:
    columns = header.split(",")
    rows = np.random.default_rng(0).integers(1, 99, (5, len(columns)))
    frame = pd.DataFrame(rows, columns=columns)
    path = table(frame.to_csv(index=False, sep="\t"))
    for read in (read_points, read_localizations):
        found = read(path)
        np.testing.assert_array_equal(found.points, frame[[z, y, x]])
        assert (found.unit, found.axis_labels) == (unit, ("z", "y", "x"))
    # Whoever names a column has that.
    chosen = read_points(path, x=columns[1], y=columns[2])
    np.testing.assert_array_equal(chosen.points, frame[[columns[2], columns[1]]])
    if header.startswith(NIKON):
        precision = frame["Lateral Localization Accuracy"]
        assert read_localizations(path).typical_precision == precision.median()


@pytest.mark.parametrize(
    ("header", "y", "x", "unit"),
    [
        ("fov,cell_ID,x_local_px,y_local_px,x_global_px,y_global_px,z,target", 5, 4, "px"),
        ("fov,cell_ID,CenterX_local_px,CenterX_global_px,CenterY_global_px", 4, 3, "px"),
        ("CellID,DAPI,X_centroid,Y_centroid,Area", 3, 2, "px"),
        ("Image,Centroid X px,Centroid Y px", 2, 1, "px"),
        ("Image,Centroid X \u03bcm,Centroid Y \u03bcm", 2, 1, "\u03bcm"),
        ("label,centroid-0,centroid-1,area", 1, 2, None),
        (" ,Area,Mean,X,Y", 4, 3, None),
        ("frame,xnm,ynm,locprecnm,phot", 2, 1, "nm"),
    ],
    ids=[
        "CosMx",
        "CosMx cells",
        "MCMICRO",
        "QuPath without a pixel size",
        "QuPath, the other mu",
        "regionprops",
        "ImageJ",
        "SMAP",
    ],
)
def test_planes(table, header: str, y: int, x: int, unit: str | None) -> None:
    columns = header.split(",")
    rows = np.random.default_rng(0).integers(1, 99, (5, len(columns)))
    path = table(pd.DataFrame(rows, columns=columns).to_csv(index=False))
    for read in (read_points, read_localizations):
        found = read(path)
        np.testing.assert_array_equal(found.points, rows[:, [y, x]])
        assert (found.unit, found.axis_labels) == (unit, ("y", "x"))


def test_vutara_has_a_precision_along_each_axis(table) -> None:
    header = "image-ID,time-point,cycle,x,y,z,precisionx,precisiony,precisionz"
    rows = np.random.default_rng(0).integers(1, 99, (5, 9))
    path = table(pd.DataFrame(rows, columns=header.split(",")).to_csv(index=False))
    found = read_points(path, precision="auto")
    np.testing.assert_allclose(found.observations.noise_std, rows[:, [8, 7, 6]])


def test_trackmate_has_names_and_units_below_its_header(table) -> None:
    text = (
        "LABEL,QUALITY,POSITION_X,POSITION_Y,POSITION_Z,FRAME\n"
        "Label,Quality,X,Y,Z,Frame\nLabel,Quality,X,Y,Z,Frame\n"
        ",(quality),(micron),(micron),(micron),\n"
        "ID1,2.5,1,2,3,0\nID2,2.5,4,5,7,1\n"
    )
    found = read_localizations(table(text))
    np.testing.assert_array_equal(found.points, [[3, 2, 1], [7, 5, 4]])
    assert found.unit == "µm"
    assert list(found.features["FRAME"]) == [0, 1]


def test_brackets_without_a_unit_are_a_row(table) -> None:
    found = read_localizations(table("cell,x,y\n(control),,\nA,1,2\n"))
    np.testing.assert_array_equal(found.points, [[2, 1]])
    assert found.notes == ("1 of 2 rows of points.csv have no position and are left out.",)


def test_imaris_has_a_title_above_and_its_unit_in_a_column(table) -> None:
    text = (
        "\nPosition\n==================== \n"
        "Position X,Position Y,Position Z,Unit,Category,Collection,Time,ID,\n"
        "1,2,3,um,Spot,Position,1,0,\n4,5,7,um,Spot,Position,1,1,\n"
    )
    for read in (read_points, read_localizations):
        found = read(table(text))
        np.testing.assert_array_equal(found.points, [[3, 2, 1], [7, 5, 4]])
        assert found.unit == "um"


def test_rapidstorm_has_its_header_in_xml(table) -> None:
    field = '<field identifier="{}" syntax="floating point" unit="{}" min="0 m" />'
    fields = {
        "Position-0-0": "nanometer",
        "Position-1-0": "nanometer",
        "ImageNumber-0-0": "frame",
        "Amplitude-0-0": "A/D count",
    }
    xml = "".join(field.format(*both) for both in fields.items())
    text = f'# <localizations insequence="true">{xml}</localizations>\n1 2 0 7\n3 4 1 8.5\n'
    found = read_localizations(table(text))
    np.testing.assert_array_equal(found.points, [[2, 1], [4, 3]])
    assert found.unit == "nm"
    assert list(found.features) == ["ImageNumber-0-0", "Amplitude-0-0"]


def test_bare_columns_have_no_unit(table) -> None:
    assert read_localizations(table("x,y,frame,uncertainty\n1,2,3,4\n")).unit is None
