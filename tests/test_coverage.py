import numpy as np
import pytest
from scipy.stats import chi2

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.mixture import GaussianMixture


@pytest.mark.parametrize("n_dimensions", [1, 2, 3, 7])
@pytest.mark.parametrize("percent", [1.0, 50.0, 95.0, 99.9])
def test_is_the_chi_squared_quantile(percent: float, n_dimensions: int) -> None:
    expected = np.sqrt(chi2.ppf(percent / 100, n_dimensions))
    assert coverage_to_radius(percent, n_dimensions) == pytest.approx(expected)


@pytest.mark.parametrize("n_dimensions", [2, 3])
def test_ellipsoid_holds_that_share_of_samples(n_dimensions: int) -> None:
    factor = np.tril(np.random.default_rng(1).standard_normal((n_dimensions, n_dimensions)))
    mixture = GaussianMixture([1.0], [np.ones(n_dimensions)], [factor @ factor.T])
    points, _ = mixture.sample(40_000, random_state=2)
    std, directions = mixture.principal_axes
    along_axes = (points - mixture.means) @ directions[0] / std[0]
    inside = np.linalg.norm(along_axes, axis=1) <= coverage_to_radius(80.0, n_dimensions)
    assert inside.mean() == pytest.approx(0.80, abs=0.01)


@pytest.mark.parametrize("percent", [0.0, 100.0, -5.0, float("nan")])
def test_must_be_a_share(percent: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 100 percent"):
        coverage_to_radius(percent, 2)
