"""`napari-sparse-gmm score`: the points of a table as a model sees them."""

import argparse
from pathlib import Path
from typing import Any

from napari_sparse_gmm.cli.options import COMPUTING_OPTIONS, add_option, add_table, read_table


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "score",
        help="score a table of points with a model",
        description="Find the component of each point of a table, among those of a model that was "
        "fitted to others. Writes the points with their component (-1 is background), its "
        "probability and the log density.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar="MODEL", help="model.json, or a model saved in napari")
    add_table(parser)
    parser.add_argument(
        "--group", metavar="NAME", help="column of the groups, where the model has a mixture each"
    )
    for option, parameter, read in COMPUTING_OPTIONS:
        add_option(parser, option, parameter, read)
    parser.add_argument("--out", metavar="FILE", required=True, help="table to write (CSV)")


def run(options: argparse.Namespace) -> None:
    from napari_sparse_gmm.batch import score_to_file
    from napari_sparse_gmm.io.models import load_model

    model = load_model(options.model)
    table = read_table(options)
    computing = {
        parameter.name: getattr(options, parameter.name) for _, parameter, _ in COMPUTING_OPTIONS
    }
    # Beside a file of Picasso lies one with its pixel size.
    table_path = Path(options.input)
    inputs = [Path(options.model), table_path, table_path.with_suffix(".yaml")]
    sentence = score_to_file(model, table, Path(options.out), inputs=inputs, **computing)
    print(f"{options.input}: {sentence}\nwritten to {options.out}")
