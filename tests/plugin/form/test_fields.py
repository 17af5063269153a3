"""The fields of the dock, each by itself: wheel, font, lengths, steps, names and folding."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from magicgui.widgets import ComboBox, Container, FloatSlider, FloatSpinBox, Label, SpinBox, Widget
from napari.layers import Points
from npe2 import PluginManifest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QDockWidget,
    QLabel,
    QMainWindow,
    QSlider,
    QWidget,
)

import napari_sparse_gmm
from napari_sparse_gmm import parameters
from napari_sparse_gmm.plugin.form.fields import choice, field, offer_layers, one_line
from napari_sparse_gmm.plugin.form.length_fields import LengthFields, conversion
from napari_sparse_gmm.plugin.form.view_fields import ViewFields
from napari_sparse_gmm.plugin.qt.cubic_slider import CubicSlider
from napari_sparse_gmm.plugin.qt.label_column import LabelColumn
from napari_sparse_gmm.plugin.qt.scrolling import StatusScroll, VerticalScroll
from napari_sparse_gmm.plugin.qt.spin_steps import step
from napari_sparse_gmm.plugin.qt.status_line import status_line
from napari_sparse_gmm.plugin.views.plots import Plots


def unit(name: str) -> Any:
    """A pint unit as napari's layers have them."""
    return Points(np.zeros((1, 2)), units=name).units[0]


@pytest.fixture
def scroll(qtbot: QtBot) -> tuple[VerticalScroll, Container]:
    """Too many fields for the height, in a window."""
    form = Container(
        widgets=[
            ComboBox(name="combo", choices=["a", "b", "c"], value="b"),
            SpinBox(name="integer", value=5),
            FloatSpinBox(name="number", value=5.0),
            FloatSlider(name="slider", value=5.0, max=10.0),
            *(Label(name=f"label{i}", value="text") for i in range(20)),
        ]
    )
    scroll = VerticalScroll(form.native)
    qtbot.addWidget(scroll)
    scroll.resize(300, 120)
    with qtbot.waitExposed(scroll):
        scroll.show()
    return scroll, form


def turn_wheel(widget: QWidget) -> bool:
    """One click of the wheel, towards the user; whether the widget has taken it.

    One that it has not taken Qt offers to what it is in, if it is the mouse's.
    """
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle,
        QPointF(widget.mapToGlobal(middle.toPoint())),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


@pytest.mark.parametrize("name", ["combo", "integer", "number", "slider"])
def test_the_wheel_scrolls_and_changes_nothing(
    scroll: tuple[VerticalScroll, Container], name: str
) -> None:
    area, form = scroll
    widget = form[name]
    before = widget.value
    for part in [widget.native, *widget.native.findChildren((QSlider, QAbstractSpinBox))]:
        assert not turn_wheel(part)
        assert widget.value == before
        # Nor does the wheel give it the focus, with which it would change.
        assert part.focusPolicy() != Qt.FocusPolicy.WheelFocus
    assert turn_wheel(area.viewport())
    assert area.verticalScrollBar().value() > 0


def test_the_wheel_changes_the_field_that_has_the_focus(
    scroll: tuple[VerticalScroll, Container], qtbot: QtBot
) -> None:
    area, form = scroll
    native = form["number"].native
    area.activateWindow()
    native.setFocus()
    qtbot.waitUntil(native.hasFocus)
    assert turn_wheel(native)
    assert form["number"].value < 5.0


def test_labels_and_dock_are_as_wide_as_the_font_needs(qtbot: QtBot) -> None:
    form = Container(widgets=[field(parameters.LONGEST_SIDE), field(parameters.PRIOR)])
    LabelColumn(form)
    window, dock = QMainWindow(), QDockWidget()
    qtbot.addWidget(window)
    dock.setMinimumWidth(50)  # as napari does
    dock.setWidget(VerticalScroll(form.native))
    window.setCentralWidget(QWidget())
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    window.resize(1000, 400)
    window.setStyleSheet("* {font-size: 9pt}")
    with qtbot.waitExposed(window):
        window.show()
    labels = [label for label in form.native.findChildren(QLabel) if label.text()]
    first, *others = labels

    def settled(right: Callable[[int], bool]) -> Callable[[], bool]:
        return lambda: (
            right(dock.width())
            and dock.width() == dock.minimumSizeHint().width()
            and all(label.minimumWidth() == first.minimumWidth() for label in others)
        )

    qtbot.wait(300)
    narrow, label = dock.minimumSizeHint().width(), first.minimumWidth()
    window.resizeDocks([dock], [narrow], Qt.Orientation.Horizontal)
    window.setStyleSheet("* {font-size: 16pt}")
    qtbot.waitUntil(settled(lambda width: width > narrow))
    assert first.minimumWidth() > label
    qtbot.wait(300)
    window.setStyleSheet("* {font-size: 9pt}")
    qtbot.waitUntil(settled(lambda width: width == narrow))
    assert first.minimumWidth() == label


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, 5.0), (5.0, 5.0), (45.0, 5.0), (200.0, 10.0), (2000.0, 100.0), (0.3, 0.01)],
)
def test_steps(value: float, expected: float) -> None:
    assert step(value, 5.0) == expected


def up(box: Widget, n: int = 1) -> Any:
    """The value after some clicks on +, or on -."""
    box.native.stepBy(n)
    return box.value


def test_sizes_are_given_weight_in_whole_points() -> None:
    weight = field(parameters.COVARIANCE_PRIOR)
    assert [up(weight), up(weight), up(weight, -1), up(weight, -1)] == [1.0, 2.0, 1.0, 0.0]
    weight.value = 100.0
    assert up(weight) == 110.0


@pytest.fixture
def length() -> FloatSpinBox:
    return field(parameters.PIXEL_SIZE)


@pytest.mark.parametrize(
    ("width", "n_dimensions", "first"), [(50.0, 2, 0.05), (2560.0, 2, 3.0), (2560.0, 3, 30.0)]
)
def test_first_steps_of_lengths_go_with_the_field(
    length: FloatSpinBox, width: float, n_dimensions: int, first: float
) -> None:
    LengthFields(length).follow(unit("um"), width, n_dimensions)
    assert length.native.text() == "automatic"
    assert [up(length), up(length), up(length, -2)] == [first, 2 * first, 0.0]


@pytest.mark.parametrize(
    ("value", "old", "new", "width", "expected"),
    [
        pytest.param(0.025, "um", "nm", 2e3, 25.0, id="finer unit"),
        pytest.param(0.5, "um", "nm", 5e4, 500.0, id="not half a nanometre"),
        pytest.param(25.0, "nm", "um", 50.0, 0.025, id="coarser unit"),
        pytest.param(0.025, "nm", "m", 1e-3, 2.5e-11, id="far below the digits of the field"),
        pytest.param(3.0, "m", "nm", 5e9, 3e9, id="above the largest of other fields"),
        pytest.param(0.1, "um", "nm", 5e6, 100.0, id="no round-off"),
        pytest.param(0.0, "um", "nm", 2e3, 0.0, id="automatic"),
        pytest.param(3.0, "pixel", "nm", 2e3, 0.0, id="they do not go together"),
        pytest.param(3.0, "pixel", "pixel", 512.0, 3.0, id="pixels"),
    ],
)
def test_a_length_stays_the_same_in_another_unit(
    length: FloatSpinBox, value: float, old: str, new: str, width: float, expected: float
) -> None:
    lengths = LengthFields(length)
    lengths.follow(unit(old), width / (conversion(unit(old), unit(new)) or 1.0), 2)
    length.native.setDecimals(12)
    length.value = value
    changes: list[float] = []
    length.changed.connect(changes.append)
    lengths.follow(unit(new), width, 2)
    assert length.value == expected
    assert length.native.suffix() == f" {unit(new):~P}"
    assert changes == []  # it is the same length


def test_a_length_survives_the_way_there_and_back(length: FloatSpinBox) -> None:
    lengths = LengthFields(length)
    lengths.follow(unit("nm"), 2000.0, 2)
    length.value = 12.34
    for name, width in (("um", 50.0), ("mm", 1.0), ("nm", 2000.0)):
        lengths.follow(unit(name), width, 2)
    assert length.value == 12.34
    assert length.native.decimals() == 2


@pytest.mark.parametrize("width", [0.0, np.nan, np.inf])
def test_a_width_of_no_use_is_of_no_account(length: FloatSpinBox, width: float) -> None:
    LengthFields(length).follow(unit("nm"), width, 2)
    length.value = 0.5
    assert length.value == 0.5


@pytest.mark.parametrize(("preferred", "of_volume"), [(512, 128), (2048, 128), (100, 100)])
def test_pixels_suit_image_or_volume_until_the_user_says_how_many(
    preferred: int, of_volume: int
) -> None:
    fields = ViewFields(preferred)
    side = fields.longest_side
    for n_dimensions, expected in ((3, of_volume), (2, preferred), (3, of_volume)):
        fields.suit(unit("nm"), 100.0, n_dimensions)
        assert side.value == expected
    side.value = 512
    for n_dimensions in (2, 3, 2):
        fields.suit(unit("nm"), 100.0, n_dimensions)
        assert side.value == 512


def test_names_are_shown_on_one_line_and_told_apart() -> None:
    long = "experiment_2024_03_17_control_cell_"
    shown = one_line(["two\nlines", "two lines", f"{long}1", f"{long}2", f"{long}1 ", "short"])
    assert all(len(name) < 40 and "\n" not in name for name in shown)
    assert len(set(shown)) == 6
    assert shown[0].startswith("two lines")
    assert shown[3].startswith("experiment_2024_03_17")
    assert shown[3].endswith("_cell_2")
    assert shown[5] == "short"


def test_a_choice_tells_its_name_in_full(qapp: QApplication) -> None:
    layers = [Points(np.zeros((1, 2)), name=name) for name in ("a\nb", "a b", "x" * 99)]
    box = choice("points", "Points", "", lambda _: layers)
    native = box.native
    assert box.choices == tuple(layers)
    tooltips = [native.itemData(i, Qt.ItemDataRole.ToolTipRole) for i in range(3)]
    assert tooltips == [layer.name for layer in layers]
    box.value = layers[2]
    layers[2].name = "y" * 99
    assert offer_layers(box)
    assert box.value is layers[2]
    assert "…" in box.current_choice


def test_a_status_line_grows_up_to_some_lines_and_then_scrolls(qtbot: QtBot) -> None:
    window, status = QMainWindow(), status_line()
    area = StatusScroll(status.native)
    window.setCentralWidget(area)
    qtbot.addWidget(window)
    window.resize(300, 200)
    with qtbot.waitExposed(window):
        window.show()
    heights = []
    for n in (1, 3, 6, 30):
        status.value = "\n".join(["line"] * n)
        qtbot.wait(50)
        heights.append(area.height())
    one, three, six, many = heights
    assert one < three < six == many
    assert status.native.height() > many
    assert area.verticalScrollBar().maximum() > 0
    for n in range(2, 40):
        status.value = "word " * 200
        qtbot.wait(1)
        status.value = "word " * n
        qtbot.wait(1)
        assert area.height() == six or not area.verticalScrollBar().isVisible()
    selectable = Qt.TextInteractionFlag.TextSelectableByMouse
    assert status.native.textInteractionFlags() & selectable


def test_plots_are_folded_until_they_are_unfolded(qtbot: QtBot) -> None:
    plots = Plots()
    qtbot.addWidget(plots)
    qtbot.addWidget(plots.button.native)
    assert plots.isHidden()
    assert plots.button.text == "▸ Plots"
    plots.button.native.click()
    assert not plots.isHidden()
    assert plots.button.text == "▾ Plots"
    plots.button.native.click()
    assert plots.isHidden()


def test_help_is_in_the_words_of_the_screen() -> None:
    found = [one for one in vars(parameters).values() if isinstance(one, parameters.Parameter)]
    assert found
    for parameter in found:
        for word in ("data units", "None:", "None or", "'sqrt'", "'bayes'"):
            assert word not in parameter.help, parameter.name


def test_the_preferences_say_what_no_threads_are() -> None:
    manifest = Path(napari_sparse_gmm.__file__).with_name("napari.yaml")
    pages = PluginManifest.from_file(manifest).contributions.configurations.values()
    (threads,) = [page.properties["n_threads"] for page in pages if "n_threads" in page.properties]
    assert "0: automatic" in threads.title


def test_a_slider_is_fine_where_numbers_are_small(qtbot: QtBot) -> None:
    sparsity = field(parameters.SPARSITY)
    slider = CubicSlider(sparsity.native)
    for widget in (sparsity.native, slider):
        qtbot.addWidget(widget)
    places = []
    for value in (0.0, 3.0, 20.0, 55.0, 200.0):
        sparsity.value = value
        places.append(slider.value() / slider.maximum())
    assert places[0] == 0
    assert places[-1] == 1
    assert places[3] - places[1] > 0.35  # what leaves some components and not all
    for _ in range(3):
        QTest.keyClick(slider, Qt.Key.Key_PageDown)
    assert 100.0 < sparsity.value < 140.0
    slider.setValue(0)
    assert sparsity.value == 0.0
