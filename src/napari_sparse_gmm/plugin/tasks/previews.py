"""When a fit that goes on is worth looking at.

After a step of a fit::

    previews = Previews(draw, pacing, settle=True)
    previews.of(step, found)  # a Preview, or None
    previews.showing_took(0.04)  # seconds, where there was one
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparse_gmm.plugin.tasks.pacing import Pacing
from napari_sparse_gmm.plugin.tasks.values import Outcome

if TYPE_CHECKING:
    from napari_sparse_gmm.fitting import FitStep

# A fit has settled where so many steps, one after the other, each lowered its cost by less than the
# eye would see. The moves to come are tried for longer than all steps took so far, most in vain.
_STILL, _UNSEEN = 2, 1e-4


@dataclass(frozen=True, eq=False)
class Preview:
    """What a fit has found so far, as a small picture; one that has `settled` is complete."""

    result: Outcome
    settled: bool


class Previews:
    """Previews of a fit at some of its steps.

    Small ones from time to time, the rarer the longer the window takes to show one; and, where it
    is to `settle`, a complete one whenever it has settled at something that was not shown yet.

    Parameters
    ----------
    draw : callable
        Gets a step, the results of earlier fits, and whether the picture is to be complete.
    pacing : Pacing
    settle : bool
    """

    def __init__(
        self,
        draw: "Callable[[FitStep, Sequence[Any], bool], Outcome]",
        pacing: Pacing,
        *,
        settle: bool = False,
    ) -> None:
        self._draw, self._settle = draw, settle
        self._now, self._interval, self._share = pacing.now, pacing.preview, pacing.preview_share
        self._began = self._now()
        # The first one comes early: it is what a live fit is waited for.
        self._next = self._next_small = self._next_settled = self._began + self._interval / 2
        self._last = self._began
        self._fit: tuple[int, int] | None = None
        # The lowest cost of this fit; those of what was shown, and shown complete.
        self._cost = self._shown = self._complete = np.inf
        self._still = 0

    def of(self, step: "FitStep", found: Sequence[Any]) -> Preview | None:
        """That of a step, after the fits that were found, where it is time for one."""
        self._record(step, len(found))
        now = self._now()
        if now < self._next:
            return None
        settled = (
            self._settle
            and self._still >= _STILL
            and self._cost < self._complete - _UNSEEN
            and now >= self._next_settled
        )
        if not settled and (now < self._next_small or self._cost >= self._shown - _UNSEEN):
            return None
        self._shown, self._last, self._next = self._cost, now, now + self._interval
        if settled:
            self._complete = self._cost
            # Ever more rarely: each takes time from the window, and from the fit.
            self._next_settled = now + (now - self._began) / 2
        return Preview(self._draw(step, found, settled), settled)

    def showing_took(self, seconds: float) -> None:
        """The last one, of the window: the next small one comes where the window has time for it,
        and not before, to be thrown away.
        """
        self._next_small = self._last + seconds / self._share

    def at_end(self, step: "FitStep", found: Sequence[Any]) -> Preview | None:
        """That of the last step, where the fit was to settle and has ended before it was shown."""
        if not self._settle or self._cost >= self._complete - _UNSEEN:
            return None
        return Preview(self._draw(step, found, True), True)

    def _record(self, step: "FitStep", n_found: int) -> None:
        if self._fit != (n_found, step.start):
            self._fit = n_found, step.start
            self._cost = self._shown = self._complete = np.inf
        self._still = 0 if step.cost < self._cost - _UNSEEN else self._still + 1
        self._cost = min(self._cost, step.cost)
