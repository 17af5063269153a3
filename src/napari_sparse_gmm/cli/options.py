"""Options that several commands have, and what they name."""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_sparse_gmm import parameters
from napari_sparse_gmm.cli.output import PROGRAM
from napari_sparse_gmm.parameters import Parameter

if TYPE_CHECKING:
    from napari_sparse_gmm.io.tables import PointTable
    from napari_sparse_gmm.ranges import Range


# Option, the parameter that it sets, and how to read its value; None: a switch and its opposite.
_Option = tuple[str, Parameter, Callable[[str], Any] | None]
COMPUTING_OPTIONS: tuple[_Option, ...] = (
    ("--engine", parameters.ENGINE, str),
    ("--device", parameters.DEVICE, str),
    ("--threads", parameters.N_THREADS, int),
)
FIT_OPTIONS: tuple[_Option, ...] = (
    ("--components", parameters.N_COMPONENTS, int),
    ("--sparsity", parameters.SPARSITY, float),
    ("--prior", parameters.PRIOR, str),
    ("--init", parameters.INIT, str),
    ("--solver", parameters.SOLVER, str),
    ("--background", parameters.BACKGROUND, None),
    ("--smooth-background", parameters.SMOOTH_BACKGROUND, None),
    ("--covariance-type", parameters.COVARIANCE_TYPE, str),
    ("--covariance-floor", parameters.COVARIANCE_FLOOR, float),
    ("--covariance-prior", parameters.COVARIANCE_PRIOR, float),
    ("--typical-size", parameters.TYPICAL_SIZE, float),
    ("--repeats", parameters.REPEATS, float),
    ("--max-iter", parameters.MAX_ITER, int),
    ("--random-state", parameters.RANDOM_STATE, int),
    *COMPUTING_OPTIONS,
)


def add_table(
    parser: argparse.ArgumentParser, *, several: bool = False, precision: bool = True
) -> None:
    """Add the table of points, and the columns that are read of it."""
    more = "; several, or a pattern as 'data/*.csv', have a folder each in DIR" if several else ""
    parser.add_argument(
        "input",
        metavar="INPUT",
        help="table of points of a program that is known, or text with a header line, HDF5 or "
        f"Parquet with columns x and y{more}",
        nargs="+" if several else None,
    )
    add_coordinates(parser)
    if precision:
        add_precision(parser)
    _add_filter(parser)


def add_coordinates(parser: argparse.ArgumentParser) -> None:
    """Add the columns of the coordinates, and their unit."""
    for axis in ("x", "y", "z"):
        parser.add_argument(f"--{axis}", metavar="NAME", help=f"column of the {axis} coordinate")
    parser.add_argument(
        "--unit",
        metavar="UNIT",
        help="of the coordinates, where the header has none: nm, µm, pixel",
    )


def _add_filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--filter",
        metavar="NAME=LOW:HIGH",
        action="append",
        default=[],
        help="take only rows of which this column is in a range, as photons=500:2000, photons=500: "
        "or photons=:2000; may be given several times",
    )


def add_precision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--precision",
        metavar="NAME",
        default="auto",
        help="column of the localization precision, the standard deviation of the coordinates; "
        "components are the shapes without that error (default: the column that a localization "
        "program calls so, where there is one; 'none': not considered)",
    )
    parser.add_argument(
        "--precision-z", metavar="NAME", help="the same of z alone, where it is another one"
    )


def add_option(
    parser: argparse.ArgumentParser,
    option: str,
    parameter: Parameter,
    read: Callable[[str], Any] | None,
) -> None:
    text = parameter.help.replace("%", "%%")
    default = parameters.SEED if parameter is parameters.RANDOM_STATE else parameter.default
    if read is None:
        parser.add_argument(
            option,
            dest=parameter.name,
            action=argparse.BooleanOptionalAction,
            default=default,
            help=text,
        )
        return
    parser.add_argument(
        option,
        dest=parameter.name,
        type=read,
        default=default,
        choices=parameter.choices,
        metavar=None if parameter.choices else "N" if read is int else "NUMBER",
        help=text + ("" if default is None else " (default: %(default)s)"),
    )


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    return {parameter.name: getattr(options, parameter.name) for _, parameter, _ in FIT_OPTIONS}


def read_table(options: argparse.Namespace, *more: str) -> "PointTable":
    """The table of points that the options name."""
    from napari_sparse_gmm.io.tables import read_points

    names = ("x", "y", "z", "unit", "precision", "precision_z", "group", *more)
    columns = {name: getattr(options, name, None) for name in names}
    if columns["precision"] == "none":
        columns["precision"] = None
    table = read_points(options.input, **columns, ranges=ranges_of(options))
    for sentence in table.notes:
        print(f"{PROGRAM}: warning: {sentence}", file=sys.stderr)
    return table


def ranges_of(options: argparse.Namespace) -> "tuple[Range, ...]":
    """What the rows are filtered by."""
    from napari_sparse_gmm.ranges import Range

    return tuple(Range.parse(text) for text in options.filter)
