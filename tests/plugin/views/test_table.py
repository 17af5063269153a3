"""The components in napari's table, in a window: which row is which ellipse, and where it is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.layers import Points, Shapes
from plugin.fakes import model_of
from qtpy.QtCore import QItemSelectionModel, Qt
from qtpy.QtWidgets import QTableView

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.plugin.layers.components import drawing, show_components
from napari_sparse_gmm.plugin.layers.owned import components_layer
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.views.table import ComponentTable

WEIGHTS = np.array([0.2, 0.4, 0.1, 0.3])
BY_POINTS = [1, 3, 0, 2]
MEANS = np.array([[10.0, 20.0], [40.0, 5.0], [25.0, 60.0], [70.0, 33.0]])
STD = np.array([2.0, 1.0, 3.0, 1.5])


def mixture(offset: float = 0.0, n_dimensions: int = 2) -> GaussianMixture:
    """Four round components."""
    means = np.column_stack([MEANS, MEANS[:, :1]])[:, :n_dimensions] + offset
    eye = np.eye(n_dimensions)
    return GaussianMixture(WEIGHTS, means, STD[:, None, None] ** 2 * eye)


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    return make_napari_viewer()


def ellipses(
    viewer: Any, *mixtures: GaussianMixture, each: int | None = None, **pose: Any
) -> tuple[Points, Shapes]:
    n = mixtures[0].means.shape[1]
    rng = np.random.default_rng(0)
    data = rng.uniform(0.0, 100.0, (90, n))
    if each is not None:
        data = np.column_stack([np.repeat([0.0, 1.0, 2.0], 30), data])
    points = viewer.add_points(data, name="L", **pose)
    axes = tuple(range(points.ndim - n, points.ndim))
    _, frame, _ = modelled_points(points, axes, each)
    show_components(viewer, points, frame, drawing(model_of(*mixtures), frame, 95.0, 99))
    layer = components_layer(viewer, points)
    assert layer is not None
    return points, layer


def view_of(viewer: Any) -> QTableView:
    """The table in the window."""
    _, widget = viewer.window.add_plugin_dock_widget("napari", "Features table widget")
    return widget.findChild(QTableView)


def columns(view: QTableView) -> list[str]:
    horizontal = Qt.Orientation.Horizontal
    model = view.model()
    return [model.headerData(i, horizontal) for i in range(model.columnCount())]


def component(view: QTableView, row: int) -> int:
    """Which component a row shows."""
    return int(view.model().index(row, columns(view).index("component")).data())


def double_click(view: QTableView, row: int, column: int = 1) -> None:
    view.doubleClicked.emit(view.model().index(row, column))


def centre(viewer: Any) -> np.ndarray:
    return np.array(viewer.scene.camera.center)[-viewer.dims.ndisplay :]


def test_it_opens_with_the_ellipses(viewer: Any) -> None:
    points, layer = ellipses(viewer, mixture(), units="nm")
    viewer.layers.selection = {points}
    ComponentTable(viewer).show(layer)
    assert viewer.layers.selection == {layer}
    view = view_of(viewer)
    assert view.model().rowCount() == 4
    assert columns(view)[1:] == list(layer.features)
    # What is saved and copied has the units.
    assert {"mean_y [nm]", "mean_x [nm]", "std_major [nm]", "area [nm²]"} <= set(columns(view))
    assert [component(view, row) for row in range(4)] == [0, 1, 2, 3]


def test_it_is_opened_once_and_comes_back(viewer: Any) -> None:
    _, layer = ellipses(viewer, mixture())
    table = ComponentTable(viewer)
    table.show(layer)
    view, docks = view_of(viewer), len(viewer.window.dock_widgets)
    table.show(layer)
    assert view_of(viewer) is view
    assert len(viewer.window.dock_widgets) == docks
    view.parentWidget().parentWidget().close()
    table.show(layer)
    assert view_of(viewer).model().rowCount() == 4
    double_click(view_of(viewer), 2)
    np.testing.assert_allclose(centre(viewer), MEANS[2], rtol=1e-5)


def test_the_row_of_an_ellipse_that_is_selected_is_in_sight(viewer: Any) -> None:
    many = GaussianMixture(
        np.full(200, 1 / 200), np.random.default_rng(0).uniform(0, 100, (200, 2)), [np.eye(2)] * 200
    )
    points = viewer.add_points(np.random.default_rng(0).uniform(0.0, 100.0, (90, 2)), name="L")
    _, frame, _ = modelled_points(points, (0, 1))
    layer = show_components(viewer, points, frame, drawing(model_of(many), frame, 95.0, 999))
    table = ComponentTable(viewer)
    table.show(layer)
    view = view_of(viewer)

    def in_sight(row: int) -> bool:
        return view.viewport().rect().intersects(view.visualRect(view.model().index(row, 1)))

    view.resize(400, 150)
    assert not in_sight(150)
    layer.selected_data = {150}
    assert in_sight(150)
    layer.selected_data = {2}
    assert in_sight(2)


def test_a_row_selects_its_ellipse_and_the_other_way_round(viewer: Any) -> None:
    _, layer = ellipses(viewer, mixture())
    table = ComponentTable(viewer)
    table.show(layer)
    view = view_of(viewer)
    view.sortByColumn(columns(view).index("expected_points"), Qt.SortOrder.DescendingOrder)
    assert [component(view, row) for row in range(4)] == BY_POINTS
    flags = QItemSelectionModel.SelectionFlag
    view.selectionModel().select(view.model().index(1, 1), flags.ClearAndSelect | flags.Rows)
    assert layer.selected_data == {3}
    layer.selected_data = {2}
    rows = {index.row() for index in view.selectionModel().selectedIndexes()}
    assert rows == {3}


@pytest.mark.parametrize("sorted_by", [None, "expected_points", "mean_x [nm]"])
def test_a_double_click_goes_to_the_ellipse_of_its_row(viewer: Any, sorted_by: str | None) -> None:
    viewer.add_image(np.zeros((9, 9)), units="um")  # the viewer shows micrometres
    pose = {"units": "nm", "scale": (3.0, 0.5), "rotate": 30.0, "translate": (100.0, -70.0)}
    _, layer = ellipses(viewer, mixture(), **pose)
    table = ComponentTable(viewer)
    table.show(layer)
    view = view_of(viewer)
    order = list(range(4))
    if sorted_by:
        view.sortByColumn(columns(view).index(sorted_by), Qt.SortOrder.DescendingOrder)
        order = BY_POINTS if sorted_by == "expected_points" else [2, 3, 0, 1]
    assert [component(view, row) for row in range(4)] == order
    turn = np.deg2rad(30.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    in_units = {str(unit) for unit in viewer.layers.extent.units}
    assert len(in_units) == 1
    shrinks = 1e-3 if in_units == {"micrometer"} else 1.0
    for row, expected in enumerate(order):
        double_click(view, row, 3)
        world = rotation @ MEANS[expected] + (100.0, -70.0)
        np.testing.assert_allclose(centre(viewer), world * shrinks, rtol=1e-4)
        assert layer.selected_data == {expected}
        # A quarter of the view is as wide as the box around the ellipse.
        radius = np.sqrt(5.9915) * STD[expected] * shrinks  # 95% of chi squared in 2D
        turned = np.abs(rotation).sum(axis=1) * radius
        shown = min(viewer.canvas.size) / viewer.scene.camera.zoom
        assert np.linalg.norm(2 * turned) / shown == pytest.approx(0.25, rel=0.45)


def test_it_goes_on_by_falling_points(viewer: Any) -> None:
    _, layer = ellipses(viewer, mixture())
    table = ComponentTable(viewer)
    for expected in [*BY_POINTS, *BY_POINTS]:
        table.go_on(layer)
        assert layer.selected_data == {expected}
        np.testing.assert_allclose(centre(viewer), MEANS[expected], rtol=1e-5)
    layer.selected_data = {0}  # by the user: first to what is selected
    for expected in (0, 2, 1):
        table.go_on(layer)
        assert layer.selected_data == {expected}
    layer.selected_data = set()
    table.go_on(layer)
    assert layer.selected_data == {BY_POINTS[0]}


def test_it_goes_nowhere_where_there_is_nothing(viewer: Any) -> None:
    _, layer = ellipses(viewer, mixture())
    layer.data = []
    before = viewer.scene.camera.center
    ComponentTable(viewer).go_on(layer)
    assert viewer.scene.camera.center == before


def test_in_a_stack_of_groups_the_slider_moves(viewer: Any) -> None:
    mixtures = mixture(), mixture(3.0), mixture(6.0)
    pose = {"scale": (0.5, 1.0, 2.0), "translate": (10.0, 0.0, 0.0)}
    _, layer = ellipses(viewer, *mixtures, each=0, **pose)
    assert layer.nshapes == 12
    table = ComponentTable(viewer)
    table.show(layer)
    view = view_of(viewer)
    for row in (7, 2, 10):
        double_click(view, row)
        assert viewer.dims.point[0] == pytest.approx(10.0 + 0.5 * (row // 4))
        place = MEANS[row % 4] + 3.0 * (row // 4)
        np.testing.assert_allclose(centre(viewer), place, rtol=1e-4)
        assert component(view, row) == row % 4


def test_of_a_volume_seen_from_outside(viewer: Any) -> None:
    _, layer = ellipses(viewer, mixture(n_dimensions=3), scale=(4.0, 1.0, 0.5))
    means = mixture(n_dimensions=3).means
    table = ComponentTable(viewer)
    table.go_to(layer, 1)  # in a slice: the slider goes there
    np.testing.assert_allclose(centre(viewer), means[1, 1:], rtol=1e-4)
    assert viewer.dims.point[0] == pytest.approx(means[1, 0], abs=4.0)
    # and the ellipse is there to be seen
    place = layer.world_to_data(viewer.dims.point)[0]
    assert (np.round(layer.data[1][:, 0]) == np.round(place)).all()
    assert layer.selected_data == {1}
    viewer.dims.ndisplay = 3
    table.go_to(layer, 2)
    np.testing.assert_allclose(centre(viewer), means[2], rtol=1e-4)


def test_a_double_click_in_another_layer_goes_nowhere(viewer: Any) -> None:
    points, layer = ellipses(viewer, mixture())
    points.features = {"n": np.arange(90)}
    table = ComponentTable(viewer)
    table.show(layer)
    viewer.layers.selection = {points}
    before = viewer.scene.camera.center
    double_click(view_of(viewer), 1)
    assert viewer.scene.camera.center == before
    viewer.layers.selection = {layer}
    double_click(view_of(viewer), 1)
    assert viewer.scene.camera.center != before
    viewer.layers.remove(layer)
    viewer.layers.selection = {points}
    before = viewer.scene.camera.center
    double_click(view_of(viewer), 2)
    assert viewer.scene.camera.center == before
