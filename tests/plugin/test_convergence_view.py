"""The plot of a fit that goes on: its lines against the steps that were told."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from napari.utils.theme import get_theme
from pytestqt.qtbot import QtBot

from napari_sparse_gmm.plugin.convergence_view import ConvergenceView
from napari_sparse_gmm.plugin.work import Pass


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


def test_what_came_while_nobody_looked_is_drawn_when_it_is_shown(
    view: ConvergenceView, qtbot: QtBot
) -> None:
    view.add(passes(0))
    qtbot.waitUntil(lambda: not view._timer.isActive())
    assert view._canvas is None  # Matplotlib was not needed
    view.show()
    assert len(lines(view)[0]) == 5


def test_nothing_is_drawn_of_nothing(view: ConvergenceView) -> None:
    view.add([])
    view.recolour()
    view.show()
    assert view._canvas is None


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
        left, right = view.figure.axes
        assert to_hex(left.get_facecolor()) == back
        assert to_hex(left.xaxis.label.get_color()) == text
        names = [to_hex(axes.yaxis.label.get_color()) for axes in (left, right)]
        assert names == [to_hex(f"C{i}") for i in range(2)]
    assert np.isfinite(view.figure.axes[0].get_ylim()).all()
