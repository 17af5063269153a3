"""`napari-sparse-gmm export`: a model, and points with their components, for other programs."""

import argparse
import sys
from pathlib import Path
from typing import Any

from napari_sparse_gmm import parameters
from napari_sparse_gmm.cli.options import (
    COMPUTING_OPTIONS,
    add_coordinates,
    add_option,
    add_precision,
)
from napari_sparse_gmm.cli.output import PROGRAM
from napari_sparse_gmm.export.formats import FORMATS, paths, write


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "export",
        help="write a model for other programs",
        description="Write a model, and the points of a table with their components, as other "
        "programs open them. Each file is whole or absent.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="formats:\n"
        + "\n".join(
            f"  {one.name:<14}{one.label}{' (needs --points)' if one.needs_points else ''}"
            for one in FORMATS.values()
        ),
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar="MODEL", help="model.json, or a model saved in napari")
    parser.add_argument(
        "--to",
        nargs="+",
        choices=list(FORMATS),
        metavar="FORMAT",
        required=True,
        help="one or several of those below",
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        required=True,
        help="the file, where it has the ending of the only format; or else a folder",
    )
    parser.add_argument(
        "--points",
        metavar="TABLE",
        help="table of the points, whose columns are kept, any that `fit` takes",
    )
    add_coordinates(parser)
    add_precision(parser)
    parser.add_argument(
        "--group", metavar="NAME", help="column of the groups, where the model has a mixture each"
    )
    add_option(parser, "--pixel-size", parameters.PIXEL_SIZE, float)
    parser.add_argument(
        "--image-pixel",
        type=float,
        metavar="NUMBER",
        help="side of a pixel of the image that outlines are to lie on, or of the camera for "
        "Picasso, in the unit of the model; its outer corner is at 0 (default: outlines lie on the "
        "exported density; Picasso needs it)",
    )
    parser.add_argument(
        "--coverage",
        type=float,
        metavar="NUMBER",
        help="percent of its component's points that each outline holds (default: as napari shows "
        f"the model, or {parameters.COVERAGE.default:g})",
    )
    for option, parameter, read in COMPUTING_OPTIONS:
        add_option(parser, option, parameter, read)


def run(options: argparse.Namespace) -> None:
    from napari_sparse_gmm.engines.threads import limited_threads
    from napari_sparse_gmm.errors import InputError
    from napari_sparse_gmm.export.content import Content, Pixels
    from napari_sparse_gmm.export.scored import read_scored
    from napari_sparse_gmm.io.models import load_model
    from napari_sparse_gmm.io.tables import ColumnNames
    from napari_sparse_gmm.writing import refuse_to_overwrite

    forms = [FORMATS[name] for name in dict.fromkeys(options.to)]
    out = Path(options.out)
    targets = paths(out, forms)
    inputs = [Path(options.model)]
    if options.points is not None:
        # Beside a file of Picasso lies one with its pixel size.
        inputs += [Path(options.points), Path(options.points).with_suffix(".yaml")]
    elif missing := [one.name for one in forms if one.needs_points]:
        raise InputError(f"{missing[0]} is written of points: name their table by --points.")
    written = [file for path, one in zip(targets, forms, strict=True) for file in one.files(path)]
    refuse_to_overwrite(written, inputs)
    parameters.N_THREADS.check(options.n_threads)
    model = load_model(options.model)
    image = None if options.image_pixel is None else Pixels.square(options.image_pixel)
    with limited_threads(options.n_threads):
        points = None
        if options.points is not None and any(
            one.needs_points or one.name == "spatialdata" for one in forms
        ):
            precision = None if options.precision == "none" else options.precision
            names = ColumnNames(
                options.x,
                options.y,
                options.z,
                precision=precision,
                precision_z=options.precision_z,
                group=options.group,
                unit=options.unit,
            )
            points = read_scored(
                model, options.points, names, engine=options.engine, device=options.device
            )
            for sentence in points.notes:
                print(f"{PROGRAM}: warning: {sentence}", file=sys.stderr)
        content = Content(model, points, options.pixel_size or None, image, options.coverage)
        if targets != [out]:
            out.mkdir(parents=True, exist_ok=True)
        for path, form in zip(targets, forms, strict=True):
            print(f"{path}: {write(path, form, content)}", flush=True)
