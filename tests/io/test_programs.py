"""Tables of programs whose columns do not name their unit, in the columns that they write."""

import numpy as np
import pandas as pd
import pytest

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.io.names import precision_along
from napari_sparse_gmm.io.tables import read_points

NIKON = "Channel Name,X,Y,Xc,Yc,Frame,Z,Zc,Photons,Lateral Localization Accuracy"


@pytest.mark.parametrize(
    ("header", "z", "y", "x", "unit"),
    [
        (f"{NIKON},Xw,Yw,Xwc,Ywc", "Zc", "Ywc", "Xwc", "nm"),
        (NIKON, "Zc", "Yc", "Xc", "nm"),
        (f"{NIKON},Xw,Yw,Xwc,Ywc,Zw,Zwc", "Zwc", "Ywc", "Xwc", "nm"),
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
        (
            "label,centroid_weighted-0,centroid_weighted-1,centroid_weighted-2",
            *(f"centroid_weighted-{k}" for k in range(3)),
            None,
        ),
        (
            "ImageNumber,ObjectNumber,Cells_Location_Center_X,Cells_Location_Center_Y,"
            "Nuclei_Location_Center_X,Nuclei_Location_Center_Y,Nuclei_Location_Center_Z",
            *(f"Nuclei_Location_Center_{axis}" for axis in "ZYX"),
            "px",
        ),
        (
            "Channel,Frame,X (nm),Y (nm),Z (nm),X precision (nm),Y precision (nm),X (pix),Y (pix),"
            "Z (pix),X precision (pix),Y precision (pix),Photons,Background",
            *(f"{axis} (nm)" for axis in "ZYX"),
            "nm",
        ),
        ("index,axis-0,axis-1,axis-2", "axis-0", "axis-1", "axis-2", None),
        ("index,axis-0,axis-1,axis-2,axis-3", "axis-1", "axis-2", "axis-3", None),
    ],
    ids=[
        "N-STORM",
        "N-STORM of one colour",
        "N-STORM, z with the shift between colours",
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
        "regionprops, weighted",
        "CellProfiler, joined",
        "ONI",
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
        (" ,Area,XM,YM,Slice", 3, 2, None),
        (" ,Area,XM,YM,X,Y", 5, 4, None),
        (",fov,x_global_px,y_global_px", 3, 2, "px"),
        ("fov,cell_ID,x_FOV_px,y_FOV_px,x_slide_mm,y_slide_mm", 5, 4, "mm"),
        ("barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres", 4, 5, "px"),
        ("label,weighted_centroid-0,weighted_centroid-1", 1, 2, None),
        ("label,area,centroid_x,centroid_y", 3, 2, None),
        ("id,x_centroid,y_centroid", 2, 1, None),
        ("id,centroid_x,centroid_y,x,y", 4, 3, None),
        ("Nuclei_Location_Center_X,Nuclei_Location_Center_Y", 1, 0, "px"),
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
        "ImageJ, centre of mass",
        "ImageJ, both",
        "CosMx with numbers of rows",
        "CosMx cells, later",
        "Visium",
        "regionprops, weighted, earlier",
        "centroids",
        "centroids, the other way round",
        "centroids beside positions",
        "DeepProfiler",
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


ONI = "Channel,Frame,X (nm),Y (nm),X precision (nm),Y precision (nm),X (pix),X precision (pix)"


@pytest.mark.parametrize(
    ("header", "y", "x"),
    [
        (ONI, 5, 4),
        ("frame,x,y,photons,sx,sy,bg,lpx,lpy,ellipticity", 8, 7),
        ("frame,x,y,x_sig,y_sig", 4, 3),
        ("xnm,ynm,locprecnm,locprecznm,xpix,ypix", 2, 2),
    ],
    ids=["ONI", "Picasso as text", "DECODE", "SMAP"],
)
def test_the_precision_along_each_axis(table, header: str, y: int, x: int) -> None:
    columns = header.split(",")
    rows = np.random.default_rng(0).integers(1, 99, (5, len(columns)))
    path = table(pd.DataFrame(rows, columns=columns).to_csv(index=False))
    found = read_points(path, precision="auto")
    np.testing.assert_array_equal(
        np.broadcast_to(found.observations.noise_std, (5, 2)), rows[:, [y, x]]
    )
    assert read_localizations(path).typical_precision == np.median(rows[:, x])


@pytest.mark.parametrize(
    ("header", "y", "x", "z"),
    [
        ("Cas5,X,Y,Xc,Yc,Height,Area,Width,Phi,Ax,BG,I,Frame,Length,Link,Valid,Z,Zc", 4, 3, "Zc"),
        ("frame,x,y,z,photons,sx,sy,bg,lpx,lpy", 2, 1, "z"),
    ],
    ids=["Insight3", "Picasso as text"],
)
def test_pixels_and_nanometres_are_not_mixed(table, header: str, y: int, x: int, z: str) -> None:
    columns = header.split(",")
    rows = np.random.default_rng(0).integers(1, 99, (5, len(columns)))
    path = table(pd.DataFrame(rows, columns=columns).to_csv(index=False))
    for read in (read_points, read_localizations):
        found = read(path)
        np.testing.assert_array_equal(found.points, rows[:, [y, x]])
        assert (found.unit, found.axis_labels) == ("px", ("y", "x"))
        (note,) = found.notes
        assert "pixels whose size is not told" in note
    assert f"{z} [nm]" in read_localizations(path).features
    with pytest.raises(InputError, match=r"different units \(nm, px\)"):
        read_points(path, x="x", y="y", z=z)


def test_a_picasso_table_that_has_units_is_read_by_them(table) -> None:
    header = "frame,x [nm],y [nm],z [nm],photons,sx [nm],sy [nm],bg,lpx [nm],lpy [nm]"
    rows = np.random.default_rng(0).integers(1, 99, (5, 10))
    found = read_points(table(pd.DataFrame(rows, columns=header.split(",")).to_csv(index=False)))
    assert (found.unit, found.points.shape, found.notes) == ("nm", (5, 3), ())


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


def test_rapidstorm_tells_the_precision_along_each_axis(table) -> None:
    fields = [
        "Position-0-0",
        "Position-0-0-uncertainty",
        "Position-1-0",
        "Position-1-0-uncertainty",
    ]
    xml = "".join(f'<field identifier="{name}" unit="nanometer" />' for name in fields)
    path = table(f"# <localizations>{xml}</localizations>\n1 10 2 20\n3 11 4 21\n")
    found = read_points(path, precision="auto")
    np.testing.assert_array_equal(found.points, [[2, 1], [4, 3]])
    np.testing.assert_array_equal(found.observations.noise_std, [[20, 10], [21, 11]])


def test_imaris_without_a_unit(table) -> None:
    text = "Position X,Position Y,Position Z,Unit,Category\n1,2,3,,Spot\n4,5,7,,Spot\n"
    assert read_localizations(table(text)).unit is None


def test_bare_columns_have_no_unit(table) -> None:
    assert read_localizations(table("x,y,frame,uncertainty\n1,2,3,4\n")).unit is None


@pytest.mark.parametrize(
    ("x", "y"), [("x_max", "y_max"), ("lpx [nm]", "lpy [nm]"), ("X error", "Y error"), ("e", "e")]
)
def test_the_precision_of_y_is_called_as_that_of_x(x: str, y: str) -> None:
    assert precision_along([x, y, "frame"], x, "y") == y
    assert precision_along([x, "frame"], x, "y") == x
