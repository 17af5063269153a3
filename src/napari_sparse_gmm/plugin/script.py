"""The fit of the widget as lines of Python, for napari's console or a notebook.

>>> print(script(source, cloud, parameters))
"""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm import parameters
from napari_sparse_gmm.plugin.source import Around, Cloud, Source
from napari_sparse_gmm.regions import Hull, Region

_DEFAULTS = {p.name: p.default for p in vars(parameters).values() if hasattr(p, "default")}


def script(
    source: Source, cloud: Cloud, settings: Mapping[str, Any], path_place: int | None = None
) -> str:
    """Lines that need a `viewer` with the layer, and leave the fitted `model`.

    Parameters
    ----------
    source : Source
    cloud : Cloud
        What was read of it.
    settings : mapping
        Keywords of `SparseGaussianMixture`; those that are the default are left out.
    path_place : int, optional
        Which solution along a sparsity path it is, if it is one.
    """
    layer, axes = source.layer, list(source.axes)
    imports = ["from napari_sparse_gmm import SparseGaussianMixture"]
    lines = [f"layer = viewer.layers[{layer.name!r}]"]
    names, unit = ", ".join(cloud.frame.names), cloud.frame.unit
    told = " ".join(f"{names} in {unit}".split() if unit else names.split())  # on one line
    lines.append(f"points = layer.data[:, {axes}] * layer.scale[{axes}]  # {told}")
    chosen, rows = "", _rows(cloud.shown)
    if rows:
        imports = ["import base64", "import zlib", "", "import numpy as np", *imports]
        lines += [f"used = {rows}", "points = points[used]"]
        chosen = "[used]"
    keywords = {name: value for name, value in settings.items() if value != _DEFAULTS[name]}
    keywords.pop(parameters.BACKGROUND.name, None)
    if settings[parameters.BACKGROUND.name]:
        name, text = _background(source, cloud.region)
        keywords[parameters.BACKGROUND.name] = text
        if name:
            imports.append(f"from napari_sparse_gmm.regions import {name}")
    given = [
        f"{name}={value if name == parameters.BACKGROUND.name else repr(value)}"
        for name, value in keywords.items()
    ]
    lines += ["model = SparseGaussianMixture(", *(f"    {text}," for text in given), ")"]
    extra = _of_points(source, len(axes), chosen)
    if source.each is not None:
        imports.append("from napari_sparse_gmm.groups import fit_groups")
        lines.append(f"groups = {_labels(source)}{chosen}")
        lines.append(f"fits = fit_groups(model, points, groups{extra})")
        lines.append("for fit in fits:")
        lines.append("    print(fit.label, fit.model.n_components_ if fit.model else fit.problem)")
    elif path_place is not None:
        lines.append(f"path = model.sparsity_path(points{extra})")
        lines.append(f"model = path[{path_place}].model")
        lines.append("print(model.n_components_, model.means_)")
    else:
        lines.append(f"model.fit(points{extra})")
        lines.append("print(model.n_components_, model.means_)")
    return "\n".join([*imports, "", *lines, ""])


def _rows(shown: NDArray[np.bool_]) -> str:
    """An expression of the points that are used; "" where all are."""
    if shown.all():
        return ""
    packed = base64.b64encode(zlib.compress(np.packbits(shown).tobytes(), 9)).decode()
    return (
        f'np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(\n    "{packed}"\n)), '
        f"np.uint8), count={len(shown)}).astype(bool)"
    )


def _background(source: Source, region: Region | None) -> tuple[str, str]:
    """What to import for it, and its expression."""
    if region is None:
        return "", "True"
    if source.region is Around.HULL and isinstance(region, Hull):
        return "Hull", "Hull(points)"
    return "region_from_dict", f"region_from_dict({region.to_dict()!r})"


def _of_points(source: Source, n_dimensions: int, chosen: str) -> str:
    """The arguments of `fit` that say what is known of each point."""
    text = ""
    if source.weights is not None:
        text += f", sample_weight=layer.features[{source.weights!r}].to_numpy(){chosen}"
    if source.precision is not None:
        column = f"layer.features[{source.precision!r}].to_numpy(){chosen}"
        if source.axial_precision is not None and n_dimensions == 3:
            axial = f"layer.features[{source.axial_precision!r}].to_numpy(){chosen}"
            column = f"list(zip({axial}, {column}, {column}))"
        text += f", noise_std={column}"
    return text


def _labels(source: Source) -> str:
    if isinstance(source.each, int):
        return f"layer.data[:, {source.each}]"
    return f"layer.features[{source.each!r}].to_numpy()"
