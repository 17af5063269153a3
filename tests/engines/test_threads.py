"""How many threads a pass takes, and that other Python threads run meanwhile."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from functools import partial

import numpy as np
import pytest
import torch
from oracles import hold, random_mixture

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.engines import TorchTiles, kernels, threads
from napari_sparse_gmm.engines.blocks import kd_order
from napari_sparse_gmm.engines.fused import Fused
from napari_sparse_gmm.engines.keops import KeOps
from napari_sparse_gmm.engines.keops_build import load_pykeops
from napari_sparse_gmm.engines.overdensity import Balls, Boxes
from napari_sparse_gmm.engines.threads import in_threads, limited_threads, step_by_step
from napari_sparse_gmm.observations import Observations


@pytest.mark.keops
def test_the_wrapper_of_this_pykeops_is_known():
    assert load_pykeops().releases_lock


@pytest.mark.parametrize("engine", [TorchTiles, KeOps, Fused], ids=["torch", "keops", "fused"])
def test_other_threads_run_during_an_expectation(engine):
    mixture = random_mixture(200, 2)
    held = hold(mixture.sample(200_000, 0)[0], engine=engine)
    held.expectation(mixture)  # compiled and warm
    worker = threading.Thread(target=held.expectation, args=(mixture,))
    ticks = 0
    worker.start()
    while worker.is_alive():
        time.sleep(0.001)
        ticks += 1
    # With Python's lock held there would be one tick.
    assert ticks > 2


def in_a_thread(call: Callable[[], object]) -> Future:
    """A thread that torch has not seen, for one call; its result in time."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


@pytest.fixture
def eight_cores(monkeypatch) -> Iterator[None]:
    """As on a machine of eight, of which torch was told to take six."""
    before = torch.get_num_threads()
    torch.set_num_threads(6)
    monkeypatch.setattr(threads, "n_cores", lambda: 8)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("eight_cores")
class TestLimits:
    @pytest.mark.parametrize(("cores", "taken"), [(1, 1), (2, 1), (4, 3), (8, 6), (64, 6)])
    def test_by_default_a_core_is_spared(self, monkeypatch, cores, taken):
        monkeypatch.setattr(threads, "n_cores", lambda: cores)
        with limited_threads():
            assert torch.get_num_threads() == taken
        assert torch.get_num_threads() == 6

    @pytest.mark.parametrize(("number", "taken"), [(1, 1), (3, 3), (8, 8), (12, 8), (50_000, 8)])
    def test_a_pass_keeps_to_the_number_of_its_fit(self, number, taken):
        with limited_threads(number):
            with limited_threads():
                assert torch.get_num_threads() == taken
            assert torch.get_num_threads() == taken
        assert torch.get_num_threads() == 6

    def test_a_number_within_a_number(self):
        with limited_threads(2):
            with limited_threads(3):
                assert torch.get_num_threads() == 3
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 6

    def test_an_error_puts_the_number_back(self):
        with pytest.raises(KeyError), limited_threads(2):
            raise KeyError
        assert torch.get_num_threads() == 6

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first in first out", "last in"])
    def test_two_fits_at_once_do_not_see_each_other(self, order):
        begun = [threading.Event(), threading.Event()]
        ends = [threading.Event(), threading.Event()]

        def fit(which: int, number: int | None) -> list[int]:
            with limited_threads(number):
                seen = [torch.get_num_threads()]
                begun[which].set()
                ends[which].wait(10)
                seen.append(torch.get_num_threads())
            return [*seen, torch.get_num_threads()]

        fits = [in_a_thread(lambda: fit(0, 1))]
        assert begun[0].wait(10)
        # torch is new to this one, and set to 1 by the other.
        fits.append(in_a_thread(lambda: fit(1, None)))
        assert begun[1].wait(10)
        for which in order:
            ends[which].set()
            assert fits[which].result(10) == ([1, 1, 6] if which == 0 else [6, 6, 6])
        assert torch.get_num_threads() == 6
        assert in_a_thread(torch.get_num_threads).result(10) == 6

    def test_nothing_is_limited_between_two_steps(self):
        seen = []

        def steps() -> Generator[int, None, str]:
            for step in range(3):
                with limited_threads():  # as an engine does
                    seen.append(torch.get_num_threads())
                yield step
            return "done"

        def consume() -> Generator[None, None, str]:
            return (yield from step_by_step(steps(), 2))

        consumer = consume()
        for _ in range(3):
            next(consumer)
            assert torch.get_num_threads() == 6
        with pytest.raises(StopIteration) as stop:
            next(consumer)
        assert stop.value.value == "done"
        assert seen == [2, 2, 2]

    def test_steps_may_be_closed_in_another_thread(self):
        """As the dock widget does with a cancelled fit."""
        closed = []

        def endless() -> Generator[int, None, None]:
            try:
                while True:
                    yield torch.get_num_threads()
            finally:
                closed.append(True)

        steps = step_by_step(endless(), 2)
        assert in_a_thread(lambda: next(steps)).result(10) == 2
        steps.close()
        assert closed == [True]
        assert torch.get_num_threads() == 6

    def test_steps_that_fail_put_the_number_back(self):
        def failing() -> Generator[int, None, None]:
            yield 1
            raise KeyError

        steps = step_by_step(failing(), 2)
        next(steps)
        with pytest.raises(KeyError):
            next(steps)
        assert torch.get_num_threads() == 6


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("engine", [TorchTiles, KeOps], ids=["torch", "keops"])
def test_the_system_sees_as_many_threads(engine, number, monkeypatch):
    """Of OpenMP; our own, which do not spin, are left out."""
    monkeypatch.setattr(threads, "n_cores", lambda: 8)
    monkeypatch.setattr(threads, "worth_threads", lambda work: False)
    mixture = random_mixture(50, 2)
    held = hold(mixture.sample(100_000, 0)[0], engine=engine)
    held.expectation(mixture)  # compiled

    def n_threads() -> int:
        """This thread, and those that OpenMP started for it."""
        before = set(os.listdir("/proc/self/task"))
        with limited_threads(number):
            held.expectation(mixture)
        time.sleep(0.1)  # those that have ended are seen for a moment
        return 1 + len(set(os.listdir("/proc/self/task")) - before)

    assert in_a_thread(n_threads).result(60) == number


@pytest.fixture
def pool(monkeypatch) -> Iterator[None]:
    """Threads of our own as on a machine of eight cores, whatever the work is worth."""
    monkeypatch.setattr(threads, "n_cores", lambda: 8)
    monkeypatch.setattr(threads, "worth_threads", lambda work: True)
    monkeypatch.setattr("napari_sparse_gmm.engines.fused.worth_threads", lambda work: True)
    threads._pool.cache_clear()
    yield
    threads._pool().shutdown()
    threads._pool.cache_clear()


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("number", [1, 3, None])
def test_compiled_code_takes_as_many_threads(number, monkeypatch):
    """As it is told, or all cores: its threads do not spin."""
    running, seen, run = set(), [], kernels.run

    def slow(*arguments):
        running.add(threading.get_ident())
        time.sleep(0.005)
        seen.append(len(running))
        run(*arguments)
        running.discard(threading.get_ident())

    monkeypatch.setattr(kernels, "run", slow)
    mixture = random_mixture(50, 2)
    held = hold(mixture.sample(20_000, 0)[0], engine=Fused)
    with limited_threads(number):
        held.expectation(mixture)
    assert max(seen) == (number or 8)


@pytest.mark.usefixtures("pool")
def test_what_fails_in_a_thread_is_raised():
    def call(k: int) -> int:
        if k == 5:
            raise KeyError("five")
        return k

    with pytest.raises(KeyError, match="five"):
        in_threads(call, 20, work=1.0)
    assert in_threads(lambda k: k, 20, work=1.0) == list(range(20))


def test_a_fit_takes_as_many_threads_as_it_is_told(monkeypatch):
    monkeypatch.setattr(threads, "n_cores", lambda: 8)
    seen = []
    expectation = TorchTiles.expectation

    def spy(*arguments, **keywords):
        with limited_threads():
            seen.append(torch.get_num_threads())
        return expectation(*arguments, **keywords)

    monkeypatch.setattr(TorchTiles, "expectation", spy)
    points = np.random.default_rng(0).normal(size=(200, 2))
    model = SparseGaussianMixture(
        2, engine="torch", device="cpu", n_threads=3, random_state=0, prior="sqrt", background=False
    )
    before = torch.get_num_threads()
    model.fit(points)
    assert set(seen) == {3}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("noise", [False, True])
def test_results_do_not_depend_on_the_number_of_threads(noise):
    """To the last bit: of the order of points, a pass, and a whole fit with moves."""
    mixture = random_mixture(60, 2, background_weight=0.2, field=200.0)
    points, _ = mixture.sample(60_000, 0)
    std = 0.3 if noise else None
    found = []
    for number in (1, 2, 5):
        with limited_threads(number):
            order, _ = kd_order(points)
            seen = Observations.of(points, noise_std=std)
            statistics = Fused(seen, block_size=128).expectation(mixture, removal=True)
        model = SparseGaussianMixture(
            80,
            prior="mml",
            background=True,
            engine="fused",
            n_threads=number,
            random_state=0,
            max_iter=30,
        )
        *_, last = model.iter_fit(seen)
        found.append([order, *vars(statistics).values(), last.cost, last.mixture.covariances])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert np.array_equal(one, two) or one is two


@pytest.mark.parametrize("engine", [TorchTiles, KeOps, Fused], ids=["torch", "keops", "fused"])
def test_two_threads_may_ask_the_same_engine(engine):
    """Each has the answers that it would have alone, also to the first questions."""
    mixtures = [random_mixture(60, 2, background_weight=0.2, field=50.0, seed=k) for k in range(2)]
    points = mixtures[0].sample(20_000, 0)[0]

    def answers(held, mixture):
        found = [held.overdensities(mixture, s) for s in (Boxes(1.0, 0.1, turn=1), Balls(0.1))]
        found += [held.expectation(mixture, removal=True), held.assign(mixture), held.summary]
        return [value for answer in found for value in vars(answer).values()]

    alone = [answers(hold(points, engine=engine), mixture) for mixture in mixtures]
    for _ in range(3):
        held = hold(points, engine=engine)
        asked = [in_a_thread(partial(answers, held, mixture)) for mixture in mixtures]
        for expected, future in zip(alone, asked, strict=True):
            for one, two in zip(expected, future.result(60), strict=True):
                np.testing.assert_array_equal(one, two)


@pytest.mark.keops
def test_calls_of_keops_do_not_see_the_arguments_of_each_other(monkeypatch):
    """Each is made by an object of its own, which alone has the addresses."""
    load_pykeops()
    from pykeops.common.keops_io.LoadKeOps_cpp import LoadKeOps_cpp_class

    callers, call_keops = [], LoadKeOps_cpp_class.call_keops

    def spy(self, *arguments):
        callers.append(self)
        call_keops(self, *arguments)

    monkeypatch.setattr(LoadKeOps_cpp_class, "call_keops", spy)
    mixture = random_mixture(50, 2)
    held = hold(mixture.sample(100_000, 0)[0], engine=KeOps)
    for _ in range(2):
        held.expectation(mixture)
    assert len({id(caller) for caller in callers}) == len(callers) >= 4


@pytest.mark.keops
@pytest.mark.parametrize("flushed", [False, True])
def test_kernels_of_keops_leave_the_smallest_numbers_as_they_are(flushed):
    """Loaded by a process of its own, where nothing is yet."""
    script = (
        "import sys, numpy as np, torch\n"
        "from napari_sparse_gmm import GaussianMixture\n"
        "from napari_sparse_gmm.engines.keops import KeOps\n"
        "from napari_sparse_gmm.observations import Observations\n"
        f"torch.set_flush_denormal({flushed})\n"
        "mixture = GaussianMixture([1.0], [[0.0, 0.0]], [np.eye(2)])\n"
        "KeOps(Observations(np.zeros((9, 2)))).expectation(mixture, removal=True)\n"
        "print(sys.float_info.min / 2 == 0.0)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout.strip() == str(flushed), run.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_child_of_a_fork_can_fit():
    """The threads of its parent are gone there."""
    points = random_mixture(30, 2, background_weight=0.2, field=100.0).sample(60_000, 0)[0]
    model = SparseGaussianMixture(
        40, prior="mml", background=True, engine="fused", n_threads=2, random_state=0, max_iter=5
    )
    list(model.iter_fit(points))
    child = os.fork()
    if child == 0:
        try:
            list(model.iter_fit(points))
        except BaseException:
            os._exit(1)
        os._exit(0)
    deadline = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    if ended == (0, 0):
        os.kill(child, 9)
    assert ended == (child, 0)
