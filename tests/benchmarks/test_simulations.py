"""The simulated fields, and the likelihood that fits of them are judged by."""

import numpy as np
import pytest
from likelihood import mean_log_likelihood
from simulations import Simulation, clusters, crowd

FIELDS = {
    "round": clusters(2000, 20),
    "three axes": clusters(2000, 20, 3),
    "needles in a crowded field": clusters(2000, 20, side=1000.0, aspect=20.0),
    "no background": clusters(2000, 20, background=0.0),
    "crowd": crowd(2000, 30, 2),
}


@pytest.mark.parametrize("simulated", FIELDS.values(), ids=FIELDS)
def test_likelihood_is_that_of_the_direct_sum(simulated: Simulation) -> None:
    direct = simulated.truth.log_density(simulated.points).mean()
    assert mean_log_likelihood(simulated.truth, simulated.points) == pytest.approx(
        direct, rel=1e-12
    )


def test_likelihood_of_points_that_no_component_reaches() -> None:
    truth = FIELDS["no background"].truth
    far = np.array([[-2e3, -2e3]])
    assert mean_log_likelihood(truth, far) == pytest.approx(truth.log_density(far)[0])


def test_clusters_are_as_dense_in_a_small_field() -> None:
    sides = [np.ptp(clusters(1, m).truth.background_region.box, axis=0) for m in (500, 2000)]
    assert sides[1] == pytest.approx([50_000.0, 50_000.0])
    assert sides[0] == pytest.approx(sides[1] / 2)


def test_aspect_ratios() -> None:
    variances = np.linalg.eigvalsh(clusters(1, 1000, aspect=20.0).truth.covariances)
    ratios = np.sqrt(variances[:, -1] / variances[:, 0])
    assert 1 < ratios.min() < 1.1
    assert 19 < ratios.max() < 20


def test_clusters_stay_inside_their_field() -> None:
    truth = clusters(1, 500, aspect=20.0).truth
    reach = 3 * np.sqrt(np.diagonal(truth.covariances, axis1=1, axis2=2)) - 1e-6
    lower, upper = truth.background_region.box
    assert ((truth.means - reach >= lower) & (truth.means + reach <= upper)).all()
