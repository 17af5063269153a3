"""Work in a thread, as generators that a napari worker moves on.

Nothing here knows Qt. Each generator yields `Progress` and returns a frozen outcome; cancelling is
closing it. torch and scikit-learn are imported when the generator first runs, in the worker's
thread.
"""

import warnings
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from napari_sparse_gmm.errors import EngineLost, InputError
from napari_sparse_gmm.plugin.tasks.previews import Preview


class Pass(NamedTuple):
    """One step of a fit, for a plot; where another fit begins, the iteration falls."""

    iteration: int
    cost: float
    n_components: int


@dataclass(frozen=True)
class Progress:
    """How far the work is: `value` of `total`, and a few words for the progress bar.

    `sentence` is for the status line, where there is something to say meanwhile; `passes` are the
    steps since the last one that was reported.
    """

    value: int
    total: int
    text: str
    sentence: str | None = None
    passes: tuple[Pass, ...] = ()
    preview: Preview | None = None


@dataclass(frozen=True)
class Refusal:
    """The input is at fault, or workers are lost; `sentence` tells the user what to change."""

    sentence: str


class FitFailed(Exception):
    """Something broke during the work.

    Not a RuntimeError: superqt takes one for the sign of a deleted worker, emits neither
    `errored` nor `finished`, and the Run button would stay grey.
    """


_Result = TypeVar("_Result")
Work = Generator[Progress, None, _Result]


def guarded(what: str, work: Work[_Result]) -> Work[_Result | Refusal]:
    """The work; an InputError becomes its outcome, every other error a FitFailed."""
    try:
        return (yield from work)
    except (InputError, EngineLost) as error:
        return Refusal(str(error))
    except Exception as error:
        raise _failed(what, error) from error


def at_once(work: Work[_Result]) -> _Result:
    """What short work returns, without a stop."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value


def prepare(
    engine: str, device: str, n_dimensions: int, total: int, *, noise: bool = False
) -> Work[None]:
    """Wait for compilers, where the engine needs them first, and say so."""
    from napari_sparse_gmm.engines.choice import preparation

    announced = False
    with closing(preparation(engine, device, n_dimensions=n_dimensions, noise=noise)) as waits:
        for waiting in waits:
            announced = announced or bool(waiting.sentence)
            text = "Compiling" if waiting.sentence else "Starting"
            yield Progress(0, total, text, f"{waiting}." if waiting.sentence else None)
    if announced:
        yield Progress(0, total, "Starting", "")


@contextmanager
def no_fallback_warning() -> Iterator[None]:
    """Silence what `engine_reason_` says; in a worker it would become a notification."""
    from napari_sparse_gmm.engines import EngineFallbackWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EngineFallbackWarning)
        yield


def _failed(what: str, error: Exception) -> FitFailed:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return FitFailed(
            f"The {what} ran out of memory: choose fewer components or pixels, or compute on "
            "the processor (Advanced > Device)."
        )
    return FitFailed(f"The {what} failed with {type(error).__name__}: {error}")
