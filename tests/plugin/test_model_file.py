"""Models through napari's own doors: layers are saved, files are opened, with the manifest."""

from pathlib import Path
from typing import Any

import napari_builtins
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.errors import NoAvailableReaderError, ReaderPluginError
from napari.layers import Points, Shapes
from napari.plugins._npe2 import file_extensions_string_for_layers
from npe2 import PluginManager, PluginManifest
from oracles import random_mixture
from plugin.fakes import model_of as fitted

import napari_sparse_gmm
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.models import load_model, save_model
from napari_sparse_gmm.plugin.layers.components import drawing, show_components
from napari_sparse_gmm.plugin.layers.following import follow
from napari_sparse_gmm.plugin.layers.heatmap import show_heatmap
from napari_sparse_gmm.plugin.layers.model_metadata import MODEL_KEY, as_shown, attach_model
from napari_sparse_gmm.plugin.layers.owned import METADATA_KEY
from napari_sparse_gmm.plugin.model_file import NotSaved, get_reader
from napari_sparse_gmm.plugin.points.coordinates import modelled_points
from napari_sparse_gmm.plugin.tasks.render import drawn
from napari_sparse_gmm.plugin.tasks.task import at_once
from napari_sparse_gmm.plugin.tasks.values import HeatmapChoice

FILTER = "Sparse GMM model (*.gmm.json)"


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> PluginManager:
    """napari's own plugin and this one, as its manifest says."""
    manager = PluginManager()
    for module, name in ((napari_builtins, "builtins.yaml"), (napari_sparse_gmm, "napari.yaml")):
        manager.register(PluginManifest.from_file(Path(module.__file__).with_name(name)))
    monkeypatch.setattr(PluginManager, "_PluginManager__instance", manager)
    return manager


@pytest.fixture(params=[2, 3], ids=["2D", "3D"])
def viewer(request: pytest.FixtureRequest) -> ViewerModel:
    """With the layers of a fit."""
    viewer, d = ViewerModel(), request.param
    data = np.random.default_rng(0).uniform(0, 10, (50, d))
    points = viewer.add_points(data, name="L", units="nm", scale=(2,) * d)
    _, frame, _ = modelled_points(points, tuple(range(d)))
    model = fitted(random_mixture(4, d), frame=frame, prior="sqrt")
    choice = HeatmapChoice("density", 16, None, engine="torch")
    picture = at_once(drawn(model, frame.modelled_box, choice, frame.layout))
    show_heatmap(viewer, points, frame, picture)
    layer = show_components(viewer, points, frame, drawing(model, frame, 95.0, 2000))
    attach_model(layer, as_shown(model, choice, 95.0))
    return viewer


def select(viewer: ViewerModel, *names: str) -> None:
    viewer.layers.selection = {viewer.layers[name] for name in names}


def save(viewer: ViewerModel, path: Path, **keywords: Any) -> list[str]:
    return viewer.layers.save(str(path), selected=True, **keywords)


def test_the_components_layer_saves_its_model(viewer: ViewerModel, tmp_path: Path) -> None:
    path = tmp_path / "cells.gmm.json"
    select(viewer, "L components")
    assert save(viewer, path) == [str(path)]
    model = load_model(path)
    expected = viewer.layers["L components"].features["weight"]
    np.testing.assert_array_equal(model.mixture.weights, expected)


def test_all_layers_of_a_model_together(viewer: ViewerModel, tmp_path: Path) -> None:
    path = tmp_path / "cells.gmm.json"
    select(viewer, *(layer.name for layer in viewer.layers if layer.name != "L"))
    assert len(viewer.layers.selection) == viewer.dims.ndim
    assert FILTER in file_extensions_string_for_layers(list(viewer.layers.selection))[0]
    assert save(viewer, path) == [str(path)]
    assert load_model(path).axis_labels == ("z", "y", "x")[-viewer.dims.ndim :]


def test_the_dialog_offers_it_behind_the_table(viewer: ViewerModel, tmp_path: Path) -> None:
    """napari gives the writer that was chosen, and a path as the user typed it."""
    select(viewer, "L components")
    listed, writers = file_extensions_string_for_layers(list(viewer.layers.selection))
    filters = listed.split(";;")
    assert filters[0] == "napari builtins shapes (*.csv)"
    chosen = writers[filters.index(FILTER)]
    assert save(viewer, tmp_path / "L components", _writer=chosen) == [
        str(tmp_path / "L components.gmm.json")
    ]


def test_a_table_of_shapes_is_still_napari_s(viewer: ViewerModel, tmp_path: Path) -> None:
    select(viewer, "L components")
    for name in ("shapes.csv", "shapes"):
        (written,) = save(viewer, tmp_path / name)
        assert Path(written).read_text().startswith("index,shape-type")


def test_a_saved_model_opens_in_another_viewer(viewer: ViewerModel, tmp_path: Path) -> None:
    path = tmp_path / "L components.gmm.json"
    select(viewer, "L components")
    save(viewer, path)
    other = ViewerModel()
    follow(other)
    other.open(str(path), plugin=None)
    for one in (viewer, other):  # with their ellipses in one slice
        one.dims.set_point(0, 8.0)
    made = [layer.name for layer in viewer.layers if layer.name != "L"]
    assert [layer.name for layer in other.layers] == made
    one, again = (v.layers["L components"] for v in (viewer, other))
    for corners, same in zip(one.data, again.data, strict=True):
        np.testing.assert_array_equal(corners, same)
    assert one.units == again.units
    # It carries its model on.
    select(other, "L components")
    save(other, tmp_path / "again.gmm.json")
    assert (tmp_path / "again.gmm.json").read_bytes() == path.read_bytes()


def test_several_models_at_once(viewer: ViewerModel, tmp_path: Path) -> None:
    select(viewer, "L components")
    paths = [str(tmp_path / name) for name in ("a.gmm.json", "b.gmm.json")]
    for path in paths:
        save(viewer, Path(path))
    other = ViewerModel()
    other.open(paths, plugin=None)
    assert {"a components", "b components"} <= {layer.name for layer in other.layers}


@pytest.mark.parametrize("name", ["model.json", "CELLS.GMM.JSON", "v1.2.gmm.json"])
def test_names_that_a_model_is_opened_by(viewer: ViewerModel, tmp_path: Path, name: str) -> None:
    """The first is that of the command line."""
    model = viewer.layers["L components"].metadata[MODEL_KEY]
    save_model(tmp_path / name, model)
    other = ViewerModel()
    other.open(str(tmp_path / name), plugin=None)
    assert any(layer.name.endswith(" components") for layer in other.layers)


def test_a_model_by_another_name_opens_from_python(viewer: ViewerModel, tmp_path: Path) -> None:
    """napari offers the plugin for no JSON file that is called otherwise: most are no models."""
    path = str(tmp_path / "cells.json")
    save_model(path, viewer.layers["L components"].metadata[MODEL_KEY])
    with pytest.raises(NoAvailableReaderError):
        ViewerModel().open(path, plugin=None)
    names = [keywords["name"] for _, keywords, _ in get_reader(path)(path)]
    assert names[-1] == "cells components"


def test_a_name_that_would_not_be_opened_again_is_completed(
    viewer: ViewerModel, plugins: PluginManager, tmp_path: Path
) -> None:
    select(viewer, "L components")
    writers = {writer.command: writer for writer in plugins.iter_compatible_writers(["shapes"])}
    chosen = writers["napari-sparse-gmm.write_model"]
    expected = [str(tmp_path / "cells.gmm.json")]
    assert save(viewer, tmp_path / "cells.json", _writer=chosen) == expected


def test_other_files_are_left_to_others(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"points": [1, 2]}')
    assert get_reader(str(other)) is None
    assert get_reader([str(other)]) is None
    assert get_reader(str(tmp_path / "nowhere.json")) is None


@pytest.mark.parametrize("name", ["cells.gmm.json", "CELLS.GMM.JSON"])
def test_what_is_called_a_model_and_is_none_is_told(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('{"points": [1, 2]}')
    message = "(?i)cells.gmm.json is not a model that napari-sparse-gmm has saved"
    with pytest.raises(ReaderPluginError, match=message):
        ViewerModel().open(str(path), plugin=None)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cells.gmm.json"
    path.write_text('{"format": "napari-sparse-gmm model", "schema_version": 2}')
    with pytest.raises(InputError, match=r"cells\.gmm\.json is damaged"):
        get_reader(str(path))(str(path))


@pytest.mark.parametrize("dialog", [False, True], ids=["by extension", "by dialog"])
def test_shapes_without_a_model_say_so(
    viewer: ViewerModel, plugins: PluginManager, tmp_path: Path, dialog: bool
) -> None:
    viewer.add_shapes(np.eye(4, viewer.dims.ndim), shape_type="polygon", name="drawn")
    select(viewer, "drawn")
    writers = {writer.command: writer for writer in plugins.iter_compatible_writers(["shapes"])}
    chosen = writers["napari-sparse-gmm.write_model"] if dialog else None
    with pytest.raises(NotSaved, match="Layer 'drawn' carries no model"):
        save(viewer, tmp_path / "drawn.gmm.json", _writer=chosen)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(viewer: ViewerModel, tmp_path: Path) -> None:
    select(viewer, "L components")
    with pytest.raises(NotSaved, match=r"There is no folder '.*nowhere': create it, or choose"):
        save(viewer, tmp_path / "nowhere" / "cells.gmm.json")


def test_a_file_that_cannot_be_written(viewer: ViewerModel, tmp_path: Path) -> None:
    select(viewer, "L components")
    (tmp_path / "cells.gmm.json").mkdir()
    with pytest.raises(NotSaved, match=r"cells.gmm.json cannot be written \(.*\): choose another"):
        save(viewer, tmp_path / "cells.gmm.json")


def test_the_density_of_other_points(viewer: ViewerModel, tmp_path: Path) -> None:
    density = viewer.layers["L density"]
    density.metadata[METADATA_KEY]["made_from"] = Points(ndim=viewer.dims.ndim).unique_id
    density.name = "M density"
    select(viewer, "L components", "M density")
    with pytest.raises(NotSaved, match="'M density' does not belong to the model of layer 'L comp"):
        save(viewer, tmp_path / "cells.gmm.json")
    assert not list(tmp_path.iterdir())


def test_layers_of_two_files(viewer: ViewerModel, tmp_path: Path) -> None:
    select(viewer, "L components")
    for name in ("one", "two"):
        save(viewer, tmp_path / f"{name}.gmm.json")
        viewer.open(tmp_path / f"{name}.gmm.json", plugin="napari-sparse-gmm")
    select(viewer, "one density", "one components")
    assert save(viewer, tmp_path / "same.gmm.json")
    select(viewer, "two density", "one components")
    with pytest.raises(NotSaved, match="'two density' does not belong to the model of layer 'one"):
        save(viewer, tmp_path / "mixed.gmm.json")


def test_layers_that_do_not_belong_together(viewer: ViewerModel, tmp_path: Path) -> None:
    viewer.add_image(np.zeros((3,) * viewer.dims.ndim), name="microscope")
    select(viewer, "L components", "microscope")
    with pytest.raises(NotSaved, match="Layer 'microscope' does not belong to the model"):
        save(viewer, tmp_path / "cells.gmm.json")
    viewer.layers.remove("microscope")
    second = Shapes(name="second", ndim=viewer.dims.ndim)
    second.metadata[MODEL_KEY] = viewer.layers["L components"].metadata[MODEL_KEY]
    viewer.add_layer(second)
    select(viewer, "L components", "second")
    with pytest.raises(NotSaved, match="Layer 'second' does not belong to the model"):
        save(viewer, tmp_path / "cells.gmm.json")
