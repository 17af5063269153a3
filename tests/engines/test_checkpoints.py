"""Fits that were interrupted go on to the same answer, whatever is left of their checkpoints."""

import json
import resource
import time
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.chunked import Chunked
from napari_sparse_gmm.engines import Storage, TorchTiles
from napari_sparse_gmm.engines.checkpoints import Checkpoints, CheckpointWarning, fingerprint
from napari_sparse_gmm.engines.fused import Fused
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.regions import Box, Polygon


def field_of_clusters(noise=False, weights=False, seed=0):
    rng = np.random.default_rng(seed)
    means = rng.uniform(10, 90, (5, 2))
    clustered = means[rng.integers(5, size=500)] + rng.standard_normal((500, 2))
    points = np.concatenate([clustered, rng.uniform(0, 100, (150, 2))])
    std = rng.uniform(0.3, 0.8, points.shape) if noise else None
    return Observations.of(points, rng.uniform(1, 2, 650) if weights else None, std)


class Counted(Fused):
    """How often the points were asked."""

    asked = 0

    def expectation(self, *arguments, **keywords):
        Counted.asked += 1
        return super().expectation(*arguments, **keywords)


def same(one, other):
    assert one.cost_ == other.cost_
    assert one.n_iter_ == other.n_iter_
    for name in ("weights_", "means_", "covariances_", "cost_history_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


FITS = {
    "bayes": {},
    "round": {"covariance_type": "spherical"},
    "even": {"smooth_background": False},
    "mml": {"prior": "mml", "init": "density"},
    "adam": {"prior": "sqrt", "solver": "adam", "n_components": 15, "max_iter": 30},
    "region": {
        "background": Polygon([[-9, -9], [-9, 109], [109, 109], [109, -9]]),
        "smooth_background": False,
    },
}


def fitted(X, parameters, checkpoints=None, stop_after=None):
    model = SparseGaussianMixture(**{"random_state": 0, **parameters})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if stop_after is None:
            return model.fit(X, checkpoints=checkpoints)
    steps = model.iter_fit(X, checkpoints=checkpoints)
    for _ in range(stop_after):
        next(steps)
    steps.close()
    assert not hasattr(model, "mixture_")
    return None


@pytest.mark.parametrize("noise", [False, True], ids=["exact", "noisy"])
@pytest.mark.parametrize("name", FITS)
def test_a_fit_goes_on_to_the_last_digit(name, noise, tmp_path):
    seen = field_of_clusters(noise)
    undisturbed = fitted(Counted(seen), FITS[name])
    n_asked, Counted.asked = Counted.asked, 0
    checkpoints = Checkpoints(tmp_path, resume=True)
    for stop_after in (3, 20):
        fitted(Counted(seen), FITS[name], checkpoints, stop_after)
    before, Counted.asked = Counted.asked, 0
    resumed = fitted(Counted(seen), FITS[name], checkpoints)
    same(resumed, undisturbed)
    # What was known was not asked for again, neither the second nor the third time.
    assert Counted.asked + before <= n_asked
    Counted.asked = 0
    again = fitted(Counted(seen), FITS[name], checkpoints)
    same(again, undisturbed)
    assert Counted.asked == 0


def test_a_fit_of_points_on_disk_goes_on_to_the_last_digit(tmp_path):
    seen = field_of_clusters(weights=True)
    chunks = Chunked.generated(lambda k: seen.subset(slice(300 * k, 300 * (k + 1))), 3)
    parameters = {"storage": Storage(memory_limit=1)}
    undisturbed = fitted(chunks, parameters)
    checkpoints = Checkpoints(tmp_path, resume=True)
    fitted(chunks, parameters, checkpoints, stop_after=30)
    same(fitted(chunks, parameters, checkpoints), undisturbed)


def test_a_fit_does_not_go_on_unless_it_should(tmp_path):
    seen = field_of_clusters()
    fitted(Counted(seen), {}, Checkpoints(tmp_path), 20)
    n_files = len(list(tmp_path.iterdir()))
    Counted.asked = 0
    fitted(Counted(seen), {}, Checkpoints(tmp_path), 20)
    assert Counted.asked > 5
    assert len(list(tmp_path.iterdir())) == n_files


def test_checkpoints_are_refused_by_others(tmp_path):
    seen = field_of_clusters()
    fitted(Counted(seen), {}, Checkpoints(tmp_path), 3)
    go_on = Checkpoints(tmp_path, resume=True)
    with pytest.raises(InputError, match="are of other points: a fit can only go on with the same"):
        fitted(Counted(field_of_clusters(seed=1)), {}, go_on)
    with pytest.raises(InputError, match="are of other parameters"):
        fitted(Counted(seen), {"tol": 1e-3}, go_on)
    with pytest.raises(InputError, match="are of other parameters"):
        fitted(Counted(seen), {"random_state": 1}, go_on)
    with pytest.raises(InputError, match="are of other points and parameters and engine"):
        fitted(TorchTiles(field_of_clusters(seed=2)), {"max_iter": 5}, go_on)
    about = json.loads((tmp_path / "about.json").read_text())
    (tmp_path / "about.json").write_text(json.dumps(about | {"version": "0.0.1"}))
    with pytest.raises(InputError, match="are of other version"):
        fitted(Counted(seen), {}, go_on)
    (tmp_path / "about.json").write_text("{")
    with pytest.raises(InputError, match="is damaged: what these checkpoints are of is not known"):
        fitted(Counted(seen), {}, go_on)
    assert list(tmp_path.glob("*.npz"))  # still there


@pytest.mark.parametrize("seed", [None, np.random.RandomState(0)])
def test_checkpoints_need_a_seed(seed, tmp_path):
    with pytest.raises(InputError, match="needs a number as random_state"):
        fitted(Counted(field_of_clusters()), {"random_state": seed}, Checkpoints(tmp_path))


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path):
    path.write_bytes(b"")


def changed(path):
    content = bytearray(path.read_bytes())
    for k in range(300, len(content), 500):
        content[k] ^= 0xFF
    path.write_bytes(content)


def other(path):
    with path.open("wb") as file:
        np.savez(file, keys=np.array(["a", "b"]), nonsense=np.zeros(3))


def pickled(path):
    np.savez(path, keys=np.array([{"a": 1}], dtype=object))


@pytest.mark.parametrize("damage", [cut_short, emptied, changed, other, pickled])
@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_damaged_checkpoint_costs_no_more_than_what_it_held(damage, which, tmp_path):
    seen = field_of_clusters()
    parameters = {"prior": "mml", "init": "density"}
    undisturbed = fitted(Counted(seen), parameters)
    often = Checkpoints(tmp_path, every=0.0, resume=True)
    fitted(Counted(seen), parameters, often, stop_after=20)
    files = sorted(tmp_path.glob("*.npz"))
    assert len(files) > 5
    damage(files[which])
    Counted.asked = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        same(fitted(Counted(seen), parameters, often), undisturbed)
    said = [str(w.message) for w in caught if w.category is CheckpointWarning]
    assert len(said) <= 1
    if damage is not other:
        assert f"{files[which]} is damaged: what it holds is computed again" in said[0]
    assert all(file.exists() for file in files)


@pytest.fixture
def small_files():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda n: resource.setrlimit(resource.RLIMIT_FSIZE, (n, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_checkpoints_that_there_are(small_files, tmp_path):
    seen = field_of_clusters()
    fitted(Counted(seen), {}, Checkpoints(tmp_path), stop_after=20)
    (file,) = tmp_path.glob("*.npz")
    before = file.read_bytes()
    small_files(2000)
    with pytest.raises(OSError, match=r"000001\.npz"):
        fitted(Counted(seen), {}, Checkpoints(tmp_path, every=0.0, resume=True))
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.npz", "about.json"]
    small_files(resource.RLIM_INFINITY)
    undisturbed = fitted(Counted(seen), {})
    same(fitted(Counted(seen), {}, Checkpoints(tmp_path, resume=True)), undisturbed)


def test_checkpoints_are_written_now_and_then_and_when_a_fit_ends(tmp_path, monkeypatch):
    seen = field_of_clusters()
    fitted(Counted(seen), {}, Checkpoints(tmp_path, every=3600.0))
    assert [path.name for path in tmp_path.glob("*.npz")] == ["000000.npz"]
    clock = iter(range(0, 10**6, 40))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    Checkpoints(tmp_path).remove()
    assert not tmp_path.exists()
    fitted(Counted(seen), {}, Checkpoints(tmp_path, every=100.0), stop_after=20)
    assert len(list(tmp_path.glob("*.npz"))) > 3


def test_fingerprints_differ_where_values_do():
    mixture = GaussianMixture([1.0], [[0.0, 1.0]], [np.eye(2)])
    values = [
        1,
        1.5,
        "1",
        None,
        np.array([1.0, 2.0]),
        np.array([[1.0, 2.0]]),
        np.array([1, 2]),
        (1, 2),
        ((1,), 2),
        mixture,
        GaussianMixture([0.5], [[0.0, 1.0]], [np.eye(2)], 0.5, Box([[0, 0], [1, 1]])),
        GaussianMixture([0.5], [[0.0, 1.0]], [np.eye(2)], 0.5, Box([[0, 0], [1, 2]])),
    ]
    assert len({fingerprint(value) for value in values}) == len(values)
    again = GaussianMixture([1.0], [[0.0, 1.0]], [np.eye(2)])
    assert fingerprint(again) == fingerprint(mixture)
