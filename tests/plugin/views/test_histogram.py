"""The histogram of a column: of all components, and of those that are selected."""

import numpy as np
import pytest
from napari.layers import Shapes
from pytestqt.qtbot import QtBot

from napari_sparse_gmm.plugin.views.histogram import HistogramView, bins

SQUARE = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])


@pytest.fixture
def layer() -> Shapes:
    features = {"expected_points": [1.0, 2.0, 3.0, np.nan], "kind": list("abcd")}
    return Shapes([SQUARE + k for k in range(4)], features=features)


@pytest.fixture
def view(qtbot: QtBot, layer: Shapes) -> HistogramView:
    view = HistogramView(lambda: "dark")
    qtbot.addWidget(view.native)
    view.show(run=False)
    view.show_layer(layer)
    return view


def counted(view: HistogramView) -> list[float]:
    """How many components each set of bars is of."""
    (axes,) = view.plot.figure.axes
    return [sum(bar.get_height() for bar in bars) for bars in axes.containers]


def test_what_is_selected_is_shown_within_all(view: HistogramView, layer: Shapes) -> None:
    assert view.column.choices == ("expected_points",)
    layer.selected_data = set()
    assert counted(view) == [3]
    layer.selected_data = {0, 2, 3}
    assert counted(view) == [3, 2]
    layer.selected_data = {3}  # of which there is no value
    assert counted(view) == [3, 0]
    view.show_layer(None)
    assert not view.plot.figure.axes
    layer.selected_data = {1}
    assert not view.plot.figure.axes


def test_bars_of_values_over_decades_are_of_equal_ratios() -> None:
    edges = bins(np.geomspace(1.0, 1e4, 200))
    np.testing.assert_allclose(edges[1:] / edges[:-1], edges[1] / edges[0])
