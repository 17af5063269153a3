"""Take the pictures of docs/batch.md: the batch dock in napari, and a comparison.

    python tools/with_display.py python tools/batch_pictures.py

The fields are simulated: four dishes of each condition, with clusters that the drug makes smaller.
"""

import tempfile
import time
from pathlib import Path

import napari
import numpy as np
import pandas as pd
from tutorial_pictures import SIZE, save, settle, window

from napari_sparse_gmm.cli import main as command_line
from napari_sparse_gmm.plugin.batch_widget import SparseGMMBatch

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def main() -> None:
    """Fit simulated fields in the dock, and compare them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "plates"
        write_fields(folder)
        viewer = napari.Viewer(title="napari")
        viewer.window.resize(*SIZE)
        widget = SparseGMMBatch(viewer)
        viewer.window.add_dock_widget(widget, name="Sparse GMM batch")
        widget.pattern.value = "*/*.csv"
        widget.folder.value = folder
        widget.run()
        until = time.monotonic() + 300
        while not widget.idle and time.monotonic() < until:
            settle()
        widget.show_result(
            next(i for i, state in enumerate(widget.states.values()) if state == "done")
        )
        viewer.reset_view()
        save([window(viewer)], IMAGES / "batch.png")
        viewer.close()
        out = Path(name) / "compared"
        summary = folder / "results" / "summary.csv"
        column = "median radius of a cluster [nm]"
        arguments = ["--condition", "folder", "--column", column, "--out", str(out)]
        assert command_line(["compare", str(summary), *arguments]) == 0
        (picture,) = out.glob("median*.png")
        (IMAGES / "batch-compared.png").write_bytes(picture.read_bytes())


def write_fields(folder: Path) -> None:
    """Four files of each of two conditions, and one that is broken."""
    rng = np.random.default_rng(5)
    for condition, radius in (("control", 20.0), ("drug", 15.0)):
        (folder / condition).mkdir(parents=True)
        for dish in range(1, 5):
            own = radius + rng.normal(0, 1)
            centres = rng.uniform(100, 1900, (12, 2))
            clusters = [centre + own * rng.standard_normal((60, 2)) for centre in centres]
            points = np.concatenate([*clusters, rng.uniform(0, 2000, (300, 2))])
            table = pd.DataFrame(points, columns=["x [nm]", "y [nm]"])
            table.to_csv(folder / condition / f"{condition} {dish}.csv", index=False)
    (folder / "drug" / "drug 5.csv").write_text("x [nm],y [nm]\n1,2\n3,four\n")


if __name__ == "__main__":
    main()
