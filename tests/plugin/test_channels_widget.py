"""The dock of two channels: what it says is what `compare_channels` finds, wherever layers lie."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plugin.fakes import model_of
from pytestqt.qtbot import QtBot

from napari_sparse_gmm import Box, GaussianMixture
from napari_sparse_gmm.channels import compare_channels
from napari_sparse_gmm.plugin.channels_widget import (
    NO_MODEL,
    NO_POINTS,
    OF_GROUPS,
    OWN_POINTS,
    SparseGMMChannels,
)
from napari_sparse_gmm.plugin.layers.components import drawing, show_components
from napari_sparse_gmm.plugin.layers.model_metadata import attach_model
from napari_sparse_gmm.plugin.layers.owned import components_layer
from napari_sparse_gmm.plugin.points.coordinates import modelled_points

FIELD = Box(np.array([[0.0, 0.0], [1000.0, 1000.0]]))
RNG = np.random.default_rng(0)
CENTRES, OTHERS = RNG.uniform(50, 950, (2, 12, 2))
OTHERS[:6] = CENTRES[:6] + 5.0


def mixture_at(centres: np.ndarray) -> GaussianMixture:
    k = len(centres)
    covariances = np.tile(100.0 * np.eye(2), (k, 1, 1))
    return GaussianMixture(np.full(k, 0.5 / k), centres, covariances, 0.5, FIELD)


FIRST, SECOND = mixture_at(CENTRES), mixture_at(OTHERS)
POINTS = SECOND.sample(600, 1)[0]


def fitted(viewer: Any, mixture: GaussianMixture, data: np.ndarray, name: str, **pose: Any) -> Any:
    """A Points layer and the components layer of a fit of it; returns both."""
    points = viewer.add_points(data, name=name, **pose)
    _, frame, _ = modelled_points(points, (0, 1))
    model = model_of(mixture, frame=frame)
    show_components(viewer, points, frame, drawing(model, frame, 95.0, 99))
    layer = components_layer(viewer, points)
    attach_model(layer, model)
    return points, layer


@pytest.fixture
def viewer(make_napari_viewer_proxy: Callable[[], Any]) -> Any:
    return make_napari_viewer_proxy()


def compared(widget: SparseGMMChannels, qtbot: QtBot) -> None:
    widget.n_shifts.value = 39
    widget.compare()
    qtbot.waitUntil(lambda: widget.idle, timeout=60_000)


@pytest.mark.parametrize("scale", [1.0, 0.001], ids=["nm", "µm"])
def test_what_it_says_is_what_the_core_finds(
    viewer: Any, qtbot: QtBot, tmp_path: Path, scale: float
) -> None:
    """Also where the second channel is in another unit."""
    _, first = fitted(viewer, FIRST, FIRST.sample(400, 0)[0], "green", units="nm")
    unit = "nm" if scale == 1.0 else "um"
    moved = GaussianMixture(
        SECOND.weights, scale * SECOND.means, scale**2 * SECOND.covariances, 0.5, FIELD
    )
    points, second = fitted(viewer, moved, scale * POINTS, "red", units=unit)
    widget = SparseGMMChannels(viewer)
    viewer.window.add_dock_widget(widget)
    widget.model.value, widget.points.value, widget.second.value = first, points, second
    compared(widget, qtbot)
    expected = compare_channels(FIRST, POINTS, second=SECOND, region=FIELD, n_shifts=39)
    assert widget.status.value.startswith(f"{100 * expected.inside.observed:.3g}% of 600 points")
    widget.save(tmp_path / "channels.csv")
    found = pd.read_csv(tmp_path / "channels.csv").set_index("statistic")
    assert list(found.index) == list(expected.statistics)
    for name, one in expected.statistics.items():
        assert found.loc[name, "observed"] == pytest.approx(one.observed, rel=1e-6), name
        assert found.loc[name, "p_value"] == pytest.approx(one.p_value), name
    assert len(widget.statistic.choices) == 5
    widget.statistic.value = "second_distance"


def test_what_is_missing_is_said(viewer: Any) -> None:
    widget = SparseGMMChannels(viewer)
    assert widget.obstacle() == NO_MODEL
    assert not widget.compare_button.enabled
    points, layer = fitted(viewer, FIRST, POINTS, "green")
    widget.reset_choices()
    assert widget.obstacle() == widget.status.value == OWN_POINTS
    assert not widget.compare_button.enabled
    viewer.layers.remove(points)
    widget.reset_choices()
    assert widget.obstacle() == NO_POINTS
    viewer.add_points(POINTS)
    attach_model(layer, model_of(FIRST, FIRST))
    widget.reset_choices()
    widget.compare()
    assert widget.status.value == OF_GROUPS


def test_points_elsewhere_are_refused_in_a_sentence(viewer: Any, qtbot: QtBot) -> None:
    _, first = fitted(viewer, FIRST, POINTS, "green")
    far = viewer.add_points(POINTS + 1e6, name="far")
    widget = SparseGMMChannels(viewer)
    widget.model.value, widget.points.value = first, far
    compared(widget, qtbot)
    assert "0 of 600 points" in widget.status.value
    assert not widget.save_button.enabled


def test_another_points_layer_than_that_of_the_first_is_chosen(viewer: Any) -> None:
    """A channel beside itself is many times as near as by chance."""
    green, first = fitted(viewer, FIRST, FIRST.sample(400, 0)[0], "green")
    widget = SparseGMMChannels(viewer)
    assert (widget.points.value, widget.obstacle()) == (green, OWN_POINTS)
    red, second = fitted(viewer, SECOND, POINTS, "red")
    assert (widget.model.value, widget.points.value, widget.obstacle()) == (first, red, "")
    widget.model.value = second
    assert (widget.points.value, widget.obstacle()) == (green, "")
    widget.points.value = red
    assert widget.obstacle() == widget.status.value == OWN_POINTS


def test_a_shape_is_where_both_could_be_seen(viewer: Any, qtbot: QtBot) -> None:
    """Also one in another unit than the model."""
    fitted(viewer, FIRST, FIRST.sample(400, 0)[0], "green", units="nm")
    red = viewer.add_points(POINTS, name="red", units="nm")
    left = np.array([[0.0, 0.0], [0.0, 0.5], [1.0, 0.5], [1.0, 0.0]])  # µm
    shape = viewer.add_shapes([left], shape_type="polygon", name="cell", units="um")
    widget = SparseGMMChannels(viewer)
    assert widget.region.value is None
    widget.points.value, widget.region.value = red, shape
    compared(widget, qtbot)
    half = Box(np.array([[0.0, 0.0], [1000.0, 500.0]]))
    expected = compare_channels(FIRST, POINTS, region=half, n_shifts=39)
    n_inside = int(half.contains(POINTS).sum())
    assert 0 < n_inside < 600
    share = f"{100 * expected.inside.observed:.3g}% of {n_inside} points"
    assert widget.status.value.startswith(share)
    assert f"{600 - n_inside} points outside of the region left out." in widget.status.value
    viewer.layers.remove(shape)
    assert widget.region.value is None
    assert widget.status.value == "Layer 'cell' was removed: the Region is again as the fit."
