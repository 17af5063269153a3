"""`napari-sparse-gmm demo`: what the sample data look like."""

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_sparse_gmm import parameters
from napari_sparse_gmm.cli.fit import fit_and_write

# Set by tools/with_display.py where the screen is one that nobody sees.
_UNATTENDED = "NAPARI_SPARSE_GMM_UNATTENDED"


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="fit the sample data and show it",
        description="Fit simulated localizations, write the four files of `fit`, and show the "
        "result in napari where there is a display.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--out",
        metavar="DIR",
        default="napari-sparse-gmm-demo",
        help="folder to write to (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    from napari_sparse_gmm.io.tables import PointTable
    from napari_sparse_gmm.observations import Observations
    from napari_sparse_gmm.samples import smlm_clusters

    sample = smlm_clusters()
    precision = sample.features["precision"][:, None].repeat(2, axis=1)
    labels = sample.axis_labels
    observations = Observations.of(sample.points, noise_std=precision)
    table = PointTable(observations, labels, labels, sample.unit, precision=("precision",))
    folder = Path(options.out)
    settings = {parameters.RANDOM_STATE.name: parameters.SEED}
    fit_and_write(table, settings, "sample smlm_clusters", folder)
    if obstacle := _viewer_obstacle():
        print(f"The viewer stays closed: {obstacle}")
        return

    from napari_sparse_gmm.plugin.demo import show_demo

    if os.environ.get(_UNATTENDED):
        screenshot = folder / "viewer.png"
        show_demo(screenshot=screenshot)
        print(f"Nobody sees this screen; what it showed is in {screenshot}")
    else:
        show_demo()


def _viewer_obstacle() -> str | None:
    """Why napari cannot open a window here, as a sentence; None where it can."""
    if not any(find_spec(binding) for binding in ("PyQt6", "PySide6", "PyQt5")):
        return "napari lacks a Qt binding (python -m pip install 'napari[all]' brings one)."
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform == "linux" and not has_display:
        return "there is no display."
    # One that is there no more would end this program, so another one tries it.
    tried = subprocess.run(
        [sys.executable, "-c", "from qtpy.QtWidgets import QApplication; QApplication([])"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if tried.returncode:
        why = next((line for line in tried.stderr.splitlines() if line.strip()), "it says not why")
        return f"its display does not open ({why})."
    return None
