"""How near the clusters of a fit are to those that the points were drawn from.

>>> recovered = Recovery.of(truth, model, points)
>>> recovered.size_bias, recovered.centre_error
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from napari_sparse_gmm import GaussianMixture, SparseGaussianMixture
from napari_sparse_gmm.mixture import FloatArray

# Further off, in standard deviations of the true one as it is seen, it is another cluster.
FARTHEST = 3.0


@dataclass(frozen=True)
class Recovery:
    """M pairs of a true and a found cluster, one to one.

    Sizes are root mean squares of the standard deviations along the axes.
    """

    log_sizes: FloatArray  # log of found / true, (M,)
    centres: FloatArray  # found less true, (M, D)
    centres_in_errors: FloatArray  # the same in standard errors, (M, D)
    sizes_in_errors: FloatArray  # of the standard deviations along the axes, (M, D)

    @classmethod
    def of(
        cls,
        truth: GaussianMixture,
        model: SparseGaussianMixture,
        points: FloatArray,
        noise_std: FloatArray | None = None,
        *,
        blur: float = 0.0,
    ) -> "Recovery":
        """The pairs of least distance in all; points are seen with a precision of about `blur`."""
        distances = np.linalg.norm(truth.means[:, None] - model.means_, axis=2)
        true, ours = linear_sum_assignment(distances)
        reach = FARTHEST * np.hypot(_sizes(truth)[true], blur)
        near = distances[true, ours] < reach
        true, ours = true[near], ours[near]
        errors = model.standard_errors(points, noise_std=noise_std)
        centres = model.means_[ours] - truth.means[true]
        found, drawn = (of.principal_axes.std for of in (model.mixture_, truth))
        return cls(
            np.log(_sizes(model.mixture_)[ours] / _sizes(truth)[true]),
            centres,
            centres / errors.means[ours],
            (found[ours] - drawn[true]) / errors.stds[ours],
        )

    @classmethod
    def pooled(cls, several: Sequence["Recovery"]) -> "Recovery":
        """The pairs of several fields."""
        names = ("log_sizes", "centres", "centres_in_errors", "sizes_in_errors")
        return cls(*(np.concatenate([getattr(one, name) for one in several]) for name in names))

    @property
    def size_bias(self) -> float:
        """By how much found sizes are too large, as a share; the geometric mean."""
        return float(np.exp(self.log_sizes.mean()) - 1)

    @property
    def centre_error(self) -> float:
        """Root mean square along an axis."""
        return float(np.sqrt((self.centres**2).mean()))

    def __str__(self) -> str:
        held = [
            float((np.abs(values) < 1.96).mean())
            for values in (self.centres_in_errors, self.sizes_in_errors)
        ]
        return (
            f"size {self.size_bias:+.1%}, spread {self.log_sizes.std():.0%}; centre "
            f"{self.centre_error:.1f} nm along an axis; 95% intervals hold {held[0]:.0%} of the "
            f"centres, {held[1]:.0%} of the standard deviations along axes"
        )


def _sizes(mixture: GaussianMixture) -> FloatArray:
    traces = np.trace(mixture.covariances, axis1=1, axis2=2)
    return np.asarray(np.sqrt(traces / mixture.n_dimensions))
