"""One start of napari, timed; for `startup.py`.

python benchmarks/opening.py with
"""

import time

START = time.perf_counter()

import importlib.metadata  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from typing import Any  # noqa: E402

PLUGIN, WIDGET = "napari-sparse-gmm", "Sparse GMM density"


def hide(name: str) -> None:
    """Let nobody find the installed package of that name.

    Disabled in napari's settings, it would still be looked at.
    """
    real = importlib.metadata.distributions

    def others(**keywords: Any) -> Iterator[importlib.metadata.Distribution]:
        return (found for found in real(**keywords) if found.metadata["Name"] != name)

    importlib.metadata.distributions = others


def main() -> None:
    with_plugin = sys.argv[1] == "with"
    # Either way, since to look for a name takes time as well.
    hide("no such package" if with_plugin else PLUGIN)
    from napari import Viewer
    from qtpy.QtWidgets import QApplication

    viewer = Viewer(show=True)
    QApplication.processEvents()
    seconds = {"window": time.perf_counter() - START}
    if with_plugin:
        before = time.perf_counter()
        viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        QApplication.processEvents()
        seconds["widget"] = time.perf_counter() - before
    viewer.close()
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
