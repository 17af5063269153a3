"""`napari-sparse-gmm compare`: what was found in many files, by condition."""

import argparse
import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.wording import figures

if TYPE_CHECKING:
    import pandas as pd

    from napari_sparse_gmm.compare import Comparison

_WIDTH = 100  # letters in a line


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compare",
        help="compare conditions, from summaries of many files",
        description="Compare the numbers in one or several summary.csv between conditions. Writes "
        "effects.csv (differences and standardized effects with 95% intervals, and p values) and a "
        "figure for each column, with cells, replicates and differences.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "input", metavar="SUMMARY", nargs="+", help="summary.csv of `fit`, or a table like it"
    )
    parser.add_argument(
        "--condition",
        metavar="NAME",
        help="column of the conditions; 'folder' is the name of the folder that each file is in, "
        "'summary' that of each SUMMARY's folder (default: of several SUMMARY that, else "
        "'condition')",
    )
    parser.add_argument(
        "--replicate",
        metavar="NAME",
        default="file",
        help="column of what was repeated independently, as a dish, an animal or a day; rows of "
        "one replicate are cells (default: %(default)s)",
    )
    parser.add_argument(
        "--reference",
        metavar="NAME",
        help="the condition that others are compared with (default: the first one)",
    )
    parser.add_argument(
        "--samples",
        metavar="FILE",
        help="table with a column 'file' and what else is known of each, as its condition",
    )
    parser.add_argument(
        "--column",
        metavar="NAME",
        action="append",
        help="compare this column; several may be given (default: all numbers)",
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to write to")


def run(options: argparse.Namespace) -> None:
    from napari_sparse_gmm.compare import compare, groupings
    from napari_sparse_gmm.io.comparisons import write_comparison
    from napari_sparse_gmm.io.summaries import SUMMARY, read_summaries

    table = read_summaries(options.input, options.samples)
    condition = options.condition
    if condition is None:
        condition = SUMMARY if len(options.input) > 1 and not options.samples else "condition"
        if condition not in table:
            raise InputError(_which(groupings(table), options.samples))
    found = compare(
        table,
        condition,
        replicate=options.replicate,
        reference=options.reference,
        columns=options.column,
    )
    inputs = [Path(path) for path in options.input]
    inputs += [Path(options.samples)] if options.samples else []
    names = write_comparison(Path(options.out), found, inputs)
    print(_text(found))
    for note in found.notes:
        print(textwrap.fill(note, _WIDTH))
    print(f"written to {options.out}: {names[0]} and {len(names) // 2} figures (png, pdf)")


def _which(columns: list[str], samples: str | None) -> str:
    """The question for the column of the conditions, where none is named."""
    by_folder = "'folder' is the folder that each file is in"
    offered = f"one of {', '.join(map(repr, columns))}; {by_folder}" if columns else by_folder
    others = (
        f"{Path(samples).name} has no column 'condition'."
        if samples
        else "Or give a table of the files by --samples, or a SUMMARY of each condition."
    )
    return f"Which rows are of which condition? Name a column by --condition ({offered}). {others}"


def _text(found: "Comparison") -> str:
    """A table for a terminal."""
    effects = found.effects
    rows: list[tuple[str, ...]] = [
        ("", "condition", "difference", "95% interval", "g", "95% interval", "p", "corrected")
    ]
    rows += [_row(row) for _, row in effects.iterrows()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([f"Compared with {found.conditions[0]}:", *lines])


def _row(row: "pd.Series[Any]") -> tuple[str, ...]:
    def pair(low: float, high: float) -> str:
        return f"{_number(low)} to {_number(high)}" if math.isfinite(low + high) else "-"

    return (
        row["column"],
        row["condition"],
        _number(row["difference"]),
        pair(row["low"], row["high"]),
        _number(row["g"]),
        pair(row["g low"], row["g high"]),
        _number(row["p"]),
        _number(row["p corrected"]),
    )


def _number(value: float) -> str:
    return figures(value) if math.isfinite(value) else "-"
