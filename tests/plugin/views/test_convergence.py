"""The plot of a fit that goes on: its lines against the steps that were told."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from napari.utils.theme import get_theme
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QWidget

from napari_sparse_gmm.plugin.qt.canvas import line_colours
from napari_sparse_gmm.plugin.tasks.pacing import PACING
from napari_sparse_gmm.plugin.tasks.task import Pass
from napari_sparse_gmm.plugin.views.convergence import ConvergenceView


@pytest.fixture
def view(qtbot: QtBot) -> ConvergenceView:
    view = ConvergenceView(lambda: "dark")
    qtbot.addWidget(view)
    return view


def passes(run: int, n: int = 5) -> list[Pass]:
    return [Pass(i, 10.0 * run - i, 20 - i) for i in range(n)]


def lines(view: ConvergenceView) -> list[list[tuple[float, float]]]:
    """Iteration and value of each line, of the costs and then of the components."""
    return [line.get_xydata().tolist() for axes in view.figure.axes for line in axes.lines]


def is_empty(view: ConvergenceView) -> bool:
    """Whether there is no canvas in it."""
    return not view.findChildren(QWidget)


def test_it_draws_what_was_told(view: ConvergenceView, qtbot: QtBot) -> None:
    view.show()
    view.add(passes(0))
    qtbot.waitUntil(lambda: len(view.figure.axes) == 2)
    assert view.passes == tuple(passes(0))
    costs, components = lines(view)
    assert costs == [[p.iteration, p.cost] for p in passes(0)]
    assert components == [[p.iteration, p.n_components] for p in passes(0)]
    left, right = view.figure.axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("cost (nats per point)", "components")
    for axes in (left, right):
        (line,) = axes.lines
        assert to_hex(axes.yaxis.label.get_color()) == to_hex(line.get_color())
    assert right.get_ylim()[0] == 0
    low, high = left.get_ylim()
    assert low <= min(p.cost for p in passes(0))
    assert high >= max(p.cost for p in passes(0))


def test_it_grows_while_the_fit_goes_on(view: ConvergenceView, qtbot: QtBot) -> None:
    view.show()
    view.add(passes(0)[:2])
    qtbot.waitUntil(lambda: [len(line) for line in lines(view)] == [2, 2])
    view.add(passes(0)[2:4])
    view.add(passes(0)[4:])
    qtbot.waitUntil(lambda: len(lines(view)[0]) == 5)
    assert len(lines(view)) == 2  # and not one for each time


def test_of_many_fits_the_latest_are_drawn(view: ConvergenceView) -> None:
    view.add([one for run in range(12) for one in passes(run)])
    view.show()
    left, right = view.figure.axes
    assert [line.get_ydata()[0] for line in left.lines] == [10.0 * run for run in range(4, 12)]
    for axes in (left, right):
        alphas = [line.get_alpha() for line in axes.lines]
        assert alphas == [alphas[0]] * 7 + [1.0]
        assert alphas[0] < 0.5


def test_another_fit_begins_anew(view: ConvergenceView, qtbot: QtBot) -> None:
    view.add(passes(0))
    view.show()
    view.begin()
    assert view.passes == ()
    view.add(passes(3))
    qtbot.waitUntil(lambda: lines(view)[0][0][1] == 30.0)
    assert len(lines(view)) == 2


def test_the_curves_of_the_fit_before_are_gone_soon(view: ConvergenceView, qtbot: QtBot) -> None:
    view.show()
    view.add(passes(0))
    view.finish()
    view.begin()
    qtbot.waitUntil(lambda: lines(view) == [], timeout=int(500 * PACING.plot))


def test_all_of_a_fit_that_is_done_is_shown_at_once(view: ConvergenceView, qtbot: QtBot) -> None:
    view.show()
    view.begin()
    view.add(passes(0)[:3])
    view.finish()
    assert [len(line) for line in lines(view)] == [3, 3]
    view.add(passes(0)[3:])
    view.finish()
    assert [len(line) for line in lines(view)] == [5, 5]
    drawn = list(view.figure.axes[0].lines)
    qtbot.wait(int(1100 * PACING.plot))
    assert list(view.figure.axes[0].lines) == drawn  # and not once more


def test_what_came_while_nobody_looked_is_drawn_when_it_is_shown(
    view: ConvergenceView, qtbot: QtBot
) -> None:
    view.add(passes(0))
    qtbot.wait(int(1100 * PACING.plot))
    assert is_empty(view)  # Matplotlib was not needed
    view.show()
    assert len(lines(view)[0]) == 5


def test_nothing_is_drawn_of_nothing(view: ConvergenceView) -> None:
    view.add([])
    view.recolour()
    view.show()
    view.begin()
    view.finish()
    assert is_empty(view)


def test_it_follows_the_theme(qtbot: QtBot) -> None:
    theme = "dark"
    view = ConvergenceView(lambda: theme)
    qtbot.addWidget(view)
    view.add(passes(0))
    view.show()
    for theme in ("light", "dark"):
        view.recolour()
        colours = get_theme(theme)
        back = to_hex(colours.background.as_hex())
        text = to_hex(colours.text.as_hex())
        assert to_hex(view.figure.get_facecolor()) == back
        left, _ = view.figure.axes
        assert to_hex(left.get_facecolor()) == back
        assert to_hex(left.xaxis.label.get_color()) == text
        drawn = pixels(view)
        for colour in line_colours(theme)[:2]:
            # The line, and the letters beside it.
            assert (drawn == rgb(colour)).all(axis=1).sum() > 50
    assert np.isfinite(view.figure.axes[0].get_ylim()).all()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_lines_can_be_read_on_the_theme(theme: str) -> None:
    back = rgb(to_hex(get_theme(theme).background.as_hex()))
    for colour in line_colours(theme):
        one, two = sorted([luminance(rgb(colour)), luminance(back)])
        assert (two + 0.05) / (one + 0.05) > 4.5  # contrast, WCAG 2.1, 1.4.3


def luminance(colour: np.ndarray) -> float:
    """Relative luminance of an sRGB colour, WCAG 2.1."""
    share = colour / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def pixels(view: ConvergenceView) -> np.ndarray:
    """What is on the canvas, (n, 3)."""
    canvas = view.figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].reshape(-1, 3)
