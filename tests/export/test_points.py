"""Points with their components, read back."""

import math
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from export.models import grouped, in_space, model, points, scored

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.density_model import DensityModel, Part
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.export.content import Content, Pixels
from napari_sparse_gmm.export.points import (
    write_csv,
    write_parquet,
    write_picasso,
    write_thunderstorm,
)
from napari_sparse_gmm.export.scored import read_scored, score
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.io.tables import ColumnNames, read_points
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Box


@pytest.fixture(scope="module")
def content() -> Content:
    return Content(model(), scored(), image=Pixels.square(130.0))


def test_csv_comes_back_with_all_columns(content: Content, tmp_path: Path) -> None:
    write_csv(tmp_path / "p.csv", content)
    found = read_localizations(tmp_path / "p.csv")
    assert found.unit == "nm"
    np.testing.assert_allclose(found.points, points(), rtol=1e-14)
    assert list(found.features) == [
        *("frame", "uncertainty [nm]", "drift", "'=name", "component", "probability", "kind")
    ]
    assert set(found.features["'=name"]) == {"'=1+1"}
    component = found.features["component"].to_numpy()
    expected = model().mixture.predict(points(), noise_std=found.features["uncertainty [nm]"])
    np.testing.assert_array_equal(component, expected)
    np.testing.assert_array_equal(found.features["kind"], np.array([0, 1, 0, -1])[component])


def test_parquet_holds_the_same(content: Content, tmp_path: Path) -> None:
    write_parquet(tmp_path / "p.parquet", content)
    found = pd.read_parquet(tmp_path / "p.parquet")
    np.testing.assert_array_equal(found[["y [nm]", "x [nm]"]], points())
    np.testing.assert_array_equal(found["component"], content.needs_points().component)
    assert set(found["=name"]) == {"=1+1"}  # which no spreadsheet opens


def test_thunderstorm_has_numbers_in_nm(tmp_path: Path) -> None:
    metres = Content(_in_micrometres(), _scored_in_micrometres())
    write_thunderstorm(tmp_path / "t.csv", metres)
    table = as_thunderstorm_reads(tmp_path / "t.csv")
    assert list(table)[:4] == ["id", "frame", "x", "y"]
    assert {"x": "nm", "y": "nm", "uncertainty_xy": "nm"}.items() <= table.attrs["units"].items()
    np.testing.assert_allclose(table[["y", "x"]], points())
    np.testing.assert_allclose(table["uncertainty_xy"], np.linspace(5.0, 20.0, 400))
    np.testing.assert_array_equal(table["frame"], np.arange(400) // 4)
    np.testing.assert_array_equal(table["component"], metres.needs_points().component)
    assert table.isna().to_numpy().sum() == 1  # of drift
    found = read_points(tmp_path / "t.csv", precision="auto")
    np.testing.assert_allclose(found.points, points())
    np.testing.assert_allclose(found.observations.noise_std[:, 0], np.linspace(5.0, 20.0, 400))


def test_thunderstorm_gets_no_column_that_it_would_stumble_over(tmp_path: Path) -> None:
    own = scored()
    own.features['sum, of "all" [photon]'] = np.where(np.arange(400) == 7, np.inf, 2.5)
    own.features["uncertainty [nm]"] *= 2.0  # which the precision is not
    own.features["x"] = 0.0
    own.features["seen"] = True
    write_thunderstorm(tmp_path / "t.csv", Content(model(), own))
    table = as_thunderstorm_reads(tmp_path / "t.csv")
    np.testing.assert_allclose(table["x"], points()[:, 1])
    np.testing.assert_allclose(table["uncertainty_xy"], np.linspace(5.0, 20.0, 400))
    assert "uncertainty" not in table
    assert set(table["seen"]) == {1.0}
    assert table.attrs["units"]["sum of all"] == "photon"
    np.testing.assert_array_equal(np.flatnonzero(table["sum of all"].isna()), [7])


def as_thunderstorm_reads(path: Path) -> pd.DataFrame:
    """A table as ThunderSTORM 1.3 reads it: it splits at every comma, wants all cells to be what
    Java takes for a number, and of two columns of a name it sees the last.
    """
    header, *lines = (line.split(",") for line in path.read_text("utf-8").splitlines())
    split = [re.fullmatch(r"(.*?)(?: *\[(.*)\])?", name.strip().strip('"')) for name in header]
    assert {len(line) for line in lines} == {len(header)}
    number = re.compile(r"-?(NaN|Infinity|\d+(\.\d*)?([eE][-+]?\d+)?)")
    assert all(number.fullmatch(cell) for line in lines for cell in line)
    cells = dict(zip((name[1] for name in split), np.array(lines, float).T, strict=True))
    table = pd.DataFrame(cells)
    table.attrs["units"] = {name[1]: name[2] for name in split}
    return table


def test_picasso_imports_what_is_written_for_thunderstorm(tmp_path: Path) -> None:
    picasso = pytest.importorskip("picasso.io")
    own = scored()
    own.features["sigma [nm]"] = 130.0
    own.features["intensity [photon]"] = 900.0
    own.features["offset [photon]"] = 4.0
    write_thunderstorm(tmp_path / "t.csv", Content(model(), own))
    locs, _ = picasso.import_ts(str(tmp_path / "t.csv"), 100.0)
    locs = locs.sort_values("component", kind="stable").sort_values("x", kind="stable")
    order = np.argsort(points()[:, 1])
    np.testing.assert_allclose(100.0 * locs[["y", "x"]], points()[order], atol=2e-4)
    np.testing.assert_allclose(100.0 * locs["lpx"], np.linspace(5.0, 20.0, 400)[order], rtol=1e-6)
    np.testing.assert_array_equal(locs["component"], own.component[order])
    assert set(locs["sx"]) == {np.float32(1.3)}
    assert set(locs["photons"]) == {900.0}


def _in_micrometres() -> DensityModel:
    small = model().mixture.transformed(1e-3)
    part = model().fitted[0]
    return DensityModel((type(part)(small, None, 1000, 1000.0),), ("y", "x"), "µm")


def _scored_in_micrometres() -> object:
    own = scored()
    std = own.observations.noise_std
    observations = Observations.of(1e-3 * own.points, noise_std=1e-3 * std)
    features = own.features.drop(columns="uncertainty [nm]")
    return score(_in_micrometres(), observations, features, engine="torch")


def test_picasso_reads_what_is_written(content: Content, tmp_path: Path) -> None:
    assert "130 nm" in write_picasso(tmp_path / "p.hdf5", content)
    found = read_localizations(tmp_path / "p.hdf5")
    assert found.about["pixel size [nm]"] == 130.0
    np.testing.assert_allclose(found.points, points(), atol=2e-4)
    for name in ("lpx [nm]", "lpy [nm]"):
        np.testing.assert_allclose(found.features[name], np.linspace(5.0, 20.0, 400), rtol=1e-6)
    np.testing.assert_array_equal(found.features["group"], content.needs_points().component)
    np.testing.assert_array_equal(found.features["frame"], np.arange(400) // 4)


def test_picasso_itself_keeps_every_row(content: Content, tmp_path: Path) -> None:
    picasso = pytest.importorskip("picasso.io")
    own = scored()
    own.features["photons"] = np.arange(400.0)
    own.features["sx [nm]"] = 130.0
    write_picasso(tmp_path / "p.hdf5", Content(model(), own, image=content.image))
    locs, info = picasso.load_locs(str(tmp_path / "p.hdf5"))
    assert len(locs) == 400
    assert {name: info[0][name] for name in ("Width", "Height", "Frames", "Pixelsize")} == {
        "Width": int(points()[:, 1].max() // 130.0) + 1,
        "Height": int(points()[:, 0].max() // 130.0) + 1,
        "Frames": 100,
        "Pixelsize": 130.0,
    }
    np.testing.assert_allclose(130.0 * locs[["y", "x"]], points(), atol=2e-4)
    np.testing.assert_allclose(130.0 * locs["lpx"], np.linspace(5.0, 20.0, 400), rtol=1e-6)
    np.testing.assert_array_equal(locs["lpy"], locs["lpx"])
    np.testing.assert_array_equal(locs["frame"], np.arange(400) // 4)
    np.testing.assert_array_equal(locs["photons"], np.arange(400.0))
    np.testing.assert_array_equal(locs["group"], own.component)
    assert set(locs["sx"]) == {1.0}
    # And back.
    picasso.save_locs(str(tmp_path / "q.hdf5"), locs, info)
    found = read_points(tmp_path / "q.hdf5", precision="auto")
    np.testing.assert_allclose(found.points, points(), atol=2e-4)
    expected = np.linspace(5.0, 20.0, 400)[:, None].repeat(2, 1)
    np.testing.assert_allclose(found.observations.noise_std, expected, rtol=1e-6)


def test_picasso_renders_points_where_they_are(content: Content, tmp_path: Path) -> None:
    picasso = pytest.importorskip("picasso.io")
    from picasso.render import get_group_color, render

    write_picasso(tmp_path / "p.hdf5", content)
    locs, info = picasso.load_locs(str(tmp_path / "p.hdf5"))
    n, image = render(locs, info, disp_px_size=65.0)
    assert n == 400
    expected = np.zeros_like(image)
    np.add.at(expected, tuple((points() // 65.0).astype(int).T), 1)
    np.testing.assert_array_equal(image, expected)
    n, image = render(locs, info, disp_px_size=10.0, blur_method="gaussian")
    assert n == 400
    means = np.indices(image.shape).reshape(2, -1) + 0.5
    # Ends of the kernels, and what lies over the edge, are cut off.
    np.testing.assert_allclose(10.0 * means @ image.ravel() / image.sum(), points().mean(0), atol=2)
    assert len(get_group_color(locs)) == 400


def test_picasso_keeps_a_point_at_the_edge(tmp_path: Path) -> None:
    x = np.full((2, 2), 16.0 * (1.0 - 1e-12))  # which is 16 as Picasso stores it
    own = score(model(), Observations.of(x, noise_std=[9.0] * 2), pd.DataFrame(index=range(2)))
    write_picasso(tmp_path / "p.hdf5", Content(model(), own, image=Pixels.square(1.0)))
    with h5py.File(tmp_path / "p.hdf5") as file:
        furthest = file["locs"]["x"].max()
    about = yaml.safe_load((tmp_path / "p.yaml").read_text())
    assert furthest < about["Width"]
    assert furthest < about["Height"]


def test_picasso_needs_a_precision(tmp_path: Path) -> None:
    own = score(model(), Observations(points()), pd.DataFrame(index=range(400)))
    content = Content(model(), own, image=Pixels.square(130.0))
    with pytest.raises(InputError, match="without their precision"):
        write_picasso(tmp_path / "p.hdf5", content)
    assert not list(tmp_path.iterdir())
    for name in ("lpx [nm]", "lpy [nm]"):
        own.features[name] = 6.5
    write_picasso(tmp_path / "p.hdf5", content)
    found = read_localizations(tmp_path / "p.hdf5")
    np.testing.assert_allclose(found.features["lpy [nm]"], 6.5, rtol=1e-6)


def test_no_cell_for_picasso_is_empty(content: Content, tmp_path: Path) -> None:
    far = scored()
    far.probability[5] = np.nan
    write_picasso(tmp_path / "p.hdf5", Content(model(), far, image=content.image))
    with h5py.File(tmp_path / "p.hdf5") as file:
        locs = file["locs"][:]
    assert "drift" not in locs.dtype.names
    assert all(np.isfinite(locs[name]).all() for name in locs.dtype.names)


def test_points_that_picasso_leaves_out_are_named(tmp_path: Path) -> None:
    moved = scored()
    moved.points[:7] -= 5000.0
    moved.features["photons"] = np.where(np.arange(400) % 100 == 5, -1.0, 1.0)
    content = Content(model(), moved, image=Pixels.square(130.0))
    told = write_picasso(tmp_path / "p.hdf5", content)
    assert "7 of them lie before 0" in told
    assert "photons of 4 is below 0" in told


def test_components_of_all_groups_are_numbered(tmp_path: Path) -> None:
    x, groups = points()[:6], np.array([0, 0, 1, 2, 2, -1])
    precise = Observations.of(x, noise_std=np.full(6, 1e-3))
    own = score(grouped(), precise, pd.DataFrame(index=range(6)), groups, engine="torch")
    write_picasso(tmp_path / "p.hdf5", Content(grouped(), own, image=Pixels.square(100.0)))
    group = read_localizations(tmp_path / "p.hdf5").features["group"].to_numpy()
    expected = model().mixture.predict(x)
    shift = np.array([0, 0, -9, 3, 3, -9])
    np.testing.assert_array_equal(
        group, np.where((expected < 0) | (shift < 0), -1, expected + shift)
    )


def test_nothing_is_written_without_a_scale(tmp_path: Path) -> None:
    part = model().fitted[0]
    pixels = DensityModel((part,), ("y", "x"), "pixel")
    own = Content(pixels, scored(), image=Pixels.square(1.0))
    for write in (write_picasso, write_thunderstorm):
        with pytest.raises(InputError, match="counts in nm, and the unit of the model is 'px'"):
            write(tmp_path / "p", own)
    with pytest.raises(InputError, match="how large one is"):
        write_picasso(tmp_path / "p.hdf5", Content(model(), scored()))
    assert not list(tmp_path.iterdir())


def test_tables_of_another_unit_are_converted(tmp_path: Path) -> None:
    y, x = points().T
    table = pd.DataFrame({"x [µm]": 1e-3 * x, "y [µm]": 1e-3 * y, "lpx [µm]": 0.01})
    table.to_csv(tmp_path / "um.csv", index=False)
    found = read_scored(model(), tmp_path / "um.csv", ColumnNames(precision="auto"))
    np.testing.assert_allclose(found.points, points())
    np.testing.assert_allclose(found.observations.noise_std, 10.0)
    table.columns = ["x [px]", "y [px]", "lpx"]
    table.to_csv(tmp_path / "px.csv", index=False)
    with pytest.raises(InputError, match="bring the points to its unit"):
        read_scored(model(), tmp_path / "px.csv", ColumnNames())


def test_rows_without_a_precision_are_left_out_with_a_word(tmp_path: Path) -> None:
    y, x = points()[:5].T
    table = pd.DataFrame({"x": x, "y": y, "precision": [9.0, np.nan, 9.0, 0.0, 9.0]})
    table.to_csv(tmp_path / "t.csv", index=False)
    found = read_scored(model(), tmp_path / "t.csv", ColumnNames(precision="auto"))
    np.testing.assert_allclose(found.points, points()[[0, 2, 4]], rtol=1e-14)
    assert len(found.features) == 3
    assert "2 of 5 rows" in found.notes[0]


def test_volumes_have_z(tmp_path: Path) -> None:
    x = in_space().mixture.sample(50, random_state=0)[0] + 1000.0
    features = pd.DataFrame(index=range(50))
    own = score(in_space(), Observations.of(x, noise_std=[[30.0, 10.0, 20.0]] * 50), features)
    content = Content(in_space(), own, image=Pixels.square(100.0))
    write_picasso(tmp_path / "p.hdf5", content)
    found = read_points(tmp_path / "p.hdf5", precision="auto")
    np.testing.assert_allclose(found.points, x, atol=1e-3)
    np.testing.assert_allclose(found.observations.noise_std[0], [30.0, 10.0, 20.0], rtol=1e-6)
    write_thunderstorm(tmp_path / "t.csv", content)
    table = read_points(tmp_path / "t.csv", precision="auto")
    np.testing.assert_allclose(table.points, x)
    np.testing.assert_allclose(table.observations.noise_std[0], [30.0, 250**0.5, 250**0.5])


def test_what_the_fit_has_left_out_is_left_out() -> None:
    """Outside of a range, and of the region; not where that is only the box of the points."""
    field = GaussianMixture([0.5], [[0.0, 0.0]], [np.eye(2)], 0.5, Box([[-5.0, -5.0], [5.0, 5.0]]))
    made = {"ranges": {"photons": [10.0, math.inf]}}
    found = DensityModel((Part(field, None, 9, 9.0),), ("y", "x"), "nm", provenance=made)
    seen = Observations(np.array([[0.0, 0.0], [1.0, 1.0], [9.0, 0.0], [4.0, -4.0]]))
    features = pd.DataFrame({"Photons": [50, 5, 50, 10], "frame": [1, 2, 3, 4]})
    kept = score(found, seen, features)
    assert kept.points.tolist() == [[0.0, 0.0], [4.0, -4.0]]
    assert kept.features["frame"].tolist() == [1, 4]
    assert kept.notes == (
        "1 of 4 points are outside of photons from 10 and left out, as in the fit.",
        "1 of 4 points lie outside of the region and are left out, as in the fit.",
    )
    unknown = score(found, seen, features[["frame"]])
    assert len(unknown.points) == 3
    assert "have no column 'photons'" in unknown.notes[0]
    with pytest.raises(InputError, match="No point is left"):
        score(found, seen, features.assign(Photons=0))
    own_box = replace(field, background_region=Box([[-5.0, -5.0], [5.0, 5.0]], 9.0))
    everywhere = DensityModel((Part(own_box, None, 9, 9.0),), ("y", "x"), "nm")
    assert len(score(everywhere, seen, features).points) == 4
