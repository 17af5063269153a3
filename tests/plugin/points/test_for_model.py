"""Points of other layers in a model's coordinates: a place of the world is the same in both."""

from typing import Any

import numpy as np
import pytest
from napari.layers import Points
from oracles import random_mixture
from plugin.fakes import model_of as fitted

from napari_sparse_gmm.density_model import DensityModel, Part
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin.layers.model_metadata import as_shown
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.points.for_model import points_for
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice

CHOICE = HeatmapChoice("density", 64, None)


def model_on(layer: Points, axes: tuple[int, ...], each: Any = None, n: int = 1) -> DensityModel:
    _, frame, _ = modelled_points(layer, axes, each)
    mixtures = [random_mixture(2, len(axes), seed=seed) for seed in range(n)]
    return as_shown(fitted(*mixtures, frame=frame), CHOICE, 95.0)


def test_the_points_that_were_fitted_are_where_they_were(posed_points: Points) -> None:
    u, _, _ = modelled_points(posed_points, (0, 1))
    model = model_on(posed_points, (0, 1))
    read = points_for(model, posed_points, None, True)
    np.testing.assert_allclose(read.observations.points, u, rtol=1e-9, atol=1e-12 * np.abs(u).max())
    assert (read.observations.noise_std, read.pooled) == (None, ())


def test_another_layer_at_the_same_places(posed_points: Points) -> None:
    """Its data are the world coordinates themselves, in a unit a thousand times as large."""
    u, _, _ = modelled_points(posed_points, (0, 1))
    world = np.array([posed_points.data_to_world(point) for point in posed_points.data])
    unit = "um" if posed_points.units[0] == "meter" else "pixel"
    factor = 1e6 if unit == "um" else 1.0
    other = Points(factor * world / (2.0, 5.0), scale=(2.0, 5.0), units=unit)
    read = points_for(model_on(posed_points, (0, 1)), other, None, True)
    np.testing.assert_allclose(read.observations.points, u, rtol=1e-6, atol=1e-9 * np.abs(u).max())


@pytest.mark.parametrize("in_units", [True, False])
def test_units_count_where_napari_shows_them(in_units: bool) -> None:
    data = np.random.default_rng(0).uniform(0, 60, (9, 2))
    model = model_on(Points(1000 * data, units="nm"), (0, 1))
    features = {"sigma": np.full(9, 0.02)}
    other = Points(data / 2, scale=(2, 2), units="um", features=features)
    read = points_for(model, other, "sigma", in_units)
    factor = 1000 if in_units else 1
    np.testing.assert_allclose(read.observations.points, factor * data)
    # The precision is in the unit of the other layer, whatever its scale.
    np.testing.assert_allclose(read.observations.noise_std, np.full((9, 2), factor * 0.02))


def test_the_precision_of_turned_points_is_the_same_along_all_axes() -> None:
    data = np.random.default_rng(0).uniform(0, 60, (9, 2))
    model = model_on(Points(data), (0, 1))
    other = Points(data, rotate=30, scale=(3, 3), features={"sigma": np.arange(1.0, 10.0)})
    seen = points_for(model, other, "sigma", True).observations
    np.testing.assert_allclose(seen.noise_std, np.arange(1.0, 10.0)[:, None].repeat(2, axis=1))


def test_hidden_points_are_left_out() -> None:
    data = np.random.default_rng(0).uniform(0, 60, (9, 2))
    other = Points(data, shown=np.arange(9) > 3)
    read = points_for(model_on(Points(data), (0, 1)), other, None, True)
    np.testing.assert_array_equal(read.observations.points, data[4:])
    np.testing.assert_array_equal(read.shown, np.arange(9) > 3)


def test_more_axes_are_taken_together() -> None:
    data = np.random.default_rng(0).uniform(0, 60, (9, 3))
    model = model_on(Points(data[:, 1:], translate=(5, 7)), (0, 1))
    read = points_for(model, Points(data, translate=(0, 5, 7)), None, True)
    np.testing.assert_allclose(read.observations.points, data[:, 1:])
    assert read.pooled == ("z",)


TIMES = np.array([2.0, 4.0, 10.0])


def layer_of_times() -> Points:
    rng = np.random.default_rng(0)
    data = np.column_stack([np.repeat(TIMES, 20), rng.uniform(0, 60, (60, 2))])
    return Points(data, name="L", scale=(5, 1, 1), translate=(3, 0, 0), axis_labels=("t", "y", "x"))


def test_groups_along_an_axis_are_found_by_their_place() -> None:
    model = model_on(layer_of_times(), (1, 2), 0, n=3)
    frames = np.array([2, 4, 6, 10, 10, 12, 0])  # in steps that are half as long
    data = np.column_stack([2 * frames, np.arange(7), np.arange(7)])
    other = Points(data, scale=(2.5, 1, 1), translate=(3, 0, 0))
    read = points_for(model, other, None, True)
    np.testing.assert_array_equal(read.groups, [0, 1, -1, 2, 2, -1, -1])
    np.testing.assert_allclose(read.observations.points, data[:, 1:])
    assert read.pooled == ()


def test_groups_along_an_axis_that_is_a_feature_of_others() -> None:
    model = model_on(layer_of_times(), (1, 2), 0, n=3)
    flat = Points(np.eye(4, 2), name="flat", features={"t": [4.0, 10.0, 5.0, 2.0]})
    read = points_for(model, flat, None, True)
    np.testing.assert_array_equal(read.groups, [1, 2, -1, 0])
    with pytest.raises(InputError, match=r"mixture for each t: .* such an axis, or a feature 't'"):
        points_for(model, Points(np.eye(4, 2), name="flat"), None, True)


@pytest.mark.parametrize("ndim", [2, 3])
def test_groups_of_a_feature(ndim: int) -> None:
    data = np.random.default_rng(0).uniform(0, 60, (6, 2))
    cells = Points(data, features={"cell": list("aabbcc")}, scale=(2, 3), units="nm")
    model = model_on(cells, (0, 1), "cell", n=3)
    place = np.zeros((6, ndim))
    place[:, -2:] = data * (2, 3) / 1000
    other = Points(place, units="um", features={"cell": list("cbaxab")})
    read = points_for(model, other, None, True)
    np.testing.assert_array_equal(read.groups, [2, 1, 0, -1, 0, 1])
    np.testing.assert_allclose(read.observations.points, data * (2, 3))
    with pytest.raises(InputError, match="a feature 'cell', which layer 'flat' has not"):
        points_for(model, Points(data, name="flat"), None, True)


def test_a_model_in_space_needs_points_in_space() -> None:
    data = np.random.default_rng(0).uniform(0, 60, (9, 3))
    model = model_on(Points(data), (0, 1, 2))
    flat = Points(data[:, 1:], name="flat")
    with pytest.raises(InputError, match=r"'flat' has 2 axes, and the model has 3 \(z, y, x\)"):
        points_for(model, flat, None, True)


# napari's thumbnail of such points
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_points_of_no_use_are_refused() -> None:
    data = np.random.default_rng(0).uniform(0, 60, (9, 2))
    model = model_on(Points(data), (0, 1))
    with pytest.raises(InputError, match="Layer 'none' shows no points"):
        points_for(model, Points(np.empty((0, 2)), name="none"), None, True)
    with pytest.raises(InputError, match=r"1 of the 9 points .* NaN or infinite"):
        points_for(model, Points(np.where(data == data[3, 0], np.nan, data)), None, True)
    bad = Points(data, features={"sigma": -1.0 - np.arange(9.0)}, name="bad")
    with pytest.raises(InputError, match=r"'sigma' of layer 'bad' is no precision, as none of"):
        points_for(model, bad, "sigma", True)


def test_points_without_a_precision_are_left_out() -> None:
    data = np.random.default_rng(0).uniform(0, 60, (9, 2))
    layer = Points(data, features={"sigma": [3, -1, np.nan, 0, np.inf, 3, 4, 5, 1e40]})
    read = points_for(model_on(layer, (0, 1)), layer, "sigma", True)
    np.testing.assert_array_equal(np.flatnonzero(read.shown), [0, 5, 6, 7])
    assert read.n_imprecise == 5
    np.testing.assert_allclose(read.observations.noise_std[:, 0], [3, 3, 4, 5])


def test_a_model_of_the_command_line_is_in_the_unit_of_its_table() -> None:
    model = DensityModel((Part(random_mixture(2, 2), None, 9, 9.0),), ("y", "x"), "nm")
    data = np.random.default_rng(0).uniform(0, 60, (9, 2))
    read = points_for(model, Points(data / 1000, units="um"), None, True)
    np.testing.assert_allclose(read.observations.points, data)
