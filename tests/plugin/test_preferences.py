"""napari's preferences: their defaults, and what a change does."""

from pathlib import Path
from typing import Any

import pytest
from napari.components import ViewerModel
from napari.settings import get_plugin_settings
from npe2 import PluginManifest

import napari_sparse_gmm
from napari_sparse_gmm import parameters
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget
from napari_sparse_gmm.plugin.preferences import preferences

NAME = "napari-sparse-gmm"


@pytest.fixture
def manifest() -> PluginManifest:
    return PluginManifest.from_file(Path(napari_sparse_gmm.__file__).with_name("napari.yaml"))


@pytest.fixture
def settings(manifest: PluginManifest, plugin_settings: None, npe2pm: Any) -> Any:
    """What is set, in a folder of this test."""
    npe2pm.register(manifest)
    return get_plugin_settings(NAME)


@pytest.fixture
def properties(manifest: PluginManifest) -> dict[str, Any]:
    """Each setting by its name."""
    pages = manifest.contributions.configurations.values()
    return {name: one for page in pages for name, one in page.properties.items()}


def test_defaults_of_the_manifest_are_those_of_the_parameters(
    properties: dict[str, Any], settings: Any
) -> None:
    found = preferences()
    assert found.engine == parameters.ENGINE.default == properties["engine"].default
    assert found.device == parameters.DEVICE.default == properties["device"].default
    assert found.n_threads is parameters.N_THREADS.default is None
    assert found.longest_side == parameters.LONGEST_SIDE.default
    assert vars(found).keys() == properties.keys()


def test_choices_and_ranges_are_those_of_the_parameters(properties: dict[str, Any]) -> None:
    for parameter in (parameters.ENGINE, parameters.DEVICE):
        assert tuple(properties[parameter.name].enum) == parameter.choices
        assert properties[parameter.name].title == parameter.label
    for parameter in (parameters.N_THREADS, parameters.LONGEST_SIDE):
        assert properties[parameter.name].maximum == parameter.maximum
    assert properties["longest_side"].minimum == parameters.LONGEST_SIDE.minimum
    assert properties["n_threads"].minimum == 0  # all but one


def test_a_new_widget_starts_where_it_is_set(settings: Any, qapp: Any, tmp_path: Path) -> None:
    assert settings.config_path.is_relative_to(tmp_path)
    before = SparseGMMWidget(ViewerModel())
    settings.computing.engine = "torch"
    settings.computing.device = "cpu"
    settings.computing.n_threads = 3
    settings.drawing.longest_side = 100
    settings.drawing.most_ellipses = 7
    widget = SparseGMMWidget(ViewerModel())
    assert (before.engine.value, before.longest_side.value) == ("auto", 512)
    assert (widget.engine.value, widget.device.value) == ("torch", "cpu")
    assert widget.estimator_parameters()["n_threads"] == 3
    assert widget.longest_side.value == 100
    assert preferences().most_ellipses == 7
    settings.computing.n_threads = 0
    assert preferences().n_threads is None
