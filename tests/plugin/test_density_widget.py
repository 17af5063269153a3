"""The widget in a viewer, with its worker replaced by one that a test drives by hand."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from magicgui.widgets import CheckBox
from plugin.fakes import DATA, FakeFit, HandClock, HandWorker, SlowKeOps, fit
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QScrollArea

from napari_sparse_gmm import SparseGaussianMixture, parameters
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.parameters import Parameter
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.control import controller
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget
from napari_sparse_gmm.plugin.layers.model_metadata import attached_model
from napari_sparse_gmm.plugin.points.source import Around
from napari_sparse_gmm.plugin.qt.folding import unfold
from napari_sparse_gmm.plugin.tasks.progress import time_left
from napari_sparse_gmm.regions import Intensity


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def path_shown(widget: SparseGMMWidget) -> bool:
    return widget.plots.isTabVisible(widget.plots.indexOf(widget.path_view.native))


def test_defaults_ranges_and_tooltips_come_from_the_parameters(widget: SparseGMMWidget) -> None:
    for parameter in vars(parameters).values():
        field = isinstance(parameter, Parameter) and getattr(widget, parameter.name, None)
        if not field:
            continue
        assert field.tooltip == parameter.help
        if not isinstance(field, CheckBox):  # which shows its label as its text
            assert field.label == parameter.label
        if parameter.choices is not None:
            assert field.choices == parameter.choices
        widget.reset_button.native.click()
        if parameter.default is not None:
            assert field.value == parameter.default


def test_click_makes_the_layers_and_says_so(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, fake_fit: FakeFit
) -> None:
    assert widget.run_button.enabled
    assert not widget.cancel_button.enabled
    widget.n_components.value = 12
    widget.background.value = True
    widget.run_button.native.click()
    assert not widget.run_button.enabled
    assert widget.cancel_button.enabled

    workers[-1].finish()
    assert names(viewer) == ["L density", "L", "L components"]
    assert widget.run_button.enabled
    assert not widget.cancel_button.enabled
    assert widget.status.value.startswith("3 components from 60 points")
    assert "A fake, for the tests." in widget.engine_used.value
    assert widget.heatmap_unit.value == "probability per nm²"
    assert widget.summary.value.startswith("3 components")
    (given,) = fake_fit.parameters
    assert isinstance(given.pop("random_state"), int)  # so that the fit can be repeated
    assert given == {
        "n_components": 12,
        "sparsity": 20.0,
        "prior": "sqrt",
        "init": "auto",
        "solver": "mm",
        "background": True,
        "smooth_background": True,
        "covariance_type": "auto",
        "covariance_floor": None,
        "covariance_prior": 0.0,
        "typical_size": None,
        "repeats": None,
        "max_iter": 500,
        "engine": "auto",
        "device": "auto",
        "n_threads": None,
    }


def test_fields_that_may_be_automatic(
    widget: SparseGMMWidget, workers: list[HandWorker], fake_fit: FakeFit
) -> None:
    assert widget.random_state.native.text() == "new each time"
    widget.random_state.value = 0
    assert widget.random_state.native.text() == "0"
    widget.covariance_floor.value = 2.5
    assert widget.n_threads.native.text() == "automatic"
    widget.n_threads.native.stepBy(1)
    assert widget.n_threads.native.text() == "1"
    widget.run()
    workers[-1].finish()
    assert fake_fit.parameters[0]["random_state"] == 0
    assert fake_fit.parameters[0]["covariance_floor"] == 2.5
    assert fake_fit.parameters[0]["n_threads"] == 1
    assert isinstance(fake_fit.parameters[0]["n_threads"], int)
    assert widget.heatmap_choice().n_threads == 1


def test_progress_bar_shows_the_step(widget: SparseGMMWidget, workers: list[HandWorker]) -> None:
    widget.run_button.native.click()
    workers[-1].step(2)
    assert widget.progress.max == 500
    assert widget.progress.native.format() == "Iteration 0, 3 components"


def test_first_compile_is_told_in_the_status_line(
    widget: SparseGMMWidget, workers: list[HandWorker], slow_keops: SlowKeOps
) -> None:
    widget.run_button.native.click()
    workers[-1].step(3)
    told = "Compiling KeOps kernels for 2D points, first time only (1 s)."
    assert widget.status.value == told
    assert widget.progress.native.format() == "Compiling"
    workers[-1].step(1)
    assert widget.status.value == told.replace("1 s", "2 s")
    workers[-1].step(2)
    assert widget.status.value == ""
    assert widget.progress.native.format().startswith("Iteration 0")


def test_first_compile_can_be_cancelled(
    widget: SparseGMMWidget, workers: list[HandWorker], slow_keops: SlowKeOps, fake_fit: FakeFit
) -> None:
    slow_keops.n_waits = np.inf
    widget.run_button.native.click()
    workers[-1].step(4)
    widget.cancel_button.native.click()
    workers[-1].finish()
    assert widget.status.value == messages.CANCELLED
    assert widget.run_button.enabled
    assert slow_keops.closed
    slow_keops.n_waits = 0
    fit(widget, workers)
    assert widget.status.value.startswith("3 components")


def test_redraw_that_needs_no_compiler_leaves_the_status_line(
    widget: SparseGMMWidget, workers: list[HandWorker], clock: HandClock
) -> None:
    fit(widget, workers)
    summary = widget.status.value
    widget.longest_side.value = 20
    clock.let_pass(0.1)
    workers[-1].step(1)
    assert widget.status.value == summary


def test_cancel_leaves_the_layers_and_brings_back_the_button(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, fake_fit: FakeFit
) -> None:
    widget.run_button.native.click()
    workers[-1].step(3)
    widget.cancel_button.native.click()
    assert not widget.cancel_button.enabled
    workers[-1].finish()
    assert names(viewer) == ["L"]
    assert widget.status.value == messages.CANCELLED
    assert widget.run_button.enabled
    assert fake_fit.closed
    fit(widget, workers)
    assert "L density" in names(viewer)


@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
def test_failure_is_told_and_the_button_comes_back(
    widget: SparseGMMWidget, workers: list[HandWorker], fake_fit: FakeFit, kind: type[Exception]
) -> None:
    fake_fit.error = kind("no luck")
    fit(widget, workers)
    assert widget.status.value == f"The fit failed with {kind.__name__}: no luck"
    assert widget.run_button.enabled


def test_refusal_is_told_and_the_button_comes_back(
    widget: SparseGMMWidget, workers: list[HandWorker], fake_fit: FakeFit, viewer: Any
) -> None:
    fake_fit.error = InputError("Give it more points.")
    fit(widget, workers)
    assert widget.status.value == "Give it more points."
    assert widget.run_button.enabled
    assert names(viewer) == ["L"]


def test_not_converged_is_a_result_with_a_remedy(
    widget: SparseGMMWidget, workers: list[HandWorker], fake_fit: FakeFit, viewer: Any
) -> None:
    fake_fit.converged = False
    fit(widget, workers)
    assert "raise “Iterations at most”" in widget.status.value
    assert "L components" in names(viewer)


def test_empty_layer(widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any) -> None:
    viewer.add_points(name="empty", ndim=2)
    widget.points.value = viewer.layers["empty"]
    widget.run_button.native.click()
    assert "shows no points" in widget.status.value
    assert workers == []
    assert widget.run_button.enabled


def test_without_points_there_is_nothing_to_run(viewer: Any, workers: list[HandWorker]) -> None:
    widget = SparseGMMWidget(viewer, HandClock())
    viewer.window.add_dock_widget(widget)
    assert not widget.run_button.enabled
    assert widget.status.value == messages.NO_POINTS
    viewer.add_image(np.zeros((4, 4)))
    assert not widget.run_button.enabled
    viewer.add_points(DATA, name="late")
    assert widget.points.value.name == "late"
    assert widget.run_button.enabled
    assert widget.status.value == ""


def test_chosen_layer_stays_chosen_under_a_new_name(widget: SparseGMMWidget, viewer: Any) -> None:
    second = viewer.add_points(DATA, name="second")
    widget.points.value = second
    second.name = "renamed"
    assert widget.points.value == second
    assert widget.points.current_choice == "renamed"


def test_opens_on_the_selected_layer(viewer: Any, workers: list[HandWorker]) -> None:
    viewer.add_points(DATA, name="first")
    viewer.add_points(DATA, name="second")
    viewer.layers.selection.active = viewer.layers["second"]
    assert SparseGMMWidget(viewer).points.value.name == "second"


def test_time_is_no_axis_of_space(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    data = np.random.default_rng(0).uniform(0, 9, (50, 3))
    viewer.add_points(data, name="movie", axis_labels=("t", "y", "x"))
    widget.points.value = viewer.layers["movie"]
    assert widget.run_button.enabled
    assert widget.axes.value == "y, x"
    assert widget.axes.choices == ("y, x", "t, y, x", "t, x", "t, y")
    fit(widget, workers)
    assert viewer.layers["movie density"].ndim == 2
    assert "Points of all t are taken together." in widget.status.value


def test_axes_that_leave_a_choice_are_asked_for(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    data = np.random.default_rng(0).uniform(0, 9, (50, 4))
    viewer.add_points(data, name="movie", axis_labels=("c", "z", "y", "x"))
    widget.points.value = viewer.layers["movie"]
    assert not widget.run_button.enabled
    assert widget.axes.value is None
    assert "has the axes c, z, y, x: choose which" in widget.status.value
    widget.axes.value = "y, x"
    assert widget.run_button.enabled
    fit(widget, workers)
    assert viewer.layers["movie density"].ndim == 2


def test_each_layer_keeps_its_axes(widget: SparseGMMWidget, viewer: Any) -> None:
    volume = viewer.add_points(np.zeros((5, 3)), name="3D")
    movie = viewer.add_points(np.zeros((5, 3)), name="movie", axis_labels=("t", "y", "x"))
    widget.points.value = volume
    widget.axes.value = "z, x"
    widget.points.value = movie
    assert widget.axes.value == "y, x"
    assert widget.axes.choices[0] == "y, x"
    widget.points.value = viewer.layers["L"]
    widget.points.value = volume
    assert widget.axes.value == "z, x"
    assert widget.axes.choices == ("z, y, x", "y, x", "z, x", "z, y")
    # What is usual is not remembered: it changes with the labels.
    widget.axes.value = "z, y, x"
    volume.axis_labels = ("t", "y", "x")
    assert widget.axes.value == "y, x"


def test_labels_given_later_are_followed(widget: SparseGMMWidget, viewer: Any) -> None:
    layer = viewer.add_points(np.zeros((5, 4)), name="4D")
    widget.points.value = layer
    assert not widget.run_button.enabled
    layer.axis_labels = ("t", "z", "y", "x")
    assert widget.run_button.enabled
    assert widget.axes.value == "z, y, x"


# napari's thumbnail of such points
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_coordinates_that_are_no_numbers(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, bad: float
) -> None:
    layer = viewer.add_points(DATA.copy(), name="bad")
    layer.data[3, 1] = bad
    widget.points.value = layer
    widget.run_button.native.click()
    assert "1 of the 60 points of layer 'bad'" in widget.status.value
    assert widget.run_button.enabled
    assert workers == []


def test_widget_is_let_go_with_its_dock(viewer: Any, workers: list[HandWorker]) -> None:
    viewer.add_points(DATA, name="L")
    widget = SparseGMMWidget(viewer, HandClock())
    dock = viewer.window.add_dock_widget(widget)
    fit(widget, workers)
    reference = weakref.ref(widget)
    dock.destroyOnClose()
    workers.clear()
    del widget, dock
    gc.collect()
    assert reference() is None


def test_two_axes_leave_no_choice(widget: SparseGMMWidget, viewer: Any) -> None:
    assert widget.axes.native.parentWidget().isHidden()
    viewer.add_points(np.zeros((5, 3)), name="3D")
    widget.points.value = viewer.layers["3D"]
    assert not widget.axes.native.parentWidget().isHidden()
    assert widget.axes.value == "z, y, x"
    assert widget.longest_side.value == 128  # as many as suit a volume
    widget.points.value = viewer.layers["L"]
    assert widget.longest_side.value == 512


def test_volume(widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any) -> None:
    viewer.add_points(np.random.default_rng(0).uniform(0, 9, (50, 3)), name="V", scale=(2, 1, 1))
    widget.points.value = viewer.layers["V"]
    widget.longest_side.value = 20
    fit(widget, workers)
    assert viewer.layers["V density"].data.ndim == 3
    assert viewer.layers["V components"].ndim == 3


def test_sparsity_belongs_to_its_prior(widget: SparseGMMWidget) -> None:
    for prior, enabled in (("mml", False), ("sqrt", True), ("none", False), ("bayes", False)):
        widget.prior.value = prior
        assert widget.sparsity.native.isHidden() is not enabled


def test_weights_are_a_feature(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, fake_fit: FakeFit
) -> None:
    layer = viewer.layers["L"]
    unfold(widget.advanced_button)
    assert widget.weights.native.isHidden()
    photons = np.linspace(1.0, 5.0, 60)
    layer.features = {"photons": photons, "cell": ["a"] * 60, "bright": photons > 3}
    assert not widget.weights.native.isHidden()
    assert widget.weights.choices == (None, "photons")
    widget.weights.value = "photons"
    layer.shown = np.arange(60) >= 10
    fit(widget, workers)
    np.testing.assert_array_equal(fake_fit.weights[-1], photons[10:])
    expected = viewer.layers["L components"].features["expected_points"]
    assert expected.sum() == pytest.approx(photons[10:].sum())
    assert "from 50 points" in widget.status.value
    widget.weights.value = None
    fit(widget, workers)
    assert fake_fit.weights[-1] is None


def test_precision_is_a_feature(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, fake_fit: FakeFit
) -> None:
    layer = viewer.layers["L"]
    assert widget.precision.native.isHidden()
    precision = np.linspace(5.0, 20.0, 60)
    layer.features = {"uncertainty": precision, "cell": ["a"] * 60}
    assert widget.precision.choices == (None, "uncertainty")
    assert widget.precision.value is None
    layer.shown = np.arange(60) >= 10
    assert not widget.precision.native.isHidden()
    widget.precision.value = "uncertainty"
    assert widget.axial_precision.native.isHidden()
    fit(widget, workers)
    expected = np.repeat(precision[10:, None], 2, axis=1)
    np.testing.assert_array_equal(fake_fit.noise[-1], expected)
    layer.features["uncertainty"] = -precision  # of which nobody hears
    widget.run_button.native.click()
    assert "choose another precision" in widget.status.value


def test_axial_precision_belongs_to_three_axes(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, fake_fit: FakeFit
) -> None:
    rng = np.random.default_rng(0)
    features = {"lp": np.full(50, 2.0), "lpz": np.full(50, 6.0)}
    layer = viewer.add_points(
        rng.uniform(0, 90, (50, 3)), name="volume", axis_labels=("z", "y", "x"), features=features
    )
    widget.points.value = layer
    assert widget.axial_precision.native.isHidden()
    widget.precision.value = "lp"
    assert not widget.axial_precision.native.isHidden()
    widget.axial_precision.value = "lpz"
    fit(widget, workers)
    np.testing.assert_array_equal(fake_fit.noise[-1], np.tile([6.0, 2.0, 2.0], (50, 1)))
    widget.axes.value = "y, x"
    assert widget.axial_precision.native.isHidden()
    fit(widget, workers)
    np.testing.assert_array_equal(fake_fit.noise[-1], np.full((50, 2), 2.0))


def test_points_are_coloured_as_they_were_fitted(
    widget: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    monkeypatch: pytest.MonkeyPatch,
    redraw: Callable[[], None],
) -> None:
    """With their precision, in their groups, whatever has become of the layer since."""
    asked = []

    def assign_points(*arguments: Any) -> Any:
        asked.append(arguments)
        return real(*arguments)

    real = controller.assign_points
    monkeypatch.setattr(controller, "assign_points", assign_points)
    layer = viewer.layers["L"]
    layer.features = {"uncertainty": np.full(60, 30.0), "cell": ["A", "B", "C"] * 20}
    widget.precision.value, widget.each.value = "uncertainty", "cell"
    fit(widget, workers)
    redraw()
    layer.shown = np.array([False, True, True] * 20)
    layer.features = {}
    widget.annotate.value = True
    redraw()
    ((parts, observations, groups, _),) = asked
    np.testing.assert_array_equal(observations.points, DATA)
    np.testing.assert_array_equal(groups, np.arange(60) % 3)
    np.testing.assert_array_equal(observations.noise_std, np.full((60, 2), 30.0))
    component = np.array(layer.features["component"])
    for group, part in enumerate(parts):
        own = part.mixture.predict(DATA[groups == group], noise_std=30.0)
        np.testing.assert_array_equal(component[groups == group], own)


def test_a_layer_under_a_new_name_keeps_its_choices(viewer: Any, workers: list[HandWorker]) -> None:
    data = np.column_stack([np.arange(60) % 3, DATA])
    layer = viewer.add_points(
        data, name="L", axis_labels=("t", "y", "x"), features={"n": np.ones(60)}
    )
    viewer.add_points(DATA, name="other")
    widget = SparseGMMWidget(viewer, HandClock())
    widget.points.value = layer
    widget.axes.value, widget.each.value, widget.weights.value = "y, x", 0, "n"
    layer.name = "renamed"
    assert widget.points.value.name == "renamed"
    assert (widget.axes.value, widget.each.value, widget.weights.value) == ("y, x", 0, "n")


def test_a_region_that_is_gone_is_told(widget: SparseGMMWidget, viewer: Any) -> None:
    widget.region.value = viewer.add_labels(np.ones((9, 9), dtype=int), name="mask")
    viewer.layers.remove("mask")
    assert widget.status.value == messages.region_gone("mask")


@pytest.mark.parametrize(
    ("weights", "words"),
    [([-1.0] * 3 + [1.0] * 57, "for 3 of the 60 points"), ([0.0] * 60, "fewer than two points")],
)
def test_weights_of_no_use_are_refused(
    widget: SparseGMMWidget, viewer: Any, weights: list[float], words: str
) -> None:
    viewer.layers["L"].features = {"w": np.ones(60)}
    widget.weights.value = "w"
    viewer.layers["L"].features["w"] = weights  # as in napari's table: nobody hears of it
    widget.run_button.native.click()
    assert words in widget.status.value
    assert len(viewer.layers) == 1


def test_what_a_fit_tells_of_points_is_no_weight(widget: SparseGMMWidget, viewer: Any) -> None:
    viewer.layers["L"].features = {"probability": np.ones(60), "component": np.ones(60, int)}
    assert widget.weights.native.isHidden()


def test_bayes_starts_in_its_own_way(widget: SparseGMMWidget) -> None:
    unfold(widget.advanced_button)
    for prior, enabled in (("bayes", False), ("mml", True)):
        widget.prior.value = prior
        assert widget.init.native.isHidden() is not enabled


def test_lengths_show_the_unit_of_the_layer(widget: SparseGMMWidget, viewer: Any) -> None:
    assert widget.pixel_size.native.suffix() == " nm"
    viewer.add_points(DATA * 1e-9, name="m", units="m")
    widget.points.value = viewer.layers["m"]
    assert widget.pixel_size.native.suffix() == " m"
    widget.pixel_size.value = 2e-9
    assert widget.pixel_size.value == 2e-9
    widget.points.value = viewer.layers["L"]
    assert widget.pixel_size.native.text() == "automatic"  # as it was for this one
    widget.pixel_size.value = 2.0
    viewer.layers["L"].units = "um"
    assert widget.pixel_size.value == 0.002
    widget.points.value = viewer.layers["m"]
    assert widget.pixel_size.value == 2e-9
    widget.points.value = viewer.layers["L"]
    assert widget.pixel_size.value == 0.002


def test_to_choose_another_layer_draws_nothing(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, clock: HandClock
) -> None:
    viewer.add_points(DATA[:, [0, 1, 1]], name="um", units="um")
    widget.points.value = viewer.layers["L"]
    widget.covariance_floor.value = widget.pixel_size.value = 2.0
    fit(widget, workers)
    clock.let_pass(0.1)
    widget.points.value = viewer.layers["um"]
    assert widget.covariance_floor.value == widget.pixel_size.value == 0.002
    widget.points.value = viewer.layers["L"]
    assert widget.controller.state.redraw_at is None


def test_names_of_layers_are_on_one_line(widget: SparseGMMWidget, viewer: Any) -> None:
    layer = viewer.add_points(DATA, name="control\ncell " + "x" * 60)
    widget.points.value = layer
    assert widget.points.current_choice.startswith("control cell xxx")
    assert len(widget.points.current_choice) < 40


def test_the_dock_is_low_with_plots_and_lower_without(
    widget: SparseGMMWidget, workers: list[HandWorker]
) -> None:
    fit(widget, workers)
    widget.plots.setTabVisible(2, True)
    unfold(widget.plots_button)
    # More than a fit has to say: the rest is scrolled to.
    widget.status.value = "A sentence of some words. " * 30
    widget.advanced_button.native.click()
    assert widget.plots_button.text == "▾ Plots"
    assert widget.native.minimumSizeHint().height() <= 225
    widget.plots_button.native.click()
    assert widget.native.minimumSizeHint().height() <= 225


def test_a_plot_is_all_in_sight_where_the_dock_is_low(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, qtbot: QtBot
) -> None:
    """As low as a table below leaves it, under a summary of many lines."""
    fit(widget, workers)
    widget.summary.value = "\n".join(["A line."] * 5)
    widget.status.value = "A sentence of some words. " * 30
    widget.native.setParent(None)
    widget.native.resize(420, 400)
    widget.native.show()
    unfold(widget.plots_button)
    for index, view in enumerate((widget.histogram, widget.filter_view)):
        bar = widget.plots.tabBar()
        QTest.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.tabRect(index).center())

        def all_is_seen(plot: Any = view.plot) -> bool:
            areas = [
                area.viewport()
                for area in widget.native.findChildren(QScrollArea)
                if area.isAncestorOf(plot)
            ]
            places = [plot.rect().translated(plot.mapTo(area, QPoint())) for area in areas]
            return plot.height() >= 120 and all(
                area.rect().contains(place) for area, place in zip(areas, places, strict=True)
            )

        qtbot.waitUntil(all_is_seen)


def test_only_what_is_below_the_result_scrolls(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, qtbot: QtBot
) -> None:
    """In a dock that is as high as a small screen leaves it, all else is in sight."""
    fit(widget, workers)
    widget.native.setParent(None)
    widget.native.resize(420, 400)
    widget.native.show()
    qtbot.waitUntil(lambda: widget.native.height() == 400)

    def bars() -> list[QScrollArea]:
        areas = widget.native.findChildren(QScrollArea)
        return [area for area in areas if area.verticalScrollBar().isVisible()]

    qtbot.waitUntil(lambda: len(bars()) == 1)
    (scrolls,) = bars()
    above = [widget.points, widget.find, widget.run_button, widget.summary, widget.table_button]
    for field in above:
        assert not scrolls.isAncestorOf(field.native)

        def all_is_seen(native: Any = field.native) -> bool:
            text = native.rect()
            if native.hasHeightForWidth():  # a label may be higher than its text
                text.setHeight(native.heightForWidth(native.width()))
            return native.visibleRegion().boundingRect().contains(text)

        qtbot.waitUntil(all_is_seen)
    for field in (widget.plots_button, widget.coverage, widget.advanced_button):
        assert scrolls.isAncestorOf(field.native)


def test_what_is_folded_away_says_so(widget: SparseGMMWidget) -> None:
    assert "what rarely needs a change" in widget.advanced_button.tooltip
    assert widget.advanced_button.text == "▸ Advanced"
    row = widget.max_iter.native.parentWidget()
    assert row.isHidden()
    widget.advanced_button.native.click()
    assert widget.advanced_button.text == "▾ Advanced"
    assert not row.isHidden()


def test_fields_of_the_picture_need_no_new_fit(
    widget: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    fake_fit: FakeFit,
    redraw: Callable[[], None],
) -> None:
    widget.longest_side.value = 40
    fit(widget, workers)
    image, shapes = viewer.layers["L density"], viewer.layers["L components"]
    density, corners = image.data.copy(), shapes.data[0].copy()

    widget.quantity.value = "expected_points"
    redraw()
    np.testing.assert_allclose(image.data, 60 * density, rtol=1e-4, atol=1e-30)
    assert widget.heatmap_unit.value == "expected points per nm²"
    widget.longest_side.value = 20
    redraw()
    assert max(image.data.shape) == 20
    widget.pixel_size.value = 5.0
    redraw()
    np.testing.assert_allclose(image.scale, 5.0)
    widget.coverage.value = 50.0
    redraw()
    assert np.ptp(shapes.data[0], axis=0) == pytest.approx(
        np.ptp(corners, axis=0) * np.sqrt(np.log(2) / np.log(20)), rel=1e-3
    )
    assert len(fake_fit.parameters) == 1


def test_layer_removed_during_its_fit(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    widget.run()
    workers[-1].step(2)
    viewer.layers.remove("L")
    workers[-1].finish()
    assert names(viewer) == []
    assert widget.idle
    assert widget.status.value == messages.layer_removed("L")


def test_layer_removed_when_its_result_is_on_the_way(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    viewer.add_points(DATA, name="other")
    widget.points.value = viewer.layers["L"]
    widget.run()
    outcome = workers[-1].result()
    viewer.layers.remove("L")
    workers[-1].returned.emit(outcome)
    workers[-1].finished.emit()
    assert names(viewer) == ["other"]
    assert widget.run_button.enabled


def test_points_are_untouched(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    points = viewer.layers["L"]
    before = (points.data.copy(), points.scale.copy(), points.features.copy(), points.metadata)
    fit(widget, workers)
    np.testing.assert_array_equal(points.data, before[0])
    np.testing.assert_array_equal(points.scale, before[1])
    assert points.features.equals(before[2])
    assert points.metadata == before[3]


def test_points_are_coloured_on_request_and_again_after_the_next_fit(
    widget: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    fake_fit: FakeFit,
    redraw: Callable[[], None],
) -> None:
    layer = viewer.layers["L"]
    layer.features = {"frame": np.arange(60)}
    shown = np.arange(60) > 4
    layer.shown = shown
    before = layer.face_color.copy()
    fit(widget, workers)
    redraw()
    assert list(layer.features) == ["frame"]
    widget.annotate.value = True
    redraw()
    told = widget.status.value
    assert next(iter(layer.features)) == "frame"
    mixture = widget.controller.chosen_fit.model.parts[0].mixture
    features = layer.features[shown]
    np.testing.assert_array_equal(features["component"], mixture.predict(DATA[shown]))
    np.testing.assert_allclose(features["log_density"], mixture.log_density(DATA[shown]), atol=1e-4)
    assert not features["is_background"].any()
    hidden = layer.features[~shown]
    assert (hidden["component"] == -1).all()
    assert hidden["probability"].isna().all()
    np.testing.assert_array_equal(layer.face_color[~shown], before[~shown])
    assert len(np.unique(layer.face_color[shown], axis=0)) == 3
    # Nothing new to show: nothing is computed.
    n_workers = len(workers)
    redraw()
    assert len(workers) == n_workers

    fake_fit.components = 5
    fit(widget, workers)
    redraw()
    assert layer.features["component"].max() == 4
    assert told.startswith("3 components")
    assert widget.status.value.startswith("5 components")


def test_points_that_were_added_meanwhile_are_not_coloured(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, clock: HandClock
) -> None:
    layer = viewer.layers["L"]
    fit(widget, workers)
    widget.annotate.value = True
    clock.let_pass(0.1)
    layer.add([[1.0, 2.0]])
    workers[-1].finish()
    assert "component" not in layer.features
    assert widget.status.value == messages.points_changed("L")


def test_points_are_fitted_for_each_value_of_a_feature(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, fake_fit: FakeFit
) -> None:
    layer = viewer.layers["L"]
    unfold(widget.advanced_button)
    assert widget.each.native.isHidden()
    layer.features = {"channel": ["A", "B"] * 30, "brightness": np.linspace(0.1, 0.9, 60)}
    assert not widget.each.native.isHidden()
    assert widget.each.choices == (None, "channel")  # brightness has fractions
    widget.each.value = "channel"
    fit(widget, workers)
    assert "6 components for 2 values of channel from 60 points" in widget.status.value
    assert viewer.layers["L density"].data.shape[0] == 2
    table = viewer.layers["L components"].features
    assert list(table["channel"]) == ["A"] * 3 + ["B"] * 3
    assert len(fake_fit.weights) == 2  # as many fits

    widget.each.value = None
    fit(widget, workers)
    assert viewer.layers["L density"].ndim == 2
    assert "channel" not in viewer.layers["L components"].features


def test_points_are_fitted_for_each_time(viewer: Any, workers: list[HandWorker]) -> None:
    data = np.column_stack([np.arange(60) % 3, DATA])
    viewer.add_points(data, name="L", axis_labels=("t", "y", "x"))
    widget = SparseGMMWidget(viewer, HandClock())
    widget.axes.value = "y, x"
    assert widget.each.choices == (None, 0)
    widget.each.value = 0
    fit(widget, workers)
    assert viewer.layers["L density"].data.shape[0] == 3
    assert "for 3 values of t" in widget.status.value
    assert "taken together" not in widget.status.value
    # Axes that are modelled cannot keep points apart.
    widget.axes.value = "t, y, x"
    assert widget.each.choices == (None,)
    assert widget.each.value is None


def test_a_region_is_drawn(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, fake_fit: FakeFit
) -> None:
    square = np.array([[20.0, 20.0], [20.0, 80.0], [80.0, 80.0], [80.0, 20.0]])
    shapes = viewer.add_shapes([square], name="cell")
    assert [str(choice) for choice in widget.region.choices[2:]] == ["cell"]
    widget.region.value = shapes
    widget.background.value = True
    fit(widget, workers)
    n = int(((DATA >= 20) & (DATA <= 80)).all(1).sum())
    assert 0 < n < 60
    assert f"from {n} points" in widget.status.value
    assert f"{60 - n} points outside of the region left out" in widget.status.value
    assert fake_fit.parameters[-1]["background"].volume == pytest.approx(3600.0)
    # What the widget has made itself is no region.
    assert [str(choice) for choice in widget.region.choices[2:]] == ["cell"]

    shapes.name = "nucleus"
    assert widget.region.value.name == "nucleus"
    viewer.layers.remove(shapes)
    assert widget.region.value is Around.BOX
    fit(widget, workers)
    assert fake_fit.parameters[-1]["background"] is True


def test_ellipses_lie_above_a_region_that_is_drawn_later(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    """Its shapes are opaque, if nobody has chosen otherwise."""
    fit(widget, workers)
    square = np.array([[20.0, 20.0], [20.0, 80.0], [80.0, 80.0], [80.0, 20.0]])
    shapes = viewer.add_shapes([square], name="cell")
    viewer.add_points(DATA, name="on top")
    widget.points.value, widget.region.value = viewer.layers["L"], shapes
    fit(widget, workers)
    assert names(viewer) == ["L density", "L", "cell", "L components", "on top"]
    viewer.layers.move(viewer.layers.index(shapes), 0)
    fit(widget, workers)
    assert names(viewer) == ["cell", "L density", "L", "L components", "on top"]


def test_features_of_no_use_are_not_offered(widget: SparseGMMWidget, viewer: Any) -> None:
    layer = viewer.add_points(np.random.default_rng(0).uniform(size=(2000, 3)), name="many")
    n = np.arange(2000)
    layer.features = {
        "id": n,
        "name": [f"point {i}" for i in n],
        "cell": n % 1000,
        "missing": np.where(n == 7, np.nan, n % 3),
        "offset": n - 5.5,
        "nothing": np.zeros(2000),
    }
    widget.axes.value = "y, x"
    assert widget.each.choices == (None, "cell", "nothing")  # nor an axis without steps
    assert widget.weights.choices == (None, "id", "cell")
    assert widget.precision.choices == (None, "id", "cell", "missing", "offset", "nothing")
    layer.features["offset"] = -1.0
    widget.points.value = viewer.layers["L"]
    widget.points.value = layer
    assert "offset" not in widget.precision.choices


def test_only_what_has_an_inside_is_offered_as_a_region(
    widget: SparseGMMWidget, viewer: Any
) -> None:
    def offered() -> list[str]:
        return [str(layer) for layer in widget.region.choices[2:]]

    line = np.array([[10.0, 10.0], [90.0, 20.0]])
    square = np.array([[20.0, 20.0], [20.0, 80.0], [80.0, 80.0], [80.0, 20.0]])
    shapes = viewer.add_shapes([line, square], shape_type=["line", "path"], name="scale")
    assert offered() == []
    shapes.add(square, shape_type="polygon")
    assert offered() == ["scale"]
    shapes.data = [(line, "line")]
    assert offered() == []
    empty = viewer.add_shapes(None, name="cell")  # still to be drawn
    assert offered() == ["cell"]
    widget.region.value = empty
    empty.add(square, shape_type="path")  # as napari does while a polygon is drawn
    assert offered() == ["cell"]
    empty.data = [(square, "polygon")]
    assert widget.region.value == empty


def test_an_empty_region_is_told(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    widget.region.value = viewer.add_labels(np.zeros((9, 9), dtype=int), name="mask")
    widget.run_button.native.click()
    assert workers == []
    assert "paint the region" in widget.status.value


def test_images_are_offered_but_no_heatmap(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, fake_fit: FakeFit
) -> None:
    def offered() -> list[str]:
        return [str(layer) for layer in widget.region.choices[2:]]

    viewer.add_image(np.ones((9, 9, 3)), rgb=True, name="photograph")
    pixels = np.ones((101, 101))
    pixels[:, :20] = 0.0
    image = viewer.add_image(pixels, name="actin", units="nm")
    assert offered() == ["actin"]
    widget.region.value = image
    widget.background.value = True
    fit(widget, workers)
    widget.keep_button.native.click()
    assert "L density" in names(viewer)
    assert any(name.startswith("Kept") and "density" in name for name in names(viewer))
    assert offered() == ["actin"]
    n = int((DATA[:, 1] < 19.5).sum())
    assert n > 0
    assert f"{n} points outside of the region left out" in widget.status.value
    region = fake_fit.parameters[-1]["background"]
    assert isinstance(region, Intensity)
    assert region.volume == pytest.approx(101 * 81)
    image.data = np.zeros((101, 101))
    widget.run_button.native.click()
    assert "Layer 'actin' is 0 everywhere" in widget.status.value


@pytest.fixture
def real_path(
    monkeypatch: pytest.MonkeyPatch, viewer: Any, workers: list[HandWorker], clock: HandClock
) -> SparseGMMWidget:
    """The widget with a real estimator, after a click on Path."""
    monkeypatch.setattr("napari_sparse_gmm.estimator.SparseGaussianMixture", SparseGaussianMixture)
    viewer.add_points(DATA, name="L", units="nm")
    widget = SparseGMMWidget(viewer, clock)
    viewer.window.add_dock_widget(widget)
    widget.find.value = "sparse"
    widget.n_components.value, widget.longest_side.value = 6, 16
    widget.random_state.value, widget.engine.value = 1, "torch"
    widget.path_button.native.click()
    workers[-1].finish()
    return widget


def test_a_slider_moves_along_the_path(
    real_path: SparseGMMWidget, workers: list[HandWorker], viewer: Any, clock: HandClock
) -> None:
    widget = real_path
    done = widget.controller.chosen_fit
    path = done.path
    assert path_shown(widget)
    assert widget.path_view.slider.value == done.chosen
    assert "(suggested)" in widget.path_view.choice.value
    image, shapes = viewer.layers["L density"], viewer.layers["L components"]
    for place in (0, len(path) - 1):
        before = image.data.copy()
        widget.path_view.slider.value = place
        k = path[place].mixture.n_components
        # At once: the ellipses, the table and the words; then the heatmap.
        assert shapes.nshapes == len(shapes.features) == k
        assert f"s = {path[place].sparsity:g}: {k} component" in widget.path_view.choice.value
        assert widget.status.value.startswith(f"{k} component")
        assert widget.sparsity.value == path[place].sparsity
        assert widget.controller.state.redraw_at is not None
        clock.let_pass(0.1)
        workers[-1].finish()
        assert (image.data != before).any()
        n_jobs = len(workers)
        clock.let_pass(0.1)
        assert len(workers) == n_jobs  # it is drawn


def test_a_path_belongs_to_its_layer(
    real_path: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    widget, first = real_path, viewer.layers["L"]
    chosen = widget.path_view.slider.value
    other = viewer.add_points(DATA + 5.0, name="other")
    widget.points.value = other
    assert not path_shown(widget)
    widget.points.value = first
    assert path_shown(widget)
    assert widget.path_view.slider.value == chosen
    # Another fit of the layer has no path.
    widget.run_button.native.click()
    workers[-1].finish()
    assert not path_shown(widget)


def test_a_path_needs_what_it_is_along(widget: SparseGMMWidget, viewer: Any) -> None:
    assert widget.path_button.enabled
    widget.prior.value = "bayes"
    assert not widget.path_button.enabled
    assert "choose that Prior" in widget.path_button.tooltip
    widget.prior.value = "sqrt"
    assert widget.path_button.enabled
    viewer.layers["L"].features = {"channel": ["A", "B"] * 30}
    widget.each.value = "channel"
    assert not widget.path_button.enabled
    assert "Fit each" in widget.path_button.tooltip
    widget.run_path()
    assert widget.idle


def test_sizes_have_a_prior_of_their_own_under_bayes(
    widget: SparseGMMWidget, workers: list[HandWorker], fake_fit: FakeFit
) -> None:
    unfold(widget.advanced_button)
    widget.covariance_prior.value, widget.typical_size.value = 5.0, 3.0
    widget.prior.value = "bayes"
    assert widget.covariance_prior.native.isHidden()
    fit(widget, workers)
    assert fake_fit.parameters[-1]["covariance_prior"] == 0.0
    widget.prior.value = "mml"
    assert not widget.covariance_prior.native.isHidden()
    fit(widget, workers)
    assert fake_fit.parameters[-1]["covariance_prior"] == 5.0
    assert fake_fit.parameters[-1]["typical_size"] == 3.0


def test_the_layer_that_somebody_turns_to_is_the_choice(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    viewer.add_points(DATA + 5.0, name="other", units="nm")
    assert widget.points.value.name == "other"
    fit(widget, workers)
    assert "other components" in names(viewer)
    assert "L components" not in names(viewer)
    viewer.layers.selection.active = viewer.layers["L"]
    assert widget.points.value.name == "L"
    viewer.layers.selection.active = viewer.layers["other density"]  # no Points
    assert widget.points.value.name == "L"
    assert widget.summary.value == ""  # of a layer that has no fit


def test_a_choice_in_the_dock_stays_while_layers_come(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    viewer.add_points(DATA + 5.0, name="other", units="nm")  # and is active
    widget.points.value = viewer.layers["L"]
    fit(widget, workers)
    assert widget.points.value.name == "L"
    assert widget.summary.value.startswith("3 components")
    viewer.layers.selection.active = viewer.layers["L"]
    viewer.layers.selection.active = viewer.layers["other"]
    assert widget.points.value.name == "other"


def test_a_choice_stays_also_of_layers_that_were_there_before(
    workers: list[HandWorker], viewer: Any
) -> None:
    for name in ("L", "other"):
        viewer.add_points(DATA, name=name)
    widget = SparseGMMWidget(viewer, HandClock())
    viewer.window.add_dock_widget(widget)
    assert widget.points.value.name == "other"
    widget.points.value = viewer.layers["L"]
    fit(widget, workers)
    assert widget.points.value.name == "L"


def test_a_result_is_kept_aside(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, fake_fit: FakeFit
) -> None:
    assert not widget.keep_button.enabled
    fit(widget, workers)
    before = viewer.layers["L components"].data[0].copy()
    widget.keep_button.native.click()
    kept = viewer.layers["Kept 1 L components"]
    assert not kept.visible
    assert attached_model(kept.name, kept.metadata).n_points == 60
    fake_fit.components = 5
    fit(widget, workers)
    assert (viewer.layers["L components"].nshapes, kept.nshapes) == (5, 3)
    np.testing.assert_array_equal(kept.data[0], before)
    widget.keep_button.native.click()
    assert {"Kept 2 L density", "Kept 2 L components"} <= set(names(viewer))
    assert viewer.layers["Kept 2 L components"].nshapes == 5


def test_a_run_is_undone(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, fake_fit: FakeFit
) -> None:
    fit(widget, workers)
    assert not widget.undo_button.enabled
    widget.sparsity.value, fake_fit.components = 5.0, 4
    widget.region.value = Around.HULL
    fit(widget, workers)
    assert viewer.layers["L components"].nshapes == 4
    for components, sparsity, around in ((3, 20.0, Around.BOX), (4, 5.0, Around.HULL)):
        widget.undo_button.native.click()
        assert widget.region.value is around
        assert viewer.layers["L components"].nshapes == components
        assert widget.sparsity.value == sparsity
        assert widget.status.value.startswith(f"{components} components")
        assert widget.summary.value.startswith(f"{components} components")


def test_settings_of_a_model_come_back(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    widget.settings_button.native.click()
    assert widget.status.value == messages.NOT_FITTED
    widget.sparsity.value, widget.coverage.value, widget.n_components.value = 7.0, 80.0, 12
    widget.quantity.value = "expected_points"
    fit(widget, workers)
    widget.reset_button.native.click()
    assert widget.find.value == "clusters"
    widget.settings_button.native.click()
    settings = widget.estimator_parameters()
    assert (settings["prior"], settings["sparsity"], settings["n_components"]) == ("sqrt", 7.0, 12)
    assert (widget.coverage.value, widget.quantity.value) == (80.0, "expected_points")


def test_what_was_found_outlives_the_dock(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    widget.sparsity.value = 7.0
    fit(widget, workers)
    viewer.window.remove_dock_widget(widget.native)
    again = SparseGMMWidget(viewer, HandClock())
    viewer.window.add_dock_widget(again)
    assert again.summary.value.startswith("3 components")
    assert again.sparsity.value == 7.0
    again.copy_python()
    assert "sparsity=7.0" in QGuiApplication.clipboard().text()


def test_a_column_of_the_table_is_a_histogram(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    fit(widget, workers)
    unfold(widget.plots_button)
    histogram = widget.histogram
    assert histogram.column.value == "expected_points"
    assert "std_major [nm]" in histogram.column.choices
    assert "weight_error" not in histogram.column.choices
    histogram.column.value = "std_major [nm]"
    viewer.add_points(DATA, name="new")
    assert histogram.column.choices == ()


def test_what_is_left_of_a_fit() -> None:
    assert [time_left(s, share) for s, share in ((0.5, 0.5), (10.0, 0.0))] == ["", ""]
    assert time_left(10.0, 0.25) == ", 30 s left at most"
    assert time_left(100.0, 0.25) == ", 5 min left at most"


def test_layers_are_called_as_their_points_are(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    fit(widget, workers)
    viewer.layers["L density"].name = "mine"
    viewer.layers["L"].name = "EGFR"
    assert names(viewer) == ["mine", "EGFR", "EGFR components"]
    fit(widget, workers)
    assert names(viewer) == ["mine", "EGFR", "EGFR components"]
