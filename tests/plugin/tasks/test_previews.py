"""When a fit is worth looking at, with a clock that a test moves on."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from oracles import random_mixture

from napari_sparse_gmm import FitStep
from napari_sparse_gmm.plugin.tasks.pacing import Pacing
from napari_sparse_gmm.plugin.tasks.previews import Preview, Previews

MIXTURE = random_mixture(2, 2)


class Watched:
    """Previews of fits whose steps take `seconds` each."""

    def __init__(self, seconds: float, *, settle: bool) -> None:
        self.now, self._seconds = 100.0, seconds
        self.at: list[float] = []  # when there was one
        self._previews = Previews(self._draw, Pacing(now=lambda: self.now), settle=settle)

    def _draw(self, step: FitStep, found: Sequence[Any], complete: bool) -> Any:
        self.at.append(self.now)
        return step.cost, len(found), complete

    def costs(self, costs: Sequence[float], *, start: int = 0, found: int = 0) -> list[Preview]:
        """The previews of steps of such costs."""
        seen = []
        for iteration, cost in enumerate(costs):
            self.now += self._seconds
            step = FitStep(iteration, cost, MIXTURE, start)
            seen.append(self._previews.of(step, [None] * found))
        return [one for one in seen if one is not None]

    def took(self, seconds: float) -> None:
        """The window, to show the last one."""
        self._previews.showing_took(seconds)

    def end(self, cost: float) -> list[Preview]:
        """That of the end of a fit."""
        one = self._previews.at_end(FitStep(9, cost, MIXTURE, 0), [])
        return [] if one is None else [one]


def test_a_fit_that_has_settled_is_shown_complete() -> None:
    watched = Watched(0.03, settle=True)
    (seen,) = watched.costs([5.0, 3.0, 2.99995, 2.99992, 2.99991, 2.99990])
    assert seen.settled
    assert seen.result == (2.99992, 0, True)


@pytest.mark.parametrize(("seconds", "settle"), [(0.01, True), (0.03, True), (0.01, False)])
def test_what_a_fit_ended_with_is_shown_once(seconds: float, settle: bool) -> None:
    """At its end, where that came before it was time for a preview."""
    watched = Watched(seconds, settle=settle)
    shown = watched.costs([5.0, 3.0, 3.0, 3.0, 3.0])
    shown += watched.end(3.0)
    assert [one.result for one in shown] == [(3.0, 0, True)] * settle


def test_what_lowers_the_cost_again_is_shown_and_then_complete() -> None:
    watched = Watched(0.06, settle=True)
    assert [one.result for one in watched.costs([5.0, 3.0, 3.0, 3.0])] == [(3.0, 0, False)]
    # Moves on trial show the same state again and again.
    assert [one.result for one in watched.costs([3.0] * 20)] == [(3.0, 0, True)]
    assert [one.result for one in watched.costs([2.0] * 20)] == [(2.0, 0, False), (2.0, 0, True)]


def test_there_are_never_more_than_five_a_second() -> None:
    watched = Watched(0.01, settle=True)
    for cost in range(1000, 0, -1):
        watched.costs([float(cost)] * (1 + cost % 7))
    assert len(watched.at) > 50
    assert min(later - sooner for sooner, later in pairwise(watched.at)) >= 0.2 - 1e-9


def test_small_ones_take_a_twentieth_of_the_time_of_the_window() -> None:
    watched = Watched(0.01, settle=False)
    for cost in range(1000, 0, -1):
        if watched.costs([float(cost)]):
            watched.now += 0.1  # which the window takes to show it
            watched.took(0.1)
    assert len(watched.at) == 6
    assert min(later - sooner for sooner, later in pairwise(watched.at)) >= 2.0 - 1e-9


def test_complete_ones_do_not_wait_for_the_time_of_the_window() -> None:
    watched = Watched(0.06, settle=True)
    assert not watched.costs([5.0])[1:]
    watched.costs([3.0])
    watched.took(1.0)
    assert [one.result for one in watched.costs([2.0] * 10)] == [(2.0, 0, True)]


def test_complete_ones_are_ever_rarer() -> None:
    watched = Watched(0.25, settle=True)
    at = []
    for cost in range(1000, 0, -1):
        at += [watched.now for one in watched.costs([float(cost)] * 3) if one.settled]
    waits = [later - sooner for sooner, later in pairwise(at)]
    assert len(at) > 5
    assert waits == sorted(waits)
    assert waits[-1] > 10 * waits[0]


def test_a_fit_that_is_not_to_settle_has_small_ones_only() -> None:
    watched = Watched(0.15, settle=False)
    seen = watched.costs([5.0, 4.0, 3.0, 3.0, 3.0, 3.0, 2.0])
    assert [one.result for one in seen] == [(5.0, 0, False), (3.0, 0, False), (2.0, 0, False)]
    assert not any(one.settled for one in seen)


@pytest.mark.parametrize(
    "other", [{"start": 1}, {"found": 1}], ids=["another start", "another group"]
)
def test_another_fit_is_seen_though_its_cost_is_higher(other: dict[str, int]) -> None:
    watched = Watched(0.15, settle=True)
    assert [one.result[0] for one in watched.costs([3.0])] == [3.0]
    assert [one.result[0] for one in watched.costs([9.0, 8.0], **other)] == [8.0]
