"""The fit of the widget as lines of Python, for napari's console or a notebook.

>>> source = Source(layer, axes=(0, 1))
>>> lines = script(source, source.read(), {"sparsity": 10.0, "background": False}).splitlines()
>>> print(lines[3])
points = layer.data[:, [0, 1]] * layer.scale[[0, 1]]  # y, x in nm
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_sparse_gmm import parameters
from napari_sparse_gmm.mixture import GaussianMixture
from napari_sparse_gmm.plugin.points.region import Pixels
from napari_sparse_gmm.plugin.points.source import Around, Cloud, Source
from napari_sparse_gmm.regions import Box, Hull, Prism, Region

_DEFAULTS = {p.name: p.default for p in vars(parameters).values() if hasattr(p, "default")}


def script(
    source: Source,
    cloud: Cloud,
    settings: Mapping[str, Any],
    starts: Sequence[GaussianMixture | None] = (),
    path_index: int | None = None,
) -> str:
    """Lines that need a `viewer` with the layer, and leave the fitted `model`.

    Parameters
    ----------
    source : Source
    cloud : Cloud
        What was read of it.
    settings : mapping
        Keywords of `SparseGaussianMixture`; those that are the default are left out.
    starts : sequence of (GaussianMixture or None), optional
        What the fit of each group went on from, if not as the settings say.
    path_index : int, optional
        Which solution along a sparsity path it is, if it is one.
    """
    layer, axes = source.layer, list(source.axes)
    imports = {"from napari_sparse_gmm import SparseGaussianMixture"}
    lines = [f"layer = viewer.layers[{layer.name!r}]"]
    names, unit = ", ".join(cloud.frame.names), cloud.frame.unit
    comment = " ".join(f"{names} in {unit}".split() if unit else names.split())  # on one line
    chosen, sampled = "", cloud.all_points is not None
    if sampled:
        imports.add("from napari_sparse_gmm.plugin.points.source import Source")
        if source.ranges:
            imports.add("from napari_sparse_gmm.ranges import Range")
        lines.append(f"cloud = {_source(source)}.read()")
        lines.append(f"points = cloud.all_points.open()  # {comment}")
    else:
        lines.append(f"points = layer.data[:, {axes}] * layer.scale[{axes}]  # {comment}")
    if not (sampled or cloud.shown.all()):
        imports |= {"import base64", "import zlib", "import numpy as np"}
        why = f"  # {', '.join(map(str, cloud.ranges))}" if cloud.ranges else ""
        lines += [f"used = {_rows(cloud.shown)}{why}", "points = points[used]"]
        chosen = "[used]"
    keywords = {name: repr(value) for name, value in settings.items() if value != _DEFAULTS[name]}
    if settings[parameters.BACKGROUND.name] and cloud.region is not None:
        needed, text = (set(), "cloud.region") if sampled else _background(source, cloud.region)
        keywords[parameters.BACKGROUND.name] = text
        imports |= needed
    if source.each is not None:
        # Of the groups that have points.
        starts = [starts[group] for group in np.unique(cloud.groups)] if starts else ()
    if starts:
        imports |= {
            "import base64",
            "import json",
            "import zlib",
            "from napari_sparse_gmm import GaussianMixture",
        }
        of_image = isinstance(source.region, Image)
        lines.append(
            f"starts = {_mixtures(starts, of_image)}  # an earlier fit, which this one went on from"
        )
        if source.each is None:
            keywords[parameters.INIT.name] = "starts[0]"
    given = [f"    {name}={text}," for name, text in keywords.items()]
    lines += ["model = SparseGaussianMixture(", *given, ")"]
    extra = "" if sampled else _of_points(source, chosen)
    if source.each is not None:
        imports.add("from napari_sparse_gmm.groups import fit_groups")
        if cloud.own_regions is None:
            lines.append(f"groups = {_labels(source)}{chosen}")
        else:
            imports.add("from napari_sparse_gmm.regions import region_from_dict, region_labels")
            lines += [
                "regions = {",
                *(
                    f"    {name!r}: region_from_dict({region.to_dict()!r}),"
                    for name, region in cloud.regions.items()
                ),
                "}",
                "groups = region_labels(points, regions)",
            ]
            extra += ", regions=regions"
        if starts:
            extra += ", starts=starts"
        lines.append(f"fits = fit_groups(model, points, groups{extra})")
        lines.append("for fit in fits:")
        lines.append("    print(fit.label, fit.model.n_components_ if fit.model else fit.problem)")
    elif path_index is not None:
        lines.append(f"path = model.sparsity_path(points{extra})")
        lines.append(f"model = path[{path_index}].model")
        lines.append("print(model.n_components_, model.means_)")
    else:
        lines.append(f"model.fit(points{extra})")
        lines.append("print(model.n_components_, model.means_)")
    return "\n".join([*_ordered(imports), "", *lines, ""])


def _source(source: Source) -> str:
    """An expression of it, but for what is the default."""
    given = {name: getattr(source, name) for name in ("weights", "precision", "axial_precision")}
    texts = {name: repr(value) for name, value in given.items() if value is not None}
    if isinstance(source.region, Layer):
        texts["region"] = f"viewer.layers[{source.region.name!r}]"
        texts["in_units"] = repr(source.in_units)
    if source.ranges:
        limits = ", ".join(f"Range.parse({each.text!r})" for each in source.ranges)
        texts["ranges"] = f"({limits},)"
    more = "".join(f", {name}={text}" for name, text in texts.items())
    return f"Source(layer, {source.axes!r}{more})"


def _ordered(imports: set[str]) -> list[str]:
    """Those of the standard library, of others, and of the package, each after an empty line."""
    kinds: list[list[str]] = [[], [], []]
    for line in sorted(imports, key=lambda line: (line.split()[1], line)):
        package = line.split()[1].partition(".")[0]
        kinds[2 if package == "napari_sparse_gmm" else 1 if package == "numpy" else 0].append(line)
    return "\n\n".join("\n".join(kind) for kind in kinds if kind).split("\n")


def _mixtures(starts: Sequence[GaussianMixture | None], of_image: bool) -> str:
    """An expression of them, exact and short."""
    values = json.dumps(
        [start and (_without_image(start) if of_image else start.to_dict()) for start in starts]
    )
    return (
        "[\n    start and GaussianMixture.from_dict(start)\n    for start in json.loads("
        f'zlib.decompress(base64.b64decode(\n        "{_packed(values.encode())}"\n    )))\n]'
    )


def _without_image(start: GaussianMixture) -> dict[str, Any]:
    """A mixture with a box in the place of a given image, whose pixels would be megabytes of text:
    a fit that goes on from it has its own.
    """
    region = start.background_region
    return replace(start, background_region=None if region is None else Box(region.box)).to_dict()


def _packed(values: bytes) -> str:
    return base64.b64encode(zlib.compress(values, 9)).decode()


def _rows(shown: NDArray[np.bool_]) -> str:
    """An expression of the points that are used."""
    return (
        "np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(\n    "
        f'"{_packed(np.packbits(shown).tobytes())}"\n)), np.uint8), '
        f"count={len(shown)}).astype(bool)"
    )


def _background(source: Source, region: Region) -> tuple[set[str], str]:
    """What to import for it, and its expression."""
    if isinstance(source.region, Image):
        return _of_image(source, source.region, region)
    if source.region is Around.HULL and isinstance(region, Hull):
        name, text = "Hull", "Hull(points)"
    else:
        name, text = "region_from_dict", f"region_from_dict({region.to_dict()!r})"
    return {f"from napari_sparse_gmm.regions import {name}"}, text


def _of_image(source: Source, layer: Image, region: Region) -> tuple[set[str], str]:
    """The same of an image, which is a layer of the viewer, as the points are: what is drawn fits
    on the clipboard, but not a value for each of millions of pixels.
    """
    pixels = Pixels.of(layer, source.layer, source.axes, source.in_units)
    imports, names = set(), "Intensity"
    image = f"viewer.layers[{layer.name!r}].data" + ("[0]" if layer.multiscale else "")
    if pixels.together:
        imports.add("import numpy as np")
        image = f"np.mean({image}, axis={pixels.together}, dtype=float)"
    text = f"Intensity({image}, {pixels.spacing.tolist()}, {pixels.origin.tolist()})"
    if isinstance(region, Prism):
        names, text = "Intensity, over", f"over({text}, points)[0]"
    return imports | {f"from napari_sparse_gmm.regions import {names}"}, text


def _of_points(source: Source, chosen: str) -> str:
    """The arguments of `fit` that say what is known of each point."""
    text = ""
    if source.weights is not None:
        text += f", sample_weight=layer.features[{source.weights!r}].to_numpy(){chosen}"
    columns = [f"layer.features[{name!r}].to_numpy(){chosen}" for name in source.precisions]
    if columns:
        together = f"list(zip({', '.join(columns)}))"
        text += f", noise_std={together if len(set(columns)) > 1 else columns[0]}"
    return text


def _labels(source: Source) -> str:
    if isinstance(source.each, int):
        return f"layer.data[:, {source.each}]"
    return f"layer.features[{source.each!r}].to_numpy()"
