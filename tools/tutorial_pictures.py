"""Take the pictures of the tutorial and of the walks while doing what they say, and the README's
animation.

    python tools/with_display.py python tools/tutorial_pictures.py [tutorial.md] [walks.md]

The animation is the step of the picture `LIVE`, with the slider of Sparsity moving.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QEventLoop, Qt, QTimer
from tutorial import TUTORIAL, WALKS, run, steps, wait

SIZE = 1280, 800

# What a reader would drag to see some rows of the table.
TABLE, TABLE_HEIGHT = "tutorial-table.png", 330

LIVE, ANIMATION = "tutorial-live.png", "live.gif"
SPARSITIES = (4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 16.0, 14.0, 12.0, 10.0, 8.0, 6.0, 5.0)
FRAME_TIME, FRAME_WIDTH = 400, 960  # milliseconds, pixels

# From a change until it is on the screen.
SETTLED_AFTER = 700  # milliseconds

PAGES = (TUTORIAL, WALKS)

Namespace = dict[str, Any]


def main() -> None:
    """Do what the pages say in folders of their own, and write the pictures that they show."""
    names = sys.argv[1:] or [page.name for page in PAGES]
    for page in (page for page in PAGES if page.name in names):
        viewer = napari.Viewer(title="napari")
        viewer.window.resize(*SIZE)
        namespace: Namespace = {"viewer": viewer}
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            for step in steps(page):
                if step.kind == "python":
                    run(step, namespace)
                elif step.kind == "image":
                    picture(viewer, namespace, page.parent / step.text)
        viewer.close()


def picture(viewer: napari.Viewer, namespace: Namespace, path: Path) -> None:
    """Write what the window looks like after the house was pressed."""
    settle()
    if path.name == TABLE:
        picture_table(viewer, namespace, path)
        return
    viewer.reset_view()
    save([window(viewer)], path)
    if path.name == LIVE:
        save(list(live(viewer, namespace)), path.with_name(ANIMATION))


def picture_table(viewer: napari.Viewer, namespace: Namespace, path: Path) -> None:
    """The table needs room; afterwards it is closed, as the tutorial says."""
    (table,) = (dock for name, dock in viewer.window.dock_widgets.items() if "components" in name)
    dock, main_window = table.parent(), table.window()
    main_window.resizeDocks([dock], [TABLE_HEIGHT], Qt.Orientation.Vertical)
    settle()
    namespace["widget"].centre()
    save([window(viewer)], path)
    dock.close()
    settle()


def live(viewer: napari.Viewer, namespace: Namespace) -> Iterator[Image.Image]:
    """The window for one Sparsity after the other; in the end it is the first one again."""
    widget = namespace["widget"]
    for sparsity in (*SPARSITIES[1:], SPARSITIES[0]):
        widget.sparsity.value = sparsity
        wait(namespace)
        frame = window(viewer)
        height = round(frame.height * FRAME_WIDTH / frame.width)
        yield frame.resize((FRAME_WIDTH, height), Image.Resampling.LANCZOS)


def window(viewer: napari.Viewer) -> Image.Image:
    """What the window looks like."""
    settle()
    return Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")


def settle() -> None:
    """Let the window live until it shows what it is to show."""
    # A loop of Qt's own: without one nothing is deleted, and napari looks busy for ever.
    loop = QEventLoop()
    QTimer.singleShot(SETTLED_AFTER, loop.quit)
    loop.exec()


def save(frames: list[Image.Image], path: Path) -> None:
    """Write one picture, or an animation, in 256 colours: napari has few others."""
    # One palette for all, else what stands still would flicker.
    together = Image.fromarray(np.concatenate([np.asarray(frame) for frame in frames]))
    palette = together.quantize(256, Image.Quantize.MEDIANCUT)
    first, *more = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    if more:
        first.save(path, save_all=True, append_images=more, duration=FRAME_TIME, loop=0)
    else:
        first.save(path, optimize=True)


if __name__ == "__main__":
    main()
