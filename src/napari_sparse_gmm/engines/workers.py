"""Who holds partitions of the points, and computes on them: this process, or others.

A question is a function of the engine of one partition; its answers are joined in a tree, always
the same one, so that what comes out depends neither on who computes nor on who is done first.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol, TypeVar

from napari_sparse_gmm.engines.blocks import Blocks
from napari_sparse_gmm.engines.in_memory import InMemory

_Answer = TypeVar("_Answer")

# A question to the engine of a partition: the engine, what it is for all partitions alike, and
# what it is for each.
Question = Callable[..., _Answer]
Join = Callable[[Sequence[_Answer]], _Answer]

# Tasks for each worker of several, of neighbouring partitions: what a lost one held goes to all.
TASKS_EACH = 4
# So many answers are joined at a time.
AT_A_TIME = 16


class Partition(Protocol):
    """Some points, wherever they lie."""

    @property
    def n_points(self) -> int:
        """How many."""

    def open(self, blocks: Blocks | None = None) -> InMemory:
        """The engine of these points; of their `blocks`, where they are known."""

    def without_noise(self) -> "Partition":
        """The same points as if they had no noise."""


class Workers(ABC):
    """Some partitions, in an order, and who asks them."""

    n_partitions: int

    @abstractmethod
    def ask(
        self,
        question: Question[_Answer],
        calls: Mapping[int, tuple[Any, ...]],
        join: Join[_Answer],
        shared: Any = None,
    ) -> _Answer:
        """question(engine, shared, *arguments) of some partitions, joined in their order.

        Parameters
        ----------
        question, join : callable
            Functions of a module.
        calls : mapping of int to tuple
            The arguments for each of the partitions that are asked, rising; one at least.
        shared : object
            What is the same for all of them, and in many questions.

        Raises
        ------
        EngineLost
            Where a worker or the way to it is gone, and none takes its place.
        """

    @abstractmethod
    def without_noise(self) -> "Workers":
        """The same partitions as if their points had no noise."""

    def ask_all(
        self, question: Question[_Answer], *arguments: Any, join: Join[_Answer], shared: Any = None
    ) -> _Answer:
        """`ask` all partitions the same."""
        return self.ask(question, dict.fromkeys(range(self.n_partitions), arguments), join, shared)


def joined(answers: Iterable[_Answer], join: Join[_Answer]) -> _Answer:
    """Answers as one: 16 neighbours at a time, then 16 of those; no more are held than that."""
    levels: list[list[_Answer]] = [[]]
    for answer in answers:
        levels[0].append(answer)
        for k, level in enumerate(levels):
            if len(level) < AT_A_TIME:
                break
            if k + 1 == len(levels):
                levels.append([])
            levels[k + 1].append(join(level))
            level.clear()
    for k, level in enumerate(levels[:-1]):
        if level:
            levels[k + 1].append(level[0] if len(level) == 1 else join(level))
    last = levels[-1]
    return last[0] if len(last) == 1 else join(last)


@dataclass
class ThisProcess(Workers):
    """Partitions in this process, one after the other.

    Parameters
    ----------
    partitions : sequence of Partition
    n_held : int, optional
        What kernels need of so many partitions is kept in memory, besides all of one that is being
        asked. Of the others each pass reads it anew: the first ones stay, as to keep the last ones
        would be of no use to passes that take them all in turn. By default all points are kept.
    """

    partitions: Sequence[Partition]
    n_held: int | None = None

    def __post_init__(self) -> None:
        self.n_partitions = len(self.partitions)
        # What is held is for one question at a time.
        self._lock = Lock()
        self._open: dict[int, InMemory] = {}
        self._blocks: dict[int, Blocks] = {}

    def ask(
        self,
        question: Question[_Answer],
        calls: Mapping[int, tuple[Any, ...]],
        join: Join[_Answer],
        shared: Any = None,
    ) -> _Answer:
        answers = (self._answer(question, p, shared, *arguments) for p, arguments in calls.items())
        with self._lock:
            return joined(answers, join)

    def without_noise(self) -> "ThisProcess":
        if self.n_held is not None:
            self._open.clear()  # the others take their place for a while
        return ThisProcess([part.without_noise() for part in self.partitions], self.n_held)

    def _answer(self, question: Question[_Answer], p: int, *arguments: Any) -> _Answer:
        engine = self._open.get(p)
        if engine is None:
            engine = self.partitions[p].open(self._blocks.get(p))
            self._blocks[p] = engine.blocks
            if self.n_held is None or len(self._open) < self.n_held:
                self._open[p] = engine
        answer = question(engine, *arguments)
        if self.n_held is not None:
            engine.forget()
        return answer
