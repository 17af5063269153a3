"""A whole fit of a large field, from the raw array, against one iteration of scikit-learn.

2000 clusters in 50 µm (in 3D: 50 x 50 x 10 µm), a million points, a fifth of them background;
`SparseGaussianMixture(4000, prior="mml", background=True, init="density")`. scikit-learn's
iteration is one E-step and one M-step with the 2000 true components: timed with 25 and 50 of them,
the difference scaled, as its table of responsibilities would not fit in memory. Likelihoods are
exact (`likelihood.py`), the truth with its own box.

    python benchmarks/large.py
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from fits import engines, warm_up, whole_fit
from likelihood import mean_log_likelihood
from peers import whole_sklearn_iteration
from report import Entry, Options, Row, main
from simulations import N_CLUSTERS, Simulation, clusters
from timing import Call, medians, readable, seconds

from napari_sparse_gmm import SparseGaussianMixture

N_POINTS, QUICK_POINTS, QUICK_CLUSTERS = 1_000_000, 40_000, 40
REPEATS = 1
LOSS = 0.002  # nats per point
WRONG_COUNT = 0.03
LONGER = 12.0  # for ten times as many points


def measure(options: Options) -> Iterator[Entry]:
    n, m = (QUICK_POINTS, QUICK_CLUSTERS) if options.quick else (N_POINTS, N_CLUSTERS)
    for d in (2, 3):
        simulated = clusters(n, m, d)
        truth_level = mean_log_likelihood(simulated.truth, simulated.points)
        fits, times, iteration = _in_turn(simulated, options)
        more = clusters(10 * n, m, d)
        more_level = mean_log_likelihood(more.truth, more.points)
        for engine in engines(options.device):
            what = f"{d}D, {engine}"
            share = times[engine] / iteration
            yield Row(
                f"{what}: whole fit of {n:,} points",
                f"{share:.3g} iterations ({readable(times[engine])}, {readable(iteration)})",
                "at most 1/30 (0.033) of an iteration of scikit-learn; better, 1/100",
                share <= 1 / 30,
            )
            yield from _quality(f"{what}, {n:,} points", fits[engine], simulated, truth_level)
            if engine != engines(options.device)[0]:
                continue
            models: list[SparseGaussianMixture] = []
            longer = seconds(
                lambda e=engine, s=more, out=models: out.append(
                    whole_fit(s.points, s.truth.n_components, e, options.device)
                )
            )
            factor = longer / times[engine]
            yield Row(
                f"{what}: ten times as many points",
                f"{factor:.1f} times as long ({readable(longer)})",
                f"less than {LONGER:.0f} times",
                factor < LONGER,
            )
            yield from _quality(f"{what}, {10 * n:,} points", models[0], more, more_level)


def _in_turn(
    simulated: Simulation, options: Options
) -> tuple[dict[str, SparseGaussianMixture], dict[str, float], float]:
    """The fit of each engine, its time, and the time of scikit-learn's iteration on all points."""
    points, truth = simulated.points, simulated.truth
    models: dict[str, SparseGaussianMixture] = {}

    def fit(engine: str) -> None:
        models[engine] = whole_fit(points, truth.n_components, engine, options.device)

    for engine in engines(options.device):
        warm_up(engine, options.device, truth.n_dimensions)
    calls: dict[str, Call] = {engine: partial(fit, engine) for engine in engines(options.device)}
    times = medians(calls, REPEATS, warm=False)
    return models, times, whole_sklearn_iteration(points, truth)


def _quality(
    what: str, model: SparseGaussianMixture, simulated: Simulation, truth_level: float
) -> Iterator[Row]:
    level = mean_log_likelihood(model.mixture_, simulated.points)
    yield Row(
        f"{what}: mean log-likelihood above that of the truth",
        f"{level - truth_level:+.5f}, of which {_of_the_box(model, simulated):+.5f} for a "
        "bounding box that is larger than the field",
        f"at least -{LOSS}",
        level >= truth_level - LOSS,
    )
    right, found = simulated.truth.n_components, model.n_components_
    yield Row(
        f"{what}: components" + ("" if model.converged_ else ", not converged"),
        f"{found} after {model.n_iter_} iterations",
        f"{right}, to {WRONG_COUNT:.0%}",
        abs(found - right) <= WRONG_COUNT * right,
    )


def _of_the_box(model: SparseGaussianMixture, simulated: Simulation) -> float:
    """What the likelihood loses since clusters at the border reach over it, in nats per point."""
    boxes = (model.mixture_.background_region.box, simulated.truth.background_region.box)
    found, true = (np.log(box[1] - box[0]).sum() for box in boxes)
    return float(simulated.truth.background_weight * (true - found))


if __name__ == "__main__":
    main(measure)
