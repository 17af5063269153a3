"""A reduction in a thread leaves the other Python threads running."""

import threading
import time

import pytest
from oracles import random_mixture

from napari_sparse_gmm.engines import TorchTiles
from napari_sparse_gmm.engines.keops import KeOps
from napari_sparse_gmm.engines.keops_build import load_pykeops


def test_the_wrapper_of_this_pykeops_is_known():
    assert load_pykeops().releases_lock


@pytest.mark.parametrize("engine", [TorchTiles, KeOps], ids=["torch", "keops"])
def test_other_threads_run_during_an_expectation(engine):
    mixture = random_mixture(50, 2)
    held = engine(mixture.sample(200_000, 0)[0])
    held.expectation(mixture)  # compiled and warm
    worker = threading.Thread(target=held.expectation, args=(mixture,))
    ticks = 0
    worker.start()
    while worker.is_alive():
        time.sleep(0.001)
        ticks += 1
    # One call takes some 50 ms at least; with Python's lock held there would be one tick.
    assert ticks > 5
