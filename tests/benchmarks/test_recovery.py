"""What is said of the clusters that were found, where it is known."""

import numpy as np
import pytest
from clusters import larger_fields
from deconvolution import KINDS
from recovery import Recovery

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture


def found_by(mixture: GaussianMixture) -> tuple[SparseGaussianMixture, np.ndarray]:
    """An estimator with that mixture, and points drawn from it."""
    points, _ = mixture.sample(500, 0)
    model = SparseGaussianMixture(prior="none", init=mixture, n_components=3, background=False)
    model.fit(points)
    model.mixture_, model.means_, model.covariances_ = (
        mixture,
        mixture.means,
        mixture.covariances,
    )
    return model, points


def test_clusters_are_paired_and_compared() -> None:
    """Found in another order, twice as wide, one unit off, and one of them somewhere else."""
    means = np.array([[0.0, 0.0], [40.0, 0.0], [0.0, 40.0]])
    truth = GaussianMixture(np.full(3, 1 / 3), means, np.tile(4 * np.eye(2), (3, 1, 1)))
    off = np.array([[0.0, 41.0], [1.0, 0.0], [400.0, 400.0]])
    model, points = found_by(
        GaussianMixture(np.full(3, 1 / 3), off, np.tile(16 * np.eye(2), (3, 1, 1)))
    )
    recovery = Recovery.of(truth, model, points)
    assert len(recovery.log_sizes) == 2
    assert recovery.size_bias == pytest.approx(1.0)
    assert recovery.centre_error == pytest.approx(0.5**0.5)
    errors = model.standard_errors(points)
    assert recovery.centres_in_errors[0, 0] == pytest.approx(1.0 / errors.means[1, 0])
    both = Recovery.pooled([recovery, recovery])
    assert len(both.centres) == 4
    assert both.size_bias == pytest.approx(recovery.size_bias)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_points_have_the_noise_that_is_told(kind) -> None:
    """Squares of distances to the centres: of the shape, and of the precision."""
    truth, points, precision, labels = kind.field(0)
    clustered = labels >= 0
    own = labels[clustered]
    difference = points[clustered] - truth.means[own]
    seen = np.trace(truth.covariances, axis1=1, axis2=2)[own] + 2 * precision[clustered] ** 2
    assert (np.square(difference).sum(1) / seen).mean() == pytest.approx(1.0, abs=0.1)
    assert truth.background_weight == pytest.approx((labels == -1).mean(), abs=0.05)


def test_larger_fields_are_what_they_are_called() -> None:
    fields = {name: (points, truth) for name, points, _, truth in larger_fields(quick=False)}
    (volume, of_volume), (many, of_many) = fields.values()
    assert volume.shape == (1800, 3)
    assert of_volume.n_components == 60
    assert many.shape == (100_000, 2)
    assert of_many.n_components == 2000
