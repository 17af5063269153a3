"""Take the pictures of docs/cells.md and docs/channels.md: regions, a filter, and two channels.

    python tools/with_display.py python tools/cells_pictures.py

The cells are simulated: outlines with clusters on a background, of three densities of clusters.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import napari
import numpy as np
from tutorial_pictures import SIZE, save, settle, window

from napari_sparse_gmm import Box, Polygon, SparseGaussianMixture
from napari_sparse_gmm.channel_results import write_comparison
from napari_sparse_gmm.channels import compare_channels
from napari_sparse_gmm.density_model import DensityModel, part_of
from napari_sparse_gmm.plugin.density_widget import SparseGMMWidget
from napari_sparse_gmm.plugin.qt.folding import unfold
from napari_sparse_gmm.plugin.views.table import REGIONS, ComponentTable

IMAGES = Path(__file__).parents[1] / "docs" / "images"

CELLS = {
    "control 1": [(500, 500), (500, 3500), (2500, 4500), (4200, 3000), (3500, 700)],
    "control 2": [(5200, 4800), (5000, 9000), (8500, 9300), (9300, 6500), (7500, 4700)],
    "treated 1": [(5200, 600), (5000, 3000), (7800, 4000), (9200, 2500), (8000, 700)],
}
CLUSTERS = (25, 40, 8)


def main() -> None:
    """Fit three cells in the dock; and compare two simulated channels."""
    rng = np.random.default_rng(0)
    viewer = napari.Viewer(title="napari")
    viewer.window.resize(*SIZE)
    points = cells(rng)
    layer = viewer.add_points(
        points,
        name="localizations",
        units="nm",
        size=20,
        border_width=0,
        face_color="white",
        features={"photons": rng.gamma(2, 800, len(points))},
    )
    shapes = viewer.add_shapes(
        [np.array(corners) for corners in CELLS.values()],
        shape_type="polygon",
        name="cells",
        units="nm",
        face_color="transparent",
        edge_color="yellow",
        edge_width=20,
        features={"name": list(CELLS)},
    )
    widget = SparseGMMWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Sparse GMM density")
    widget.points.value, widget.region.value = layer, shapes
    widget.run()
    wait(widget)
    widget.show_table()
    settle()
    table = viewer.window._qt_window.findChild(ComponentTable)
    table.rows.setCurrentText(REGIONS)
    table.sheet.selectRow(1)
    unfold(widget.plots_button)
    widget.plots.setCurrentIndex(1)
    view = widget.filter_view
    view.feature.value = "photons"
    for field, limit in ((view.low, "500"), (view.high, "4000")):
        field.value = limit
        field.native.editingFinished.emit()
    widget.run()
    wait(widget)
    viewer.reset_view()
    settle()
    save([window(viewer)], IMAGES / "cells.png")
    viewer.close()
    channels(rng)


def cells(rng: np.random.Generator) -> np.ndarray:
    """Points of three cells: 1500 scattered ones in each, and clusters of some sixty."""
    points = []
    for corners, n in zip(CELLS.values(), CLUSTERS, strict=True):
        cell = Polygon(corners)
        points.append(cell.sample(1500, rng))
        points += [
            centre + rng.normal(0, 40, (rng.poisson(60), 2)) for centre in cell.sample(n, rng)
        ]
    return np.concatenate(points)


def channels(rng: np.random.Generator) -> None:
    """A second channel of which a third of the clusters are where the first has some."""
    centres = rng.uniform(500, 9500, (60, 2))
    others = np.concatenate([centres[:15], rng.uniform(500, 9500, (30, 2))])
    first, second = (
        np.concatenate(
            [
                (own[:, None] + rng.normal(0, 60, (len(own), 40, 2))).reshape(-1, 2),
                rng.uniform(0, 10_000, (1500, 2)),
            ]
        )
        for own in (centres, others)
    )
    field = Box(np.array([[0.0, 0.0], [10_000.0, 10_000.0]]))
    fits = [
        SparseGaussianMixture(background=field, prior="bayes", random_state=0).fit(
            np.clip(points, 0.0, 10_000.0)
        )
        for points in (first, second)
    ]
    part = part_of(fits[0], fits[0].open(np.clip(first, 0.0, 10_000.0)))
    comparison = compare_channels(fits[0].mixture_, second, second=fits[1].mixture_, region=field)
    with TemporaryDirectory() as folder:
        write_comparison(Path(folder), comparison, DensityModel((part,), ("y", "x"), "nm"))
        (IMAGES / "channels.png").write_bytes((Path(folder) / "channels.png").read_bytes())


def wait(widget: SparseGMMWidget) -> None:
    """Until nothing runs."""
    until = time.monotonic() + 300
    while not widget.idle and time.monotonic() < until:
        settle()
    settle()


if __name__ == "__main__":
    main()
