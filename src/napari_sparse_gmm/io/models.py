"""A fitted mixture as a file, with what one needs to know to use it again.

    >>> save_model("model.json", model)
    >>> load_model("model.json").mixture.log_density(points)

The file is JSON and holds every number exactly.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.regions import Region

FORMAT = "napari-sparse-gmm model"
SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class DensityModel:
    """A mixture, the axes and units it is written in, and where it comes from.

    Attributes
    ----------
    mixture : GaussianMixture
    axis_labels : tuple of D str
    unit : str or None
        Unit of the means, on every axis.
    n_points : float
        Number of points that it was fitted to, or the sum of their weights.
    provenance : mapping
        How it was made, ready for JSON; see `provenance`.
    """

    mixture: GaussianMixture
    axis_labels: tuple[str, ...]
    unit: str | None
    n_points: float
    provenance: Mapping[str, Any] = field(default_factory=dict)


def provenance(
    *, source: str, parameters: Mapping[str, Any], engine: str, engine_reason: str
) -> dict[str, Any]:
    """How a model was made: from what, by which parameters, engine and version, and when."""
    return {
        "source": source,
        "parameters": {name: _plain(value) for name, value in parameters.items()},
        "engine": engine,
        "engine_reason": engine_reason,
        "version": version("napari-sparse-gmm"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _plain(value: Any) -> Any:
    """A parameter as JSON can hold it: numbers and lists as such, an object by its name."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Region):
        return value.to_dict()
    return value if isinstance(value, str | int | float | None) else repr(value)


def save_model(path: str | Path, model: DensityModel) -> None:
    """Write a model; an existing file is replaced."""
    content = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "axis_labels": list(model.axis_labels),
        "unit": model.unit,
        "n_points": float(model.n_points),
        "mixture": model.mixture.to_dict(),
        "provenance": dict(model.provenance),
    }
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


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
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path.name} is not a model that napari-sparse-gmm has saved.")
    if content.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"{path.name} has schema version {content.get('schema_version')}, and this version "
            f"of napari-sparse-gmm reads {SCHEMA_VERSION}; a newer one may read it."
        )
    try:
        model = DensityModel(
            mixture=GaussianMixture.from_dict(content["mixture"]),
            axis_labels=tuple(content["axis_labels"]),
            unit=content["unit"],
            n_points=float(content["n_points"]),
            provenance=content["provenance"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name} is damaged: {error!r}.") from error
    if len(model.axis_labels) != model.mixture.n_dimensions:
        raise ValueError(
            f"{path.name} is damaged: {len(model.axis_labels)} axis labels for "
            f"{model.mixture.n_dimensions} dimensions."
        )
    return model
