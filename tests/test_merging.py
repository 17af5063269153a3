"""Localizations that follow each other as one: against molecules that are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_sparse_gmm.cli import main
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.merging import merge_repeats
from napari_sparse_gmm.observations import Observations


def bursts(seed: int, n_molecules: int = 200) -> tuple[Observations, np.ndarray, np.ndarray]:
    """Localizations of molecules on a grid, each in frames that follow each other but for two that
    are missing; their frames and molecules, in any order.
    """
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*[200.0 * np.arange(20)] * 2), -1).reshape(-1, 2)[:n_molecules]
    times = rng.integers(1, 9, n_molecules)
    molecule = np.repeat(np.arange(n_molecules), times)
    step = np.concatenate([np.arange(n) + 2 * (np.arange(n) >= 3) for n in times])
    frames = rng.integers(0, 5000, n_molecules)[molecule] + step
    std = rng.uniform(5.0, 12.0, len(molecule))
    points = places[molecule] + std[:, None] * rng.standard_normal((len(molecule), 2))
    order = rng.permutation(len(molecule))
    return (
        Observations.of(points[order], noise_std=std[order]),
        frames[order],
        molecule[order],
    )


def test_each_molecule_is_one_again() -> None:
    observations, frames, molecule = bursts(0)
    merged = merge_repeats(observations, frames, gap=2, radius=80.0)
    assert len(merged.observations) == 200
    of_molecules = pd.DataFrame({"molecule": molecule, "member": merged.members})
    assert (of_molecules.groupby("member")["molecule"].nunique() == 1).all()
    np.testing.assert_array_equal(merged.numbers, np.bincount(merged.members))
    # In the order in which they are met first.
    np.testing.assert_array_equal(pd.unique(merged.members), np.arange(200))


def test_a_gap_that_is_too_small_leaves_them_in_pieces() -> None:
    observations, frames, molecule = bursts(0)
    longer = np.bincount(molecule) > 3
    pieces = merge_repeats(observations, frames, gap=1, radius=80.0)
    assert len(pieces.observations) == 200 + longer.sum()


def test_the_mean_is_weighted_by_the_precision() -> None:
    points = [[0.0, 0.0, 0.0], [9.0, 3.0, 2.0]]
    std = [[3.0, 1.0, 2.0], [6.0, 2.0, 2.0]]
    merged = merge_repeats(
        Observations.of(points, noise_std=std), [4, 5], gap=0, radius=20.0
    ).observations
    variances = np.square(std)
    np.testing.assert_allclose(merged.noise, [1.0 / (1.0 / variances).sum(0)])
    np.testing.assert_allclose(
        merged.points, [(np.array(points) / variances).sum(0) * merged.noise[0]]
    )


def test_the_mean_is_as_precise_as_it_says() -> None:
    rng = np.random.default_rng(0)
    std = rng.uniform(5.0, 15.0, 4000)
    places = np.repeat(np.arange(1000.0), 4)[:, None] * [1000.0, 0.0]
    points = places + std[:, None] * rng.standard_normal((4000, 2))
    merged = merge_repeats(
        Observations.of(points, noise_std=std), np.tile(np.arange(4), 1000), radius=100.0
    )
    apart = merged.observations.points - places[::4]
    assert len(apart) == 1000
    assert np.mean(apart**2 / merged.observations.noise) == pytest.approx(1.0, rel=0.1)


def test_one_frame_has_no_molecule_twice_and_no_noise_is_an_even_mean() -> None:
    points = Observations.of([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    apart = merge_repeats(points, [1, 1, 1], gap=9, radius=5.0)
    assert len(apart.observations) == 3
    one = merge_repeats(points, [1, 2, 3], radius=5.0)
    np.testing.assert_allclose(one.observations.points, [[1.0, 0.0]])
    assert one.observations.noise is None


def test_weights_are_those_of_the_localizations() -> None:
    points = Observations.of([[0.0, 0.0], [1.0, 0.0]], [1.0, 3.0])
    merged = merge_repeats(points, [1, 2], radius=5.0)
    np.testing.assert_array_equal(merged.observations.weights, [2.0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": [1.0]}, "shape"),
        ({"frames": [1.0, np.nan]}, "frames"),
        ({"gap": -1}, "gap"),
        ({"radius": 0.0}, "radius"),
        ({}, "Give a radius"),
    ],
)
def test_what_cannot_be_merged_is_told(change, words) -> None:
    arguments = {"frames": [1.0, 2.0]} | change
    with pytest.raises(InputError, match=words):
        merge_repeats(Observations.of([[0.0, 0.0], [1.0, 1.0]]), **arguments)


def table(folder: Path, **more: np.ndarray) -> Path:
    observations, frames, _ = bursts(0)
    y, x = observations.points.T
    columns = {"y [nm]": y, "x [nm]": x, "uncertainty [nm]": observations.noise_std[:, 0]}
    path = folder / "locs.csv"
    pd.DataFrame(columns | {"frame": frames} | more).to_csv(path, index=False)
    return path


def test_the_command_line_merges_before_the_fit(tmp_path: Path, capsys) -> None:
    path = table(tmp_path)
    out = tmp_path / "out"
    options = ["--merge-gap", "2", "--merge-radius", "80"]
    assert main(["fit", str(path), *options, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    n = len(bursts(0)[0])
    assert f"{n:,} localizations" in said
    assert "200 points, axes" in said


def test_the_command_line_names_what_is_missing(tmp_path: Path, capsys) -> None:
    path = table(tmp_path)
    options = ["fit", str(path), "--out", str(tmp_path / "out"), "--merge-gap", "2"]
    assert main([*options, "--frame", "time"]) == 2
    assert "time" in capsys.readouterr().err
    assert main([*options, "--precision", "none"]) == 2
    assert "radius" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--merge-radius", "80"], ["--frame", "frame"]])
def test_how_to_merge_is_refused_where_nothing_is_merged(
    tmp_path: Path, capsys, options: list[str]
) -> None:
    assert main(["fit", str(table(tmp_path)), *options, "--out", str(tmp_path / "out")]) == 2
    assert "--merge-gap" in capsys.readouterr().err


@pytest.mark.parametrize("first", [0.0, 1e9 + 1.0])
@pytest.mark.parametrize("gap", [0, 2, 6])
def test_the_gap_is_exact_whatever_the_first_frame(first: float, gap: int) -> None:
    points = Observations.of([[0.0, 0.0], [1.0, 0.0]])
    for apart, n in ((gap + 1, 1), (gap + 2, 2)):
        merged = merge_repeats(points, [first, first + apart], gap=gap, radius=1.0)
        assert len(merged.observations) == n


def test_what_would_fill_the_memory_is_refused() -> None:
    n = 20_000
    crowd = Observations.of(np.random.default_rng(0).uniform(0.0, 1.0, (n, 2)))
    with pytest.raises(InputError, match="smaller gap or radius"):
        merge_repeats(crowd, np.arange(n), gap=n, radius=5.0)


def test_groups_are_merged_apart(tmp_path: Path, capsys) -> None:
    n = len(bursts(0)[0])
    path = table(tmp_path, cell=np.arange(n) % 2)
    options = ["--merge-gap", "20", "--merge-radius", "80", "--group", "cell"]
    assert main(["fit", str(path), *options, "--out", str(tmp_path / "out")]) == 0
    _, _, molecule = bursts(0)
    n_seen = len(set(zip(molecule.tolist(), (np.arange(n) % 2).tolist(), strict=True)))
    assert f"merged to {n_seen}" in capsys.readouterr().out
