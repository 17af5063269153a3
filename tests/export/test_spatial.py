"""SpatialData, read back."""

from pathlib import Path

import numpy as np
import pytest
from export.models import BOX, grouped, mixture, model, points, scored

from napari_sparse_gmm.export.content import Content
from napari_sparse_gmm.export.spatial import write_spatialdata

spatialdata = pytest.importorskip("spatialdata")
pytestmark = pytest.mark.filterwarnings("ignore")  # of its own many dependencies


def test_elements_lie_on_each_other(tmp_path: Path) -> None:
    path = tmp_path / "m.zarr"
    write_spatialdata(path, Content(model(), scored(), pixel_size=20.0))
    found = spatialdata.read_zarr(path)
    assert found.attrs["unit"] == "nm"
    centres = found["components"].centroid
    np.testing.assert_allclose(np.stack([centres.y, centres.x], 1), mixture().means, atol=0.1)
    read = found["points"].compute()
    np.testing.assert_array_equal(read[["y", "x"]], points())
    extent = spatialdata.get_extent(found["labels"])
    assert extent["y"][0] <= BOX[0, 0]
    assert extent["y"][1] >= BOX[1, 0]
    table = found["table"]
    assert table.var.loc["std_major", "unit"] == "nm"
    np.testing.assert_allclose(table[:, "mean_x"].X[:, 0], mixture().means[:, 1])


def test_groups_have_no_image(tmp_path: Path) -> None:
    write_spatialdata(tmp_path / "m.zarr", Content(grouped()))
    found = spatialdata.read_zarr(tmp_path / "m.zarr")
    assert len(found["components"]) == 6
    assert not found.images
