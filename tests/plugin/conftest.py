"""Points layers in every pose, and a fit that does as it is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Points
from npe2 import PluginManager, PluginManifest
from plugin.fakes import DATA, FakeFit, HandClock, HandWorker, SlowKeOps

import napari_sparse_gmm
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget

AFFINE = [[1.0, 0.2, 5.0], [-0.1, 0.9, 7.0], [0.0, 0.0, 1.0]]
POSES: dict[str, dict[str, Any]] = {
    "plain": {},
    "anisotropic": {"scale": (3.0, 0.5)},
    "mirrored": {"scale": (2.0, -0.7)},
    "moved": {"scale": (3.0, 0.5), "translate": (100.0, -40.0)},
    "rotated": {"scale": (3.0, 0.5), "rotate": 30.0, "translate": (9.0, 8.0)},
    "sheared": {"scale": (3.0, 0.5), "shear": [0.4], "rotate": -50.0},
    "sheared below": {"shear": np.array([[1.0, 0.0], [0.3, 1.0]]), "scale": (2.0, 1.0)},
    "affine": {"scale": (3.0, 0.5), "rotate": 20.0, "affine": AFFINE},
    "metres": {"scale": (1e-9, 2e-9), "translate": (1e-7, 0.0), "units": "m"},
}


@pytest.fixture(scope="session", autouse=True)
def own_manifest() -> None:
    """napari knows the manifest beside the code that is tested, even if another one is installed.

    For good, and before there is a viewer: napari does not forget a plugin that is taken away.
    """
    own = PluginManifest.from_file(Path(napari_sparse_gmm.__file__).with_name("napari.yaml"))
    manager = PluginManager.instance()
    manager.discover()
    if manager.get_manifest(own.name).contributions != own.contributions:
        manager.unregister(own.name)
        manager.register(own)


@pytest.fixture(params=POSES, ids=list(POSES))
def posed_points(request: pytest.FixtureRequest) -> Points:
    """A 2D Points layer, transformed in one of the ways that napari knows."""
    data = np.random.default_rng(0).uniform(10.0, 60.0, (50, 2))
    return Points(data, name="L", **POSES[request.param])


@pytest.fixture
def fake_fit(monkeypatch: pytest.MonkeyPatch) -> FakeFit:
    """Every fit of the plugin is this one."""
    fake = FakeFit()
    monkeypatch.setattr("napari_sparse_gmm.estimator.SparseGaussianMixture", fake)
    return fake


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[HandWorker]:
    """The workers that were created, moved on by hand; what they do is real."""
    made: list[HandWorker] = []

    def create_worker(function: Any, *arguments: Any, **_: Any) -> HandWorker:
        made.append(HandWorker(function(*arguments)))
        return made[-1]

    monkeypatch.setattr("napari_sparse_gmm.plugin.tasks.runner.create_worker", create_worker)
    return made


@pytest.fixture
def slow_keops(monkeypatch: pytest.MonkeyPatch) -> SlowKeOps:
    """Every engine of the plugin has to be waited for."""
    fake = SlowKeOps()
    monkeypatch.setattr("napari_sparse_gmm.engines.choice.preparation", fake)
    return fake


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch, fake_fit: FakeFit) -> list[HandWorker]:
    """The workers that the widget has created, the latest last."""
    created: list[HandWorker] = []

    def create_worker(function: Callable[..., Any], *arguments: Any, **_: Any) -> HandWorker:
        created.append(HandWorker(function(*arguments)))
        return created[-1]

    monkeypatch.setattr("napari_sparse_gmm.plugin.tasks.runner.create_worker", create_worker)
    return created


@pytest.fixture
def viewer(make_napari_viewer_proxy: Callable[[], Any]) -> Any:
    return make_napari_viewer_proxy()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def widget(viewer: Any, workers: list[HandWorker], clock: HandClock) -> SparseGMMWidget:
    viewer.add_points(DATA, name="L", units="nm")
    widget = SparseGMMWidget(viewer, clock)
    viewer.window.add_dock_widget(widget)
    # A fake fit has no background, and may have any seed.
    widget.find.value = "sparse"
    widget.random_state.value = widget.random_state.min
    return widget


@pytest.fixture
def redraw(workers: list[HandWorker], clock: HandClock) -> Callable[[], None]:
    """Let the delay pass after which changed fields are drawn, and the drawing finish."""

    def pass_delay() -> None:
        clock.let_pass(0.1)
        if not workers[-1].done:
            workers[-1].finish()

    return pass_delay
