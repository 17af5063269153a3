"""What the dock widget knows of a fit: what was asked for, what came of it, what of it is shown."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.frame import Frame
from napari_sparse_gmm.plugin.preferences import preferences
from napari_sparse_gmm.plugin.results import FitRequest, Heatmap, HeatmapChoice, Solution
from napari_sparse_gmm.plugin.source import Cloud, Source

if TYPE_CHECKING:
    from napari_sparse_gmm.path import SparsityPath


@dataclass(frozen=True, eq=False)
class Asked:
    """What a fit was asked for."""

    source: Source
    used: NDArray[np.bool_]  # of the points of the layer
    cloud: Cloud
    request: FitRequest

    def same_as(self, other: "Asked") -> bool:
        """Whether the same is asked for of the same points."""
        return (
            self.source == other.source
            and np.array_equal(self.used, other.used)
            and self.request.parameters == other.request.parameters
        )

    @property
    def layer(self) -> Points:
        """Whose points are fitted."""
        return self.source.layer

    @property
    def frame(self) -> Frame:
        """Where they lie."""
        return self.cloud.frame


@dataclass(frozen=True, eq=False)
class Fit:
    """The last fit of a Points layer, and what of it the layers show."""

    asked: Asked
    solutions: tuple[Solution, ...]
    chosen: int
    path: "SparsityPath | None"
    heatmap: Heatmap  # the one that is shown
    picture: HeatmapChoice  # drawn, or refused: not asked for again
    drawn: int  # of which solution the heatmap is
    coverage: float
    annotated: bool = False  # the points, or that was refused

    @property
    def layer(self) -> Points:
        """Whose points were fitted."""
        return self.asked.layer

    @property
    def frame(self) -> Frame:
        """Where they lie."""
        return self.asked.frame

    @property
    def solution(self) -> Solution:
        """The one that the layers show."""
        return self.solutions[self.chosen]


def told(done: Fit) -> str:
    """What came of a fit, for the status line."""
    summary = messages.summary(done.solution, done.asked.cloud, preferences().most_ellipses)
    return f"{summary} {messages.heatmap_unit(done.picture.quantity, done.frame)}"
