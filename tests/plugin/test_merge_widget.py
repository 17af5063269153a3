"""The widget that merges localizations, with its worker replaced by one that a test drives."""

from typing import Any

import numpy as np
import pytest
from napari.layers import Points
from plugin.fakes import HandClock, HandWorker

from napari_sparse_gmm.merging import merge_repeats
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.plugin.merge_widget import NO_FRAME, NO_POINTS, NUMBER, SparseGMMMerge

PLACES = 500.0 * np.stack(np.meshgrid(np.arange(5), np.arange(4), indexing="ij"), -1).reshape(-1, 2)


@pytest.fixture
def points(viewer: Any) -> Points:
    """Each of 20 molecules in five frames, in pixels of 100 nm."""
    rng = np.random.default_rng(0)
    frames = np.tile(np.arange(5), 20) + 100 * np.repeat(np.arange(20), 5)
    std = rng.uniform(5.0, 15.0, 100)
    data = np.repeat(PLACES, 5, axis=0) + 0.5 * std[:, None] * rng.standard_normal((100, 2))
    return viewer.add_points(
        data / 100.0,
        name="L",
        scale=(100.0, 100.0),
        units="nm",
        affine=[[0.0, 1.0, 7.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        features={"photons": std, "frame": frames, "uncertainty": std},
    )


@pytest.fixture
def widget(viewer: Any, points: Points, workers: list[HandWorker]) -> SparseGMMMerge:
    widget = SparseGMMMerge(viewer, HandClock())
    viewer.window.add_dock_widget(widget)
    return widget


def test_a_layer_of_molecules_comes_beside_that_of_localizations(
    widget: SparseGMMMerge, workers: list[HandWorker], viewer: Any, points: Points
) -> None:
    assert (widget.frame.value, widget.precision.value) == ("frame", "uncertainty")
    widget.merge_button.native.click()
    assert widget.cancel_button.enabled
    workers[-1].finish()
    merged = viewer.layers["L merged"]
    assert widget.status.value == "100 localizations merged to 20: 5 each."
    assert (merged.features[NUMBER] == 5).all()
    np.testing.assert_array_equal(merged.features["frame"], 100.0 * np.arange(20))
    std = points.features["uncertainty"].to_numpy()
    expected = merge_repeats(
        Observations.of(points.data * 100.0, noise_std=std), points.features["frame"], gap=3
    ).observations
    np.testing.assert_allclose(merged.data * merged.scale, expected.points)
    np.testing.assert_allclose(merged.features["uncertainty"] ** 2, expected.noise[:, 0])
    assert merged.units == points.units
    np.testing.assert_allclose(merged.affine.affine_matrix, points.affine.affine_matrix)
    assert len(points.data) == 100


def test_hidden_points_and_those_without_a_precision_are_left_out(
    widget: SparseGMMMerge, workers: list[HandWorker], viewer: Any, points: Points
) -> None:
    shown = np.ones(100, dtype=bool)
    shown[:5] = False
    points.shown = shown
    features = points.features.copy()
    features.loc[5:9, "uncertainty"] = np.nan
    points.features = features
    widget.merge_button.native.click()
    workers[-1].finish()
    assert len(viewer.layers["L merged"].data) == 18


def test_a_radius_serves_where_no_precision_is_known(
    widget: SparseGMMMerge, workers: list[HandWorker], viewer: Any
) -> None:
    widget.precision.value = None
    widget.merge_button.native.click()
    workers[-1].finish()
    assert "Give a radius" in widget.status.value
    widget.radius.value = 120.0
    widget.merge_button.native.click()
    workers[-1].finish()
    assert len(viewer.layers["L merged"].data) == 20
    assert "uncertainty" not in viewer.layers["L merged"].features


def test_no_dark_frame_is_bridged_where_none_may_be(
    widget: SparseGMMMerge, workers: list[HandWorker], viewer: Any, points: Points
) -> None:
    points.features["frame"] *= 2
    widget.gap.value = 0
    widget.merge_button.native.click()
    workers[-1].finish()
    assert len(viewer.layers["L merged"].data) == 100


def test_what_is_missing_is_said(viewer: Any, workers: list[HandWorker]) -> None:
    widget = SparseGMMMerge(viewer, HandClock())
    assert widget.status.value == NO_POINTS
    assert not widget.merge_button.enabled
    layer = viewer.add_points(np.zeros((3, 2)))
    assert widget.status.value == NO_FRAME
    viewer.layers.remove(layer)
    assert widget.status.value == NO_POINTS


def test_a_layer_that_goes_takes_its_work_along(
    widget: SparseGMMMerge, workers: list[HandWorker], viewer: Any, points: Points
) -> None:
    widget.merge_button.native.click()
    viewer.layers.remove(points)
    assert widget.idle or workers[-1].abort_requested
    assert len(viewer.layers) == 0


def test_what_cannot_be_merged_is_said(
    widget: SparseGMMMerge, workers: list[HandWorker], viewer: Any, points: Points
) -> None:
    features = points.features.copy()
    features.loc[5:, "uncertainty"] = np.nan
    points.features = features
    points.shown = np.arange(100) >= 5
    widget.merge_button.native.click()
    assert "is no precision" in widget.status.value
    assert widget.idle
    assert widget.merge_button.enabled


def test_time_is_no_direction_in_space(widget: SparseGMMMerge, viewer: Any, points: Points) -> None:
    viewer.add_points(np.zeros((3, 3)), name="movie", axis_labels=("t", "y", "x"))
    assert widget.points.choices == (points,)
