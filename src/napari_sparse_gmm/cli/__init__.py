"""The command line: a table in; a model, a table of components and two pictures out.

    napari-sparse-gmm fit localizations.csv --out results
    napari-sparse-gmm fit data/*.csv --out results --jobs 4
    napari-sparse-gmm score results/model.json others.csv --out scored.csv
    napari-sparse-gmm channels results/model.json others.csv --out channels
    napari-sparse-gmm compare results/summary.csv --condition folder --out compared
    napari-sparse-gmm export results/model.json --to geojson methods --out for-others
    napari-sparse-gmm demo

Mistakes of the user are one line on stderr and exit status 2, lost workers status 1; Ctrl-C is
status 130, and SIGTERM 143.
"""

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path

from napari_sparse_gmm.cli import channels, compare, demo, export, fit, score
from napari_sparse_gmm.cli.output import PROGRAM, show_warning
from napari_sparse_gmm.cli.signals import Terminated
from napari_sparse_gmm.errors import EngineLost, InputError

_COMMANDS = (fit, score, channels, compare, export, demo)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # Not every terminal has a µ, and not every name of a file is text.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            options.run(options)
    except Terminated:
        print(f"{PROGRAM}: ended", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return 130
    except (InputError, OSError) as error:
        print(f"{PROGRAM}: error: {_told(error)}{_hint(error)}", file=sys.stderr)
        return 2
    except EngineLost as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    return 0


def _told(error: Exception) -> str:
    """What went wrong, in a sentence also where the system says it."""
    if not isinstance(error, OSError) or error.filename is None or not error.strerror:
        return str(error)
    path = Path(os.fsdecode(error.filename))
    if error.errno == errno.ENOENT and not path.parent.exists():
        return f"{path} cannot be written: there is no folder {path.parent}. Make it first."
    return f"{path} cannot be read or written ({error.strerror}): choose another, or mend that."


def _hint(error: Exception) -> str:
    """Which options help, where some do."""
    from napari_sparse_gmm.io.columns import NoCoordinates

    return " Name them by --x, --y and --z." if isinstance(error, NoCoordinates) else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="The density of a set of points as a sparse Gaussian mixture."
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version(PROGRAM)}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    return parser
