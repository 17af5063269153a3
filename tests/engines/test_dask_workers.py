"""Points that the workers of a Dask cluster hold: the same answers, whoever is lost meanwhile."""

import os
import signal
import subprocess
import sys
import time

import dask.array
import distributed
import numpy as np
import pytest
from oracles import random_mixture

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.chunked import Chunked
from napari_sparse_gmm.engines import Storage
from napari_sparse_gmm.errors import EngineLost
from napari_sparse_gmm.observations import Observations

PARAMETERS = {"prior": "mml", "init": "density", "random_state": 0}


def quarter(k):
    """One of four chunks of 25 clusters and a background; each has some points of each cluster."""
    rng = np.random.default_rng(k)
    means = np.stack(np.meshgrid(*2 * [np.linspace(10, 90, 5)]), axis=2).reshape(-1, 2)
    clustered = means[rng.integers(25, size=1500)] + 2.0 * rng.standard_normal((1500, 2))
    return np.concatenate([clustered, rng.uniform(0, 100, (400, 2))])


CHUNKS = Chunked.generated(quarter, 4)


def as_dask_array():
    """The same as `CHUNKS`, for workers that do not know this file."""
    points = np.concatenate([quarter(k) for k in range(4)])
    return dask.array.from_array(points, chunks=(1900, 2))


@pytest.fixture(scope="module")
def in_memory():
    return SparseGaussianMixture(**PARAMETERS).fit(CHUNKS)


@pytest.fixture
def client(request):
    """Of a cluster of so many processes."""
    n = getattr(request, "param", 2)
    with (
        distributed.LocalCluster(
            n_workers=n, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize(
    "client",
    [pytest.param(1, marks=pytest.mark.long), 2, pytest.param(4, marks=pytest.mark.long)],
    indirect=True,
)
def test_workers_answer_as_one_process(client, in_memory, tmp_path):
    here = SparseGaussianMixture(storage=Storage(tmp_path, memory_limit=1)).open(CHUNKS)
    points = np.concatenate([quarter(k) for k in range(4)])
    model = SparseGaussianMixture(**PARAMETERS, storage=Storage(tmp_path, client=client))
    engine = model.open(CHUNKS)
    assert len(engine.workers.partitions) >= 4 * len(client.scheduler_info()["workers"])
    mixture = random_mixture(20, 2, background_weight=0.2, field=100.0, sigma=4.0)
    of_workers, of_one = engine.expectation(mixture), here.expectation(mixture)
    np.testing.assert_allclose(of_workers.counts, of_one.counts, rtol=1e-6)
    assert of_workers.log_likelihood == pytest.approx(of_one.log_likelihood, rel=1e-6)
    assert sorted(map(tuple, engine.sample(10**6, np.random.default_rng(0)).points)) == sorted(
        map(tuple, points)
    )

    model.fit(engine)
    assert model.n_components_ == in_memory.n_components_ == 25
    assert model.cost_ == pytest.approx(in_memory.cost_, abs=1e-4)

    # No component is born: it ends where a fit in memory does.
    start = {**PARAMETERS, "init": in_memory.means_ + 0.5, "n_components": 25, "tol": 1e-9}
    whole = SparseGaussianMixture(**start).fit(CHUNKS)
    found = SparseGaussianMixture(**start).fit(engine)
    assert found.cost_ == pytest.approx(whole.cost_, abs=1e-6)
    np.testing.assert_allclose(found.means_, whole.means_, atol=1e-3)

    # One partition or many, who is asked does not matter.
    labels = model.predict(dask.array.from_array(points, chunks=1000))
    np.testing.assert_array_equal(labels.compute(), model.predict(points))


def test_noise_is_looked_at_by_workers(client, tmp_path):
    rng = np.random.default_rng(0)
    std = rng.uniform(0.5, 1.0, (7600, 2))
    points = np.concatenate([quarter(k) for k in range(4)]) + std * rng.standard_normal((7600, 2))
    seen = Observations.of(points, None, std)
    chunks = Chunked.generated(lambda k: seen.subset(slice(2000 * k, 2000 * (k + 1))), 4)
    engine = SparseGaussianMixture(storage=Storage(tmp_path, client=client)).open(chunks)
    np.testing.assert_array_equal(engine.typical_noise, np.median(std**2, axis=0))
    mixture = random_mixture(20, 2, background_weight=0.2, field=100.0, sigma=4.0)
    bare = SparseGaussianMixture(repeats=1.0).open(Observations(points))
    one, other = engine.without_noise().scores(mixture), bare.scores(mixture)
    assert one.log_likelihood * engine.repeats == pytest.approx(other.log_likelihood, rel=1e-6)


def test_a_worker_that_dies_does_not_change_the_answer(client, tmp_path):
    """Not in the last digit: its partitions are loaded by others."""
    model = SparseGaussianMixture(**PARAMETERS, storage=Storage(tmp_path, client=client))
    undisturbed = model.fit(CHUNKS).cost_
    pids = list(client.run(os.getpid).values())
    for k, _ in enumerate(model.iter_fit(CHUNKS)):
        if k == 5:
            os.kill(pids[0], signal.SIGKILL)
    assert model.cost_ == undisturbed
    assert pids[0] not in client.run(os.getpid).values()


def test_the_client_that_dask_takes_is_taken_where_points_do_not_fit(client, monkeypatch):
    model = SparseGaussianMixture(**PARAMETERS)
    assert not hasattr(model.open(as_dask_array()), "workers")
    monkeypatch.setattr(Storage, "limit", 1)
    assert model.open(as_dask_array()).workers.client is client


@pytest.fixture
def remote(tmp_path):
    """A scheduler and a worker in processes of their own; and their client."""
    file = tmp_path / "scheduler.json"
    module = "distributed.cli.dask_"
    common = [f"--scheduler-file={file}", "--no-dashboard", "--host=127.0.0.1"]
    scheduler = subprocess.Popen(
        [sys.executable, "-m", f"{module}scheduler", "--port=0", *common],
        stderr=subprocess.DEVNULL,
    )
    worker = subprocess.Popen(
        [sys.executable, "-m", f"{module}worker", "--no-nanny", "--nthreads=1", *common],
        stderr=subprocess.DEVNULL,
    )
    try:
        while not file.exists():
            time.sleep(0.1)
        with distributed.Client(scheduler_file=str(file), timeout=5) as client:
            client.wait_for_workers(1, timeout=60)
            yield scheduler, worker, client
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def test_a_scheduler_that_is_gone_is_one_sentence(remote, tmp_path):
    scheduler, _, client = remote
    model = SparseGaussianMixture(**PARAMETERS, storage=Storage(tmp_path, client=client))
    steps = model.iter_fit(as_dask_array())
    next(steps)
    scheduler.kill()
    with pytest.raises(EngineLost, match=r"The Dask scheduler at tcp:.* is gone"):
        list(steps)


def test_that_no_worker_is_left_is_one_sentence(remote, tmp_path, monkeypatch):
    _, worker, client = remote
    monkeypatch.setattr("napari_sparse_gmm.engines.dask_workers._PATIENCE", 1.0)
    model = SparseGaussianMixture(**PARAMETERS, storage=Storage(tmp_path, client=client))
    steps = model.iter_fit(as_dask_array())
    next(steps)
    worker.kill()
    with pytest.raises(EngineLost, match=r"No worker of the Dask scheduler at tcp:.* is left"):
        list(steps)


def test_a_scratch_folder_that_workers_do_not_see_is_one_sentence(client, tmp_path):
    model = SparseGaussianMixture(**PARAMETERS, storage=Storage(tmp_path, client=client))
    engine = model.open(CHUNKS)
    for file in tmp_path.glob("*/partition*"):
        file.unlink()
    with pytest.raises(EngineLost, match="must be where all workers and this"):
        engine.without_noise()
