"""From what the fields say to what a fit is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.parameters import BACKGROUND, RANDOM_STATE
from napari_sparse_gmm.plugin.control.state import Asked
from napari_sparse_gmm.plugin.points.source import Cloud, Source
from napari_sparse_gmm.plugin.tasks.pacing import PACING, Pacing
from napari_sparse_gmm.plugin.tasks.values import FitRequest, HeatmapChoice, Place


def ask(
    source: Source,
    used: NDArray[np.bool_],
    cloud: Cloud,
    settings: Mapping[str, Any],
    heatmap: HeatmapChoice,
    units: Sequence[Any] | None,
    before: Asked | None = None,
    pacing: Pacing = PACING,
    place: Place | None = None,
) -> Asked:
    """What a fit is asked for.

    Parameters
    ----------
    source : Source
    used : (all points of the layer,) array of bool
        Which of its points are to be fitted.
    cloud : Cloud
        What was read of them.
    settings : mapping
        Keywords of `SparseGaussianMixture`. A fit always has a seed, so that it can be shown, and
        repeated: that of `before`, or a new one.
    heatmap : HeatmapChoice
    units : sequence of pint units, or None
        Those of the viewer.
    before : Asked, optional
        What the last fit was asked for.
    pacing : Pacing, optional
        How often it is to tell how it goes on.
    place : Place, optional
        Where points are that are more than the layer shows.
    """
    settings = dict(settings)
    if settings[BACKGROUND.name] and cloud.region is not None:
        settings[BACKGROUND.name] = cloud.region
    if settings[RANDOM_STATE.name] is None:
        settings[RANDOM_STATE.name] = (
            int(np.random.default_rng().integers(2**31))
            if before is None
            else before.request.parameters[RANDOM_STATE.name]
        )
    cloud = replace(cloud, frame=cloud.frame.beside(units))
    request = FitRequest(cloud, settings, heatmap, source.layer.name, pacing, place or Place())
    return Asked(source, used, request)
