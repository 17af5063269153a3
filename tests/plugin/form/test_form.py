"""The fields of the dock together, without a window."""

from typing import Any

import numpy as np
import pytest
from magicgui.widgets import Container, Widget
from napari.components import ViewerModel
from napari.layers import Points, Shapes

from napari_sparse_gmm import SparseGaussianMixture, parameters
from napari_sparse_gmm.plugin.form.form import DensityForm
from napari_sparse_gmm.plugin.form.task_form import TaskPanel
from napari_sparse_gmm.plugin.points.source import Apart, Around
from napari_sparse_gmm.plugin.preferences import Preferences
from napari_sparse_gmm.plugin.qt.folding import unfold

DATA = np.random.default_rng(0).uniform(0, 100, (40, 2))


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


def made(viewer: ViewerModel, qtbot: Any) -> DensityForm:
    preferred = Preferences("auto", "auto", None, "", None, 512, 2000)
    form = DensityForm(lambda: viewer.layers, lambda: "dark", preferred, TaskPanel())
    container = Container(labels=False)
    form.lay_out(container.native)
    vars(form)["_container"] = container  # Qt deletes what is in one that nobody keeps
    form.follow(lambda: None)
    qtbot.addWidget(container.native)
    return form


@pytest.fixture
def form(viewer: ViewerModel, qtbot: Any) -> DensityForm:
    form = made(viewer, qtbot)
    for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
        event.connect(form.reset_choices)
    return form


def shown(form: DensityForm) -> set[str]:
    """The names of the fields that are not hidden."""
    return {
        widget.name
        for widget in form.public.values()
        if isinstance(widget, Widget) and not widget.native.isHidden()
    }


def test_starts_with_the_defaults_of_the_estimator(form: DensityForm) -> None:
    settings = form.estimator_parameters()
    default = SparseGaussianMixture(random_state=0).get_params()
    assert settings == {name: default[name] for name in settings}
    assert form.find.value == "clusters"


@pytest.mark.parametrize("preset", parameters.PRESETS, ids=lambda preset: preset.name)
def test_what_to_find_sets_parameters(form: DensityForm, preset: parameters.Preset) -> None:
    for other in parameters.PRESETS:
        form.find.value = other.name
        form.find.value = preset.name
        settings = form.estimator_parameters()
        assert {name: settings[name] for name in preset.values} == preset.values
        assert form.find.value == preset.name
    assert ("sparsity" in shown(form)) == (preset.name == "sparse")


def test_parameters_say_what_is_found(form: DensityForm) -> None:
    form.background.value = False
    assert form.find.value == "other"
    form.repeats.value = 1.0
    assert form.find.value == "density"
    form.prior.value = "mml"
    assert form.find.value == "other"
    form.reset()
    assert form.find.value == "clusters"


def test_to_find_something_else_unfolds_how(form: DensityForm) -> None:
    assert "prior" not in shown(form)
    form.find.value = "other"
    assert "prior" in shown(form)


@pytest.mark.parametrize("prior", ["bayes", "mml", "sqrt", "none"])
def test_fields_that_do_nothing_are_not_there(form: DensityForm, prior: str) -> None:
    unfold(form.advanced_button)
    form.prior.value = prior
    visible = shown(form)
    assert ("sparsity" in visible) == (prior == "sqrt")
    for name in ("init", "covariance_prior", "solver"):
        assert (name in visible) == (prior != "bayes"), name
    assert "typical_size" not in visible
    assert ("smooth_background" in visible) == (prior == "bayes")
    form.background.value = False
    assert "smooth_background" not in shown(form)
    form.background.value = True
    if prior != "bayes":
        form.covariance_prior.value = 5.0
        assert "typical_size" in shown(form)


def test_what_is_for_a_plane_is_not_there_for_a_volume(
    form: DensityForm, viewer: ViewerModel
) -> None:
    viewer.add_layer(Points(DATA, name="plane"))
    assert {"contours", "sharpen", "quantity"} <= shown(form)
    viewer.add_layer(Points(np.c_[DATA, DATA[:, :1]], name="volume"))
    form.points.value = viewer.layers["volume"]
    assert "quantity" in shown(form)
    assert not {"contours", "sharpen"} & shown(form)


def test_what_is_not_there_does_not_count(form: DensityForm) -> None:
    form.prior.value = "sqrt"
    form.solver.value, form.covariance_prior.value = "adam", 5.0
    form.prior.value = "bayes"
    settings = form.estimator_parameters()
    assert (settings["solver"], settings["covariance_prior"]) == ("mm", 0.0)


@pytest.mark.parametrize(
    ("features", "units", "found"),
    [
        ({"uncertainty [nm]": 9.0}, "nm", ("uncertainty [nm]",)),
        ({"uncertainty_xy": 9.0, "uncertainty_z": 20.0}, "nm", ("uncertainty_xy",)),
        ({"lpx": 9.0, "lpy": 8.0}, "nm", ("lpy", "lpx")),
        ({"uncertainty [nm]": 9.0}, "pixel", ()),
        ({"uncertainty": np.nan}, "nm", ()),
        ({"photons": 9.0}, "nm", ()),
    ],
)
def test_a_precision_that_programs_write_is_taken(
    form: DensityForm, viewer: ViewerModel, features: Any, units: str, found: tuple[str, ...]
) -> None:
    columns = {name: np.full(len(DATA), value) for name, value in features.items()}
    viewer.add_layer(Points(DATA, features=columns, units=units))
    source = form.source()
    assert set(source.precisions) == set(found)
    if found[1:]:
        assert source.precisions == found
    noise = source.read().observations.noise
    assert (noise is not None) == bool(found)


def test_each_region_can_be_fitted_where_there_are_some(
    form: DensityForm, viewer: ViewerModel
) -> None:
    viewer.add_layer(Points(DATA))
    cells = viewer.add_layer(Shapes([[[0, 0], [0, 90], [90, 90]]], shape_type="polygon"))
    assert "each" not in shown(form)
    form.region.value = cells
    assert "each" in shown(form)
    form.each.value = Apart.REGION
    assert form.source().each is Apart.REGION
    before = form.source()
    form.region.value = Around.HULL
    assert form.source().each is None
    assert "each" not in shown(form)
    form.show_settings(form.estimator_parameters(), {}, before)
    assert (form.region.value, form.each.value) == (cells, Apart.REGION)


def test_an_axial_precision_is_taken(form: DensityForm, viewer: ViewerModel) -> None:
    columns = {"uncertainty_xy": np.full(40, 9.0), "uncertainty_z": np.full(40, 20.0)}
    viewer.add_layer(Points(np.c_[DATA, DATA[:, :1]], features=columns, units="nm"))
    noise = form.source().read().observations.noise
    assert noise is not None
    np.testing.assert_allclose(noise[0], [400.0, 81.0, 81.0])


def test_a_unit_is_given_where_there_is_none(form: DensityForm, viewer: ViewerModel) -> None:
    viewer.add_layer(Points(DATA))
    assert "unit" in shown(form)
    form.unit.value = "nanometer"
    assert [str(unit) for unit in viewer.layers[0].units] == ["nanometer"] * 2
    assert form.source().read().frame.unit == "nm"
    assert "unit" in shown(form)  # for who has chosen another one
    viewer.add_layer(Points(DATA, units="um"))
    form.points.value = viewer.layers[1]
    assert "unit" not in shown(form)


def test_time_gets_no_length(form: DensityForm, viewer: ViewerModel) -> None:
    viewer.add_layer(Points(np.c_[DATA[:, 0], DATA], axis_labels=("t", "y", "x")))
    form.unit.value = "nanometer"
    assert [str(unit) for unit in viewer.layers[0].units] == ["pixel", "nanometer", "nanometer"]


def test_each_layer_keeps_its_settings(form: DensityForm, viewer: ViewerModel) -> None:
    one = viewer.add_layer(Points(DATA, name="one"))
    two = viewer.add_layer(Points(DATA, name="two"))
    form.points.value = one
    form.find.value, form.sparsity.value, form.coverage.value = "sparse", 7.0, 80.0
    form.points.value = two
    assert form.sparsity.value == 7.0  # what was set last, as nothing was for this one
    form.find.value, form.coverage.value = "clusters", 50.0
    form.points.value = one
    assert (form.find.value, form.sparsity.value, form.coverage.value) == ("sparse", 7.0, 80.0)
    form.points.value = two
    assert (form.find.value, form.coverage.value) == ("clusters", 50.0)


def test_settings_outlive_the_form(form: DensityForm, viewer: ViewerModel, qtbot: Any) -> None:
    viewer.add_layer(Points(DATA, features={"precision": np.ones(40)}))
    form.find.value, form.precision.value = "density", None
    again = made(viewer, qtbot)
    assert (again.find.value, again.precision.value) == ("density", None)


def test_reset(form: DensityForm, viewer: ViewerModel) -> None:
    viewer.add_layer(Points(DATA, features={"precision": np.ones(40)}, units="nm"))
    before = form.estimator_parameters(), form.heatmap_choice(), form.source()
    form.find.value, form.precision.value, form.quantity.value = "sparse", None, "log_density"
    form.random_state.value, form.longest_side.value = 7, 100
    assert (form.estimator_parameters(), form.heatmap_choice(), form.source()) != before
    form.reset()
    assert (form.estimator_parameters(), form.heatmap_choice(), form.source()) == before
