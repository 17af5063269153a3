"""SpatialData, read back."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from export.models import grouped, in_space, mixture, model, points, scored

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.export.content import Content
from napari_sparse_gmm.export.images import label_image
from napari_sparse_gmm.export.scored import score
from napari_sparse_gmm.export.spatial import write_spatialdata
from napari_sparse_gmm.observations import Observations

spatialdata = pytest.importorskip("spatialdata")
pytestmark = pytest.mark.filterwarnings("ignore")  # of its own many dependencies


def test_elements_lie_on_each_other(tmp_path: Path) -> None:
    path = tmp_path / "m.zarr"
    content = Content(model(), scored(), pixel_size=20.0)
    write_spatialdata(path, content)
    found = spatialdata.read_zarr(path)
    assert found.attrs["unit"] == "nm"
    assert found.attrs["density_unit"] == "points per nm²"
    centres = found["components"].centroid
    np.testing.assert_allclose(np.stack([centres.y, centres.x], 1), mixture().means, atol=0.1)
    area = np.pi * coverage_to_radius(95.0, 2) ** 2 * np.sqrt(np.linalg.det(mixture().covariances))
    np.testing.assert_allclose(found["components"].area, area, rtol=1e-3)
    _images_are_those_of(content, found)
    read = found["points"].compute()
    np.testing.assert_array_equal(read[["y", "x"]], points())
    np.testing.assert_array_equal(read["component"], scored().component)
    np.testing.assert_array_equal(read["uncertainty [nm]"], np.linspace(5.0, 20.0, 400))
    # What spatialdata itself finds inside of an outline.
    outline = found["components"].geometry[2]
    inside = spatialdata.polygon_query(found["points"], outline, target_coordinate_system="global")
    expected = shapely.contains_xy(outline, *points()[:, ::-1].T)
    np.testing.assert_array_equal(inside.compute()[["y", "x"]], points()[expected])


def test_numbers_are_those_of_the_outlines(tmp_path: Path) -> None:
    content = Content(grouped())
    write_spatialdata(tmp_path / "m.zarr", content)
    found = spatialdata.read_zarr(tmp_path / "m.zarr")
    outlines, table = spatialdata.match_element_to_table(found, "components", "table")
    assert list(outlines["components"]["name"]) == list(table.obs["name"])
    assert table.obs["name"].iloc[3] == "cell 2 component 0"
    assert table.var.loc["std_major", "unit"] == "nm"
    centres = outlines["components"].centroid
    np.testing.assert_allclose(table[:, "mean_x"].X[:, 0], centres.x, atol=0.1)
    np.testing.assert_allclose(table[:, "mean_y"].X[:, 0], centres.y, atol=0.1)
    np.testing.assert_array_equal(table[:, "cell"].X[:, 0], [0, 0, 0, 2, 2, 2])
    asked = {"sdata": found, "element_name": "components", "table_name": "table"}
    values = spatialdata.get_values("nearest", **asked)
    np.testing.assert_array_equal(values["nearest"], content.table["nearest [nm]"])


def test_volumes_have_three_axes(tmp_path: Path) -> None:
    x = in_space().mixture.sample(50, random_state=0)[0]
    own = score(in_space(), Observations(x), pd.DataFrame(index=range(50)))
    content = Content(in_space(), own, pixel_size=40.0)
    write_spatialdata(tmp_path / "m.zarr", content)
    found = spatialdata.read_zarr(tmp_path / "m.zarr")
    _images_are_those_of(content, found)
    np.testing.assert_array_equal(found["points"].compute()[["z", "y", "x"]], x)


def _images_are_those_of(content: Content, found: Any) -> None:
    np.testing.assert_array_equal(found["density"].values[0], content.density)
    np.testing.assert_array_equal(found["labels"].values, label_image(content))
    grid, axes = content.grid, tuple("zyx"[-content.grid.n_dimensions :])
    for name in ("density", "labels"):
        # Of spatialdata, too, the first pixel begins at its outer corner.
        extent = spatialdata.get_extent(found[name])
        np.testing.assert_allclose([extent[axis] for axis in axes], grid.edges.T)
        placed = spatialdata.transformations.get_transformation(found[name])
        matrix = placed.to_affine_matrix(axes, axes)
        centre = np.full(len(axes), 3.5)
        world = matrix[:-1, :-1] @ centre + matrix[:-1, -1]
        np.testing.assert_allclose(world, grid.coordinates(np.full(len(axes), 3)))


def test_groups_have_no_image(tmp_path: Path) -> None:
    write_spatialdata(tmp_path / "m.zarr", Content(grouped()))
    found = spatialdata.read_zarr(tmp_path / "m.zarr")
    assert len(found["components"]) == 6
    assert not found.images
