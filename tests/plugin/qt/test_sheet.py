"""How numbers stand in a table."""

import math

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_sparse_gmm.plugin.qt.sheet import Sheet, decimals_of, shown_text


@pytest.mark.parametrize(
    ("values", "errors", "texts"),
    [
        pytest.param([1777.32, 5.2], [26.7, 24.0], ["1777", "5"], id="two figures of the error"),
        pytest.param([8.51313, 13.9], [3.61, 4.0], ["8.5", "13.9"], id="points"),
        pytest.param([0.0141885, 0.5], [0.00602, 0.006], ["0.0142", "0.5000"], id="weights"),
        pytest.param([33.512, 7.0], None, ["33.5", "7.0"], id="three figures"),
        pytest.param([1.77732e-6, 2.0e-6], [2.7e-8, 3e-8], ["1.777e-06", "2e-06"], id="metres"),
        pytest.param([2.0351234e9, 3e9], None, ["2.035e+09", "3e+09"], id="large areas"),
        pytest.param([12.34, 5.0], [np.nan, np.nan], ["12.34", "5.00"], id="errors unknown"),
        pytest.param([np.nan, np.inf], None, ["", ""], id="nothing known"),
        pytest.param([0.0, 0.0], None, ["0", "0"], id="zeros"),
    ],
)
def test_as_many_digits_as_mean_something(
    values: list[float], errors: list[float] | None, texts: list[str]
) -> None:
    decimals = decimals_of(np.array(values), None if errors is None else np.array(errors))
    assert [shown_text(value, decimals) for value in values] == texts


def test_shown_is_right_to_a_tenth_of_the_error() -> None:
    rng = np.random.default_rng(0)
    for scale in 10.0 ** np.arange(-8, 9):
        values, errors = scale * rng.uniform(1, 90, 9), scale * rng.uniform(0.5, 1.5, 9)
        decimals = decimals_of(values, errors)
        for value in values:
            off = abs(float(shown_text(value, decimals)) - value)
            assert off < 0.1 * np.median(errors) or math.isclose(off, 0.0)


def test_a_cell_that_is_cut_short_says_all_where_the_mouse_rests(qtbot: QtBot) -> None:
    sheet, long = Sheet(), "A sentence of many words. " * 20
    qtbot.addWidget(sheet)
    sheet.show_columns({"state": np.array([long], dtype=object)}, {})
    assert sheet.model().index(0, 0).data(Qt.ItemDataRole.ToolTipRole) == long


def test_words_are_words() -> None:
    assert shown_text("A", None) == "A"
    assert shown_text(np.int64(3), None) == "3"
