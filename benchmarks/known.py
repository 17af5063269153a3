"""How much a perfect prior would be worth in counting clusters.

The fields of `clusters.py`, and three fits of each: the default one of `prior="bayes"`; one whose
hyperparameters are those of the true clusters and are not learnt; and that one started from the
truth, not searched for. What is between the last and the ceiling, which knows every cluster, is
lost with the places and shapes of clusters of a few points, not with counting them.

    python benchmarks/known.py
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from clusters import FILES, KINDS, SIDE, ours
from report import Entry, Options, Row, main
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from napari_sparse_gmm import GaussianMixture
from napari_sparse_gmm.mixture import FloatArray
from napari_sparse_gmm.objectives import (
    FULL,
    CovarianceType,
    Declaration,
    Objective,
    VariationalPoisson,
)

# A covariance that this many points tell is as good as known.
_MANY = 1e5

NAMES = ("default", "hyperparameters known", "and started from the truth")


@dataclass(frozen=True)
class KnownPrior(VariationalPoisson):
    """A prior that learns nothing.

    Parameters
    ----------
    sizes : K arrays (D, D)
        The covariances of the true clusters, from which it knows what those of another type are
        like.
    """

    sizes: tuple[FloatArray, ...] = ()

    def learnt(self, counts: FloatArray, covariances: FloatArray) -> Self:
        """Itself."""
        return self

    def relaxed(self, old: Objective, factor: float) -> Self:
        """Itself."""
        return self

    def of_type(self, covariance_type: CovarianceType) -> Self:
        """What the true clusters teach of such covariances, these as good as known."""
        covariances = covariance_type.nearest(np.array(self.sizes))
        nothing = VariationalPoisson(
            self.n_dimensions, self.volume, covariance_type=covariance_type
        )
        taught = nothing.learnt(np.full(len(covariances), _MANY), covariances)
        return replace(
            self,
            covariance_type=covariance_type,
            degrees=taught.degrees,
            scale=taught.scale,
        )

    def declaration(self) -> Declaration:
        """Without a search for other kinds."""
        return replace(super().declaration(), several=None)

    @classmethod
    def of(cls, truth: GaussianMixture, n_points: int) -> "KnownPrior":
        """What the true clusters teach."""
        counts = truth.weights * n_points
        nothing = VariationalPoisson(truth.n_dimensions, SIDE**truth.n_dimensions)
        numbers = nothing.learnt(counts, truth.covariances)
        known = cls(
            truth.n_dimensions,
            SIDE**truth.n_dimensions,
            number=float(len(counts)),
            shape=numbers.shape,
            rate=numbers.rate,
            sizes=tuple(truth.covariances),
        )
        return known.of_type(FULL)


def measure(options: Options) -> Iterator[Entry]:
    """The adjusted Rand index of each fit, as a share of the ceiling."""
    shares: list[FloatArray] = []
    for kind in (kind for kind in KINDS if kind.density == "even"):
        scores, found = [], []
        for seed in range(1 if options.quick else FILES):
            points, labels, truth = kind.field(seed)
            prior = KnownPrior.of(truth, len(points))
            fits = [ours(), ours().set_params(prior=prior)]
            fits.append(ours().set_params(prior=prior, init=truth))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                answers = [fit.fit(points).predict(points) for fit in fits]
            answers.append(truth.predict(points))
            scores.append([adjusted_rand_score(labels, answer) for answer in answers])
            found.append([fit.n_components_ for fit in fits])
        *of_fits, ceiling = np.mean(scores, axis=0)
        shares.append(np.array(of_fits) / ceiling)
        told = ", ".join(
            f"{name} {score:.3f} ({number:.1f} clusters)"
            for name, score, number in zip(NAMES, of_fits, np.mean(found, axis=0), strict=True)
        )
        yield Row(f"{kind.name}: adjusted Rand index", f"{told}; ceiling {ceiling:.3f}")
    mean = np.mean(shares, axis=0)
    told = ", ".join(f"{name} {share:.1%}" for name, share in zip(NAMES, mean, strict=True))
    yield Row("share of the ceiling, mean of all kinds", told)


if __name__ == "__main__":
    main(measure)
