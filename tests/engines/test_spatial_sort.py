"""Points sorted in space: all of them, once, in partitions that are boxes side by side."""

import errno
import gc
import resource
import shutil
from collections import namedtuple

import numpy as np
import pytest

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.chunked import Chunked
from napari_sparse_gmm.engines import Storage
from napari_sparse_gmm.engines.choice import choose_engine
from napari_sparse_gmm.engines.spatial_sort import Here, sorted_in_space, survey
from napari_sparse_gmm.engines.workers import ThisProcess, joined
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.observations import Observations


def partitions_of(chunks, folder, n_partitions=8):
    d = chunks.n_dimensions
    opening = choose_engine("fused", n_dimensions=d).opening(1000, n_components=5)
    surveyed = survey(chunks, Here())
    return sorted_in_space(
        chunks, surveyed, folder, opening, n_partitions=n_partitions, place=Here()
    )


def some_points(n=5000, d=2, seed=0):
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.normal(0, 1, (n // 2, d)), rng.uniform(-50, 50, (n - n // 2, d))])
    return points[np.argsort(points[:, 0])]


def in_order(observations):
    columns = [observations.points]
    columns += [
        v.reshape(len(v), -1) for v in (observations.weights, observations.noise) if v is not None
    ]
    rows = np.hstack(columns)
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("weights", [False, True], ids=["alike", "weighted"])
@pytest.mark.parametrize("noise", [False, True], ids=["exact", "noisy"])
def test_each_point_is_in_one_partition(d, weights, noise, tmp_path):
    points = some_points(d=d)
    rng = np.random.default_rng(0)
    weight = rng.uniform(1, 2, len(points)) if weights else None
    std = rng.uniform(1, 2, points.shape) if noise else None
    seen = Observations.of(points, weight, std)
    chunks = Chunked.generated(lambda k: seen.subset(slice(999 * k, 999 * (k + 1))), 6)
    partitions = partitions_of(chunks, tmp_path)
    found = [partition.read() for partition in partitions]
    np.testing.assert_array_equal(in_order(Observations.joining(found)), in_order(seen))
    sizes = np.array([partition.n_points for partition in partitions])
    assert sizes.sum() == len(points)
    assert np.ptp(sizes) < 0.2 * sizes.mean()
    assert not list(tmp_path.glob("chunk*"))


def test_partitions_lie_side_by_side(tmp_path):
    points = some_points()
    partitions = partitions_of(
        Chunked.generated(np.array_split(points, 3).__getitem__, 3), tmp_path
    )
    boxes = [(p.read().points.min(0), p.read().points.max(0)) for p in partitions]
    for i, (low, high) in enumerate(boxes):
        for other_low, other_high in boxes[:i]:
            assert ((high < other_low) | (other_high < low)).any()


def test_equal_points_are_in_one_partition(tmp_path):
    points = np.repeat([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]], [4000, 10, 1], axis=0)
    partitions = partitions_of(
        Chunked.generated(np.array_split(points, 4).__getitem__, 4), tmp_path
    )
    found = Observations.joining([partition.read() for partition in partitions])
    assert len(found) == 3
    assert sorted(found.weights) == [1.0, 10.0, 4000.0]


def test_a_partition_holds_what_an_engine_of_its_points_does(tmp_path):
    points = some_points()
    (partition,) = partitions_of(Chunked.generated(lambda k: points, 1), tmp_path, n_partitions=1)
    stored = partition.open()
    whole = choose_engine("fused", n_dimensions=2).hold(Observations.of(points), partition.opening)
    np.testing.assert_array_equal(stored.local, whole.local)
    np.testing.assert_array_equal(stored.blocks.boxes.lower, whole.blocks.boxes.lower)
    before = stored.observations.points
    stored.forget()
    np.testing.assert_array_equal(stored.observations.points, before)
    np.testing.assert_array_equal(partition.without_noise().read().points, before)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 255, 256, 257, 273])
def test_answers_are_joined_in_their_order(n):
    assert joined(map(str, range(n)), "".join) == "".join(map(str, range(n)))


def test_no_more_partitions_are_held_than_wanted(tmp_path):
    chunks = Chunked.generated(np.array_split(some_points(), 3).__getitem__, 3)
    partitions = partitions_of(chunks, tmp_path)
    opened = []

    class Counted(type(partitions[0])):
        def open(self, blocks=None):
            opened.append(self.path)
            return super().open(blocks)

    counted = [Counted(**vars(partition)) for partition in partitions]
    workers = ThisProcess(counted, n_held=3)
    for _ in range(2):
        total = workers.ask_all(lambda engine, _: engine.n_points, join=sum)
        assert total == len(some_points())
    assert len(opened) == 8 + 5  # three were still there


def scratch(folder):
    return list(folder.iterdir())


def test_sorted_points_go_with_the_engine(tmp_path):
    chunks = Chunked.generated(np.array_split(some_points(), 3).__getitem__, 3)
    engine = SparseGaussianMixture(storage=Storage(tmp_path, memory_limit=1)).open(chunks)
    assert len(scratch(tmp_path)) == 1
    del engine
    gc.collect()
    assert not scratch(tmp_path)


def test_a_scratch_folder_without_room_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")(1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    chunks = Chunked.generated(np.array_split(some_points(), 3).__getitem__, 3)
    with pytest.raises(InputError, match="choose another scratch folder"):
        SparseGaussianMixture(storage=Storage(tmp_path, memory_limit=1)).open(chunks)
    assert not scratch(tmp_path)


@pytest.fixture
def small_files():
    """No file may have more than 20 kB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("n_chunks", [1, 50], ids=["in pieces", "in partitions"])
def test_a_scratch_folder_that_fills_up_is_said_and_left_empty(n_chunks, tmp_path):
    parts = np.array_split(some_points(), n_chunks)
    chunks = Chunked.generated(parts.__getitem__, n_chunks)
    with pytest.raises(OSError, match="no space is left in the scratch folder") as caught:
        SparseGaussianMixture(storage=Storage(tmp_path, memory_limit=1)).open(chunks)
    assert caught.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert not scratch(tmp_path)


def test_a_scratch_folder_that_is_none_is_said(tmp_path):
    chunks = Chunked.generated(np.array_split(some_points(), 3).__getitem__, 3)
    storage = Storage(tmp_path / "nothing", memory_limit=1)
    with pytest.raises(InputError, match="No scratch folder can be made"):
        SparseGaussianMixture(storage=storage).open(chunks)
