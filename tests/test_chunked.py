"""Points that come in chunks: what they are read from, and that a fit of them is the fit of all."""

import warnings

import dask.array
import dask.dataframe
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.chunked import Chunked, Noted, as_chunked, joined
from napari_sparse_gmm.engines import Storage
from napari_sparse_gmm.engines.partitioned import Partitioned
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.observations import Observations

# No partition is kept in memory.
NOTHING_HELD = Storage(memory_limit=1)


@pytest.fixture(autouse=True)
def many_partitions(monkeypatch):
    """Of 1,000 points at most, so that most clusters lie on some border."""
    monkeypatch.setattr("napari_sparse_gmm.engines.storage._LARGEST", 1000)


def field_of_clusters(n=6000, seed=0):
    """25 clusters on a lattice, nine on the lines that halve the field, and a background."""
    rng = np.random.default_rng(seed)
    means = np.stack(np.meshgrid(*2 * [np.linspace(10, 90, 5)]), axis=2).reshape(-1, 2)
    clustered = means[rng.integers(len(means), size=n)] + 2.0 * rng.standard_normal((n, 2))
    points = np.concatenate([clustered, rng.uniform(0, 100, (n // 4, 2))])
    return points, means


def of_memmap(points, folder):
    points.tofile(folder / "points.bin")
    return np.memmap(folder / "points.bin", dtype=np.float64, mode="r", shape=points.shape)


def of_hdf5(points, folder):
    return h5py.File(folder / "points.h5", "w").create_dataset("x", data=points, chunks=(500, 2))


def of_zarr(points, folder):
    array = zarr.create_array(
        folder / "points.zarr", shape=points.shape, chunks=(700, 1), dtype=float
    )
    array[:] = points
    return array


def of_dask(points, folder):
    n = len(points)
    return dask.array.from_array(points, chunks=((0, 10, n // 2, 0, n - n // 2 - 10), (1, 1)))


def of_dataframe(points, folder):
    frame = pd.DataFrame(points, columns=["x", "y"])
    frame.to_parquet(folder / "points.parquet", row_group_size=1000)
    return dask.dataframe.read_parquet(folder / "points.parquet", split_row_groups=True)


def of_generated(points, folder):
    parts = np.array_split(points, 4)
    return Chunked.generated(parts.__getitem__, 4)


SOURCES = [of_memmap, of_hdf5, of_zarr, of_dask, of_dataframe, of_generated]


@pytest.mark.parametrize("source", SOURCES)
def test_chunks_are_the_points_in_their_order(source, tmp_path):
    points, _ = field_of_clusters(1000)
    chunked = as_chunked(source(points, tmp_path))
    assert chunked.n_dimensions == 2
    np.testing.assert_array_equal(joined(chunked).points, points)


@pytest.mark.parametrize("source", SOURCES)
def test_what_fits_in_memory_is_fitted_there(source, tmp_path):
    points, _means = field_of_clusters()
    model = SparseGaussianMixture(prior="mml", init="density", random_state=0)
    of_array = clone(model).fit(points)
    of_chunks = clone(model).fit(source(points, tmp_path))
    assert of_chunks.cost_ == of_array.cost_
    np.testing.assert_array_equal(of_chunks.means_, of_array.means_)


@pytest.mark.parametrize("source", SOURCES)
def test_a_fit_of_chunks_on_disk_finds_what_one_in_memory_does(source, tmp_path):
    points, means = field_of_clusters()
    parameters = {"prior": "mml", "init": "density", "random_state": 0}
    of_array = SparseGaussianMixture(**parameters).fit(points)
    data = source(points, tmp_path)
    model = SparseGaussianMixture(**parameters, storage=NOTHING_HELD)
    engine = model.open(data)
    assert isinstance(engine, Partitioned)
    assert engine.workers.n_partitions == 8
    model.fit(engine)
    assert model.n_components_ == of_array.n_components_ == len(means)
    assert model.cost_ == pytest.approx(of_array.cost_, abs=1e-4)
    assert model.score(engine) == pytest.approx(of_array.score(points), abs=1e-4)


@pytest.mark.parametrize("source", SOURCES)
def test_labels_and_densities_of_chunks_are_those_of_the_points(source, tmp_path):
    points, _ = field_of_clusters(1500)
    model = SparseGaussianMixture(prior="mml", init="density", random_state=0).fit(points)
    data = source(points, tmp_path)
    labels, densities = model.predict(data), model.score_samples(data)
    lazy = source in (of_dask, of_dataframe)
    assert isinstance(labels, dask.array.Array) == lazy
    np.testing.assert_array_equal(np.asarray(labels), model.predict(points))
    np.testing.assert_allclose(np.asarray(densities), model.score_samples(points), atol=1e-9)
    assert model.score(data) == pytest.approx(model.score(points), abs=1e-9)


def fitted(X, **parameters):
    model = SparseGaussianMixture(**{"random_state": 0, **parameters})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X)


STARTS = {
    "none": {"prior": "none", "n_components": 25, "background": False},
    "sqrt": {"prior": "sqrt", "sparsity": 1.0, "n_components": 25, "background": False},
    "mml": {"prior": "mml", "n_components": 25},
    "adam": {"prior": "mml", "n_components": 25, "solver": "adam"},
    "bayes": {"prior": "bayes", "n_components": 25},
}


@pytest.mark.parametrize("noise", [False, True], ids=["exact", "noisy"])
@pytest.mark.parametrize("weights", [False, True], ids=["alike", "weighted"])
@pytest.mark.parametrize("name", STARTS)
def test_from_the_same_start_a_fit_ends_as_in_memory(name, weights, noise):
    """In chunks of any size and order, some of them empty; no component is born."""
    points, means = field_of_clusters(2000)
    rng = np.random.default_rng(1)
    std = rng.uniform(0.5, 1.5, points.shape) if noise else None
    if noise:
        points = points + std * rng.standard_normal(points.shape)
    weight = rng.uniform(0.5, 1.5, len(points)) if weights else None
    seen = Observations.of(points, weight, std)
    init = means + rng.normal(0.0, 2.0, means.shape)
    parameters = {"init": init, "max_iter": 40, "tol": 1e-9, "repeats": 1.0, **STARTS[name]}
    whole = fitted(seen, **parameters)
    shuffled = rng.permutation(len(points))
    cuts = {"uneven": [3, 700], "empty": [0, 1200, 1200, len(points)]}
    for order, edges in ((shuffled, cuts["uneven"]), (np.arange(len(points)), cuts["empty"])):
        rows = np.split(order, edges)
        chunks = Chunked.generated(lambda k, rows=rows: seen.subset(rows[k]), len(rows))
        found = fitted(chunks, storage=NOTHING_HELD, **parameters)
        assert found.n_components_ == whole.n_components_
        assert found.cost_ == pytest.approx(whole.cost_, abs=1e-6)
        np.testing.assert_allclose(found.weights_, whole.weights_, atol=1e-5)
        np.testing.assert_allclose(found.means_, whole.means_, atol=1e-5 * 100)
        np.testing.assert_allclose(found.covariances_, whole.covariances_, atol=1e-5 * 100)


def test_points_that_repeat_are_one_with_their_weight_together():
    points, _ = field_of_clusters(1000)
    points = np.round(points)
    chunks = Chunked.generated(np.array_split(points, 3).__getitem__, 3)
    model = SparseGaussianMixture(prior="mml", repeats=1.0, storage=NOTHING_HELD)
    summary = model.open(chunks).summary
    assert summary.n_points == len(np.unique(points, axis=0))
    assert summary.total_weight == len(points)


def test_points_of_weight_0_are_left_out():
    points, _ = field_of_clusters(1000)
    weight = np.tile([0.0, 2.0], len(points) // 2)
    seen = Observations.of(points, weight)
    chunks = Chunked.generated(lambda k: seen.subset(slice(500 * k, 500 * (k + 1))), 3)
    summary = SparseGaussianMixture(repeats=1.0, storage=NOTHING_HELD).open(chunks).summary
    assert summary.total_weight == weight[:1500].sum()
    assert summary.n_points == np.count_nonzero(weight[:1500])


def test_weights_and_noise_come_in_the_same_chunks(tmp_path):
    points, _ = field_of_clusters(1000)
    weight, std = np.arange(1.0, len(points) + 1), np.full(points.shape, 0.5)
    whole = Observations.of(points, weight, std)
    memmap = of_memmap(points, tmp_path)
    assert joined(as_chunked(memmap, weight, std)).same_as(whole)
    assert joined(as_chunked(memmap, weight, 0.5)).same_as(whole)
    arrays = [dask.array.from_array(values, chunks=300) for values in (points, weight, std)]
    assert joined(as_chunked(*arrays)).same_as(whole)
    with pytest.raises(InputError, match="must be in the same 5 chunks as X, not in 3"):
        as_chunked(arrays[0], arrays[1].rechunk(500))
    with pytest.raises(InputError, match="in Dask chunks must be in such chunks, too"):
        as_chunked(arrays[0], weight)
    with pytest.raises(InputError, match=f"sample_weight must have {len(points)} rows as X, not 7"):
        as_chunked(memmap, weight[:7])


def test_what_is_no_table_of_points_is_said():
    with pytest.raises(InputError, match=r"X must have shape \(N, D\)"):
        SparseGaussianMixture().fit(dask.array.zeros(10))
    with pytest.raises(InputError, match="at least 2 points"):
        SparseGaussianMixture().fit(dask.array.zeros((1, 2)))
    wrong = Chunked.generated(lambda k: np.full((5, 2), np.nan if k else 0.0), 2)
    with pytest.raises(InputError, match="X must be finite numbers"):
        SparseGaussianMixture().fit(wrong)
    other = Chunked.generated(lambda k: np.zeros((5, 2 + k)), 2)
    with pytest.raises(InputError, match="same columns"):
        SparseGaussianMixture().fit(other)
    far = Chunked.generated(lambda k: np.full((5, 2), 1e31 * k), 2)
    with pytest.raises(InputError, match="give them in a larger unit"):
        SparseGaussianMixture(storage=NOTHING_HELD).fit(far)


def test_what_was_left_out_of_chunks_is_said():
    def some(k):
        return Noted(
            *vars(Observations(field_of_clusters(300, seed=k)[0])).values(), (f"note {k}",)
        )

    model = SparseGaussianMixture(prior="mml", init="density")
    with pytest.warns(UserWarning) as caught:  # noqa: PT030  # all of them are looked at
        model.open(Chunked.generated(some, 7))
    said = [str(warning.message) for warning in caught]
    assert said == [f"note {k}" for k in range(5)] + ["So it is in 2 more parts of the table."]


def test_points_that_are_fitted_without_noise_first_take_no_more_memory(tmp_path):
    rng = np.random.default_rng(0)
    points, _ = field_of_clusters(1000)
    seen = Observations.of(points, None, rng.uniform(0.5, 1.0, points.shape))
    chunks = Chunked.generated(lambda k: seen.subset(slice(500 * k, 500 * (k + 1))), 3)
    engine = SparseGaussianMixture(storage=NOTHING_HELD).open(chunks)
    engine.workers.n_held = 1
    engine.expectation(GaussianMixture([1.0], [[50.0, 50.0]], [900.0 * np.eye(2)]))
    bare = engine.without_noise()
    assert len(bare.workers._open) == 1
    assert not engine.workers._open


def test_what_is_in_memory_is_not_chunked():
    for X in (np.zeros((3, 2)), [[0.0, 1.0]], pd.DataFrame({"x": [0.0]}), "points"):
        assert as_chunked(X) is None
