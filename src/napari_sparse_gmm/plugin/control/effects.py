"""What the dock widget is to do, as values: the machine asks for it, the controller does it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sparse_gmm.plugin.control.state import Asked, Fit, Shown
from napari_sparse_gmm.plugin.tasks.fit import Starts
from napari_sparse_gmm.plugin.tasks.previews import Preview
from napari_sparse_gmm.plugin.tasks.task import Pass

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment


@dataclass(frozen=True)
class Ask:
    """Read the points, and come back with `Read`.

    For a live fit `before` is what was asked for last; of the same points, unless of `others`.
    """

    path: bool = False
    before: Asked | None = None
    others: bool = False


@dataclass(frozen=True)
class StartFit:
    """From the start that its parameters say, or from `starts`; or a path."""

    asked: Asked
    path: bool = False
    starts: Starts | None = None


@dataclass(frozen=True)
class StartDrawing:
    """The picture of a fit."""

    fit: Fit


@dataclass(frozen=True)
class StartAssigning:
    """The points of a fit to its components."""

    fit: Fit


@dataclass(frozen=True)
class Stop:
    """Stop what runs, and come back with `Ended`."""

    why: str


@dataclass(frozen=True)
class ShowPreview:
    """What a fit has found so far; and come back with `PreviewDrawn`."""

    asked: Asked
    preview: Preview
    coverage: float


@dataclass(frozen=True)
class ShowEllipses:
    """Of what a fit has found so far."""

    shown: Shown
    coverage: float


@dataclass(frozen=True)
class ShowPicture:
    """The heatmap and the contours."""

    fit: Fit


@dataclass(frozen=True)
class ShowComponents:
    """The ellipses."""

    fit: Fit


@dataclass(frozen=True)
class Restore:
    """Show the last fit again instead of what was found so far; None where there was none."""

    asked: Asked
    fit: Fit | None


@dataclass(frozen=True)
class ShowAssignment:
    """Give the points the colours of their components."""

    fit: Fit
    assignment: "Assignment"


@dataclass(frozen=True)
class ClearAssignment:
    """Take these colours from the chosen layer."""


@dataclass(frozen=True)
class ShowSparsity:
    """In its field that of the solution along a path that is shown: the next Run is one for it."""

    fit: Fit


@dataclass(frozen=True)
class ShowSettings:
    """In the fields, those of a fit that has come back."""

    fit: Fit


@dataclass(frozen=True)
class ShowPath:
    """Of a fit, where there is one."""

    fit: Fit | None


@dataclass(frozen=True)
class BeginPlot:
    """Of another fit."""


@dataclass(frozen=True)
class GrowPlot:
    """By these steps."""

    passes: tuple[Pass, ...]


@dataclass(frozen=True)
class FinishPlot:
    """The fit is done."""


@dataclass(frozen=True)
class Say:
    """In the status line."""

    sentence: str


@dataclass(frozen=True)
class Summarize:
    """In the status line what came of a fit."""

    fit: Fit


Effect = (
    Ask
    | StartFit
    | StartDrawing
    | StartAssigning
    | Stop
    | ShowPreview
    | ShowEllipses
    | ShowPicture
    | ShowComponents
    | Restore
    | ShowAssignment
    | ClearAssignment
    | ShowSparsity
    | ShowSettings
    | ShowPath
    | BeginPlot
    | GrowPlot
    | FinishPlot
    | Say
    | Summarize
)
