"""The time of a window."""

import math
import time
from collections.abc import Callable
from threading import Event

from qtpy.QtCore import QTimer


class WindowClock:
    """See `tasks.pacing.Clock`."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter()

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Call it in the main thread, behind what the window has to draw by then."""
        # A timer of 0 ms is an event like others, and to draw is one of low priority.
        QTimer.singleShot(max(1, math.ceil(1000 * seconds)), call)

    def wait(self, event: Event, seconds: float) -> None:
        """Let a thread wait for an event, no longer than that."""
        event.wait(seconds)
