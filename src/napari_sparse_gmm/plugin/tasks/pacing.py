"""How often things happen while a fit goes on, and who says what time it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Protocol


class Clock(Protocol):
    """What the time is, and what happens later; `qt.clock` has that of a window."""

    def now(self) -> float:
        """Seconds since some moment."""

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Call it in the main thread, behind what the window has to draw by then."""

    def wait(self, event: Event, seconds: float) -> None:
        """Let a thread wait for an event, no longer than that."""


@dataclass(frozen=True)
class Pacing:
    """All in seconds, but for `preview_share`.

    Parameters
    ----------
    refit, redraw : float
        From the first change of a field that needs a fit until a live one begins; and from the last
        change of one that does not until the layers are drawn anew.
    patience : float
        While a slider moves there is always a newer fit to begin. So that there is something to
        see, one that runs may first show a picture, unless that takes longer.
    pause : float
        From such a picture until the newer fit begins. With what that needs until its own first
        picture it is the interval of two.
    progress : float
        Between two reports of progress: each makes napari draw, which takes time from the fit.
    preview : float
        Between two pictures of a fit that goes on, at least.
    preview_share : float
        About how much of the main thread's time previews may take.
    drawing : float
        How long a fit waits at most until the window has drawn a preview.
    plot, plot_soon : float
        Between two plots of how a fit goes on; and until the curves of the one before are gone.
    now : callable
        The time.
    """

    refit: float = 0.03
    redraw: float = 0.06
    patience: float = 1.5
    pause: float = 0.1
    progress: float = 0.25
    preview: float = 0.2
    preview_share: float = 0.05
    drawing: float = 0.5
    plot: float = 2.0
    plot_soon: float = 0.1
    now: Callable[[], float] = time.perf_counter


PACING = Pacing()
