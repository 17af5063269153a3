"""Live fits, previews and choices of points, with a worker that a test drives by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from magicgui.widgets import Widget
from napari.layers import Layer, Shapes
from plugin.fakes import DATA, FakeFit, HandWorker, fit

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.control.display import Display
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget
from napari_sparse_gmm.plugin.layers.model_metadata import attached_model, layers_of
from napari_sparse_gmm.plugin.layers.owned import METADATA_KEY
from napari_sparse_gmm.plugin.points.selection import Use
from napari_sparse_gmm.plugin.tasks import previews
from napari_sparse_gmm.plugin.tasks import progress as following


@pytest.fixture
def at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits tell of every step, and show it."""
    monkeypatch.setattr(following, "_INTERVAL", 0.0)
    monkeypatch.setattr(previews, "PREVIEW_INTERVAL", 0.0)
    # Whenever the last one came.
    never = property(lambda _: 0.0, lambda *_: None)
    monkeypatch.setattr(Display, "_next_preview", never, raising=False)


def pass_delay(widget: SparseGMMWidget) -> None:
    """Let the delay pass after which a live fit begins."""
    assert widget._refit_timer.isActive()
    widget._refit_timer.stop()
    widget._refit()


@pytest.fixture
def live(widget: SparseGMMWidget, workers: list[HandWorker]) -> SparseGMMWidget:
    """A widget whose layer is fitted, with Live on."""
    fit(widget, workers)
    widget._redraw_timer.stop()
    widget.live.value = True
    widget._refit_timer.stop()
    widget._refit()
    assert len(workers) == 1  # nothing has changed
    return widget


def test_a_change_starts_a_fit_from_the_last_solution(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, fake_fit: FakeFit
) -> None:
    (last,) = live._chosen_fit().solution.mixtures
    fake_fit.starts.clear()
    fake_fit.components = 4
    live.sparsity.value = 11.0
    pass_delay(live)
    workers[-1].finish()
    assert fake_fit.parameters[-1]["sparsity"] == 11.0
    # From there, and from the start that the parameters say.
    assert fake_fit.starts[0] is last
    assert fake_fit.starts[1:] == ["kmeans++"]
    assert viewer.layers["L components"].nshapes == 4
    assert live.status.value.startswith("4 components")


def test_without_live_nothing_starts(widget: SparseGMMWidget, workers: list[HandWorker]) -> None:
    fit(widget, workers)
    widget.sparsity.value = 11.0
    assert not widget._refit_timer.isActive()


def test_live_waits_for_a_first_run(widget: SparseGMMWidget, workers: list[HandWorker]) -> None:
    widget.live.value = True
    widget.sparsity.value = 11.0
    assert not widget._refit_timer.isActive()
    assert not workers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("quantity", "log_density", id="quantity"),
        pytest.param("longest_side", 100, id="pixels"),
        pytest.param("pixel_size", 3.0, id="pixel size"),
        pytest.param("sharpen", False, id="sharpen"),
        pytest.param("coverage", 50.0, id="coverage"),
        pytest.param("contours", True, id="contours"),
        pytest.param("annotate", True, id="colours"),
        pytest.param("engine", "torch", id="engine"),
        pytest.param("n_threads", 2, id="threads"),
    ],
)
def test_what_needs_no_fit_starts_none(live: SparseGMMWidget, name: str, value: Any) -> None:
    getattr(live, name).value = value
    assert not live._refit_timer.isActive()


def test_every_parameter_of_a_fit_starts_one(live: SparseGMMWidget) -> None:
    asked = {widget.name for widget in live.of_fit}
    given = set(live.estimator_parameters())
    # Who computes changes nothing that shows.
    assert given - asked == {"engine", "device", "n_threads"}
    assert {"axes", "each", "weights", "precision", "axial_precision", "region"} <= asked


def test_the_newest_change_wins(
    live: SparseGMMWidget, workers: list[HandWorker], fake_fit: FakeFit, at_every_step: None
) -> None:
    live.sparsity.value = 11.0
    pass_delay(live)
    first = workers[-1]
    first.step(4)
    live.sparsity.value = 12.0
    pass_delay(live)
    live.sparsity.value = 13.0
    pass_delay(live)
    assert first.abort_requested
    assert len(workers) == 2  # the next waits until this one has stopped
    (so_far,) = live._running.shown.result.solution.mixtures
    fake_fit.starts.clear()
    first.finish()
    assert len(workers) == 3
    workers[-1].finish()
    assert fake_fit.parameters[-1]["sparsity"] == 13.0
    assert fake_fit.starts[0] is so_far
    assert 12.0 not in {given["sparsity"] for given in fake_fit.parameters}
    assert "Cancelled" not in live.status.value


def test_a_slider_that_moves_on_starts_fits_meanwhile(live: SparseGMMWidget) -> None:
    live.sparsity.value = 11.0
    remaining = live._refit_timer.remainingTime()
    live.sparsity.value = 12.0
    assert live._refit_timer.remainingTime() <= remaining


def test_what_runs_shows_a_picture_before_the_next_one_begins(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, at_every_step: None
) -> None:
    """Otherwise there would be none as long as a slider moves."""
    live.sparsity.value = 11.0
    pass_delay(live)
    running = workers[-1]
    running.step(1)  # "Starting"
    for sparsity in (12.0, 13.0, 14.0):
        live.sparsity.value = sparsity
        pass_delay(live)
    assert not running.abort_requested
    assert live._refit_timer.remainingTime() > 1000  # if it shows none, it is not waited for long
    running.step(1)
    assert live._running.previewed
    assert live._refit_timer.remainingTime() < 500
    pass_delay(live)
    assert running.abort_requested
    running.finish()
    assert live._running.asked.request.parameters["sparsity"] == 14.0
    # What is on the screen is of the one before, until this one shows something.
    assert live._running.shown is not None
    assert not live._running.previewed


def test_what_shows_nothing_has_to_make_way(
    live: SparseGMMWidget, workers: list[HandWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_sparse_gmm.plugin.control.controller._PATIENCE", 0.0)
    live.sparsity.value = 11.0
    pass_delay(live)
    workers[-1].step(1)
    live.sparsity.value = 12.0
    pass_delay(live)
    assert workers[-1].abort_requested


def edit_points(layer: Any) -> None:
    layer.data = layer.data + 500.0


def hide_points(layer: Any) -> None:
    layer.shown = np.arange(len(DATA)) < 20


def scale_points(layer: Any) -> None:
    layer.scale = (2.0, 3.0)


def move_layer(layer: Any) -> None:
    layer.translate = (7.0, 0.0)


@pytest.mark.parametrize("edit", [edit_points, hide_points, scale_points, move_layer])
def test_a_live_fit_is_of_the_points_as_they_are_now(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, edit: Any
) -> None:
    layer = viewer.layers["L"]
    edit(layer)
    live.sparsity.value = 11.0
    pass_delay(live)
    workers[-1].finish()
    done = live._chosen_fit()
    np.testing.assert_allclose(
        done.asked.cloud.points, (layer.data * layer.scale)[np.asarray(layer.shown)]
    )
    np.testing.assert_allclose(done.frame.translate, layer.translate)


@pytest.mark.parametrize("edit", [edit_points, scale_points, move_layer])
def test_points_that_are_edited_are_fitted_again(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, edit: Any
) -> None:
    layer = viewer.layers["L"]
    edit(layer)
    pass_delay(live)
    assert live._runner.job is not None
    workers[-1].finish()
    np.testing.assert_allclose(live._chosen_fit().frame.translate, layer.translate)


def test_what_is_no_business_of_a_fit_starts_none(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    layer = viewer.layers["L"]
    layer.size, layer.opacity = 3, 0.5
    assert not live._refit_timer.isActive()
    layer.features = {"new": np.arange(len(DATA))}  # it might be one of those that are used
    live.n_threads.value, live.engine.value = 1, "torch"
    pass_delay(live)
    assert live._runner.job is None


def test_a_region_that_is_changed_is_followed(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    box = np.array([[20.0, 20.0], [20.0, 80.0], [80.0, 80.0], [80.0, 20.0]])
    region = viewer.add_layer(Shapes([box], shape_type="polygon", name="cell", units="nm"))
    live.region.value = region
    pass_delay(live)
    workers[-1].finish()
    before = len(live._chosen_fit().asked.cloud.points)
    region.data = [0.75 * box]
    pass_delay(live)
    workers[-1].finish()
    assert len(live._chosen_fit().asked.cloud.points) < before


def test_layers_keep_apart(
    live: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    fake_fit: FakeFit,
    at_every_step: None,
) -> None:
    """A fit that makes way for one of another layer leaves the last picture of its own."""
    shapes = viewer.layers["L components"]
    other = viewer.add_points(DATA + 5000.0, name="other", units="nm")
    live.points.value = other
    fit(live, workers)
    live.points.value = viewer.layers["L"]
    fake_fit.components = 5
    live.sparsity.value = 11.0
    pass_delay(live)
    running = workers[-1]
    running.step(4)
    assert shapes.nshapes == 5
    live.points.value = other
    live.sparsity.value = 12.0
    fake_fit.starts.clear()
    pass_delay(live)
    assert shapes.nshapes == 3
    running.finish()
    workers[-1].finish()
    assert fake_fit.starts[0].means.min() > 4000
    assert shapes.nshapes == 3
    assert viewer.layers["other components"].nshapes == 5


def test_what_shows_something_else_of_a_fit_starts_none(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, fake_fit: FakeFit
) -> None:
    """Neither after a layer was chosen whose fit had other parameters, nor after a cancel."""
    live.points.value = viewer.add_points(DATA + 5.0, name="other", units="nm")
    live.live.value = False
    live.sparsity.value = 30.0
    fit(live, workers)
    live.live.value = True
    live._refit_timer.stop()
    live.points.value = viewer.layers["L"]
    n_fits = len(fake_fit.parameters)

    def look_otherwise(quantity: str) -> None:
        live.quantity.value = quantity
        live._redraw_timer.stop()
        live._redraw()
        workers[-1].finish()
        assert not live._refit_timer.isActive()

    look_otherwise("log_density")
    live.n_threads.value = 1
    look_otherwise("density")
    assert len(fake_fit.parameters) == n_fits
    live.sparsity.value = 31.0
    pass_delay(live)
    live.cancel_button.native.click()
    workers[-1].finish()
    n_fits = len(fake_fit.parameters)
    look_otherwise("log_density")
    assert len(fake_fit.parameters) == n_fits


def test_edits_are_followed_whatever_layers_come_and_go(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    viewer.add_image(np.zeros((4, 4)), name="image")
    viewer.layers.remove("image")
    edit_points(viewer.layers["L"])
    pass_delay(live)
    workers[-1].finish()
    # Another layer that has been fitted, too, as soon as it is chosen.
    other = viewer.add_points(DATA + 5000.0, name="other", units="nm")
    live.points.value = other
    fit(live, workers)
    live.points.value = viewer.layers["L"]
    assert not live._refit_timer.isActive()
    edit_points(other)
    assert not live._refit_timer.isActive()
    edit_points(viewer.layers["L"])
    assert live._refit_timer.isActive()


def test_a_run_of_another_layer_is_waited_for(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, at_every_step: None
) -> None:
    other = viewer.add_points(DATA + 5000.0, name="other", units="nm")
    live.points.value = other
    live.run_button.native.click()
    workers[-1].step(4)
    assert live._running.previewed
    live.points.value = viewer.layers["L"]
    live.sparsity.value = 11.0
    pass_delay(live)
    assert not workers[-1].abort_requested
    assert live._refit_timer.isActive()
    workers[-1].finish()
    pass_delay(live)
    assert live._running.asked.layer.name == "L"


def test_no_component_is_no_start(
    live: SparseGMMWidget, workers: list[HandWorker], fake_fit: FakeFit
) -> None:
    fake_fit.components = 0
    live.background.value = True
    pass_delay(live)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GaussianMixture, "_check", lambda self: None)
        workers[-1].finish()
    fake_fit.components = 3
    fake_fit.starts.clear()
    live.background.value = False
    pass_delay(live)
    workers[-1].finish()
    assert fake_fit.starts == ["kmeans++"]


def test_a_start_in_other_axes_is_none(
    widget: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    fake_fit: FakeFit,
    at_every_step: None,
) -> None:
    """Nor is what a fit of other axes showed that had to make way."""
    data = np.random.default_rng(0).uniform(0, 100, (60, 3))
    widget.points.value = viewer.add_points(data, name="volume")
    fit(widget, workers)
    widget.live.value = True
    widget._refit_timer.stop()
    widget.axes.value = "y, x"
    pass_delay(widget)
    workers[-1].step(4)
    assert widget._running.previewed
    widget.axes.value = "z, y, x"
    fake_fit.starts.clear()
    pass_delay(widget)
    workers[-1].finish()
    widget.coverage.value = 50.0
    widget._redraw_timer.stop()
    widget._redraw()  # what is on the screen is still of two axes
    workers[-1].finish()
    assert not any(isinstance(start, GaussianMixture) for start in fake_fit.starts)
    assert viewer.layers["volume components"].ndim == 3


def test_layers_of_a_widget_that_is_gone_are_not_lost(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, at_every_step: None
) -> None:
    """A new one does not know their fit, and could not bring them back."""
    fit(widget, workers)
    names = [layer.name for layer in viewer.layers]
    again = SparseGMMWidget(viewer)
    again.run_button.native.click()
    workers[-1].step(4)
    again.cancel_button.native.click()
    workers[-1].finish()
    assert [layer.name for layer in viewer.layers] == names
    assert attached_model("L components", viewer.layers["L components"].metadata)


@pytest.mark.filterwarnings("ignore:.*heatmap failed.*")
def test_what_fails_to_be_drawn_is_not_drawn_again(
    live: SparseGMMWidget, workers: list[HandWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Exception] = []
    monkeypatch.setattr(
        "napari_sparse_gmm.plugin.form.task_form.notification_manager.receive_error",
        lambda kind, error, trace: told.append(error),
    )
    monkeypatch.setattr(
        "napari_sparse_gmm.plugin.tasks.render.heatmap",
        lambda *_, **__: (_ for _ in ()).throw(KeyError("broken")),
    )
    live.longest_side.value = 100
    live._redraw_timer.stop()
    live._redraw()
    workers[-1].finish()
    n_workers = len(workers)
    live._redraw_timer.stop()
    live._redraw()
    assert len(workers) == n_workers
    assert len(told) == 1


def test_colours_go_even_when_points_have_come(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    layer = viewer.layers["L"]
    live.annotate.value = True
    for _ in range(2):
        live._redraw_timer.stop()
        live._redraw()
        workers[-1].finish()
        layer.add([[50.0, 50.0]])
        fit(live, workers)
    live.annotate.value = False
    assert len(np.unique(layer.face_color, axis=0)) == 1


def test_a_solution_along_a_path_is_not_fitted_again(live: SparseGMMWidget) -> None:
    done = live._chosen_fit()
    parameters = {**done.solution.parameters, "sparsity": 3.978}
    along = replace(done.solution, parameters=parameters)
    live._fits[done.layer.unique_id] = replace(done, solutions=(along,))
    with live.sparsity.changed.blocked():
        live.sparsity.value = 3.978
    live._refit()
    assert live._runner.job is None


def test_ellipses_follow_their_size_while_a_fit_runs(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, at_every_step: None
) -> None:
    shapes = viewer.layers["L components"]
    live.sparsity.value = 11.0
    pass_delay(live)
    workers[-1].step(4)
    widths = [np.ptp(box, axis=0).max() for box in shapes.data]
    live.coverage.value = 20.0
    assert live._redraw_timer.isActive()
    live._redraw_timer.stop()
    live._redraw()
    assert (np.array([np.ptp(box, axis=0).max() for box in shapes.data]) < 0.5 * max(widths)).all()


def test_a_preview_is_no_model(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, at_every_step: None
) -> None:
    shapes = viewer.layers["L components"]
    attached_model("L components", shapes.metadata)
    live.sparsity.value = 11.0
    pass_delay(live)
    workers[-1].step(4)
    with pytest.raises(InputError, match="wait until its fit has ended"):
        attached_model("L components", shapes.metadata)
    live.cancel_button.native.click()
    workers[-1].finish()
    attached_model("L components", shapes.metadata)


def test_points_that_are_removed_take_previews_with_them(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, at_every_step: None
) -> None:
    widget.run_button.native.click()
    workers[-1].step(4)
    assert len(viewer.layers) == 3
    viewer.layers.remove("L")
    workers[-1].finish()
    assert not viewer.layers


def test_a_dock_that_is_closed_stops_its_fit(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, at_every_step: None
) -> None:
    shapes = viewer.layers["L components"]
    features = shapes.features.copy()
    live.sparsity.value = 11.0
    pass_delay(live)
    workers[-1].step(4)
    viewer.window.remove_dock_widget(live.native)
    assert workers[-1].abort_requested
    workers[-1].finish()
    assert shapes.features.equals(features)


def test_colours_go_when_they_are_not_wanted_any_more(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    layer = viewer.layers["L"]
    layer.face_color = np.tile([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]], (len(DATA) // 2, 1))
    colours = layer.face_color.copy()
    for _ in range(2):
        live.annotate.value = True
        live._redraw_timer.stop()
        live._redraw()
        workers[-1].finish()
        assert not np.array_equal(layer.face_color, colours)
        assert "component" in layer.features
        live.annotate.value = False
        np.testing.assert_array_equal(layer.face_color, colours)
        assert not list(layer.features)


def test_table_and_centre_are_there_for_a_model_of_a_file(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    fit(widget, workers)
    model = attached_model("L components", viewer.layers["L components"].metadata)
    viewer.layers.clear()
    for data, keywords, kind in layers_of(model, "old"):
        viewer.add_layer(Layer.create(data, keywords, kind))
    widget.centre_button.native.click()
    assert len(viewer.layers["old components"].selected_data) == 1
    assert widget.status.value != messages.NOT_FITTED


def test_another_start_is_no_live_one(
    live: SparseGMMWidget, workers: list[HandWorker], fake_fit: FakeFit
) -> None:
    fake_fit.starts.clear()
    live.init.value = "random"
    pass_delay(live)
    workers[-1].finish()
    assert len(fake_fit.starts) == 1
    assert not isinstance(fake_fit.starts[0], GaussianMixture)


def test_changing_to_another_layer_starts_nothing(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    other = viewer.add_points(DATA + 5.0, name="other", units="nm")
    live.points.value = other
    live._refit_timer.stop()
    live._refit()
    live.points.value = viewer.layers["L"]
    live._refit_timer.stop()
    live._refit()
    assert len(workers) == 1
    # One with other axes, and so other fields.
    live.points.value = viewer.add_points(np.hstack([DATA, DATA[:, :1]]), name="more axes")
    fit(live, workers)
    live._refit_timer.stop()
    live.points.value = viewer.layers["L"]
    assert not live._refit_timer.isActive()


def test_a_preview_shows_what_is_found_so_far(
    widget: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    fake_fit: FakeFit,
    at_every_step: None,
) -> None:
    widget.run_button.native.click()
    workers[-1].step(4)
    image = viewer.layers["L density"]
    assert max(image.data.shape) == 128  # small
    assert viewer.layers["L components"].nshapes == 3
    so_far = viewer.layers["L components"].features
    assert so_far["std_major_error [nm]"].isna().all()  # not known yet
    assert [step.iteration for step in widget.convergence_view.passes] == [0, 1, 2]
    workers[-1].finish()
    assert max(viewer.layers["L density"].data.shape) == 512
    features = viewer.layers["L components"].features
    assert list(features) == list(so_far)
    assert features["std_major_error [nm]"].notna().all()


def test_previews_leave_the_window_time(
    widget: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "_INTERVAL", 0.0)
    monkeypatch.setattr(previews, "PREVIEW_INTERVAL", 0.0)
    now = 10.0
    monkeypatch.setattr("napari_sparse_gmm.plugin.control.display.perf_counter", lambda: now)
    shown = []
    monkeypatch.setattr(
        "napari_sparse_gmm.plugin.control.display.show_heatmap", lambda *_: shown.append(now)
    )
    widget.run_button.native.click()
    workers[-1].step(3)
    workers[-1].step(1)
    assert shown == [10.0]  # until the window has drawn it
    now = 10.05
    widget._display._on_preview_drawn()
    now = 10.99
    workers[-1].step(1)
    assert shown == [10.0]
    now = 11.01
    workers[-1].step(1)
    assert shown == [10.0, 11.01]


def test_cancel_takes_the_previews_of_a_first_fit_away(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, at_every_step: None
) -> None:
    widget.run_button.native.click()
    workers[-1].step(4)
    assert len(viewer.layers) == 3
    widget.cancel_button.native.click()
    workers[-1].finish()
    assert [layer.name for layer in viewer.layers] == ["L"]
    assert widget.status.value == messages.CANCELLED


def test_cancel_brings_the_last_fit_back(
    live: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    fake_fit: FakeFit,
    at_every_step: None,
) -> None:
    image, shapes = viewer.layers["L density"], viewer.layers["L components"]
    density, features = image.data.copy(), shapes.features.copy()
    fake_fit.components = 5
    live.sparsity.value = 11.0
    pass_delay(live)
    workers[-1].step(4)
    assert shapes.nshapes == 5
    live.cancel_button.native.click()
    workers[-1].finish()
    np.testing.assert_array_equal(image.data, density)
    assert shapes.features.equals(features)
    assert not live._refit_timer.isActive()


def test_a_fit_that_fails_brings_the_last_one_back(
    live: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    fake_fit: FakeFit,
    at_every_step: None,
) -> None:
    fake_fit.components = 5
    live.sparsity.value = 11.0
    pass_delay(live)
    workers[-1].step(4)
    assert viewer.layers["L components"].nshapes == 5
    fake_fit.error = InputError("Give it more points.")
    workers[-1].finish()
    assert viewer.layers["L components"].nshapes == 3
    assert "Give it more points." in live.status.value


def test_what_was_refused_is_not_tried_again_by_itself(
    live: SparseGMMWidget, workers: list[HandWorker], fake_fit: FakeFit
) -> None:
    fake_fit.error = InputError("Give it more points.")
    live.sparsity.value = 11.0
    pass_delay(live)
    workers[-1].finish()
    n_workers = len(workers)
    assert not live._refit_timer.isActive()
    # Another change is tried.
    live.sparsity.value = 12.0
    pass_delay(live)
    assert len(workers) == n_workers + 1


def test_what_runs_is_not_started_again(live: SparseGMMWidget, workers: list[HandWorker]) -> None:
    live.sparsity.value = 11.0
    pass_delay(live)
    workers[-1].step(3)
    live._refit()
    assert not workers[-1].abort_requested


def test_the_steps_of_a_fit_are_plotted(
    widget: SparseGMMWidget, workers: list[HandWorker], at_every_step: None
) -> None:
    assert widget.plots.isHidden()
    widget.run_button.native.click()
    workers[-1].step(7)  # "Starting", and each step
    assert not widget.plots.isHidden()
    assert [(p.iteration, p.cost) for p in widget.convergence_view.passes] == [
        (iteration, 9.0 - iteration) for iteration in range(6)
    ]


def test_only_the_selected_points_are_fitted(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    widget.use.value = Use.SELECTED
    widget.run_button.native.click()
    assert "No point of layer 'L' is selected" in widget.status.value
    assert not workers
    layer = viewer.layers["L"]
    layer.selected_data = {1, 5, 6, 7, 20, 41}
    fit(widget, workers)
    assert widget.status.value.startswith("3 components from 6 points")
    assert "54 points not chosen by Use." in widget.status.value
    np.testing.assert_array_equal(
        widget._chosen_fit().asked.cloud.points, DATA[[1, 5, 6, 7, 20, 41]]
    )
    # A live fit is of the same points, whatever is selected by then.
    layer.selected_data = set()
    widget.live.value = True
    widget.sparsity.value = 11.0
    pass_delay(widget)
    workers[-1].finish()
    assert widget.status.value.startswith("3 components from 6 points")


def test_a_live_fit_uses_other_points_when_that_is_chosen(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    viewer.layers["L"].selected_data = {1, 5, 6, 7, 20, 41}
    live.use.value = Use.SELECTED
    pass_delay(live)
    workers[-1].finish()
    assert live.status.value.startswith("3 components from 6 points")
    live.use.value = Use.ALL
    pass_delay(live)
    workers[-1].finish()
    assert live.status.value.startswith("3 components from 60 points")


def test_each_layer_keeps_its_use(widget: SparseGMMWidget, viewer: Any) -> None:
    widget.use.value = Use.VIEW
    widget.points.value = viewer.add_points(DATA, name="other")
    assert widget.use.value is Use.ALL
    widget.points.value = viewer.layers["L"]
    assert widget.use.value is Use.VIEW


def test_a_region_that_is_drawn_is_live(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    box = np.array([[20.0, 20.0], [20.0, 80.0], [80.0, 80.0], [80.0, 20.0]])
    viewer.add_layer(Shapes([box], shape_type="polygon", name="cell", units="nm"))
    live.region.value = viewer.layers["cell"]
    pass_delay(live)
    workers[-1].finish()
    inside = int(((DATA > 20) & (DATA < 80)).all(axis=1).sum())
    assert f"from {inside} points" in live.status.value


@pytest.mark.parametrize("button", ["table_button", "centre_button", "python_button"])
def test_buttons_of_a_result_need_one(widget: SparseGMMWidget, button: str) -> None:
    getattr(widget, button).native.click()
    assert widget.status.value == messages.NOT_FITTED


def test_the_ellipses_carry_what_the_heatmap_shows(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any
) -> None:
    fit(widget, workers)
    shapes = viewer.layers["L components"]
    assert shapes.metadata[METADATA_KEY]["role"] == "components"
    model = attached_model("L components", shapes.metadata)
    assert model.mixture is widget._chosen_fit().solution.mixtures[0]
    assert model.unit == "nm"
    assert model.provenance["source"] == "L"
    assert isinstance(model.provenance["parameters"]["random_state"], int)
    widget.quantity.value = "log_density"
    widget._redraw_timer.stop()
    widget._redraw()
    workers[-1].finish()
    assert attached_model("L components", shapes.metadata).view["quantity"] == "log_density"


def test_everything_is_reached_by_the_keyboard_in_order(widget: SparseGMMWidget) -> None:
    fields: list[Widget] = [
        widget.points,
        widget.n_components,
        widget.prior,
        widget.sparsity,
        widget.background,
        widget.region,
        widget.quantity,
        widget.coverage,
        widget.run_button,
        widget.cancel_button,
        widget.live,
        widget.table_button,
    ]
    place, seen = widget.points.native, []
    for _ in range(400):
        owner = place
        while owner is not None and all(owner is not field.native for field in fields):
            owner = owner.parentWidget()
        if owner is not None:
            name = next(field.name for field in fields if field.native is owner)
            if name not in seen:
                seen.append(name)
        place = place.nextInFocusChain()
    assert seen == [field.name for field in fields]


def test_a_small_screen_is_high_enough(widget: SparseGMMWidget, workers: list[HandWorker]) -> None:
    fit(widget, workers)
    widget.advanced_button.native.click()
    widget.plots.setTabVisible(1, True)
    assert widget.native.minimumSizeHint().height() < 600
