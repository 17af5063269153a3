"""Density models as files to use again.

    >>> save_model("model.json", model)
    >>> bool((load_model("model.json").mixture.means == model.mixture.means).all())
    True

The file is JSON and holds every number exactly. Schema version 2; files of version 1, of a single
mixture, are read as well.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.density_model import DensityModel, Groups, InRegion, Part
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.files import readable_file
from napari_sparse_gmm.io.records import NOT_FINITE, entry, number, numbers, whole
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.regions import Region, region_from_dict
from napari_sparse_gmm.writing import whole_file

if TYPE_CHECKING:
    from napari_sparse_gmm.evidence import Evidence
    from napari_sparse_gmm.members import Members
    from napari_sparse_gmm.uncertainty import StandardErrors

FORMAT = "napari-sparse-gmm model"
SCHEMA_VERSION = 2

# Of a file, where its format is looked for.
_HEAD = 4096

# The largest mask that there may be takes 180 MB.
_MOST_BYTES = 2**28


def save_model(path: str | Path, model: DensityModel) -> None:
    """Write a model; an existing file is replaced, when the new one is whole."""
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
    with whole_file(path) as whole_path:
        whole_path.write_text(text + "\n", encoding="utf-8")


def is_model(path: str | Path) -> bool:
    """Whether a file may be what `save_model` writes, by its first lines."""
    try:
        with readable_file(path).open("rb") as file:
            return FORMAT.encode() in file.read(_HEAD)
    except (InputError, OSError):
        return False


def load_model(path: str | Path) -> DensityModel:
    """Read what `save_model` wrote.

    Raises
    ------
    InputError
        Where the file is missing, is something else, comes from a later version or is damaged.
    """
    path = readable_file(path, _MOST_BYTES)
    problem = "it is no complete JSON"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:  # JSONDecodeError and UnicodeDecodeError both are
        content = None
    except RecursionError:
        content, problem = None, "it is nested too deeply"
    if content is None and is_model(path):
        raise InputError(_damaged(path, problem))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path.name} is not a model that napari-sparse-gmm has saved.")
    try:
        schema_version = whole(content, "schema_version")
        if schema_version in _READERS:
            return _READERS[schema_version](content)
    except InputError as error:
        raise InputError(_damaged(path, str(error).rstrip("."))) from error
    raise InputError(
        f"{path.name} has schema version {schema_version}, and this version of napari-sparse-gmm "
        f"reads {SCHEMA_VERSION}; a newer one may read it."
    )


def _damaged(path: Path, problem: str) -> str:
    return f"{path.name} is damaged: {problem}. Open another copy of it, or fit again."


def _read(content: dict[str, Any]) -> DensityModel:
    axis_labels, groups = _axis_labels(content), entry(content, "groups", dict, NoneType)
    box = entry(content, "box")
    if box is not None:
        box = numbers(content, "box", (2, len(axis_labels)))
    parts = entry(content, "parts", list)
    return DensityModel(
        parts=tuple(None if part is None else _part_from_dict(part) for part in parts),
        axis_labels=axis_labels,
        unit=entry(content, "unit", str, NoneType),
        box=box,
        groups=None if groups is None else Groups(entry(groups, "name", str), _labels(groups)),
        view=entry(content, "view", dict, NoneType),
        provenance=entry(content, "provenance", dict),
    )


def _read_version_1(content: dict[str, Any]) -> DensityModel:
    """A single mixture, without errors and box."""
    n_points = number(content, "n_points")
    return DensityModel(
        parts=(Part(_mixture(content), None, whole(content, "n_points"), n_points),),
        axis_labels=_axis_labels(content),
        unit=entry(content, "unit", str, NoneType),
        provenance=entry(content, "provenance", dict),
    )


# By their schema version.
_READERS = {1: _read_version_1, SCHEMA_VERSION: _read}


def _part_to_dict(part: Part) -> dict[str, Any]:
    return {
        **vars(part),
        "mixture": part.mixture.to_dict(),
        "errors": None if part.errors is None else vars(part.errors),
        "evidence": None if part.evidence is None else vars(part.evidence),
        "regions": [vars(region) for region in part.regions],
        "members": None if part.members is None else vars(part.members),
    }


def _part_from_dict(values: Any) -> Part:
    mixture, mean = _mixture(values), entry(values, "mean_log_density")
    return Part(
        mixture=mixture,
        errors=_errors(values, mixture),
        n_points=whole(values, "n_points"),
        total_weight=number(values, "total_weight"),
        cost=number(values, "cost"),
        n_iter=whole(values, "n_iter"),
        converged=entry(values, "converged", bool),
        mean_log_density=None if mean is None else number(values, "mean_log_density"),
        repeats=number(values, "repeats") if "repeats" in values else 1.0,
        evidence=_evidence(values, mixture),
        seen=_seen(values, mixture),
        regions=tuple(_in_region(each, mixture) for each in _regions(values)),
        members=_members(values, mixture),
    )


def _seen(values: Any, mixture: GaussianMixture) -> FloatArray | None:
    seen = values.get("seen")  # which older files lack
    return None if seen is None else numbers(values, "seen", mixture.weights.shape)


def _members(values: Any, mixture: GaussianMixture) -> "Members | None":
    found = values.get("members")  # which older files lack
    if found is None:
        return None
    from napari_sparse_gmm.members import Members  # imports torch

    names = [field.name for field in fields(Members)]
    known = [name for name in names if entry(found, name, list, NoneType) is not None]
    if len({"first_frame", "last_frame"} & set(known)) == 1:
        raise InputError("its 'members' have a first or a last frame, and not both")
    shape = mixture.weights.shape
    return Members(*(numbers(found, name, shape) if name in known else None for name in names))


def _regions(values: Any) -> list[Any]:
    # Which older files lack.
    return entry(values, "regions", list) if "regions" in values else []


def _in_region(values: Any, mixture: GaussianMixture) -> InRegion:
    region = _region(values, "region")
    if region.n_dimensions != mixture.n_dimensions:
        raise InputError("its 'regions' have other dimensions than the mixture")
    counts = number(values, "n_points"), number(values, "n_background")
    return InRegion(entry(values, "name", str), region, *counts)


def _region(values: Any, name: str) -> Region:
    try:
        return region_from_dict(entry(values, name))
    except InputError as error:
        raise InputError(f"its {name!r} is of no use: {error}") from error
    except Exception as error:  # shapely, Qhull and zlib have their own
        raise InputError(f"its {name!r} is no region") from error


def _mixture(values: Any) -> GaussianMixture:
    mixture = entry(values, "mixture", dict)
    region, d = entry(mixture, "background_region"), whole(mixture, "n_dimensions")
    if region is not None:
        region = _region(mixture, "background_region")
    return GaussianMixture(
        numbers(mixture, "weights", (-1,)),
        numbers(mixture, "means", (-1, d)),
        numbers(mixture, "covariances", (-1, d, d)),
        number(mixture, "background_weight"),
        region,
    )


def _errors(values: Any, mixture: GaussianMixture) -> "StandardErrors | None":
    errors = entry(values, "errors")
    if errors is None:
        return None
    from napari_sparse_gmm.uncertainty import StandardErrors  # imports torch

    shape = mixture.means.shape
    return StandardErrors(
        numbers(errors, "weights", shape[:1]),
        numbers(errors, "means", shape),
        numbers(errors, "stds", shape),
    )


def _evidence(values: Any, mixture: GaussianMixture) -> "Evidence | None":
    found = values.get("evidence")  # which older files lack
    if found is None:
        return None
    from napari_sparse_gmm.evidence import Evidence  # imports torch

    of_components = numbers(found, "components", mixture.weights.shape)
    kinds, probabilities = np.zeros(len(of_components), dtype=np.intp), np.ones(len(of_components))
    if "kinds" in found:
        kinds = numbers(found, "kinds", kinds.shape).astype(np.intp)
        probabilities = numbers(found, "probabilities", kinds.shape)
    return Evidence(of_components, number(found, "field"), kinds, probabilities)


def _axis_labels(content: Any) -> tuple[str, ...]:
    labels = entry(content, "axis_labels", list)
    if not all(isinstance(label, str) for label in labels):
        raise InputError("its 'axis_labels' must be words")
    return tuple(labels)


def _labels(groups: Any) -> NDArray[Any]:
    """Labels of groups (G,): words, or numbers of which some may not be finite."""
    labels = entry(groups, "labels", list)
    if not all(isinstance(label, str | int | float) for label in labels):
        raise InputError("its 'labels' must be numbers or words")
    words = {label for label in labels if isinstance(label, str)}
    if words and len(words) < len(set(labels)) and words <= set(NOT_FINITE):
        return numbers(groups, "labels", (-1,))
    return np.asarray(labels)


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: a number that it does not have as a word, such as "inf", an
    object of another kind by its name, and a byte that is no UTF-8, in the name of a file, as its
    number.
    """
    if isinstance(value, Mapping):
        return {_plain(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, Region):
        return value.to_dict()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int | None):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
