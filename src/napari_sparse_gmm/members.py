"""What the points of each component say of it: how far they reach, and when they were seen.

>>> seen = Observations(points)
>>> members = members_of(estimator.mixture_, [(seen, None)])
>>> members.hull.shape == (estimator.n_components_,), members.first_frame
(True, None)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from napari_sparse_gmm.engines import assign
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture
from napari_sparse_gmm.observations import Observations
from napari_sparse_gmm.parameters import DEVICE, ENGINE


@dataclass(frozen=True, eq=False)
class Members:
    """Of the points that most probably are of each of K components.

    Parameters
    ----------
    hull : (K,) array or None
        Area (2D) or volume (3D) of their convex hull; 0 where they are too few for one, or all on
        a line or in a plane. None in other dimensions.
    first_frame, last_frame : (K,) array or None
        In which they were seen; NaN of a component without points. None where that is not known.
    """

    hull: FloatArray | None
    first_frame: FloatArray | None = None
    last_frame: FloatArray | None = None


# Points, and the frame in which each was seen, (N,), if that is known.
Seen = tuple[Observations, FloatArray | None]


def members_of(
    mixture: GaussianMixture,
    chunks: Iterable[Seen],
    *,
    engine: str = ENGINE.default,
    device: str = DEVICE.default,
) -> Members:
    """What the points say of the components of a mixture, chunk by chunk: of the points before, it
    keeps the corners of hulls.

    Parameters
    ----------
    mixture : GaussianMixture
        Of K components.
    chunks : iterable of (Observations, (N,) array or None)
        The points, all together or some at a time. Where a chunk has no frames, none are known.
    engine, device : str
        What assigns the points.
    """
    k, d = mixture.means.shape
    corners = [np.empty((0, d))] * k
    volumes = np.zeros(k)
    first, last, has_frames = np.full(k, np.inf), np.full(k, -np.inf), True
    for seen, frames in chunks:
        component = assign(mixture, seen, engine=engine, device=device).component
        if frames is None:
            has_frames = False
        else:
            of_one = component >= 0
            np.minimum.at(first, component[of_one], frames[of_one])
            np.maximum.at(last, component[of_one], frames[of_one])
        if d in (2, 3):
            order = np.argsort(component, kind="stable")
            ends = np.searchsorted(component[order], np.arange(k + 1))
            for one, (a, b) in enumerate(pairwise(ends)):
                if a < b:
                    own = np.concatenate([corners[one], seen.points[order[a:b]]])
                    volumes[one], corners[one] = _hull(own)
    for frame in (first, last):
        frame[np.isinf(frame)] = np.nan
    hull = volumes if d in (2, 3) else None
    return Members(hull, first, last) if has_frames else Members(hull)


def _hull(points: FloatArray) -> tuple[float, FloatArray]:
    """The volume of the convex hull of points (N, D), and its corners among them, (M, D)."""
    from scipy.spatial import ConvexHull, QhullError

    if len(points) <= points.shape[1]:
        return 0.0, points
    try:
        hull = ConvexHull(points)
    except QhullError:  # all on a line, or in a plane
        return 0.0, _flat_corners(points)
    return float(hull.volume), points[hull.vertices]


def _flat_corners(points: FloatArray) -> FloatArray:
    """Those of points on a line or in a plane that may be corners once there are others."""
    from scipy.spatial import ConvexHull, QhullError

    different = np.unique(points, axis=0)
    try:  # as if they were a little off it
        return different[ConvexHull(different, qhull_options="QJ").vertices]
    except QhullError:
        return different
