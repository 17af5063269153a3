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
