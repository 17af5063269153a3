"""The components as a table in a window: which row is which ellipse, and what stays in it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.layers import Points
from plugin.fakes import DATA, model_of
from plugin.views.drawn import BY_POINTS, MEANS, centre, ellipses, mixture
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QItemSelectionModel, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QTableView

from napari_sparse_gmm import Box, GaussianMixture
from napari_sparse_gmm.density_model import InRegion
from napari_sparse_gmm.plugin.layers.components import drawing, show_components
from napari_sparse_gmm.plugin.layers.model_metadata import attach_model
from napari_sparse_gmm.plugin.layers.owned import components_layer, keep_made
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.views.table import COMPONENTS, REGIONS, ComponentTable, show_table

HORIZONTAL = Qt.Orientation.Horizontal
FLAGS = QItemSelectionModel.SelectionFlag


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    return make_napari_viewer()


def columns(view: QTableView) -> list[str]:
    model = view.model()
    return [model.headerData(i, HORIZONTAL) for i in range(model.columnCount())]


def cells(view: QTableView, name: str) -> list[str]:
    """What a column says, from top to bottom."""
    column, model = columns(view).index(name), view.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


def components(view: QTableView) -> list[int]:
    return [int(text) for text in cells(view, "component")]


def double_click(view: QTableView, row: int, column: int = 1) -> None:
    view.doubleClicked.emit(view.model().index(row, column))


def many(n: int) -> GaussianMixture:
    means = np.random.default_rng(0).uniform(0, 100, (n, 2))
    return GaussianMixture(np.full(n, 1 / n), means, [np.eye(2)] * n)


def drawn(viewer: Any, points: Points, found: GaussianMixture) -> None:
    _, frame, _ = modelled_points(points, (0, 1))
    show_components(viewer, points, frame, drawing(model_of(found), frame, 95.0, 999))


def test_it_opens_with_the_ellipses_by_falling_points(viewer: Any) -> None:
    points, layer = ellipses(viewer, mixture(), units="nm")
    viewer.layers.selection = {points}
    table = show_table(viewer, layer)
    assert viewer.layers.selection == {layer}
    assert columns(table.sheet) == list(layer.features)
    # What is saved and copied has the units.
    assert {"mean_y [nm]", "mean_x [nm]", "std_major [nm]", "area [nm²]"} <= set(
        columns(table.sheet)
    )
    assert components(table.sheet) == BY_POINTS
    assert table.title.text() == "L components: 4 components"


def test_numbers_have_as_many_digits_as_mean_something(viewer: Any) -> None:
    """Their errors are 0.01 of the weights, 1 point, and 2 and 0.5 nm."""
    _, layer = ellipses(viewer, mixture(0.123456), units="nm")
    sheet = show_table(viewer, layer).sheet
    assert cells(sheet, "weight")[0] == "0.400"
    assert cells(sheet, "weight_error")[0] == "0.010"
    assert cells(sheet, "expected_points") == ["40.0", "30.0", "20.0", "10.0"]
    assert cells(sheet, "mean_y [nm]")[0] == "40.1"
    assert cells(sheet, "std_major [nm]")[0] == "1.00"
    assert cells(sheet, "area [nm²]")[0] == "3.14"


def test_an_error_of_which_the_points_tell_nothing_is_an_empty_cell(viewer: Any) -> None:
    _, layer = ellipses(viewer, mixture())
    features = layer.features.copy()
    features.loc[1, "mean_x_error"] = np.nan
    layer.features = features
    sheet = show_table(viewer, layer).sheet
    assert cells(sheet, "mean_x_error") == ["", "2.0", "2.0", "2.0"]
    sheet.sortByColumn(columns(sheet).index("mean_x_error"), Qt.SortOrder.DescendingOrder)
    assert cells(sheet, "mean_x_error") == ["2.0", "2.0", "2.0", ""]


def test_it_is_opened_once_and_comes_back(viewer: Any) -> None:
    _, layer = ellipses(viewer, mixture())
    table = show_table(viewer, layer)
    docks = len(viewer.window.dock_widgets)
    assert show_table(viewer, layer) is table
    assert len(viewer.window.dock_widgets) == docks
    table.parentWidget().close()
    sheet = show_table(viewer, layer).sheet
    assert components(sheet) == BY_POINTS
    double_click(sheet, 2)
    np.testing.assert_allclose(centre(viewer), MEANS[BY_POINTS[2]], rtol=1e-5)


def test_the_row_of_an_ellipse_that_is_selected_is_in_sight(viewer: Any) -> None:
    points = viewer.add_points(DATA, name="L")
    drawn(viewer, points, many(200))
    layer = components_layer(viewer, points)
    assert layer is not None
    view = show_table(viewer, layer).sheet

    def in_sight(row: int) -> bool:
        return view.viewport().rect().intersects(view.visualRect(view.model().index(row, 1)))

    view.sortByColumn(columns(view).index("component"), Qt.SortOrder.AscendingOrder)
    view.resize(400, 150)
    assert not in_sight(150)
    layer.selected_data = {150}
    assert in_sight(150)
    layer.selected_data = {2}
    assert in_sight(2)


def test_a_row_selects_its_ellipse_and_the_other_way_round(viewer: Any) -> None:
    _, layer = ellipses(viewer, mixture())
    sheet = show_table(viewer, layer).sheet
    sheet.selectionModel().select(sheet.model().index(1, 1), FLAGS.ClearAndSelect | FLAGS.Rows)
    assert layer.selected_data == {3}
    layer.selected_data = {2}
    assert {at.row() for at in sheet.selectionModel().selectedIndexes()} == {3}
    # Sorted anew, it is the same one.
    sheet.sortByColumn(columns(sheet).index("component"), Qt.SortOrder.AscendingOrder)
    assert layer.selected_data == {2}
    assert {at.row() for at in sheet.selectionModel().selectedIndexes()} == {2}


@pytest.mark.parametrize("sorted_by", ["component", "expected_points", "mean_x [nm]"])
def test_a_double_click_goes_to_the_ellipse_of_its_row(viewer: Any, sorted_by: str) -> None:
    _, layer = ellipses(viewer, mixture(), units="nm")
    sheet = show_table(viewer, layer).sheet
    sheet.sortByColumn(columns(sheet).index(sorted_by), Qt.SortOrder.DescendingOrder)
    order = {"component": [3, 2, 1, 0], "expected_points": BY_POINTS}.get(sorted_by, [2, 3, 0, 1])
    assert components(sheet) == order
    for row, expected in enumerate(order):
        double_click(sheet, row, 3)
        np.testing.assert_allclose(centre(viewer), MEANS[expected], rtol=1e-4)
        assert layer.selected_data == {expected}


def test_it_stays_while_other_layers_are_selected(viewer: Any, qtbot: QtBot) -> None:
    points, layer = ellipses(viewer, mixture())
    sheet = show_table(viewer, layer).sheet
    image = viewer.add_image(np.zeros((9, 9)))
    for others in ({points}, {image}, {points, image}, set()):
        viewer.layers.selection = others
        qtbot.wait(10)
        assert components(sheet) == BY_POINTS
    double_click(sheet, 0)
    assert layer.selected_data == {1}


def test_it_follows_to_other_components(viewer: Any, qtbot: QtBot) -> None:
    points, layer = ellipses(viewer, mixture())
    table = show_table(viewer, layer)

    def shows(n_rows: int) -> None:
        qtbot.waitUntil(lambda: table.sheet.model().rowCount() == n_rows)

    other = viewer.add_points(DATA, name="other")
    viewer.layers.selection = {layer}
    drawn(viewer, other, many(7))
    qtbot.wait(10)
    shows(4)
    viewer.layers.selection = {other}  # whose components are wanted
    shows(7)
    viewer.layers.selection = {layer}
    shows(4)
    drawn(viewer, points, many(5))  # fitted again
    shows(5)
    keep_made(viewer, points)
    qtbot.wait(10)
    drawn(viewer, points, many(8))
    shows(8)
    viewer.layers.selection = {viewer.layers["Kept 1 L components"]}
    shows(5)
    viewer.layers.remove("Kept 1 L components")
    viewer.layers.selection = {layer}
    viewer.layers.remove(layer)
    shows(0)
    assert "press Run" in table.title.text()
    drawn(viewer, points, many(6))
    shows(6)


def test_it_stays_sorted_when_the_fit_goes_on(viewer: Any) -> None:
    points, layer = ellipses(viewer, mixture())
    sheet = show_table(viewer, layer).sheet
    sheet.sortByColumn(columns(sheet).index("component"), Qt.SortOrder.DescendingOrder)
    drawn(viewer, points, many(5))
    assert components(sheet) == [4, 3, 2, 1, 0]


def test_it_is_saved_as_it_is_sorted_with_all_digits(viewer: Any, tmp_path: Path) -> None:
    _, layer = ellipses(viewer, mixture(0.123456789), units="nm")
    table = show_table(viewer, layer)
    table.save(tmp_path / "components.csv")
    saved = pd.read_csv(tmp_path / "components.csv")
    expected = layer.features.iloc[BY_POINTS].reset_index(drop=True)
    pd.testing.assert_frame_equal(saved, expected)


def test_rows_are_copied_for_a_spreadsheet(viewer: Any) -> None:
    _, layer = ellipses(viewer, mixture(0.123456789), units="nm")
    sheet = show_table(viewer, layer).sheet
    sheet.selectRow(0)
    QTest.keyClick(sheet, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    names, row = (line.split("\t") for line in QGuiApplication.clipboard().text().splitlines())
    assert names == list(layer.features)
    assert float(row[names.index("mean_y [nm]")]) == layer.features["mean_y [nm]"][1]


def test_a_table_without_rows_says_so(viewer: Any) -> None:
    table = ComponentTable(viewer)
    table.show_layer(None)
    assert "press Run" in table.title.text()
    assert not table.save_button.isEnabled()
    table.deleteLater()


def with_regions(viewer: Any) -> tuple[ComponentTable, Any]:
    """Ellipses of which two lie in one region, one in another, and one in none."""
    points, layer = ellipses(viewer, mixture(), units="nm")
    north, south = (Box([[y, 0.0], [y + 33.0, 61.0]]) for y in (0.0, 33.0))
    regions = InRegion("north", north, 50.0, 5.0), InRegion("south", south, 20.0, 15.0)
    model = model_of(mixture())
    part = replace(model.fitted[0], regions=regions)
    model = replace(model, parts=(part,), unit="nm")
    _, frame, _ = modelled_points(points, (0, 1))
    show_components(viewer, points, frame, drawing(model, frame, 95.0, 99))
    attach_model(layer, model)
    return show_table(viewer, layer), layer


def test_regions_have_rows_which_select_their_components(viewer: Any, tmp_path: Path) -> None:
    table, layer = with_regions(viewer)
    assert cells(table.sheet, "region") == ["south", "", "north", "north"]  # by falling points
    assert not table.rows.isHidden()
    table.rows.setCurrentText(REGIONS)
    assert cells(table.sheet, "region") == ["north", "south"]
    assert cells(table.sheet, "clusters") == ["2", "1"]
    assert table.title.text() == "L components: 2 regions"
    table.sheet.selectRow(0)
    assert layer.selected_data == {0, 2}
    double_click(table.sheet, 1)
    np.testing.assert_allclose(centre(viewer), MEANS[1], atol=1e-6)
    assert layer.selected_data == {1}
    table.save(tmp_path / "regions.csv")
    saved = pd.read_csv(tmp_path / "regions.csv")
    np.testing.assert_allclose(saved["share of points in clusters"], [0.9, 0.25])
    table.rows.setCurrentText(COMPONENTS)
    assert len(cells(table.sheet, "component")) == 4


def test_heads_and_cells_tell_more_where_the_mouse_rests(viewer: Any) -> None:
    table, _ = with_regions(viewer)
    model, tip = table.sheet.model(), Qt.ItemDataRole.ToolTipRole
    for rows in (COMPONENTS, REGIONS):
        table.rows.setCurrentText(rows)
        told = {
            name: model.headerData(at, HORIZONTAL, tip)
            for at, name in enumerate(columns(table.sheet))
        }
        assert all(told.values()), told
    assert told["area [µm²]"] == "The area of the region."
    share = columns(table.sheet).index("share of points in clusters")
    assert float(model.index(0, share).data(tip)) == 0.9


def test_without_regions_there_is_no_such_choice(viewer: Any) -> None:
    table, layer = with_regions(viewer)
    table.rows.setCurrentText(REGIONS)
    attach_model(layer, model_of(mixture()))
    layer.events.features()
    assert table.rows.isHidden()
    assert len(cells(table.sheet, "component")) == 4
