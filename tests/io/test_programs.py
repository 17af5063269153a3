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
    ],
    ids=["N-STORM", "N-STORM of one colour", "SMLM challenge", "MERSCOPE", "Xenium"],
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


def test_bare_columns_have_no_unit(table) -> None:
    assert read_localizations(table("x,y,frame,uncertainty\n1,2,3,4\n")).unit is None
