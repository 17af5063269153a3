"""Points that a model was not fitted to: their components, and how well it predicts them.

>>> groups = np.zeros(len(points), dtype=int)
>>> assignment = assign_points(model.parts, Observations(points), groups)
>>> print(summary(model, points, groups, assignment))
Mean log density ... per nm² (...); ... of 600 points in ... components, ...% background, each ...
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_sparse_gmm.coverage import coverage_to_radius
from napari_sparse_gmm.density_model import DensityModel, Part
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.parameters import DEVICE, ENGINE
from napari_sparse_gmm.wording import count, volume_unit

if TYPE_CHECKING:
    from napari_sparse_gmm.engines import Assignment

# Percent of a component that an ellipsoid holds; points outside are unassigned.
_EDGE = 99.99

# So far outside of a bounding box, in its sides, the background may still be.
_MARGIN = 0.1


def assign_points(
    parts: Sequence[Part | None],
    observations: Observations,
    groups: NDArray[np.intp],
    *,
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
) -> "Assignment":
    """The component of each point (N, D), among those of its group.

    Where the region of the background is a bounding box, it goes on a little outside of that; see
    `GaussianMixture.beyond`. A point farther away, and outside of the ellipsoids that hold 99.99%
    of their components, is of none: its component is -1 and its probability NaN.

    Parameters
    ----------
    parts : sequence of (Part or None)
        Of a model, one for each group.
    observations : Observations
        N points.
    groups : (N,) array of int
        Of which part each is; -1 of none, which gives component -1 and NaN.
    engine, device : str
        What computes.
    """
    from napari_sparse_gmm.engines import Assignment, assign

    n = len(observations)
    whole = Assignment(np.full(n, -1), np.full(n, np.nan), np.full(n, np.nan))
    for group, part in enumerate(parts):
        rows = np.flatnonzero(groups == group)
        if part is None or not len(rows):
            continue
        own = observations.subset(rows)
        found = assign(part.mixture, own, engine=engine, device=device)
        unassigned = _unassigned(part.mixture, own, found.component)
        found = found.with_background_beyond(part.mixture, own.points)
        whole.component[rows] = np.where(unassigned, -1, found.component)
        whole.probability[rows] = np.where(unassigned, np.nan, found.probability)
        whole.log_density[rows] = found.log_density
    return whole


def _unassigned(
    mixture: GaussianMixture,
    observations: Observations,
    component: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Which points (n, D) the model says nothing about: far from all that it was fitted to."""
    points, noise = observations.points, observations.noise
    unassigned = np.zeros(len(points), dtype=bool)
    if mixture.background_weight == 0 or mixture.background_region is None:
        return unassigned
    region = mixture.background_region
    near = region.contains(points)
    if region.n_points is not None:
        lower, upper = region.box
        margin = _MARGIN * (upper - lower)
        near = region.covers(points + margin, points - margin)
    outside = np.flatnonzero(~near & (component >= 0))
    own = component[outside]
    covariances = mixture.covariances[own]  # (m, D, D)
    if noise is not None:
        covariances = covariances + noise[outside, :, None] * np.eye(points.shape[1])
    difference = points[outside] - mixture.means[own]
    squares = (difference * np.linalg.solve(covariances, difference[:, :, None])[:, :, 0]).sum(1)
    unassigned[outside] = squares > coverage_to_radius(_EDGE, points.shape[1]) ** 2
    return unassigned


def summary(
    model: DensityModel, points: FloatArray, groups: NDArray[np.intp], assignment: "Assignment"
) -> str:
    """How well a model predicts points (N, D) of some groups (N,), in a sentence or two."""
    scored = ~np.isnan(assignment.log_density)
    assigned = scored & ~np.isnan(assignment.probability)
    n, n_assigned = len(points), int(np.count_nonzero(assigned))
    n_scored = int(np.count_nonzero(scored))
    missing = count(n - n_scored, "point") + " in no group that the model has a mixture for"
    if not n_scored:
        return f"{missing}: there is nothing to score."
    if not n_assigned:
        return "All points lie far from what the model was fitted to: there is nothing to score."
    found = assigned & (assignment.component >= 0)
    components = np.stack([groups[found], assignment.component[found]], axis=1)
    k = len(np.unique(components, axis=0))
    density = f"Mean log density {assignment.log_density[assigned].mean():.2f}"
    density += f" per {volume_unit(model.unit, points.shape[1])}"
    known = [part.mean_log_density for part in model.fitted if part.mean_log_density is not None]
    if len(known) == len(model.fitted):
        mean = np.average(known, weights=[part.total_weight for part in model.fitted])
        density += f" (the points that it was fitted to: {mean:.2f})"
    n_found = int(np.count_nonzero(found))
    sentences = [density, f"{n_found:,} of {count(n, 'point')} in {count(k, 'component')}"]
    if any(part.mixture.background_weight > 0 for part in model.fitted):
        sentences[-1] += (
            f", {1 - n_found / n_assigned:.0%} background, each as what it most probably is"
        )
    if n_assigned < n_scored:
        far = count(n_scored - n_assigned, "point")
        sentences.append(f"{far} far from what the model was fitted to left out")
    if n_scored < n:
        sentences.append(missing)
    return "; ".join(sentences) + "."
