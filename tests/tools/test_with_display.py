"""The command gets a display, and its exit status comes back."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "with_display.py"
SHOW = "import os; print(os.environ['DISPLAY'], os.environ.get('NAPARI_SPARSE_GMM_UNATTENDED'))"
HIDDEN = ("DISPLAY", "WAYLAND_DISPLAY", "NAPARI_SPARSE_GMM_UNATTENDED")

on_linux = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("Xvfb") is None, reason="needs Linux and Xvfb"
)


def with_display(*code: str, **environment: str) -> subprocess.Popen[str]:
    """Start `python -c code` through the script, on a machine without a display."""
    bare = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    command = [sys.executable, str(SCRIPT), sys.executable, "-c", *code]
    return subprocess.Popen(
        command,
        env=bare | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_exit_status_is_the_commands() -> None:
    process = with_display("raise SystemExit(7)")
    process.communicate()
    assert process.returncode == 7


def test_a_command_that_does_not_exist_is_one_line() -> None:
    result = subprocess.run(
        [sys.executable, str(SCRIPT), "no-such-program"], capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "no-such-program" in result.stderr
    assert "Traceback" not in result.stderr


@on_linux
def test_a_display_that_is_there_is_used() -> None:
    output, _ = with_display(SHOW, DISPLAY=":77").communicate()
    assert output == ":77 None\n"


@on_linux
def test_a_virtual_display_lives_as_long_as_the_command() -> None:
    output, _ = with_display(SHOW).communicate()
    shown = re.fullmatch(r":(\d+) 1\n", output)
    assert shown
    assert not Path(f"/tmp/.X11-unix/X{shown[1]}").exists()


@on_linux
def test_terminating_the_script_ends_command_and_display() -> None:
    process = with_display(
        "import os, time; print(os.getpid(), os.environ['DISPLAY'], flush=True); time.sleep(60)"
    )
    pid, display = process.stdout.readline().split()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert not Path("/proc", pid).exists()
    assert not Path(f"/tmp/.X11-unix/X{display[1:]}").exists()


@on_linux
def test_ctrl_c_is_the_commands_to_answer() -> None:
    process = with_display(
        "import os, signal, time\n"
        "signal.signal(signal.SIGINT, lambda *_: os._exit(5))\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(60)"
    )
    pid = int(process.stdout.readline())
    # As a terminal does: to the command and to the script above it.
    for receiver in (process.pid, pid):
        os.kill(receiver, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 5


@on_linux
def test_a_display_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    server = tmp_path / "Xvfb"
    server.write_text("#!/bin/sh\necho no memory for a screen >&2\nexit 1\n")
    server.chmod(0o755)
    started = time.monotonic()
    process = with_display(
        "raise SystemExit(7)", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    )
    _, complaint = process.communicate()
    assert process.returncode == 1
    assert complaint == "Xvfb does not start: no memory for a screen\n"
    assert time.monotonic() - started < 30


def test_without_a_command_it_explains_itself() -> None:
    result = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True)
    assert result.returncode == 2
    assert "python tools/with_display.py pytest" in result.stdout
