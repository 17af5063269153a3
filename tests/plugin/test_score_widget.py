"""The score widget in a viewer, with its worker replaced by one that a test drives by hand."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.layers import Layer, Points
from oracles import direct_density, random_mixture
from plugin.fakes import HandClock, HandWorker
from plugin.fakes import model_of as fitted
from pytestqt.qtbot import QtBot

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.layers.components import drawing, show_components
from napari_sparse_gmm.plugin.layers.model_metadata import (
    MODEL_KEY,
    as_shown,
    attach_model,
    layers_of,
)
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.score_widget import NO_MODEL, NO_POINTS, SparseGMMScore
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice

MIXTURE = random_mixture(4, 2, background_weight=0.2, field=1000.0, sigma=20.0)
CHOICE = HeatmapChoice("density", 64, None)


def show_fit(viewer: Any, mixture: GaussianMixture = MIXTURE, name: str = "L") -> Layer:
    """The components layer of a fit of 400 points in nm."""
    points = viewer.add_points(mixture.sample(400, 0)[0], name=name, units="nm")
    _, frame, _ = modelled_points(points, tuple(range(points.ndim)))
    model = fitted(mixture, frame=frame, prior="sqrt")
    layer = show_components(viewer, points, frame, drawing(model, frame, 95.0, 2000))
    attach_model(layer, as_shown(model, CHOICE, 95.0))
    return layer


@pytest.fixture
def other(viewer: Any) -> Points:
    """Other points of the same mixture, in µm, with a scale."""
    show_fit(viewer)
    data = MIXTURE.sample(300, 1)[0] / 1000 / (0.1, 0.5)
    features = {"sigma": np.full(300, 0.01), "n": np.arange(300)}
    return viewer.add_points(data, name="M", units="um", scale=(0.1, 0.5), features=features)


@pytest.fixture
def widget(viewer: Any, other: Points, workers: list[HandWorker]) -> SparseGMMScore:
    widget = SparseGMMScore(viewer, HandClock())
    viewer.window.add_dock_widget(widget)
    widget.points.value = other
    return widget


def score(widget: SparseGMMScore, workers: list[HandWorker]) -> None:
    widget.score_button.native.click()
    workers[-1].finish()


def test_points_get_what_the_density_says(
    widget: SparseGMMScore, workers: list[HandWorker], other: Points
) -> None:
    score(widget, workers)
    places = other.data * other.scale * 1000
    expected = np.log(direct_density(MIXTURE, places))
    np.testing.assert_allclose(other.features["log_density"], expected, atol=1e-4)
    component = MIXTURE.predict(places)
    np.testing.assert_array_equal(other.features["component"], component)
    np.testing.assert_array_equal(other.features["is_background"], component < 0)
    assert len(np.unique(other.face_color, axis=0)) == len(np.unique(component))
    assert {"sigma", "n"} <= set(other.features)
    told = widget.status.value
    assert told.startswith(f"Mean log density {expected.mean():.2f} per nm²; ")
    assert f"{np.count_nonzero(component >= 0)} of 300 points in 4 components" in told
    assert widget.score_button.enabled
    assert not widget.cancel_button.enabled


def test_precision(widget: SparseGMMScore, workers: list[HandWorker], other: Points) -> None:
    assert widget.precision.choices == (None, "sigma", "n")
    widget.precision.value = "sigma"
    score(widget, workers)
    assert widget.precision.value == "sigma"  # though the features are others now
    assert widget.precision.choices == (None, "sigma", "n")
    expected = MIXTURE.log_density(other.data * other.scale * 1000, noise_std=10.0)
    np.testing.assert_allclose(other.features["log_density"], expected, atol=1e-4)


def test_a_precision_that_programs_write_is_taken(
    widget: SparseGMMScore, workers: list[HandWorker], viewer: Any, other: Points
) -> None:
    """Along each axis its own."""
    features = {"lpx": np.full(300, 0.01), "lpy": np.full(300, 0.02)}
    points = viewer.add_points(
        other.data, name="N", units="um", scale=other.scale, features=features
    )
    widget.points.value = points
    assert widget.precision.value == "lpx"
    score(widget, workers)
    std = np.broadcast_to([20.0, 10.0], (300, 2))  # y, x
    expected = MIXTURE.log_density(other.data * other.scale * 1000, noise_std=std)
    np.testing.assert_allclose(points.features["log_density"], expected, atol=1e-4)
    widget.points.value = other
    assert widget.precision.value is None


def test_hidden_points_stay_as_they_are(
    widget: SparseGMMScore, workers: list[HandWorker], other: Points
) -> None:
    other.shown = np.arange(300) >= 10
    score(widget, workers)
    assert np.isnan(other.features["log_density"][:10]).all()
    assert "290 points" in widget.status.value
    assert "10 hidden points left out." in widget.status.value


def test_a_model_that_was_opened_scores_the_same(
    widget: SparseGMMScore, workers: list[HandWorker], viewer: Any, other: Points
) -> None:
    score(widget, workers)
    first = np.array(other.features["log_density"])
    model = viewer.layers["L components"].metadata[MODEL_KEY]
    for data, keywords, kind in layers_of(model, "opened"):
        viewer.add_layer(Layer.create(data, keywords, kind))
    assert [layer.name for layer in widget.model.choices] == ["L components", "opened components"]
    viewer.layers.remove("L components")
    assert widget.model.value.name == "opened components"
    score(widget, workers)
    np.testing.assert_array_equal(other.features["log_density"], first)


def test_wrong_dimensions_are_told(
    widget: SparseGMMScore, workers: list[HandWorker], viewer: Any
) -> None:
    widget.model.value = show_fit(viewer, random_mixture(2, 3), "V")
    widget.score_button.native.click()
    assert "Layer 'M' has 2 axes, and the model has 3 (z, y, x)" in widget.status.value
    assert workers == []
    assert widget.score_button.enabled


def test_a_layer_that_is_still_fitted_has_no_model_yet(
    widget: SparseGMMScore, workers: list[HandWorker], viewer: Any
) -> None:
    del viewer.layers["L components"].metadata[MODEL_KEY]
    widget.score_button.native.click()
    assert "Layer 'L components' carries no model" in widget.status.value
    assert workers == []


def test_what_is_missing_is_told(viewer: Any, workers: list[HandWorker]) -> None:
    widget = SparseGMMScore(viewer, HandClock())
    viewer.window.add_dock_widget(widget)
    assert widget.status.value == NO_MODEL
    assert not widget.score_button.enabled
    show_fit(viewer)
    assert (widget.status.value, widget.score_button.enabled) == ("", True)
    viewer.layers.remove("L")
    assert widget.status.value == NO_POINTS
    assert not widget.score_button.enabled


def test_names_and_removals_are_followed(
    widget: SparseGMMScore, workers: list[HandWorker], viewer: Any, other: Points
) -> None:
    components = viewer.layers["L components"]
    components.name, other.name = "first", "channel 2"
    assert (widget.model.value, widget.points.value) == (components, other)
    viewer.layers.move(0, 2)
    assert (widget.model.value, widget.points.value) == (components, other)
    viewer.layers.remove(other)
    assert widget.points.value.name == "L"
    other.features = {"new": np.ones(300)}  # which the widget follows no more
    assert widget.precision.choices == (None,)


def test_a_layer_removed_in_mid_work_stops_it(
    widget: SparseGMMScore, workers: list[HandWorker], viewer: Any, other: Points
) -> None:
    widget.score_button.native.click()
    assert not widget.score_button.enabled
    viewer.layers.remove(other)
    assert workers[-1].abort_requested
    workers[-1].finish()
    assert widget.status.value == messages.layer_removed("M")
    assert "component" not in other.features


def test_cancel(widget: SparseGMMScore, workers: list[HandWorker], other: Points) -> None:
    widget.score_button.native.click()
    assert widget.cancel_button.enabled
    widget.cancel_button.native.click()
    workers[-1].finish()
    assert widget.status.value == messages.CANCELLED
    assert widget.score_button.enabled
    assert "component" not in other.features


def test_points_that_changed_meanwhile(
    widget: SparseGMMScore, workers: list[HandWorker], other: Points
) -> None:
    widget.score_button.native.click()
    other.data = other.data[:5]
    workers[-1].finish()
    assert widget.status.value == messages.points_changed("M")
    assert "component" not in other.features


def test_widget_is_let_go_with_its_dock(
    viewer: Any, other: Points, workers: list[HandWorker]
) -> None:
    widget = SparseGMMScore(viewer, HandClock())
    dock = viewer.window.add_dock_widget(widget)
    widget.points.value = other
    score(widget, workers)
    reference = weakref.ref(widget)
    dock.destroyOnClose()
    workers.clear()
    del widget, dock
    gc.collect()
    assert reference() is None


def test_two_viewers_keep_apart(
    make_napari_viewer_proxy: Callable[[], Any], viewer: Any, widget: SparseGMMScore
) -> None:
    second = make_napari_viewer_proxy()
    elsewhere = SparseGMMScore(second)
    second.window.add_dock_widget(elsewhere)
    assert elsewhere.model.choices == elsewhere.points.choices == ()
    show_fit(second, name="N")
    assert [layer.name for layer in elsewhere.points.choices] == ["N"]
    assert [layer.name for layer in widget.points.choices] == ["L", "M"]


def test_from_its_menu_in_a_real_thread(viewer: Any, other: Points, qtbot: QtBot) -> None:
    _, widget = viewer.window.add_plugin_dock_widget("napari-sparse-gmm", "Sparse GMM score")
    widget.points.value = other
    widget.score_button.native.click()
    qtbot.waitUntil(lambda: widget.score_button.enabled, timeout=60_000)
    assert widget.status.value.startswith("Mean log density")
    assert "component" in other.features
