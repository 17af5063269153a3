"""A mixture as pixels see it: what is narrower than a pixel still shows, as bright as it is.

The value at the centre of a pixel stands for all of it. A component much narrower than a pixel
would light up where it happens to meet a centre, and vanish elsewhere.

>>> narrow = GaussianMixture([1.0], [[0.0, 0.0]], [0.01 * np.eye(2)])
>>> smooth = antialiased(narrow, spacing=[1.0, 1.0])
>>> np.sqrt(smooth.covariances[0].diagonal())
array([0.5, 0.5])
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from napari_sparse_gmm.mixture import FloatArray, GaussianMixture, PrincipalAxes

# Standard deviations in pixels. By Poisson's formula the values of a Gaussian on a lattice sum up
# to 1 within 2 exp(-2 pi^2 std^2) along each axis, 1.4% at a half, wherever it lies; at a quarter
# it is 58%.
NARROWEST = 0.5


def antialiased(mixture: GaussianMixture, spacing: ArrayLike) -> GaussianMixture:
    """The mixture with each standard deviation, along a component's own axes, half a pixel or more.

    What the pixels resolve stays exactly as it is. (To widen all, as the mean over a pixel does,
    would blur that, and change nothing that shows.)

    Parameters
    ----------
    mixture : GaussianMixture of D dimensions
    spacing : (D,) array
        Size of a pixel along each axis.
    """
    std, directions = _axes_in_pixels(mixture, spacing)
    narrow = std[:, -1] < NARROWEST
    if not narrow.any():
        return mixture
    axes = directions[narrow] * np.maximum(std[narrow], NARROWEST)[:, None, :]
    size = np.asarray(spacing, dtype=np.float64)
    covariances = np.array(mixture.covariances)
    covariances[narrow] = axes @ axes.swapaxes(1, 2) * np.multiply.outer(size, size)
    return replace(mixture, covariances=covariances)


def narrowest(mixture: GaussianMixture, spacing: ArrayLike) -> FloatArray:
    """The smallest standard deviation of each component in pixels, (K,)."""
    return _axes_in_pixels(mixture, spacing).std[:, -1]


def _axes_in_pixels(mixture: GaussianMixture, spacing: ArrayLike) -> PrincipalAxes:
    """Axes of the components where lengths are in pixels; only their shapes matter to that."""
    size = np.asarray(spacing, dtype=np.float64)
    covariances = mixture.covariances / np.multiply.outer(size, size)
    return replace(mixture, covariances=covariances).principal_axes
