"""How many localizations are one observation: against fields where that is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.blinking import Molecules, count_molecules, estimate_repeats
from napari_sparse_gmm.cli import main
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.samples import nuclei_3d, smlm_clusters, spiral

SIDE = 2000.0


def molecules(
    seed: int, n_clusters: int, n_each: int, size: float, n_scattered: int, d: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, d), and their clusters from 0, -1 where scattered."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_clusters), n_each)
    centres = rng.uniform(0.0, SIDE, (n_clusters, d))
    clustered = centres[labels] + size * rng.standard_normal((len(labels), d))
    scattered = rng.uniform(0.0, SIDE, (n_scattered, d))
    return np.concatenate([clustered, scattered]), np.append(labels, np.full(n_scattered, -1))


def localized(
    positions: np.ndarray, seed: int, mean: float, precision: float = 12.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Localizations, the molecule and the precision of each, and E[b²] / E[b]: each molecule is
    seen a geometric number of times.
    """
    rng = np.random.default_rng(seed)
    times = rng.geometric(1.0 / mean, len(positions))
    molecule = np.repeat(np.arange(len(positions)), times)
    std = precision * np.exp(0.3 * rng.standard_normal(len(molecule)))
    points = positions[molecule] + std[:, None] * rng.standard_normal((len(molecule), 2))
    return points, molecule, std, float((times**2).sum() / times.sum())


@pytest.mark.parametrize("mean", [3.0, 4.0, 7.0])
@pytest.mark.parametrize("known", [False, True])
def test_molecules_that_are_seen_again_are_counted(mean: float, known: bool) -> None:
    ratios = []
    for seed in range(4):
        positions, _ = molecules(seed, 20, 15, 25.0, 300)
        points, _, std, truth = localized(positions, seed, mean)
        found = estimate_repeats(Observations.of(points, noise_std=std if known else None))
        ratios.append(found / truth)
    assert 0.8 < np.exp(np.log(ratios).mean()) < 1.6
    assert min(ratios) > 0.5
    assert max(ratios) < 2.0


@pytest.mark.parametrize("mean", [3.0, 4.0, 7.0])
@pytest.mark.parametrize("known", [False, True])
def test_the_interval_of_their_number_holds_it(mean: float, known: bool) -> None:
    held = []
    for seed in range(8):
        positions, _ = molecules(seed, 20, 15, 25.0, 300)
        points, _, std, _ = localized(positions, seed, mean)
        seen = Observations.of(points, noise_std=std if known else None)
        found = count_molecules(len(points), estimate_repeats(seen))
        held.append(found.low < len(positions) < found.high)
    assert np.mean(held) >= 0.85


def test_points_that_do_not_repeat_are_molecules() -> None:
    assert count_molecules(600, 1.0) == Molecules(600, 600, 600)


def test_scattered_molecules_are_counted_as_well() -> None:
    points, _, _, truth = localized(molecules(1, 0, 0, 0.0, 600)[0], 1, 4.0)
    assert 0.6 < estimate_repeats(Observations.of(points)) / truth < 1.6


@pytest.mark.parametrize(
    "points",
    [
        *(molecules(seed, 20, 15, 25.0, 300)[0] for seed in range(6)),
        *(molecules(seed, 100, 15, 25.0, 1500)[0] for seed in range(3)),
        *(molecules(seed, 20, 5, 25.0, 300)[0] for seed in range(6)),
        *(molecules(seed, 20, 15, 15.0, 1200)[0] for seed in range(6)),
        *(molecules(seed, 0, 0, 0.0, n)[0] for seed, n in enumerate((300, 1000, 5000))),
        molecules(0, 8, 200, 60.0, 0)[0],
        molecules(0, 60, 15, 40.0, 900, 3)[0],
        np.stack(np.meshgrid(*[np.arange(30.0)] * 2), axis=-1).reshape(-1, 2),
        spiral().points,
        smlm_clusters().points,
        nuclei_3d().points,
    ],
)
def test_points_that_are_seen_once_count_once(points: np.ndarray) -> None:
    assert estimate_repeats(Observations.of(points)) == 1.0


def filaments(seed: int, per_length: float, n_scattered: int) -> np.ndarray:
    """Points on ten lines across the field, 10 nm beside them, and scattered ones."""
    rng = np.random.default_rng(seed)
    n = round(10 * SIDE * per_length)
    angles = rng.uniform(0.0, np.pi, 10).repeat(n // 10)
    along = rng.uniform(-0.5 * SIDE, 0.5 * SIDE, len(angles))
    points = rng.uniform(0.0, SIDE, (10, 2)).repeat(n // 10, axis=0)
    points += along[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points += 10.0 * rng.standard_normal(points.shape)
    inside = points[((points > 0.0) & (points < SIDE)).all(1)]
    return np.concatenate([inside, rng.uniform(0.0, SIDE, (n_scattered, 2))])


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    "points",
    [
        *(
            filaments(seed, per_length, n_scattered)
            for seed in range(3)
            for per_length in (0.03, 0.08, 0.3)
            for n_scattered in (0, 100)
        ),
        *(
            np.random.default_rng(seed).uniform(0.0, SIDE, (3000, 3)) * [thickness, 1.0, 1.0]
            for seed in range(3)
            for thickness in (0.0, 0.01)
        ),
    ],
)
def test_points_on_lines_and_in_thin_sections_are_no_molecules(
    points: np.ndarray, known: bool
) -> None:
    noise = 10.0 if known else None
    assert estimate_repeats(Observations.of(points, noise_std=noise)) == 1.0


def test_clusters_are_no_molecules_where_the_precision_is_far_smaller_or_points_lie_singly() -> (
    None
):
    sample = smlm_clusters()
    precise = Observations.of(sample.points, noise_std=sample.features["precision"])
    assert estimate_repeats(precise) == 1.0
    # Twenty molecules among single localizations are the clusters of that field.
    positions, _ = molecules(0, 20, 15, 0.0, 300)
    points = positions + 12.0 * np.random.default_rng(0).standard_normal(positions.shape)
    assert estimate_repeats(Observations.of(points, noise_std=12.0)) == 1.0


def test_neither_unit_nor_origin_nor_order_matters() -> None:
    points, _, std, _ = localized(molecules(3, 20, 15, 25.0, 300)[0], 3, 4.0)
    found = estimate_repeats(Observations.of(points))
    assert found > 2.0
    assert estimate_repeats(Observations.of(1e-9 * points)) == pytest.approx(found)
    assert estimate_repeats(Observations.of(1e5 + points)) == pytest.approx(found)
    known = estimate_repeats(Observations.of(points, noise_std=std))
    in_metres = Observations.of(1e-9 * points, noise_std=1e-9 * std)
    assert estimate_repeats(in_metres) == pytest.approx(known)


def test_few_points_and_many_dimensions_say_nothing() -> None:
    points, _, std, _ = localized(molecules(3, 20, 15, 25.0, 300)[0], 3, 4.0)
    assert estimate_repeats(Observations.of(points[:150], noise_std=std[:150])) == 1.0
    assert estimate_repeats(Observations.of(np.tile(points, 2))) == 1.0
    assert estimate_repeats(Observations.of(points, noise_std=0.0)) > 2.0


def test_points_at_one_place_or_in_a_plane_have_an_end() -> None:
    places = np.repeat(molecules(0, 0, 0, 0.0, 150)[0], 4, axis=0)
    noise = np.tile([0.0, 0.0, 0.0, 1.0], 150)  # not the same, so that they stay apart
    assert estimate_repeats(Observations.of(places, noise_std=noise)) >= 1.0
    assert estimate_repeats(Observations.of(np.zeros((300, 2)))) == 1.0
    flat = np.random.default_rng(0).uniform(0.0, SIDE, (210_000, 3)) * [0.0, 1.0, 1.0]
    assert estimate_repeats(Observations.of(flat)) == 1.0


@pytest.mark.parametrize("mean", [4.0, 7.0])
def test_clusters_of_molecules_are_found_by_default(mean: float) -> None:
    scores, numbers = [], []
    for seed in range(3):
        positions, labels = molecules(10 + seed, 20, 15, 25.0, 300)
        points, molecule, _, _ = localized(positions, seed, mean)
        model = SparseGaussianMixture().fit(points)
        assert model.repeats_ > 2.0
        scores.append(adjusted_rand_score(labels[molecule], model.predict(points)))
        numbers.append(model.n_components_)
    assert np.mean(scores) > 0.6
    assert 17 <= np.mean(numbers) <= 27


def test_molecules_are_found_where_each_point_counts() -> None:
    points, _, std, _ = localized(molecules(0, 0, 0, 0.0, 100)[0], 0, 20.0)
    model = SparseGaussianMixture(repeats=1.0).fit(points, noise_std=std)
    assert model.repeats_ == 1.0
    assert 75 <= model.n_components_ <= 105
    sizes = np.sqrt(np.linalg.eigvalsh(model.covariances_).mean(1))
    assert np.median(sizes) < 6.0  # of 12 nm that they seem to have


@pytest.mark.parametrize("prior", ["bayes", "mml"])
def test_each_point_three_times_with_repeats_of_3_is_each_point_once(prior: str) -> None:
    points = smlm_clusters().points
    once = SparseGaussianMixture(prior=prior, repeats=1.0, random_state=0).fit(points)
    thrice = SparseGaussianMixture(prior=prior, repeats=3.0, random_state=0)
    thrice.fit(np.repeat(points, 3, axis=0))
    np.testing.assert_allclose(thrice.means_, once.means_)
    np.testing.assert_allclose(thrice.weights_, once.weights_)
    errors = [each.standard_errors(each.open(points)) for each in (once, thrice)]
    # The evidence of the points alone is a third, as `repeats` says.
    known = np.isfinite(errors[0].means).all(1)
    assert known.mean() > 0.9
    assert (errors[1].means > errors[0].means)[known].all()


def test_repeats_is_one_where_only_shares_matter() -> None:
    points, _, _, _ = localized(molecules(3, 20, 15, 25.0, 300)[0], 3, 4.0)
    model = SparseGaussianMixture(10, prior="sqrt").fit(points)
    assert model.repeats_ == 1.0


@pytest.mark.parametrize("repeats", [0.5, 0.0, -1.0, np.nan, "often"])
def test_what_is_no_number_of_repeats_is_refused(repeats) -> None:
    with pytest.raises(InputError, match="repeats must be"):
        SparseGaussianMixture(repeats=repeats).fit(spiral(300).points)


def test_more_repeats_than_there_is_evidence_for() -> None:
    with pytest.raises(InputError, match="repeats"):
        SparseGaussianMixture(repeats=1000.0).fit(spiral(300).points)


def test_the_command_line_says_what_it_assumed(tmp_path: Path, capsys) -> None:
    points, _, std, _ = localized(molecules(3, 20, 15, 25.0, 300)[0], 3, 4.0)
    table = tmp_path / "locs.csv"
    columns = {"y [nm]": points[:, 0], "x [nm]": points[:, 1], "uncertainty [nm]": std}
    pd.DataFrame(columns).to_csv(table, index=False)
    assert main(["fit", str(table), "--out", str(tmp_path / "out")]) == 0
    assert "points count as one" in capsys.readouterr().out
    assert main(["fit", str(table), "--repeats", "1", "--out", str(tmp_path / "out")]) == 0
    assert "points count as one" not in capsys.readouterr().out
