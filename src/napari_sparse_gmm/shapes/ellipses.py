"""Components as ellipses, and as rows of a table.

    >>> radius = coverage_to_radius(95.0, n_dimensions=2)  # 2.45 standard deviations
    >>> corners = ellipse_corners(mixture, radius)  # (K, 4, 2)

Points and axes are in image order, ([z,] y, x).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.mixture import FloatArray, GaussianMixture

if TYPE_CHECKING:
    from napari_sparse_gmm.uncertainty import StandardErrors

_AXIS_NAMES = {1: ("",), 2: ("_major", "_minor"), 3: ("_major", "_middle", "_minor")}


def coverage_to_radius(coverage_percent: float, n_dimensions: int) -> float:
    """Radius, in standard deviations, of the ellipsoid that holds a share of a Gaussian.

    The square root of the chi-squared quantile with `n_dimensions` degrees of freedom.
    """
    if not 0 < coverage_percent < 100:
        raise InputError(
            f"The coverage must lie between 0 and 100 percent, not {coverage_percent}."
        )
    # Not at the top: most of the time in which the widget opens would go into this import.
    # scipy.stats has the quantile by name, but takes a second.
    from scipy.special import gammaincinv

    return float(np.sqrt(2.0 * gammaincinv(0.5 * n_dimensions, coverage_percent / 100.0)))


def principal_axes(covariances: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Standard deviations along the axes of each component, and the axes.

    Parameters
    ----------
    covariances : (K, D, D) array, positive definite

    Returns
    -------
    std : (K, D) array, descending
    directions : (K, D, D) array
        Unit vectors in the columns, ``directions[k, :, i]`` that of ``std[k, i]``.
    """
    # From the triangular factor, not from the eigenvalues of the covariance: squaring would
    # cost a long thin component the digits of its short axis.
    factors = np.linalg.cholesky(np.asarray(covariances, dtype=np.float64))
    directions, std, _ = np.linalg.svd(factors)
    return std, directions


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
    std, directions = principal_axes(mixture.covariances)
    half_axes = radius * std[:, None, :2] * directions[:, :, :2]  # (K, D, 2)
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    corners: FloatArray = mixture.means[:, None, :] + np.einsum("ci,kdi->kcd", signs, half_axes)
    return corners


def component_table(
    mixture: GaussianMixture,
    n_points: float,
    axis_labels: Sequence[str],
    errors: "StandardErrors | None" = None,
    unit: str | None = None,
) -> dict[str, NDArray[Any]]:
    """One row a component, as columns (K,), in the units of the points.

    With `errors`, a column ``…_error`` behind each of weights, points, centre and standard
    deviations: its standard error. With the `unit` of the points, what has one is named with it:
    ``std_major [nm]``, ``angle [°]``, ``area [nm²]``.

    ``component``
        Index, as `predict` gives it.
    ``weight``, ``expected_points``
        Share of the points, and that share of `n_points`.
    ``mean_y``, ``mean_x`` ...
        Centre, one column for each of `axis_labels`.
    ``std_major``, ``std_minor``
        Standard deviations along the component's own axes. In 3D ``std_middle`` lies
        between them; in 1D there is only ``std``; beyond 3D they are ``std_1``, ``std_2`` ...
    ``angle`` (2D)
        Direction of the major axis in degrees, from 0 to 180: 0 is along the last axis (x),
        90 along the first (y). Clockwise on a screen where y points down.
    ``area`` (2D), ``volume`` (3D)
        Of the ellipse (ellipsoid) of one standard deviation.
    """
    k, d = mixture.means.shape
    if len(axis_labels) != d:
        raise InputError(f"{d} axis labels are needed, not {len(axis_labels)}: {axis_labels}.")
    std, directions = principal_axes(mixture.covariances)
    table: dict[str, NDArray[Any]] = {"component": np.arange(k)}

    def in_unit(power: str = "") -> str:
        return f" [{unit}{power}]" if unit else ""

    def add(name: str, values: FloatArray, error: FloatArray | None, suffix: str = "") -> None:
        table[f"{name}{suffix}"] = np.array(values)
        if error is not None:
            table[f"{name}_error{suffix}"] = np.array(error)

    weight_error = None if errors is None else errors.weights
    add("weight", mixture.weights, weight_error)
    points_error = None if weight_error is None else n_points * weight_error
    add("expected_points", n_points * mixture.weights, points_error)
    for axis, label in enumerate(axis_labels):
        error = None if errors is None else errors.means[:, axis]
        add(f"mean_{label}", mixture.means[:, axis], error, in_unit())
    names = _AXIS_NAMES.get(d, [f"_{i + 1}" for i in range(d)])
    for axis, name in enumerate(names):
        error = None if errors is None else errors.stds[:, axis]
        add(f"std{name}", std[:, axis], error, in_unit())
    if d == 2:
        major_y, major_x = directions[:, :, 0].T
        # An axis has no sign, so 180 degrees are 0; round-off may give either.
        angle = np.degrees(np.arctan2(major_y, major_x)) % 180.0
        table["angle [°]" if unit else "angle"] = np.where(angle == 180.0, 0.0, angle)
        table[f"area{in_unit('²')}"] = np.pi * std.prod(1)
    elif d == 3:
        table[f"volume{in_unit('³')}"] = 4.0 / 3.0 * np.pi * std.prod(1)
    return table
