"""Density models as files to use again.

    >>> save_model("model.json", model)
    >>> load_model("model.json").mixture.log_density(points)

The file is JSON and holds every number exactly. Schema version 2; files of version 1, of a single
mixture, are read as well.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparse_gmm.density_model import DensityModel, Groups, Part
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.regions import Region

if TYPE_CHECKING:
    from napari_sparse_gmm.uncertainty import StandardErrors

FORMAT = "napari-sparse-gmm model"
SCHEMA_VERSION = 2

# Of a file, where its format is looked for.
_HEAD = 4096


def save_model(path: str | Path, model: DensityModel) -> None:
    """Write a model; an existing file is replaced."""
    groups = model.groups
    content = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "axis_labels": model.axis_labels,
        "unit": model.unit,
        "box": model.box,
        "parts": [None if part is None else _part_to_dict(part) for part in model.parts],
        "groups": None if groups is None else {"name": groups.name, "labels": groups.labels},
        "view": model.view,
        "provenance": model.provenance,
    }
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


def is_model(path: str | Path) -> bool:
    """Whether a file may be what `save_model` writes, by its first lines."""
    try:
        with Path(path).open("rb") as file:
            return FORMAT.encode() in file.read(_HEAD)
    except OSError:
        return False


def load_model(path: str | Path) -> DensityModel:
    """Read what `save_model` wrote.

    Raises
    ------
    ValueError
        Where the file is missing, is something else, comes from a later version or is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # JSONDecodeError and UnicodeDecodeError both are
        if is_model(path):
            raise ValueError(f"{path.name} is damaged: it is no complete JSON.") from None
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path.name} is not a model that napari-sparse-gmm has saved.")
    readers = {1: _read_version_1, SCHEMA_VERSION: _read}
    read = readers.get(content.get("schema_version", 0))
    if read is None:
        raise ValueError(
            f"{path.name} has schema version {content.get('schema_version')}, and this version "
            f"of napari-sparse-gmm reads {SCHEMA_VERSION}; a newer one may read it."
        )
    try:
        return read(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path.name} is damaged: {error!r}.") from error


def _read(content: dict[str, Any]) -> DensityModel:
    box, groups = content["box"], content["groups"]
    return DensityModel(
        parts=tuple(None if part is None else _part_from_dict(part) for part in content["parts"]),
        axis_labels=tuple(content["axis_labels"]),
        unit=content["unit"],
        box=None if box is None else _numbers(box),
        groups=None if groups is None else Groups(groups["name"], np.asarray(groups["labels"])),
        view=content["view"],
        provenance=content["provenance"],
    )


def _read_version_1(content: dict[str, Any]) -> DensityModel:
    """A single mixture; errors and box are not told."""
    n_points = float(content["n_points"])
    return DensityModel(
        parts=(
            Part(GaussianMixture.from_dict(content["mixture"]), None, round(n_points), n_points),
        ),
        axis_labels=tuple(content["axis_labels"]),
        unit=content["unit"],
        provenance=content["provenance"],
    )


def _part_to_dict(part: Part) -> dict[str, Any]:
    return {
        **vars(part),
        "mixture": part.mixture.to_dict(),
        "errors": None if part.errors is None else vars(part.errors),
    }


def _part_from_dict(values: dict[str, Any]) -> Part:
    mixture, mean = GaussianMixture.from_dict(values["mixture"]), values["mean_log_density"]
    return Part(
        mixture=mixture,
        errors=None if values["errors"] is None else _errors(values["errors"], mixture),
        n_points=int(values["n_points"]),
        total_weight=float(values["total_weight"]),
        cost=float(values["cost"]),
        n_iter=int(values["n_iter"]),
        converged=bool(values["converged"]),
        mean_log_density=None if mean is None else float(mean),
    )


def _errors(values: dict[str, Any], mixture: GaussianMixture) -> "StandardErrors":
    from napari_sparse_gmm.uncertainty import StandardErrors  # imports torch

    shape = mixture.means.shape
    return StandardErrors(
        _numbers(values["weights"]).reshape(shape[0]),
        _numbers(values["means"]).reshape(shape),
        _numbers(values["stds"]).reshape(shape),
    )


def _numbers(values: Any) -> FloatArray:
    """Lists of numbers, with words for those that JSON does not have, as an array."""
    return np.array(values, dtype=np.float64)


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: a number that it does not have as a word, such as "inf", and an
    object of another kind by its name.
    """
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, Region):
        return value.to_dict()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if isinstance(value, str | int | None) else str(value)
