"""Pages of docs as something that runs: their Python blocks in order, in one viewer.

>>> for step in steps(TUTORIAL):
...     if step.kind == "python":
...         run(step, namespace)

The tutorial's test and its pictures both go through it, so that what a reader sees and types is
what was tried.
"""

import re
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QApplication

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
WALKS = TUTORIAL.with_name("walks.md")

_STEP = re.compile(
    r"^```(?P<kind>python|text)\n(?P<code>.*?)^```$|^!\[[^\]]*\]\((?P<image>[^)]+)\)$",
    re.DOTALL | re.MULTILINE,
)

# A fit of the tutorial takes a few seconds; on a machine that is busy with other things longer.
_LONGEST = 120.0  # seconds


@dataclass(frozen=True)
class Step:
    """A piece of the tutorial that does something.

    Parameters
    ----------
    kind : str
        "python", to run; "text", what the block before it prints; or "image", what the window looks
        like then.
    text : str
        The block, or the path of the image from the tutorial's folder.
    line : int
        Where it is in the file, from 1.
    """

    kind: str
    text: str
    line: int


def steps(path: Path) -> Iterator[Step]:
    """What the tutorial does, in its order."""
    whole = path.read_text(encoding="utf-8")
    for found in _STEP.finditer(whole):
        line = whole.count("\n", 0, found.start()) + 1
        if found["image"] is not None:
            yield Step("image", found["image"], line)
        else:
            yield Step(found["kind"], found["code"], line)


def run(step: Step, namespace: dict[str, Any]) -> str:
    """Run a Python block, wait until the dock widgets have done what it asks, return its output."""
    # As many lines before it as in the file, so that a traceback points there.
    code = compile("\n" * step.line + step.text, "docs", "exec")
    with redirect_stdout(StringIO()) as printed:
        exec(code, namespace)
    wait(namespace)
    return printed.getvalue()


def wait(namespace: dict[str, Any]) -> None:
    """Let the window live until no dock widget of the tutorial has anything to do."""
    until = time.monotonic() + _LONGEST
    while True:
        QApplication.processEvents()
        widgets = [namespace[name] for name in ("widget", "scorer") if name in namespace]
        if all(widget.idle for widget in widgets):
            return
        if time.monotonic() > until:
            raise TimeoutError(f"The widget is still at work after {_LONGEST:.0f} s.")
        time.sleep(0.005)
