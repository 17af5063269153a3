"""`napari-sparse-gmm channels`: the points of a second channel beside the clusters of a first."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparse_gmm import parameters
from napari_sparse_gmm.cli.options import add_option, add_table, read_table
from napari_sparse_gmm.cli.output import PROGRAM, progress_bar
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.wording import count

if TYPE_CHECKING:
    from napari_sparse_gmm.density_model import DensityModel
    from napari_sparse_gmm.io.tables import PointTable
    from napari_sparse_gmm.mixture import FloatArray
    from napari_sparse_gmm.regions import Region


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "channels",
        help="compare a second channel with the clusters of a first",
        description="Compare a table of points, the second channel, with the clusters of a model "
        "of the first: the share of points inside the clusters, and distances, against random "
        "shifts of the second channel. Writes channels.csv, clusters.csv and channels.png.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "model", metavar="MODEL", help="of the first channel: model.json, or one saved in napari"
    )
    add_table(parser, precision=False)
    parser.add_argument(
        "--model2",
        metavar="FILE",
        help="model of the second channel, for the distances between clusters",
    )
    parser.add_argument(
        "--region",
        metavar="FILE",
        help="where both channels could be seen: 'hull', the convex hull of the points, or a "
        "Shapes layer that napari has saved as CSV; points outside of it are left out (default: "
        "the region of the model, or the bounding box of both)",
    )
    add_option(parser, "--coverage", parameters.COVERAGE, float)
    add_option(parser, "--shifts", parameters.N_SHIFTS, int)
    add_option(parser, "--random-state", parameters.RANDOM_STATE, int)
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to write to")


def run(options: argparse.Namespace) -> None:
    """Compare, with a progress bar on a terminal, and say what came out."""
    from napari_sparse_gmm.batch import refuse_other_axes
    from napari_sparse_gmm.channel_results import FILES, write_comparison
    from napari_sparse_gmm.channels import iter_comparison
    from napari_sparse_gmm.channels.report import summary
    from napari_sparse_gmm.io.models import load_model
    from napari_sparse_gmm.io.units import same_unit
    from napari_sparse_gmm.writing import refuse_to_overwrite

    folder, table_path = Path(options.out), Path(options.input)
    # Beside a file of Picasso lies one with its pixel size.
    inputs = [options.model, table_path, table_path.with_suffix(".yaml")]
    inputs += [path for path in (options.model2, options.region) if path is not None]
    refuse_to_overwrite([folder / name for name in FILES], map(Path, inputs))
    model, table = load_model(options.model), read_table(options)
    refuse_other_axes(model, table)
    second = None if options.model2 is None else load_model(options.model2)
    if second is not None and not same_unit(second.unit or "", model.unit or ""):
        raise InputError(
            f"The models are in {second.unit or 'no unit'} and in {model.unit or 'no unit'}: fit "
            "both channels in the same."
        )
    for sentence in _doubts(model, table):
        print(f"{PROGRAM}: warning: {sentence}", file=sys.stderr)
    n_shifts = getattr(options, parameters.N_SHIFTS.name)
    steps = iter_comparison(
        model.mixture,
        table.observations,
        second=None if second is None else second.mixture,
        region=_region(options.region, model, table.points),
        coverage=options.coverage,
        n_shifts=n_shifts,
        random_state=options.random_state,
    )
    with progress_bar(n_shifts, "shift") as bar:
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                comparison = stop.value
                break
            bar.update()
    write_comparison(folder, comparison, model)
    print(
        f"{options.input}: {summary(comparison, model.unit)}\n"
        f"written to {folder}: {', '.join(FILES)}"
    )


def _doubts(model: "DensityModel", table: "PointTable") -> list[str]:
    """Why the table may not be of the field of the model, or not in its unit."""
    from napari_sparse_gmm.channels import field_of

    doubts = []
    if bool(table.unit) != bool(model.unit):
        doubts.append(
            f"The points are in {table.unit or 'no unit'} and the model is in "
            f"{model.unit or 'no unit'}: both are taken for the same."
        )
    n_points = len(table.points)
    n_outside = n_points - int(field_of(model.mixture, model.box).contains(table.points).sum())
    if n_outside > n_points / 2:
        doubts.append(
            f"{n_outside:,} of {count(n_points, 'point')} lie outside of the field of the first "
            "channel: see that both have the same unit and origin."
        )
    return doubts


def _region(what: str | None, model: "DensityModel", points: "FloatArray") -> "Region":
    """Where both channels could be seen."""
    import numpy as np

    from napari_sparse_gmm.channels import common_region
    from napari_sparse_gmm.io.regions import read_regions
    from napari_sparse_gmm.regions import Hull, over, union

    common = common_region(model.mixture, points, model.box)
    if what is None:
        return common
    if what == "hull":
        return Hull(np.concatenate([points, model.mixture.means]))
    region, inside = over(union(list(read_regions(what).values())), points, common.box)
    if not inside.any():
        raise InputError(f"No point lies in the region of {what}.")
    return region
