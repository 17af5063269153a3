"""The filter of the dock: a range of a feature, which belongs to the layer."""

from typing import Any

import numpy as np
import pytest
from napari.layers import Points
from pytestqt.qtbot import QtBot

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin.points.source import Source
from napari_sparse_gmm.plugin.script import script
from napari_sparse_gmm.plugin.views.filters import FilterView
from napari_sparse_gmm.ranges import Range


@pytest.fixture
def layer() -> Points:
    data = np.random.default_rng(0).uniform(0.0, 100.0, (100, 2))
    features = {"photons": np.arange(100.0), "sigma": np.full(100, 2.0), "kind": ["a"] * 100}
    return Points(data, features=features, name="L")


@pytest.fixture
def view(qtbot: QtBot, layer: Points) -> FilterView:
    view = FilterView(lambda: "dark")
    qtbot.addWidget(view.native)
    view.show(run=False)
    view.show_layer(layer)
    return view


def write(field: Any, text: str) -> None:
    field.value = text
    field.native.editingFinished.emit()


def test_limits_are_those_of_the_layer(view: FilterView, layer: Points) -> None:
    heard: list[int] = []
    view.ranges_changed.connect(lambda: heard.append(1))
    assert view.feature.choices == ("photons", "sigma")
    assert view.left.value == "All 100 points are taken."
    write(view.low, "10")
    write(view.high, "39.5")
    assert view.ranges == (Range("photons", 10.0, 39.5),)
    assert view.left.value == "30 of 100 points are left: photons 10 to 39.5."
    assert len(heard) == 2
    other = Points(layer.data, features={"photons": np.arange(100.0)})
    view.show_layer(other)
    assert view.ranges == ()
    view.show_layer(layer)
    assert (view.low.value, view.high.value) == ("10", "39.5")
    write(view.low, "")
    write(view.high, "")
    assert view.ranges == ()


def test_frames_are_those_of_the_points_that_are_left(layer: Points) -> None:
    """A feature says them, or an axis; where some are unknown all are."""
    source = Source(layer, (0, 1), ranges=(Range("photons", 10.0, 19.0),))
    assert source.read().frames is None
    layer.features = layer.features.assign(frame=np.arange(100) * 3)
    np.testing.assert_array_equal(source.read().frames, np.arange(30, 60, 3))
    layer.features = layer.features.assign(frame=[np.nan, *range(99)])
    np.testing.assert_array_equal(source.read().frames, np.arange(9, 19))
    assert Source(layer, (0, 1)).read().frames is None
    movie = np.column_stack([np.arange(100.0), layer.data])
    of_time = Points(movie, axis_labels=("t", "y", "x"))
    np.testing.assert_array_equal(Source(of_time, (1, 2)).read().frames, np.arange(100.0))


@pytest.mark.parametrize(("text", "words"), [("many", "must be a number"), ("nan", "range of")])
def test_what_is_no_number_is_told_and_changes_nothing(view: FilterView, text, words) -> None:
    write(view.low, text)
    assert words in view.left.value
    assert view.ranges == ()


def test_a_long_sentence_is_wrapped(view: FilterView) -> None:
    before = view.native.minimumSizeHint().width()
    view.left.value = "A sentence of some words. " * 30
    assert view.native.minimumSizeHint().width() == before


def test_points_outside_are_left_out_of_what_is_read(layer: Points) -> None:
    ranges = Range("photons", 10.0, 39.5), Range("sigma", low=1.0)
    source = Source(layer, (0, 1), ranges=ranges)
    cloud = source.read()
    np.testing.assert_array_equal(np.flatnonzero(cloud.shown), np.arange(10, 40))
    assert (cloud.n_filtered, cloud.n_unused, cloud.left_out["filtered"]) == (70, 0, 70)
    lines = script(source, cloud, {"background": False})
    assert "# photons 10 to 39.5, sigma from 1" in lines
    for wrong in (Range("photons", low=200.0), Range("gone"), Range("kind")):
        with pytest.raises(InputError, match="under Filter"):
            Source(layer, (0, 1), ranges=(wrong,)).read()
