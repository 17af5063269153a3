from collections.abc import Callable

import numpy as np
import pytest

from napari_sparse_gmm.samples import Sample, nuclei_3d, smlm_clusters, spiral

EACH = pytest.mark.parametrize("draw", [spiral, smlm_clusters, nuclei_3d])


@EACH
class TestEverySample:
    def test_is_complete(self, draw: Callable[..., Sample]) -> None:
        sample = draw(seed=3)
        n, d = sample.points.shape
        assert len(sample.axis_labels) == d
        assert sample.description.endswith(".")
        assert np.isfinite(sample.points).all()
        for values in sample.features.values():
            assert values.shape == (n,)

    def test_seed_decides(self, draw: Callable[..., Sample]) -> None:
        np.testing.assert_array_equal(draw(seed=5).points, draw(seed=5).points)
        first, second = draw(seed=5).points[:100], draw(seed=6).points[:100]
        assert not np.allclose(first, second)


class TestSpiral:
    def test_noise_around_the_curve(self) -> None:
        sample = spiral(n=5000, seed=1)
        t = sample.features["t"]
        x, y = 0.5 + 0.4 * t / 7 * np.cos(t), 0.5 + 0.3 * np.sin(t)
        noise = sample.points - np.stack([y, x], axis=1)
        np.testing.assert_allclose(noise.mean(0), 0, atol=0.02 * 4 / np.sqrt(5000))
        np.testing.assert_allclose(noise.std(0), 0.02, rtol=0.05)
        assert (t[0], len(t)) == (0, 5000)
        assert t[-1] == pytest.approx(2 * np.pi * (1 - 1 / 5000))


class TestSmlmClusters:
    def test_counts(self) -> None:
        sample = smlm_clusters()
        counts = np.bincount(sample.features["truth"])
        np.testing.assert_array_equal(counts, [300] + 20 * [15])
        assert sample.unit == "nm"

    def test_size_of_clusters_includes_the_precision(self) -> None:
        # Over many draws, the rms size is that of a uniform law from 20 to 88 nm:
        # E[sigma^2] = (88^3 - 20^3) / (3 * 68).
        variances = []
        for seed in range(40):
            sample = smlm_clusters(seed)
            for label in range(1, 21):
                cluster = sample.points[sample.features["truth"] == label]
                variances.append(cluster.var(axis=0, ddof=1).mean())
        expected = (88**3 - 20**3) / (3 * 68)
        assert np.mean(variances) == pytest.approx(expected, rel=0.06)
        # The smallest clusters are larger than the error of their points alone.
        assert np.sqrt(np.min(variances)) > 10

    def test_precision_is_plausible(self) -> None:
        precision = smlm_clusters().features["precision"]
        assert precision.min() > 0
        assert precision.max() <= 19
        assert np.median(precision) == pytest.approx(10, rel=0.1)

    def test_noise_fills_the_field_evenly(self) -> None:
        noise = np.concatenate(
            [s.points[s.features["truth"] == 0] for s in map(smlm_clusters, range(10))]
        )
        quadrants = np.histogram2d(*noise.T, bins=2, range=[[0, 2000], [0, 2000]])[0]
        assert quadrants.sum() == 3000  # none outside
        np.testing.assert_allclose(quadrants, 750, atol=4 * np.sqrt(750 * 0.75))


class TestNuclei3d:
    def test_lie_in_the_section(self) -> None:
        sample = nuclei_3d()
        assert (sample.points >= 0).all()
        assert (sample.points <= [80, 400, 400]).all()
        assert 2500 < len(sample.points) < 3500
        assert (sample.unit, sample.axis_labels) == ("µm", ("z", "y", "x"))

    def test_nuclei_do_not_overlap(self) -> None:
        points = nuclei_3d().points
        squared = ((points[:, None] - points) ** 2).sum(2)
        np.fill_diagonal(squared, np.inf)
        # Spacing 9 um less the jitter of two neighbours, 2 * 1.5 um on an axis at worst.
        assert np.sqrt(squared.min()) > 3.0
        assert np.median(np.sqrt(squared.min(1))) > 6.0

    def test_niches_are_denser_than_the_tissue_between(self) -> None:
        sample = nuclei_3d()
        truth = sample.features["truth"]
        assert set(np.unique(truth)) == set(range(19))
        squared = ((sample.points[:, None] - sample.points) ** 2).sum(2)
        neighbours = (squared < 20.0**2).sum(1) - 1
        assert neighbours[truth > 0].mean() > 2 * neighbours[truth == 0].mean()
