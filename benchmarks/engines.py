"""An expectation and a log density on each engine, where every component matters everywhere.

Per pair of a point and a component, as a multiple of `torch.exp`: the floor of any dense
evaluation. Three floors: as one call that makes N x M numbers, in pieces that stay in the cache
and reuse their memory, and in pieces with a single thread. It decides what `engine="auto"` takes.

    python benchmarks/engines.py
"""

from collections.abc import Callable, Iterator

import torch
from fits import engines
from report import Entry, Options, Row, main
from simulations import crowd
from timing import medians

from napari_sparse_gmm.engines import choose_engine
from napari_sparse_gmm.observations import Observations

SHAPES = [
    (10_000, 30, 2),
    (1_000_000, 30, 2),
    (100_000, 300, 2),
    (1_000_000, 30, 3),
    (100_000, 300, 3),
]
QUICK_SHAPES = [(10_000, 30, 2), (2_000, 300, 3)]
PIECE = 1 << 17  # numbers in 512 kB
ASKED, ASKED_FROM = 3.0, 10_000_000

ONE_CALL = "one torch.exp of N x M"
PIECES = "torch.exp in pieces"
ONE_THREAD = "torch.exp in pieces, one thread"


def measure(options: Options) -> Iterator[Entry]:
    for n, m, d in QUICK_SHAPES if options.quick else SHAPES:
        simulated = crowd(n, m, d)
        calls: dict[str, Callable[[], object]] = {}
        for name in engines(options.device):
            choice = choose_engine(name, options.device, n_dimensions=d)
            engine = choice.open(Observations(simulated.points), n_components=m)
            calls[f"{name}, expectation"] = lambda e=engine, s=simulated: e.expectation(s.truth)
            calls[f"{name}, log density"] = lambda e=engine, s=simulated: e.log_density(s.truth)
        times = medians(calls | floors(n * m, choice.device), 3 if options.quick else 7)
        for name in calls:
            what = f"N = {n:,}, M = {m}, {d}D: {name}"
            # Of small problems nothing is asked: to launch the operations takes most of the time.
            asked = name.endswith("expectation") and n * m >= ASKED_FROM
            for floor in (ONE_CALL, PIECES) if asked else ():
                ratio = times[name] / times[floor]
                yield Row(
                    f"{what}, against {floor}",
                    f"{ratio:.2f} times",
                    f"at most {ASKED:.0f} times",
                    ratio <= ASKED,
                )
            spoken = ", ".join(
                f"{floor} {1e9 * times[floor] / (n * m):.2f}"
                for floor in (ONE_CALL, PIECES, ONE_THREAD)
            )
            yield Row(what, f"{1e9 * times[name] / (n * m):.2f} ns a pair ({spoken})")


def floors(n_numbers: int, device: str) -> dict[str, Callable[[], object]]:
    """Ways to take the exponential of so many numbers."""
    numbers = -torch.rand(n_numbers, device=device)
    pieces = numbers.split(PIECE)
    out = torch.empty(PIECE, device=device)

    def in_pieces() -> None:
        for piece in pieces:
            torch.exp(piece, out=out[: len(piece)])

    def with_one_thread() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        in_pieces()
        torch.set_num_threads(before)

    return {
        ONE_CALL: lambda: torch.exp(numbers),
        PIECES: in_pieces,
        ONE_THREAD: with_one_thread,
    }


if __name__ == "__main__":
    main(measure)
