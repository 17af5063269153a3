"""Places with points that were put there."""

import numpy as np
import pytest

from napari_sparse_gmm.plugin.points.islands import n_islands


def balls(centres: list[list[float]], n: int = 800) -> np.ndarray:
    """So many points, evenly in balls of radius 1."""
    rng = np.random.default_rng(0)
    d = len(centres[0])
    directions = rng.normal(size=(n, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    within = directions * rng.uniform(size=(n, 1)) ** (1.0 / d)
    return np.array(centres)[rng.integers(len(centres), size=n)] + within


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e6])
def test_places_that_lie_apart_are_counted(d: int, k: int, unit: float) -> None:
    centres = [[5.0 * i, *[3.0 * (i % 2)] * (d - 1)] for i in range(k)]
    assert n_islands(unit * balls(centres)) == k


def test_what_is_not_apart_is_one_place() -> None:
    two = balls([[0.0, 0.0], [5.0, 0.0]])
    bridge = np.column_stack([np.linspace(1.0, 4.0, 100), np.zeros(100)])
    scattered = np.random.default_rng(0).uniform([-1.0, -1.0], [6.0, 1.0], (800, 2))
    for others in (bridge, scattered):
        assert n_islands(np.concatenate([two, others])) == 1


def test_a_few_points_aside_are_no_place() -> None:
    aside = balls([[9.0, 9.0]], 8)
    assert n_islands(np.concatenate([balls([[0.0, 0.0]]), aside])) == 1
    assert n_islands(np.concatenate([balls([[0.0, 0.0], [5.0, 0.0]]), aside])) == 2


def test_too_few_points_to_tell() -> None:
    assert n_islands(balls([[0.0, 0.0], [5.0, 0.0]], 20)) == 1
    assert n_islands(np.ones((500, 2))) == 1
    line = np.column_stack([np.linspace(0.0, 1e9, 500), np.linspace(0.0, 1e-9, 500)])
    assert n_islands(line) == 1
