"""What the dock widget knows of a fit: what was asked for, what came of it, what of it is shown."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_sparse_gmm.parameters import COMPUTING
from napari_sparse_gmm.plugin import messages
from napari_sparse_gmm.plugin.points.source import Cloud, Source
from napari_sparse_gmm.plugin.preferences import preferences
from napari_sparse_gmm.plugin.space.frame import Frame
from napari_sparse_gmm.plugin.tasks.values import (
    FitRequest,
    FitResult,
    Heatmap,
    HeatmapChoice,
    Solution,
)
from napari_sparse_gmm.regions import Region

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
    def layer(self) -> Points:
        """Whose points are fitted."""
        return self.source.layer

    def for_solution(self, solution: Solution) -> "Asked":
        """What would have been asked for to get one of the solutions along a path."""
        return replace(self, request=replace(self.request, parameters=solution.parameters))

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


@dataclass(frozen=True, eq=False)
class Running:
    """A fit that runs, or that begins when another one has stopped.

    Parameters
    ----------
    asked : Asked
    before : Fit or None
        The last fit of the layer, which comes back where this one comes to nothing.
    live : bool
        Whether nobody has pressed Run for it.
    shows : bool
        Whether it shows what it has found so far: not in layers that could not come back.
    began : float
        When it was started, in seconds of `time.monotonic`.
    shown : Shown or None
        What the layers show instead of `before`: what it has found so far, or another fit that had
        to make way for it.
    previewed : bool
        Whether it has shown something itself.
    """

    asked: Asked
    before: Fit | None
    live: bool
    shows: bool
    began: float
    shown: "Shown | None" = None
    previewed: bool = False


@dataclass(frozen=True, eq=False)
class Shown:
    """What a fit has found so far, and what it was asked for."""

    asked: Asked
    result: FitResult


def summary(done: Fit) -> str:
    """What came of a fit, for the status line."""
    sentences = (
        messages.summary(done.solution, done.asked.cloud, preferences().most_ellipses),
        messages.path_sentence(done.path, done.chosen),
    )
    return "\n".join(sentence for sentence in sentences if sentence)
