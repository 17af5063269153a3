"""What happens to the dock widget, as values: the controller tells, the machine listens."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sparse_gmm.plugin.control.effects import Ask
from napari_sparse_gmm.plugin.control.state import Asked
from napari_sparse_gmm.plugin.tasks.previews import Preview
from napari_sparse_gmm.plugin.tasks.task import Pass
from napari_sparse_gmm.plugin.tasks.values import Heatmap, Outcome

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment


@dataclass(frozen=True)
class Run:
    """A button was pressed, that of a `path` or that of a single fit."""

    path: bool = False


@dataclass(frozen=True)
class Cancel:
    """Nobody wants what runs; `why` is for the user."""

    why: str


@dataclass(frozen=True)
class LayerRemoved:
    """From the viewer; `sentence` is for the user, where it was worked on."""

    key: Hashable
    sentence: str


@dataclass(frozen=True)
class LayerChosen:
    """Another one. That changes fields, but asks for nothing."""


@dataclass(frozen=True)
class SourceChanged:
    """Another layer, or other axes, are to be modelled."""


@dataclass(frozen=True)
class FitChanged:
    """A field, or the points: another fit may be asked for."""


@dataclass(frozen=True)
class UseChanged:
    """Other points are to be fitted."""


@dataclass(frozen=True)
class ViewChanged:
    """A field of what is to be shown."""


@dataclass(frozen=True)
class AnnotateChanged:
    """Whether the points are to be coloured."""


@dataclass(frozen=True)
class SolutionChosen:
    """Another one along the path."""

    index: int


@dataclass(frozen=True)
class Undo:
    """Nobody wants the last Run; or it is wanted again."""


@dataclass(frozen=True)
class Closed:
    """Nobody sees any more what the widget does."""


@dataclass(frozen=True)
class Due:
    """It is time for what was put off."""


@dataclass(frozen=True)
class Read:
    """The points were read that an `Ask` was about; `has_layers` where a fit of them is shown."""

    ask: Ask
    asked: Asked
    has_layers: bool


@dataclass(frozen=True)
class Began:
    """The work, after what ran before has stopped."""


@dataclass(frozen=True)
class Progressed:
    """The fit that was asked for goes on."""

    asked: Asked
    preview: Preview | None = None
    passes: tuple[Pass, ...] = ()


@dataclass(frozen=True)
class PreviewDrawn:
    """By the window."""


@dataclass(frozen=True)
class Found:
    """What came of the fit that was asked for."""

    asked: Asked
    result: Outcome


@dataclass(frozen=True)
class Drawn:
    """A heatmap."""

    heatmap: Heatmap


@dataclass(frozen=True)
class Assigned:
    """The points to components."""

    assignment: "Assignment"


@dataclass(frozen=True)
class Refused:
    """The input is at fault."""

    sentence: str


@dataclass(frozen=True)
class Failed:
    """The work has."""


@dataclass(frozen=True)
class Ended:
    """Nothing runs any more; `why` it was cancelled, None where it was not."""

    why: str | None = None


Event = (
    Run
    | Cancel
    | LayerRemoved
    | LayerChosen
    | SourceChanged
    | FitChanged
    | UseChanged
    | ViewChanged
    | AnnotateChanged
    | SolutionChosen
    | Undo
    | Closed
    | Due
    | Read
    | Began
    | Progressed
    | PreviewDrawn
    | Found
    | Drawn
    | Assigned
    | Refused
    | Failed
    | Ended
)
