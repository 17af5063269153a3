"""Groups of points, each fitted by itself."""

import numpy as np
import pytest

from napari_sparse_gmm import Box, SparseGaussianMixture
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.groups import fit_groups

MODEL = SparseGaussianMixture(6, random_state=0, engine="torch", prior="sqrt", background=False)


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(300, 2))


@pytest.mark.parametrize("labels", [np.arange(300) % 3, np.array(["c", "a", "b"] * 100)])
def test_each_fit_is_that_of_its_points_alone(points, labels):
    weight, noise = np.linspace(0.5, 2.0, 300), np.full(300, 0.1)
    fits = fit_groups(MODEL, points, labels, sample_weight=weight, noise_std=noise)
    assert [fit.label for fit in fits] == sorted(set(labels.tolist()))
    for fit in fits:
        np.testing.assert_array_equal(fit.rows, np.flatnonzero(labels == fit.label))
        alone = SparseGaussianMixture(
            6, random_state=0, engine="torch", prior="sqrt", background=False
        ).fit(points[fit.rows], sample_weight=weight[fit.rows], noise_std=noise[fit.rows])
        np.testing.assert_allclose(fit.model.means_, alone.means_)
        np.testing.assert_allclose(fit.model.covariances_, alone.covariances_)
    assert not hasattr(MODEL, "mixture_")


def test_the_background_of_all_groups_is_the_whole_field(points):
    labels = points[:, 0] > 0
    model = SparseGaussianMixture(3, background=True, sparsity=1.0, engine="torch", prior="sqrt")
    for fit in fit_groups(model, points, labels):
        np.testing.assert_allclose(fit.model.mixture_.background_region.box[0], points.min(0))
    own = Box([[-9.0, -9.0], [9.0, 9.0]])
    for fit in fit_groups(model.set_params(background=own), points, labels):
        np.testing.assert_array_equal(fit.model.mixture_.background_region.box, own.box)


@pytest.mark.parametrize("background", [True, np.True_])
def test_the_field_may_be_flat(points, background):
    """The same field for all groups, whatever true is called; points of no weight lie nowhere."""
    flat = np.column_stack([points, np.zeros(300)])
    far = np.vstack([flat, [[90.0, 90.0, 90.0]]])
    weight = np.append(np.ones(300), 0.0)
    labels = np.append(points[:, 0] > 0, True)
    model = SparseGaussianMixture(
        3, background=background, sparsity=1.0, engine="torch", prior="sqrt"
    )
    boxes = [
        fit.model.mixture_.background_region.box
        for fit in fit_groups(model, far, labels, sample_weight=weight)
    ]
    np.testing.assert_array_equal(*boxes)
    np.testing.assert_allclose(boxes[0][:, :2], [points.min(0), points.max(0)])


def test_a_group_that_cannot_be_fitted_does_not_stop_the_others(points):
    labels = np.minimum(np.arange(300), 2)
    first, second, rest = fit_groups(MODEL, points, labels)
    assert first.model is second.model is None
    assert "single point is too few" in first.problem
    assert (rest.problem, rest.model.n_features_in_) == ("", 2)
    with pytest.raises(InputError, match="single point is too few"):
        fit_groups(MODEL, points[:5], np.arange(5))


def test_labels_belong_to_points(points):
    with pytest.raises(InputError, match=r"shape \(300,\)"):
        fit_groups(MODEL, points, np.arange(299))


def test_a_background_is_read_as_by_a_single_fit(points):
    labels = np.arange(300) % 2
    model = SparseGaussianMixture(
        3, background=[[-9, -9], [9, 9]], sparsity=1.0, engine="torch", prior="sqrt"
    )
    for fit in fit_groups(model, points, labels):
        assert fit.model.mixture_.background_region.volume == 324.0
    with pytest.raises(InputError, match="background must be"):
        fit_groups(model.set_params(background="hull"), points, labels)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"X": np.full((20, 2), np.nan)}, "X must be finite numbers"),
        ({"X": np.ones(20)}, r"X must have shape \(N, D\)"),
        ({"sample_weight": np.zeros(20)}, "non-zero|positive for at least 2"),
        ({"sample_weight": -np.ones(20)}, "not negative; 20 of 20 weights are not"),
        ({"sample_weight": np.ones(3)}, r"sample_weight must have shape \(20,\)"),
        ({"noise_std": np.ones(3)}, "noise_std must be a number or have shape"),
    ],
)
def test_wrong_input_is_told_in_words_of_the_input(wrong, words):
    """Not in those of what is made of it."""
    given = {"X": np.random.default_rng(0).normal(size=(20, 2)), **wrong}
    model = SparseGaussianMixture(2, background=True, prior="sqrt")
    with pytest.raises(InputError, match=words):
        fit_groups(model, labels=np.arange(20) % 2, **given)
