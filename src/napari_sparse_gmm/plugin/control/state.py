"""What the dock widget knows of a fit: what was asked for, what came of it, what of it is shown."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_sparse_gmm.density_model import DensityModel
from napari_sparse_gmm.parameters import COMPUTING
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.points.source import Cloud, Source
from napari_sparse_gmm.plugin.preferences import preferences
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.tasks.fit import Starts, starts_for
from napari_sparse_gmm.plugin.tasks.values import FitRequest, Heatmap, HeatmapChoice
from napari_sparse_gmm.regions import Region

if TYPE_CHECKING:
    from napari_sparse_gmm.path import SparsityPath


@dataclass(frozen=True, eq=False)
class Asked:
    """What a fit was asked for."""

    source: Source
    used: NDArray[np.bool_]  # of the points of the layer
    request: FitRequest

    def same_as(self, other: "Asked") -> bool:
        """Whether the same is asked for of the same points, whatever computes it."""
        one, two = (
            {
                # A region is the cloud's, which is compared.
                name: True if isinstance(value, Region) else value
                for name, value in asked.request.parameters.items()
                if name not in COMPUTING
            }
            for asked in (self, other)
        )
        return self.source == other.source and one == two and self.cloud.same_as(other.cloud)

    @property
    def cloud(self) -> Cloud:
        """What was read of them."""
        return self.request.cloud

    @property
    def layer(self) -> Points:
        """Whose points are fitted."""
        return self.source.layer

    @property
    def key(self) -> Hashable:
        """What the layer is known by."""
        return self.layer.unique_id

    def starts_from(self, other: "Asked", model: DensityModel) -> Starts | None:
        """The mixtures of another model, where a fit can go on from them; see `starts_for`."""
        if not self.frame.alike(other.frame):
            return None
        return starts_for(self.request, other.request, model.mixtures)

    def for_model(self, model: DensityModel) -> "Asked":
        """What would have been asked for to get one of the models along a path."""
        return replace(self, request=replace(self.request, parameters=model.parameters))

    @property
    def frame(self) -> Frame:
        """Where they lie."""
        return self.cloud.frame


@dataclass(frozen=True)
class Fit:
    """The last fit of a Points layer, and what of it the layers show."""

    asked: Asked
    models: tuple[DensityModel, ...]
    chosen: int
    path: "SparsityPath | None"
    heatmap: Heatmap  # the one that is shown
    picture: HeatmapChoice  # drawn, or refused: not asked for again
    drawn: int  # of which model the heatmap is
    coverage: float
    starts: Starts = ()  # see `Outcome`
    annotated: bool = False  # the points, or that was refused
    previous: "Fit | None" = None  # that of the Run before, which can come back

    @property
    def layer(self) -> Points:
        """Whose points were fitted."""
        return self.asked.layer

    @property
    def key(self) -> Hashable:
        """What the layer is known by."""
        return self.asked.key

    @property
    def frame(self) -> Frame:
        """Where they lie."""
        return self.asked.frame

    @property
    def model(self) -> DensityModel:
        """The one that the layers show."""
        return self.models[self.chosen]


@dataclass(frozen=True)
class Shown:
    """What a fit has found so far, and what it was asked for."""

    asked: Asked
    model: DensityModel


def summary(done: Fit) -> str:
    """What came of a fit, for the status line."""
    sentences = (
        messages.summary(done.model, done.asked.cloud, preferences().most_ellipses),
        messages.path_sentence(done.path, done.chosen),
    )
    return "\n".join(sentence for sentence in sentences if sentence)
