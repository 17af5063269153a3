import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from napari_sparse_gmm.fitting import FlatPrior, MessageLengthPrior, SqrtPrior
from napari_sparse_gmm.fitting.priors import make_prior
from napari_sparse_gmm.fitting.priors.prior import minimise_on_simplex
from napari_sparse_gmm.regions import Box

PRIORS = [
    pytest.param(SqrtPrior(20.0, 30), id="sqrt"),
    pytest.param(MessageLengthPrior(2, 4), id="mml"),
    pytest.param(FlatPrior(), id="none"),
]


@pytest.mark.parametrize("prior", PRIORS)
def test_gradient_is_the_slope_of_the_penalty(prior):
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    step = 1e-6
    for j in range(4):  # each of them more than 12 of the 1000 points
        above, below = weights.copy(), weights.copy()
        above[j] += step
        below[j] -= step
        slope = (prior.penalty(above, 1e3) - prior.penalty(below, 1e3)) / (2 * step)
        assert prior.gradient(weights, 1e3)[j] == pytest.approx(slope, rel=1e-5, abs=1e-12)


def test_the_multiplier_may_be_negative():
    """s = 20, M = 30 from equal weights: lambda = 1 - 20 / (2 * 30 * sqrt(1 / 30)) = -0.826."""
    shares = np.full(30, 1 / 30)
    slopes = SqrtPrior(20.0, 30).gradient(shares, 1.0)
    weights = minimise_on_simplex(shares, slopes)
    multiplier = shares / weights - slopes
    np.testing.assert_allclose(multiplier, -0.8257, atol=1e-4)


@given(
    shares=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12),
    slopes=st.data(),
)
def test_weights_solve_the_stationarity_equations(shares, slopes):
    shares = np.array(shares) / np.sum(shares)
    slopes = np.array([slopes.draw(st.floats(0.0, 1e3)) for _ in shares])
    weights = minimise_on_simplex(shares, slopes)
    assert weights.sum() == pytest.approx(1.0)
    multiplier = shares / weights - slopes
    np.testing.assert_allclose(multiplier, multiplier[0], rtol=1e-6, atol=1e-6 * (1 + slopes.max()))


@pytest.mark.parametrize("prior", PRIORS)
def test_weights_minimise_the_bound(prior):
    """SciPy finds nothing lower on the simplex (for mml: among weights at or above its least)."""
    total, counts, background = 200.0, np.array([90.0, 60.0, 4.0, 1.0]), 45.0
    present = np.array([0.3, 0.3, 0.1, 0.1])
    weights, background_weight = prior.update_weights(counts, background, present, total)
    least = 12 / total if isinstance(prior, MessageLengthPrior) else 1e-9

    def bound(values: np.ndarray) -> float:
        if isinstance(prior, MessageLengthPrior):
            penalty = prior.penalty(values[:4], total)
        else:
            penalty = (prior.gradient(present, total) * values[:4]).sum()
        return penalty - (np.append(counts, background) * np.log(values)).sum() / total

    found = minimize(
        bound,
        np.full(5, 0.2),
        bounds=[(least, 1)] * 4 + [(1e-9, 1)],
        constraints={"type": "eq", "fun": lambda values: values.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    ours = np.append(weights, background_weight)
    assert ours.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(ours, found.x, atol=2e-4)
    assert bound(ours) <= found.fun + 1e-9


def test_mml_weights_are_figueiredo_and_jains():
    counts = np.array([50.0, 30.0, 20.0])
    weights, _ = MessageLengthPrior(2, 3).update_weights(counts, 0.0, np.full(3, 1 / 3), 100.0)
    np.testing.assert_allclose(weights, (counts - 2.5) / (counts - 2.5).sum())


def test_a_prior_of_your_own_passes_through():
    prior = FlatPrior()
    assert make_prior(prior, sparsity=1.0, n_start=2, region=Box([[0.0, 0.0], [1.0, 1.0]])) is prior


def test_an_unknown_prior_is_refused():
    with pytest.raises(ValueError, match="prior must be one of"):
        make_prior("ridge", sparsity=1.0, n_start=2, region=Box([[0.0, 0.0], [1.0, 1.0]]))
