"""What was found, out of the window."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from export.models import model, points
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QInputDialog

from napari_sparse_gmm.export.formats import FORMATS
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget
from napari_sparse_gmm.plugin.layers.model_metadata import layers_of
from napari_sparse_gmm.plugin.views.export import image_pixels


@pytest.fixture
def shown(make_napari_viewer_proxy: Callable[[], Any]) -> tuple[Any, SparseGMMWidget]:
    """A model and its points in a window, as when both were opened from files."""
    viewer = make_napari_viewer_proxy()
    viewer.add_points(points(), name="L", units="nm", features={"photons": np.full(400, 7)})
    for data, keywords, kind in layers_of(model(), "L"):
        getattr(viewer, f"add_{kind}")(data, **keywords)
    widget = SparseGMMWidget(viewer)
    viewer.window.add_dock_widget(widget)
    return viewer, widget


def choose(monkeypatch: pytest.MonkeyPatch, path: Path, name: str) -> None:
    form = FORMATS[name]
    kind = f"{form.label} (*{form.suffix})"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), kind))


def test_points_are_exported_with_their_features(
    shown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, widget = shown
    choose(monkeypatch, tmp_path / "p", "csv")
    widget.export_button.native.click()
    assert widget.status.value == f"Exported to {tmp_path / 'p.csv'}: 400 points, in nm."
    found = pd.read_csv(tmp_path / "p.csv")
    np.testing.assert_allclose(found[["y [nm]", "x [nm]"]], points(), rtol=1e-14)
    np.testing.assert_array_equal(found["component"], model().mixture.predict(points()))
    assert (found["photons"] == 7).all()


def test_picasso_asks_for_the_pixel_of_the_camera(
    shown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, widget = shown
    viewer.layers["L"].features["precision"] = 13.0
    choose(monkeypatch, tmp_path / "p.hdf5", "picasso")
    monkeypatch.setattr(QInputDialog, "getDouble", lambda *_: (130.0, False))
    widget.export_button.native.click()
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(QInputDialog, "getDouble", lambda *_: (130.0, True))
    widget.export_button.native.click()
    found = read_localizations(tmp_path / "p.hdf5")
    assert found.about["pixel size [nm]"] == 130.0
    np.testing.assert_allclose(found.points, points(), atol=2e-4)
    np.testing.assert_allclose(found.features["lpx [nm]"], 13.0, rtol=1e-6)


def test_outlines_lie_on_the_image_that_is_shown(shown: Any, tmp_path: Path) -> None:
    viewer, _ = shown
    viewer.add_image(
        np.zeros((300, 400)), name="cells", scale=(0.01, 0.005), translate=(0.2, 0), units="µm"
    )
    components = viewer.layers["L components"]
    path = str(tmp_path / "o.geojson")
    assert components.save(path, plugin="napari-sparse-gmm") == [path]
    features = json.loads(Path(path).read_text(encoding="utf-8"))["features"]
    centres = [shapely.geometry.shape(one["geometry"]).centroid for one in features]
    y, x = model().mixture.means.T
    # The centre of a pixel (i, j) is at (i, j) in napari, and at (i + 0.5, j + 0.5) in QuPath.
    np.testing.assert_allclose([one.y for one in centres], (y - 200.0) / 10.0 + 0.5, atol=0.01)
    np.testing.assert_allclose([one.x for one in centres], x / 5.0 + 0.5, atol=0.01)
    viewer.layers["cells"].visible = False
    assert image_pixels(viewer, model()) is None


def test_methods_are_copied(shown: Any) -> None:
    _, widget = shown
    widget.methods_button.native.click()
    assert "1,000 points in 2D" in QGuiApplication.clipboard().text()
    assert widget.status.value == messages.METHODS_COPIED


def test_nothing_is_exported_before_a_fit(
    make_napari_viewer_proxy: Callable[[], Any],
) -> None:
    widget = SparseGMMWidget(make_napari_viewer_proxy())
    for button in (widget.export_button, widget.methods_button):
        widget.status.value = ""
        button.native.click()
        assert widget.status.value == messages.NOT_FITTED


def test_what_cannot_be_written_is_a_sentence(
    shown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, widget = shown
    choose(monkeypatch, tmp_path / "none" / "c.csv", "components")
    widget.export_button.native.click()
    assert "cannot be written" in widget.status.value
