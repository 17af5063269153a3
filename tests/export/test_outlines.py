"""Outlines, read back by what other programs read them with."""

import json
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from export.models import BOX, grouped, in_space, mixture, model

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.density_model import DensityModel, Groups
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.export.content import Content, Pixels
from napari_sparse_gmm.export.outlines import outlines, write_geojson, write_rois
from napari_sparse_gmm.mixture import GaussianMixture

CAMERA = Pixels.square(100.0)


def test_polygons_are_the_ellipses_of_the_model(tmp_path: Path) -> None:
    write_geojson(tmp_path / "o.geojson", Content(model(), image=CAMERA))
    text = (tmp_path / "o.geojson").read_text(encoding="utf-8")
    polygons = shapely.get_parts(shapely.from_geojson(text))
    assert shapely.is_valid(polygons).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(polygons)).all()
    radius = coverage_to_radius(95.0, 2) / 100.0
    area = np.pi * radius**2 * np.sqrt(np.linalg.det(mixture().covariances))
    np.testing.assert_allclose(shapely.area(polygons), area, rtol=1e-3)
    x, y = 0.01 * mixture().means[:, ::-1].T
    np.testing.assert_allclose(shapely.get_x(shapely.centroid(polygons)), x, atol=1e-3)
    np.testing.assert_allclose(shapely.get_y(shapely.centroid(polygons)), y, atol=1e-3)


def test_qupath_finds_its_properties(tmp_path: Path) -> None:
    write_geojson(tmp_path / "o.geojson", Content(model(), image=CAMERA))
    text = (tmp_path / "o.geojson").read_text(encoding="utf-8")
    assert json.loads(text)["type"] == "FeatureCollection"
    features = json.loads(text)["features"]
    told = [feature["properties"] for feature in features]
    assert [one["name"] for one in told] == [f"component {j}" for j in range(3)]
    assert {one["objectType"] for one in told} == {"annotation"}
    assert told[1]["classification"]["name"] == "cluster of kind 1"
    # One or three numbers, or with the alpha four.
    assert all(len(one["classification"]["color"]) == 3 for one in told)
    assert all(0 <= c <= 255 for one in told for c in one["classification"]["color"])
    assert told[2]["measurements"]["std_major [nm]"] == pytest.approx(50.0)
    for one in told:
        for value in one["measurements"].values():
            # QuPath casts each to a number, and refuses the file where one is true or false.
            assert type(value) in (int, float)
            assert np.isfinite(value)


def test_a_group_may_be_true_or_false(tmp_path: Path) -> None:
    part = model().fitted[0]
    two = DensityModel((part, part), ("y", "x"), "nm", BOX, Groups("dead", np.array([False, True])))
    write_geojson(tmp_path / "o.geojson", Content(two, image=CAMERA))
    features = json.loads((tmp_path / "o.geojson").read_text(encoding="utf-8"))["features"]
    assert features[3]["properties"]["name"] == "dead True component 0"
    assert "dead" not in features[3]["properties"]["measurements"]


def test_geopandas_reads_the_same_outlines(tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas")
    content = Content(model(), image=CAMERA)
    write_geojson(tmp_path / "o.geojson", content)
    frame = geopandas.read_file(tmp_path / "o.geojson")
    assert list(frame["name"]) == [f"component {j}" for j in range(3)]
    assert set(frame["objectType"]) == {"annotation"}
    for polygon, outline in zip(frame.geometry, outlines(content), strict=True):
        expected = shapely.Polygon(outline.corners)
        assert polygon.is_valid
        assert polygon.symmetric_difference(expected).area < 1e-3 * expected.area


def test_rois_are_the_same_outlines(tmp_path: Path) -> None:
    roifile = pytest.importorskip("roifile")
    content = Content(model(), image=CAMERA)
    sentence = write_rois(tmp_path / "o.zip", content)
    assert "in pixels of 100 nm of an image that begins at 0" in sentence
    rois = roifile.roiread(tmp_path / "o.zip")
    assert [roi.name for roi in rois] == ["component 0", "component 1", "component 2"]
    for roi, outline in zip(rois, outlines(content), strict=True):
        np.testing.assert_allclose(roi.coordinates(), outline.corners, rtol=1e-6)
    assert float(rois[2].properties["std_major [nm]"]) == pytest.approx(50.0)
    write_rois(tmp_path / "o.zip", content)  # in place of the others, not behind them
    assert len(roifile.roiread(tmp_path / "o.zip")) == 3


@pytest.mark.parametrize("size", [100.0, 0.02, 1e5], ids=["camera", "huge", "tiny"])
def test_imagej_finds_outlines_in_its_bytes(size: float, tmp_path: Path) -> None:
    pytest.importorskip("roifile")
    content = Content(grouped(), image=Pixels.square(size))
    write_rois(tmp_path / "o.zip", content)
    with zipfile.ZipFile(tmp_path / "o.zip") as file:
        # The ROI Manager lists what the files in it are called.
        assert file.namelist() == [f"{one.name}.roi" for one in outlines(content)]
        for name, outline in zip(file.namelist(), outlines(content), strict=True):
            roi = as_imagej_reads(file.read(name))
            assert roi["name"] == outline.name
            assert roi["positions"] == (0, 0, 0, 0)  # on every slice of a stack
            np.testing.assert_array_equal(roi["corners"], outline.corners.astype(np.float32))


def as_imagej_reads(data: bytes) -> dict[str, Any]:
    """A ROI file, field by field as ImageJ's RoiDecoder tells where they are."""
    magic, version, kind = struct.unpack_from(">4shB", data)
    (n,) = struct.unpack_from(">H", data, 16)
    subtype, options = struct.unpack_from(">hh", data, 48)
    position, second = struct.unpack_from(">ii", data, 56)
    channel, z, t, name, length = struct.unpack_from(">iiiii", data, second + 4)
    assert magic == b"Iout"
    assert version >= 222  # since when there are parts of pixels
    assert options & 128  # which it has
    assert kind in (0, 7)  # an area: a polygon, or one that was drawn
    assert subtype == 0
    corners = np.frombuffer(data, ">f4", 2 * n, 64 + 4 * n).reshape(2, n).T
    text = data[name : name + 2 * length].decode("utf-16-be")
    return {"corners": corners, "name": text, "positions": (position, channel, z, t)}


def test_the_outline_of_an_ellipsoid_is_its_shadow() -> None:
    (found,) = outlines(Content(in_space(), image=Pixels.square(1.0)))
    own = in_space().mixture
    radius = coverage_to_radius(95.0, 3)
    # An ellipsoid reaches r sqrt(Sigma_aa) along each axis.
    reach = radius * np.sqrt(np.diag(own.covariances[0]))[:0:-1]
    np.testing.assert_allclose(np.ptp(found.corners, axis=0), 2.0 * reach, rtol=2e-3)
    points, _ = own.sample(4000, random_state=0)
    inside = np.sum(
        np.linalg.solve(np.linalg.cholesky(own.covariances[0]), (points - own.means[0]).T) ** 2, 0
    )
    seen = shapely.contains_xy(shapely.Polygon(found.corners), points[:, 2], points[:, 1])
    assert seen[inside < 0.99 * radius**2].all()


def test_groups_are_told_apart(tmp_path: Path) -> None:
    found = outlines(Content(grouped(), image=CAMERA))
    assert [one.name for one in found][2:4] == ["cell 0 component 2", "cell 2 component 0"]
    assert [one.numbers["cell"] for one in found] == [0] * 3 + [2] * 3


def test_outlines_hold_what_they_are_asked_for() -> None:
    shown = DensityModel(model().parts, ("y", "x"), "nm", view={"coverage": 50.0})
    for content in (Content(shown, image=CAMERA), Content(model(), image=CAMERA, coverage=50.0)):
        assert content.coverage_percent == 50.0
        x, component = mixture().sample(20_000, random_state=1)
        polygon = shapely.Polygon(outlines(content)[0].corners)
        held = shapely.contains_xy(polygon, *(0.01 * x[component == 0][:, ::-1].T))
        assert held.mean() == pytest.approx(0.5, abs=0.02)
    with pytest.raises(InputError, match="between 0 and 100"):
        outlines(Content(model(), coverage=100.0))


@pytest.mark.parametrize("size", [0.0, -1.0, np.nan, np.inf])
def test_pixels_have_a_size(size: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        Pixels.square(size)


def test_a_line_has_no_outline() -> None:
    line = GaussianMixture([1.0], [[0.0]], [[[1.0]]])
    part = type(model().fitted[0])(line, None, 5, 5.0)
    with pytest.raises(InputError, match="in 1D"):
        outlines(Content(DensityModel((part,), ("x",), "nm")))


def test_who_lacks_roifile_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "roifile", None)
    with pytest.raises(InputError, match=r"pip install 'napari-sparse-gmm\[export\]'"):
        write_rois(tmp_path / "o.zip", Content(model()))
    assert not list(tmp_path.iterdir())
