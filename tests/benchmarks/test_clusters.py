"""The fields of localizations, and the methods that are compared on them."""

from dataclasses import replace

import numpy as np
import pytest
from clusters import KINDS, SIDE, Kind, peers

from napari_sparse_gmm.fitting.proposals import squared_distances


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_points_come_from_the_truth(kind: Kind) -> None:
    points, labels, truth = replace(kind, cropped=False).field(0)
    counts = np.bincount(labels + 1, minlength=kind.n_clusters + 1)
    shares = np.append(truth.background_weight, truth.weights)
    np.testing.assert_allclose(counts / len(points), shares)
    assert truth.background_weight == pytest.approx(kind.noise, abs=0.01)
    clustered = labels >= 0
    own = labels[clustered]
    squares = squared_distances(points[clustered] - truth.means[own], truth.covariances[own])
    # Two degrees of freedom: mean 2, variance 4.
    assert squares.mean() == pytest.approx(2.0, abs=4 * 2.0 / len(own) ** 0.5)


def test_a_cropped_field_has_no_point_outside_of_the_square() -> None:
    kind = next(kind for kind in KINDS if kind.cropped)
    points, labels, _ = kind.field(0)
    everything = replace(kind, cropped=False).field(0)[0]
    assert (points >= 0).all()
    assert (points <= SIDE).all()
    assert len(points) == len(labels) < len(everything)


def test_every_method_labels_every_point() -> None:
    points = KINDS[0].field(0)[0]
    answers = peers(points)
    assert set(answers) == {"DBSCAN", "HDBSCAN"}
    assert all(answer.shape == (600,) for several in answers.values() for answer in several)
