"""What a paper says of a fit: a paragraph of methods, and what to cite.

>>> methods(model).split(" was ")[0]
'The density of 600 points in 2D (y, x, in nm)'
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparse_gmm import parameters
from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.export.content import Content
from napari_sparse_gmm.io.units import symbol_of
from napari_sparse_gmm.parameters import Parameter
from napari_sparse_gmm.wording import count, repeated
from napari_sparse_gmm.writing import whole_file

_CITATION = "napari-sparse-gmm contributors. napari-sparse-gmm"
_KEOPS = (
    "Charlier B, Feydy J, Glaunès JA, Collin F-D, Durif G. Kernel Operations on the GPU, with "
    "Autodiff, without Memory Overflows. Journal of Machine Learning Research 22(74), 2021."
)
_BOVY = (
    "Bovy J, Hogg DW, Roweis ST. Extreme deconvolution: inferring complete distribution functions "
    "from noisy, heterogeneous and incomplete observations. Annals of Applied Statistics 5(2B), "
    "2011. https://doi.org/10.1214/10-AOAS439"
)

# What decides how many components there are, by the name of the prior, and what it goes back to.
_PRIORS: dict[str, tuple[str, str]] = {
    "bayes": (
        "The points were taken for a Poisson superposition of clusters and background, and the "
        "number of clusters and their typical size were learnt from the points by variational "
        "Bayes{cite}.",
        "Bishop CM. Pattern Recognition and Machine Learning, section 10.2. Springer, 2006.",
    ),
    "mml": (
        "The number of components was chosen by minimum message length{cite}.",
        "Figueiredo MAT, Jain AK. Unsupervised learning of finite mixture models. IEEE "
        "Transactions on Pattern Analysis and Machine Intelligence 24(3), 2002.",
    ),
    "sqrt": (
        "The number of components was limited by a penalty on the square roots of their "
        "weights{cite}.",
        _KEOPS,
    ),
    "none": ("The likelihood was maximised without a prior.", ""),
}

# What a background fills, by the kind of its region.
_PLACES = {
    "box": "the bounding box of the points",
    "hull": "the convex hull of the points",
    "polygon": "an outlined region",
    "mask": "a region of pixels",
}

_ENGINES = {"keops": "KeOps", "torch": "PyTorch", "fused": "kernels that Numba compiles"}

# What is told in words, or says nothing of the result.
_TOLD = ("prior", "background", "engine", "device", "n_threads", "storage")


def methods(model: DensityModel) -> str:
    """A paragraph, and below it the references that it numbers, ready to paste.

    All numbers are those of the model; a sentence on what an older file does not tell is missing.
    """
    asked = model.parameters
    made_by = model.provenance.get("version")
    cited: list[str] = []

    def cite(reference: str) -> str:
        if reference not in cited:
            cited.append(reference)
        return f" [{cited.index(reference) + 1}]"

    program = "napari-sparse-gmm" + (f" {made_by}" if made_by else "")
    own = f"{_CITATION}{f', version {made_by}' if made_by else ''}."
    unit = symbol_of(model.unit) or model.unit
    in_unit = f", in {unit}" if unit else ""
    n, d = sum(part.n_seen for part in model.fitted), len(model.axis_labels)
    sentences = [
        f"The density of {n:,.6g} points in {d}D ({', '.join(model.axis_labels)}{in_unit}) was "
        f"modelled as a mixture of Gaussians of {_shapes(model)} with {program}{cite(own)}."
    ]
    if (prior := asked.get("prior")) in _PRIORS:
        sentence, reference = _PRIORS[prior]
        sentences.append(sentence.format(cite=cite(reference) if reference else ""))
    sentences.append(_background(model))
    if model.deconvolved:
        sentences.append(
            "The localization precision of each point was considered, so that components are "
            f"the shapes without it{cite(_BOVY)}."
        )
    sentences.append(_found(model))
    sentences += [repeated(part.repeats) for part in model.fitted if model.groups is None]
    if engine := model.provenance.get("engine"):
        by = cite(_KEOPS) if engine == "keops" else ""
        sentences.append(
            f"The sums over points were computed by {_ENGINES.get(engine, engine)}{by}."
        )
    if changed := _changed(asked):
        sentences.append(f"Other parameters that were not the defaults: {changed}.")
    elif asked:
        sentences.append("All other parameters had their defaults.")
    lines = [" ".join(filter(None, sentences)), ""]
    lines += [f"[{number}] {reference}" for number, reference in enumerate(cited, start=1)]
    return "\n".join(lines) + "\n"


def write_methods(path: Path, content: Content) -> str:
    """Write the paragraph as text, which is Markdown, too."""
    with whole_file(path) as whole_path:
        whole_path.write_text(methods(content.model), encoding="utf-8")
    return "a paragraph and its references"


def _shapes(model: DensityModel) -> str:
    """Which covariances the components have."""
    ratios = [part.mixture.principal_axes.std for part in model.fitted]
    round_ = all(np.allclose(std, std[:, :1], rtol=1e-6) for std in ratios)
    return "spherical covariances" if round_ else "full covariances"


def _background(model: DensityModel) -> str:
    """What the background fills, in a sentence; of a model without one that it has none."""
    regions = [
        part.mixture.background_region
        for part in model.fitted
        if part.mixture.background_region is not None and part.mixture.background_weight > 0
    ]
    if not regions:
        return "There was no background."
    places = sorted({_PLACES.get(region.kind, "") for region in regions} - {""})
    over = f" over {' or '.join(places)}" if places else ""
    density = "even" if all(region.is_even for region in regions) else "uneven"
    return f"Points of no component belong to a background of {density} density{over}."


def _found(model: DensityModel) -> str:
    """How many components and how much background, in a sentence or two."""
    weights = np.array([part.total_weight for part in model.fitted])
    shares = np.array([part.mixture.background_weight for part in model.fitted])
    k = sum(part.mixture.n_components for part in model.fitted)
    groups = ""
    if model.groups is not None:
        n = len(model.fitted)
        groups = f" in {count(n, 'group')} ({model.groups.name}), each fitted by itself"
    share = float(weights @ shares / weights.sum())
    text = f"The fit found {count(k, 'component')}{groups}"
    text += f", with {100 * share:.3g}% of the points in the background." if share else "."
    n_not = sum(not part.converged for part in model.fitted)
    known = any(part.n_iter for part in model.fitted)
    if n_not and known:
        of = "It" if model.groups is None else f"{n_not:,} of {len(model.fitted):,} fits"
        text += f" {of} had not converged when the iterations ended."
    return text


def _changed(asked: Mapping[str, Any]) -> str:
    """Parameters that are not their defaults, by name and value."""
    known = {one.name: one for one in vars(parameters).values() if isinstance(one, Parameter)}
    return ", ".join(
        f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}"
        for name, value in asked.items()
        if name in known
        and name not in _TOLD
        and isinstance(value, bool | int | float | str)
        and value != known[name].default
    )
