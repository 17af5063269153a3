"""Run a command that opens windows, also on a machine without a screen.

    python tools/with_display.py pytest

On Linux the libraries behind a window are looked for first, and installed where that is
possible. Where there is no display, one is made with Xvfb for as long as the command
runs. Its environment then has NAPARI_SPARSE_GMM_UNATTENDED=1: nobody sees that screen,
so a window there must not wait for somebody to close it. macOS and Windows always have a
display: there the command just runs. The exit status is the command's.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from system_packages import COMPILER, VIRTUAL_SCREEN, WINDOW, PackagesMissing, ensure

# Large enough for napari's window with its docks; 24 bits because OpenGL wants true colour.
SCREEN = "1600x1000x24"


class DisplayError(Exception):
    """Its text is one sentence for the user."""


@contextmanager
def virtual_display() -> Iterator[dict[str, str]]:
    """Start Xvfb on a free display number, yield what to add to the environment, stop it."""
    answer, question = os.pipe()
    # A file, because nobody would empty a pipe while the command runs.
    with os.fdopen(answer) as ready, tempfile.TemporaryFile() as complaints:
        server = subprocess.Popen(
            # -noreset: it would start afresh, and lose windows, each time the last client goes.
            ["Xvfb", "-displayfd", str(question), "-screen", "0", SCREEN, "-noreset"],
            pass_fds=[question],
            stderr=complaints,
            # A Ctrl-C is for the command: it needs its screen until it has ended.
            start_new_session=True,
        )
        os.close(question)
        try:
            number = ready.readline().strip()  # empty where Xvfb ends before it is ready
            if not number:
                complaints.seek(0)
                raise DisplayError(f"Xvfb does not start: {complaints.read().decode().strip()}")
            yield {"DISPLAY": f":{number}", "NAPARI_SPARSE_GMM_UNATTENDED": "1"}
        finally:
            server.terminate()
            server.wait()


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run `command` to its end and return its exit status, 128 + n where signal n ended it."""
    # On Windows a bare "python" would be looked for beside the interpreter that a virtual
    # environment stands for, before PATH.
    program = shutil.which(command[0]) or command[0]
    with subprocess.Popen([program, *command[1:]], env={**os.environ, **environment}) as process:

        def pass_on(number: int, _frame: FrameType | None) -> None:
            process.send_signal(number)

        # The terminal sends Ctrl-C to both of us: the command decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, pass_on)
        status = process.wait()
    return status if status >= 0 else 128 - status


def main(command: list[str]) -> int:
    """Find or make a display, run `command` on it, return its exit status."""
    if not command:
        print(__doc__)
        return 2
    if sys.platform != "linux":
        return run(command, {})
    has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    try:
        if has_display:
            ensure(WINDOW, useful=COMPILER)
            return run(command, {})
        ensure(WINDOW | VIRTUAL_SCREEN, useful=COMPILER)
        with virtual_display() as environment:
            return run(command, environment)
    except (PackagesMissing, DisplayError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
