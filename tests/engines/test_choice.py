"""Which engine runs, and what is said where the one asked for cannot."""

import os
import subprocess
import sys
import warnings

import pytest

from napari_sparse_gmm.engines import EngineFallbackWarning, choose_engine, ready
from napari_sparse_gmm.engines.engine import EngineUnavailable
from napari_sparse_gmm.parameters import ENGINE


def test_automatic_choice_gives_its_reason():
    chosen = choose_engine("auto", "cpu", n_dimensions=2)
    assert chosen.engine.name == "fused"
    assert "fastest" in chosen.reason


def test_the_kernels_of_processors_are_not_for_cuda():
    with pytest.raises(ValueError, match="engine='fused' computes on the processor"):
        choose_engine("fused", "cuda", n_dimensions=2)


@pytest.mark.parametrize("engine", ["torch", "keops", "fused"])
def test_an_engine_runs_where_it_is_asked_for(engine):
    chosen = choose_engine(engine, "cpu", n_dimensions=2)
    assert (chosen.engine.name, chosen.device) == (engine, "cpu")
    assert chosen.reason.endswith(", as asked for.")


@pytest.fixture
def only_torch(monkeypatch):
    """No engine but PyTorch can run."""

    def fail(*_):
        raise EngineUnavailable("Something is missing.")

    for engine in ("keops", "fused"):
        monkeypatch.setattr(ready, f"_working_{engine}", fail)
    monkeypatch.setattr(ready, "_running", {})


@pytest.mark.usefixtures("only_torch")
@pytest.mark.parametrize("engine", ["keops", "fused"])
def test_torch_takes_over_with_one_clear_message(engine):
    label = ENGINE.choice_labels[engine]
    with pytest.warns(EngineFallbackWarning, match=f"PyTorch instead of {label}. Something"):
        chosen = choose_engine(engine, "cpu", n_dimensions=2)
    assert chosen.engine.name == "torch"


@pytest.mark.usefixtures("only_torch")
def test_where_nothing_was_asked_for_it_takes_over_without():
    chosen = choose_engine("auto", "cpu", n_dimensions=2)
    assert chosen.engine.name == "torch"
    assert chosen.reason.endswith("Something is missing.")


@pytest.mark.parametrize(
    ("engine", "device", "message"),
    [("jax", "auto", "engine must be one of"), ("auto", "tpu", "device must be one of")],
)
def test_unknown_names_are_refused(engine, device, message):
    with pytest.raises(ValueError, match=message):
        choose_engine(engine, device, n_dimensions=2)


@pytest.mark.parametrize("broken", ["no compiler", "failing compiler", "read-only home"])
def test_keops_that_cannot_run_leaves_a_fit_on_torch(broken, tmp_path):
    """In an interpreter of its own: pykeops looks for its compiler when it is imported."""
    script = (
        "import warnings, numpy as np\n"
        "from napari_sparse_gmm import SparseGaussianMixture\n"
        "x = np.random.default_rng(0).normal(size=(200, 2))\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    model = SparseGaussianMixture(2, engine='keops', random_state=0).fit(x)\n"
        "messages = [str(w.message) for w in caught if 'KeOps' in str(w.message)]\n"
        "print(model.engine_, len(messages), messages[0])\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    environment = {**os.environ, "HOME": str(home), "PATH": str(tools)}
    environment.pop("CXX", None)
    if broken == "failing compiler":
        for name in ("g++", "clang++"):
            (tools / name).write_text("#!/bin/sh\necho no such thing >&2\nexit 1\n")
            (tools / name).chmod(0o755)
    if broken == "read-only home":
        # A file in the place of the folder stops root as well.
        (home / ".cache").write_text("")
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1].startswith("torch 1 PyTorch instead of KeOps. ")


@pytest.mark.keops
def test_no_message_where_nothing_is_wrong():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        choose_engine("auto", "auto", n_dimensions=3)
        choose_engine("keops", "cpu", n_dimensions=3)
