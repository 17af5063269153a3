"""What a fit without any parameter predicts of points that it has not seen.

Half of the points of each set are fitted, and the mean log density of the other half is compared:
over five splits, with the parameters of a first click. Beside it a kernel density estimate
(Gaussian; the bandwidth of twelve that is best on a fifth of the fitted half) and scikit-learn's
GaussianMixture (full covariances, the number of components of lowest BIC among 1 to 32). Points at
which a density is 0 are left out of its mean, and counted. The localizations are those of the table
that the environment names; here of FGFR1 (docs/precision.md).

    LOCALIZATIONS=some.csv python benchmarks/defaults.py
"""

import os
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from report import Entry, Options, Row, main
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as ScikitMixture
from sklearn.neighbors import KernelDensity

from napari_sparse_gmm import SparseGaussianMixture
from napari_sparse_gmm.io.localizations import read_localizations
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.samples import nuclei_3d, smlm_clusters, spiral

SPLITS = 5
# In nats per point, behind the better of the others.
ALLOWED = 0.02


def sets() -> Iterator[tuple[str, Callable[[np.random.Generator], FloatArray]]]:
    """Each set of points, by name, as a function of a generator."""
    yield "spiral", lambda rng: rng.permutation(spiral().points)[:5000]
    yield "smlm_clusters", lambda rng: smlm_clusters().points
    yield "nuclei_3d", lambda rng: nuclei_3d().points
    if table := os.environ.get("LOCALIZATIONS"):
        yield "localizations", lambda rng: read_localizations(table).points
    yield "scattered points", lambda rng: rng.uniform(0, 1000, (2000, 2))
    yield "two moons", lambda rng: make_moons(3000, noise=0.1, random_state=1)[0]
    yield (
        "density gradient",
        lambda rng: np.stack(
            [1000 * np.sqrt(rng.uniform(size=4000)), rng.uniform(0, 500, 4000)], axis=1
        ),
    )
    yield (
        "grid of cells",
        lambda rng: (
            np.stack(np.meshgrid(*2 * [np.arange(40.0)]), axis=2).reshape(-1, 2) * 10
            + rng.normal(0, 2, (1600, 2))
        ),
    )
    yield (
        "8 blobs",
        lambda rng: (
            rng.uniform(0, 100, (8, 2))[rng.integers(8, size=1600)]
            + rng.normal(0, 3, (1600, 2)) * rng.uniform(0.5, 1.5, (1600, 1))
        ),
    )


def kernel_density(fitted: FloatArray, rng: np.random.Generator) -> KernelDensity:
    """With the bandwidth that predicts a fifth of the points best from the others."""
    order = rng.permutation(len(fitted))
    some, others = fitted[order[: len(order) // 5]], fitted[order[len(order) // 5 :]]
    scale = float(np.sqrt(others.var(0).mean())) * len(others) ** (-1 / (4 + fitted.shape[1]))
    widths = scale * np.geomspace(0.05, 2.0, 12)
    best = max(widths, key=lambda width: KernelDensity(bandwidth=width).fit(others).score(some))
    return KernelDensity(bandwidth=best).fit(fitted)


def by_bic(fitted: FloatArray, most: int) -> ScikitMixture:
    """scikit-learn's mixture of lowest BIC."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = [
            ScikitMixture(k, random_state=0, reg_covar=1e-6 * fitted.var()).fit(fitted)
            for k in range(1, most + 1)
        ]
    return min(models, key=lambda model: model.bic(fitted))


def measure(options: Options) -> Iterator[Entry]:
    """The difference to the better of the others, on each set."""
    for name, points_of in sets():
        gains, components, empty = [], [], 0
        for split in range(1 if options.quick else SPLITS):
            rng = np.random.default_rng(split)
            points = points_of(rng)
            points = points[rng.permutation(len(points))[: 600 if options.quick else None]]
            fitted, held_out = np.array_split(points, 2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model = SparseGaussianMixture(random_state=0).fit(fitted)
            own = model.score_samples(held_out)
            empty += int(np.count_nonzero(own == -np.inf))
            others = (
                kernel_density(fitted, rng).score_samples(held_out),
                by_bic(fitted, 4 if options.quick else 32).score_samples(held_out),
            )
            mean = own[own > -np.inf].mean()
            gains.append([mean - other[other > -np.inf].mean() for other in others])
            components.append(model.n_components_)
        kde, mixture = np.mean(gains, axis=0)
        worst = min(kde, mixture)
        yield Row(
            f"{name}: mean log density above that of KDE, and of scikit-learn's mixture",
            f"{kde:+.3f}, {mixture:+.3f}; {', '.join(map(str, components))} components; "
            f"{empty} points at density 0",
            f"at least -{ALLOWED}, none at 0",
            bool(worst >= -ALLOWED and empty == 0),
        )


if __name__ == "__main__":
    main(measure)
