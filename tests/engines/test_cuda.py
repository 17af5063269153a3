"""Whole fits on a graphics card end as on the processor."""

import gc

import numpy as np
import pytest
import torch
from oracles import hold, random_mixture

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.engines import TorchTiles, choose_engine
from napari_sparse_gmm.engines.keops import KeOps
from napari_sparse_gmm.uncertainty import standard_errors

pytestmark = pytest.mark.cuda
ENGINES = [pytest.param(TorchTiles, id="torch"), pytest.param(KeOps, id="keops")]


def fitted(points, noise_std, **parameters):
    model = SparseGaussianMixture(60, background=True, init="density", random_state=0, **parameters)
    return model.fit(points, noise_std=noise_std)


@pytest.mark.parametrize("noisy", [False, True], ids=["", "noise"])
@pytest.mark.parametrize("prior", ["mml", "bayes"])
@pytest.mark.parametrize("n_dimensions", [2, 3])
@pytest.mark.parametrize("engine", ["torch", "keops"])
def test_a_fit_ends_as_on_the_processor(engine, n_dimensions, prior, noisy):
    truth = random_mixture(20, n_dimensions, background_weight=0.2, field=300.0, sigma=2.0)
    points, _ = truth.sample(20_000, random_state=1)
    std = np.random.default_rng(2).uniform(0.2, 1.0, points.shape) if noisy else None
    found = fitted(points, std, prior=prior, engine=engine, device="cuda")
    expected = fitted(points, std, prior=prior, engine="torch", device="cpu")
    assert found.n_components_ == expected.n_components_
    assert found.cost_ == pytest.approx(expected.cost_, rel=1e-5)


@pytest.mark.keops
def test_keops_is_chosen_by_itself_and_says_so():
    choose_engine("keops", "cuda", n_dimensions=2)  # compiled: "auto" waits for no compiler
    choice = choose_engine("auto", "auto", n_dimensions=2)
    assert (choice.engine, choice.device) == (KeOps, "cuda")
    assert "the fastest on a graphics card" in choice.reason


@pytest.mark.parametrize("engine", ENGINES)
def test_standard_errors_are_those_of_the_processor(engine):
    mixture = random_mixture(5, 2, background_weight=0.2, field=100.0)
    points, _ = mixture.sample(5000, random_state=1)
    here = standard_errors(mixture, hold(points))
    there = standard_errors(mixture, hold(points, engine=engine, device="cuda"))
    np.testing.assert_allclose(there.means, here.means, rtol=1e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_leaves_no_memory_of_the_card(engine):
    mixture = random_mixture(5, 2)
    points, _ = mixture.sample(100_000, random_state=1)
    before = torch.cuda.memory_allocated()
    held = hold(points, engine=engine, device="cuda")
    held.expectation(mixture)
    assert torch.cuda.memory_allocated() > before
    del held
    gc.collect()
    assert torch.cuda.memory_allocated() == before
