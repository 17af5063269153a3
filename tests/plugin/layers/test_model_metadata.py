"""A fit is saved, and comes back: what napari draws must lie where it lay, and say the same."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Shapes
from oracles import random_mixture
from plugin.fakes import model_of as fitted

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.density_model import DensityModel, Part
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.models import load_model, save_model
from napari_sparse_gmm.plugin.layers.components import drawing, show_components
from napari_sparse_gmm.plugin.layers.heatmap import show_heatmap
from napari_sparse_gmm.plugin.layers.model_metadata import (
    MODEL_KEY,
    as_shown,
    attach_model,
    attached_model,
    layers_of,
)
from napari_sparse_gmm.plugin.layers.owned import METADATA_KEY
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.space.model_frame import frame_of
from napari_sparse_gmm.plugin.tasks.render import drawn
from napari_sparse_gmm.plugin.tasks.task import at_once
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice
from napari_sparse_gmm.regions import Hull

PLACES = ("scale", "translate", "rotate", "shear", "units", "axis_labels")


def inside(frame: Frame, n: int = 4, seed: int = 0) -> GaussianMixture:
    """A mixture in the box of a frame, with a background."""
    low, high = frame.modelled_box
    d = len(low)
    mixture = random_mixture(n, d, background_weight=0.3, field=1.0, sigma=0.02, seed=seed)
    return mixture.transformed(high - low, low)


def show(
    points: Points, frame: Frame, model: DensityModel, quantity: str = "density"
) -> tuple[ViewerModel, DensityModel]:
    """The layers of a fit, and its model."""
    viewer = ViewerModel()
    viewer.add_layer(points)
    side = 512 if len(frame.axes) == 2 else 128
    choice = HeatmapChoice(quantity, side, None, engine="torch")
    picture = at_once(drawn(model, frame.modelled_box, choice, frame.layout))
    show_heatmap(viewer, points, frame, picture)
    layer = show_components(viewer, points, frame, drawing(model, frame, 80.0, 2000))
    model = as_shown(model, choice, 80.0)
    attach_model(layer, model)
    return viewer, model


def opened(model: DensityModel, folder: Path, name: str = "L") -> list[Layer]:
    """The layers of a model that was saved."""
    save_model(folder / "model.json", model)
    read = load_model(folder / "model.json")
    return [Layer.create(*layer) for layer in layers_of(read, name)]


def same_world(one: Layer, other: Layer) -> None:
    assert one.ndim == other.ndim
    for place in (np.zeros(one.ndim), np.full(one.ndim, 17.0), 3.0 * np.eye(one.ndim)[-1]):
        np.testing.assert_array_equal(one.data_to_world(place), other.data_to_world(place))
    for name in PLACES:
        np.testing.assert_array_equal(
            np.asarray(getattr(one, name), dtype=object),
            np.asarray(getattr(other, name), dtype=object),
        )
    assert one.units == other.units


def same_layers(viewer: ViewerModel, layers: list[Layer]) -> None:
    made = [layer for layer in viewer.layers if METADATA_KEY in layer.metadata]
    assert [layer.name for layer in made] == [layer.name for layer in layers]
    for one, other in zip(made, layers, strict=True):
        assert type(one) is type(other)
        same_world(one, other)
        assert one.blending == other.blending
        assert one.opacity == other.opacity
        if isinstance(one, Image):
            np.testing.assert_array_equal(one.data, other.data)
            assert one.colormap.name == other.colormap.name == "inferno"
            assert one.contrast_limits == other.contrast_limits
        elif isinstance(one, Shapes):
            assert len(one.data) == len(other.data)
            for corners, again in zip(one.data, other.data, strict=True):
                np.testing.assert_array_equal(corners, again)
            np.testing.assert_array_equal(one.edge_color, other.edge_color)
            np.testing.assert_array_equal(one.edge_width, other.edge_width)
            assert set(other.shape_type) <= {"ellipse"}
            assert list(one.features) == list(other.features)
            for name in one.features:
                np.testing.assert_array_equal(one.features[name], other.features[name])
        else:
            for values, again in zip(one.data[:2], other.data[:2], strict=True):
                np.testing.assert_array_equal(values, again)
            np.testing.assert_array_equal(one.vertex_colors, other.vertex_colors)


def test_layers_lie_where_they_lay(posed_points: Points, tmp_path: Path) -> None:
    _, frame, _ = modelled_points(posed_points, (0, 1))
    viewer, model = show(posed_points, frame, fitted(inside(frame), frame=frame, prior="sqrt"))
    same_layers(viewer, opened(model, tmp_path))


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")  # napari's view of it
@pytest.mark.parametrize("offset", [0.0, 1e9], ids=["near", "far"])
@pytest.mark.parametrize("rotate", [None, (10.0, 20.0, 30.0)], ids=["upright", "rotated"])
def test_volumes_come_back(tmp_path: Path, offset: float, rotate: Any) -> None:
    data = np.random.default_rng(0).uniform(0, 20, (60, 3)) + offset
    points = Points(data, name="L", scale=(3, 1, 1), rotate=rotate, units=("um", "um", "um"))
    _, frame, _ = modelled_points(points, (0, 1, 2))
    viewer, model = show(points, frame, fitted(inside(frame), frame=frame))
    layers = opened(model, tmp_path)
    assert [layer.name for layer in layers] == ["L density", "L ellipsoids", "L components"]
    same_layers(viewer, layers)


@pytest.mark.parametrize("each", [0, "cell"], ids=["axis", "feature"])
def test_groups_with_a_gap_come_back(tmp_path: Path, each: int | str) -> None:
    """Times 2, 4 and 10, or cells by their names; one could not be fitted."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, 90)
    data = np.column_stack([np.array([2.0, 4.0, 10.0])[group], rng.uniform(0, 50, (90, 2))])
    points = Points(
        data,
        name="L",
        scale=(5, 1, 0.5),
        translate=(1, 2, 3),
        units=("s", "nm", "nm"),
        axis_labels=("t", "y", "x"),
        features={"cell": np.array(["a", "b", "c"])[group]},
    )
    _, frame, _ = modelled_points(points, (1, 2), each)
    mixtures = (inside(frame, 3, seed=1), None, inside(frame, 2, seed=2))
    model = fitted(*mixtures, frame=frame, prior="sqrt")
    viewer, model = show(points, frame, model, "log_density")
    layers = opened(model, tmp_path)
    same_layers(viewer, layers)
    column = layers[-1].features["t" if each == 0 else "cell"]
    assert set(column) == ({2.0, 10.0} if each == 0 else {"a", "c"})
    again = frame_of(load_model(tmp_path / "model.json"))
    assert again.pooled == frame.pooled
    assert again.stack.labels.tolist() == frame.stack.labels.tolist()


def test_what_was_opened_can_be_saved_again(posed_points: Points, tmp_path: Path) -> None:
    _, frame, _ = modelled_points(posed_points, (0, 1))
    background = Hull([[0.0, 0.0], [0.0, 4.0], [3.0, 0.1]])
    _, model = show(posed_points, frame, fitted(inside(frame), frame=frame, background=background))
    layers = opened(model, tmp_path)
    assert layers[-1].metadata[METADATA_KEY]["role"] == "components"
    save_model(tmp_path / "again.json", layers[-1].metadata[MODEL_KEY])
    first, again = tmp_path / "model.json", tmp_path / "again.json"
    assert again.read_bytes() == first.read_bytes()


def test_the_model_says_how_it_was_made(tmp_path: Path) -> None:
    points = Points(np.random.default_rng(0).uniform(0, 10, (50, 2)), name="L", units="nm")
    _, frame, _ = modelled_points(points, (0, 1))
    _, model = show(points, frame, fitted(inside(frame), frame=frame, prior="sqrt", n_components=7))
    opened(model, tmp_path)
    read = load_model(tmp_path / "model.json")
    made = read.provenance
    assert (made["source"], made["engine_reason"]) == ("L", "Because.")
    assert made["parameters"] == {"prior": "sqrt", "n_components": 7}
    assert made["left_out"] == {"hidden": 3}
    assert (read.view["quantity"], read.view["coverage"]) == ("density", 80.0)
    assert (read.unit, read.axis_labels) == ("nm", ("y", "x"))
    np.testing.assert_array_equal(read.box, frame.modelled_box)


def test_no_array_is_copied() -> None:
    points = Points(np.random.default_rng(0).uniform(0, 10, (50, 2)))
    _, frame, _ = modelled_points(points, (0, 1))
    model = fitted(inside(frame), frame=frame)
    viewed = as_shown(model, HeatmapChoice("density", 64, None), 95.0)
    assert viewed.parts is model.parts


def plain_model(**keywords: Any) -> DensityModel:
    """As the command line makes one."""
    mixture = random_mixture(3, 2, background_weight=0.2, field=100.0, sigma=2.0)
    part = Part(mixture, None, 50, 50.0)
    return DensityModel((part,), ("y", "x"), **{"unit": "nm", **keywords})


def test_a_model_of_the_command_line_lies_in_its_unit(tmp_path: Path) -> None:
    model = plain_model(box=np.array([[10.0, 0.0], [90.0, 100.0]]))
    image, shapes = opened(model, tmp_path, "model")
    assert (image.name, shapes.name) == ("model density", "model components")
    assert {str(unit) for unit in image.units + shapes.units} == {"nanometer"}
    assert image.axis_labels == shapes.axis_labels == ("y", "x")
    corners = np.array([shapes.data_to_world(c) for c in np.concatenate(shapes.data)])
    centres = corners.reshape(3, 4, 2).mean(1)
    np.testing.assert_allclose(centres, model.mixture.means, atol=1e-4)
    # The heatmap covers the box of the points, its pixels where their density is.
    low, high = (image.data_to_world(p) for p in ((-0.5, -0.5), np.subtract(image.data.shape, 0.5)))
    assert (low <= model.box[0]).all()
    assert (high >= model.box[1]).all()
    pixel = (200, 300)
    expected = model.mixture.density([image.data_to_world(pixel)])[0]
    assert image.data[pixel] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("unit", [None, "frobs"])
def test_a_unit_that_napari_does_not_know(tmp_path: Path, unit: str | None) -> None:
    image, _ = opened(plain_model(unit=unit), tmp_path)
    assert {str(one) for one in image.units} == {"pixel"}


def test_without_a_box_the_heatmap_covers_background_and_components(tmp_path: Path) -> None:
    image, _ = opened(plain_model(), tmp_path)
    assert (np.array(image.data_to_world((0, 0))) < 1).all()
    assert (np.array(image.data_to_world(np.subtract(image.data.shape, 1))) > 99).all()


def test_no_component_is_left(tmp_path: Path) -> None:
    box = np.array([[0.0, 0.0], [9.0, 9.0]])
    empty = GaussianMixture(np.empty(0), np.empty((0, 2)), np.empty((0, 2, 2)), 1.0, box)
    _, shapes = opened(DensityModel((Part(empty, None, 5, 5.0),), ("y", "x"), None), tmp_path)
    assert (shapes.nshapes, shapes.ndim) == (0, 2)


def test_many_groups_open_with_smaller_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = np.column_stack([np.repeat(np.arange(300), 2), rng.uniform(0, 9, (600, 2))])
    _, frame, _ = modelled_points(Points(data, name="L"), (1, 2), 0)
    _, model = show(Points(data, name="L"), frame, fitted(*[inside(frame, 1)] * 300, frame=frame))
    image, shapes = opened(model, tmp_path)
    assert image.data.shape[0] == shapes.nshapes == 300
    assert image.data.size < 2e7


@pytest.mark.parametrize("unit", ["9**9**9", "1/0", "__import__('os')", "m" * 100_000], ids=len)
@pytest.mark.parametrize("where", ["unit", "view"])
def test_a_unit_is_never_worked_out(tmp_path: Path, unit: str, where: str) -> None:
    if where == "unit":
        image, _ = opened(plain_model(unit=unit), tmp_path)
        assert {str(one) for one in image.units} == {"pixel"}
        return
    _, frame, _ = modelled_points(Points(np.eye(2)), (0, 1))
    choice = HeatmapChoice("density", 64, None)
    model = as_shown(fitted(inside(frame), frame=frame), choice, 95.0)
    model.view.update(units=["nanometer", unit])
    with pytest.raises(InputError, match=r"damaged where it says how it lies: .* is no unit"):
        opened(model, tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        {"scale": 3},
        {"scale": []},
        {"scale": [0.0, 1.0, 1.0]},
        {"scale": [1e999, 1.0, 1.0]},
        {"box": [[0.0], [1.0]]},
        {"units": None},
        {"units": ["nanometer"]},
        {"axis_labels": "tyx"},
        {"axes": ["x"]},
        {"axes": [1, 7]},
        {"axes": [1, 10**400]},
        {"axes": [1, 1]},
        {"axes": [-1, 1]},
        {"pooled": [[1]]},
        {"rotate": np.zeros((3, 3))},
        {"shear": []},
        {"shear": [[1, 0, 0], [1, 1, 2], [0, 0, 1]]},
        {"stack": {}},
        {"stack": None},
        {"stack": {"slices": [0, 10**12], "origin": 0, "spacing": 1, "axis": 0, "own": False}},
        {"stack": {"slices": [1, 0], "origin": 0, "spacing": 1, "axis": 0, "own": False}},
        {"stack": {"slices": [0, 1], "origin": 0, "spacing": 0, "axis": 0, "own": False}},
        {"stack": {"slices": [0, 1], "origin": 0, "spacing": 1, "axis": 9, "own": False}},
        {"quantity": "money"},
        {"quantity": ["density"]},
        {"coverage": "most"},
        {"coverage": 300.0},
    ],
    ids=lambda damage: str(damage)[:60],
)
def test_a_damaged_view_is_named(tmp_path: Path, damage: dict) -> None:
    data = np.random.default_rng(0).uniform(0, 9, (60, 3))
    data[:, 0] = np.arange(60) % 2
    points = Points(data, name="L")
    _, frame, _ = modelled_points(points, (1, 2), 0)
    choice = HeatmapChoice("density", 64, None)
    model = as_shown(fitted(inside(frame), None, frame=frame), choice, 95.0)
    model.view.update(damage)
    with pytest.raises(InputError, match=r"The model is damaged where it says|coverage must be"):
        opened(model, tmp_path)


def test_groups_of_which_one_has_no_errors(tmp_path: Path) -> None:
    data = np.random.default_rng(0).uniform(0, 9, (60, 3))
    data[:, 0] = np.arange(60) % 2
    _, frame, _ = modelled_points(Points(data, name="L"), (1, 2), 0)
    model = fitted(inside(frame), inside(frame), frame=frame)
    first, second = model.parts
    model = replace(model, parts=(replace(first, errors=None), second))
    choice = HeatmapChoice("density", 64, None)
    _, shapes = opened(as_shown(model, choice, 95.0), tmp_path)
    known = np.isfinite(shapes.features["weight_error"])
    np.testing.assert_array_equal(known, np.repeat([False, True], 4))


def test_a_layer_without_a_model() -> None:
    with pytest.raises(InputError, match="Layer 'drawn' carries no model: choose a components"):
        attached_model("drawn", Shapes().metadata)


def test_a_model_goes_with_a_copy_of_its_layer() -> None:
    again = pickle.loads(pickle.dumps(plain_model()))
    np.testing.assert_array_equal(again.mixture.means, plain_model().mixture.means)
