"""Live fits, previews and choices of points, with a worker that a test drives by hand."""

from typing import Any

import numpy as np
import pytest
from magicgui.widgets import Widget
from napari.layers import Layer, Shapes
from plugin.fakes import DATA, FakeFit, HandClock, HandWorker, fit

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget
from napari_sparse_gmm.plugin.layers.model_metadata import attached_model, layers_of
from napari_sparse_gmm.plugin.layers.owned import METADATA_KEY
from napari_sparse_gmm.plugin.points.selection import Use
from napari_sparse_gmm.plugin.qt.folding import unfold

DELAY = 0.1  # seconds, after which the layers are drawn anew or a live fit begins


@pytest.fixture
def at_every_step(fake_fit: FakeFit, clock: HandClock) -> None:
    """Steps take so long that fits tell of each one, and may show it."""

    def take_time(_: int) -> None:
        clock.time += 1.0

    fake_fit.on_step = take_time


@pytest.fixture
def live(widget: SparseGMMWidget, workers: list[HandWorker], clock: HandClock) -> SparseGMMWidget:
    """A widget whose layer is fitted, with Live on."""
    fit(widget, workers)
    widget.live.value = True
    clock.let_pass(DELAY)
    assert len(workers) == 1  # nothing has changed
    return widget


def test_a_change_starts_a_fit_from_the_last_solution(
    live: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    fake_fit: FakeFit,
    clock: HandClock,
) -> None:
    (last,) = live.controller.chosen_fit.model.mixtures
    fake_fit.starts.clear()
    fake_fit.components = 4
    live.sparsity.value = 11.0
    clock.let_pass(DELAY)
    workers[-1].finish()
    assert fake_fit.parameters[-1]["sparsity"] == 11.0
    # From there, and from the start that the parameters say.
    assert fake_fit.starts[0] is last
    assert fake_fit.starts[1:] == ["kmeans++"]
    assert viewer.layers["L components"].nshapes == 4
    assert live.status.value.startswith("4 components")


def test_what_needs_no_fit_starts_none(live: SparseGMMWidget) -> None:
    live.quantity.value, live.longest_side.value, live.pixel_size.value = "log_density", 100, 3.0
    live.sharpen.value, live.coverage.value, live.contours.value = False, 50.0, True
    live.annotate.value, live.engine.value, live.n_threads.value = True, "torch", 2
    assert live.controller.state.refit_at is None


def test_every_parameter_of_a_fit_starts_one(live: SparseGMMWidget) -> None:
    asked = {widget.name for widget in live.form.of_fit}
    given = set(live.estimator_parameters())
    # Who computes changes nothing that shows.
    assert given - asked == {"engine", "device", "n_threads"}
    assert {"axes", "each", "weights", "precision", "axial_precision", "region"} <= asked


def test_the_newest_change_wins(
    live: SparseGMMWidget,
    workers: list[HandWorker],
    fake_fit: FakeFit,
    at_every_step: None,
    clock: HandClock,
) -> None:
    live.sparsity.value = 11.0
    clock.let_pass(DELAY)
    first = workers[-1]
    first.step(4)
    live.sparsity.value = 12.0
    clock.let_pass(DELAY)
    live.sparsity.value = 13.0
    clock.let_pass(DELAY)
    assert first.abort_requested
    assert len(workers) == 2  # the next waits until this one has stopped
    (so_far,) = live.controller.state.fitting.shown.model.mixtures
    fake_fit.starts.clear()
    first.finish()
    assert len(workers) == 3
    workers[-1].finish()
    assert fake_fit.parameters[-1]["sparsity"] == 13.0
    assert fake_fit.starts[0] is so_far
    assert 12.0 not in {given["sparsity"] for given in fake_fit.parameters}
    assert "Cancelled" not in live.status.value


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
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, edit: Any, clock: HandClock
) -> None:
    layer = viewer.layers["L"]
    edit(layer)
    live.sparsity.value = 11.0
    clock.let_pass(DELAY)
    workers[-1].finish()
    done = live.controller.chosen_fit
    np.testing.assert_allclose(
        done.asked.cloud.points, (layer.data * layer.scale)[np.asarray(layer.shown)]
    )
    np.testing.assert_allclose(done.frame.translate, layer.translate)


def test_what_is_no_business_of_a_fit_starts_none(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, clock: HandClock
) -> None:
    layer = viewer.layers["L"]
    layer.size, layer.opacity = 3, 0.5
    assert live.controller.state.refit_at is None
    layer.features = {"new": np.arange(len(DATA))}  # it might be one of those that are used
    live.n_threads.value, live.engine.value = 1, "torch"
    clock.let_pass(DELAY)
    assert live.idle


def test_a_region_that_is_changed_is_followed(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, clock: HandClock
) -> None:
    box = np.array([[20.0, 20.0], [20.0, 80.0], [80.0, 80.0], [80.0, 20.0]])
    region = viewer.add_layer(Shapes([box], shape_type="polygon", name="cell", units="nm"))
    live.region.value = region
    clock.let_pass(DELAY)
    workers[-1].finish()
    before = len(live.controller.chosen_fit.asked.cloud.points)
    region.data = [0.75 * box]
    clock.let_pass(DELAY)
    workers[-1].finish()
    assert len(live.controller.chosen_fit.asked.cloud.points) < before


def test_an_image_that_is_changed_or_moved_is_followed(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, clock: HandClock
) -> None:
    image = viewer.add_image(np.ones((101, 101)), name="actin", units="nm")
    live.region.value = image
    numbers = []
    for change in ({}, {"data": np.eye(101) + np.eye(101)[::-1] + 1}, {"translate": (0.0, 50.0)}):
        for name, value in change.items():
            setattr(image, name, value)
        clock.let_pass(DELAY)
        workers[-1].finish()
        cloud = live.controller.chosen_fit.asked.cloud
        numbers.append((len(cloud.points), cloud.region.least_log_intensity))
    assert numbers[0][0] == numbers[1][0] > numbers[2][0]
    assert numbers[0][1] == 0.0 > numbers[1][1] == numbers[2][1]


def test_edits_are_followed_whatever_layers_come_and_go(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, clock: HandClock
) -> None:
    viewer.add_image(np.zeros((4, 4)), name="image")
    viewer.layers.remove("image")
    edit_points(viewer.layers["L"])
    clock.let_pass(DELAY)
    workers[-1].finish()
    # Another layer that has been fitted, too, as soon as it is chosen.
    other = viewer.add_points(DATA + 5000.0, name="other", units="nm")
    live.points.value = other
    fit(live, workers)
    live.points.value = viewer.layers["L"]
    assert live.controller.state.refit_at is None
    edit_points(other)
    assert live.controller.state.refit_at is None
    edit_points(viewer.layers["L"])
    assert live.controller.state.refit_at is not None


def test_no_component_is_no_start(
    live: SparseGMMWidget, workers: list[HandWorker], fake_fit: FakeFit, clock: HandClock
) -> None:
    fake_fit.components = 0
    live.background.value = True
    clock.let_pass(DELAY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GaussianMixture, "_check", lambda self: None)
        workers[-1].finish()
    fake_fit.components = 3
    fake_fit.starts.clear()
    live.background.value = False
    clock.let_pass(DELAY)
    workers[-1].finish()
    assert fake_fit.starts == ["kmeans++"]


def test_a_start_in_other_axes_is_none(
    widget: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    fake_fit: FakeFit,
    at_every_step: None,
    clock: HandClock,
) -> None:
    """Nor is what a fit of other axes showed that had to make way."""
    data = np.random.default_rng(0).uniform(0, 100, (60, 3))
    widget.points.value = viewer.add_points(data, name="volume")
    fit(widget, workers)
    widget.live.value = True
    clock.let_pass(DELAY)
    widget.axes.value = "y, x"
    clock.let_pass(DELAY)
    workers[-1].step(4)
    assert widget.controller.state.fitting.previewed
    widget.axes.value = "z, y, x"
    fake_fit.starts.clear()
    clock.let_pass(DELAY)
    workers[-1].finish()
    widget.coverage.value = 50.0
    clock.let_pass(DELAY)  # what is on the screen is still of two axes
    workers[-1].finish()
    assert not any(isinstance(start, GaussianMixture) for start in fake_fit.starts)
    assert viewer.layers["volume components"].ndim == 3


def test_layers_of_a_widget_that_is_gone_are_not_lost(
    widget: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    at_every_step: None,
    clock: HandClock,
) -> None:
    """A new one does not know their fit, and could not bring them back."""
    fit(widget, workers)
    names = [layer.name for layer in viewer.layers]
    again = SparseGMMWidget(viewer, clock)
    again.run_button.native.click()
    workers[-1].step(4)
    again.cancel_button.native.click()
    workers[-1].finish()
    assert [layer.name for layer in viewer.layers] == names
    assert attached_model("L components", viewer.layers["L components"].metadata)


def test_colours_go_even_when_points_have_come(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, clock: HandClock
) -> None:
    layer = viewer.layers["L"]
    live.annotate.value = True
    for _ in range(2):
        clock.let_pass(DELAY)
        workers[-1].finish()
        layer.add([[50.0, 50.0]])
        fit(live, workers)
    live.annotate.value = False
    assert len(np.unique(layer.face_color, axis=0)) == 1


def test_a_preview_is_no_model(
    live: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    at_every_step: None,
    clock: HandClock,
) -> None:
    shapes = viewer.layers["L components"]
    attached_model("L components", shapes.metadata)
    live.sparsity.value = 11.0
    clock.let_pass(DELAY)
    workers[-1].step(4)
    with pytest.raises(InputError, match="wait until its fit has ended"):
        attached_model("L components", shapes.metadata)
    live.cancel_button.native.click()
    workers[-1].finish()
    attached_model("L components", shapes.metadata)


def test_colours_go_when_they_are_not_wanted_any_more(
    live: SparseGMMWidget, workers: list[HandWorker], viewer: Any, clock: HandClock
) -> None:
    layer = viewer.layers["L"]
    layer.face_color = np.tile([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]], (len(DATA) // 2, 1))
    colours = layer.face_color.copy()
    for _ in range(2):
        live.annotate.value = True
        clock.let_pass(DELAY)
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


def test_all_layers_can_be_removed_while_there_is_a_preview(
    widget: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    at_every_step: None,
    clock: HandClock,
) -> None:
    """napari removes those that are selected in any order, and has to find each."""
    widget.run_button.native.click()
    workers[-1].step(4)
    points, *made = sorted(viewer.layers, key=lambda layer: layer.name)
    assert len(made) == 2
    for layer in (points, *made):
        viewer.layers.pop(viewer.layers.index(layer))
    workers[-1].finish()
    clock.let_pass(0.0)
    assert not viewer.layers


def test_previews_go_with_the_points(
    widget: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    at_every_step: None,
    clock: HandClock,
) -> None:
    widget.run_button.native.click()
    workers[-1].step(4)
    viewer.layers.remove("L")
    workers[-1].finish()
    clock.let_pass(0.0)
    assert not viewer.layers


def test_cancel_brings_the_last_fit_back(
    live: SparseGMMWidget,
    workers: list[HandWorker],
    viewer: Any,
    fake_fit: FakeFit,
    at_every_step: None,
    clock: HandClock,
) -> None:
    image, shapes = viewer.layers["L density"], viewer.layers["L components"]
    density, features = image.data.copy(), shapes.features.copy()
    fake_fit.components = 5
    live.sparsity.value = 11.0
    clock.let_pass(DELAY)
    workers[-1].step(4)
    assert shapes.nshapes == 5
    live.cancel_button.native.click()
    workers[-1].finish()
    np.testing.assert_array_equal(image.data, density)
    assert shapes.features.equals(features)
    assert live.controller.state.refit_at is None


def test_the_steps_of_a_fit_are_plotted(
    widget: SparseGMMWidget, workers: list[HandWorker], at_every_step: None
) -> None:
    unfold(widget.plots_button)
    widget.run_button.native.click()
    workers[-1].step(7)  # "Starting", and each step
    assert [(p.iteration, p.cost) for p in widget.convergence_view.passes] == [
        (iteration, 9.0 - iteration) for iteration in range(6)
    ]


def test_only_the_selected_points_are_fitted(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, clock: HandClock
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
        widget.controller.chosen_fit.asked.cloud.points, DATA[[1, 5, 6, 7, 20, 41]]
    )
    # A live fit is of the same points, whatever is selected by then.
    layer.selected_data = set()
    widget.live.value = True
    widget.sparsity.value = 11.0
    clock.let_pass(DELAY)
    workers[-1].finish()
    assert widget.status.value.startswith("3 components from 6 points")


def test_each_layer_keeps_its_use(widget: SparseGMMWidget, viewer: Any) -> None:
    widget.use.value = Use.VIEW
    widget.points.value = viewer.add_points(DATA, name="other")
    assert widget.use.value is Use.ALL
    widget.points.value = viewer.layers["L"]
    assert widget.use.value is Use.VIEW


@pytest.mark.parametrize("button", ["table_button", "centre_button", "python_button"])
def test_buttons_of_a_result_need_one(widget: SparseGMMWidget, button: str) -> None:
    getattr(widget, button).native.click()
    assert widget.status.value == messages.NOT_FITTED


def test_the_ellipses_carry_what_the_heatmap_shows(
    widget: SparseGMMWidget, workers: list[HandWorker], viewer: Any, clock: HandClock
) -> None:
    fit(widget, workers)
    shapes = viewer.layers["L components"]
    assert shapes.metadata[METADATA_KEY]["role"] == "components"
    model = attached_model("L components", shapes.metadata)
    assert model.mixture is widget.controller.chosen_fit.model.mixtures[0]
    assert model.unit == "nm"
    assert model.provenance["source"] == "L"
    assert isinstance(model.provenance["parameters"]["random_state"], int)
    assert model.provenance["left_out"] == dict.fromkeys(
        ("hidden", "unused", "outside", "imprecise", "filtered"), 0
    )
    widget.quantity.value = "log_density"
    clock.let_pass(DELAY)
    workers[-1].finish()
    assert attached_model("L components", shapes.metadata).view["quantity"] == "log_density"


def test_everything_is_reached_by_the_keyboard_in_order(widget: SparseGMMWidget) -> None:
    fields: list[Widget] = [
        widget.points,
        widget.precision,
        widget.region,
        widget.find,
        widget.sparsity,
        widget.run_button,
        widget.cancel_button,
        widget.live,
        widget.table_button,
        widget.coverage,
        widget.quantity,
        widget.n_components,
        widget.prior,
        widget.background,
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
