"""Components as ellipses.

>>> mixture = GaussianMixture([1.0], [[5.0, 6.0]], [np.diag([1.0, 4.0])])
>>> np.ptp(ellipse_corners(mixture, radius=1.0), axis=1)  # height and width, (K, D)
array([[2., 4.]])

Points and axes are in image order, ([z,] y, x).
"""

import numpy as np

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture


def ellipse_corners(mixture: GaussianMixture, radius: float) -> FloatArray:
    """Corners of the rectangle around each component's ellipse, in cyclic order.

    The ellipse is `radius` standard deviations large; in more than two dimensions it is the
    one through the centre and along the two longest axes. The corners follow the component's
    axes, so that the sides of the rectangle touch the ellipse at the ends of those axes.

    Returns
    -------
    (K, 4, D) array
    """
    if mixture.n_dimensions < 2:
        raise InputError("Ellipses need points with two coordinates or more, not one.")
    std, directions = mixture.principal_axes
    half_axes = radius * std[:, None, :2] * directions[:, :, :2]  # (K, D, 2)
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    corners: FloatArray = mixture.means[:, None, :] + np.einsum("ci,kdi->kcd", signs, half_axes)
    return corners


def section_corners(
    mixture: GaussianMixture, radius: float, axis: int, offsets: FloatArray
) -> FloatArray:
    """Corners of the rectangles around the ellipses in which planes cut the ellipsoids.

    Within a plane x_a = c a Gaussian in three dimensions is one in two, with the mean and the
    covariance of the other coordinates given that one, and at a Mahalanobis distance of
    (c - mu_a) / sigma_a at least.

    Parameters
    ----------
    mixture : GaussianMixture of K components in three dimensions
    radius : float
        Of the ellipsoids, in standard deviations.
    axis : int
        The one across the planes.
    offsets : (K,) array
        How far from its centre each ellipsoid is cut along that axis; where that is beside it, it
        is cut at its centre.

    Returns
    -------
    (K, 4, 3) array
    """
    others = [other for other in range(3) if other != axis]
    covariances = mixture.covariances
    variance = covariances[:, axis, axis]
    slope = covariances[:, others, axis] / variance[:, None]  # (K, 2)
    within = np.abs(offsets) < radius * np.sqrt(variance)
    offsets = np.where(within, offsets, 0.0)
    conditional = covariances[:, others][:, :, others] - variance[:, None, None] * np.einsum(
        "ki,kj->kij", slope, slope
    )
    squared_radius = radius**2 - offsets**2 / variance
    flat = GaussianMixture(
        mixture.weights,
        mixture.means[:, others] + slope * offsets[:, None],
        conditional * squared_radius[:, None, None],
    )
    corners = np.empty((len(offsets), 4, 3))
    corners[:, :, others] = ellipse_corners(flat, 1.0)
    corners[:, :, axis] = (mixture.means[:, axis] + offsets)[:, None]
    return corners
