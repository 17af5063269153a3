"""Engines get ready behind the scenes: what the user is told, and that nobody is held up."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock, Timeout

from napari_sparse_gmm.engines import (
    EngineFallbackWarning,
    TorchTiles,
    choose_engine,
    keops_build,
    ready,
)
from napari_sparse_gmm.engines.choice import preparation
from napari_sparse_gmm.engines.engine import EngineUnavailable
from napari_sparse_gmm.engines.keops_build import Loaded, failure_apart, first_use


class KeOpsLike(TorchTiles):
    name = "keops"


class FakeCompiler:
    """Takes as long as the test wants, and leaves its source file as pykeops does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: list[tuple[int, str, bool]] = []
        self.is_done = threading.Event()
        self.error: Exception | None = None
        self.only_loads = False
        self.ended = 0

    def __call__(self, n_dimensions: int, device: str, noise: bool) -> type[TorchTiles]:
        self.runs.append((n_dimensions, device, noise))
        if not self.only_loads:
            (self.folder / f"{len(self.runs)}.cpp").write_text("")
        assert self.is_done.wait(30)
        self.ended += 1
        if self.error is not None:
            raise self.error
        return KeOpsLike


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCompiler]:
    fake = FakeCompiler(tmp_path)
    (tmp_path / "old.cpp").write_text("")
    os.utime(tmp_path / "old.cpp", (0, 0))
    for engine in ("keops", "fused"):
        monkeypatch.setattr(ready, f"_working_{engine}", fake)
    monkeypatch.setattr(ready, "load_pykeops", lambda: Loaded(str(tmp_path), True))
    monkeypatch.setattr(ready, "_INTERVAL", 0.01)
    monkeypatch.setattr(ready, "_running", {})
    yield fake
    fake.is_done.set()
    wait_until(all_are_ready)


def all_are_ready() -> bool:
    return all(preparation.outcome.done() for preparation in ready._running.values())


def wait_until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def first_sentence(waits) -> str:
    return next(str(waiting) for waiting in waits if waiting.sentence)


def test_who_waits_is_told_for_what_and_how_long(compiler):
    waits = preparation("keops", "cpu", n_dimensions=3)
    told = first_sentence(waits)
    assert told == "Compiling KeOps kernels for 3D points, first time only (0 s)"
    while next(waits).seconds < 1.0:
        pass
    assert str(next(waits)).endswith("first time only (1 s)")
    compiler.is_done.set()
    list(waits)
    assert choose_engine("keops", "cpu", n_dimensions=3).engine is KeOpsLike


def test_kernels_that_are_only_loaded_are_not_worth_a_sentence(compiler):
    compiler.only_loads = True
    waits = preparation("keops", "cpu", n_dimensions=2)
    assert [str(next(waits)) for _ in range(3)] == ["", "", ""]
    compiler.is_done.set()
    assert not any(waiting.sentence for waiting in waits)


def test_what_takes_long_is_told_whatever_it_is(compiler, monkeypatch):
    """pykeops itself, at its first import, or another process that holds the lock."""
    monkeypatch.setitem(ready._LONGEST_LOADING, "keops", 0.1)
    compiler.only_loads = True
    assert "Compiling" in first_sentence(preparation("keops", "cpu", n_dimensions=2))


@pytest.mark.parametrize("engine", ["auto", "fused"])
def test_kernels_of_the_processor_are_waited_for_too(compiler, monkeypatch, engine):
    monkeypatch.setitem(ready._LONGEST_LOADING, "fused", 0.1)
    waits = preparation(engine, "cpu", n_dimensions=2, noise=True)
    told = first_sentence(waits)
    assert told == "Compiling kernels for this processor, first time only (0 s)"
    compiler.is_done.set()
    list(waits)
    assert compiler.runs == [(2, "cpu", True)]


def test_nothing_to_wait_for(compiler):
    assert list(preparation("torch", "cpu", n_dimensions=2)) == []
    assert compiler.runs == []


@pytest.mark.parametrize("engine", ["keops", "fused"])
def test_what_is_ready_stays_so(compiler, engine):
    compiler.is_done.set()
    for _ in range(3):
        choose_engine(engine, "cpu", n_dimensions=2)
    assert list(preparation(engine, "cpu", n_dimensions=2)) == []
    assert compiler.runs == [(2, "cpu", False)]


def test_who_stops_waiting_goes_at_once_and_the_compiler_goes_on(compiler):
    waits = preparation("keops", "cpu", n_dimensions=2)
    next(waits)
    started = time.monotonic()
    waits.close()
    assert time.monotonic() - started < 1.0
    assert compiler.ended == 0
    compiler.is_done.set()
    wait_until(lambda: compiler.ended == 1)


def test_a_second_one_waits_for_the_same_compiler(compiler):
    first = preparation("keops", "cpu", n_dimensions=2)
    next(first)
    first.close()
    second = preparation("keops", "cpu", n_dimensions=2)
    first_sentence(second)
    others = [
        preparation("keops", "cpu", n_dimensions=3),
        preparation("keops", "cpu", n_dimensions=2, noise=True),
    ]
    for other in others:
        next(other)
    assert compiler.runs == [(2, "cpu", False), (3, "cpu", False), (2, "cpu", True)]
    compiler.is_done.set()
    list(second)


def test_a_compiler_that_fails_leaves_the_fit_to_torch(compiler):
    compiler.error = EngineUnavailable("KeOps could not compile its kernels.")
    compiler.is_done.set()
    list(preparation("keops", "cpu", n_dimensions=2))
    with pytest.warns(EngineFallbackWarning, match="PyTorch instead of KeOps. KeOps could not"):
        assert choose_engine("keops", "cpu", n_dimensions=2).engine is TorchTiles
    compiler.error = None  # the next one tries again
    assert choose_engine("keops", "cpu", n_dimensions=2).engine is KeOpsLike


def test_an_error_that_nobody_expects_is_not_hidden(compiler):
    compiler.error = KeyError("a mistake")
    compiler.is_done.set()
    with pytest.raises(KeyError, match="a mistake"):
        choose_engine("keops", "cpu", n_dimensions=2)


class TestAutomatic:
    """On CUDA, which the choice itself does not touch."""

    @pytest.fixture(autouse=True)
    def cuda(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def test_nobody_waits_for_a_compiler(self, compiler):
        list(preparation("auto", "auto", n_dimensions=2))
        chosen = choose_engine("auto", "auto", n_dimensions=2)
        assert chosen.engine is TorchTiles
        assert chosen.device == "cuda"
        assert chosen.reason == (
            "PyTorch, while KeOps compiles its kernels for 2D points, this first time; a later "
            "fit takes KeOps."
        )
        assert compiler.runs == [(2, "cuda", False)]
        compiler.is_done.set()
        wait_until(all_are_ready)
        compiler.only_loads = True
        chosen = choose_engine("auto", "auto", n_dimensions=2)
        assert chosen.engine is KeOpsLike
        assert chosen.reason == "KeOps, the fastest on a graphics card."

    def test_kernels_are_loaded_before_the_eyes_of_who_may_cancel(self, compiler):
        compiler.only_loads = True
        waits = preparation("auto", "cuda", n_dimensions=2)
        assert str(next(waits)) == ""
        compiler.is_done.set()
        list(waits)
        assert choose_engine("auto", "cuda", n_dimensions=2).engine is KeOpsLike

    def test_asked_for_it_waits(self, compiler):
        waits = preparation("keops", "auto", n_dimensions=2)
        first_sentence(waits)
        assert str(next(waits)) != ""
        waits.close()


def test_lock_of_the_folder_is_let_go_after_who_waited_is_gone(compiler, tmp_path, monkeypatch):
    monkeypatch.setattr(keops_build, "load_pykeops", lambda: Loaded(str(tmp_path), True))
    monkeypatch.setattr(
        ready, "_working_keops", lambda *of: first_use(("a test", *of), lambda: compiler(*of))
    )
    waits = preparation("keops", "cpu", n_dimensions=2)
    first_sentence(waits)
    waits.close()
    lock = FileLock(tmp_path / "napari-sparse-gmm.lock")
    with pytest.raises(Timeout):  # as it should be: the compiler is at work
        lock.acquire(timeout=0)
    compiler.is_done.set()
    with lock.acquire(timeout=10):
        pass


@pytest.mark.keops
@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("import os; os.abort()", "crashed with signal 6"),
        ("raise OSError('no nvrtc')", "failed (OSError: no nvrtc)"),
        ("pass", ""),
    ],
)
def test_a_first_kernel_that_crashes_takes_only_its_own_process_along(code, failure):
    assert failure_apart(code) == failure


@pytest.mark.keops
def test_real_compilers_can_be_watched(tmp_path):
    """In a home of its own, where nothing is compiled yet; and once more, where all is."""
    script = (
        "import time\n"
        "from napari_sparse_gmm.engines.choice import choose_engine, preparation\n"
        "told, last, longest = set(), time.monotonic(), 0.0\n"
        "for waiting in preparation('keops', 'cpu', n_dimensions=2):\n"
        "    now = time.monotonic()\n"
        "    last, longest = now, max(longest, now - last)\n"
        "    told.add(waiting.sentence)\n"
        "engine = choose_engine('keops', 'cpu', n_dimensions=2).engine\n"
        "print(engine.name, sorted(told - {''}), longest < 2.0, longest)\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    for told in (["Compiling KeOps kernels for 2D points, first time only"], []):
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True
        )
        assert run.stdout.startswith(f"keops {told} True"), run.stdout + run.stderr


@pytest.mark.parametrize("writable", [True, pytest.param(False, marks=pytest.mark.long)])
def test_kernels_of_the_processor_are_compiled_once_or_once_a_process(tmp_path, writable):
    """In a cache of their own, where nothing is compiled yet; and where none can be written."""
    # With nowhere to look for a cache, numba cannot keep one.
    nowhere = "from numba.core.caching import CacheImpl\nCacheImpl._locator_classes = []\n"
    script = (
        ("" if writable else nowhere)
        + "from napari_sparse_gmm.engines.choice import choose_engine, preparation\n"
        "told = {w.sentence for w in preparation('fused', 'cpu', n_dimensions=2)} - {''}\n"
        "print(choose_engine('fused', 'cpu', n_dimensions=2).engine.name, told)\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    told = "fused {'Compiling kernels for this processor, first time only'}"
    for expected in (told, "fused set()" if writable else told):
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True
        )
        assert run.stdout.strip() == expected, run.stderr
